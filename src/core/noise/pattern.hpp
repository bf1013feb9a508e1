// SPDX-License-Identifier: MIT
//
// The handshake patterns we speak, as tables (Noise §7). Another one is another row. For the
// handshake of this room alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/noise/handshake.hpp"

namespace peer_relay::noise {

enum class Token : std::uint8_t { none, e, s, ee, es, se, ss };

using MessageTokens = std::array<Token, 4>;  ///< as many as there are before the first `none`

struct PatternRow {
  std::string_view protocol;            ///< Noise §8
  bool responder_known;                 ///< the pre-message `<- s`
  std::array<MessageTokens, 3> tokens;  ///< the initiator's, the responder's, in turn
  std::uint8_t messages;
};

/// In the order of `Pattern`.
inline constexpr std::array pattern_rows{
    PatternRow{
        .protocol = "Noise_XX_25519_ChaChaPoly_BLAKE2b",
        .responder_known = false,
        .tokens = {{{Token::e}, {Token::e, Token::ee, Token::s, Token::es}, {Token::s, Token::se}}},
        .messages = 3,
    },
    PatternRow{
        .protocol = "Noise_IK_25519_ChaChaPoly_BLAKE2b",
        .responder_known = true,
        .tokens = {{{Token::e, Token::es, Token::s, Token::ss}, {Token::e, Token::ee, Token::se}}},
        .messages = 2,
    },
};

constexpr const PatternRow& row_of(Pattern pattern) {
  return pattern_rows[static_cast<std::size_t>(pattern)];
}

}  // namespace peer_relay::noise
