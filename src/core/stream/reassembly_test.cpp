// SPDX-License-Identifier: MIT
#include "core/stream/reassembly.hpp"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.hpp"
#include "peer_relay/limits.hpp"

namespace peer_relay {
namespace {

constexpr std::uint64_t seed = 73;

Bytes bytes_from(std::uint64_t from, std::size_t count) {
  Bytes out(count);
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = static_cast<std::uint8_t>(((from + i) * 0x9e3779b97f4a7c15) >> 56);
  }
  return out;
}

bool add(Reassembly& to, std::uint64_t from, std::uint64_t end) {
  return to.add(from, bytes_from(from, end - from));
}

TEST(Reassembly, WhatIsInOrderIsThereAtOnce) {
  Reassembly reassembly;
  EXPECT_FALSE(reassembly.next());
  EXPECT_TRUE(add(reassembly, 0, 10));
  EXPECT_EQ(reassembly.next(), bytes_from(0, 10));
  EXPECT_FALSE(reassembly.next());
  EXPECT_TRUE(add(reassembly, 10, 20));
  EXPECT_EQ(reassembly.received(), 20u);
  EXPECT_EQ(reassembly.next(), bytes_from(10, 10));
}

TEST(Reassembly, WhatIsEarlyWaitsForWhatIsMissing) {
  Reassembly reassembly;
  EXPECT_TRUE(add(reassembly, 10, 20));
  EXPECT_TRUE(reassembly.has_gaps());
  EXPECT_EQ(reassembly.received(), 0u);
  EXPECT_EQ(reassembly.highest(), 20u);
  EXPECT_FALSE(reassembly.next());
  EXPECT_TRUE(add(reassembly, 0, 10));
  EXPECT_FALSE(reassembly.has_gaps());
  EXPECT_EQ(reassembly.next(), bytes_from(0, 20));
}

TEST(Reassembly, OnePieceMayFillManyGaps) {
  Reassembly reassembly;
  for (std::uint64_t at = 5; at < 100; at += 10) EXPECT_TRUE(add(reassembly, at, at + 5));
  EXPECT_TRUE(add(reassembly, 2, 98));
  EXPECT_FALSE(reassembly.next());
  EXPECT_TRUE(add(reassembly, 0, 3));
  EXPECT_EQ(reassembly.next(), bytes_from(0, 100));
}

// Only one who lies says two things of one byte; it gets one of them.
TEST(Reassembly, NoByteIsGivenTwice) {
  Reassembly reassembly;
  EXPECT_TRUE(add(reassembly, 5, 10));
  EXPECT_TRUE(reassembly.add(0, Bytes(12, 0xee)));
  EXPECT_EQ(reassembly.next()->size(), 12u);
  EXPECT_TRUE(reassembly.add(0, Bytes(12, 0xdd)));
  EXPECT_FALSE(reassembly.next());
  EXPECT_EQ(reassembly.received(), 12u);
}

TEST(Reassembly, HasRoomForSoManyPieces) {
  Reassembly reassembly;
  for (std::size_t i = 0; i < limits::stream_early_pieces_max; ++i) {
    ASSERT_TRUE(add(reassembly, 1 + 2 * i, 2 + 2 * i));
  }
  EXPECT_FALSE(add(reassembly, 100'001, 100'002));
  EXPECT_TRUE(add(reassembly, 3, 4)) << "nothing new";
  EXPECT_TRUE(add(reassembly, 0, 1)) << "in order";
  EXPECT_EQ(reassembly.received(), 2u);
}

TEST(Reassembly, SmallPiecesInARowBehindOneLossAreOne) {
  Reassembly reassembly;
  const std::size_t many = 4 * limits::stream_early_pieces_max;
  for (std::size_t i = 0; i < many; ++i) ASSERT_TRUE(add(reassembly, 10 + 3 * i, 13 + 3 * i)) << i;
  EXPECT_TRUE(add(reassembly, 0, 10));
  EXPECT_EQ(reassembly.next(), bytes_from(0, 10 + 3 * many));
}

// Pieces of any size, overlapping, doubled, in any order.
TEST(Reassembly, GivesTheOriginalWhateverCame) {
  Random random{seed};
  SCOPED_TRACE("seed " + std::to_string(seed));
  constexpr std::size_t whole = 2'000;  // as many pieces as there is room for
  for (int run = 0; run < 300; ++run) {
    const std::uint64_t most = 1 + random.below(random.below(2) == 0 ? 10 : 500);
    std::vector<std::pair<std::uint64_t, std::uint64_t>> pieces;
    for (std::uint64_t at = 0; at < whole;) {
      const std::uint64_t end = std::min<std::uint64_t>(whole, at + 1 + random.below(most));
      for (std::uint64_t copies = 1 + random.below(2); copies > 0; --copies) {
        const std::uint64_t before = std::min(at, random.below(most));
        const std::uint64_t after = std::min<std::uint64_t>(whole, end + random.below(most));
        pieces.emplace_back(at - before, after);
      }
      at = end;
    }
    // Near where they belong, or anywhere.
    const std::uint64_t reach = random.below(2) == 0 ? 20 : pieces.size();
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      std::swap(pieces[i], pieces[std::min(i + random.below(reach), pieces.size() - 1)]);
    }
    Reassembly reassembly;
    Bytes got;
    std::uint64_t highest = 0;
    for (const auto& [from, end] : pieces) {
      ASSERT_TRUE(add(reassembly, from, end));
      highest = std::max(highest, end);
      ASSERT_EQ(reassembly.highest(), highest);
      if (auto bytes = random.below(2) == 0 ? reassembly.next() : std::nullopt) {
        got.insert(got.end(), bytes->begin(), bytes->end());
      }
    }
    if (auto bytes = reassembly.next()) got.insert(got.end(), bytes->begin(), bytes->end());
    ASSERT_FALSE(reassembly.has_gaps());
    ASSERT_TRUE(got == bytes_from(0, whole)) << "run " << run;
  }
}

}  // namespace
}  // namespace peer_relay
