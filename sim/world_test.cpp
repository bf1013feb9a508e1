// SPDX-License-Identifier: MIT
//
// Whole nodes under a virtual clock: what the overlay promises, and what it does when links and
// nodes fail it. Each test prints its seed.
#include "world.hpp"

#include <algorithm>
#include <set>
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/noise/handshake.hpp"
#include "core/wire/envelope.hpp"
#include "core/wire/hello.hpp"
#include "core/wire/overlay.hpp"

namespace peer_relay::sim {
namespace {

using namespace std::chrono_literals;
using testing::AnyOf;
using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

// Sends between all living pairs, best effort, and says which did not arrive.
std::vector<std::pair<NodeNumber, NodeNumber>> failed_pairs(World& world, Duration patience = 5s) {
  world.clear_inboxes();
  std::vector<NodeNumber> living;
  for (NodeNumber node = 0; node < world.size(); ++node) {
    if (world.is_alive(node)) living.push_back(node);
  }
  for (const NodeNumber a : living) {
    for (const NodeNumber b : living) {
      if (a != b) world.send(a, world.id(b), "hello");
    }
    world.run_for(5ms);
  }
  world.run_for(patience);
  std::vector<std::pair<NodeNumber, NodeNumber>> failed;
  for (const NodeNumber b : living) {
    std::set<NodeId> heard;
    for (const Message& message : world.inbox(b)) heard.insert(message.from);
    for (const NodeNumber a : living) {
      if (a != b && !heard.contains(world.id(a))) failed.emplace_back(a, b);
    }
  }
  return failed;
}

// ---- Joining --------------------------------------------------------------------------------

TEST(Joining, TwoNodesTalk) {
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

TEST(Joining, WhatIsSentBeforeTheFirstLinkArrives) {
  World world{seed_from_environment(2)};
  const auto alice = world.add();
  const auto bob = world.add({.bootstrap = {alice}});
  world.send(bob, world.id(alice), "early");
  const auto kept = world.send_acknowledged(bob, world.id(alice), "early and sure");
  world.run_for(3s);
  EXPECT_THAT(world.texts(alice), UnorderedElementsAre("early", "early and sure"));
  ASSERT_TRUE(world.result(bob, kept).has_value());
  EXPECT_TRUE(world.result(bob, kept)->delivered());
}

TEST(Joining, AllAtOnceOffOneNode) {
  World world{seed_from_environment(3), CryptoFlavour::modelled};
  const auto first = world.add();
  for (int i = 0; i < 60; ++i) world.add({.bootstrap = {first}});
  world.run_for(20s);
  EXPECT_THAT(failed_pairs(world), IsEmpty());
}

TEST(Joining, InAChainEachOffTheOneBefore) {
  World world{seed_from_environment(4), CryptoFlavour::modelled};
  for (int i = 0; i < 60; ++i) {
    NodeSpec spec;
    if (i > 0) spec.bootstrap = {world.size() - 1};
    world.add(std::move(spec));
    world.run_for(20ms);
  }
  world.run_for(20s);
  EXPECT_THAT(failed_pairs(world), IsEmpty());
}

TEST(Joining, BeforeTheBootstrapNodeIsThere) {
  World world{seed_from_environment(5)};
  const auto late = world.add();
  world.kill(late);
  const auto early = world.add({.bootstrap = {late}});
  world.run_for(30s);
  EXPECT_FALSE(world.problems(early).empty());
  world.restart(late, {});
  ASSERT_TRUE(world.run_until([&] { return world.are_linked(early, late); }, 90s));
}

TEST(Joining, NetworksDoNotMixAndTheErrorNamesTheOther) {
  World world{seed_from_environment(6)};
  const auto red = world.add({.network = "red"});
  const auto blue = world.add({.bootstrap = {red}, .network = "blue"});
  world.run_for(5s);
  EXPECT_FALSE(world.are_linked(red, blue));
  ASSERT_FALSE(world.problems(blue).empty());
  const Problem& problem = world.problems(blue).front();
  EXPECT_EQ(problem.kind, Problem::Kind::wrong_network);
  EXPECT_EQ(problem.detail, "red");
  EXPECT_EQ(problem.where, world.url(red));
}

TEST(Joining, LeavesReachEachOtherThroughRelays) {
  World world{seed_from_environment(7), CryptoFlavour::modelled};
  world.grow(20, 5s);
  for (int i = 0; i < 20; ++i) {
    world.add({.bootstrap = {static_cast<NodeNumber>(i)}, .listens = false});
    world.run_for(50ms);
  }
  world.run_for(15s);
  EXPECT_THAT(failed_pairs(world), IsEmpty());
}

TEST(Joining, TwoLeavesAndOneRelay) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {  // all orders of three ids
    World world{seed};
    const auto relay = world.add();
    const auto a = world.add({.bootstrap = {relay}, .listens = false});
    const auto b = world.add({.bootstrap = {relay}, .listens = false});
    world.run_for(3s);
    EXPECT_FALSE(world.are_linked(a, b));
    const auto message = world.send_acknowledged(a, world.id(b), "over the relay");
    world.run_for(1s);
    ASSERT_TRUE(world.result(a, message).has_value()) << "seed " << seed;
    EXPECT_TRUE(world.result(a, message)->delivered()) << "seed " << seed;
    EXPECT_EQ(world.result(a, message)->hops, 2);
  }
}

// ---- Routing --------------------------------------------------------------------------------

TEST(Routing, EveryPairOfTwoHundredAndTransmissionsAreHops) {
  World world{seed_from_environment(10), CryptoFlavour::modelled};
  Random random{10};
  for (NodeNumber node = 0; node < 200; ++node) {
    NodeSpec spec;
    spec.limits.audit_every = Duration::max();  // or there were no quiet moment
    if (node > 0) spec.bootstrap = {random.below(node)};
    world.add(spec);
    world.run_for(100ms);
  }
  world.run_for(40s);
  EXPECT_THAT(failed_pairs(world), IsEmpty());
  // Sessions stand now: what follows is one envelope a message, where no upkeep speaks in between.
  for (int moment = 0; moment < 20; ++moment) {
    world.clear_inboxes();
    const Stats before = world.total();
    std::size_t sent = 0;
    for (NodeNumber a = 0; a < world.size(); ++a) {
      for (NodeNumber b = a % 11; b < world.size(); b += 11) {
        if (a == b) continue;
        world.send(a, world.id(b), "counted");
        ++sent;
      }
    }
    world.run_for(500ms);
    const Stats after = world.total();
    std::uint64_t hops = 0;
    std::size_t received = 0;
    for (NodeNumber node = 0; node < world.size(); ++node) {
      received += world.inbox(node).size();
      for (const Message& message : world.inbox(node)) {
        hops += static_cast<std::uint64_t>(message.hops);
      }
    }
    ASSERT_EQ(received, sent);
    if (after.lookups != before.lookups || after.lookups_answered != before.lookups_answered) {
      continue;
    }
    EXPECT_EQ(after.transmissions - before.transmissions, hops);
    EXPECT_EQ(after.envelopes_originated - before.envelopes_originated, sent);
    return;
  }
  FAIL() << "there was no quiet moment";
}

TEST(Routing, AnUnknownIdIsAnsweredSoon) {
  World world{seed_from_environment(11), CryptoFlavour::modelled};
  world.grow(60, 20s);
  Random random{11};
  for (int i = 0; i < 20; ++i) {
    const NodeNumber from = random.below(world.size());
    const NodeId nobody = random.id();
    const TimePoint asked = world.now();
    const auto message = world.send_acknowledged(from, nobody, "anybody there?");
    ASSERT_TRUE(world.run_until([&] { return world.result(from, message).has_value(); }, 5s));
    const SendResult result = *world.result(from, message);
    EXPECT_EQ(result.outcome, SendResult::Outcome::unreachable);
    EXPECT_EQ(result.reason, UnreachableReason::dead_end);
    // There and back, the best way and careful ones, the last of which wait for their time: no pair
    // is farther apart than 50 ms, no way longer than a few hops.
    EXPECT_LE(world.now() - asked, 2 * 2 * 50ms * 4 + limits::session_handshake_retry);
  }
}

TEST(Routing, TraceNamesEachHop) {
  World world{seed_from_environment(12), CryptoFlavour::modelled};
  world.grow(200, 20s);
  Random random{12};
  int longest = 0;
  for (int i = 0; i < 50; ++i) {
    const NodeNumber from = random.below(world.size());
    const NodeNumber to = (from + 1 + random.below(world.size() - 1)) % world.size();
    world.trace(from, world.id(to));
    world.run_for(3s);
    ASSERT_FALSE(world.hops(from).empty());
    EXPECT_TRUE(world.hops(from).back().is_target);
    EXPECT_EQ(world.hops(from).back().id, world.id(to));
    // Each hop is strictly closer than the one before.
    for (std::size_t hop = 1; hop < world.hops(from).size(); ++hop) {
      EXPECT_TRUE(is_closer(world.hops(from)[hop].id, world.hops(from)[hop - 1].id, world.id(to)));
    }
    longest = std::max(longest, static_cast<int>(world.hops(from).size()));
  }
  EXPECT_GE(longest, 2);
}

TEST(Routing, ANodeWithoutAnyLinkSaysSo) {
  World world{seed_from_environment(13)};
  const auto alone = world.add();
  const auto other = world.add();
  const auto message = world.send_acknowledged(alone, world.id(other), "hello", {.timeout = 3s});
  world.run_for(4s);  // it waits for a link as long as it may
  ASSERT_TRUE(world.result(alone, message).has_value());
  EXPECT_EQ(world.result(alone, message)->outcome, SendResult::Outcome::unreachable);
  EXPECT_EQ(world.result(alone, message)->reason, UnreachableReason::no_links);
}

// ---- Links ----------------------------------------------------------------------------------

TEST(Links, CrossingDialsEndInOneLink) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    World world{seed};
    const auto hub = world.add();
    const auto a = world.add({.bootstrap = {hub}});
    const auto b = world.add({.bootstrap = {hub}});
    world.run_for(Duration{static_cast<Duration::rep>(seed * 7919)});
    world.connect(a, world.id(b));
    world.connect(b, world.id(a));
    world.run_for(8s);
    EXPECT_TRUE(world.are_linked(a, b)) << "seed " << seed;
    EXPECT_EQ(world.channels(a, b), 1u) << "seed " << seed;
    EXPECT_TRUE(world.connected(a).has_value());
    EXPECT_TRUE(world.connected(b).has_value());
    EXPECT_THAT(world.lost(a), IsEmpty()) << "the change of links was no loss";
    EXPECT_THAT(world.lost(b), IsEmpty());
  }
}

