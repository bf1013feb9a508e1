// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace peer_relay {

/// Bytes that somebody owns.
using Bytes = std::vector<std::uint8_t>;

/// Bytes that somebody else owns; never kept beyond the call that received them.
using BytesView = std::span<const std::uint8_t>;

/// Bytes of somebody else that may be written, as for opening a seal in place.
using MutableBytes = std::span<std::uint8_t>;

/// The bytes of a text, without a copy.
inline BytesView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// The text in some bytes, without a copy and without a look at its encoding.
inline std::string_view as_text(BytesView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace peer_relay
