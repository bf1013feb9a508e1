// SPDX-License-Identifier: MIT
#include "core/wire/envelope.hpp"

#include "base/assert.hpp"
#include "base/reader.hpp"
#include "base/writer.hpp"

namespace peer_relay {
namespace {

constexpr std::uint8_t flag_closest = 0x01;
constexpr std::uint8_t flag_via = 0x02;
constexpr std::uint8_t flag_home = 0x04;
constexpr std::uint8_t flag_careful = 0x08;
constexpr std::uint8_t flags_known = flag_closest | flag_via | flag_home | flag_careful;

std::uint8_t flags_of(const Envelope& envelope) {
  return static_cast<std::uint8_t>((envelope.closest ? flag_closest : 0) |
                                   (envelope.via ? flag_via : 0) | (envelope.home ? flag_home : 0) |
                                   (envelope.careful ? flag_careful : 0));
}

std::size_t header_bytes_of(const Envelope& envelope) {
  return envelope_header_bytes + (envelope.via ? NodeId::size : 0) +
         (envelope.home ? NodeId::size : 0);
}

}  // namespace

Decoded<Envelope> decode_envelope(BytesView frame_body) {
  using enum DecodeError;
  Decoded<Envelope> out{std::in_place};
  Reader in{frame_body};
  out->kind = EnvelopeKind{in.u8()};
  const std::uint8_t flags = in.u8();
  out->hops_left = in.u8();
  out->tag = in.u32();
  out->target = in.id();
  out->source = in.id();
  out->closest = (flags & flag_closest) != 0;
  out->careful = (flags & flag_careful) != 0;
  if (flags & flag_via) out->via = in.id();
  if (flags & flag_home) out->home = in.id();
  out->body = in.rest();
  if (!in.ok()) return std::unexpected(truncated);
  if (flags & ~flags_known) return std::unexpected(unknown);
  if (out->hops_left > limits::hops_max) return std::unexpected(over_limit);
  return out;
}

void append_route_frame(const Envelope& envelope, Bytes& batch) {
  const std::size_t body_bytes = header_bytes_of(envelope) + envelope.body.size();
  PEER_RELAY_ASSERT(body_bytes <= 0xffff);
  Writer out{batch};
  out.u8(static_cast<std::uint8_t>(FrameKind::route));
  out.u16(static_cast<std::uint16_t>(body_bytes));
  out.u8(static_cast<std::uint8_t>(envelope.kind));
  out.u8(flags_of(envelope));
  out.u8(envelope.hops_left);
  out.u32(envelope.tag);
  out.id(envelope.target);
  out.id(envelope.source);
  if (envelope.via) out.id(*envelope.via);
  if (envelope.home) out.id(*envelope.home);
  out.bytes(envelope.body);
}

std::size_t route_frame_bytes(const Envelope& envelope) {
  return frame_header_bytes + header_bytes_of(envelope) + envelope.body.size();
}

}  // namespace peer_relay
