// SPDX-License-Identifier: MIT
#include "core/wire/stream.hpp"

#include "base/assert.hpp"
#include "base/writer.hpp"
#include "core/wire/decode.hpp"
#include "core/wire/sealed.hpp"

namespace peer_relay {

namespace {

using enum DecodeError;

constexpr std::uint8_t flag_opens = 0x01;
constexpr std::uint8_t flag_finish = 0x02;

void append_header(FrameKind kind, std::size_t body_bytes, Writer& writer) {
  PEER_RELAY_ASSERT(body_bytes <= 0xffff);
  writer.u8(static_cast<std::uint8_t>(kind));
  writer.u16(static_cast<std::uint16_t>(body_bytes));
}

}  // namespace

Decoded<StreamData> decode_stream_data(BytesView body) {
  Reader in{body};
  StreamData data;
  data.number = in.u64();
  data.offset = in.u64();
  const std::uint8_t flags = in.u8();
  data.opens = (flags & flag_opens) != 0;
  data.finish = (flags & flag_finish) != 0;
  if (data.opens) data.label = as_text(in.bytes_u8());
  data.bytes = in.rest();
  if (!in.ok()) return std::unexpected(truncated);
  if ((flags & ~(flag_opens | flag_finish)) != 0) return std::unexpected(unknown);
  if (data.label.size() > limits::stream_label_bytes_max) return std::unexpected(over_limit);
  if (data.offset > stream_bytes_max - data.bytes.size()) return std::unexpected(over_limit);
  return data;
}

std::size_t stream_data_header_bytes(const StreamData& data) {
  return frame_header_bytes + 17 + (data.opens ? 1 + data.label.size() : 0);
}

void append_stream_data_header(const StreamData& data, std::size_t bytes, Bytes& batch) {
  Writer writer{batch};
  append_header(FrameKind::stream_data, stream_data_header_bytes(data) - frame_header_bytes + bytes,
                writer);
  writer.u64(data.number);
  writer.u64(data.offset);
  writer.u8(
      static_cast<std::uint8_t>((data.opens ? flag_opens : 0) | (data.finish ? flag_finish : 0)));
  if (data.opens) writer.bytes_u8(as_bytes(data.label));
}

Decoded<StreamWindow> decode_stream_window(BytesView body) {
  Reader in{body};
  const StreamWindow window{.number = in.u64(), .received = in.u64(), .limit = in.u64()};
  if (in.ok() && (window.received > stream_bytes_max || window.limit > stream_bytes_max)) {
    return std::unexpected(over_limit);
  }
  return whole(in, window);
}

void append_stream_window(const StreamWindow& window, Bytes& batch) {
  Writer writer{batch};
  append_header(FrameKind::stream_window, stream_window_frame_bytes - frame_header_bytes, writer);
  writer.u64(window.number);
  writer.u64(window.received);
  writer.u64(window.limit);
}

Decoded<StreamReset> decode_stream_reset(BytesView body) {
  Reader in{body};
  StreamReset reset{.number = in.u64(), .end = StreamEnd{in.u8()}, .code = in.u32()};
  if (reset.end < StreamEnd::reset || reset.end > StreamEnd::shutdown) {
    reset.end = StreamEnd::protocol_error;
  }
  return whole(in, reset);
}

void append_stream_reset(const StreamReset& reset, Bytes& batch) {
  Writer writer{batch};
  append_header(FrameKind::stream_reset, stream_reset_frame_bytes - frame_header_bytes, writer);
  writer.u64(reset.number);
  writer.u8(static_cast<std::uint8_t>(reset.end));
  writer.u32(reset.code);
}

Decoded<StreamPacket> decode_stream_packet(BytesView content) {
  Reader in{content};
  if (ContentKind{in.u8()} != ContentKind::stream_packet) return std::unexpected(unknown);
  const StreamPacket packet{
      .epoch = in.u32(), .number = in.u32(), .way = in.u8(), .frames = in.rest()};
  if (!in.ok()) return std::unexpected(truncated);
  return packet;
}

void encode_stream_packet_header(const StreamPacket& packet, Bytes& out) {
  Writer writer{out};
  writer.u8(static_cast<std::uint8_t>(ContentKind::stream_packet));
  writer.u32(packet.epoch);
  writer.u32(packet.number);
  writer.u8(packet.way);
}

std::optional<StreamFrame> next_stream_frame(Reader& frames) {
  if (frames.left() == 0) return std::nullopt;
  const StreamFrame frame{.kind = FrameKind{frames.u8()}, .body = frames.bytes_u16()};
  if (!frames.ok()) return std::nullopt;
  return frame;
}

Decoded<StreamAck> decode_stream_ack(BytesView content) {
  Reader in{content};
  if (ContentKind{in.u8()} != ContentKind::stream_ack) return std::unexpected(unknown);
  return whole(in, StreamAck{.epoch = in.u32(), .largest = in.u32(), .before = in.u64()});
}

void encode_stream_ack(const StreamAck& ack, Bytes& out) {
  Writer writer{out};
  writer.u8(static_cast<std::uint8_t>(ContentKind::stream_ack));
  writer.u32(ack.epoch);
  writer.u32(ack.largest);
  writer.u64(ack.before);
}

}  // namespace peer_relay
