// SPDX-License-Identifier: MIT
#include "core/wire/frame.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/vectors.hpp"

namespace peer_relay {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(FrameReader, WalksFromFrameToFrame) {
  Bytes batch = golden("batch");
  FrameReader frames{batch};

  const auto ping = frames.next();
  ASSERT_TRUE(ping);
  EXPECT_EQ(FrameKind{ping->kind}, FrameKind::ping);
  EXPECT_EQ(decode_ping(ping->body), 1u);

  const auto goodbye = frames.next();
  ASSERT_TRUE(goodbye);
  EXPECT_EQ(FrameKind{goodbye->kind}, FrameKind::goodbye);
  EXPECT_EQ(decode_goodbye(goodbye->body), CloseReason::shutdown);

  const auto unknown = frames.next();
  ASSERT_TRUE(unknown);
  EXPECT_EQ(unknown->kind, 0x7f);
  EXPECT_THAT(unknown->body, ElementsAre(0xaa, 0xbb));

  EXPECT_FALSE(frames.next());
  EXPECT_FALSE(frames.is_broken());
}

TEST(FrameReader, FindsNothingInAnEmptyBatchAndNoFault) {
  FrameReader frames{MutableBytes{}};
  EXPECT_FALSE(frames.next());
  EXPECT_FALSE(frames.is_broken());
}

TEST(FrameReader, TakesFramesWithoutABody) {
  Bytes batch{0x7f, 0, 0, 0x7e, 0, 0};
  FrameReader frames{batch};
  EXPECT_THAT(frames.next()->body, IsEmpty());
  EXPECT_EQ(frames.next()->kind, 0x7e);
  EXPECT_FALSE(frames.next());
  EXPECT_FALSE(frames.is_broken());
}

TEST(FrameReader, SaysWhereABatchIsCutInAFrameAndStops) {
  const Bytes whole = golden("ping");
  for (std::size_t size = 1; size < whole.size(); ++size) {
    Bytes batch = golden("goodbye");
    batch.insert(batch.end(), whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    FrameReader frames{batch};
    EXPECT_TRUE(frames.next());  // what came whole before it still counts
    EXPECT_FALSE(frames.is_broken());
    EXPECT_FALSE(frames.next()) << size;
    EXPECT_TRUE(frames.is_broken()) << size;
    EXPECT_FALSE(frames.next());
  }
}

TEST(FrameReader, LendsTheBodyInPlace) {
  Bytes batch = golden("goodbye");
  FrameReader frames{batch};
  frames.next()->body[0] = 9;
  EXPECT_EQ(batch[frame_header_bytes], 9);
}

TEST(Frame, IsAppendedBehindOthers) {
  Bytes batch{1, 2};
  append_frame(FrameKind::contacts, Bytes{7, 8, 9}, batch);
  EXPECT_THAT(batch, ElementsAre(1, 2, 0x04, 0, 3, 7, 8, 9));
}

TEST(Ping, IsTheGoldenOne) {
  Bytes ping, pong;
  append_ping(FrameKind::ping, 0x0102030405060708, ping);
  append_ping(FrameKind::pong, 0x0102030405060708, pong);
  EXPECT_EQ(ping, golden("ping"));
  EXPECT_EQ(pong, golden("pong"));
}

TEST(Goodbye, IsTheGoldenOne) {
  Bytes goodbye;
  append_goodbye(CloseReason::duplicate, goodbye);
  EXPECT_EQ(goodbye, golden("goodbye"));
}

TEST(Goodbye, KeepsEachReasonThatTravels) {
  for (std::uint8_t number = 0; number <= 11; ++number) {
    Bytes batch;
    append_goodbye(CloseReason{number}, batch);
    EXPECT_EQ(decode_goodbye(BytesView{batch}.subspan(frame_header_bytes)), CloseReason{number});
  }
}

TEST(Goodbye, ReadsAnyOtherReasonAsAProtocolError) {
  for (const std::uint8_t number : Bytes{12, 63, 64, 69, 70, 255}) {
    EXPECT_EQ(decode_goodbye(Bytes{number}), CloseReason::protocol_error) << int{number};
  }
}

using FrameDeathTest = testing::Test;

TEST(FrameDeathTest, NeverSendsAReasonThatDoesNotTravel) {
  Bytes batch;
  EXPECT_DEATH(append_goodbye(CloseReason::keepalive_timeout, batch), "travels");
}

TEST(FrameDeathTest, NeverSendsABodyThatItsCountCannotSay) {
  Bytes batch;
  EXPECT_DEATH(append_frame(FrameKind::contacts, Bytes(65'536), batch), "0xffff");
}

}  // namespace
}  // namespace peer_relay
