// SPDX-License-Identifier: MIT
#include "core/wire/legacy.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/writer.hpp"
#include "core/wire/decode.hpp"
#include "core/wire/frame.hpp"

namespace peer_relay {

namespace {

enum class Part : std::uint8_t { piece = 1, last_piece = 2, neighbours = 3 };

/// Small enough for others to share the batch.
constexpr std::size_t piece_bytes_max = 32 << 10;
static_assert(frame_header_bytes + 1 + piece_bytes_max <= batch_plain_bytes_max);

}  // namespace

Decoded<LegacyFrame> decode_legacy(BytesView body) {
  Reader in{body};
  const auto part = Part{in.u8()};
  if (!in.ok()) return std::unexpected(DecodeError::truncated);
  switch (part) {
    case Part::piece:
    case Part::last_piece:
      if (in.left() > piece_bytes_max) return std::unexpected(DecodeError::over_limit);
      return LegacyPiece{.is_last = part == Part::last_piece, .text = in.rest()};
    case Part::neighbours: {
      if (in.left() > legacy_neighbours_max * NodeId::size) {
        return std::unexpected(DecodeError::over_limit);
      }
      LegacyNeighbours out;
      while (in.ok() && in.left() > 0) out.ids.push_back(in.id());
      return whole(in, LegacyFrame{std::move(out)});
    }
  }
  return std::unexpected(DecodeError::unknown);
}

std::size_t legacy_piece_bytes(std::size_t text_bytes) {
  return std::min(text_bytes, piece_bytes_max);
}

void encode_legacy(const LegacyFrame& frame, Bytes& out) {
  Writer writer{out};
  if (const auto* const piece = std::get_if<LegacyPiece>(&frame)) {
    PEER_RELAY_ASSERT(piece->text.size() <= piece_bytes_max);
    writer.u8(static_cast<std::uint8_t>(piece->is_last ? Part::last_piece : Part::piece));
    writer.bytes(piece->text);
    return;
  }
  const auto& ids = std::get<LegacyNeighbours>(frame).ids;
  PEER_RELAY_ASSERT(ids.size() <= legacy_neighbours_max);
  writer.u8(static_cast<std::uint8_t>(Part::neighbours));
  for (const NodeId& id : ids) writer.id(id);
}

}  // namespace peer_relay
