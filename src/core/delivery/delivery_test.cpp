// SPDX-License-Identifier: MIT
#include "core/delivery/delivery.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace peer_relay {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace std::chrono_literals;
using Outcome = SendResult::Outcome;

constexpr std::uint8_t hops_left = limits::hops_max - 2;  // three links
constexpr Duration latency = 20ms;

/// A content between two nodes, as if sealed.
struct Flight {
  NodeId from{};
  SealWish wish;
  std::uint32_t tag = 0;
  Content content() const {
    return *decode_content(BytesView{wish.content}.subspan(session_data_header_bytes));
  }
};

struct Node {
  explicit Node(std::uint64_t seed, std::uint32_t epoch)
      : random(seed), id(random.id()), delivery(random.split(), epoch) {}

  std::uint64_t dropped(DropReason reason) const { return out.stats().dropped_for(reason); }
  std::vector<std::string> inbox() const {
    std::vector<std::string> texts;
    for (const Message& message : messages) texts.emplace_back(message.payload.text());
    return texts;
  }

  Random random;
  NodeId id;
  Delivery delivery;
  Outbox out;
  std::vector<Message> messages;
  std::map<MessageId, std::vector<SendResult>> results;
  std::vector<SignalArrived> signals;
  std::vector<SignalDone> signals_done;
};

/// Nodes that have nothing but delivery, and sessions that always stand: what is to be sealed
/// leaves at once, unless a test says otherwise.
struct World {
  /// The times after which copies of a content arrive; none: it is lost.
  using Fate = std::function<std::vector<Duration>(const Flight&)>;

  Node& add(bool connected = true) {
    const std::uint64_t number = nodes.size() + 1;
    nodes.push_back(std::make_unique<Node>(number, static_cast<std::uint32_t>(1000 * number)));
    if (connected) nodes.back()->delivery.set_connected(true, now, nodes.back()->out);
    return *nodes.back();
  }

  MessageId send(Node& from, const NodeId& to, std::string_view text) {
    const MessageId message = from.delivery.send(to, Payload::of_text(text), now, from.out);
    grant(from);
    return message;
  }
  MessageId send_acked(Node& from, const NodeId& to, std::string_view text, Promise promise = {}) {
    const MessageId message =
        from.delivery.send(to, Payload::of_text(text), promise, now, from.out);
    grant(from);
    return message;
  }

  void signal(Node& from, const NodeId& to, Bytes body, std::uint64_t token) {
    from.delivery.send(SignalWish{.to = to, .body = std::move(body), .token = token}, now,
                       from.out);
    grant(from);
  }

  void grant(Node& node) {
    while (!node.out.empty()) {
      Wish wish = node.out.take();
      if (auto* const signal = std::get_if<SignalArrived>(&wish)) node.signals.push_back(*signal);
      if (auto* const done = std::get_if<SignalDone>(&wish)) node.signals_done.push_back(*done);
      if (auto* const seal = std::get_if<SealWish>(&wish)) {
        Flight flight{.from = node.id, .wish = std::move(*seal), .tag = ++last_tag};
        flights.push_back(flight);
        if (holds_back) continue;
        if (flight.wish.token != 0) {
          node.delivery.handle(ContentLeft{.token = flight.wish.token, .tag = flight.tag}, now,
                               node.out);
        }
        for (const Duration after : fate(flight)) post(flight, after);
      } else if (auto* const notify = std::get_if<NotifyWish>(&wish)) {
        if (auto* const message = std::get_if<Message>(&notify->event)) {
          node.messages.push_back(std::move(*message));
        } else if (auto* const done = std::get_if<NotifyWish::SendDone>(&notify->event)) {
          node.results[done->message].push_back(done->result);
        }
      }
    }
  }

  void post(const Flight& flight, Duration after) {
    arrivals.emplace(std::pair{now + after, order++}, flight);
  }

  void run_for(Duration duration) {
    const TimePoint end = now + duration;
    for (;;) {
      TimePoint next = arrivals.empty() ? never : arrivals.begin()->first.first;
      for (const auto& node : nodes) next = std::min(next, node->delivery.next_wake());
      if (next > end) break;
      now = std::max(now, next);
      step();
    }
    now = end;
  }

  void step() {
    while (!arrivals.empty() && arrivals.begin()->first.first <= now) {
      const Flight flight = std::move(arrivals.begin()->second);
      arrivals.erase(arrivals.begin());
      for (const auto& node : nodes) {
        if (node->id == flight.wish.to) deliver(flight, *node);
      }
    }
    for (const auto& node : nodes) {
      node->delivery.wake(now, node->out);
      grant(*node);
    }
  }

  void deliver(const Flight& flight, Node& node) {
    const BytesView content = BytesView{flight.wish.content}.subspan(session_data_header_bytes);
    node.delivery.handle(flight.from, hops_left, content, now, node.out);
    grant(node);
  }

  /// A content made by hand arrives.
  void hand(Node& node, const NodeId& from, const Content& content) {
    deliver({.from = from, .wish = {.to = node.id, .content = content_for_sealing(content)}}, node);
  }

  bool turn_back(Node& node, std::uint32_t tag, UnreachableReason reason, bool plausible = true) {
    const bool is_ours = node.delivery.unreachable(tag, reason, where, plausible, now, node.out);
    grant(node);
    return is_ours;
  }

