// SPDX-License-Identifier: MIT
#include "core/route/auditor.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <variant>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/wire/sealed.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;

/// A node with so many relays, each linked, and what becomes of the audits.
struct Auditing : ::testing::Test {
  explicit Auditing(std::size_t relays = 12) {
    for (std::size_t i = 0; i < relays; ++i) add();
    auditor.start(now);
  }

  const NodeId& add() {
    const LinkId link{++last_link};
    const NodeId id = random.id();
    EXPECT_TRUE(table.add({.id = id, .relays = true, .link = link, .contact = {}}));
    return table.find(id)->id;
  }

  /// Envelopes through these disappear.
  bool swallows(const NodeId& relay) const { return liars.contains(relay); }

  void answer(const RouteWish& wish, LinkId link) {
    const auto data = decode_session_data(wish.body);
    ASSERT_TRUE(data.has_value());
    Bytes body;
    encode_session_unknown({.index = data->index}, body);
    const Envelope envelope{
        .kind = EnvelopeKind::session_unknown, .target = table.self(), .source = wish.target};
    EXPECT_TRUE(auditor.answered(link, envelope, body));
  }

  void run_for(Duration duration) {
    const TimePoint end = now + duration;
    while (auditor.next_wake() <= end) {
      now = std::max(now, auditor.next_wake());
      auditor.wake(now, out);
      ASSERT_GT(auditor.next_wake(), now) << "it spins";
      while (!out.empty()) {
        Wish wish = out.take();
        audits.push_back(std::get<RouteWish>(std::move(wish)));
        const RouteWish& audit = audits.back();
        if (!swallows(*audit.first_hop)) answer(audit, table.find(audit.target)->link);
      }
    }
    now = end;
  }

  std::set<NodeId> suspects() const {
    std::set<NodeId> ids;
    for (const LinkedPeer& peer : table.peers()) {
      if (peer.suspect) ids.insert(peer.id);
    }
    return ids;
  }

  std::size_t audits_of(const NodeId& relay) const {
    return static_cast<std::size_t>(std::ranges::count(audits, relay, &RouteWish::first_hop));
  }

  Random random{1};
  Table table{random.id()};
  Auditor auditor{table, Random{2}, 120s};
  Outbox out;
  TimePoint now{100s};
  std::vector<RouteWish> audits;
  std::set<NodeId> liars;
  std::uint64_t last_link = 0;
};

TEST_F(Auditing, EachRelayHasItsTurnAndTheNextDoesNotComeSoon) {
  run_for(240s);
  for (const LinkedPeer& peer : table.peers()) {
    EXPECT_GE(audits_of(peer.id), 1u);
    EXPECT_LE(audits_of(peer.id), 4u);
  }
  EXPECT_EQ(suspects(), std::set<NodeId>{});
}

TEST_F(Auditing, AnAuditLooksLikeContentForAnotherPeerOfOurs) {
  run_for(240s);
  std::set<std::size_t> sizes;
  for (const RouteWish& audit : audits) {
    EXPECT_EQ(audit.kind, EnvelopeKind::session_data);
    EXPECT_FALSE(audit.closest);
    EXPECT_NE(audit.target, *audit.first_hop);
    EXPECT_NE(table.find(audit.target), nullptr);
    EXPECT_TRUE(decode_session_data(audit.body).has_value());
    sizes.insert(audit.body.size());
  }
  EXPECT_GT(sizes.size(), 3u) << "of no size to know it by";
}

TEST_F(Auditing, ThreeMissesInARowAndToDifferentPeersMakeASuspect) {
  const NodeId liar = table.relay_ids()[3];
  liars = {liar};
  while (audits_of(liar) < Auditor::misses_max) {
    ASSERT_EQ(suspects(), std::set<NodeId>{});
    run_for(100ms);
  }
  run_for(3s);
  EXPECT_EQ(suspects(), liars);
  std::set<NodeId> targets;
  for (const RouteWish& audit : audits) {
    if (*audit.first_hop == liar) targets.insert(audit.target);
  }
  EXPECT_EQ(targets.size(), Auditor::misses_max);
}

