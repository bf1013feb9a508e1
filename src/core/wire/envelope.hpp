// SPDX-License-Identifier: MIT
//
// The frame that travels hop by hop. Relays read the header, write one byte of it (hops left) and
// pass the rest on as it came.
#pragma once

#include <cstdint>
#include <optional>

#include "core/wire/frame.hpp"
#include "core/wire/wire.hpp"
#include "peer_relay/limits.hpp"
#include "peer_relay/node_id.hpp"

namespace peer_relay {

enum class EnvelopeKind : std::uint8_t {
  lookup = 0x01,           ///< who is closest to the target? overlay.hpp
  contacts = 0x02,         ///< the answer
  unreachable = 0x03,      ///< an envelope of yours ended here
  session_open = 0x10,     ///< first message of a session handshake: sealed.hpp
  session_answer = 0x11,   ///< second
  session_finish = 0x12,   ///< third, of XX
  session_data = 0x13,     ///< sealed content
  session_unknown = 0x14,  ///< no such session here
};

// 1B kind | 1B flags | 1B hops left | 4B tag | 20B target | 20B source
//   | 20B via (if flag) | 20B home (if flag) | body (the rest)
//
// flags: 0x01 closest: deliver to whoever finds nobody closer (else: exactly the target, or a dead
//             end). The source is never a next hop.
//        0x02 via: go there first; whoever finds nobody closer to it takes the field away.
//        0x04 home: what answers the source goes by this node (a via for the way back), as the
//             source is too new for others to find.
//        0x08 careful: near the target in small steps, as somebody may stand there who says that it
//             is not.
//        all other bits are zero in version 1.
// hops left: 32 at most on the first link; a relay that finds 0 drops, else takes one away. So the
//            transmissions of an arrived envelope are 33 less its hops left, if it began with 32.
// tag: random, names the envelope in an UNREACHABLE notice.
struct Envelope {
  EnvelopeKind kind = EnvelopeKind::session_data;
  bool closest = false;
  bool careful = false;
  std::uint8_t hops_left = limits::hops_max;
  std::uint32_t tag = 0;
  NodeId target{};
  NodeId source{};
  std::optional<NodeId> via{};
  std::optional<NodeId> home{};
  BytesView body{};
};

inline constexpr std::size_t envelope_header_bytes = 47;
inline constexpr std::size_t envelope_header_bytes_max = envelope_header_bytes + 40;
inline constexpr std::size_t envelope_hops_at = 2;  ///< where in the frame's body the hops stand

/// How many links an envelope has crossed when it arrives with these hops left.
constexpr int hops_crossed(std::uint8_t hops_left) { return limits::hops_max - hops_left + 1; }

/// Kinds that this version does not know decode too (relays pass them on); the flags must be known.
Decoded<Envelope> decode_envelope(BytesView frame_body);

/// Appends a whole ROUTE frame, header and all, to a batch in the making.
void append_route_frame(const Envelope& envelope, Bytes& batch);

/// The size that append_route_frame adds.
std::size_t route_frame_bytes(const Envelope& envelope);

}  // namespace peer_relay
