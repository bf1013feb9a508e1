// SPDX-License-Identifier: MIT
//
// One end of data channels, for `./dev bench webrtc`. What is signalled goes to the other end as
// lines of JSON through a socket that both inherit, so that no driver stands in the way:
//
//   {"id": n, "type": "offer"|"answer", "sdp": ...}   {"id": n, "type": "candidate", "candidate":
//   ...}
#include <future>
#include <istream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/asio.hpp>

#include "process.hpp"
#include "transport/webrtc/webrtc_transport.hpp"

namespace peer_relay::bench {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

/// As an engine does it: so much is sent at once, and more when that has been taken.
constexpr std::size_t queued_max = limits::batch_bytes_max;

class End final : LinkSink, NegotiationSink {
 public:
  End(asio::io_context& io, int signal) : io_(io), signal_(io, signal) {
    auto made = WebRtcTransport::make(io, *this, *this, {.interfaces = {"127.0.0.1"}});
    if (!made) throw std::runtime_error(made.error().detail);
    transport_ = std::move(*made);
    hear();
  }

  /// On the thread of the commands.
  Json obey(const Json& command) {
    std::promise<Json> answer;
    asio::post(io_, [&] { begin(command, answer); });
    return answer.get_future().get();
  }

 private:
  void begin(const Json& command, std::promise<Json>& answer) {
    const std::string what = command.at("do");
    if (what == "open") {
      to_open_ = command.at("count");
      setup_ms_.clear();
      opened_answer_ = &answer;
      return open_next();
    }
    if (what == "start") {
      payload_ = Bytes(command.at("bytes").get<std::size_t>(), 0x5a);
      is_loading_ = true;
      load();
    } else if (what == "stop") {
      is_loading_ = false;
    }
    Json out = own_cost();
    out["received"] = received_;
    out["links"] = links_.size();
    answer.set_value(std::move(out));
  }

  void open_next() {
    if (setup_ms_.size() == to_open_) {
      return std::exchange(opened_answer_, nullptr)->set_value({{"setup_ms", setup_ms_}});
    }
    const NegotiationId id{++negotiations_};
    offered_[id] = Clock::now();
    transport_->offer(id);
  }

  void load() {
    if (links_.empty()) return;
    Link& link = *links_.begin()->second;
    while (is_loading_ && link.queued_bytes() < queued_max) link.send(fresh());
  }

  Bytes fresh() {
    if (free_.empty()) return payload_;
    Bytes out = std::move(free_.back());
    free_.pop_back();
    out.assign(payload_.begin(), payload_.end());
    return out;
  }

  void hear() {
    asio::async_read_until(signal_, buffer_, '\n', [this](boost::system::error_code error, size_t) {
      if (error) return;
      std::istream lines(&buffer_);
      std::string line;
      std::getline(lines, line);
      take(Json::parse(line));
      hear();
    });
  }

  void take(const Json& note) {
    const NegotiationId id{note.at("id").get<std::uint64_t>()};
    const std::string type = note.at("type");
    if (type == "offer") transport_->answer(id, note.at("sdp").get<std::string>());
    if (type == "answer") transport_->take_answer(id, note.at("sdp").get<std::string>());
    if (type == "candidate") {
      transport_->take_candidate(id, note.at("candidate").get<std::string>());
    }
  }

  void tell(NegotiationId id, Json note) {
    note["id"] = static_cast<std::uint64_t>(id);
    const std::string line = note.dump() + "\n";
    asio::write(signal_, asio::buffer(line));
  }

  void negotiation_described(NegotiationId id, const std::string& sdp) override {
    tell(id, {{"type", offered_.contains(id) ? "offer" : "answer"}, {"sdp", sdp}});
  }
  void negotiation_candidate(NegotiationId id, const std::string& line) override {
    tell(id, {{"type", "candidate"}, {"candidate", line}});
  }
  void negotiation_failed(NegotiationId, DialError error, const std::string& detail) override {
    say({{"error", std::string{name_of(error)} + ": " + detail}});
  }

  void link_opened(LinkId id, std::unique_ptr<Link> link, LinkArrival arrival) override {
    links_[id] = std::move(link);
    const auto offered = offered_.find(*arrival.negotiation);
    if (offered == offered_.end()) return;
    const std::chrono::duration<double, std::milli> taken = Clock::now() - offered->second;
    setup_ms_.push_back(taken.count());
    open_next();
  }
  void link_received(LinkId, MutableBytes) override { ++received_; }
  void link_writable(LinkId id) override {
    if (is_loading_ && id == links_.begin()->first) load();
  }
  void link_closed(LinkId id, CloseReason) override { links_.erase(id); }
  LinkId next_link_id() override { return LinkId{++link_ids_}; }
  void recycle(Bytes buffer) override {
    if (free_.size() < 64) free_.push_back(std::move(buffer));
  }
  void dial_failed(DialId, DialError, const std::string&) override {}
  void link_received_text(LinkId, MutableBytes) override {}
  void link_received_stream(LinkId, BytesView, ExchangeTransport) override {}
  void text_too_long() override {}
  void connection_refused() override {}
  void connection_failed(CloseReason) override {}

  asio::io_context& io_;
  asio::posix::stream_descriptor signal_;
  asio::streambuf buffer_;
  std::unique_ptr<WebRtcTransport> transport_;
  std::map<LinkId, std::unique_ptr<Link>> links_;
  std::map<NegotiationId, Clock::time_point> offered_;
  std::vector<double> setup_ms_;
  std::vector<Bytes> free_;
  std::size_t to_open_ = 0;
  std::promise<Json>* opened_answer_ = nullptr;
  std::uint64_t negotiations_ = 0, link_ids_ = 0, received_ = 0;
  Bytes payload_;
  bool is_loading_ = false;
};

}  // namespace
}  // namespace peer_relay::bench

int main(int argc, char** argv) {
  using namespace peer_relay::bench;
  int signal = -1;
  CLI::App app{"One end of data channels"};
  app.add_option("--signal", signal, "A descriptor to signal through")->required();
  CLI11_PARSE(app, argc, argv);
  boost::asio::io_context io;
  End end{io, signal};
  say({{"ready", true}});
  std::jthread thread{[&io] { io.run(); }};
  obey_commands([&end](const Json& command) { return end.obey(command); }, [] {});
  io.stop();
}
