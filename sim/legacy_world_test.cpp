// SPDX-License-Identifier: MIT
//
// A few nodes that carry old messages, far apart among many that do not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "world.hpp"

namespace peer_relay::sim {
namespace {

using namespace std::chrono_literals;

TEST(OldMessages, ThoseWhoCarryThemFindEachOtherInALargeNetwork) {
  World world{seed_from_environment(11)};
  world.grow(150, 40s);
  std::vector<NodeNumber> kin;
  for (const NodeNumber door : {3u, 77u, 140u}) {
    kin.push_back(world.add({.bootstrap = {door}, .legacy = true}));
    world.run_for(5s);
  }
  world.run_for(60s);
  for (const NodeNumber one : kin) {
    EXPECT_EQ(world.engine(one).stats().legacy_bridges, kin.size() - 1);
    for (const NodeNumber other : kin) {
      if (one != other) {
        EXPECT_TRUE(world.are_linked(one, other));
      }
    }
  }
  // Nobody else was sent a frame of theirs.
  EXPECT_EQ(world.total().dropped_for(DropReason::unknown_frame), 0u);
  EXPECT_EQ(world.total().dropped_for(DropReason::malformed), 0u);

  // One is lost, and comes back as another.
  world.kill(kin[0]);
  world.run_for(60s);
  const NodeNumber late = world.add({.bootstrap = {50}, .legacy = true});
  world.run_for(60s);
  EXPECT_EQ(world.engine(late).stats().legacy_bridges, 2u);
}

TEST(OldMessages, WithoutThemNothingIsDifferent) {
  World world{seed_from_environment(12)};
  world.grow(20, 20s);
  for (NodeNumber node = 0; node < world.size(); ++node) {
    EXPECT_EQ(world.engine(node).stats().legacy_bridges, 0u);
    EXPECT_EQ(world.engine(node).stats().legacy_sent, 0u);
  }
}

TEST(OldMessages, WhatIsSentBeforeThereIsALinkGoesWhereTheFirstLeads) {
  World world{seed_from_environment(13)};
  const auto alice = world.add({.legacy = true});
  const auto bob = world.add({.bootstrap = {alice}, .legacy = true});
  const MessageId message = world.send_acknowledged(bob, world.id(alice), "early");
  world.send(bob, world.id(alice), "and best effort");
  world.run_for(10s);
  EXPECT_THAT(world.texts(alice), ::testing::UnorderedElementsAre("early", "and best effort"));
  ASSERT_TRUE(world.result(bob, message));
  EXPECT_TRUE(world.result(bob, message)->delivered());
}

}  // namespace
}  // namespace peer_relay::sim
