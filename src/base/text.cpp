// SPDX-License-Identifier: MIT
#include "base/text.hpp"

#include <cstddef>
#include <cstdint>

namespace peer_relay {
namespace {

/// What the first byte of a character says: how many follow, and the least code point that needs
/// so many.
struct Lead {
  int followers;
  std::uint32_t bits;
  std::uint32_t least;
};

Lead lead_of(std::uint8_t byte) {
  if (byte < 0x80) return {0, byte, 0};
  if (byte >> 5 == 0b110) return {1, byte & 0x1fu, 0x80};
  if (byte >> 4 == 0b1110) return {2, byte & 0x0fu, 0x800};
  if (byte >> 3 == 0b11110) return {3, byte & 0x07u, 0x10000};
  return {-1, 0, 0};
}

bool is_shown(std::uint32_t point) {
  const bool is_control = point < 0x20 || (point >= 0x7f && point < 0xa0);
  const bool is_surrogate = point >= 0xd800 && point < 0xe000;
  // Overrides of the writing direction and line separators rearrange what stands around them.
  const bool rearranges =
      (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
  return !is_control && !is_surrogate && !rearranges && point <= 0x10ffff;
}

}  // namespace

bool is_plain_text(std::string_view text) {
  while (!text.empty()) {
    const auto [followers, bits, least] = lead_of(static_cast<std::uint8_t>(text.front()));
    text.remove_prefix(1);
    if (followers < 0 || text.size() < static_cast<std::size_t>(followers)) return false;
    std::uint32_t point = bits;
    for (int i = 0; i < followers; ++i) {
      const auto byte = static_cast<std::uint8_t>(text.front());
      text.remove_prefix(1);
      if (byte >> 6 != 0b10) return false;
      point = point << 6 | (byte & 0x3fu);
    }
    if (point < least || !is_shown(point)) return false;
  }
  return true;
}

}  // namespace peer_relay
