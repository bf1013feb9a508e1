// SPDX-License-Identifier: MIT
//
// For tests of the transports over TCP and of the rooms above: a stranger who speaks TCP and
// nothing else unless the test makes him, and a socket that never answers.
#pragma once

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer_relay/bytes.hpp"

namespace peer_relay::testing {

/// A TCP connection to a port of this machine that sends whatever the test wants.
class Stranger {
 public:
  /// `from` is the address to come from; all of 127.0.0.0/8 is ours.
  explicit Stranger(std::uint16_t port, const char* from = "127.0.0.1")
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in own{};
    own.sin_family = AF_INET;
    ::inet_pton(AF_INET, from, &own.sin_addr);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    ::inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    if (::bind(fd_, reinterpret_cast<sockaddr*>(&own), sizeof own) != 0 ||
        ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) {
      ::close(fd_);
      throw std::runtime_error("cannot connect");
    }
  }
  ~Stranger() { close(); }
  Stranger(Stranger&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)),
        heard_(std::move(other.heard_)),
        hung_up_(other.hung_up_) {}
  Stranger& operator=(Stranger&&) = delete;

  /// What the other side takes at once; false when it has gone.
  bool say(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
        pollfd writable{fd_, POLLOUT, 0};
        if (::poll(&writable, 1, 2000) <= 0) return false;
        continue;
      }
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  bool say(BytesView bytes) { return say(as_text(bytes)); }

  /// All that has come so far.
  const std::string& heard() {
    char buffer[4096];
    while (!hung_up_) {
      const ssize_t got = ::recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) break;
      if (got <= 0) {
        hung_up_ = true;
      } else {
        heard_.append(buffer, static_cast<std::size_t>(got));
      }
    }
    return heard_;
  }
  /// Takes out what was heard.
  std::string take(std::size_t bytes) {
    std::string out = heard_.substr(0, bytes);
    heard_.erase(0, bytes);
    return out;
  }
  /// Whether the other side has closed the connection.
  bool is_hung_up() {
    heard();
    return hung_up_;
  }

  /// Waits for more, for the tests that have another thread at work.
  bool wait(std::chrono::milliseconds at_most) {
    if (hung_up_) return false;
    pollfd readable{fd_, POLLIN, 0};
    return ::poll(&readable, 1, static_cast<int>(at_most.count())) > 0;
  }

  /// Says no more, and still listens.
  void fall_silent() { ::shutdown(fd_, SHUT_WR); }

  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  /// As a process that dies: the other side sees a reset.
  void reset() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }

 private:
  int fd_;
  std::string heard_;
  bool hung_up_ = false;
};

/// A socket that listens and never answers.
struct Mute {
  Mute() : fd(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in own{};
    own.sin_family = AF_INET;
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof own;
    ::bind(fd, reinterpret_cast<sockaddr*>(&own), size);
    ::listen(fd, 1);
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size);
    port = ntohs(own.sin_port);
  }
  ~Mute() { ::close(fd); }
  Mute(const Mute&) = delete;
  Mute& operator=(const Mute&) = delete;

  int fd;
  std::uint16_t port = 0;
};

}  // namespace peer_relay::testing
