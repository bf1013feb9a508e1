// SPDX-License-Identifier: MIT
//
// What crosses the wire, frame by frame: each drawn byte by byte above its struct. This room knows
// bytes and bounds and nothing else: no keys, no table, no time. docs/protocol.md says the same in
// prose, tests/vectors/ in hex.
//
// Integers are big-endian. `len8` and `len16` are counts in one or two bytes of what follows.
// A decoder gives a struct that is whole, or an error; views in it live as long as its input does.
#pragma once

#include <cstdint>
#include <expected>
#include <string_view>

#include "peer_relay/bytes.hpp"

namespace peer_relay {

enum class DecodeError : std::uint8_t {
  truncated,   ///< shorter than its own counts say
  trailing,    ///< longer
  over_limit,  ///< a count or a size beyond limits.hpp
  unknown,     ///< a kind, version or flag that this version does not know
  bad_value,   ///< a field that no sender writes
};

std::string_view name_of(DecodeError error);

template <class T>
using Decoded = std::expected<T, DecodeError>;

/// The version of everything below. A change of bytes is a change of it.
inline constexpr std::uint8_t protocol_version = 1;

}  // namespace peer_relay