TEST_F(Auditing, WhoMissedIsAskedAgainSoonAndOneAnswerClearsIt) {
  const NodeId relay = table.relay_ids()[3];
  liars = {relay};
  run_for(240s);
  ASSERT_EQ(suspects(), liars);
  const std::size_t before = audits_of(relay);
  liars.clear();
  run_for(45s);
  EXPECT_EQ(audits_of(relay), before + 1);
  EXPECT_EQ(suspects(), std::set<NodeId>{});
}

TEST_F(Auditing, AnAnswerCountsOnlyOverTheLinkOfWhomItIsFrom) {
  const NodeId liar = table.relay_ids()[3];
  liars = {liar};
  for (int i = 0; i < 300; ++i) {
    const std::size_t before = audits.size();
    run_for(1s);
    for (std::size_t at = before; at < audits.size(); ++at) {
      // It has read the index, and answers in the target's name.
      if (*audits[at].first_hop == liar) answer(audits[at], table.find(liar)->link);
    }
  }
  EXPECT_EQ(suspects(), liars);
}

// A notice is a claim, which the relay itself can make.
TEST_F(Auditing, ThatTheWayEndedClearsNobody) {
  const NodeId liar = table.relay_ids()[3];
  liars = {liar};
  for (int i = 0; i < 300; ++i) {
    const std::size_t before = audits.size();
    run_for(1s);
    for (std::size_t at = before; at < audits.size(); ++at) {
      if (*audits[at].first_hop != liar) continue;
      EXPECT_TRUE(auditor.unreachable(audits[at].tag, now));
      EXPECT_FALSE(auditor.unreachable(audits[at].tag, now)) << "once";
    }
  }
  EXPECT_EQ(suspects(), liars);
  EXPECT_FALSE(auditor.unreachable(12345, now)) << "not ours";
}

TEST_F(Auditing, SilenceOfOurOwnBringsItsTurnForward) {
  run_for(1s);
  const NodeId relay = table.relay_ids()[7];
  const std::size_t before = audits_of(relay);
  auditor.doubt(relay, now);
  auditor.doubt(relay, now);
  run_for(1s);
  EXPECT_EQ(audits_of(relay), before + 1);
  auditor.doubt(random.id(), now);
  run_for(1s);
}

TEST_F(Auditing, ASuspectHastensTheRoundForAllOthers) {
  liars = {table.relay_ids()[3]};
  auditor.doubt(table.relay_ids()[3], now);
  run_for(10s);
  ASSERT_EQ(suspects(), liars);
  const std::size_t before = audits.size();
  run_for(20s);
  EXPECT_GE(audits.size(), before + 6) << "a round takes 20 s now";
}

TEST_F(Auditing, WhoLeftIsForgotten) {
  const NodeId liar = table.relay_ids()[3];
  liars = {liar};
  auditor.doubt(liar, now);
  run_for(1s);
  table.remove(liar);
  run_for(240s);
  EXPECT_EQ(suspects(), std::set<NodeId>{});
}

struct AuditingFew : Auditing {
  AuditingFew() : Auditing(2) {}
};

TEST_F(AuditingFew, WhereThereAreTooFewToAskNobodyIsSuspected) {
  for (const NodeId& id : table.relay_ids()) liars.insert(id);
  run_for(600s);
  EXPECT_EQ(suspects(), std::set<NodeId>{});
}

TEST(Auditor, CanBeTurnedOff) {
  Random random{3};
  Table table{random.id()};
  for (std::uint64_t i = 1; i <= 5; ++i) {
    table.add({.id = random.id(), .relays = true, .link = LinkId{i}, .contact = {}});
  }
  Auditor auditor{table, Random{4}, Duration::max()};
  auditor.start(TimePoint{1s});
  auditor.doubt(table.relay_ids()[0], TimePoint{1s});
  EXPECT_EQ(auditor.next_wake(), never);
}

}  // namespace
}  // namespace peer_relay
