// SPDX-License-Identifier: MIT
#include "core/signalling/signalling.hpp"

#include <variant>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace peer_relay {
namespace {

using namespace std::chrono_literals;
using Step = NegotiateWish::Step;
using testing::ElementsAre;
using testing::IsEmpty;

NodeId id_of(std::uint8_t first) {
  NodeId id;
  id.bytes[0] = first;
  return id;
}

const NodeId smaller = id_of(1);
const NodeId self = id_of(2);
const NodeId larger = id_of(3);

class Room : public testing::Test {
 protected:
  void wish_for(const NodeId& peer, DialId dial = DialId{9}) {
    room.handle(OfferWish{.dial = dial, .to = peer}, now, out);
    take();
  }
  void hear(const NodeId& from, const Signal& signal) {
    SignalArrived arrived{.from = from, .body = {}};
    encode_signal(signal, arrived.body);
    room.handle(arrived, now, out);
    take();
  }
  void describe(std::string_view sdp = "v=0") {
    room.described(negotiations.back().negotiation, sdp, now, out);
    take();
  }
  void run_for(Duration duration) {
    now += duration;
    room.wake(now, out);
    take();
  }

  void take() {
    while (!out.empty()) {
      Wish wish = out.take();
      if (auto* each = std::get_if<NegotiateWish>(&wish)) negotiations.push_back(*each);
      if (auto* each = std::get_if<SignalWish>(&wish)) signals.push_back(*each);
      if (auto* each = std::get_if<OfferFailed>(&wish)) failures.push_back(*each);
    }
  }
  std::vector<Step> steps() const {
    std::vector<Step> all;
    for (const auto& each : negotiations) all.push_back(each.step);
    return all;
  }
  Signal said() const { return decode_signal(signals.back().body).value(); }
  std::vector<DialError> errors() const {
    std::vector<DialError> all;
    for (const auto& each : failures) all.push_back(each.error);
    return all;
  }

  bool welcomes = true;
  Signalling room{
      self, Random{1},
      [](const void* context, const NodeId&, bool) { return *static_cast<const bool*>(context); },
      &welcomes};
  TimePoint now{1s};
  Outbox out;
  std::vector<NegotiateWish> negotiations;
  std::vector<SignalWish> signals;
  std::vector<OfferFailed> failures;
};

TEST_F(Room, OffersAndTakesTheAnswer) {
  wish_for(larger);
  EXPECT_THAT(steps(), ElementsAre(Step::offer));
  describe("our offer");
  EXPECT_EQ(signals.back().to, larger);
  EXPECT_EQ(said().step, SignalStep::offer);
  EXPECT_EQ(said().text, "our offer");
  hear(larger, {.step = SignalStep::answer, .number = said().number, .text = "their answer"});
  ASSERT_THAT(steps(), ElementsAre(Step::offer, Step::take));
  EXPECT_EQ(negotiations.back().text, "their answer");
  const auto opened = room.opened(negotiations.back().negotiation, LinkId{5});
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->dial, DialId{9});
  EXPECT_EQ(room.size(), 0u);
}

TEST_F(Room, AnswersAnOffer) {
  hear(larger, {.step = SignalStep::offer, .number = 77, .text = "their offer"});
  ASSERT_THAT(steps(), ElementsAre(Step::answer));
  EXPECT_EQ(negotiations.back().text, "their offer");
  describe("our answer");
  EXPECT_EQ(said().step, SignalStep::answer);
  EXPECT_EQ(said().number, 77u);
  const auto opened = room.opened(negotiations.back().negotiation, LinkId{5});
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->dial, std::nullopt);
}

