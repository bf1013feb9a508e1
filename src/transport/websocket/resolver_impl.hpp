// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "transport/websocket/attempt_impl.hpp"

namespace peer_relay::websocket {

/// The addresses of a name, or why there are none.
struct Resolution {
  std::vector<asio::ip::address> addresses;
  std::string complaint;
};

/// Asks the system for names' addresses, each on a thread of its own: the call can't be called off,
/// and a name server that is silent must hold up neither other names nor the end of the process.
class Resolver {
 public:
  /// Calls that a silent name server may keep at a time; beyond it names are given up at once.
  static constexpr std::size_t calls_max = 32;

  explicit Resolver(asio::io_context& io);
  /// Calls under way end without a word.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// Ends early, with a complaint, when the attempt is late or called off. A literal needs no call.
  Awaitable<Resolution> resolve(std::string host, Attempt& attempt);

 private:
  struct Calls;
  asio::io_context& io_;
  std::shared_ptr<Calls> calls_;
};

}  // namespace peer_relay::websocket