  std::size_t sent_by(const Node& node) const {
    return static_cast<std::size_t>(std::ranges::count(flights, node.id, &Flight::from));
  }

  TimePoint now{10s};
  Fate fate = [](const Flight&) { return std::vector<Duration>{latency}; };
  bool holds_back = false;  ///< sessions take contents and never say more
  std::vector<Flight> flights;
  std::uint32_t last_tag = 0;
  NodeId where = Random{5}.id();
  std::vector<std::unique_ptr<Node>> nodes;
  std::map<std::pair<TimePoint, std::uint64_t>, Flight> arrivals;
  std::uint64_t order = 0;
};

struct Delivering : ::testing::Test {
  /// The one result of a message, by now.
  SendResult result(MessageId message) {
    EXPECT_THAT(alice.results[message], SizeIs(1));
    return alice.results[message].empty() ? SendResult{} : alice.results[message][0];
  }
  bool is_pending(MessageId message) { return !alice.results.contains(message); }
  void lose_all() {
    world.fate = [](const Flight&) { return std::vector<Duration>{}; };
  }
  void lose(int copies) {
    world.fate = [copies](const Flight&) mutable {
      return copies-- > 0 ? std::vector<Duration>{} : std::vector<Duration>{latency};
    };
  }

  World world;
  Node& alice = world.add();
  Node& bob = world.add();
};

// ---- Both ways ----------------------------------------------------------------------------------

TEST_F(Delivering, SendsABestEffortMessageOnceAndForgetsIt) {
  alice.delivery.send(bob.id, Payload::of_json("[1]"), world.now, alice.out);
  world.grant(alice);
  EXPECT_EQ(alice.delivery.waiting(), 0u);
  EXPECT_EQ(alice.delivery.next_wake(), never);
  world.run_for(1min);
  ASSERT_THAT(bob.messages, SizeIs(1));
  EXPECT_EQ(bob.messages[0].from, alice.id);
  EXPECT_EQ(bob.messages[0].payload.type, ContentType::json);
  EXPECT_EQ(bob.messages[0].payload.text(), "[1]");
  EXPECT_EQ(bob.messages[0].hops, 3);
  EXPECT_THAT(world.flights, SizeIs(1));
  EXPECT_EQ(world.flights[0].wish.token, 0u);
  EXPECT_EQ(alice.out.stats().messages_sent, 1u);
  EXPECT_EQ(bob.out.stats().messages_received, 1u);
}

TEST_F(Delivering, TellsHowAnAcknowledgedMessageArrived) {
  const MessageId message = world.send_acked(alice, bob.id, "hello");
  EXPECT_EQ(alice.delivery.waiting(), 1u);
  world.run_for(2 * latency);
  EXPECT_THAT(bob.inbox(), ElementsAre("hello"));
  const SendResult done = result(message);
  EXPECT_EQ(done.outcome, Outcome::delivered);
  EXPECT_EQ(done.hops, 3);
  EXPECT_EQ(done.round_trip, 2 * latency);
  EXPECT_EQ(done.elapsed, 2 * latency);
  EXPECT_EQ(done.attempts, 1);
  EXPECT_EQ(alice.delivery.waiting(), 0u);
  EXPECT_EQ(alice.out.stats().acknowledged, 1u);
  EXPECT_EQ(alice.out.stats().resent, 0u);
  world.run_for(1min);
  EXPECT_THAT(world.flights, SizeIs(2));
}

TEST_F(Delivering, CountsMessagesFromOneAndNamesEachOnce) {
  EXPECT_EQ(world.send(alice, bob.id, "1"), 1u);
  EXPECT_EQ(world.send_acked(alice, bob.id, "2"), 2u);
  EXPECT_EQ(world.send(alice, bob.id, "3"), 3u);
}

TEST_F(Delivering, LeavesRoomForTheSealInWhatItGivesToSession) {
  alice.delivery.send(bob.id, Payload::of_text("hello"), world.now, alice.out);
  alice.delivery.send(bob.id, Payload::of_text("hello"), Promise{}, world.now, alice.out);
  for (int i = 0; i < 2; ++i) {
    const Wish wish = alice.out.take();
    const Bytes& content = std::get<SealWish>(wish).content;
    EXPECT_GE(content.capacity(), content.size() + 16);
  }
}

TEST_F(Delivering, AcknowledgesAProbeAndGivesItToNobody) {
  const MessageId message = world.send_acked(alice, bob.id, "", {.probe = true});
  world.run_for(1s);
  EXPECT_EQ(result(message).outcome, Outcome::delivered);
  EXPECT_THAT(bob.messages, IsEmpty());
  EXPECT_EQ(alice.out.stats().messages_sent, 0u);
  EXPECT_EQ(bob.out.stats().messages_received, 0u);
}

// ---- Again --------------------------------------------------------------------------------------