TEST(Links, NothingIsLostWhenTwoLinksBecomeOne) {
  for (std::uint64_t seed = 100; seed < 120; ++seed) {
    World world{seed};
    const auto a = world.add();
    const auto b = world.add({.bootstrap = {a}});
    world.run_for(2s);
    // Sessions and one link stand; now each dials the other by address, crossing, with traffic on.
    std::size_t sent = 0;
    for (int i = 0; i < 200; ++i) {
      if (i == 40) world.engine(a).connect(*Address::parse(world.url(b)), world.now());
      if (i == 41) world.engine(b).connect(*Address::parse(world.url(a)), world.now());
      if (i == 90) world.engine(a).connect(*Address::parse(world.url(b)), world.now());
      world.send(a, world.id(b), std::to_string(i));
      world.send(b, world.id(a), std::to_string(i));
      ++sent;
      world.run_for(2ms);
    }
    world.run_for(8s);
    EXPECT_THAT(world.inbox(a), SizeIs(sent)) << "seed " << seed;
    EXPECT_THAT(world.inbox(b), SizeIs(sent)) << "seed " << seed;
    EXPECT_EQ(world.channels(a, b), 1u) << "seed " << seed;
    EXPECT_THAT(world.lost(a), IsEmpty());
  }
}

TEST(Links, ADarkLinkIsNoticedAndReplaced) {
  World world{seed_from_environment(20)};
  const auto a = world.add();
  const auto b = world.add({.bootstrap = {a}});
  world.run_for(2s);
  world.go_dark(a, b);
  world.run_for(limits::link_dead_after + 1s);
  ASSERT_FALSE(world.lost(b).empty());
  EXPECT_EQ(world.lost(b).front().reason, CloseReason::keepalive_timeout);
  ASSERT_TRUE(world.run_until([&] { return world.are_linked(a, b); }, 10s));
  world.send(a, world.id(b), "again");
  world.run_for(1s);
  EXPECT_THAT(world.texts(b), ElementsAre("again"));
}

