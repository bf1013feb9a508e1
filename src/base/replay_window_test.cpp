// SPDX-License-Identifier: MIT
#include "base/replay_window.hpp"

#include <cstdint>
#include <limits>
#include <set>

#include <gtest/gtest.h>

#include "base/random.hpp"

namespace peer_relay {
namespace {

constexpr std::uint64_t window = limits::replay_window;

TEST(ReplayWindow, TakesEachNumberOnceInOrder) {
  ReplayWindow seen;
  for (std::uint64_t number = 0; number < 3 * window; ++number) {
    ASSERT_TRUE(seen.is_new(number));
    ASSERT_TRUE(seen.take(number));
    ASSERT_FALSE(seen.take(number));
    ASSERT_FALSE(seen.take(0));
  }
}

TEST(ReplayWindow, TakesTheOldestNumberThatItRemembersAndNoneBefore) {
  ReplayWindow seen;
  ASSERT_TRUE(seen.take(5000));
  EXPECT_FALSE(seen.is_new(5000 - window));
  EXPECT_FALSE(seen.take(5000 - window));
  EXPECT_TRUE(seen.take(5000 - window + 1));
  EXPECT_FALSE(seen.take(5000 - window + 1));
}

TEST(ReplayWindow, RemembersWhatCameBeforeTheFirstGap) {
  ReplayWindow seen;
  for (std::uint64_t number = 0; number < 100; ++number) ASSERT_TRUE(seen.take(number));
  ASSERT_TRUE(seen.take(102));
  for (std::uint64_t number = 0; number < 100; ++number) ASSERT_FALSE(seen.is_new(number));
  EXPECT_TRUE(seen.take(100));
  EXPECT_TRUE(seen.take(101));
  EXPECT_FALSE(seen.take(102));
}

TEST(ReplayWindow, ForgetsAllInALeapAndKeepsTheWholeWindowInOneWordLess) {
  ReplayWindow seen;
  for (std::uint64_t number = 0; number < 64; ++number) ASSERT_TRUE(seen.take(number));
  ASSERT_TRUE(seen.take(63 + window));  // 64 is the oldest that still counts
  EXPECT_FALSE(seen.is_new(63));
  EXPECT_TRUE(seen.take(64));
  ASSERT_TRUE(seen.take(1'000'000));
  for (std::uint64_t number = 1'000'000 - window + 1; number < 1'000'000; ++number) {
    ASSERT_TRUE(seen.is_new(number));
  }
}

TEST(ReplayWindow, NeverTakesTheLargestNumber) {
  constexpr std::uint64_t largest = std::numeric_limits<std::uint64_t>::max();
  ReplayWindow seen;
  EXPECT_FALSE(seen.take(largest));
  EXPECT_TRUE(seen.take(largest - 1));
  EXPECT_FALSE(seen.take(largest));
  EXPECT_FALSE(seen.take(largest - 1));
  EXPECT_TRUE(seen.take(largest - window));
  EXPECT_FALSE(seen.take(largest - window - 1));
}

/// Against a set that never forgets.
TEST(ReplayWindow, DoesAsASetWouldWithinTheWindow) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    Random random{seed};
    ReplayWindow seen;
    std::set<std::uint64_t> model;
    std::uint64_t top = random.below(3) == 0 ? random.below(100'000) : 0;
    for (int i = 0; i < 4000; ++i) {
      const std::uint64_t reach = random.below(20) == 0 ? 2 * window : 70;
      const std::uint64_t number = random.below(2) == 0
                                       ? top + random.below(reach)
                                       : top - random.below(std::min(top, 2 * window) + 1);
      const std::uint64_t next = model.empty() ? 0 : *model.rbegin() + 1;
      const bool is_too_old = number + window < next;
      const bool is_new = !is_too_old && !model.contains(number);
      ASSERT_EQ(seen.is_new(number), is_new) << number;
      ASSERT_EQ(seen.take(number), is_new) << number;
      if (is_new) model.insert(number);
      top = std::max(top, number);
    }
  }
}

}  // namespace
}  // namespace peer_relay
