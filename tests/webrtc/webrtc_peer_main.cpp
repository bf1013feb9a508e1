// SPDX-License-Identifier: MIT
//
// One end of one connection, for tests against other implementations. Signalling is JSON lines:
//
//   {"type":"offer"|"answer","sdp":...}  {"type":"candidate","candidate":{"candidate":...}}
//
// both ways. It says {"type":"opened"}, {"type":"done"} when the agreed messages have come and all
// of its own were sent, {"type":"failed","why":...}, and at last {"type":"closed","how":...}. It
// hears {"type":"close"} and {"type":"how far"}, and ends with its input. With --waits it sends
// nothing before it hears {"type":"begin"}, which comes when both have opened.
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "tests/webrtc/traffic.hpp"
#include "transport/webrtc/peer_connection.hpp"

namespace {

using namespace peer_relay;
using namespace peer_relay::webrtc;
using nlohmann::json;
namespace asio = boost::asio;

class Peer final : PeerConnectionSink {
 public:
  Peer(asio::io_context& io, PeerConnectionOptions options, std::uint32_t count, bool waits)
      : input_(io, ::dup(STDIN_FILENO)),
        offers_(options.offers),
        waits_(waits),
        count_(count),
        connection_(io, *this, Certificate::make(), std::make_shared<SctpStack>(io),
                    std::move(options)) {}

  void run() {
    read();
    if (offers_) connection_.start();
  }

 private:
  static void say(const json& note) {
    const std::string line = note.dump() + "\n";
    std::fwrite(line.data(), 1, line.size(), stdout);
    std::fflush(stdout);
  }

  void read() {
    asio::async_read_until(input_, buffer_, '\n', [this](boost::system::error_code error, size_t) {
      if (error) return connection_.close();
      std::istream lines(&buffer_);
      std::string line;
      std::getline(lines, line);
      hear(json::parse(line));
      if (!is_closed_) read();
    });
  }

  void hear(const json& note) {
    const std::string type = note.at("type");
    if (type == "offer" || type == "answer") connection_.set_remote(std::string(note.at("sdp")));
    if (type == "candidate") {
      connection_.add_candidate(std::string(note.at("candidate").at("candidate")));
    }
    if (type == "begin") {
      waits_ = false;
      pump();
    }
    if (type == "how far") {
      say({{"type", "so far"},
           {"sent", sent_},
           {"received", received_},
           {"queued", connection_.queued_bytes()}});
    }
    if (type == "close") connection_.close();
  }

  void connection_described(const std::string& sdp) override {
    say({{"type", offers_ ? "offer" : "answer"}, {"sdp", sdp}});
  }
  void connection_candidate(const std::string& line) override {
    say({{"type", "candidate"},
         {"candidate", {{"candidate", line}, {"sdpMid", "0"}, {"sdpMLineIndex", 0}}}});
  }
  void connection_opened() override {
    say({{"type", "opened"},
         {"remote", connection_.remote()},
         {"relayed", connection_.is_relayed()}});
    pump();
  }
  void connection_taken(Bytes) override {}
  void connection_writable() override { pump(); }
  void connection_received(MutableBytes message, bool is_text) override {
    if (is_text || !is_traffic(message, received_)) {
      say({{"type", "failed"}, {"why", what_is_wrong(message)}});
      return connection_.close();
    }
    ++received_;
    tell_if_done();
  }
  void connection_closed(PeerConnectionEnd end) override {
    is_closed_ = true;
    say({{"type", "closed"}, {"how", name_of(end)}});
    boost::system::error_code ignored;
    input_.close(ignored);
  }

  std::string what_is_wrong(BytesView message) const {
    std::uint32_t of = 0;
    while (of < count_ && !is_traffic(message, of)) ++of;
    return "message " + std::to_string(received_) +
           " is not right: " + std::to_string(message.size()) + " bytes, " +
           (of < count_ ? "those of " + std::to_string(of) : "of none");
  }

  void pump() {
    while (!waits_ && sent_ < count_ && connection_.queued_bytes() == 0) {
      if (!connection_.send(traffic(sent_))) return say({{"type", "failed"}, {"why", "not sent"}});
      ++sent_;
    }
    tell_if_done();
  }
  void tell_if_done() {
    if (sent_ == count_ && received_ == count_ && !std::exchange(is_done_, true)) {
      say({{"type", "done"}, {"received", received_}});
    }
  }

  asio::posix::stream_descriptor input_;
  asio::streambuf buffer_;
  bool offers_;
  bool waits_;
  std::uint32_t count_;
  std::uint32_t sent_ = 0;
  std::uint32_t received_ = 0;
  bool is_done_ = false;
  bool is_closed_ = false;
  PeerConnection connection_;
};

}  // namespace

int main(int argc, char** argv) {
  PeerConnectionOptions options;
  options.policy = {.loopback = true, .link_local = true, .site = true};
  std::uint32_t count = 10'000;
  IceServer stun, turn{.kind = IceServer::Kind::turn_udp, .user = "user", .secret = "secret"};
  bool turn_tcp = false, hides = false, waits = false;
  CLI::App app{"One end of a WebRTC connection"};
  app.add_flag("--offer", options.offers);
  app.add_flag("--relayed-only", options.ice.relayed_only);
  app.add_flag("--no-host-candidates", hides);
  app.add_flag("--waits", waits);
  app.add_option("--stun", stun.host, "The IP address of a server on port 3478");
  app.add_option("--turn", turn.host, "The same, for user:secret");
  app.add_flag("--turn-tcp", turn_tcp);
  app.add_option("--local", options.ice.local_addresses);
  app.add_option("--count", count);
  CLI11_PARSE(app, argc, argv);
  options.shows_host_candidates = !hides;
  if (turn_tcp) turn.kind = IceServer::Kind::turn_tcp;
  if (!stun.host.empty()) options.ice.servers.push_back(stun);
  if (!turn.host.empty()) options.ice.servers.push_back(turn);
  asio::io_context io;
  Peer peer{io, std::move(options), count, waits};
  peer.run();
  io.run();
}
