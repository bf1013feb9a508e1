// SPDX-License-Identifier: MIT
//
// Nodes that nobody can dial, linked by data channels that they agree upon through the overlay.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "world.hpp"

namespace peer_relay::sim {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::Field;

class DataChannels : public testing::Test {
 protected:
  NodeSpec browser(std::vector<NodeNumber> bootstrap) {
    return {.bootstrap = std::move(bootstrap), .listens = false, .webrtc = true};
  }
  /// Two nodes without a port, linked to one relay.
  void meet() {
    relay = world.add();
    a = world.add(browser({relay}));
    b = world.add(browser({relay}));
  }
  bool are_linked() { return world.are_linked(a, b) && world.are_linked(b, a); }

  const std::uint64_t seed = seed_from_environment(5);
  World world{seed};
  NodeNumber relay = 0, a = 0, b = 0;
};

TEST_F(DataChannels, TwoWithoutPortsAreLinkedAndOutliveTheRelay) {
  meet();
  EXPECT_TRUE(world.run_until([&] { return are_linked(); }, 10s));
  world.run_for(1s);
  EXPECT_EQ(world.channels(a, b), 1u);
  world.kill(relay);
  world.run_for(1s);
  world.send(a, world.id(b), "without the relay");
  world.run_for(1s);
  EXPECT_THAT(world.texts(b), ElementsAre("without the relay"));
  EXPECT_TRUE(are_linked());
}

TEST_F(DataChannels, ConnectAsksForOne) {
  // Too many neighbours for the two to be siblings of each other.
  relay = world.add();
  a = world.add(browser({relay}));
  b = world.add(browser({relay}));
  world.forbid(a, b);
  world.run_for(20s);
  world.permit(a, b);
  ASSERT_FALSE(are_linked());
  world.connect(a, world.id(b));
  EXPECT_TRUE(world.run_until([&] { return world.connected(a).has_value(); }, 20s));
  EXPECT_EQ(world.connected(a)->error, std::nullopt);
  EXPECT_TRUE(are_linked());
}

TEST_F(DataChannels, WhereBothOfferThereIsOneChannelAndBothAreAnswered) {
  meet();
  world.forbid(a, b);
  world.run_for(20s);
  world.permit(a, b);
  world.run_for(70s);  // until neither is shunned
  if (are_linked()) world.cut(a, b);
  world.connect(a, world.id(b));
  world.connect(b, world.id(a));
  EXPECT_TRUE(world.run_until(
      [&] { return world.connected(a).has_value() && world.connected(b).has_value(); }, 20s));
  EXPECT_EQ(world.connected(a)->error, std::nullopt);
  EXPECT_EQ(world.connected(b)->error, std::nullopt);
  world.run_for(10s);
  EXPECT_EQ(world.channels(a, b), 1u);
  EXPECT_TRUE(are_linked());
}

TEST_F(DataChannels, WhereThereIsNoWayTheOverlayStaysAndTheReasonIsTold) {
  meet();
  world.forbid(a, b);
  world.run_for(1s);
  world.connect(a, world.id(b));
  EXPECT_TRUE(world.run_until([&] { return world.connected(a).has_value(); }, 60s));
  EXPECT_EQ(world.connected(a)->error, Error::dial_failed);
  EXPECT_THAT(world.problems(a), Contains(Field(&Problem::detail, "ice_failed")));
  world.send(a, world.id(b), "by the relay");
  world.run_for(2s);
  EXPECT_THAT(world.texts(b), ElementsAre("by the relay"));
}

TEST_F(DataChannels, OneThatDiesWhileItAnswersIsGivenUp) {
  meet();
  world.forbid(a, b);
  world.run_for(1s);
  world.connect(a, world.id(b));
  world.run_for(200ms);
  world.kill(b);
  EXPECT_TRUE(world.run_until([&] { return world.connected(a).has_value(); }, 60s));
  EXPECT_EQ(world.connected(a)->error, Error::dial_failed);
}

TEST_F(DataChannels, OneWhoMakesNoneIsALeafAsBefore) {
  relay = world.add();
  a = world.add(browser({relay}));
  b = world.add({.bootstrap = {relay}, .listens = false});
  world.run_for(10s);
  EXPECT_FALSE(are_linked());
  world.connect(a, world.id(b));
  EXPECT_TRUE(world.run_until([&] { return world.connected(a).has_value(); }, 60s));
  EXPECT_EQ(world.connected(a)->error, Error::no_such_contact);
}

TEST_F(DataChannels, MostCanNotBeDialedAndAllAreReached) {
  constexpr NodeNumber relays = 18, browsers = 42;
  for (NodeNumber i = 0; i < relays; ++i) {
    world.add(i == 0 ? NodeSpec{} : NodeSpec{.bootstrap = {i - 1}});
  }
  world.run_for(5s);
  for (NodeNumber i = 0; i < browsers; ++i) {
    NodeSpec spec = browser({i % relays});
    spec.limits.links_max = 24;
    spec.limits.links_hard_max = 36;
    world.add(spec);
    world.run_for(200ms);
  }
  world.run_for(60s);
  std::vector<MessageId> sends;
  for (NodeNumber from = 0; from < world.size(); ++from) {
    for (NodeNumber to = 0; to < world.size(); ++to) {
      if (from != to) world.send(from, world.id(to), "to " + std::to_string(to));
    }
  }
  world.run_for(10s);
  std::size_t delivered = 0;
  std::uint64_t among_browsers = 0;
  for (NodeNumber node = 0; node < world.size(); ++node) {
    delivered += world.texts(node).size();
    for (NodeNumber other = relays; other < node; ++other) {
      among_browsers += world.are_linked(node, other) && node >= relays ? 1 : 0;
    }
  }
  EXPECT_EQ(delivered, world.size() * (world.size() - 1));
  EXPECT_GT(among_browsers, browsers * 2u);
}

}  // namespace
}  // namespace peer_relay::sim
