// SPDX-License-Identifier: MIT
//
// Messages that both ends can make by themselves, so that a wrong, missing or misplaced one is
// noticed; traffic.js makes the same.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "peer_relay/bytes.hpp"

namespace peer_relay {

/// From 1 B to 64 KiB, mostly small.
inline std::size_t traffic_bytes(std::uint32_t number) {
  if (number % 100 == 0) return 65'536;
  return std::size_t{1} + number * 37 % (number % 10 == 0 ? 16'384 : 500);
}

inline Bytes traffic(std::uint32_t number) {
  Bytes out(traffic_bytes(number));
  std::uint32_t state = number * 2'654'435'761u + 1;
  for (std::uint8_t& byte : out) {
    byte = static_cast<std::uint8_t>(state >> 24);
    state = state * 1'664'525 + 1'013'904'223;
  }
  return out;
}

inline bool is_traffic(BytesView message, std::uint32_t number) {
  return message.size() == traffic_bytes(number) && std::ranges::equal(message, traffic(number));
}

}  // namespace peer_relay
