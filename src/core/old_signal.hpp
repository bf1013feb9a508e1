// SPDX-License-Identifier: MIT
//
// What nodes of the old networks tell each other so that a data channel comes to be, as simple-peer
// 6 writes and reads it: JSON objects.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace peer_relay {

struct OldSignal {
  enum class Step : std::uint8_t { offer, answer, candidate };
  Step step = Step::offer;
  std::string text{};  ///< a description, or the line of a candidate (without "a="); bounded
};

/// Nothing for what is none of the three, or beyond the bounds of limits.hpp.
std::optional<OldSignal> read_signal(std::string_view content);

/// Our own. Candidates stand in the description: one that comes after the channel is open makes an
/// old node begin another connection, and one that comes after its end kills it.
std::string signal_text(OldSignal::Step step, std::string_view sdp);
/// The same as the whole `data` of a message of npm peer-relay.
std::string signal_data(OldSignal::Step step, std::string_view sdp);

}  // namespace peer_relay
