// SPDX-License-Identifier: MIT
#include "core/route/router.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <variant>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;
using Act = Step::Act;

/// An id that shares exactly `bits` leading bits with another.
NodeId beside(const NodeId& other, int bits, Random& random) {
  NodeId id = random.id();
  for (int bit = 0; bit <= bits; ++bit) {
    const auto byte = static_cast<std::size_t>(bit / 8);
    const auto mask = static_cast<std::uint8_t>(0x80 >> bit % 8);
    const bool value = other.bit(bit) != (bit == bits);
    id.bytes[byte] =
        static_cast<std::uint8_t>(value ? id.bytes[byte] | mask : id.bytes[byte] & ~mask);
  }
  return id;
}

/// A table with so many relays, and a router on it.
struct Node {
  explicit Node(std::uint64_t seed, std::size_t relays = 0) : random(seed), table(random.id()) {
    for (std::size_t i = 0; i < relays; ++i) add(random.id());
  }

  LinkId add(const NodeId& id, bool relays = true) {
    const LinkId link{++last};
    EXPECT_TRUE(table.add({.id = id, .relays = relays, .link = link, .contact = {}}));
    ids[link] = id;
    return link;
  }

  Envelope envelope_to(const NodeId& target) {
    return {.kind = EnvelopeKind::session_data, .target = target, .source = random.id()};
  }

  Random random;
  Table table;
  Router router{table, Random{1}, 10};
  std::map<LinkId, NodeId> ids;
  std::uint64_t last = 0;
};

// ---- What came by a link ----

TEST(Router, ANextHopIsTheClosestRelayAndStrictlyCloserThanWeAre) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Node node{seed, seed % 20};
    for (int i = 0; i < 50; ++i) {
      Envelope envelope = node.envelope_to(node.random.id());
      envelope.closest = i % 2 == 0;
      const Step step = node.router.step(envelope);
      const NodeId* best = nullptr;
      for (const auto& [link, id] : node.ids) {
        if (best == nullptr || is_closer(id, *best, envelope.target)) best = &id;
      }
      if (best != nullptr && is_closer(*best, node.table.self(), envelope.target)) {
        ASSERT_EQ(step.act, Act::forward) << "seed " << seed;
        EXPECT_EQ(node.ids[step.link], *best);
      } else if (envelope.closest) {
        EXPECT_EQ(step.act, Act::deliver) << "nobody is closer";
      } else {
        EXPECT_EQ(step.act, Act::drop);
        EXPECT_EQ(step.reason, DropReason::dead_end);
      }
    }
  }
}

// Tables of any shape: what is passed on gets closer at every hop, so it ends, and never comes
// back.
TEST(Router, WhateverTheTablesThereAreNoLoops) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Random random{seed};
    std::map<NodeId, std::unique_ptr<Node>> nodes;
    for (std::uint64_t i = 0; i < 40; ++i) {
      auto node = std::make_unique<Node>(1000 * seed + i);
      nodes.emplace(node->table.self(), std::move(node));
    }
    for (auto& [id, node] : nodes) {
      for (auto& [other, unused] : nodes) {
        if (other != id && random.below(6) == 0) node->add(other, random.below(5) != 0);
      }
    }
    for (const auto& [source, unused] : nodes) {
      Envelope envelope{.closest = random.below(2) == 0,
                        .careful = random.below(2) == 0,
                        .target = random.id(),
                        .source = source};
      if (random.below(2) == 0) envelope.target = std::next(nodes.begin(), 7)->first;
      NodeId at = std::next(nodes.begin(), static_cast<std::ptrdiff_t>(random.below(40)))->first;
      std::set<NodeId> passed;
      for (;;) {
        ASSERT_TRUE(passed.insert(at).second) << "seed " << seed;
        const Step step = nodes.at(at)->router.step(envelope);
        if (step.act != Act::forward) break;
        const NodeId next = nodes.at(at)->ids.at(step.link);
        ASSERT_TRUE(is_closer(next, at, envelope.target));
        at = next;
      }
    }
  }
}

