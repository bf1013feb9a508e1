// SPDX-License-Identifier: MIT
//
// For tests of this room and of those above: what a stranger says who speaks TCP by hand.
#pragma once

#include <string>
#include <string_view>

#include "peer_relay/bytes.hpp"
#include "transport/testing.hpp"

namespace peer_relay::testing {

/// A message behind its length, be it one that nobody may send.
inline std::string tcp_length(std::uint32_t length) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(length >> shift & 255);
  return out;
}
inline std::string tcp_message(std::string_view message) {
  return tcp_length(static_cast<std::uint32_t>(message.size())).append(message);
}

/// What has the form of a HELLO (protocol §4), as far as a transport looks.
inline Bytes tcp_hello() {
  Bytes out{'P', 'R', 'L', 'Y', 1};
  out.resize(5 + 16 + 32, 0x5a);
  return out;
}

}  // namespace peer_relay::testing
