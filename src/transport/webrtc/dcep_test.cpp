// SPDX-License-Identifier: MIT
#include "transport/webrtc/dcep.hpp"

#include <gtest/gtest.h>

namespace peer_relay::webrtc {
namespace {

TEST(Dcep, OpensAsRfc8832Draws) {
  const ChannelOpen open{.label = "ab", .protocol = "c"};
  const Bytes expected{3, 0, 1, 0, 0, 0, 0, 0, 0, 2, 0, 1, 'a', 'b', 'c'};
  EXPECT_EQ(encode(open), expected);
  const auto decoded = decode_dcep(expected);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(std::get<ChannelOpen>(*decoded), open);
}

TEST(Dcep, AcknowledgesInOneByte) {
  EXPECT_EQ(encode(ChannelAck{}), Bytes{2});
  ASSERT_TRUE(decode_dcep(Bytes{2}));
  EXPECT_TRUE(std::holds_alternative<ChannelAck>(*decode_dcep(Bytes{2})));
}

TEST(Dcep, KnowsChannelsThatLoseOrReorder) {
  for (const std::uint8_t type : Bytes{0x80, 0x01, 0x81, 0x02, 0x82, 0x7f}) {
    const auto decoded = decode_dcep(Bytes{3, type, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0});
    ASSERT_TRUE(decoded);
    EXPECT_FALSE(std::get<ChannelOpen>(*decoded).is_ordered_and_reliable);
  }
}

TEST(Dcep, RefusesWhatIsNotWhole) {
  const Bytes open = encode(ChannelOpen{.label = "label", .protocol = "protocol"});
  for (std::size_t size = 0; size < open.size(); ++size) {
    EXPECT_FALSE(decode_dcep(BytesView{open}.first(size))) << size;
  }
  Bytes longer = open;
  longer.push_back(0);
  EXPECT_EQ(decode_dcep(longer).error(), DcepError::malformed);
  EXPECT_EQ(decode_dcep(Bytes{2, 0}).error(), DcepError::malformed);
  EXPECT_EQ(decode_dcep(Bytes{4}).error(), DcepError::unknown);
  EXPECT_EQ(decode_dcep(Bytes{3, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0}).error(), DcepError::too_long);
}

}  // namespace
}  // namespace peer_relay::webrtc
