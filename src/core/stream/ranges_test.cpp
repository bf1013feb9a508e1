// SPDX-License-Identifier: MIT
#include "core/stream/ranges.hpp"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.hpp"

namespace peer_relay {
namespace {

constexpr std::uint64_t seed = 71;

/// All that is in it, taken out.
std::vector<std::pair<std::uint64_t, std::uint64_t>> emptied(Ranges ranges) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> out;
  while (const auto range = ranges.take(UINT32_MAX)) out.emplace_back(range->from, range->to);
  return out;
}

using Pairs = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

TEST(Ranges, ThoseThatTouchAreOne) {
  Ranges ranges;
  ranges.add({10, 20});
  ranges.add({30, 40});
  EXPECT_EQ(emptied(ranges), (Pairs{{10, 20}, {30, 40}}));
  ranges.add({20, 30});
  EXPECT_EQ(emptied(ranges), (Pairs{{10, 40}}));
  EXPECT_EQ(ranges.size(), 1u);
}

TEST(Ranges, AnEmptyOneIsNone) {
  Ranges ranges;
  ranges.add({5, 5});
  ranges.add({6, 5});
  EXPECT_TRUE(ranges.empty());
  EXPECT_FALSE(ranges.take(10));
}

TEST(Ranges, AreTakenFromTheFirstOnInParts) {
  Ranges ranges;
  ranges.add({30, 40});
  ranges.add({10, 20});
  EXPECT_EQ(ranges.take(4)->to, 14u);
  EXPECT_EQ(ranges.take(100)->from, 14u);
  EXPECT_EQ(ranges.take(100)->from, 30u);
  EXPECT_FALSE(ranges.take(100));
}

TEST(Ranges, AreDroppedUpToTheMiddleOfOne) {
  Ranges ranges;
  ranges.add({10, 20});
  ranges.add({30, 40});
  ranges.drop_before(35);
  EXPECT_EQ(emptied(ranges), (Pairs{{35, 40}}));
  ranges.drop_before(40);
  EXPECT_TRUE(ranges.empty());
}

TEST(Ranges, HoldWhatABitmapHolds) {
  Random random{seed};
  SCOPED_TRACE("seed " + std::to_string(seed));
  for (int run = 0; run < 200; ++run) {
    Ranges ranges;
    std::vector<bool> bits(200);
    for (int step = 0; step < 60; ++step) {
      const std::uint64_t from = random.below(bits.size());
      const std::uint64_t to = std::min<std::uint64_t>(bits.size(), from + random.below(30));
      switch (random.below(4)) {
        case 0: {
          const std::uint64_t drop = random.below(bits.size() / 4);
          ranges.drop_before(drop);
          std::fill_n(bits.begin(), drop, false);
          break;
        }
        case 1: {
          const auto first = std::ranges::find(bits, true) - bits.begin();
          const auto taken = ranges.take(1 + random.below(10));
          ASSERT_EQ(taken.has_value(), first < static_cast<std::ptrdiff_t>(bits.size()));
          if (!taken) break;
          ASSERT_EQ(taken->from, static_cast<std::uint64_t>(first));
          for (std::uint64_t at = taken->from; at < taken->to; ++at) {
            ASSERT_TRUE(bits[at]);
            bits[at] = false;
          }
          break;
        }
        default:
          ranges.add({from, to});
          for (std::uint64_t at = from; at < to; ++at) bits[at] = true;
      }
      std::vector<bool> held(bits.size());
      const Pairs pairs = emptied(ranges);
      ASSERT_EQ(pairs.size(), ranges.size());
      std::uint64_t last = 0;
      for (const auto& [begin, end] : pairs) {
        ASSERT_TRUE(begin < end && (begin > last || last == 0)) << "in order and apart";
        last = end;
        for (std::uint64_t at = begin; at < end; ++at) held[at] = true;
      }
      ASSERT_EQ(held, bits);
    }
  }
}

}  // namespace
}  // namespace peer_relay