TEST(Router, WhatIsForUsIsDelivered) {
  Node node{1, 10};
  Envelope envelope = node.envelope_to(node.table.self());
  envelope.hops_left = 0;
  EXPECT_EQ(node.router.step(envelope).act, Act::deliver) << "even with the last hop spent";
  envelope.closest = true;
  EXPECT_EQ(node.router.step(envelope).act, Act::deliver);
}

TEST(Router, ALeafGetsOnlyWhatIsForItself) {
  Node node{2};
  const NodeId leaf = node.random.id();
  const LinkId link = node.add(leaf, false);
  const Step step = node.router.step(node.envelope_to(leaf));
  ASSERT_EQ(step.act, Act::forward);
  EXPECT_EQ(step.link, link);
  EXPECT_EQ(node.router.step(node.envelope_to(beside(leaf, 159, node.random))).act, Act::drop);
  Envelope question = node.envelope_to(leaf);
  question.closest = true;
  EXPECT_EQ(node.router.step(question).act, Act::deliver)
      << "who asks for the closest means relays";
}

TEST(Router, ALinkToTheTargetItselfIsTaken) {
  Node node{3, 30};
  for (const auto& [link, id] : std::map{node.ids}) {
    const Step step = node.router.step(node.envelope_to(id));
    ASSERT_EQ(step.act, Act::forward);
    EXPECT_EQ(step.link, link);
  }
}

TEST(Router, NothingGoesBackToItsSource) {
  Node node{4};
  Envelope question = node.envelope_to(node.random.id());
  question.source = beside(question.target, 100, node.random);
  const NodeId second = beside(question.target, 50, node.random);
  node.add(question.source);
  EXPECT_EQ(node.router.step(question).reason, DropReason::dead_end);
  question.closest = true;
  EXPECT_EQ(node.router.step(question).act, Act::deliver)
      << "who asks for the closest wants others";
  const LinkId link = node.add(second);
  const Step step = node.router.step(question);
  ASSERT_EQ(step.act, Act::forward);
  EXPECT_EQ(step.link, link);
}

TEST(Router, AViaIsVisitedFirst) {
  Node node{5};
  const NodeId target = beside(node.table.self(), 0, node.random);
  Envelope envelope = node.envelope_to(target);
  envelope.via = beside(node.table.self(), 40, node.random);
  const LinkId to_target = node.add(target);
  const LinkId to_via = node.add(*envelope.via);
  const Step step = node.router.step(envelope);
  ASSERT_EQ(step.act, Act::forward);
  EXPECT_EQ(step.link, to_via);
  EXPECT_FALSE(step.drop_via) << "not there yet";

  envelope.via = node.table.self();
  const Step onward = node.router.step(envelope);
  ASSERT_EQ(onward.act, Act::forward);
  EXPECT_EQ(onward.link, to_target);
  EXPECT_TRUE(onward.drop_via);
}

TEST(Router, AViaThatNobodyIsCloserToIsGivenUpHere) {
  Node node{6};
  const NodeId target = beside(node.table.self(), 0, node.random);
  Envelope envelope = node.envelope_to(target);
  envelope.via = beside(node.table.self(), 100, node.random);
  const LinkId to_target = node.add(target);
  const Step step = node.router.step(envelope);
  ASSERT_EQ(step.act, Act::forward);
  EXPECT_EQ(step.link, to_target);
  EXPECT_TRUE(step.drop_via);
}

TEST(Router, AtTheViaWhatIsForUsIsDelivered) {
  Node node{7, 10};
  Envelope envelope = node.envelope_to(node.table.self());
  envelope.via = node.table.self();
  EXPECT_EQ(node.router.step(envelope).act, Act::deliver);
  Node alone{8};
  Envelope question = alone.envelope_to(alone.random.id());
  question.closest = true;
  question.via = alone.table.self();
  EXPECT_EQ(alone.router.step(question).act, Act::deliver);
  question.closest = false;
  EXPECT_EQ(alone.router.step(question).reason, DropReason::dead_end);
}

