// SPDX-License-Identifier: MIT
#include "peer_relay/exchange.hpp"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include "command.hpp"
#include "json.hpp"
#include "loop.hpp"
#include "output.hpp"
#include "text.hpp"
#include "webrtc_options.hpp"

namespace peer_relay::app {
namespace {

using namespace std::chrono_literals;

/// One read of standard input is written to each peer; the next when all have taken it.
constexpr std::size_t read_bytes = 64 << 10;

/// Old ones cannot be made to wait while standard output stands still, so they are lost then: after
/// what a pager or a slow disk takes its time for.
constexpr std::size_t legacy_unread_bytes_max = 256 << 20;

struct ExchangeArguments {
  std::string network = "peer-relay";
  std::optional<std::uint16_t> tcp, websocket;
  std::string host = "::";
  std::vector<std::string> join;
  std::uint64_t more = 0;
  std::string identity;
  bool webrtc = false;
  bool legacy = false;
  bool count = false;
  bool json = false;
  WebRtcArguments channels{true};
};

class Crowd {
 public:
  Crowd(Loop& loop, const ExchangeArguments& options, ExchangeOptions how)
      : loop_{loop}, options_{options}, output_{loop} {
    exchange_.emplace(options.network, std::move(how), events());
  }

  int run() {
    if (exchange_->node() == nullptr) {
      exchange_->connect("tcp", "", {},
                         [](const auto& failed) { complain(failed.error().message); });
      return status_error;
    }
    loop_.on_interrupt([this] { loop_.stop(status_ok); });
    output_.on_closed([this] { loop_.stop(status_ok); });
    if (options_.websocket) accept("websocket", *options_.websocket);
    if (options_.tcp) accept("tcp", *options_.tcp);
    if (options_.webrtc) accept("webrtc", 0);
    exchange_->node()->post([this] { loop_.post([this] { begin(); }); });  // behind all of those
    const int status = loop_.run();
    leave();
    return status;
  }

 private:
  struct Member {
    ExchangePeer peer;
    std::uint64_t number = 0;  // as they came
    std::uint64_t received = 0;
  };

  ExchangeEvents events() {
    return {
        .peer = [this](const auto& peer) { loop_.post([this, peer] { joined(peer); }); },
        .disconnect = [this](const auto& peer) { loop_.post([this, peer] { left(peer); }); },
        .error = [this](const auto& error) { loop_.post([this, error] { failed("", error); }); },
    };
  }

  void accept(const std::string& transport, std::uint16_t port) {
    exchange_->accept(transport, {.port = port, .host = options_.host},
                      [this, transport](const auto& result) {
                        loop_.post([this, transport, result] { accepted(transport, result); });
                      });
  }

  void accepted(const std::string& transport,
                const std::expected<std::uint16_t, ExchangeError>& result) {
    if (result) {
      ports_[transport] = *result;
    } else {
      complain(result.error().message);
      loop_.stop(status_error);
    }
  }

  void begin() {
    const std::string id = exchange_->node_id().to_hex();
    if (options_.json) {
      output_.line(line_of({{"ready", true}, {"id", id}, {"accepts", ports_}}));
    } else {
      std::string ways;
      for (const auto& [transport, port] : ports_.items()) {
        ways += fmt::format(", {} on {}", transport, port.get<std::uint16_t>());
      }
      write_all(STDERR_FILENO,
                fmt::format("{} in the network '{}'{}\n", id, escaped(options_.network), ways));
    }
    for (const std::string& url : options_.join) join(url);
    watch_input();
  }

  void join(const std::string& url) {
    const auto address = Address::parse(url);  // checked before
    exchange_->connect(address->scheme == Scheme::tcp ? "tcp" : "websocket", address->host,
                       {.port = address->port, .secure = address->scheme == Scheme::wss},
                       [this, url](const auto& peer) {
                         if (!peer) {
                           loop_.post([this, url, error = peer.error()] { failed(url, error); });
                         }
                       });
  }

  void ask_for_more() {
    if (asked_ == options_.more) return;
    ++asked_;
    exchange_->get_new_peer([this](const auto& peer) {
      if (!peer) loop_.post([this, error = peer.error()] { failed("a new peer", error); });
    });
  }

  void failed(const std::string& what, const ExchangeError& error) {
    if (options_.json) {
      output_.line(line_of({{"event", "error"}, {"of", what}, {"message", error.message}}));
    } else {
      complain(escaped(what.empty() ? error.message : what + ": " + error.message, 300));
    }
  }

  void joined(const ExchangePeer& peer) {
    members_.push_back(std::make_shared<Member>(Member{.peer = peer, .number = ++last_number_}));
    tell("peer", *members_.back());
    read_on(members_.back());
    ask_for_more();
  }

  void left(const ExchangePeer& peer) {
    const auto at =
        std::ranges::find_if(members_, [&](const auto& each) { return each->peer == peer; });
    if (at == members_.end()) return;
    tell("disconnect", **at);
    members_.erase(at);
  }

  /// Peers of npm peer-exchange have none.
  static Json id_of(const ExchangePeer& peer) {
    return peer.is_legacy() ? Json{} : Json(peer.id().to_hex());
  }

