// SPDX-License-Identifier: MIT
//
// What two nodes tell each other, sealed and acknowledged, so that a data channel comes to be
// between them: the offer and answer of RFC 9429, and trickled candidates (RFC 8838).
#pragma once

#include <cstdint>
#include <string_view>

#include "core/wire/wire.hpp"

namespace peer_relay {

enum class SignalStep : std::uint8_t {
  offer = 1,
  answer = 2,
  candidate = 3,  ///< of either side; an empty one is the last
  decline = 4,    ///< there will be no answer to that offer
};

// SIGNAL, the payload of a content of that kind:
// 1B step | 1B flags | 8B number | text (the rest)
//
// number: drawn at random by who offers; all that belongs to the offer bears it.
// flags: 0x01, of an offer: no link to another node would do (as in the handshake). All else zero.
// text: SDP (RFC 8866) of an offer and an answer; the line of a candidate (RFC 8839, §5.1, without
// "a="). UTF-8 is not asked for; the reader takes what it knows.
struct Signal {
  SignalStep step = SignalStep::offer;
  bool is_needed = false;
  std::uint64_t number = 0;
  std::string_view text{};  ///< at most limits::description_bytes_max, or candidate_bytes_max
};
inline constexpr std::size_t signal_header_bytes = 10;
Decoded<Signal> decode_signal(BytesView body);
void encode_signal(const Signal& signal, Bytes& out);

}  // namespace peer_relay