TEST(Links, AcknowledgedSendsGoAroundADarkLink) {
  World world{seed_from_environment(21), CryptoFlavour::modelled};
  world.grow(40, 15s);
  Random random{21};
  int tried = 0;
  for (int i = 0; i < 20; ++i) {
    const NodeNumber a = random.below(world.size());
    const NodeNumber b = (a + 1 + random.below(world.size() - 1)) % world.size();
    if (!world.are_linked(a, b)) continue;
    ++tried;
    world.go_dark(a, b);
    const auto message = world.send_acknowledged(a, world.id(b), "by another way");
    ASSERT_TRUE(world.run_until([&] { return world.result(a, message).has_value(); }, 20s));
    EXPECT_TRUE(world.result(a, message)->delivered());
    world.cut(a, b);
    world.run_for(5s);
  }
  EXPECT_GE(tried, 5);
}

TEST(Links, AStalledLinkHoldsNoMoreThanItsBound) {
  World world{seed_from_environment(22)};
  const auto a = world.add();
  const auto b = world.add({.bootstrap = {a}});
  world.run_for(2s);
  world.send(a, world.id(b), "a session");
  world.run_for(1s);
  world.stall(a, b);
  const std::string kilobyte(1024, 'x');
  for (int i = 0; i < 5000; ++i) world.send(a, world.id(b), kilobyte);
  const Stats stats = world.engine(a).stats();
  EXPECT_LE(stats.queued_bytes, limits::link_queue_bytes_max);
  EXPECT_GT(stats.dropped_for(DropReason::queue_full), 3000u);
  world.resume(a, b);
  world.run_for(5s);
  EXPECT_GT(world.inbox(b).size(), 500u);
  EXPECT_TRUE(world.are_linked(a, b));
}

