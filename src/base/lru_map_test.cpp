// SPDX-License-Identifier: MIT
#include "base/lru_map.hpp"

#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace peer_relay {
namespace {

using testing::ElementsAre;
using testing::Pair;

LruMap<int, std::string> of_three() {
  LruMap<int, std::string> map{3};
  map.insert(1, "one");
  map.insert(2, "two");
  map.insert(3, "three");
  return map;
}

std::vector<std::pair<int, std::string>> in_order(const LruMap<int, std::string>& map) {
  return {map.begin(), map.end()};
}

TEST(LruMap, KeepsTheMostRecentFirst) {
  EXPECT_THAT(in_order(of_three()), ElementsAre(Pair(3, "three"), Pair(2, "two"), Pair(1, "one")));
}

TEST(LruMap, LetsTheLongestUnusedGoForANewKey) {
  auto map = of_three();
  const auto inserted = map.insert(4, "four");
  EXPECT_EQ(inserted.value, "four");
  ASSERT_TRUE(inserted.displaced);
  EXPECT_THAT(*inserted.displaced, Pair(1, "one"));
  EXPECT_EQ(map.size(), 3u);
  EXPECT_EQ(map.find(1), nullptr);
}

TEST(LruMap, CountsAFindAsAUseAndAPeekNot) {
  auto map = of_three();
  EXPECT_EQ(*map.peek(1), "one");
  EXPECT_EQ(*map.find(2), "two");
  EXPECT_EQ(map.insert(4, "four").displaced->first, 1);
  EXPECT_EQ(map.insert(5, "five").displaced->first, 3);
  EXPECT_EQ(map.peek(9), nullptr);
  EXPECT_EQ(map.find(9), nullptr);
}

TEST(LruMap, GivesAnOldKeyANewValueAndDisplacesNobody) {
  auto map = of_three();
  const auto inserted = map.insert(1, "uno");
  EXPECT_FALSE(inserted.displaced);
  EXPECT_THAT(in_order(map), ElementsAre(Pair(1, "uno"), Pair(3, "three"), Pair(2, "two")));
}

TEST(LruMap, Forgets) {
  auto map = of_three();
  EXPECT_TRUE(map.erase(2));
  EXPECT_FALSE(map.erase(2));
  EXPECT_THAT(in_order(map), ElementsAre(Pair(3, "three"), Pair(1, "one")));
  EXPECT_FALSE(map.insert(4, "four").displaced);
}

TEST(LruMap, KeepsReferencesGoodUntilTheirKeyGoes) {
  auto map = of_three();
  std::string& two = *map.find(2);
  map.insert(4, "four");
  map.erase(3);
  map.insert(5, "five");
  two = "still here";
  EXPECT_EQ(*map.peek(2), "still here");
}

TEST(LruMap, StaysItselfWhenItIsMoved) {
  auto map = of_three();
  auto moved = std::move(map);
  EXPECT_EQ(*moved.find(1), "one");
  EXPECT_EQ(moved.insert(4, "four").displaced->first, 2);
  static_assert(!std::is_copy_constructible_v<LruMap<int, int>>);
}

TEST(LruMap, OwnsWhatCannotBeCopied) {
  LruMap<int, std::unique_ptr<int>> map{1};
  map.insert(1, std::make_unique<int>(1));
  EXPECT_EQ(*map.insert(2, std::make_unique<int>(2)).displaced->second, 1);
}

}  // namespace
}  // namespace peer_relay
