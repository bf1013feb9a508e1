// SPDX-License-Identifier: MIT
//
// Byte streams between two nodes. The same three frames travel on a link between them, as frames of
// its batches, and between nodes without a link, packed into sealed contents, which can get lost
// and are acknowledged.
//
// The bytes of each direction are counted from 0, and its end counts as one more, as in TCP
// (RFC 9293, §3.4). A frame says where its bytes belong, so that it does no harm to come twice,
// late or by another way.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/reader.hpp"
#include "core/wire/frame.hpp"
#include "core/wire/wire.hpp"
#include "peer_relay/limits.hpp"
#include "peer_relay/reasons.hpp"

namespace peer_relay {

/// Drawn at random by who opens the stream.
using StreamNumber = std::uint64_t;

/// No stream is longer, so that sums of offsets and windows stay what they are.
inline constexpr std::uint64_t stream_bytes_max = std::uint64_t{1} << 62;

// STREAM_DATA: 8B number | 8B offset | 1B flags | with 0x01: len8 label | bytes (the rest)
//
// flags: 0x01 opens: the number is the sender's, who has not heard of its reader yet; all its
// frames bear it until then. 0x02 finish: these are the last bytes. All else zero. label: what the
// stream is for, UTF-8.
struct StreamData {
  StreamNumber number = 0;
  std::uint64_t offset = 0;
  bool opens = false;
  bool finish = false;
  std::string_view label{};  ///< at most limits::stream_label_bytes_max
  BytesView bytes{};
};
inline constexpr std::size_t stream_data_header_bytes_max =
    frame_header_bytes + 17 + 1 + limits::stream_label_bytes_max;
Decoded<StreamData> decode_stream_data(BytesView body);
/// The frame, but for its bytes: the caller appends so many.
void append_stream_data_header(const StreamData& data, std::size_t bytes, Bytes& batch);
std::size_t stream_data_header_bytes(const StreamData& data);

// STREAM_WINDOW: 8B number | 8B received | 8B limit
//
// received: all before it has come, in order. One more than the bytes: the end, too.
// limit: bytes up to here may be sent. It never falls.
struct StreamWindow {
  StreamNumber number = 0;
  std::uint64_t received = 0;
  std::uint64_t limit = 0;
};
inline constexpr std::size_t stream_window_frame_bytes = frame_header_bytes + 24;
Decoded<StreamWindow> decode_stream_window(BytesView body);
void append_stream_window(const StreamWindow& window, Bytes& batch);

// STREAM_RESET: 8B number | 1B StreamEnd | 4B code
//
// Both directions end, and what is under way is lost. code: the application's, with `reset`.
struct StreamReset {
  StreamNumber number = 0;
  StreamEnd end = StreamEnd::reset;
  std::uint32_t code = 0;
};
inline constexpr std::size_t stream_reset_frame_bytes = frame_header_bytes + 13;
/// Reasons that never travel decode as protocol_error.
Decoded<StreamReset> decode_stream_reset(BytesView body);
void append_stream_reset(const StreamReset& reset, Bytes& batch);

// content STREAM_PACKET: 1B kind | 4B epoch | 4B number | 1B way | frames, each 1B kind | len16
// body
//
// epoch: of the sender's count, random. number: counts packets from 0. way: 0 as a rule; else no
// acknowledgement came by the ways before, and the one of this should take another, too. A packet
// without frames asks for an acknowledgement and nothing else.
struct StreamPacket {
  std::uint32_t epoch = 0;
  std::uint32_t number = 0;
  std::uint8_t way = 0;
  BytesView frames{};
};
inline constexpr std::size_t stream_packet_header_bytes = 10;
Decoded<StreamPacket> decode_stream_packet(BytesView content);
/// All but the frames, which follow.
void encode_stream_packet_header(const StreamPacket& packet, Bytes& out);

/// Walks over the frames of a packet. Those of other kinds are skipped by who walks.
struct StreamFrame {
  FrameKind kind{};
  BytesView body{};
};
/// Nothing at the end, and where the packet is broken: then `frames.ok()` is false.
std::optional<StreamFrame> next_stream_frame(Reader& frames);

// content STREAM_ACK: 1B kind | 4B epoch | 4B largest | 8B before
//
// epoch, largest: of the packets that came, as their sender numbered them. before: bit n (from the
// lowest) says that packet largest - 1 - n has come, too.
struct StreamAck {
  std::uint32_t epoch = 0;
  std::uint32_t largest = 0;
  std::uint64_t before = 0;
};
inline constexpr std::size_t stream_ack_bytes = 17;
Decoded<StreamAck> decode_stream_ack(BytesView content);
void encode_stream_ack(const StreamAck& ack, Bytes& out);

}  // namespace peer_relay