TEST(Links, GoodbyeTellsItsReason) {
  World world{seed_from_environment(23)};
  const auto a = world.add();
  const auto b = world.add({.bootstrap = {a}});
  world.run_for(2s);
  world.shut_down(b);
  world.run_for(1s);
  ASSERT_THAT(world.lost(a), SizeIs(1));
  EXPECT_EQ(world.lost(a).front().reason, CloseReason::shutdown);
  EXPECT_TRUE(world.engine(b).is_shut_down());
}

TEST(Links, ConnectMakesADirectLinkAndUnknownIdsFail) {
  World world{seed_from_environment(24), CryptoFlavour::modelled};
  world.grow(150, 20s);
  for (NodeNumber b = 1; b < world.size(); ++b) {
    if (world.are_linked(0, b)) continue;
    world.connect(0, world.id(b));
    world.run_for(3s);
    EXPECT_TRUE(world.are_linked(0, b));
    ASSERT_TRUE(world.connected(0).has_value());
    EXPECT_FALSE(world.connected(0)->error.has_value());
    break;
  }
  world.connect(0, Random{5}.id());
  world.run_for(5s);
  EXPECT_EQ(world.connected(0)->error, Error::no_such_contact);
}

// ---- Repair ---------------------------------------------------------------------------------

TEST(Repair, AThirdKilledAtOnceHealsWithinFifteenSeconds) {
  World world{seed_from_environment(30), CryptoFlavour::modelled};
  world.grow(60, 20s);
  for (NodeNumber node = 0; node < 20; ++node) world.kill(node * 3);
  world.run_for(10s);
  EXPECT_THAT(failed_pairs(world), IsEmpty());
}

