// SPDX-License-Identifier: MIT
#include "core/exchange/multiplex.hpp"

#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace peer_relay::exchange {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// A whole frame, whatever pieces it came in.
struct Whole {
  FrameType type{};
  std::uint32_t channel = 0;
  std::string payload;
  bool operator==(const Whole&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Whole& frame) {
  return out << "type " << int(frame.type) << " channel " << frame.channel << " \"" << frame.payload
             << '"';
}

Bytes bytes_of(std::initializer_list<int> list) {
  Bytes out;
  for (const int each : list) out.push_back(static_cast<std::uint8_t>(each));
  return out;
}

void operator+=(Bytes& out, std::string_view text) {
  out.insert(out.end(), text.begin(), text.end());
}

class Listener {
 public:
  void take(BytesView bytes) {
    while (const auto piece = reader.next(bytes)) {
      unfinished_ += as_text(piece->bytes);
      if (!piece->is_last) continue;
      frames.push_back({piece->type, piece->channel, unfinished_});
      unfinished_.clear();
    }
    EXPECT_TRUE(bytes.empty() || reader.is_broken());
  }

  MultiplexReader reader;
  std::vector<Whole> frames;

 private:
  std::string unfinished_;
};

std::vector<Whole> frames_of(BytesView bytes) {
  Listener listener;
  listener.take(bytes);
  EXPECT_FALSE(listener.reader.is_broken());
  return listener.frames;
}

bool breaks(BytesView bytes) {
  Listener listener;
  listener.take(bytes);
  return listener.reader.is_broken();
}

using enum FrameType;

/// Appendix A of the wire notes, byte for byte: what a third party said to a node.
Bytes session() {
  Bytes out = bytes_of({0x38, 0x03, 0x70, 0x78, 0x70});
  out += "\x3a\x4a";
  out += R"({"command":"hello","id":"net-1","version":0,"accepts":{},"transports":[]})"
         "\n";
  out += "\x3a\x17{\"command\":\"helloack\"}\n";
  out += std::string_view{"\xe0\x12\x04\x64\x61\x74\x61"};
  out += std::string_view{"\xe2\x12\x07\x70\x61\x79\x6c\x6f\x61\x64"};
  out += std::string_view{"\xe4\x12\x00", 3};
  out += "\x3a\x23{\"command\":\"getPeer\",\"reqId\":\"r1\"}\n";
  out += std::string_view{"\x0d\x00", 2};
  return out;
}

std::vector<Whole> frames_of_session() {
  return {
      {open, 7, "pxp"},
      {opener_data, 7,
       R"({"command":"hello","id":"net-1","version":0,"accepts":{},"transports":[]})"
       "\n"},
      {opener_data, 7, "{\"command\":\"helloack\"}\n"},
      {open, 300, "data"},
      {opener_data, 300, "payload"},
      {opener_end, 300, ""},
      {opener_data, 7, "{\"command\":\"getPeer\",\"reqId\":\"r1\"}\n"},
      {receiver_destroy, 1, ""},
  };
}

TEST(Multiplex, ReadsTheDecodedSession) { EXPECT_EQ(frames_of(session()), frames_of_session()); }

TEST(Multiplex, WritesTheDecodedSession) {
  Bytes out;
  for (const Whole& frame : frames_of_session()) {
    append_frame(frame.type, frame.channel, as_bytes(frame.payload), out);
  }
  EXPECT_EQ(out, session());
}

TEST(Multiplex, ReadsWhatIsCutAtEveryByte) {
  const Bytes all = session();
  for (std::size_t cut = 0; cut <= all.size(); ++cut) {
    Listener listener;
    listener.take(BytesView{all}.first(cut));
    listener.take(BytesView{all}.subspan(cut));
    ASSERT_EQ(listener.frames, frames_of_session()) << cut;
  }
  Listener listener;
  for (const std::uint8_t byte : all) listener.take({&byte, 1});
  EXPECT_EQ(listener.frames, frames_of_session());
}

TEST(Multiplex, GivesDataOutAsItComes) {
  MultiplexReader reader;
  Bytes first = bytes_of({0x0a, 0x80, 0x80, 0x80, 0x20});  // 64 MiB on channel 1
  first += "abc";
  BytesView bytes{first};
  const auto piece = reader.next(bytes);
  ASSERT_TRUE(piece);
  EXPECT_EQ(as_text(piece->bytes), "abc");
  EXPECT_FALSE(piece->is_last);
  EXPECT_FALSE(reader.next(bytes));
}

TEST(Multiplex, ReadsNumbersThatAreLongerThanNeeded) {
  Bytes said = bytes_of({0x80, 0x00, 0x83, 0x80, 0x00});
  said += "pxp";
  EXPECT_THAT(frames_of(said), ElementsAre(Whole{open, 0, "pxp"}));
}

TEST(Multiplex, ReadsAFrameWithoutAPayload) {
  EXPECT_THAT(frames_of(bytes_of({0x04, 0x00, 0x0a, 0x00})),
              ElementsAre(Whole{opener_end, 0, ""}, Whole{opener_data, 1, ""}));
}

TEST(Multiplex, PassesOverTheTypeThatMeansNothing) {
  Bytes said = bytes_of({0x07, 0x03});
  said += "xyz";
  said += std::string_view{"\x04\x00", 2};
  EXPECT_THAT(frames_of(said), ElementsAre(Whole{opener_end, 0, ""}));
}

TEST(Multiplex, KeepsNothingOfWhyAChannelWasDestroyed) {
  Bytes said = bytes_of({0x06, 0x05});
  said += "error";
  EXPECT_THAT(frames_of(said), ElementsAre(Whole{opener_destroy, 0, ""}));
}

TEST(Multiplex, BreaksAtANumberWithoutAnEnd) {
  EXPECT_TRUE(breaks(Bytes(11, 0x80)));
  EXPECT_TRUE(breaks(bytes_of({0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02})));
  EXPECT_TRUE(breaks(Bytes(200, 0xff)));
}

TEST(Multiplex, BreaksAtALengthThatKillsANode) {
  // 2^32 - 1 is waited for, as a node would.
  EXPECT_THAT(frames_of(bytes_of({0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f})), IsEmpty());
  EXPECT_TRUE(breaks(bytes_of({0x0a, 0x80, 0x80, 0x80, 0x80, 0x10})));
  EXPECT_TRUE(breaks(bytes_of({0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})));
}

TEST(Multiplex, BreaksAtAChannelNumberThatWouldCostANodeMuch) {
  Bytes said;
  append_frame(open, channel_number_max, as_bytes("pxp"), said);
  EXPECT_FALSE(breaks(said));
  // (2^20) * 8
  EXPECT_TRUE(breaks(bytes_of({0x80, 0x80, 0x80, 0x04, 0x03})));
}

TEST(Multiplex, BreaksAtALongName) {
  Bytes said;
  append_frame(open, 0, Bytes(channel_name_bytes_max, 'x'), said);
  EXPECT_FALSE(breaks(said));
  said.clear();
  append_frame(open, 0, Bytes(channel_name_bytes_max + 1, 'x'), said);
  EXPECT_TRUE(breaks(said));
}

TEST(Multiplex, SaysNothingMoreOnceItIsBroken) {
  Listener listener;
  listener.take(Bytes(11, 0x80));
  listener.take(session());
  EXPECT_THAT(listener.frames, IsEmpty());
}

TEST(Multiplex, TakesTheNextVersionsMagicForAFrameAndWaits) {
  // "#PXP#": type 3 of channel 4, 80 bytes long.
  EXPECT_THAT(frames_of(as_bytes("#PXP#")), IsEmpty());
}

}  // namespace
}  // namespace peer_relay::exchange