TEST(Router, ASpentHopBudgetEndsTheWay) {
  Node node{9};
  const NodeId target = node.random.id();
  node.add(target);
  Envelope envelope = node.envelope_to(target);
  envelope.hops_left = 1;
  EXPECT_EQ(node.router.step(envelope).act, Act::forward);
  envelope.hops_left = 0;
  const Step step = node.router.step(envelope);
  EXPECT_EQ(step.act, Act::drop);
  EXPECT_EQ(step.reason, DropReason::hops_spent);
}

// ---- Our own ----

TEST(Router, ALeafBeginsWithWhateverRelayIsClosest) {
  Node node{10};
  const NodeId target = beside(node.table.self(), 80, node.random);
  const LinkId only = node.add(beside(target, 0, node.random));
  Envelope envelope = node.envelope_to(target);
  envelope.source = node.table.self();
  const Step step = node.router.first_step(envelope, 0, false);
  ASSERT_EQ(step.act, Act::forward);
  EXPECT_EQ(step.link, only);
  EXPECT_EQ(node.router.first_step(envelope, 0, true).reason, DropReason::dead_end)
      << "as a relay we are closer, so nobody is there";
  envelope.closest = true;
  EXPECT_EQ(node.router.first_step(envelope, 0, true).act, Act::deliver);
  EXPECT_EQ(node.router.first_step(envelope, 0, false).act, Act::forward);
}

// A leaf's relays are neighbours: by distance the one that stands apart would have half of all.
TEST(Router, ALeafSpreadsItsTargetsOverRelaysThatAreAlike) {
  Node node{3};
  for (const int bits : {8, 9, 10, 11}) node.add(beside(node.table.self(), bits, node.random));
  std::map<LinkId, int> taken;
  for (int i = 0; i < 4000; ++i) {
    const NodeId far = beside(node.table.self(), i % 8, node.random);
    const Envelope envelope = node.envelope_to(far);
    const Step step = node.router.first_step(envelope, 0, false);
    ASSERT_EQ(step.act, Act::forward);
    EXPECT_EQ(node.router.first_step(envelope, 0, false).link, step.link) << "one target, one way";
    ++taken[step.link];
  }
  for (const auto& [link, id] : node.ids) EXPECT_NEAR(taken[link], 1000, 150);

  const NodeId near = beside(node.table.self(), 10, node.random);
  const Step step = node.router.first_step(node.envelope_to(near), 0, false);
  EXPECT_EQ(common_prefix_bits(node.ids[step.link], node.table.self()), 10) << "one is closer";
}

TEST(Router, WithoutAnyLinkOurOwnEndsHere) {
  Node node{11};
  const Step step = node.router.first_step(node.envelope_to(node.random.id()), 0, false);
  EXPECT_EQ(step.act, Act::drop);
  EXPECT_EQ(step.reason, DropReason::dead_end);
}

TEST(Router, EachTryBeginsWithAnotherHopWhileOneIsCloser) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Node node{seed};
    const NodeId target = beside(node.table.self(), 0, node.random);
    std::vector<NodeId> closer;  // closest first
    for (int bits = 30; bits > 0; bits -= 5) {
      closer.push_back(beside(target, bits, node.random));
      node.add(closer.back());
    }
    for (int farther = 0; farther < 5;) {
      const int bits = 1 + static_cast<int>(node.random.below(30));
      const NodeId id = beside(node.table.self(), bits, node.random);
      if (is_closer(id, node.table.self(), target)) continue;
      node.add(id);
      ++farther;
    }
    Envelope envelope = node.envelope_to(target);
    envelope.source = node.table.self();
    for (std::size_t attempt = 0; attempt < closer.size(); ++attempt) {
      const Step step = node.router.first_step(envelope, static_cast<std::uint8_t>(attempt), true);
      ASSERT_EQ(step.act, Act::forward);
      EXPECT_EQ(node.ids[step.link], closer[attempt]);
      EXPECT_FALSE(step.set_via.has_value());
    }
    for (std::uint8_t attempt = 6; attempt < 20; ++attempt) {
      const Step step = node.router.first_step(envelope, attempt, true);
      ASSERT_EQ(step.act, Act::forward);
      EXPECT_EQ(step.set_via, node.ids[step.link]) << "a relay to begin anew from";
      EXPECT_NE(node.ids[step.link], closer.front());
    }
  }
}

