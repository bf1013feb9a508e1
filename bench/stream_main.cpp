// SPDX-License-Identifier: MIT
//
// One end of a byte stream, or the relay between two; and the same over a plain TCP connection,
// with nothing sealed, to compare with. Told what to do by bench/run.
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include <CLI/CLI.hpp>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer_relay/node.hpp"
#include "process.hpp"

namespace peer_relay::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t piece_bytes = 64 << 10;
/// Writes that wait: enough that the stream never starves, little enough to fit the caches.
constexpr int writes_waiting = 8;

/// What the node's thread leaves and the main thread waits for.
struct Desk {
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t bytes = 0;
  bool is_over = false;
  bool has_joined = false;
  Stream stream;

  template <class Change>
  void change(Change change) {
    {
      const std::lock_guard lock{mutex};
      change();
    }
    changed.notify_all();
  }
  template <class Is>
  bool until(Is is, std::chrono::seconds at_most = 60s) {
    std::unique_lock lock{mutex};
    return changed.wait_for(lock, at_most, is);
  }
};

struct Arguments {
  std::string role;
  std::string transport = "tcp";
  std::string bootstrap;
};

NodeOptions options_of(const Arguments& arguments, bool listens) {
  NodeOptions options;
  options.host = "127.0.0.1";
  options.webrtc.enabled = arguments.transport == "webrtc";
  options.webrtc.interfaces = {"127.0.0.1"};
  if (!arguments.bootstrap.empty()) options.bootstrap = {arguments.bootstrap};
  if (listens) (arguments.transport == "tcp" ? options.tcp_port : options.port) = 0;
  return options;
}

/// A node that takes one stream after the other and reads it to its end.
class Reader {
 public:
  explicit Reader(Desk& desk) : desk_(desk) {}
  void take(Stream stream) {
    stream.on({.data = [this](BytesView bytes) { desk_.bytes += bytes.size(); },
               .finished = [this] { end(); },
               .closed = [this](const StreamError&) { end(); }});
    desk_.change([&] {
      desk_.bytes = 0;
      desk_.is_over = false;
      desk_.stream = std::move(stream);
    });
  }

 private:
  void end() {
    Stream ended;
    desk_.change([&] {
      desk_.is_over = true;
      ended = std::exchange(desk_.stream, {});
    });
    if (ended) ended.finish();
  }
  Desk& desk_;
};

/// Writes so many bytes, and waits until the other side has all of them.
void pour(Node& node, Desk& desk, const NodeId& to, std::uint64_t bytes, bool seeks_link) {
  Stream stream = node.open_stream(to, {.label = "bench", .seeks_link = seeks_link});
  desk.change([&] { desk.is_over = false; });
  const Bytes piece(piece_bytes, 0x55);
  auto left = std::make_shared<std::uint64_t>(bytes);
  auto write = std::make_shared<std::function<void()>>();
  *write = [stream, piece, left, write = std::weak_ptr{write}]() mutable {
    if (*left == 0) return;
    const std::uint64_t size = std::min<std::uint64_t>(piece.size(), *left);
    *left -= size;
    const bool is_last = *left == 0;
    stream.write(Bytes{piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(size)},
                 [again = write.lock()](const StreamWritten& done) {
                   if (done) (*again)();
                 });
    if (is_last) stream.finish();
  };
  stream.on({.data = [](BytesView) {},
             .closed = [&desk](const StreamError&) { desk.change([&] { desk.is_over = true; }); }});
  node.post([write] {
    for (int i = 0; i < writes_waiting; ++i) (*write)();
  });
  if (!desk.until([&] { return desk.is_over; }, 300s)) throw std::runtime_error("it did not end");
}

void run_node(const Arguments& arguments) {
  Desk desk;
  Reader reader{desk};
  NodeEvents events;
  events.joined = [&] { desk.change([&] { desk.has_joined = true; }); };
  events.stream = [&](Stream stream) { reader.take(std::move(stream)); };
  auto started = Node::start(options_of(arguments, arguments.role == "listen"), std::move(events));
  if (!started) {
    say({{"error", started.error().detail}});
    std::exit(1);
  }
  Node& node = *started;
  desk.until([&] { return desk.has_joined; });
  say({{"ready", true}, {"id", node.id().to_hex()}, {"url", node.url()}});
  obey_commands(
      [&](const Json& command) -> Json {
        const std::string what = command.at("do");
        if (what == "connect") {
          bool is_done = false, is_linked = false;
          const NodeId to = NodeId::from_hex(command.at("to").get<std::string>()).value();
          node.connect(to, [&](const Result<Peer>& peer) {
            desk.change([&] {
              is_done = true;
              is_linked = peer.has_value();
            });
          });
          desk.until([&] { return is_done; });
          return {{"linked", is_linked}};
        }
        if (what == "pour") {
          const NodeId to = NodeId::from_hex(command.at("to").get<std::string>()).value();
          const auto began = std::chrono::steady_clock::now();
          pour(node, desk, to, command.at("bytes"), command.at("seeks_link"));
          const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
          return {{"seconds", took.count()}};
        }
        return own_cost();
      },
      [] {});
}

// ---- Without us ----

int listener(std::uint16_t& port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(fd, generic, size) != 0 || listen(fd, 4) != 0) std::exit(1);
  getsockname(fd, generic, &size);
  port = ntohs(address.sin_port);
  return fd;
}

void run_plain_listener() {
  std::uint16_t port = 0;
  const int fd = listener(port);
  std::thread{[fd] {
    Bytes buffer(4 * piece_bytes);
    for (;;) {
      const int one = accept(fd, nullptr, nullptr);
      if (one < 0) return;
      while (read(one, buffer.data(), buffer.size()) > 0) {
      }
      close(one);
    }
  }}.detach();
  say({{"ready", true}, {"port", port}});
  obey_commands([](const Json&) { return own_cost(); }, [] {});
}

void run_plain_dialer() {
  say({{"ready", true}});
  obey_commands(
      [](const Json& command) -> Json {
        if (command.at("do") != "pour") return own_cost();
        const int fd = socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(command.at("port").get<std::uint16_t>());
        if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::exit(1);
        const int yes = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        const Bytes piece(piece_bytes, 0x55);
        const auto began = std::chrono::steady_clock::now();
        for (std::uint64_t left = command.at("bytes"); left > 0;) {
          const ssize_t wrote =
              write(fd, piece.data(), std::min<std::uint64_t>(left, piece.size()));
          if (wrote <= 0) std::exit(1);
          left -= static_cast<std::uint64_t>(wrote);
        }
        shutdown(fd, SHUT_WR);
        char end = 0;
        while (read(fd, &end, 1) > 0) {  // all was read: the other side closes
        }
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
        close(fd);
        return {{"seconds", took.count()}};
      },
      [] {});
}

}  // namespace
}  // namespace peer_relay::bench

int main(int count, char** words) {
  using namespace peer_relay::bench;
  Arguments arguments;
  CLI::App app{"One end of a stream, for bench/run"};
  app.add_option("role", arguments.role)->required();
  app.add_option("--transport", arguments.transport);
  app.add_option("--bootstrap", arguments.bootstrap);
  CLI11_PARSE(app, count, words);
  if (arguments.role == "plain-listen") {
    run_plain_listener();
  } else if (arguments.role == "plain-dial") {
    run_plain_dialer();
  } else {
    run_node(arguments);
  }
  return 0;
}
