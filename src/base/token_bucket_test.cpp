// SPDX-License-Identifier: MIT
#include "base/token_bucket.hpp"

#include <gtest/gtest.h>

namespace peer_relay {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint start{1h};

/// How many single tokens are given to one who asks this often, for so long.
int given(TokenBucket bucket, Duration every, Duration for_so_long) {
  int out = 0;
  for (Duration at = every; at <= for_so_long; at += every)
    out += bucket.take(1, start + at) ? 1 : 0;
  return out;
}

TokenBucket emptied(std::uint64_t per_second, std::uint64_t burst) {
  TokenBucket bucket{per_second, burst};
  EXPECT_TRUE(bucket.take(burst, start));
  return bucket;
}

TEST(TokenBucket, IsFullAtFirst) {
  TokenBucket bucket{1, 5};
  EXPECT_TRUE(bucket.take(5, start));
  EXPECT_FALSE(bucket.take(1, start));
}

TEST(TokenBucket, GivesAllOrNothing) {
  TokenBucket bucket{1, 5};
  EXPECT_FALSE(bucket.take(6, start));
  EXPECT_TRUE(bucket.take(5, start));
}

TEST(TokenBucket, FillsAtItsRateUpToItsBurst) {
  TokenBucket bucket = emptied(10, 5);
  EXPECT_FALSE(bucket.take(1, start + 99ms));
  EXPECT_TRUE(bucket.take(1, start + 100ms));
  EXPECT_TRUE(bucket.take(5, start + 1h));
  EXPECT_FALSE(bucket.take(1, start + 1h));
}

TEST(TokenBucket, LosesNoFractionToFrequentCalls) {
  for (const Duration every : {1ms, 7ms, 19ms, 33ms, 99ms}) {
    EXPECT_NEAR(given(emptied(10, 5), every, 10s), 100, 1) << every.count();
  }
}

TEST(TokenBucket, GivesNoMoreToFrequentCallsAtAHighRate) {
  TokenBucket bucket = emptied(300'000'000, 1'000'000);
  std::uint64_t taken = 0;
  for (int i = 1; i <= 1000; ++i) {
    for (int n = 0; n < 400; ++n) taken += bucket.take(1, start + i * 1us) ? 1 : 0;
  }
  EXPECT_LE(taken, 300'000u);
  EXPECT_GE(taken, 299'000u);
}

TEST(TokenBucket, OfRateZeroGivesItsBurstOnce) {
  TokenBucket bucket = emptied(0, 3);
  EXPECT_FALSE(bucket.take(1, start + 1000h));
}

TEST(TokenBucket, IsNotShakenByLongWaitsAndLargeRates) {
  constexpr std::uint64_t large = std::uint64_t{1} << 40;
  TokenBucket bucket = emptied(large, large);
  EXPECT_FALSE(bucket.take(large, start + 999ms));
  EXPECT_TRUE(bucket.take(large, start + 1s + 1us));
  EXPECT_TRUE(bucket.take(large, start + 100'000h));
  EXPECT_FALSE(bucket.take(1, start + 100'000h));
}

TEST(TokenBucket, IgnoresATimeBeforeTheLast) {
  TokenBucket bucket = emptied(10, 5);
  EXPECT_FALSE(bucket.take(1, start - 1h));
  EXPECT_TRUE(bucket.take(1, start + 100ms));
}

}  // namespace
}  // namespace peer_relay