TEST_F(Delivering, ResendsWithGrowingPausesByOtherPathsUntilTheTimeIsUp) {
  lose_all();
  const TimePoint start = world.now;
  std::vector<Duration> times;
  world.fate = [&](const Flight&) {
    times.push_back(world.now - start);
    return std::vector<Duration>{};
  };
  const MessageId message = world.send_acked(alice, bob.id, "hello");
  world.run_for(limits::acknowledged_timeout - 1us);
  EXPECT_TRUE(is_pending(message));
  world.run_for(1us);
  const SendResult done = result(message);
  EXPECT_EQ(done.outcome, Outcome::timed_out);
  EXPECT_EQ(done.elapsed, limits::acknowledged_timeout);
  ASSERT_THAT(times, SizeIs(5));
  EXPECT_EQ(done.attempts, 5);
  const std::vector<Duration> pauses{1s, 2s, 4s, 4s};
  for (std::size_t i = 0; i < pauses.size(); ++i) {
    EXPECT_GE(times[i + 1] - times[i], pauses[i]);
    EXPECT_LE(times[i + 1] - times[i], pauses[i] * 9 / 8);
  }
  for (std::uint8_t i = 0; i < 5; ++i) {
    EXPECT_EQ(world.flights[i].wish.attempt, i);
    EXPECT_EQ(world.flights[i].wish.content, world.flights[0].wish.content);
  }
  EXPECT_EQ(alice.out.stats().timed_out, 1u);
  EXPECT_EQ(alice.out.stats().resent, 4u);
  EXPECT_EQ(alice.delivery.waiting(), 0u);
}

TEST_F(Delivering, LearnsHowLongToWait) {
  for (int i = 0; i < 30; ++i) {
    world.send_acked(alice, bob.id, "hello");
    world.run_for(1s);
  }
  lose(1);
  const MessageId message = world.send_acked(alice, bob.id, "lost once");
  world.run_for(limits::resend_after_min + limits::resend_after_min / 8 + 2 * latency);
  EXPECT_EQ(result(message).outcome, Outcome::delivered);
  EXPECT_EQ(result(message).attempts, 2);
  EXPECT_EQ(result(message).round_trip, 2 * latency) << "of the copy that was sent last";
}

TEST_F(Delivering, LearnsNothingFromAMessageThatWasResent) {
  world.fate = [](const Flight&) { return std::vector<Duration>{1500ms}; };
  const MessageId message = world.send_acked(alice, bob.id, "slow");
  world.run_for(3s);
  EXPECT_EQ(result(message).attempts, 2) << "of which copy is the acknowledgement?";
  world.flights.clear();
  world.send_acked(alice, bob.id, "slow again");
  world.run_for(1200ms);
  EXPECT_EQ(world.sent_by(alice), 2u) << "the first pause is still a second";
}

TEST_F(Delivering, GivesEachMessageOnceThoughItComesOften) {
  world.fate = [](const Flight&) { return std::vector<Duration>{latency, 2 * latency, 5s}; };
  const MessageId message = world.send_acked(alice, bob.id, "hello");
  world.run_for(30s);
  EXPECT_THAT(bob.inbox(), ElementsAre("hello"));
  EXPECT_EQ(result(message).outcome, Outcome::delivered);
  EXPECT_EQ(bob.dropped(DropReason::duplicate), 2u);
  EXPECT_EQ(world.sent_by(bob), 3u) << "a copy says that an acknowledgement may be lost";
}

TEST_F(Delivering, AcknowledgesAgainWhatItHasHad) {
  world.fate = [this, lost = 0](const Flight& flight) mutable {
    const bool is_lost = flight.from == bob.id && lost++ < 2;
    return is_lost ? std::vector<Duration>{} : std::vector<Duration>{latency};
  };
  const MessageId message = world.send_acked(alice, bob.id, "hello");
  world.run_for(10s);
  EXPECT_THAT(bob.inbox(), ElementsAre("hello"));
  EXPECT_EQ(result(message).outcome, Outcome::delivered);
  EXPECT_EQ(result(message).attempts, 3);
}

TEST_F(Delivering, KeepsAWindowForEachOfTwoEpochs) {
  const NodeId carol = Random{9}.id();
  const auto hand = [&](std::uint32_t epoch, std::uint32_t sequence) {
    const std::size_t before = bob.messages.size();
    world.hand(bob, carol, {.kind = ContentKind::data_acked, .epoch = epoch, .sequence = sequence});
    return bob.messages.size() - before;
  };
  EXPECT_EQ(hand(1, 5000), 1u);
  EXPECT_EQ(hand(1, 5000), 0u);
  EXPECT_EQ(hand(1, 5001 - limits::replay_window), 1u) << "the oldest in the window";
  EXPECT_EQ(hand(1, 5000 - limits::replay_window), 0u) << "too old to tell";
  EXPECT_EQ(hand(2, 0), 1u);
  EXPECT_EQ(hand(2, 0), 0u);
  EXPECT_EQ(hand(1, 5000), 0u) << "the epoch before is remembered";
  EXPECT_EQ(hand(1, 4999), 1u);
  EXPECT_EQ(hand(3, 0), 1u);
  EXPECT_EQ(hand(2, 0), 0u);
}

TEST_F(Delivering, DoesNotAcknowledgeWhatIsTooOldToTell) {
  const NodeId carol = Random{9}.id();
  world.hand(bob, carol, {.kind = ContentKind::data_acked, .epoch = 1, .sequence = 5000});
  ASSERT_THAT(world.flights, SizeIs(1));
  world.hand(bob, carol, {.kind = ContentKind::data_acked, .epoch = 1, .sequence = 100});
  EXPECT_THAT(world.flights, SizeIs(1));
  EXPECT_EQ(bob.dropped(DropReason::duplicate), 1u);
}

