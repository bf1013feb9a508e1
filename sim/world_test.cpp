// SPDX-License-Identifier: MIT
//
// Whole nodes under a virtual clock.
#include "world.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace peer_relay::sim {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

TEST(World, TwoNodesTalk) {
  World world{seed_from_environment(1)};
  const auto alice = world.add();
  const auto bob = world.add({.bootstrap = {alice}});
  world.run_for(2s);
  ASSERT_TRUE(world.are_linked(alice, bob));
  world.send(alice, world.id(bob), "hello");
  world.run_for(1s);
  EXPECT_THAT(world.texts(bob), ElementsAre("hello"));
  const auto message = world.send_acknowledged(bob, world.id(alice), "hello back");
  world.run_for(1s);
  ASSERT_TRUE(world.result(bob, message).has_value());
  EXPECT_TRUE(world.result(bob, message)->delivered());
  EXPECT_EQ(world.result(bob, message)->hops, 1);
}

TEST(World, EveryPairOfThirty) {
  World world{seed_from_environment(2)};
  world.grow(30, 10s);
  for (NodeNumber a = 0; a < world.size(); ++a) {
    for (NodeNumber b = 0; b < world.size(); ++b) {
      if (a != b) world.send(a, world.id(b), std::to_string(a));
    }
  }
  world.run_for(5s);
  std::size_t got = 0;
  for (NodeNumber b = 0; b < world.size(); ++b) got += world.inbox(b).size();
  EXPECT_EQ(got, world.size() * (world.size() - 1));
}

TEST(World, EveryPairOfTwoHundred) {
  World world{seed_from_environment(3), CryptoFlavour::modelled};
  world.grow(200, 20s);
  const Stats before = world.total();
  std::printf("links %.1f lookups %llu answered %llu\n", double(before.links) / 200.0,
              (unsigned long long)before.lookups, (unsigned long long)before.lookups_answered);
  for (NodeNumber a = 0; a < world.size(); ++a) {
    for (NodeNumber b = 0; b < world.size(); ++b) {
      if (a != b) world.send(a, world.id(b), std::to_string(a));
    }
    world.run_for(10ms);
  }
  world.run_for(5s);
  std::size_t got = 0;
  std::size_t hops = 0;
  for (NodeNumber b = 0; b < world.size(); ++b) {
    got += world.inbox(b).size();
    for (const auto& m : world.inbox(b)) hops += static_cast<std::size_t>(m.hops);
  }
  EXPECT_EQ(got, world.size() * (world.size() - 1));
  std::printf("hops %.2f\n", double(hops) / double(got));
}

}  // namespace
}  // namespace peer_relay::sim
