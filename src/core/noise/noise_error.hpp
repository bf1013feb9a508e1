// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

namespace peer_relay::noise {

inline constexpr std::size_t message_bytes_max = 65535;  ///< Noise §3, tag included

enum class NoiseError : std::uint8_t {
  out_of_turn,    ///< not the call that is due; nothing has changed
  broken,         ///< a message failed before: this handshake is of no more use
  truncated,      ///< the message ends before its pattern does
  too_large,      ///< more than message_bytes_max
  forged,         ///< the tag is wrong: altered, reordered, or sealed with other keys or prologue
  weak_key,       ///< the other side's key is a point with which everybody agrees on zeros
  counter_spent,  ///< every counter was used: new keys are due
};

}  // namespace peer_relay::noise