// ---- In flight ----------------------------------------------------------------------------------

TEST_F(Delivering, HasNoMoreInFlightThanTheReceiverCanTellApart) {
  lose_all();
  for (int i = 0; i < 3000; ++i) world.send_acked(alice, bob.id, std::to_string(i));
  EXPECT_EQ(world.flights.size(), Delivery::in_flight_max);
  EXPECT_EQ(alice.delivery.waiting(), 3000u);
  EXPECT_EQ(world.flights.back().content().sequence, Delivery::in_flight_max - 1);
  world.fate = [](const Flight&) { return std::vector<Duration>{latency}; };
  world.run_for(10s);
  EXPECT_EQ(bob.messages.size(), 3000u);
  EXPECT_EQ(alice.delivery.waiting(), 0u);
  EXPECT_EQ(alice.out.stats().acknowledged, 3000u);
}

TEST_F(Delivering, LetsNoLiveMessageFallOutOfTheWindow) {
  world.fate = [&](const Flight& flight) {  // the first finds no way for four seconds
    const bool is_stuck = flight.wish.token == 1 && world.now < TimePoint{14s};
    return is_stuck ? std::vector<Duration>{} : std::vector<Duration>{latency};
  };
  for (int i = 0; i < 5000; ++i) world.send_acked(alice, bob.id, std::to_string(i));
  world.run_for(3s);
  EXPECT_EQ(bob.messages.size(), Delivery::in_flight_max - 1);
  world.run_for(9s);
  EXPECT_EQ(bob.messages.size(), 5000u);
  EXPECT_EQ(alice.out.stats().acknowledged, 5000u);
}