TEST_F(Room, OfTwoOffersTheSmallerIdsStands) {
  wish_for(larger);
  describe();
  hear(larger, {.step = SignalStep::offer, .number = 77, .text = "theirs"});
  EXPECT_THAT(steps(), ElementsAre(Step::offer));  // ours stands

  wish_for(smaller, DialId{10});
  describe();
  hear(smaller, {.step = SignalStep::offer, .number = 78, .text = "theirs"});
  EXPECT_THAT(steps(), ElementsAre(Step::offer, Step::offer, Step::abandon, Step::answer));
  EXPECT_THAT(failures, IsEmpty());
  // The dial ends with the link that came of their offer.
  room.opened(negotiations.back().negotiation, LinkId{5});
  room.link_settled(LinkId{5}, out);
  take();
  ASSERT_THAT(errors(), ElementsAre(DialError::superseded));
  EXPECT_EQ(failures.back().dial, DialId{10});
}

TEST_F(Room, AnOfferThatCrossedOursNeedsNoWelcome) {
  welcomes = false;
  wish_for(smaller);
  describe();
  hear(smaller, {.step = SignalStep::offer, .number = 78, .text = "theirs"});
  EXPECT_THAT(steps(), ElementsAre(Step::offer, Step::abandon, Step::answer));
}

TEST_F(Room, ADialToOneThatHasOfferedWaitsForItsChannel) {
  hear(larger, {.step = SignalStep::offer, .number = 77, .text = "theirs"});
  wish_for(larger);
  EXPECT_THAT(steps(), ElementsAre(Step::answer));
  room.failed(negotiations.back().negotiation, DialError::ice_failed, out);
  take();
  EXPECT_THAT(errors(), ElementsAre(DialError::ice_failed));
}

TEST_F(Room, DeclinesThoseForWhomThereIsNoPlace) {
  welcomes = false;
  hear(larger, {.step = SignalStep::offer, .number = 77, .text = "theirs"});
  EXPECT_THAT(steps(), IsEmpty());
  EXPECT_EQ(said().step, SignalStep::decline);
  EXPECT_EQ(said().number, 77u);
}

TEST_F(Room, IsToldWhenOursIsDeclined) {
  wish_for(larger);
  describe();
  hear(larger, {.step = SignalStep::decline, .number = said().number});
  EXPECT_THAT(steps(), ElementsAre(Step::offer, Step::abandon));
  EXPECT_THAT(errors(), ElementsAre(DialError::declined));
}

TEST_F(Room, SaysSoWhenItsHostCanNotAnswer) {
  hear(larger, {.step = SignalStep::offer, .number = 77, .text = "no description"});
  room.failed(negotiations.back().negotiation, DialError::bad_description, out);
  take();
  EXPECT_EQ(said().step, SignalStep::decline);
  EXPECT_EQ(room.size(), 0u);
}

TEST_F(Room, GivesUpAnOfferThatDidNotArriveOrIsNotAnswered) {
  wish_for(larger);
  describe();
  ASSERT_NE(signals.back().token, 0u);
  room.handle(SignalDone{.token = signals.back().token, .arrived = false}, out);
  take();
  EXPECT_THAT(errors(), ElementsAre(DialError::no_answer));

  wish_for(smaller);
  describe();
  run_for(limits::offer_timeout - 1ms);
  EXPECT_EQ(room.size(), 1u);
  EXPECT_EQ(room.next_wake(), now + 1ms);
  run_for(1ms);
  EXPECT_THAT(errors(), ElementsAre(DialError::no_answer, DialError::no_answer));
  EXPECT_EQ(room.size(), 0u);
  EXPECT_EQ(room.next_wake(), never);
}

TEST_F(Room, GivesUpWhatWasAnsweredAndCameToNothing) {
  wish_for(larger);
  describe();
  hear(larger, {.step = SignalStep::answer, .number = said().number, .text = "v=0"});
  run_for(limits::negotiation_timeout);
  EXPECT_THAT(errors(), ElementsAre(DialError::timed_out));
  EXPECT_EQ(steps().back(), Step::abandon);
}

