// SPDX-License-Identifier: MIT
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <utility>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "command.hpp"
#include "forward_targets.hpp"
#include "guest.hpp"
#include "json.hpp"
#include "loop.hpp"
#include "output.hpp"
#include "splice.hpp"
#include "text.hpp"
#include "words.hpp"

namespace peer_relay::app {
namespace {

struct ForwardArguments {
  GuestOptions guest;
  std::uint64_t local_port = 0;
  std::string target;
  NodeId id;
  std::uint16_t port = 0;
  bool relayed = false;
  bool json = false;
};

class Forward {
 public:
  Forward(Loop& loop, const ForwardArguments& options)
      : loop_{loop}, options_{options}, guest_{loop, options.guest} {}
  ~Forward() {
    if (listener_ < 0) return;
    loop_.unwatch(listener_);
    close(listener_);
  }
  Forward(const Forward&) = delete;
  Forward& operator=(const Forward&) = delete;

  int run() {
    const std::string mistake = open();
    if (!mistake.empty()) {
      complain(fmt::format("port {} of 127.0.0.1: {}", options_.local_port, mistake));
      return status_error;
    }
    if (const auto failed = guest_.join()) return *failed;
    announce();
    watch();
    loop_.on_interrupt([this] { loop_.stop(status_ok); });
    const int status = loop_.run();
    connections_.clear();
    guest_.leave();
    return status;
  }

 private:
  // Before the network is joined: what can't work should be said at once.
  std::string open() {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int one = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(options_.local_port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    if (listener_ < 0 || bind(listener_, generic, size) != 0 ||
        ::listen(listener_, SOMAXCONN) != 0 || getsockname(listener_, generic, &size) != 0) {
      return std::strerror(errno);
    }
    port_ = ntohs(address.sin_port);
    return {};
  }

  void announce() const {
    const std::string id = options_.id.to_hex();
    if (options_.json) {
      print(line_of({{"ready", true}, {"local_port", port_}, {"id", id}, {"port", options_.port}}) +
            "\n");
    } else {
      write_all(STDERR_FILENO, fmt::format("127.0.0.1:{} is port {} of {}; Ctrl-C ends it\n", port_,
                                           options_.port, id));
    }
  }

  void watch() {
    loop_.watch(listener_, POLLIN, [this](short) { accept_one(); });
  }

  void accept_one() {
    const int socket = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0) {
      if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
      // No descriptor is left, most likely; who waits would wake us again and again.
      loop_.unwatch(listener_);
      loop_.after(std::chrono::seconds{1}, [this] { watch(); });
      return;
    }
    const auto ends = connections_.size() < ForwardTargets::connections_max ? ends_of_socket(socket)
                                                                            : std::nullopt;
    if (!ends) {
      close(socket);
      return complain("as many connections as we keep stand already; one was closed");
    }
    const std::uint64_t number = ++last_;
    auto stream = guest_.node().open_stream(
        options_.id, {.label = forward_label(options_.port), .seeks_link = !options_.relayed});
    const auto splice = std::make_shared<Splice>(
        loop_, std::move(stream), *ends,
        [this, number](const std::optional<StreamError>& error) { ended(number, error); });
    connections_.emplace(number, splice);
    splice->start();
  }

  void ended(std::uint64_t number, const std::optional<StreamError>& error) {
    const auto gone = connections_.extract(number);
    if (options_.json) {
      print(line_of({{"closed", number},
                     {"sent", gone.mapped()->bytes_out()},
                     {"received", gone.mapped()->bytes_in()},
                     {"end", std::string{name_of(error ? error->end : StreamEnd::finished)}}}) +
            "\n");
    } else if (error && error->end == StreamEnd::refused) {
      complain(
          fmt::format("the node refused: is it run with --allow-forward {}, and does "
                      "something listen there?",
                      options_.port));
    } else if (error) {
      complain("a connection was lost: " + sentence_of(*error));
    }
  }

  Loop& loop_;
  const ForwardArguments& options_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  Guest guest_;
  std::map<std::uint64_t, std::shared_ptr<Splice>> connections_;
  std::uint64_t last_ = 0;
};

}  // namespace

int forward(Arguments arguments) {
  Command command{"forward", "Carries connections to a local port to a port of another node",
                  R"(  peer-relay serve --allow-forward 22                  on the other machine
  peer-relay forward 2222 3f2a...40 hex digits...:22
  ssh -p 2222 localhost

Only programs of this machine can connect. Ctrl-C ends it, and all connections.
)"};
  ForwardArguments options;
  command.app()
      .add_option("LOCALPORT", options.local_port, "The port to listen on; 0 picks a free one")
      ->required()
      ->check(CLI::Range(0, 65'535))
      ->type_name("");
  command.app()
      .add_option("ID[:PORT]", options.target,
                  "The node, and its port; without it the same as LOCALPORT")
      ->required()
      ->type_name("");
  command.flag("--relayed", options.relayed, "Do not ask for a direct link");
  options.guest.add_to(command);
  command.flag("--json", options.json, "Events to standard output, one JSON object a line");
  if (const auto status = command.parse(std::move(arguments))) return *status;
  const auto colon = options.target.find(':');
  const auto id = NodeId::from_hex(options.target.substr(0, colon));
  if (!id) {
    return command.usage_error(fmt::format("'{}' is no node id, which is 40 hex digits",
                                           escaped(options.target.substr(0, colon), 60)));
  }
  options.id = *id;
  const std::string port = colon == std::string::npos ? std::to_string(options.local_port)
                                                      : options.target.substr(colon + 1);
  const auto number = port_in(port);
  if (!number) {
    return command.usage_error(
        fmt::format("'{}' is no port: write ID:PORT, with 1 to 65535", escaped(port, 60)));
  }
  options.port = *number;
  Loop loop;
  return Forward{loop, options}.run();
}

}  // namespace peer_relay::app
