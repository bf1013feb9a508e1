// SPDX-License-Identifier: MIT
#include "transport/webrtc/sctp_packet.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace peer_relay::webrtc {

namespace {

// Ports, tag, checksum; kind, flags, length; kind, length.
constexpr std::size_t packet_header_bytes = 12;
constexpr std::size_t chunk_header_bytes = 4;
constexpr std::size_t parameter_header_bytes = 4;

enum class ChunkKind : std::uint8_t {
  init = 1,
  init_ack = 2,
  heartbeat = 4,
  heartbeat_ack = 5,
  abort = 6,
  error = 9,
  ecn_echo = 12,
  ecn_reduced = 13,
  authentication = 15,  // RFC 4895
  sack_nonrenegable = 16,
  data_interleaved = 64,     // RFC 8260
  address_change_ack = 128,  // RFC 5061
  packet_dropped = 129,
  reconfiguration = 130,  // RFC 6525
  address_change = 193,
  forward_interleaved = 194,
};

std::size_t length_at(BytesView bytes, std::size_t at) {
  return static_cast<std::size_t>(bytes[at] << 8 | bytes[at + 1]);
}

/// All are padded to four bytes.
std::size_t padded(std::size_t length) { return (length + 3) / 4 * 4; }

bool are_parameters_sound(BytesView rest) {
  while (rest.size() >= parameter_header_bytes) {
    const std::size_t length = length_at(rest, 2);
    if (length < parameter_header_bytes || length > rest.size()) return false;
    rest = rest.subspan(std::min(padded(length), rest.size()));
  }
  return true;
}

/// `chunk` has its length, without padding.
bool is_sound_chunk(BytesView chunk) {
  constexpr std::size_t init_bytes = chunk_header_bytes + 16;
  switch (ChunkKind{chunk[0]}) {
    case ChunkKind::init:
    case ChunkKind::init_ack:
      return chunk.size() >= init_bytes && are_parameters_sound(chunk.subspan(init_bytes));
    case ChunkKind::heartbeat:
    case ChunkKind::heartbeat_ack:
    case ChunkKind::abort:
    case ChunkKind::error:
    case ChunkKind::reconfiguration:
      return are_parameters_sound(chunk.subspan(chunk_header_bytes));
    case ChunkKind::ecn_echo:
    case ChunkKind::ecn_reduced:
    case ChunkKind::authentication:
    case ChunkKind::sack_nonrenegable:
    case ChunkKind::data_interleaved:
    case ChunkKind::address_change_ack:
    case ChunkKind::packet_dropped:
    case ChunkKind::address_change:
    case ChunkKind::forward_interleaved:
      return false;
  }
  return true;
}

}  // namespace

bool is_sound_packet(BytesView packet) {
  if (packet.size() < packet_header_bytes + chunk_header_bytes) return false;
  BytesView rest = packet.subspan(packet_header_bytes);
  while (rest.size() >= chunk_header_bytes) {
    const std::size_t length = length_at(rest, 2);
    if (length < chunk_header_bytes || length > rest.size()) return false;
    if (!is_sound_chunk(rest.first(length))) return false;
    rest = rest.subspan(std::min(padded(length), rest.size()));
  }
  return true;
}

}  // namespace peer_relay::webrtc