TEST_F(Delivering, HasNoMoreBytesInFlightThanHalfALinksQueue) {
  lose_all();
  const std::string large(60'000, 'x');
  for (int i = 0; i < 100; ++i) world.send_acked(alice, bob.id, large);
  EXPECT_EQ(world.flights.size(), Delivery::in_flight_bytes_max / 60'022);
  world.fate = [](const Flight&) { return std::vector<Duration>{latency}; };
  world.run_for(10s);
  EXPECT_EQ(bob.messages.size(), 100u);
}

TEST_F(Delivering, DoesNotLetOneTargetHoldUpAnother) {
  lose_all();
  const NodeId nobody = Random{9}.id();
  for (int i = 0; i < 3000; ++i) world.send_acked(alice, nobody, "x");
  world.fate = [](const Flight&) { return std::vector<Duration>{latency}; };
  world.send_acked(alice, bob.id, "hello");
  world.run_for(latency);
  EXPECT_THAT(bob.inbox(), ElementsAre("hello"));
}

TEST_F(Delivering, NeverGivesANumberAnotherMeaning) {
  std::set<std::pair<std::uint32_t, std::uint32_t>> numbers;
  const auto number = [&] {
    const Content content = world.flights.back().content();
    return std::pair{content.epoch, content.sequence};
  };
  world.send_acked(alice, bob.id, "before", {.timeout = 1s});
  EXPECT_TRUE(numbers.insert(number()).second);
  world.run_for(2s);
  lose_all();
  Random random{77};
  for (std::size_t i = 0; i <= Delivery::idle_targets_max; ++i) {  // bob is forgotten for them
    world.send_acked(alice, random.id(), "x", {.timeout = 1s});
    EXPECT_TRUE(numbers.insert(number()).second);
  }
  world.run_for(2s);
  world.send_acked(alice, bob.id, "after");
  EXPECT_TRUE(numbers.insert(number()).second);
}

// ---- Turned back --------------------------------------------------------------------------------

TEST_F(Delivering, EndsWhereNobodyIsOnceACarefulWayFoundNobodyToo) {
  lose_all();
  const MessageId message = world.send_acked(alice, Random{9}.id(), "hello");
  EXPECT_FALSE(world.flights.back().wish.careful);
  world.run_for(latency / 2);
  const std::uint32_t first = world.last_tag;
  EXPECT_TRUE(world.turn_back(alice, first, UnreachableReason::dead_end));
  ASSERT_THAT(world.flights, SizeIs(2)) << "at once";
  EXPECT_TRUE(world.flights.back().wish.careful) << "whoever said so may be the only one to";
  EXPECT_TRUE(is_pending(message));
  world.run_for(latency / 2);
  EXPECT_TRUE(world.turn_back(alice, world.last_tag, UnreachableReason::dead_end));
  const SendResult done = result(message);
  EXPECT_EQ(done.outcome, Outcome::unreachable);
  EXPECT_EQ(done.reason, UnreachableReason::dead_end);
  EXPECT_EQ(done.where, world.where);
  EXPECT_EQ(done.attempts, 2);
  EXPECT_EQ(done.elapsed, latency);
  EXPECT_EQ(alice.out.stats().unreachable, 1u);
}

struct Hint {
  bool has_spoken;
  bool plausible;
  UnreachableReason reason;
};

TEST_F(Delivering, TriesThreePathsWhereANoticeIsOnlyAHint) {
  for (const auto& [has_spoken, plausible, reason] :
       {Hint{true, true, UnreachableReason::dead_end},
        Hint{false, false, UnreachableReason::dead_end},
        Hint{false, true, UnreachableReason::hops_spent}}) {
    world.fate = [](const Flight&) { return std::vector<Duration>{latency}; };
    const NodeId target = has_spoken ? bob.id : world.where;
    if (has_spoken) world.send_acked(alice, bob.id, "hello");
    world.run_for(1s);
    lose_all();
    world.flights.clear();
    const MessageId message = world.send_acked(alice, target, "hello");
    for (std::uint8_t i = 1; i <= 2; ++i) {
      EXPECT_TRUE(world.turn_back(alice, world.last_tag, reason, plausible));
      ASSERT_THAT(world.flights, SizeIs(i + 1)) << "at once";
      EXPECT_EQ(world.flights.back().wish.attempt, i);
      EXPECT_TRUE(is_pending(message));
    }
    const std::uint32_t last = world.last_tag;
    EXPECT_TRUE(world.turn_back(alice, last, reason, plausible));
    EXPECT_FALSE(world.turn_back(alice, last, reason, plausible));
    EXPECT_EQ(result(message).outcome, Outcome::unreachable);
    EXPECT_EQ(result(message).reason, reason);
    EXPECT_EQ(result(message).attempts, 3);
  }
}

TEST_F(Delivering, CountsALateNoticeAndDoesNotHurryForIt) {
  lose_all();
  const MessageId message = world.send_acked(alice, bob.id, "hello");
  const std::uint32_t first = world.last_tag;
  world.run_for(1200ms);
  ASSERT_THAT(world.flights, SizeIs(2));
  EXPECT_TRUE(world.turn_back(alice, first, UnreachableReason::dead_end));
  EXPECT_THAT(world.flights, SizeIs(2));
  EXPECT_TRUE(is_pending(message));
  EXPECT_TRUE(world.turn_back(alice, world.last_tag, UnreachableReason::dead_end));
  EXPECT_TRUE(world.turn_back(alice, world.last_tag, UnreachableReason::dead_end));
  EXPECT_EQ(result(message).outcome, Outcome::unreachable);
}

TEST_F(Delivering, WaitsWhereItIsCrowded) {
  int refusals = 3;
  world.fate = [&](const Flight& flight) {
    if (flight.from != alice.id || refusals == 0) return std::vector<Duration>{latency};
    return std::vector<Duration>{};
  };
  const MessageId message = world.send_acked(alice, bob.id, "hello");
  while (refusals > 0) {
    const std::size_t before = world.flights.size();
    --refusals;
    EXPECT_TRUE(world.turn_back(alice, world.last_tag, UnreachableReason::queue_full));
    EXPECT_THAT(world.flights, SizeIs(before)) << "not at once";
    while (world.flights.size() == before) world.run_for(10ms);
  }
  world.run_for(1s);
  EXPECT_EQ(result(message).outcome, Outcome::delivered);
  EXPECT_EQ(result(message).attempts, 4);
}

TEST_F(Delivering, SaysThatItWasCrowdedToTheEnd) {
  lose_all();
  const MessageId message = world.send_acked(alice, bob.id, "hello");
  for (int i = 0; i < 2000; ++i) {
    world.turn_back(alice, world.last_tag, UnreachableReason::rate_limited);
    world.run_for(10ms);
  }
  EXPECT_EQ(result(message).outcome, Outcome::unreachable);
  EXPECT_EQ(result(message).reason, UnreachableReason::rate_limited);
  EXPECT_EQ(result(message).elapsed, limits::acknowledged_timeout);
  EXPECT_LE(world.flights.size(), 6u);
}

TEST_F(Delivering, TriesForAsLongAsItIsTold) {
  lose_all();
  const MessageId forever = world.send_acked(alice, bob.id, "x", {.timeout = Duration::max()});
  const MessageId never = world.send_acked(alice, bob.id, "y", {.timeout = -1s});
  world.run_for(1h);
  EXPECT_TRUE(is_pending(forever));
  EXPECT_EQ(result(never).outcome, Outcome::timed_out);
  EXPECT_GE(world.flights.size(), 800u);
  EXPECT_EQ(world.flights.back().wish.attempt, 255);
  world.turn_back(alice, world.last_tag, UnreachableReason::dead_end);
  EXPECT_TRUE(is_pending(forever));
}

TEST_F(Delivering, KnowsOnlyItsOwnTags) {
  lose_all();
  world.send_acked(alice, bob.id, "hello");
  EXPECT_FALSE(world.turn_back(alice, world.last_tag + 1, UnreachableReason::dead_end));
  world.send(alice, bob.id, "best effort");
  EXPECT_FALSE(world.turn_back(alice, world.last_tag, UnreachableReason::dead_end));
}

// ---- What session tells -------------------------------------------------------------------------

struct Handed : Delivering {
  Handed() { world.holds_back = true; }
  void left(std::uint32_t tag) {
    alice.delivery.handle(ContentLeft{.token = message, .tag = tag}, world.now, alice.out);
    world.grant(alice);
  }
  void failed(ContentFailed failure) {
    failure.token = message;
    alice.delivery.handle(failure, world.now, alice.out);
    world.grant(alice);
  }
  MessageId message = 0;
};

TEST_F(Handed, DoesNotResendWhatHasNotLeft) {
  message = world.send_acked(alice, bob.id, "hello");
  world.run_for(9s);
  EXPECT_THAT(world.flights, SizeIs(1));
  left(7);
  world.run_for(1200ms);
  EXPECT_THAT(world.flights, SizeIs(2));
}

TEST_F(Handed, EndsInTimeThoughNothingIsSaid) {
  message = world.send_acked(alice, bob.id, "hello");
  world.run_for(limits::acknowledged_timeout);
  EXPECT_EQ(result(message).outcome, Outcome::timed_out);
  EXPECT_EQ(result(message).attempts, 0);
  left(7);  // too late to matter
  EXPECT_EQ(alice.delivery.waiting(), 0u);
}

TEST_F(Handed, MeasuresFromTheCallWhatRodeInAHandshake) {
  message = world.send_acked(alice, bob.id, "hello");
  const Content content = world.flights[0].content();
  world.run_for(40ms);
  left(0);
  world.hand(alice, bob.id,
             {.kind = ContentKind::acknowledge,
              .epoch = content.epoch,
              .sequence = content.sequence,
              .hops_left = hops_left});
  EXPECT_EQ(result(message).outcome, Outcome::delivered);
  EXPECT_EQ(result(message).round_trip, 40ms);
  EXPECT_EQ(result(message).attempts, 1);
}

TEST_F(Handed, EndsWithWhatSessionFound) {
  message = world.send_acked(alice, bob.id, "hello");
  failed({.outcome = Outcome::unreachable,
          .reason = UnreachableReason::session_refused,
          .where = bob.id});
  EXPECT_EQ(result(message).outcome, Outcome::unreachable);
  EXPECT_EQ(result(message).reason, UnreachableReason::session_refused);
  EXPECT_EQ(result(message).where, bob.id);
}

TEST_F(Handed, TriesAgainWhileThereIsTimeIfTheSessionTimedOut) {
  message = world.send_acked(alice, bob.id, "hello");
  world.run_for(10s);
  failed({.outcome = Outcome::timed_out});
  EXPECT_TRUE(is_pending(message));
  world.run_for(1200ms);
  EXPECT_THAT(world.flights, SizeIs(2));
  world.run_for(10s);
  EXPECT_EQ(result(message).outcome, Outcome::timed_out);
}

TEST_F(Handed, IsRefusedInTheEndIfSessionNeverHadRoom) {
  message = world.send_acked(alice, bob.id, "hello");
  while (is_pending(message)) {
    failed({.outcome = Outcome::refused});
    world.run_for(100ms);
  }
  EXPECT_EQ(result(message).outcome, Outcome::refused);
  EXPECT_EQ(result(message).error, Error::queue_full);
  EXPECT_GE(world.flights.size(), 10u);
}

// ---- Bounds -------------------------------------------------------------------------------------

TEST_F(Delivering, RefusesMoreMessagesThanItKeeps) {
  lose_all();
  for (std::size_t i = 0; i < limits::acknowledged_max; ++i) {
    world.send_acked(alice, bob.id, "x");
  }
  EXPECT_THAT(alice.results, IsEmpty());
  const MessageId message = world.send_acked(alice, bob.id, "x");
  EXPECT_EQ(result(message).outcome, Outcome::refused);
  EXPECT_EQ(result(message).error, Error::queue_full);
  EXPECT_NE(world.send(alice, bob.id, "best effort needs no room"), 0u);
  world.run_for(16s);
  EXPECT_EQ(alice.results.size(), limits::acknowledged_max + 1);
  EXPECT_EQ(alice.delivery.waiting(), 0u);
  EXPECT_EQ(alice.out.stats().messages_sent, limits::acknowledged_max + 1);
}

TEST_F(Delivering, RefusesMoreBytesThanItKeeps) {
  lose_all();
  const std::string large(60'000, 'x');
  std::size_t taken = 0;
  for (int i = 0; i < 200; ++i) {
    if (is_pending(world.send_acked(alice, bob.id, large))) ++taken;
  }
  EXPECT_EQ(taken, limits::waiting_bytes_max / 60'022);
  world.run_for(16s);
  EXPECT_TRUE(is_pending(world.send_acked(alice, bob.id, large))) << "there is room again";
}

// ---- Signals ------------------------------------------------------------------------------------

TEST_F(Delivering, ASignalIsForNoApplication) {
  world.signal(alice, bob.id, {1, 2, 3}, 77);
  world.run_for(1s);
  ASSERT_THAT(bob.signals, SizeIs(1));
  EXPECT_EQ(bob.signals[0].from, alice.id);
  EXPECT_EQ(bob.signals[0].body, (Bytes{1, 2, 3}));
  ASSERT_THAT(alice.signals_done, SizeIs(1));
  EXPECT_EQ(alice.signals_done[0].token, 77u);
  EXPECT_TRUE(alice.signals_done[0].arrived);
  EXPECT_THAT(bob.messages, IsEmpty());
  EXPECT_THAT(alice.results, IsEmpty());
  EXPECT_EQ(alice.out.stats().messages_sent, 0u);
  EXPECT_EQ(alice.out.stats().acknowledged, 0u);
}

TEST_F(Delivering, ASignalIsResentAndGivenOnce) {
  lose(2);
  world.signal(alice, bob.id, {1}, 77);
  world.run_for(9s);
  EXPECT_THAT(bob.signals, SizeIs(1));
  EXPECT_THAT(alice.signals_done, SizeIs(1));
}

TEST_F(Delivering, ADeadEndIsNotTheEndOfASignal) {
  lose_all();
  world.signal(alice, bob.id, {1}, 77);
  for (int i = 0; i < 5; ++i) {
    world.turn_back(alice, world.last_tag, UnreachableReason::dead_end);
    world.run_for(100ms);
  }
  EXPECT_THAT(alice.signals_done, IsEmpty());
  EXPECT_LE(world.sent_by(alice), 4u) << "nor a reason to hurry";
  world.fate = [](const Flight&) { return std::vector<Duration>{latency}; };
  world.run_for(limits::offer_timeout);
  EXPECT_THAT(bob.signals, SizeIs(1));
  ASSERT_THAT(alice.signals_done, SizeIs(1));
  EXPECT_TRUE(alice.signals_done[0].arrived);
}

TEST_F(Delivering, ASignalEndsInTimeAndOnce) {
  lose_all();
  world.signal(alice, bob.id, {1}, 77);
  world.signal(alice, bob.id, {2}, 0);  // nobody wants to know
  world.run_for(limits::offer_timeout);
  ASSERT_THAT(alice.signals_done, SizeIs(1));
  EXPECT_FALSE(alice.signals_done[0].arrived);
  EXPECT_EQ(alice.delivery.waiting(), 0u);
}

// ---- Without a link -----------------------------------------------------------------------------

struct Unlinked : Delivering {
  Unlinked() { alice.delivery.set_connected(false, world.now, alice.out); }
  void connect() {
    alice.delivery.set_connected(true, world.now, alice.out);
    world.grant(alice);
  }
};

TEST_F(Unlinked, EverythingWaitsAndThenLeavesInOrder) {
  world.send(alice, bob.id, "best 1");
  world.send_acked(alice, bob.id, "acked 1");
  world.send(alice, bob.id, "best 2");
  world.send_acked(alice, bob.id, "acked 2");
  EXPECT_EQ(alice.delivery.waiting(), 4u);
  world.run_for(5s);
  EXPECT_THAT(world.flights, IsEmpty());
  connect();
  world.run_for(1s);
  EXPECT_THAT(bob.inbox(), ElementsAre("best 1", "best 2", "acked 1", "acked 2"));
  EXPECT_EQ(alice.delivery.waiting(), 0u);
  EXPECT_EQ(alice.out.stats().resent, 0u);
}

TEST_F(Unlinked, SignalsLeave) {
  world.signal(alice, bob.id, {1}, 77);
  world.send_acked(alice, bob.id, "waits");
  world.run_for(1s);
  EXPECT_THAT(bob.signals, SizeIs(1));
  EXPECT_THAT(bob.inbox(), IsEmpty());
}

TEST_F(Unlinked, BestEffortMessagesExpire) {
  world.send(alice, bob.id, "old");
  world.run_for(10s);
  world.send(alice, bob.id, "young");
  world.run_for(5s);
  EXPECT_EQ(alice.dropped(DropReason::expired), 1u);
  connect();
  world.run_for(1s);
  EXPECT_THAT(bob.inbox(), ElementsAre("young"));
}

TEST_F(Unlinked, BestEffortMessagesAreRefusedBeyondTheBound) {
  for (std::size_t i = 0; i < Delivery::unsent_max; ++i) {
    EXPECT_NE(world.send(alice, bob.id, "x"), 0u);
  }
  EXPECT_EQ(world.send(alice, bob.id, "x"), 0u);
  EXPECT_EQ(alice.dropped(DropReason::waiting_full), 1u);
  EXPECT_EQ(alice.out.stats().messages_sent, Delivery::unsent_max);
}

TEST_F(Unlinked, AcknowledgedMessagesEndAtTheirDeadlineAndSayWhy) {
  const MessageId message = world.send_acked(alice, bob.id, "hello", {.timeout = 3s});
  world.run_for(3s);
  EXPECT_EQ(result(message).outcome, Outcome::unreachable);
  EXPECT_EQ(result(message).reason, UnreachableReason::no_links);
  EXPECT_EQ(result(message).elapsed, 3s);
  EXPECT_EQ(result(message).attempts, 0);
}

TEST_F(Unlinked, KeepsNothingOfMessagesThatEndedMeanwhile) {
  world.send_acked(alice, bob.id, "stays", {.timeout = 1000s});
  for (int i = 0; i < 10'000; ++i) {
    world.send_acked(alice, bob.id, "goes", {.timeout = 100ms});
    world.run_for(50ms);
  }
  EXPECT_LE(alice.delivery.waiting(), 4u);
  connect();
  world.run_for(1s);
  EXPECT_LE(bob.messages.size(), 4u);
}

TEST_F(Delivering, GoesOnWhereItWasWhenTheLinksComeBack) {
  lose_all();
  const MessageId message = world.send_acked(alice, bob.id, "hello");
  alice.delivery.set_connected(false, world.now, alice.out);
  world.run_for(8s);
  EXPECT_THAT(world.flights, SizeIs(1));
  world.fate = [](const Flight&) { return std::vector<Duration>{latency}; };
  alice.delivery.set_connected(true, world.now, alice.out);
  world.grant(alice);
  world.run_for(1s);
  EXPECT_EQ(result(message).outcome, Outcome::delivered);
  EXPECT_EQ(result(message).attempts, 2);
}

TEST_F(Delivering, EndsEverythingWhenTheNodeGoes) {
  lose_all();
  std::vector<MessageId> messages;
  for (int i = 0; i < 2000; ++i) messages.push_back(world.send_acked(alice, bob.id, "x"));
  alice.delivery.abandon_all(world.now, alice.out);
  const std::size_t before = world.flights.size();
  world.grant(alice);
  for (const MessageId message : messages) {
    EXPECT_EQ(result(message).outcome, Outcome::refused);
    EXPECT_EQ(result(message).error, Error::closed);
  }
  EXPECT_EQ(world.flights.size(), before);
  EXPECT_EQ(alice.delivery.waiting(), 0u);
}

// ---- Strangers' bytes ---------------------------------------------------------------------------

TEST_F(Delivering, DropsWhatItDoesNotUnderstand) {
  const Bytes unknown{0x20, 1, 2, 3};
  const Bytes broken{0x02, 1, 2, 3};
  bob.delivery.handle(alice.id, hops_left, unknown, world.now, bob.out);
  bob.delivery.handle(alice.id, hops_left, broken, world.now, bob.out);
  bob.delivery.handle(alice.id, hops_left, {}, world.now, bob.out);
  EXPECT_EQ(bob.dropped(DropReason::unknown_frame), 1u);
  EXPECT_EQ(bob.dropped(DropReason::malformed), 2u);
  EXPECT_TRUE(bob.out.empty());
}

TEST_F(Delivering, TakesAnAcknowledgementFromTheTargetAlone) {
  lose_all();
  Node& mallory = world.add();
  const MessageId message = world.send_acked(alice, bob.id, "hello");
  const Content content = world.flights[0].content();
  Content forged{.kind = ContentKind::acknowledge,
                 .epoch = content.epoch,
                 .sequence = content.sequence,
                 .hops_left = hops_left};
  world.hand(alice, mallory.id, forged);
  EXPECT_TRUE(is_pending(message));
  EXPECT_EQ(alice.dropped(DropReason::forged_source), 1u);
  forged.sequence += 1;
  world.hand(alice, bob.id, forged);
  EXPECT_TRUE(is_pending(message));
}

// ---- Anything, in any order ---------------------------------------------------------------------

/// Each acknowledged message ends once; each message is given at most once; what is said to be
/// delivered was.
TEST(Delivery, KeepsItsPromisesInAnyWeather) {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(seed);
    Random random{seed};
    World world;
    for (int i = 0; i < 3; ++i) world.add();
    const std::uint64_t loss = random.below(60);
    const std::uint64_t copies = random.below(30);
    const std::uint64_t notices = random.below(20);
    std::vector<std::pair<Node*, std::uint32_t>> turned_back;
    world.fate = [&](const Flight& flight) {
      std::vector<Duration> out;
      if (random.below(100) >= loss) out.push_back(random.between(1ms, 900ms));
      // Of best effort messages session/ takes no copy.
      const bool has_copies = flight.content().kind != ContentKind::data;
      while (has_copies && random.below(100) < copies) out.push_back(random.between(1ms, 10s));
      for (const auto& node : world.nodes) {
        if (node->id == flight.from && random.below(100) < notices) {
          turned_back.emplace_back(node.get(), flight.tag);
        }
      }
      return out;
    };
    std::map<std::string, std::pair<Node*, MessageId>> acked;
    for (int i = 0; i < 400; ++i) {
      const auto from = random.below(3);
      Node& node = *world.nodes[from];
      const NodeId to = world.nodes[(from + 1 + random.below(2)) % 3]->id;
      const std::string text = std::to_string(i);
      if (random.below(3) == 0) {
        world.send(node, to, text);
      } else {
        const Promise promise{.timeout = random.between(0s, 20s)};
        acked[text] = {&node, world.send_acked(node, to, text, promise)};
      }
      if (random.below(15) == 0) {
        node.delivery.set_connected(random.below(2) == 0, world.now, node.out);
        world.grant(node);
      }
      while (!turned_back.empty()) {
        const auto [whose, tag] = turned_back.back();
        turned_back.pop_back();
        const auto reason = static_cast<UnreachableReason>(1 + random.below(4));
        world.turn_back(*whose, tag, reason, random.below(2) == 0);
      }
      world.run_for(random.between(0ms, 300ms));
    }
    world.run_for(40s);

    std::set<std::string> given;
    for (const auto& node : world.nodes) {
      for (const std::string& text : node->inbox()) {
        ASSERT_TRUE(given.insert(text).second) << text << " was given twice";
      }
      ASSERT_EQ(node->delivery.waiting(), 0u);
    }
    for (const auto& [text, sent] : acked) {
      const auto& results = sent.first->results[sent.second];
      ASSERT_THAT(results, SizeIs(1));
      ASSERT_TRUE(!results[0].delivered() || given.contains(text));
      ASSERT_LE(results[0].elapsed, 20s);
    }
  }
}

}  // namespace
}  // namespace peer_relay
