// SPDX-License-Identifier: MIT
#include "transport/webrtc/sctp_packet.hpp"

#include <initializer_list>

#include <gtest/gtest.h>

namespace peer_relay::webrtc {
namespace {

Bytes packet_of(std::initializer_list<Bytes> chunks) {
  Bytes out(12);
  for (const Bytes& each : chunks) out.insert(out.end(), each.begin(), each.end());
  return out;
}

/// With its length, and padded.
Bytes chunk(std::uint8_t kind, Bytes body) {
  const std::size_t length = 4 + body.size();
  Bytes out{kind, 0, static_cast<std::uint8_t>(length >> 8), static_cast<std::uint8_t>(length)};
  out.insert(out.end(), body.begin(), body.end());
  out.resize((out.size() + 3) / 4 * 4);
  return out;
}

/// Chromium's INIT: forward TSN is supported, and two extensions.
Bytes init_body() {
  return {0x77, 0x5c, 0x57, 0x4c, 0x00, 0x50, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0x9f,
          0x7d, 0x9f, 0x59, 0xc0, 0x00, 0x00, 0x04, 0x80, 0x08, 0x00, 0x06, 0x82, 0xc0};
}

TEST(SctpPacket, TakesWhatOthersSend) {
  const Bytes data = chunk(0, {0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 53, 'h', 'i', '!'});
  EXPECT_TRUE(is_sound_packet(packet_of({chunk(1, init_body())})));
  EXPECT_TRUE(is_sound_packet(packet_of({chunk(11, {}), data, data})));
  EXPECT_TRUE(is_sound_packet(packet_of({chunk(3, Bytes(12)), chunk(4, {0, 1, 0, 6, 1, 2})})));
  EXPECT_TRUE(is_sound_packet(packet_of({chunk(130, {0, 17, 0, 6, 0, 1})})));
  EXPECT_TRUE(is_sound_packet(packet_of({chunk(6, {})})));
  EXPECT_TRUE(is_sound_packet(packet_of({chunk(132, Bytes(100))}))) << "padding, RFC 4820";
}

TEST(SctpPacket, RefusesLengthsThatLeadNowhere) {
  EXPECT_FALSE(is_sound_packet({}));
  EXPECT_FALSE(is_sound_packet(Bytes(12)));
  EXPECT_FALSE(is_sound_packet(Bytes(16))) << "a chunk of no length";
  EXPECT_FALSE(is_sound_packet(packet_of({{0, 0, 0, 200}})));
  EXPECT_FALSE(is_sound_packet(packet_of({chunk(1, Bytes(15))})));
  // A parameter of no length keeps usrsctp 0.9.5 busy for ever.
  for (const std::uint8_t kind : Bytes{1, 2}) {
    Bytes body = init_body();
    body[23] = 0;
    EXPECT_FALSE(is_sound_packet(packet_of({chunk(kind, body)})));
    body[23] = 3;
    EXPECT_FALSE(is_sound_packet(packet_of({chunk(kind, body)})));
    body[23] = 7;
    EXPECT_FALSE(is_sound_packet(packet_of({chunk(kind, body)})));
  }
  for (const std::uint8_t kind : Bytes{4, 5, 6, 9, 130}) {
    EXPECT_FALSE(is_sound_packet(packet_of({chunk(kind, {0, 1, 0, 0})})));
    EXPECT_FALSE(is_sound_packet(packet_of({chunk(kind, {0, 1, 0, 9, 1, 2, 3, 4})})));
  }
}

TEST(SctpPacket, RefusesWhatWeDoNotAnnounce) {
  for (const std::uint8_t kind : Bytes{12, 13, 15, 16, 64, 128, 129, 193, 194}) {
    EXPECT_FALSE(is_sound_packet(packet_of({chunk(kind, Bytes(32))})));
  }
}

}  // namespace
}  // namespace peer_relay::webrtc
