// SPDX-License-Identifier: MIT
#include "core/wire/frame.hpp"

#include "base/assert.hpp"
#include "base/writer.hpp"
#include "core/wire/close_reason.hpp"
#include "core/wire/decode.hpp"

namespace peer_relay {

std::optional<Frame> FrameReader::next() {
  if (rest_.empty()) return std::nullopt;
  Reader in{rest_};
  const std::uint8_t kind = in.u8();
  const std::size_t size = in.bytes_u16().size();
  if (!in.ok()) {
    broken_ = true;
    rest_ = {};
    return std::nullopt;
  }
  const MutableBytes body = rest_.subspan(frame_header_bytes, size);
  rest_ = rest_.subspan(frame_header_bytes + size);
  return Frame{kind, body};
}

void append_frame(FrameKind kind, BytesView body, Bytes& batch) {
  Writer out{batch};
  out.u8(static_cast<std::uint8_t>(kind));
  out.bytes_u16(body);
}

Decoded<std::uint64_t> decode_ping(BytesView body) {
  Reader in{body};
  const std::uint64_t value = in.u64();
  return whole(in, value);
}

void append_ping(FrameKind ping_or_pong, std::uint64_t value, Bytes& batch) {
  PEER_RELAY_ASSERT(ping_or_pong == FrameKind::ping || ping_or_pong == FrameKind::pong);
  Writer out{batch};
  out.u8(static_cast<std::uint8_t>(ping_or_pong));
  out.u16(sizeof value);
  out.u64(value);
}

Decoded<CloseReason> decode_goodbye(BytesView body) {
  Reader in{body};
  const CloseReason reason = travelled_reason(in.u8());
  return whole(in, reason);
}

void append_goodbye(CloseReason reason, Bytes& batch) {
  PEER_RELAY_ASSERT(travels(reason));
  Writer out{batch};
  out.u8(static_cast<std::uint8_t>(FrameKind::goodbye));
  out.u16(1);
  out.u8(static_cast<std::uint8_t>(reason));
}

}  // namespace peer_relay
