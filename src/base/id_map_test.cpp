// SPDX-License-Identifier: MIT
#include "base/id_map.hpp"

#include <cstdint>
#include <map>

#include <gtest/gtest.h>

#include "base/random.hpp"

namespace peer_relay {
namespace {

enum class Number : std::uint64_t {};

struct Thing {
  Number id{};
  std::uint64_t value = 0;
};

using Things = IdMap<Number, Thing>;

TEST(IdMap, FindsWhatWasAddedAndNothingElse) {
  Things things;
  EXPECT_EQ(things.find(Number{1}), nullptr);
  things.add(Number{1}).value = 11;
  ASSERT_NE(things.find(Number{1}), nullptr);
  EXPECT_EQ(things.find(Number{1})->value, 11u);
  EXPECT_EQ(things.find(Number{2}), nullptr);
}

TEST(IdMap, LeavesValuesWhereTheyAre) {
  Things things;
  const Thing* const first = &things.add(Number{0});
  for (std::uint64_t i = 1; i < 100; ++i) things.add(Number{i});
  for (std::uint64_t i = 1; i < 100; i += 2) things.erase(Number{i});
  EXPECT_EQ(things.find(Number{0}), first);
}

TEST(IdMap, ForeseeingChangesNothing) {
  Things things;
  things.foresee(Number{1});
  things.foresee_value(Number{1});
  things.add(Number{1});
  things.foresee(Number{2});
  things.foresee_value(Number{1});
  EXPECT_EQ(things.size(), 1u);
}

// As a world numbers its links: the place in the low bits, how often it was used in the high ones.
TEST(IdMap, DoesWhatAMapDoesWhileItGrowsAndShrinks) {
  Random random{7};
  Things things;
  std::map<Number, std::uint64_t> expected;
  for (int step = 0; step < 20'000; ++step) {
    const Number id{random.below(40) << 33 | random.below(20) << 1};
    const bool grows = step / 4'000 % 2 == 0;
    if (expected.contains(id) && !(grows && random.below(4) > 0)) {
      things.erase(id);
      expected.erase(id);
    } else if (!expected.contains(id)) {
      const std::uint64_t value = random.next();
      things.add(id).value = value;
      things.note(id) = static_cast<std::uint32_t>(value);
      expected.emplace(id, value);
    }
    ASSERT_EQ(things.size(), expected.size());
  }
  for (const auto& [id, value] : expected) {
    ASSERT_NE(things.find(id), nullptr);
    EXPECT_EQ(things.find(id)->value, value);
    EXPECT_EQ(things.note(id), static_cast<std::uint32_t>(value));
  }
  std::size_t rows = 0;
  for (const auto& thing : things) {
    EXPECT_TRUE(expected.contains(thing->id));
    EXPECT_EQ(things.notes()[rows], static_cast<std::uint32_t>(thing->value));
    ++rows;
  }
  EXPECT_EQ(rows, expected.size());
}

}  // namespace
}  // namespace peer_relay
