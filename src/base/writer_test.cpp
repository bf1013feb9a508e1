// SPDX-License-Identifier: MIT
#include "base/writer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/reader.hpp"

namespace peer_relay {
namespace {

using testing::ElementsAre;

TEST(Writer, WritesTheLargestByteFirst) {
  Bytes out;
  Writer writer{out};
  writer.u8(1);
  writer.u16(0x0203);
  writer.u32(0x04050607);
  EXPECT_THAT(out, ElementsAre(1, 2, 3, 4, 5, 6, 7));
}

TEST(Writer, AppendsToWhatIsThere) {
  Bytes out{9, 9};
  Writer writer{out};
  writer.bytes(Bytes{1, 2});
  writer.bytes({});
  writer.bytes_u8(Bytes{3});
  writer.bytes_u16(Bytes{4});
  EXPECT_THAT(out, ElementsAre(9, 9, 1, 2, 1, 3, 0, 1, 4));
}

TEST(Writer, IsReadBack) {
  NodeId id;
  id.bytes.fill(0x77);
  Bytes out;
  Writer writer{out};
  writer.u64(0xfedcba9876543210);
  writer.id(id);
  Reader in{out};
  EXPECT_EQ(in.u64(), 0xfedcba9876543210u);
  EXPECT_EQ(in.id(), id);
  EXPECT_TRUE(in.is_whole());
}

TEST(WriterDeathTest, RefusesWhatACountCannotSay) {
  Bytes out;
  Writer writer{out};
  EXPECT_DEATH(writer.bytes_u8(Bytes(256)), "0xff");
  EXPECT_DEATH(writer.bytes_u16(Bytes(65'536)), "0xffff");
}

}  // namespace
}  // namespace peer_relay
