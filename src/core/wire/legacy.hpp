// SPDX-License-Identifier: MIT
//
// What two nodes tell each other that both carry messages of npm peer-relay 0.0.2 (protocol §20).
// Only a node that has said so in its Introduction (feature_legacy) is sent one of these.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "core/wire/wire.hpp"
#include "peer_relay/node_id.hpp"

namespace peer_relay {

/// Where nodes that carry old messages look for each other: BLAKE2b, 20 bytes of output, over
/// "peer-relay legacy". Whoever is closest to it answers a lookup of it with such records first.
inline constexpr NodeId legacy_meeting_place{{0xcb, 0x54, 0x52, 0x35, 0x0f, 0xab, 0x70,
                                              0xf4, 0x96, 0x54, 0xcf, 0x5b, 0x4a, 0x37,
                                              0xce, 0xec, 0xdf, 0x96, 0x37, 0xe5}};

/// Old neighbours that a node tells of: all that it is linked to, at most.
inline constexpr std::size_t legacy_neighbours_max = 128;

// A piece of an old message's text; those of one text follow each other on a link.
// 1B 1, or 2 for the last piece | text (the rest)
struct LegacyPiece {
  bool is_last = false;
  BytesView text{};
};

// Old nodes that the sender has a link to, in place of those it told before.
// 1B 3 | that many: 20B id (the rest)
struct LegacyNeighbours {
  std::vector<NodeId> ids{};
};

using LegacyFrame = std::variant<LegacyPiece, LegacyNeighbours>;

Decoded<LegacyFrame> decode_legacy(BytesView body);
/// Of `piece.text` so much as one frame holds; returns how much.
std::size_t legacy_piece_bytes(std::size_t text_bytes);
void encode_legacy(const LegacyFrame& frame, Bytes& out);

}  // namespace peer_relay
