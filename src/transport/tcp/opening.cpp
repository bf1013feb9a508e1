// SPDX-License-Identifier: MIT
#include "transport/tcp/opening.hpp"

#include <algorithm>
#include <array>

namespace peer_relay::tcp {

namespace {

// The first message is HELLO, whose length may be another in a later version: of the length only
// the upper two bytes are known. The lower two are skipped.
constexpr std::array<std::uint8_t, opening_bytes> pattern{0, 0, 0, 0, 'P', 'R', 'L', 'Y'};
constexpr bool is_free(std::size_t at) { return at == 2 || at == 3; }

}  // namespace

Opening opening_of(BytesView first) {
  const std::size_t known = std::min(first.size(), opening_bytes);
  for (std::size_t i = 0; i < known; ++i) {
    if (is_free(i) || first[i] == pattern[i]) continue;
    // The lower three bits are a frame's type, and 0 opens a channel.
    return (first[0] & 7) == 0 ? Opening::exchange : Opening::strange;
  }
  return known == opening_bytes ? Opening::ours : Opening::undecided;
}

}  // namespace peer_relay::tcp
