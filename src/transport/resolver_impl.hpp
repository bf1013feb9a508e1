// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "transport/attempt_impl.hpp"
#include "transport/name_lookup.hpp"

namespace peer_relay::sockets {

/// The addresses of a name, or why there are none.
struct Resolution {
  std::vector<asio::ip::address> addresses;
  std::string complaint;
};

/// Finds the addresses of names for attempts.
class Resolver {
 public:
  explicit Resolver(asio::io_context& io) : io_(io), names_(io) {}

  /// Ends early, with a complaint, when the attempt is late or called off. A literal needs no call.
  Awaitable<Resolution> resolve(std::string host, Attempt& attempt);

 private:
  asio::io_context& io_;
  NameLookup names_;
};

}  // namespace peer_relay::sockets