TEST(Repair, LossOfTheOnlyBootstrap) {
  World world{seed_from_environment(31), CryptoFlavour::modelled};
  const auto first = world.add();
  for (int i = 0; i < 30; ++i) {
    world.add({.bootstrap = {first}});
    world.run_for(50ms);
  }
  world.run_for(10s);
  world.kill(first);
  world.run_for(10s);
  EXPECT_THAT(failed_pairs(world), IsEmpty());
  // Back without a memory, it is found again: nobody's table has forgotten to look after it.
  world.restart(first, {});
  ASSERT_TRUE(world.run_until([&] { return world.engine(first).stats().links >= 5; }, 180s));
  world.run_for(20s);
  EXPECT_THAT(failed_pairs(world), IsEmpty());
}

TEST(Repair, ARestartedNodeRejoinsThroughItsCacheWithEveryBootstrapDead) {
  World world{seed_from_environment(32), CryptoFlavour::modelled};
  const auto first = world.add();
  for (int i = 0; i < 10; ++i) {
    world.add({.bootstrap = {first}});
    world.run_for(50ms);
  }
  world.run_for(10s);
  const NodeNumber node = 5;
  const std::vector<Bytes> cache = world.engine(node).peer_cache();
  EXPECT_FALSE(cache.empty());
  world.kill(node);
  world.kill(first);
  world.run_for(10s);
  world.restart(node, {.bootstrap = {first}, .cached_contacts = cache});
  world.run_for(10s);
  EXPECT_TRUE(world.engine(node).is_joined());
  EXPECT_THAT(failed_pairs(world), IsEmpty());
}

TEST(Repair, SessionsSurviveTheRestartOfOneEnd) {
  World world{seed_from_environment(33)};
  const auto relay = world.add();
  const auto a = world.add({.bootstrap = {relay}});
  const SigningSeed seed{1, 2, 3};
  const auto b = world.add({.bootstrap = {relay}, .identity = seed});
  world.run_for(3s);
  world.send(a, world.id(b), "before");
  world.run_for(1s);
  world.kill(b);
  world.run_for(1s);
  world.restart(b, {.bootstrap = {relay}, .identity = seed});
  world.run_for(3s);
  const auto message = world.send_acknowledged(a, world.id(b), "after");
  world.run_for(5s);
  ASSERT_TRUE(world.result(a, message).has_value());
  EXPECT_TRUE(world.result(a, message)->delivered());
}

TEST(Repair, TheBudgetHoldsAndTheBusyNameOthers) {
  World world{seed_from_environment(34), CryptoFlavour::modelled};
  NodeSpec small;
  small.limits.links_max = 14;
  small.limits.links_hard_max = 22;
  const auto first = world.add(small);
  for (int i = 0; i < 80; ++i) {
    NodeSpec spec = small;
    spec.bootstrap = {first};
    world.add(spec);
    world.run_for(30ms);
  }
  world.run_for(40s);
  for (NodeNumber node = 0; node < world.size(); ++node) {
    EXPECT_LE(world.engine(node).stats().links, small.limits.links_hard_max) << node;
  }
  EXPECT_THAT(failed_pairs(world), IsEmpty());
}

// ---- Liars and strangers --------------------------------------------------------------------

/// Nodes with few links, so that most ways have relays on them; some lie, once they are told to.
struct AmongLiars : testing::Test {
  static constexpr NodeNumber nodes = 100;
  static bool lies(NodeNumber node) { return node < nodes && node % 4 == 3; }

