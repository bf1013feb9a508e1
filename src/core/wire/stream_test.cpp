// SPDX-License-Identifier: MIT
#include "core/wire/stream.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/wire/sealed.hpp"
#include "tests/support/decoding.hpp"
#include "tests/support/vectors.hpp"

namespace peer_relay {
namespace {

BytesView body_of(const Bytes& frame) { return BytesView{frame}.subspan(frame_header_bytes); }

Bytes encoded(const StreamData& data) {
  Bytes out;
  append_stream_data_header(data, data.bytes.size(), out);
  EXPECT_EQ(out.size(), stream_data_header_bytes(data));
  out.insert(out.end(), data.bytes.begin(), data.bytes.end());
  return out;
}
Bytes encoded(const StreamWindow& window) {
  Bytes out;
  append_stream_window(window, out);
  EXPECT_EQ(out.size(), stream_window_frame_bytes);
  return out;
}
Bytes encoded(const StreamReset& reset) {
  Bytes out;
  append_stream_reset(reset, out);
  EXPECT_EQ(out.size(), stream_reset_frame_bytes);
  return out;
}
Bytes encoded(const StreamPacket& packet) {
  Bytes out;
  encode_stream_packet_header(packet, out);
  EXPECT_EQ(out.size(), stream_packet_header_bytes);
  out.insert(out.end(), packet.frames.begin(), packet.frames.end());
  return out;
}
Bytes encoded(const StreamAck& ack) {
  Bytes out;
  encode_stream_ack(ack, out);
  EXPECT_EQ(out.size(), stream_ack_bytes);
  return out;
}

TEST(StreamData, IsTheGoldenOne) {
  const Bytes frame = golden("stream_data");
  const auto data = decode_stream_data(body_of(frame));
  ASSERT_TRUE(data);
  EXPECT_EQ(data->number, 0x0102030405060708u);
  EXPECT_EQ(data->offset, 65'536u);
  EXPECT_FALSE(data->opens);
  EXPECT_FALSE(data->finish);
  EXPECT_EQ(data->label, "");
  EXPECT_EQ(as_text(data->bytes), "hello");
  EXPECT_EQ(encoded(*data), frame);
}

TEST(StreamData, ThatOpensAndFinishesIsTheGoldenOne) {
  const Bytes frame = golden("stream_data_opens");
  const auto data = decode_stream_data(body_of(frame));
  ASSERT_TRUE(data);
  EXPECT_EQ(data->number, 0xfedcba9876543210u);
  EXPECT_EQ(data->offset, 0u);
  EXPECT_TRUE(data->opens);
  EXPECT_TRUE(data->finish);
  EXPECT_EQ(data->label, "file");
  EXPECT_EQ(as_text(data->bytes), "hi");
  EXPECT_EQ(encoded(*data), frame);
}

TEST(StreamData, HasNoUnknownFlags) {
  Bytes body = golden("stream_data");
  for (const std::uint8_t flags : Bytes{0x04, 0x06, 0x80, 0xfc}) {
    body[frame_header_bytes + 16] = flags;
    EXPECT_EQ(error_of(decode_stream_data(body_of(body))), DecodeError::unknown);
  }
}

TEST(StreamData, HasALabelOfSixtyFourBytesAtMost) {
  std::string label(limits::stream_label_bytes_max, 'x');
  Bytes frame = encoded(StreamData{.opens = true, .label = label});
  EXPECT_EQ(frame.size(), stream_data_header_bytes_max);
  EXPECT_EQ(decode_stream_data(body_of(frame))->label, label);
  label += 'x';
  frame = encoded(StreamData{.opens = true, .label = label});
  EXPECT_EQ(error_of(decode_stream_data(body_of(frame))), DecodeError::over_limit);
}

TEST(StreamData, EndsWithinTheLongestStream) {
  const Bytes bytes{1, 2, 3};
  Bytes frame = encoded(StreamData{.offset = stream_bytes_max - 3, .bytes = bytes});
  EXPECT_TRUE(decode_stream_data(body_of(frame)));
  frame = encoded(StreamData{.offset = stream_bytes_max - 2, .bytes = bytes});
  EXPECT_EQ(error_of(decode_stream_data(body_of(frame))), DecodeError::over_limit);
  frame = encoded(StreamData{.offset = UINT64_MAX, .bytes = bytes});
  EXPECT_EQ(error_of(decode_stream_data(body_of(frame))), DecodeError::over_limit);
}

TEST(StreamWindow, IsTheGoldenOne) {
  const Bytes frame = golden("stream_window");
  const auto window = decode_stream_window(body_of(frame));
  ASSERT_TRUE(window);
  EXPECT_EQ(window->number, 0x0102030405060708u);
  EXPECT_EQ(window->received, 65'541u);
  EXPECT_EQ(window->limit, 131'072u);
  EXPECT_EQ(encoded(*window), frame);
}

TEST(StreamWindow, EndsWithinTheLongestStream) {
  Bytes frame = encoded(StreamWindow{.received = stream_bytes_max, .limit = stream_bytes_max});
  EXPECT_TRUE(decode_stream_window(body_of(frame)));
  frame = encoded(StreamWindow{.received = stream_bytes_max + 1, .limit = 0});
  EXPECT_EQ(error_of(decode_stream_window(body_of(frame))), DecodeError::over_limit);
  frame = encoded(StreamWindow{.received = 0, .limit = UINT64_MAX});
  EXPECT_EQ(error_of(decode_stream_window(body_of(frame))), DecodeError::over_limit);
}

TEST(StreamReset, IsTheGoldenOne) {
  const Bytes frame = golden("stream_reset");
  const auto reset = decode_stream_reset(body_of(frame));
  ASSERT_TRUE(reset);
  EXPECT_EQ(reset->number, 0x0102030405060708u);
  EXPECT_EQ(reset->end, StreamEnd::reset);
  EXPECT_EQ(reset->code, 7u);
  EXPECT_EQ(encoded(*reset), frame);
}

TEST(StreamReset, ForAReasonThatNeverTravelsIsAProtocolError) {
  for (const int end : {0, 7, 63, 64, 65, 66, 255}) {
    const Bytes frame = encoded(StreamReset{.end = StreamEnd{static_cast<std::uint8_t>(end)}});
    EXPECT_EQ(decode_stream_reset(body_of(frame))->end, StreamEnd::protocol_error) << end;
  }
  for (int end = 1; end <= 6; ++end) {
    const StreamEnd known{static_cast<std::uint8_t>(end)};
    EXPECT_EQ(decode_stream_reset(body_of(encoded(StreamReset{.end = known})))->end, known);
  }
}

TEST(StreamPacket, IsTheGoldenOneAndIsWalkedOver) {
  const Bytes content = golden("stream_packet");
  const auto packet = decode_stream_packet(content);
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->epoch, 0xfeedf00du);
  EXPECT_EQ(packet->number, 2u);
  EXPECT_EQ(packet->way, 1u);
  EXPECT_EQ(encoded(*packet), content);

  Reader frames{packet->frames};
  const auto first = next_stream_frame(frames);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->kind, FrameKind::stream_reset);
  EXPECT_EQ(decode_stream_reset(first->body)->end, StreamEnd::unknown);
  const auto second = next_stream_frame(frames);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->kind, FrameKind::stream_window);
  EXPECT_EQ(decode_stream_window(second->body)->received, 3u);
  EXPECT_FALSE(next_stream_frame(frames));
  EXPECT_TRUE(frames.ok());
}

TEST(StreamPacket, MayBeEmpty) {
  const Bytes content = encoded(StreamPacket{.epoch = 1, .number = 2});
  const auto packet = decode_stream_packet(content);
  ASSERT_TRUE(packet);
  Reader frames{packet->frames};
  EXPECT_FALSE(next_stream_frame(frames));
  EXPECT_TRUE(frames.ok());
}

TEST(StreamPacket, ThatIsCutShortGivesTheWholeFramesOnly) {
  const Bytes content = golden("stream_packet");
  const BytesView frames = decode_stream_packet(content)->frames;
  for (std::size_t size = 1; size < frames.size(); ++size) {
    Reader reader{frames.first(size)};
    std::size_t whole = 0;
    while (next_stream_frame(reader)) ++whole;
    EXPECT_EQ(whole, size < stream_reset_frame_bytes ? 0u : 1u) << size;
    EXPECT_EQ(reader.ok(), size == stream_reset_frame_bytes) << size;
  }
}

TEST(StreamPacket, IsNoOtherContent) {
  Bytes content = golden("stream_packet");
  content[0] = static_cast<std::uint8_t>(ContentKind::stream_ack);
  EXPECT_EQ(error_of(decode_stream_packet(content)), DecodeError::unknown);
  EXPECT_EQ(error_of(decode_stream_ack(golden("stream_packet"))), DecodeError::unknown);
}

TEST(StreamAck, IsTheGoldenOne) {
  const Bytes content = golden("stream_ack");
  const auto ack = decode_stream_ack(content);
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->epoch, 0xfeedf00du);
  EXPECT_EQ(ack->largest, 7u);
  EXPECT_EQ(ack->before, 0b1011u);
  EXPECT_EQ(encoded(*ack), content);
}

}  // namespace
}  // namespace peer_relay