TEST(Router, WithOneLinkEveryTryGoesThere) {
  Node node{12};
  const NodeId target = beside(node.table.self(), 0, node.random);
  const LinkId only = node.add(beside(target, 9, node.random));
  Envelope envelope = node.envelope_to(target);
  envelope.source = node.table.self();
  for (std::uint8_t attempt = 0; attempt < 5; ++attempt) {
    const Step step = node.router.first_step(envelope, attempt, true);
    ASSERT_EQ(step.act, Act::forward);
    EXPECT_EQ(step.link, only);
  }
}

TEST(Router, OurOwnGoByTheirVia) {
  Node node{13, 20};
  Envelope envelope = node.envelope_to(node.random.id());
  envelope.source = node.table.self();
  const auto [link, via] = *node.ids.begin();
  envelope.via = via;
  const Step step = node.router.first_step(envelope, 0, true);
  ASSERT_EQ(step.act, Act::forward);
  EXPECT_EQ(step.link, link);
  envelope.via = node.table.self();
  EXPECT_TRUE(node.router.first_step(envelope, 0, false).drop_via) << "we are there already";
}

// ---- Suspects ----

TEST(Router, WhatIsForALinkedPeerNeedsNoVia) {
  Node node{5, 8};
  Envelope envelope = node.envelope_to(node.random.id());
  const LinkId direct = node.add(envelope.target);
  envelope.source = node.table.self();
  envelope.via = node.ids.begin()->second;
  const Step step = node.router.first_step(envelope, 0, false);
  EXPECT_EQ(step.link, direct);
  EXPECT_TRUE(step.drop_via);
  EXPECT_NE(node.router.first_step(envelope, 1, false).link, direct) << "unless it was tried";
}

TEST(Router, ASuspectIsPassedOverWhileAnotherRelayIsCloserThanWeAre) {
  Node node{20};
  const NodeId goal = beside(node.table.self(), 0, node.random);
  const NodeId closest = beside(goal, 9, node.random);
  const NodeId second = beside(goal, 5, node.random);
  node.add(closest);
  node.add(second);
  const auto next = [&](const Step& step) { return node.ids.at(step.link); };
  for (const bool is_lookup : {false, true}) {
    Envelope envelope = node.envelope_to(goal);
    envelope.closest = is_lookup;
    node.table.find(closest)->suspect = false;
    EXPECT_EQ(next(node.router.step(envelope)), closest);
    node.table.find(closest)->suspect = true;
    EXPECT_EQ(next(node.router.step(envelope)), second);
    envelope.source = node.table.self();
    EXPECT_EQ(next(node.router.first_step(envelope, 0, true)), second);
    EXPECT_EQ(next(node.router.first_step(envelope, 0, false)), second) << "a leaf's";
    EXPECT_EQ(next(node.router.first_step(envelope, 1, true)), closest) << "when there's no other";
  }
}

TEST(Router, ASuspectIsBetterThanNobodyAndNoWorseForItself) {
  Node node{21};
  const NodeId goal = beside(node.table.self(), 0, node.random);
  const NodeId suspect = beside(goal, 9, node.random);
  node.add(suspect);
  node.add(beside(node.table.self(), 4, node.random));
  node.table.find(suspect)->suspect = true;
  // The other one may be closer too, by the bits behind the first.
  Envelope envelope = node.envelope_to(suspect);
  EXPECT_EQ(node.ids.at(node.router.step(envelope).link), suspect) << "it is for itself";
  Node alone{22};
  const NodeId far = beside(alone.table.self(), 0, alone.random);
  const NodeId only = beside(far, 9, alone.random);
  alone.add(only);
  alone.table.find(only)->suspect = true;
  EXPECT_EQ(alone.ids.at(alone.router.step(alone.envelope_to(far)).link), only);
}

