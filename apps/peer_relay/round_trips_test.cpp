// SPDX-License-Identifier: MIT
#include "round_trips.hpp"

#include <gtest/gtest.h>

namespace peer_relay::app {
namespace {

TEST(RoundTrips, KnowsItsQuantilesByNearestRank) {
  RoundTrips trips;
  for (int i = 100; i >= 1; --i) trips.add(Duration{i});
  EXPECT_EQ(trips.min(), Duration{1});
  EXPECT_EQ(trips.median(), Duration{50});
  EXPECT_EQ(trips.quantile(0.99), Duration{99});
  EXPECT_EQ(trips.max(), Duration{100});
  EXPECT_EQ(trips.mean(), Duration{50});
}

TEST(RoundTrips, OfNothingAreZero) {
  EXPECT_EQ(RoundTrips{}.median(), Duration{});
  EXPECT_EQ(RoundTrips{}.mean(), Duration{});
}

TEST(RoundTrips, StayBoundedAndFair) {
  RoundTrips trips;
  for (std::size_t i = 0; i < 2 * RoundTrips::kept_max; ++i) trips.add(Duration{i});
  EXPECT_EQ(trips.count(), 2 * RoundTrips::kept_max);
  EXPECT_EQ(trips.max(), Duration{2 * RoundTrips::kept_max - 1});
  const auto middle = static_cast<double>(trips.median().count());
  EXPECT_NEAR(middle, static_cast<double>(RoundTrips::kept_max), 0.01 * RoundTrips::kept_max);
}

}  // namespace
}  // namespace peer_relay::app