  void grow(std::uint64_t seed, const Liar& liar, std::size_t links = 14) {
    world.emplace(seed_from_environment(seed), CryptoFlavour::modelled);
    Random random{seed};
    for (NodeNumber node = 0; node < nodes; ++node) {
      NodeSpec spec;
      spec.limits.links_max = links;
      spec.limits.links_hard_max = links * 3 / 2;
      if (node > 0) spec.bootstrap = {random.below(node)};
      if (liar && lies(node)) {
        spec.liar = [&, liar](const Passing& passing) {
          return is_truce ? Lie::none : liar(passing);
        };
      }
      world->add(spec);
      world->run_for(30ms);
    }
    world->run_for(30s);
  }

  /// Of acknowledged sends between honest nodes.
  std::size_t delivered(std::size_t sends, std::uint64_t seed, std::optional<NodeNumber> to = {}) {
    Random random{seed};
    std::vector<std::pair<NodeNumber, MessageId>> sent;
    while (sent.size() < sends) {
      const NodeNumber from = random.below(nodes);
      const NodeNumber target = to.value_or(random.below(nodes));
      if (lies(from) || lies(target) || from == target) continue;
      sent.emplace_back(from, world->send_acknowledged(from, world->id(target), "hello"));
      world->run_for(10ms);
    }
    world->run_for(20s);
    return static_cast<std::size_t>(std::ranges::count_if(sent, [&](const auto& each) {
      const auto result = world->result(each.first, each.second);
      return result.has_value() && result->delivered();
    }));
  }

  bool is_truce = true;
  std::optional<World> world;
};

TEST_F(AmongLiars, WhoSwallowsIsFoundOutAndAvoided) {
  std::size_t swallowed = 0;
  grow(42, [&](const Passing& passing) {
    if (!passing.goes_on) return Lie::none;
    ++swallowed;
    return Lie::swallow;
  });
  EXPECT_EQ(delivered(500, 1), 500u);
  is_truce = false;
  delivered(500, 2);
  const std::size_t at_first = swallowed;
  world->run_for(300s);
  // Audits of those who are known go on, and are swallowed.
  swallowed = 0;
  world->run_for(25s);
  const std::size_t audits = swallowed;
  swallowed = 0;
  EXPECT_EQ(delivered(500, 3), 500u);
  EXPECT_LT(swallowed, audits + at_first / 10);
}

TEST_F(AmongLiars, AVictimAmongSybilsIsReached) {
  grow(43, {}, 26);  // with 20 and less its old neighbours would have no place beside them
  const NodeNumber victim = 17;
  const NodeId victim_id = world->id(victim);
  Entropy entropy{43};
  ModelledCrypto model{entropy};
  Random random{43};
  for (int i = 0; i < 20; ++i) {
    NodeSpec spec;
    spec.bootstrap = {random.below(nodes)};
    do {
      spec.identity.emplace();
      for (std::uint8_t& byte : *spec.identity) byte = static_cast<std::uint8_t>(random.next());
    } while (common_prefix_bits(identity_from_seed(*spec.identity, model).id, victim_id) < 8);
    spec.liar = [victim_id](const Passing& passing) {
      return passing.target == victim_id ? Lie::deny : Lie::none;
    };
    world->add(spec);
  }
  world->run_for(60s);
  EXPECT_EQ(delivered(200, 1, victim), 200u);
}

TEST_F(AmongLiars, ThoseWhoTellOfEachOtherAloneKeepNobodyOut) {
  grow(44, [](const Passing& passing) {
    if (!passing.goes_on) return Lie::none;
    return passing.is_lookup ? Lie::usurp : Lie::send_anywhere;
  });
  std::set<NodeId> conspirators;
  for (NodeNumber node = 0; node < nodes; ++node) {
    if (lies(node)) conspirators.insert(world->id(node));
  }
  for (NodeNumber node = 3; node < nodes; node += 4) {
    world->engine(node).set_accomplices(
        [&](const NodeId& id) { return conspirators.contains(id); });
  }
  is_truce = false;
  for (NodeNumber i = 0; i < 10; ++i) {
    const NodeNumber newcomer = world->add({.bootstrap = {3 + 4 * i, 4 * i}});
    world->run_for(10s);
    const std::size_t before = world->inbox(newcomer).size();
    EXPECT_GE(delivered(20, i, newcomer), 20u) << "newcomer " << i;
    EXPECT_EQ(world->inbox(newcomer).size(), before + 20);
  }
}