TEST(Router, NoViaIsASuspectWhileThereAreOthers) {
  Node node{23, 12};
  Envelope envelope = node.envelope_to(beside(node.table.self(), 150, node.random));
  envelope.source = node.table.self();
  std::set<NodeId> trusted;
  for (const auto& [link, id] : node.ids) {
    if (trusted.size() < 4) {
      trusted.insert(id);
    } else {
      node.table.find(id)->suspect = true;
    }
  }
  for (int i = 0; i < 40; ++i) {
    const Step step = node.router.first_step(envelope, 3, true);
    ASSERT_TRUE(step.set_via.has_value());
    EXPECT_TRUE(trusted.contains(*step.set_via));
  }
}

// ---- Careful ways ----

TEST(Router, ACarefulWayGoesToTheEdgeOfTheNeighbourhoodAndOnInSmallSteps) {
  Node node{24};
  const NodeId& self = node.table.self();
  for (std::size_t i = 0; i < limits::siblings; ++i) node.add(beside(self, 8, node.random));
  ASSERT_EQ(node.table.sibling_depth(), 8);
  const NodeId target = beside(self, 0, node.random);
  std::map<int, NodeId> sharing;
  for (const int bits : {2, 5, 7, 9, 12}) {
    sharing[bits] = beside(target, bits, node.random);
    node.add(sharing[bits]);
  }
  Envelope envelope = node.envelope_to(target);
  const auto next = [&](const Step& step) { return node.ids.at(step.link); };
  EXPECT_EQ(next(node.router.step(envelope)), sharing[12]);
  envelope.careful = true;
  EXPECT_EQ(next(node.router.step(envelope)), sharing[7]) << "the edge is one bit before 8";
  node.table.remove(sharing[7]);
  node.table.remove(sharing[5]);
  EXPECT_EQ(next(node.router.step(envelope)), sharing[2]);
  node.add(target);
  EXPECT_EQ(next(node.router.step(envelope)), target) << "who is linked to it has arrived";
}

TEST(Router, InTheNeighbourhoodACarefulWayTakesTheLeastProgress) {
  Node node{25};
  const NodeId& self = node.table.self();
  for (std::size_t i = 0; i < limits::siblings; ++i) node.add(beside(self, 8, node.random));
  const NodeId target = beside(self, 9, node.random);
  const NodeId near = beside(target, 10, node.random);
  node.add(beside(target, 14, node.random));
  const NodeId farther = beside(target, 12, node.random);
  node.add(farther);
  node.add(near);
  Envelope envelope = node.envelope_to(target);
  envelope.careful = true;
  EXPECT_EQ(node.ids.at(node.router.step(envelope).link), near);
  node.table.remove(near);
  EXPECT_EQ(node.ids.at(node.router.step(envelope).link), farther) << "no step is as small";
}

TEST(Router, CarefulTriesBeginDifferently) {
  Node node{26, 40};
  Envelope envelope = node.envelope_to(beside(node.table.self(), 0, node.random));
  envelope.source = node.table.self();
  envelope.careful = true;
  std::set<NodeId> firsts;
  for (std::uint8_t attempt = 1; attempt <= 3; ++attempt) {
    firsts.insert(node.ids.at(node.router.first_step(envelope, attempt, true).link));
  }
  EXPECT_EQ(firsts.size(), 3u);
}

TEST(Router, SilenceIsLaidToWhereTheTryBeforeBegan) {
  Node node{27, 40};
  Envelope envelope = node.envelope_to(beside(node.table.self(), 0, node.random));
  envelope.source = node.table.self();
  Step before = node.router.first_step(envelope, 0, true);
  EXPECT_EQ(before.before, std::nullopt);
  for (std::uint8_t attempt = 1; attempt <= 3; ++attempt) {
    const Step step = node.router.first_step(envelope, attempt, true);
    EXPECT_EQ(step.before, node.ids.at(before.link));
    before = step;
  }
}

TEST(Router, OurOwnCanBeginAnywhereWeAreLinked) {
  Node node{28, 10};
  const NodeId somebody = node.table.relay_ids()[4];
  EXPECT_EQ(node.ids.at(node.router.step_by(somebody).link), somebody);
  EXPECT_EQ(node.router.step_by(node.random.id()).act, Act::drop);
}

