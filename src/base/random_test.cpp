// SPDX-License-Identifier: MIT
#include "base/random.hpp"

#include <array>
#include <set>

#include <gtest/gtest.h>

namespace peer_relay {
namespace {

using namespace std::chrono_literals;

TEST(Random, IsTheSameEverywhereForOneSeed) {
  Random random{0};
  // From the authors' C code for splitmix64 and xoshiro256** 1.0.
  EXPECT_EQ(random.next(), 0x99ec5f36cb75f2b4u);
  EXPECT_EQ(random.next(), 0xbf6e1f784956452au);
  EXPECT_EQ(random.next(), 0x1a5f849d4933e6e0u);
}

TEST(Random, DrawsEveryNumberBelowABoundAboutAsOften) {
  Random random{1};
  std::array<int, 7> drawn{};
  for (int i = 0; i < 70'000; ++i) ++drawn[random.below(drawn.size())];
  for (const int times : drawn) EXPECT_NEAR(times, 10'000, 500);
  EXPECT_EQ(random.below(1), 0u);
}

TEST(Random, DrawsDurationsFromEndToEnd) {
  Random random{2};
  std::set<Duration> drawn;
  for (int i = 0; i < 1000; ++i) drawn.insert(random.between(5us, 8us));
  EXPECT_EQ(drawn, (std::set<Duration>{5us, 6us, 7us, 8us}));
  EXPECT_EQ(random.between(3s, 3s), 3s);
}

TEST(Random, DrawsIdsThatDiffer) {
  Random random{3};
  std::set<NodeId> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(random.id());
  EXPECT_EQ(ids.size(), 1000u);
}

TEST(Random, SplitsIntoOnesThatDoNotShiftEachOther) {
  Random one{4};
  Random same{4};
  Random room = one.split();
  Random same_room = same.split();
  room.next();
  EXPECT_EQ(one.next(), same.next());
  same_room.next();
  EXPECT_EQ(room.next(), same_room.next());
  EXPECT_NE(one.next(), room.next());
}

TEST(RandomDeathTest, DrawsNothingFromNothing) {
  Random random{5};
  EXPECT_DEATH(random.below(0), "bound > 0");
  EXPECT_DEATH(random.between(2s, 1s), "low <= high");
}

}  // namespace
}  // namespace peer_relay
