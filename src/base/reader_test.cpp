// SPDX-License-Identifier: MIT
#include "base/reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace peer_relay {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Reader, ReadsFromFrontToBackWithTheLargestByteFirst) {
  const Bytes bytes{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17};
  Reader in{bytes};
  EXPECT_EQ(in.u8(), 0x01u);
  EXPECT_EQ(in.u16(), 0x0203u);
  EXPECT_EQ(in.u32(), 0x04050607u);
  EXPECT_EQ(in.u64(), 0x08090a0b0c0d0e0fu);
  EXPECT_EQ(in.left(), 2u);
  EXPECT_FALSE(in.is_whole());
  EXPECT_THAT(in.array<2>(), ElementsAre(16, 17));
  EXPECT_TRUE(in.is_whole());
}

TEST(Reader, ReadsAnId) {
  Bytes bytes(NodeId::size, 0x11);
  bytes.back() = 0x22;
  Reader in{bytes};
  EXPECT_EQ(in.id().to_hex(), "1111111111111111111111111111111111111122");
  EXPECT_TRUE(in.is_whole());
}

TEST(Reader, ReadsWhatItsCountSays) {
  const Bytes bytes{2, 'h', 'i', 0, 1, '!', 7, 7};
  Reader in{bytes};
  EXPECT_THAT(in.bytes_u8(), ElementsAre('h', 'i'));
  EXPECT_THAT(in.bytes_u16(), ElementsAre('!'));
  EXPECT_THAT(in.rest(), ElementsAre(7, 7));
  EXPECT_THAT(in.rest(), IsEmpty());
  EXPECT_TRUE(in.is_whole());
}

TEST(Reader, LendsInsteadOfCopying) {
  const Bytes bytes{1, 2, 3};
  Reader in{bytes};
  in.u8();
  EXPECT_EQ(in.rest().data(), bytes.data() + 1);
}

TEST(Reader, YieldsZerosBehindTheEndAndRemembersIt) {
  const Bytes bytes{0xff, 0xff, 0xff};
  Reader in{bytes};
  EXPECT_EQ(in.u32(), 0u);
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.u8(), 0u);  // although a byte was there
  EXPECT_EQ(in.id(), NodeId{});
  EXPECT_THAT(in.array<1>(), ElementsAre(0));
  EXPECT_THAT(in.rest(), IsEmpty());
  EXPECT_FALSE(in.ok());
  EXPECT_FALSE(in.is_whole());
}

TEST(Reader, GivesNoneOfTheBytesWhereSomeAreMissing) {
  const Bytes bytes{3, 'h', 'i'};
  Reader in{bytes};
  EXPECT_THAT(in.bytes_u8(), IsEmpty());
  EXPECT_FALSE(in.ok());
}

TEST(Reader, FailsWhenItIsTold) {
  const Bytes bytes{1, 2};
  Reader in{bytes};
  in.fail();
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.left(), 0u);
}

TEST(Reader, OfNothingIsWhole) {
  Reader in{{}};
  EXPECT_TRUE(in.is_whole());
  EXPECT_THAT(in.bytes(0), IsEmpty());
  EXPECT_TRUE(in.is_whole());
  in.u8();
  EXPECT_FALSE(in.is_whole());
}

}  // namespace
}  // namespace peer_relay
