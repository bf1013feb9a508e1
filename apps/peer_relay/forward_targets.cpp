// SPDX-License-Identifier: MIT
#include "forward_targets.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace peer_relay::app {
namespace {

constexpr std::string_view label_prefix = "forward/";

}  // namespace

std::string forward_label(std::uint16_t port) { return fmt::format("{}{}", label_prefix, port); }

std::optional<Splice::Ends> ends_of_socket(int socket) {
  const int one = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  const int copy = fcntl(socket, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return std::nullopt;
  return Splice::Ends{.in = socket, .out = copy, .is_socket = true};
}

ForwardTargets::ForwardTargets(Loop& loop, std::vector<std::uint16_t> ports)
    : loop_{loop}, ports_{std::move(ports)} {}

ForwardTargets::~ForwardTargets() {
  for (const auto& [socket, stream] : connecting_) {
    loop_.unwatch(socket);
    close(socket);
  }
}

std::optional<std::uint16_t> ForwardTargets::port_of(std::string_view label) const {
  if (!label.starts_with(label_prefix)) return std::nullopt;
  const auto port = port_in(label.substr(label_prefix.size()));
  if (!port || std::ranges::find(ports_, *port) == ports_.end()) return std::nullopt;
  return port;
}

std::optional<std::string> ForwardTargets::take(Stream stream) {
  const auto port = port_of(stream.label());
  if (!port) {
    stream.refuse();
    return fmt::format("'{}' is not allowed", stream.label());
  }
  if (connecting_.size() + splices_.size() >= connections_max) {
    stream.refuse();
    return fmt::format("{} connections stand already", connections_max);
  }
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(*port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool is_under_way =
      socket >= 0 &&
      (connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
       errno == EINPROGRESS);
  if (!is_under_way) {
    const std::string why = std::strerror(errno);
    if (socket >= 0) close(socket);
    stream.refuse();
    return fmt::format("port {}: {}", *port, why);
  }
  connecting_.emplace(socket, std::move(stream));
  loop_.watch(socket, POLLOUT, [this, socket](short) {
    loop_.unwatch(socket);
    const auto found = connecting_.extract(socket);
    connected(socket, found.mapped());
  });
  return std::nullopt;
}

void ForwardTargets::connected(int socket, const Stream& stream) {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size);
  const auto ends = error == 0 ? ends_of_socket(socket) : std::nullopt;
  if (!ends) {
    close(socket);
    Stream refused = stream;
    return refused.refuse();
  }
  const std::uint64_t number = ++last_splice_;
  const auto splice = std::make_shared<Splice>(
      loop_, stream, *ends, [this, number](const auto&) { splices_.erase(number); });
  splices_.emplace(number, splice);
  splice->start();
}

}  // namespace peer_relay::app