// ---- Ends of the way ----

TEST(Router, AnEndIsPlausibleWhereNodesAreAsFarApartAsAroundUs) {
  Node node{14};
  for (std::size_t i = 0; i < limits::siblings; ++i) {
    node.add(beside(node.table.self(), 10, node.random));
  }
  ASSERT_EQ(node.table.sibling_depth(), 10);
  const NodeId target = node.random.id();
  EXPECT_TRUE(node.router.is_plausible_end(beside(target, 10, node.random), target));
  EXPECT_TRUE(node.router.is_plausible_end(beside(target, 7, node.random), target));
  EXPECT_FALSE(node.router.is_plausible_end(beside(target, 6, node.random), target));
  EXPECT_FALSE(node.router.is_plausible_end(beside(target, 0, node.random), target));
  EXPECT_TRUE(Node{15}.router.is_plausible_end(NodeId{}, target))
      << "who knows nobody believes all";
}

std::optional<Unreachable> notice_of(Node& node, const Envelope& envelope, DropReason reason,
                                     TimePoint now, Outbox& out) {
  node.router.give_notice(envelope, reason, now, out);
  if (out.empty()) return std::nullopt;
  const Wish wish = out.take();
  const auto& route = std::get<RouteWish>(wish);
  EXPECT_EQ(route.kind, EnvelopeKind::unreachable);
  EXPECT_EQ(route.target, envelope.source);
  EXPECT_EQ(route.via, envelope.home);
  const auto notice = decode_unreachable(route.body);
  EXPECT_TRUE(notice.has_value());
  return *notice;
}

TEST(Router, ANoticeTellsWhatEndedAndWhy) {
  Node node{16};
  Outbox out;
  Envelope envelope = node.envelope_to(node.random.id());
  envelope.tag = 0x01020304;
  envelope.home = node.random.id();
  const std::map<DropReason, UnreachableReason> told{
      {DropReason::dead_end, UnreachableReason::dead_end},
      {DropReason::hops_spent, UnreachableReason::hops_spent},
      {DropReason::queue_full, UnreachableReason::queue_full},
      {DropReason::rate_limited, UnreachableReason::rate_limited}};
  for (const auto& [reason, expected] : told) {
    const auto notice = notice_of(node, envelope, reason, TimePoint{1s}, out);
    ASSERT_TRUE(notice.has_value());
    EXPECT_EQ(notice->reason, expected);
    EXPECT_EQ(notice->tag, envelope.tag);
    EXPECT_EQ(notice->kind, envelope.kind);
    EXPECT_EQ(notice->target, envelope.target);
  }
}

TEST(Router, NoNoticeOfANoticeNorToOurselves) {
  Node node{17};
  Outbox out;
  Envelope envelope = node.envelope_to(node.random.id());
  envelope.kind = EnvelopeKind::unreachable;
  EXPECT_FALSE(notice_of(node, envelope, DropReason::dead_end, TimePoint{1s}, out).has_value());
  envelope.kind = EnvelopeKind::session_data;
  envelope.source = node.table.self();
  EXPECT_FALSE(notice_of(node, envelope, DropReason::dead_end, TimePoint{1s}, out).has_value());
}

TEST(Router, ASourceHasOnlySoManyNotices) {
  Node node{18};  // 10 a second, and a second's worth saved up
  Outbox out;
  Envelope envelope = node.envelope_to(node.random.id());
  const auto given = [&](TimePoint now) {
    int count = 0;
    while (notice_of(node, envelope, DropReason::dead_end, now, out)) ++count;
    return count;
  };
  TimePoint now{100s};
  EXPECT_EQ(given(now), 20);
  EXPECT_EQ(given(now), 0);
  now += 100ms;
  EXPECT_EQ(given(now), 1);
  const NodeId first = envelope.source;
  envelope.source = node.random.id();
  EXPECT_EQ(given(now), 20) << "another source is another matter";
  envelope.source = first;
  now += 1h;
  EXPECT_EQ(given(now), 20);
}

}  // namespace
}  // namespace peer_relay