TEST(Strangers, GarbageAtEveryStageIsCountedAndSurvived) {
  World world{seed_from_environment(40)};
  const auto a = world.add();
  const auto b = world.add({.bootstrap = {a}});
  world.run_for(2s);
  Random random{40};
  for (int i = 0; i < 200; ++i) {
    auto& stranger = world.intrude(a);
    const std::size_t messages = 1 + random.below(3);
    for (std::size_t m = 0; m < messages; ++m) {
      Bytes noise(random.below(300));
      for (std::uint8_t& byte : noise) byte = static_cast<std::uint8_t>(random.next());
      if (m == 0 && random.below(2) == 0 && noise.size() > 21) {  // a good beginning
        Bytes hello;
        encode_hello({.network = {}, .noise = {}}, hello);
        std::ranges::copy(hello, noise.begin());
      }
      world.speak(stranger, noise);
    }
    world.run_for(1ms);
  }
  world.run_for(15s);
  EXPECT_EQ(world.engine(a).stats().handshakes, 0u);
  EXPECT_GT(world.engine(a).stats().dropped_for(DropReason::malformed), 50u);
  world.send(a, world.id(b), "still here");
  world.run_for(1s);
  EXPECT_THAT(world.texts(b), ElementsAre("still here"));
}

TEST(Strangers, SilenceInTheHandshakeEnds) {
  World world{seed_from_environment(41)};
  const auto a = world.add();
  auto& stranger = world.intrude(a);
  world.run_for(1s);
  EXPECT_EQ(world.engine(a).stats().handshakes, 1u);
  world.run_for(limits::handshake_timeout);
  EXPECT_EQ(world.engine(a).stats().handshakes, 0u);
  EXPECT_EQ(stranger.closed, CloseReason::handshake_timeout);
}

TEST(Strangers, HalfOpenHandshakesOfOneHostAreBounded) {
  World world{seed_from_environment(42)};
  const auto a = world.add();
  for (int i = 0; i < 1000; ++i) world.intrude(a);
  world.run_for(10ms);
  EXPECT_LE(world.engine(a).stats().handshakes, limits::handshakes_per_host_max);
  EXPECT_GT(world.engine(a).stats().refused_connections, 900u);
  world.run_for(limits::handshake_timeout);
  EXPECT_EQ(world.engine(a).stats().handshakes, 0u);
}

TEST(Strangers, ALinkThatTurnsToGarbageIsReplaced) {
  World world{seed_from_environment(43)};
  const auto a = world.add();
  const auto b = world.add({.bootstrap = {a}});
  world.run_for(2s);
  int altered = 0;
  world.tamper(b, [&](Bytes& message) {
    if (++altered == 1 && !message.empty()) message[message.size() / 2] ^= 1;
  });
  world.send(b, world.id(a), "altered");
  world.run_for(5s);
  EXPECT_EQ(world.engine(a).stats().dropped_for(DropReason::seal_broken), 1u);
  EXPECT_TRUE(world.are_linked(a, b));
  world.send(b, world.id(a), "whole");
  world.run_for(2s);
  EXPECT_THAT(world.texts(a), testing::Contains("whole"));
}

// ---- The world itself -----------------------------------------------------------------------

TEST(WorldItself, TheSameSeedIsTheSameRun) {
  const auto run = [](CryptoFlavour flavour) {
    World world{50, flavour};
    world.grow(20, 5s);
    world.kill(3);
    static_cast<void>(failed_pairs(world));
    return world.event_hash();
  };
  EXPECT_EQ(run(CryptoFlavour::modelled), run(CryptoFlavour::modelled));
  EXPECT_EQ(run(CryptoFlavour::sodium), run(CryptoFlavour::sodium));
}

}  // namespace
}  // namespace peer_relay::sim
