// SPDX-License-Identifier: MIT
//
// Transports of an application's own, for Exchange: whatever makes connections that carry bytes
// both ways, in order and whole. What goes over them is sealed as over ours.
//
//   options.transports["pigeon"] = std::make_shared<PigeonTransport>();
//   exchange.accept("pigeon");
//   exchange.connect("pigeon", "dovecote 7", {}, [](const auto& peer) { ... });
//
// Threads: the node's thread calls them, one call at a time, and must not be held up. Callbacks may
// come on any thread, also from inside the call.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "peer_relay/bytes.hpp"

namespace peer_relay {

/// Of connect and accept.
struct TransportOptions {
  std::uint16_t port = 0;   ///< accept: 0 picks one
  std::string host = "::";  ///< accept: the address to bind
  bool secure = false;      ///< connect by "websocket": wss://
  /// connect, with ExchangeOptions::legacy: dial by our own wire nevertheless. Nodes of npm
  /// peer-exchange take no word of it, so who is there must be known before.
  bool native = false;
};

class UserConnection {
 public:
  /// Closes it. Bytes that were taken still leave, as far as they can; callbacks that wait are
  /// dropped.
  virtual ~UserConnection() = default;

  /// Gives the next bytes as soon as there are any; none: it has ended, or is broken. The next call
  /// comes after the answer.
  virtual void read(std::function<void(Bytes)> done) = 0;

  /// `done` when the bytes are taken, so that more may come; false: it is broken. The next call
  /// comes after the answer.
  virtual void write(Bytes bytes, std::function<void(bool)> done) = 0;

  /// For people; and for peers who are told to connect there.
  virtual std::string remote_address() const = 0;
};

class UserTransport {
 public:
  /// A connection, or why there is none, in words.
  using Connected = std::expected<std::unique_ptr<UserConnection>, std::string>;

  virtual ~UserTransport() = default;

  /// `done` comes once. It is not waited for longer than NodeOptions::dial_timeout.
  virtual void connect(const std::string& host, const TransportOptions& options,
                       std::function<void(Connected)> done) = 0;

  /// Lets connections in until unaccept(). Gives the port that others connect to, if it has such.
  virtual std::expected<std::uint16_t, std::string> accept(
      const TransportOptions& options,
      std::function<void(std::unique_ptr<UserConnection>)> arrived) = 0;
  virtual void unaccept() = 0;
};

}  // namespace peer_relay