TEST_F(Room, AnAnswerNobodyAskedForIsCounted) {
  const auto unwanted = [&] {
    return out.stats().dropped[static_cast<std::size_t>(DropReason::contact_unwanted)];
  };
  hear(larger, {.step = SignalStep::answer, .number = 77, .text = "v=0"});
  EXPECT_EQ(unwanted(), 1u);
  wish_for(larger);
  describe();
  const std::uint64_t number = said().number;
  hear(smaller, {.step = SignalStep::answer, .number = number, .text = "not whom we asked"});
  hear(larger, {.step = SignalStep::answer, .number = number + 1, .text = "not what we asked"});
  EXPECT_EQ(unwanted(), 3u);
  hear(larger, {.step = SignalStep::answer, .number = number, .text = "v=0"});
  hear(larger, {.step = SignalStep::answer, .number = number, .text = "again"});
  EXPECT_EQ(unwanted(), 4u);
  EXPECT_THAT(steps(), ElementsAre(Step::offer, Step::take));
}

TEST_F(Room, CandidatesMayOvertakeTheirOffer) {
  hear(larger, {.step = SignalStep::candidate, .number = 77, .text = "candidate:1"});
  hear(larger, {.step = SignalStep::candidate, .number = 76, .text = "of another"});
  EXPECT_THAT(steps(), IsEmpty());
  hear(larger, {.step = SignalStep::offer, .number = 77, .text = "theirs"});
  ASSERT_THAT(steps(), ElementsAre(Step::answer, Step::candidate));
  EXPECT_EQ(negotiations.back().text, "candidate:1");
}

TEST_F(Room, CandidatesByTheThousandAreBounded) {
  for (int i = 0; i < 1000; ++i) {
    hear(larger, {.step = SignalStep::candidate, .number = 77, .text = "candidate:1"});
  }
  hear(larger, {.step = SignalStep::offer, .number = 77, .text = "theirs"});
  for (int i = 0; i < 1000; ++i) {
    hear(larger, {.step = SignalStep::candidate, .number = 77, .text = "candidate:1"});
  }
  EXPECT_EQ(negotiations.size(), 1 + limits::candidates_max + 1);
}

TEST_F(Room, OffersByTheThousandAreBounded) {
  Random random{3};
  for (int i = 0; i < 1000; ++i) {
    hear(random.id(), {.step = SignalStep::offer, .number = random.next(), .text = "theirs"});
  }
  EXPECT_EQ(room.size(), limits::offers_per_second);
  const auto limited = out.stats().dropped[static_cast<std::size_t>(DropReason::rate_limited)];
  EXPECT_EQ(limited, 1000 - limits::offers_per_second);
  run_for(1s);
  for (int i = 0; i < 1000; ++i) {
    hear(random.id(), {.step = SignalStep::offer, .number = random.next(), .text = "theirs"});
  }
  EXPECT_EQ(room.size(), limits::negotiations_max);
  // And ours, while there is no room.
  wish_for(larger);
  EXPECT_EQ(errors().back(), DialError::limit);
}

TEST_F(Room, ANewOfferOfTheSameNodeTakesThePlaceOfItsOld) {
  for (std::uint64_t number = 1; number <= 20; ++number) {
    hear(larger, {.step = SignalStep::offer, .number = number, .text = "theirs"});
    hear(larger, {.step = SignalStep::offer, .number = number, .text = "replayed"});
  }
  EXPECT_EQ(room.size(), 1u);
  EXPECT_EQ(std::ranges::count(steps(), Step::answer), 20);
  EXPECT_EQ(std::ranges::count(steps(), Step::abandon), 19);
}

TEST_F(Room, AnUnwantedChannelIsNotTaken) {
  wish_for(larger);
  const NegotiationId id = negotiations.back().negotiation;
  run_for(limits::offer_timeout);
  EXPECT_EQ(room.opened(id, LinkId{5}), std::nullopt);
}

TEST_F(Room, StopEndsAll) {
  wish_for(larger);
  hear(smaller, {.step = SignalStep::offer, .number = 77, .text = "theirs"});
  room.stop(out);
  take();
  EXPECT_EQ(std::ranges::count(steps(), Step::abandon), 2);
  EXPECT_EQ(room.size(), 0u);
}

}  // namespace
}  // namespace peer_relay
