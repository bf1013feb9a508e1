// SPDX-License-Identifier: MIT
#include "peer_relay/node_id.hpp"

#include <unordered_set>

#include <gtest/gtest.h>

#include "base/random.hpp"

namespace peer_relay {
namespace {

constexpr std::string_view counting = "000102030405060708090a0b0c0d0e0ff0e1d2c3";

/// Zeros but for one bit.
NodeId with_bit(int index) {
  NodeId id;
  id.bytes[static_cast<std::size_t>(index / 8)] = static_cast<std::uint8_t>(0x80 >> index % 8);
  return id;
}

TEST(NodeId, IsWrittenAsFortyLowerCaseDigitsAndReadBack) {
  const auto id = NodeId::from_hex(counting);
  ASSERT_TRUE(id);
  EXPECT_EQ(id->bytes[0], 0x00);
  EXPECT_EQ(id->bytes[15], 0x0f);
  EXPECT_EQ(id->bytes[16], 0xf0);
  EXPECT_EQ(id->to_hex(), counting);
  EXPECT_EQ(id->short_hex(), "00010203");
}

TEST(NodeId, IsReadInEitherCaseAndWrittenInLower) {
  const auto id = NodeId::from_hex("ABCDEFabcdef0000000000000000000000000000");
  ASSERT_TRUE(id);
  EXPECT_EQ(id->to_hex(), "abcdefabcdef0000000000000000000000000000");
}

TEST(NodeId, IsNotReadFromAnythingElse) {
  const std::string whole{counting};
  EXPECT_FALSE(NodeId::from_hex(""));
  EXPECT_FALSE(NodeId::from_hex(whole.substr(1)));
  EXPECT_FALSE(NodeId::from_hex(whole + "0"));
  EXPECT_FALSE(NodeId::from_hex("0x" + whole.substr(2)));
  EXPECT_FALSE(NodeId::from_hex(" " + whole.substr(1)));
  for (int other = 0; other < 256; ++other) {
    const char digit = static_cast<char>(other);
    const bool is_digit = std::string_view{"0123456789abcdefABCDEF"}.contains(digit);
    std::string text = whole;
    text[39] = digit;
    EXPECT_EQ(NodeId::from_hex(text).has_value(), is_digit) << other;
    text = whole;
    text[0] = digit;
    EXPECT_EQ(NodeId::from_hex(text).has_value(), is_digit) << other;
  }
}

TEST(NodeId, CountsItsBitsFromTheMostSignificant) {
  for (int index = 0; index < id_bits; ++index) {
    const NodeId id = with_bit(index);
    for (int other = 0; other < id_bits; ++other) EXPECT_EQ(id.bit(other), other == index);
  }
}

TEST(NodeId, IsOrderedAsABigEndianNumber) {
  for (int index = 1; index < id_bits; ++index) EXPECT_GT(with_bit(index - 1), with_bit(index));
  EXPECT_LT(NodeId{}, with_bit(id_bits - 1));
}

TEST(NodeId, HashesApart) {
  Random random{1};
  std::unordered_set<NodeId> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(random.id());
  EXPECT_EQ(ids.size(), 1000u);
}

TEST(Distance, IsTheXorOfTwoIds) {
  const NodeId a = *NodeId::from_hex("ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00");
  const NodeId b = *NodeId::from_hex("0ff00ff00ff00ff00ff00ff00ff00ff00ff00ff0");
  EXPECT_EQ(NodeId{distance(a, b).bytes}.to_hex(), "f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0");
  EXPECT_EQ(distance(a, a), Distance{});
}

TEST(Distance, IsAMetric) {
  Random random{2};
  for (int i = 0; i < 1000; ++i) {
    const NodeId a = random.id();
    const NodeId b = random.id();
    EXPECT_EQ(distance(a, b), distance(b, a));
    EXPECT_GT(distance(a, b), Distance{});
  }
}

/// Ids that differ in all places alike, also where words of 64 bits meet.
NodeId near(const NodeId& id, Random& random) {
  NodeId out = id;
  const auto from = static_cast<std::size_t>(random.below(NodeId::size));
  out.bytes[from] ^= static_cast<std::uint8_t>(random.next());
  for (std::size_t i = from + 1; i < NodeId::size; ++i) {
    out.bytes[i] = static_cast<std::uint8_t>(random.next());
  }
  return out;
}

TEST(IsCloser, AgreesWithTheDistances) {
  Random random{3};
  for (int i = 0; i < 20'000; ++i) {
    const NodeId target = random.id();
    const NodeId a = near(target, random);
    const NodeId b = near(a, random);
    EXPECT_EQ(is_closer(a, b, target), distance(a, target) < distance(b, target));
    EXPECT_EQ(is_closer(b, a, target), distance(b, target) < distance(a, target));
  }
}

TEST(IsCloser, IsStrict) {
  Random random{4};
  const NodeId a = random.id();
  const NodeId target = random.id();
  EXPECT_FALSE(is_closer(a, a, target));
  EXPECT_FALSE(is_closer(a, target, target));
  EXPECT_TRUE(is_closer(target, a, target));
}

TEST(CommonPrefixBits, IsTheIndexOfTheFirstBitThatDiffers) {
  Random random{5};
  const NodeId a = random.id();
  EXPECT_EQ(common_prefix_bits(a, a), id_bits);
  for (int index = 0; index < id_bits; ++index) {
    const NodeId b{distance(a, with_bit(index)).bytes};
    EXPECT_EQ(common_prefix_bits(a, b), index);
    EXPECT_EQ(common_prefix_bits(b, a), index);
  }
}

TEST(CommonPrefixBits, IsNotMovedByWhatFollows) {
  Random random{6};
  for (int i = 0; i < 20'000; ++i) {
    const NodeId a = random.id();
    const NodeId b = near(a, random);
    int expected = 0;
    while (expected < id_bits && a.bit(expected) == b.bit(expected)) ++expected;
    EXPECT_EQ(common_prefix_bits(a, b), expected);
  }
}

}  // namespace
}  // namespace peer_relay
