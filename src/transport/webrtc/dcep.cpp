// SPDX-License-Identifier: MIT
#include "transport/webrtc/dcep.hpp"

#include "base/assert.hpp"
#include "base/reader.hpp"
#include "base/writer.hpp"

namespace peer_relay::webrtc {

namespace {

constexpr std::uint8_t type_ack = 0x02;
constexpr std::uint8_t type_open = 0x03;

// DATA_CHANNEL_RELIABLE; other channel types lose messages or change their order.
constexpr std::uint8_t channel_reliable = 0x00;

}  // namespace

// 1B 0x03 | 1B channel type | 2B priority | 4B reliability | 2B label length | 2B protocol length |
// label | protocol
std::expected<DcepMessage, DcepError> decode_dcep(BytesView message) {
  Reader in{message};
  const std::uint8_t type = in.u8();
  if (in.ok() && type == type_ack) {
    // Bytes after it are to be ignored by no rule; nobody sends any.
    if (!in.is_whole()) return std::unexpected(DcepError::malformed);
    return ChannelAck{};
  }
  if (!in.ok() || type != type_open) return std::unexpected(DcepError::unknown);
  const std::uint8_t channel_type = in.u8();
  ChannelOpen open{.is_ordered_and_reliable = channel_type == channel_reliable,
                   .priority = in.u16()};
  in.u32();
  const std::size_t label_bytes = in.u16();
  const std::size_t protocol_bytes = in.u16();
  if (!in.ok()) return std::unexpected(DcepError::malformed);
  if (label_bytes > channel_name_bytes_max || protocol_bytes > channel_name_bytes_max) {
    return std::unexpected(DcepError::too_long);
  }
  open.label = as_text(in.bytes(label_bytes));
  open.protocol = as_text(in.bytes(protocol_bytes));
  if (!in.is_whole()) return std::unexpected(DcepError::malformed);
  return open;
}

Bytes encode(const ChannelOpen& open) {
  PEER_RELAY_ASSERT(open.label.size() <= channel_name_bytes_max &&
                    open.protocol.size() <= channel_name_bytes_max);
  Bytes out;
  Writer to{out};
  to.u8(type_open);
  to.u8(channel_reliable);
  to.u16(open.priority);
  to.u32(0);
  to.u16(static_cast<std::uint16_t>(open.label.size()));
  to.u16(static_cast<std::uint16_t>(open.protocol.size()));
  to.bytes(as_bytes(open.label));
  to.bytes(as_bytes(open.protocol));
  return out;
}

Bytes encode(const ChannelAck&) { return {type_ack}; }

}  // namespace peer_relay::webrtc
