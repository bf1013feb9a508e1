// SPDX-License-Identifier: MIT
//
// What old nodes tell each other so that a data channel comes to be: the content of a message of
// type `signal`, as simple-peer 6 writes and reads it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace peer_relay::legacy {

struct OldSignal {
  enum class Step : std::uint8_t { offer, answer, candidate };
  Step step = Step::offer;
  std::string text{};  ///< a description, or the line of a candidate (without "a="); bounded
};

/// Nothing for what is none of the three, or beyond the bounds of limits.hpp.
std::optional<OldSignal> read_signal(std::string_view content);

/// Our own: the whole `data` of a message. Candidates stand in the description: one that comes
/// after the channel is open makes an old node begin another connection.
std::string signal_data(OldSignal::Step step, std::string_view sdp);

}  // namespace peer_relay::legacy
