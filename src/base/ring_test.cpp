// SPDX-License-Identifier: MIT
#include "base/ring.hpp"

#include <deque>
#include <memory>

#include <gtest/gtest.h>

#include "base/random.hpp"

namespace peer_relay {
namespace {

constexpr std::uint64_t seed = 4;

TEST(Ring, GivesBackInTheOrderOfPushing) {
  Ring<int> ring;
  EXPECT_TRUE(ring.empty());
  for (int i = 0; i < 100; ++i) ring.push(i);
  EXPECT_EQ(ring.size(), 100u);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(ring.front(), i);
    EXPECT_EQ(ring.pop(), i);
  }
  EXPECT_TRUE(ring.empty());
}

TEST(Ring, BehavesAsADequeWhateverIsDone) {
  Random random{seed};
  Ring<std::uint64_t> ring;
  std::deque<std::uint64_t> model;
  for (int i = 0; i < 20'000; ++i) {
    const bool is_growing = i / 500 % 2 == 0;
    if (model.empty() || random.below(10) < (is_growing ? 6u : 4u)) {
      model.push_back(random.next());
      ring.push(model.back());
    } else {
      ASSERT_EQ(ring.pop(), model.front()) << "step " << i << " of seed " << seed;
      model.pop_front();
    }
    ASSERT_EQ(ring.size(), model.size());
    for (std::size_t at = 0; at < model.size(); ++at) ASSERT_EQ(ring[at], model[at]);
  }
}

TEST(Ring, OwnsWhatCannotBeCopiedAndLetsGoOfItAtOnce) {
  Ring<std::shared_ptr<int>> ring;
  const auto kept = std::make_shared<int>(7);
  ring.push(kept);
  EXPECT_EQ(kept.use_count(), 2);
  ring.pop();
  EXPECT_EQ(kept.use_count(), 1);

  Ring<std::unique_ptr<int>> owners;
  for (int i = 0; i < 10; ++i) owners.push(std::make_unique<int>(i));
  EXPECT_EQ(*owners.pop(), 0);
}

TEST(RingDeathTest, HasNothingToGiveWhenEmpty) {
  Ring<int> ring;
  EXPECT_DEATH(ring.pop(), "count_ > 0");
  EXPECT_DEATH(ring.front(), "count_ > 0");
  EXPECT_DEATH(ring[0], "index < count_");
}

}  // namespace
}  // namespace peer_relay
