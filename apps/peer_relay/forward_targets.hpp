// SPDX-License-Identifier: MIT
//
// Streams that other nodes open to be connected to a port of this machine.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loop.hpp"
#include "splice.hpp"

namespace peer_relay::app {

/// "forward/22": what a stream is called that wants to be connected to that port.
std::string forward_label(std::uint16_t port);

/// Descriptors of one connection to a port of this machine.
std::optional<Splice::Ends> ends_of_socket(int socket);

class ForwardTargets {
 public:
  /// Two descriptors each; the rest of 1,024 is for links.
  static constexpr std::size_t connections_max = 256;

  ForwardTargets(Loop& loop, std::vector<std::uint16_t> ports);
  ~ForwardTargets();
  ForwardTargets(const ForwardTargets&) = delete;
  ForwardTargets& operator=(const ForwardTargets&) = delete;

  /// Connects it, or refuses it and says why. Only ports that were named at the start.
  std::optional<std::string> take(Stream stream);

 private:
  std::optional<std::uint16_t> port_of(std::string_view label) const;
  void connected(int socket, const Stream& stream);

  Loop& loop_;
  const std::vector<std::uint16_t> ports_;
  std::map<int, Stream> connecting_;  // by their sockets
  std::map<std::uint64_t, std::shared_ptr<Splice>> splices_;
  std::uint64_t last_splice_ = 0;
};

}  // namespace peer_relay::app
