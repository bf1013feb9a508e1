// SPDX-License-Identifier: MIT
#include "base/timers.hpp"

#include <gtest/gtest.h>

#include "base/random.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t seed = 30;

TEST(Timers, FallDueEarliestFirstAndNotBefore) {
  Timers<int> timers;
  EXPECT_EQ(timers.next(), never);
  timers.arm(TimePoint{3s}, 3);
  timers.arm(TimePoint{1s}, 1);
  timers.arm(TimePoint{2s}, 2);
  EXPECT_EQ(timers.next(), TimePoint{1s});
  EXPECT_EQ(timers.pop_due(TimePoint{1s} - 1us), std::nullopt);
  EXPECT_EQ(timers.pop_due(TimePoint{2s}), 1);
  EXPECT_EQ(timers.pop_due(TimePoint{2s}), 2);
  EXPECT_EQ(timers.pop_due(TimePoint{2s}), std::nullopt);
  EXPECT_EQ(timers.next(), TimePoint{3s});
}

TEST(Timers, OfOneTimeFallDueInTheOrderOfTheirKeys) {
  Timers<int> timers;
  for (const int key : {5, 2, 4, 1, 3}) timers.arm(TimePoint{1s}, key);
  for (int key = 1; key <= 5; ++key) EXPECT_EQ(timers.pop_due(TimePoint{1s}), key);
}

TEST(Timers, ForNeverAreNotKept) {
  Timers<int> timers;
  timers.arm(never, 1);
  EXPECT_EQ(timers.size(), 0u);
}

TEST(Timers, OfOneKeyMayBeMany) {
  Timers<int> timers;
  timers.arm(TimePoint{1s}, 1);
  timers.arm(TimePoint{2s}, 1);
  EXPECT_EQ(timers.pop_due(TimePoint{9s}), 1);
  EXPECT_EQ(timers.pop_due(TimePoint{9s}), 1);
  EXPECT_EQ(timers.pop_due(TimePoint{9s}), std::nullopt);
}

TEST(Timers, ComeSortedHoweverTheyWereArmed) {
  Random random{seed};
  Timers<std::uint64_t> timers;
  for (int i = 0; i < 5000; ++i) {
    const std::uint64_t at = random.below(1000);
    timers.arm(TimePoint{Duration{static_cast<Duration::rep>(at)}}, at);
  }
  std::uint64_t last = 0;
  while (const auto key = timers.pop_due(TimePoint{1s})) {
    ASSERT_GE(*key, last) << "seed " << seed;
    last = *key;
  }
  EXPECT_EQ(timers.size(), 0u);
}

}  // namespace
}  // namespace peer_relay
