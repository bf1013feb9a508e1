// SPDX-License-Identifier: MIT
#include "core/route/tracer.hpp"

#include <optional>
#include <set>
#include <variant>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "peer_relay/limits.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;

struct Question {
  std::uint8_t hops_left = 0;
  std::uint32_t tag = 0;
  std::uint64_t nonce = 0;
};

class TracerTest : public testing::Test {
 protected:
  /// What it asked last, and what it told.
  void take() {
    question.reset();
    while (!out.empty()) {
      Wish wish = out.take();
      if (const auto* const route = std::get_if<RouteWish>(&wish)) {
        EXPECT_EQ(route->kind, EnvelopeKind::lookup);
        EXPECT_FALSE(route->closest) << "the target itself is meant";
        const auto lookup = decode_lookup(route->body);
        ASSERT_TRUE(lookup.has_value());
        question = {route->hops_left, route->tag, lookup->nonce};
      } else {
        told.push_back(std::get<NotifyWish::Traced>(std::get<NotifyWish>(wish).event));
      }
    }
  }

  std::uint64_t start() {
    const std::uint64_t number = tracer.start(target, now, out);
    take();
    return number;
  }

  bool notice(UnreachableReason reason, const NodeId& where, std::optional<std::uint32_t> tag = {},
              std::optional<NodeId> of = {}) {
    const bool was_ours = tracer.unreachable(where,
                                             {.reason = reason,
                                              .kind = EnvelopeKind::lookup,
                                              .tag = tag.value_or(question ? question->tag : 0),
                                              .target = of.value_or(target)},
                                             now, out);
    if (was_ours) take();
    return was_ours;
  }

  Random random{1};
  NodeId target = random.id();
  Tracer tracer{Random{2}};
  Outbox out;
  TimePoint now{100s};
  std::optional<Question> question;
  std::vector<NotifyWish::Traced> told;
};

using Tracing = TracerTest;

TEST_F(Tracing, AsksOneHopFartherUntilTheTargetAnswers) {
  const std::uint64_t number = start();
  for (int hop = 1; hop <= 3; ++hop) {
    ASSERT_TRUE(question.has_value());
    EXPECT_EQ(question->hops_left, hop - 1);
    now += 10ms;
    const NodeId where = random.id();
    ASSERT_TRUE(notice(UnreachableReason::hops_spent, where));
    EXPECT_EQ(told.back().trace, number);
    EXPECT_EQ(told.back().hop.hop, hop);
    EXPECT_EQ(told.back().hop.id, where);
    EXPECT_EQ(told.back().hop.round_trip, 10ms);
    EXPECT_EQ(told.back().hop.reason, UnreachableReason::none);
  }
  now += 7ms;
  EXPECT_TRUE(tracer.answered(target, question->nonce, now, out));
  take();
  ASSERT_EQ(told.size(), 4u);
  EXPECT_TRUE(told.back().hop.is_target);
  EXPECT_EQ(told.back().hop.hop, 4);
  EXPECT_EQ(told.back().hop.id, target);
  EXPECT_EQ(told.back().hop.round_trip, 7ms);
}

TEST_F(Tracing, TellsWhereTheWayEndsAndWhy) {
  start();
  EXPECT_TRUE(notice(UnreachableReason::dead_end, random.id()));
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told.back().hop.reason, UnreachableReason::dead_end);
  EXPECT_FALSE(question.has_value()) << "nothing is asked any more";
  EXPECT_FALSE(notice(UnreachableReason::dead_end, random.id()));
}

TEST_F(Tracing, WhatWasNotAskedIsNotOurs) {
  start();
  const Question asked = *question;
  EXPECT_FALSE(notice(UnreachableReason::hops_spent, random.id(), asked.tag + 1));
  EXPECT_FALSE(notice(UnreachableReason::hops_spent, random.id(), asked.tag, random.id()));
  EXPECT_FALSE(tracer.answered(target, asked.nonce + 1, now, out));
  EXPECT_FALSE(tracer.answered(random.id(), asked.nonce, now, out)) << "only the target can answer";
  EXPECT_TRUE(told.empty());
  EXPECT_TRUE(notice(UnreachableReason::hops_spent, random.id(), asked.tag));
  EXPECT_FALSE(notice(UnreachableReason::hops_spent, random.id(), asked.tag)) << "an old one";
}

TEST_F(Tracing, ASilentHopIsAskedThreeTimesAndThenLost) {
  start();
  std::set<std::uint32_t> tags;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(question.has_value());
    EXPECT_TRUE(tags.insert(question->tag).second);
    EXPECT_TRUE(told.empty());
    now += 2s;
    EXPECT_EQ(tracer.next_wake(), now);
    tracer.wake(now, out);
    take();
  }
  ASSERT_EQ(told.size(), 1u);
  EXPECT_TRUE(told.back().hop.lost);
  EXPECT_EQ(told.back().hop.hop, 1);
  EXPECT_EQ(tracer.next_wake(), never);
}

TEST_F(Tracing, AnAnswerInTimeIsNotAskedAgain) {
  start();
  now += 1s;
  ASSERT_TRUE(notice(UnreachableReason::hops_spent, random.id()));
  now += 1s;
  tracer.wake(now, out);  // the first question's deadline, which means nothing any more
  take();
  EXPECT_FALSE(question.has_value());
  EXPECT_GT(tracer.next_wake(), now);
}

TEST_F(Tracing, EndsAfterTheLongestWayThereIs) {
  start();
  int hops = 0;
  while (question && hops < 100) {
    ASSERT_TRUE(notice(UnreachableReason::hops_spent, random.id()));
    ++hops;
  }
  EXPECT_EQ(hops, limits::hops_max + 1) << "the first transmission costs no hop";
  EXPECT_EQ(told.back().hop.reason, UnreachableReason::hops_spent);
}

TEST_F(Tracing, TheOldestOfTooManyIsLost) {
  const std::uint64_t first = start();
  for (int i = 1; i < 64; ++i) start();
  EXPECT_TRUE(told.empty());
  start();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told.back().trace, first);
  EXPECT_TRUE(told.back().hop.lost);
}

}  // namespace
}  // namespace peer_relay