  void tell(const char* event, const Member& member) {
    const ExchangePeer& peer = member.peer;
    if (options_.json) {
      output_.line(line_of({{"event", event},
                            {"peer", member.number},
                            {"id", id_of(peer)},
                            {"transport", peer.transport()},
                            {"address", peer.remote_address()},
                            {"incoming", peer.is_incoming()},
                            {"received", member.received}}));
    } else {
      const std::string heard =
          member.received > 0 ? ", " + bytes_text(member.received) + " received" : "";
      write_all(STDERR_FILENO, fmt::format("{} {} by {} {}{}\n", event,
                                           peer.is_legacy() ? "(legacy)" : peer.id().short_hex(),
                                           peer.transport(), peer.remote_address(), heard));
    }
  }

  // The next is read when this one is printed: a slow reader stops the writers.
  void read_on(const std::shared_ptr<Member>& member) {
    member->peer.stream().read(4 * read_bytes, [this, member](const StreamRead& read) {
      if (!read) return;
      loop_.post([this, member, bytes = std::make_shared<Bytes>(*read)] { got(member, *bytes); });
    });
  }

  void got(const std::shared_ptr<Member>& member, const Bytes& bytes) {
    if (bytes.empty()) {  // its end: ours, too
      member->peer.stream().finish();
      return;
    }
    member->received += bytes.size();
    if (options_.json && !options_.count) {
      output_.line(line_of({{"event", "data"},
                            {"peer", member->number},
                            {"id", id_of(member->peer)},
                            {"base64", base64(bytes)}}));
    } else if (!options_.count && !write_all(STDOUT_FILENO, as_text(bytes))) {
      loop_.stop(status_ok);
    }
    read_on(member);
  }

  void watch_input() {
    loop_.watch(STDIN_FILENO, POLLIN, [this](short) { read_input(); });
  }

  void read_input() {
    Bytes bytes(read_bytes);
    const ssize_t count = read(STDIN_FILENO, bytes.data(), bytes.size());
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
    loop_.unwatch(STDIN_FILENO);
    if (count <= 0) return;  // there is nothing more to say, and still much to hear
    bytes.resize(static_cast<std::size_t>(count));
    waiting_ = members_.size();
    for (const auto& member : members_) {
      member->peer.stream().write(bytes, [this](const StreamWritten&) {
        loop_.post([this] {
          if (--waiting_ == 0) watch_input();
        });
      });
    }
    if (members_.empty()) loop_.after(100ms, [this] { watch_input(); });  // nobody heard it
  }

  void leave() {
    exchange_->close([this] { loop_.post([this] { loop_.stop(status_ok); }); });
    const auto timer = loop_.after(3s, [this] { loop_.stop(status_ok); });
    loop_.run();
    loop_.cancel(timer);
    members_.clear();
    exchange_.reset();
    output_.finish(2s);
  }

  Loop& loop_;
  const ExchangeArguments& options_;
  Output output_;
  Json ports_ = Json::object();
  std::vector<std::shared_ptr<Member>> members_;
  std::uint64_t last_number_ = 0;
  std::size_t waiting_ = 0;
  std::uint64_t asked_ = 0;
  std::optional<Exchange> exchange_;
};

}  // namespace

int exchange(Arguments arguments) {
  Command command{"exchange", "Joins a network of peers that name each other, and talks to them",
                  R"(  peer-relay exchange --network chat --tcp 8001
  peer-relay exchange --network chat --join tcp://192.0.2.7:8001
  peer-relay exchange --network chat --join tcp://192.0.2.7:8001 --webrtc --more 3
  peer-relay exchange --network chat --join tcp://192.0.2.7:8001 --tcp 8001 --legacy
  echo hello | peer-relay exchange --network chat --join ws://192.0.2.7:8000 --json

Standard input goes to all peers, what they say to standard output. Ctrl-C ends it.
)"};
  ExchangeArguments options;
  command.text("--network", options.network, "ID", "The network; others are not connected to")
      ->capture_default_str();
  command.port(options.tcp, "Let peers in over TCP on this port (0: any)", "--tcp");
  command.port(options.websocket, "Let peers in by WebSocket on this port (0: any)", "--ws");
  command.flag("--webrtc", options.webrtc, "Let peers name us to those who make data channels");
  command.flag("--legacy", options.legacy,
               "A member of networks of npm peer-exchange 0.4.1, too: lets its nodes in, and dials "
               "--join as they do. Nothing is sealed with them");
  command.text("--host", options.host, "ADDR", "The address to bind")->capture_default_str();
  command.texts("--join,-j", options.join, "URL",
                "A peer to begin with, as tcp://192.0.2.7:8001; several may be given");
  command.number("--more", options.more, 0, 1000,
                 "Ask peers for so many others, one for each peer");
  command.text("--identity", options.identity, "FILE",
               "The private key; made if missing. Without it: a new one for this once");
  command.flag("--count", options.count, "Count what peers say, and print none of it");
  command.flag("--json", options.json, "Events to standard output, one JSON object a line");
  options.channels.add_details_to(command);
  if (const auto status = command.parse(std::move(arguments))) return *status;
  for (const std::string& url : options.join) {
    if (!Address::parse(url)) {
      return command.usage_error(fmt::format(
          "--join: '{}' is no ws://, wss:// or tcp:// address with a port", escaped(url, 100)));
    }
  }
  ExchangeOptions how;
  how.node.identity_file = options.identity;
  how.legacy = options.legacy;
  how.node.limits.exchange_unread_bytes_max = legacy_unread_bytes_max;
  if (auto wrong = options.channels.complete(how.node.webrtc)) return command.usage_error(*wrong);
  Loop loop;
  return Crowd{loop, options, std::move(how)}.run();
}

}  // namespace peer_relay::app
