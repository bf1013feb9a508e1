// SPDX-License-Identifier: MIT
#include "core/session/sessions.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/session/proof.hpp"
#include "core/session/testing.hpp"

namespace peer_relay {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using testing::Flight;
using ::testing::IsEmpty;
using testing::SessionNode;
using testing::SessionWorld;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
using namespace std::chrono_literals;
using enum EnvelopeKind;
using Outcome = SendResult::Outcome;

constexpr auto latency = SessionWorld::latency;

/// Keeps what crosses the wire, in order.
struct Tap {
  explicit Tap(SessionWorld& world) {
    world.fate = [this, before = world.fate](Flight& flight) {
      flights.push_back(flight);
      return before(flight);
    };
  }
  std::vector<EnvelopeKind> kinds() const {
    std::vector<EnvelopeKind> out;
    for (const Flight& flight : flights) out.push_back(flight.wish.kind);
    return out;
  }
  std::size_t count(EnvelopeKind kind) const {
    return static_cast<std::size_t>(std::ranges::count(kinds(), kind));
  }
  const Flight& first(EnvelopeKind kind) const {
    return *std::ranges::find(flights, kind, [](const Flight& f) { return f.wish.kind; });
  }
  const Flight& last(EnvelopeKind kind) const {
    const auto at = std::find_if(flights.rbegin(), flights.rend(),
                                 [&](const Flight& f) { return f.wish.kind == kind; });
    return *at;
  }
  std::vector<Flight> flights;
};

SessionWorld::Fate lose_first(EnvelopeKind kind, int times) {
  return [kind, times](Flight& flight) mutable {
    if (flight.wish.kind == kind && times-- > 0) return std::vector<Duration>{};
    return std::vector<Duration>{latency};
  };
}

/// An envelope that is sent and kept back.
Flight capture(SessionWorld& world, SessionNode& from, const NodeId& to, std::string_view text) {
  Flight captured;
  const auto before = world.fate;
  world.fate = [&](Flight& flight) {
    captured = flight;
    return std::vector<Duration>{};
  };
  world.send(from, to, text);
  world.fate = before;
  return captured;
}

/// A session of two that both have spoken in.
void converse(SessionWorld& world, SessionNode& one, SessionNode& other) {
  world.send(one, other.id(), "hello");
  world.run_for(1s);
  world.send(other, one.id(), "hello yourself");
  world.run_for(1s);
  ASSERT_THAT(other.inbox, ElementsAre("hello"));
  ASSERT_THAT(one.inbox, ElementsAre("hello yourself"));
  one.inbox.clear();
  other.inbox.clear();
}

// ---- Opening ------------------------------------------------------------------------------------

TEST(Sessions, OpensWithAStrangerInThreeMessages) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  Tap tap{world};
  world.send(alice, bob.id(), "hello");
  world.run_for(3 * latency);
  EXPECT_THAT(bob.inbox, ElementsAre("hello"));
  EXPECT_THAT(bob.inbox_from, ElementsAre(alice.id()));
  EXPECT_THAT(tap.kinds(), ElementsAre(session_open, session_answer, session_finish));
  EXPECT_EQ(alice.sessions().key_of(bob.id()), bob.identity().keys.public_key);
  EXPECT_EQ(bob.sessions().key_of(alice.id()), alice.identity().keys.public_key);
  EXPECT_EQ(alice.sessions().waiting(), 0u);
}

TEST(Sessions, SendsTheFirstContentAlongWhenTheKeyIsKnown) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  SessionWorld::introduce(alice, bob);
  Tap tap{world};
  world.send(alice, bob.id(), "hello");
  world.run_for(latency);
  EXPECT_THAT(bob.inbox, ElementsAre("hello"));
  world.send(bob, alice.id(), "hello yourself");  // at once, with the new keys
  world.run_for(latency);
  EXPECT_THAT(alice.inbox, ElementsAre("hello yourself"));
  EXPECT_THAT(tap.kinds(), ElementsAre(session_open, session_answer, session_data));
}

TEST(Sessions, CostsOneEnvelopeForEachContentOnceItStands) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  converse(world, alice, bob);
  Tap tap{world};
  for (int i = 0; i < 100; ++i) world.send(alice, bob.id(), std::to_string(i));
  world.run_for(1s);
  EXPECT_THAT(bob.inbox, SizeIs(100));
  EXPECT_THAT(tap.kinds(), SizeIs(100));
  EXPECT_THAT(tap.kinds(), Each(session_data));
}

TEST(Sessions, ConfirmsTheKeysIfThereIsNothingElseToSay) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  Tap tap{world};
  world.send(alice, bob.id(), "hello");
  world.run_for(9s);
  EXPECT_THAT(tap.kinds(), ElementsAre(session_open, session_answer, session_finish, session_data));
  EXPECT_EQ(tap.last(session_data).source, bob.id());
  EXPECT_THAT(alice.inbox, IsEmpty());
}

TEST(Sessions, DoesNotTakeAKeyOfAnotherNodeForTheTargets) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  SessionNode& mallory = world.add();
  alice.contacts[bob.id()] = mallory.identity().keys.public_key;
  Tap tap{world};
  world.send(alice, bob.id(), "hello");
  world.run_for(1s);
  EXPECT_THAT(bob.inbox, ElementsAre("hello"));
  EXPECT_EQ(tap.count(session_finish), 1u) << "opened as with a stranger";
}

TEST(Sessions, KeepsContentsInOrderWhileTheyWaitAndRefusesTheNewest) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  for (std::uint64_t i = 1; i <= limits::session_waiting_max + 10; ++i) {
    world.send(alice, bob.id(), std::to_string(i), i);
  }
  EXPECT_EQ(alice.sessions().waiting(), limits::session_waiting_max);
  ASSERT_THAT(alice.failed, SizeIs(10));
  EXPECT_EQ(alice.failed.front().token, limits::session_waiting_max + 1);
  EXPECT_EQ(alice.failed.front().outcome, Outcome::refused);
  world.send(alice, bob.id(), "nobody asks for this");
  EXPECT_EQ(alice.dropped(DropReason::waiting_full), 1u);

  world.run_for(1s);
  ASSERT_THAT(bob.inbox, SizeIs(limits::session_waiting_max));
  for (std::size_t i = 0; i < bob.inbox.size(); ++i) ASSERT_EQ(bob.inbox[i], std::to_string(i + 1));
  EXPECT_THAT(alice.left, SizeIs(limits::session_waiting_max));
  EXPECT_EQ(alice.sessions().waiting(), 0u);
}

TEST(Sessions, HoldsNoMoreBytesThanItsBound) {
  SessionWorld world;
  world.fate = [](Flight&) { return std::vector<Duration>{}; };
  SessionNode& alice = world.add();
  Random random{7};
  const std::string large(60'000, 'x');
  std::size_t taken = 0;
  for (std::uint64_t token = 1; token <= 200; ++token) {
    world.send(alice, random.id(), large, token);
    taken = token - alice.failed.size();
  }
  EXPECT_EQ(taken, alice.sessions().waiting());
  EXPECT_LE(taken * large.size(), limits::waiting_bytes_max);
  EXPECT_GT((taken + 2) * large.size(), limits::waiting_bytes_max);
  world.run_for(11s);
  EXPECT_EQ(alice.sessions().waiting(), 0u);
  EXPECT_EQ(alice.failed.size(), 200u);
  world.send(alice, random.id(), large, 201);  // there is room again
  EXPECT_EQ(alice.sessions().waiting(), 1u);
}

TEST(Sessions, TellsOfEachTokenOnceThatItLeft) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  SessionWorld::introduce(alice, bob);
  Tap tap{world};
  world.send(alice, bob.id(), "rides", 1);
  world.send(alice, bob.id(), "waits", 2);
  EXPECT_THAT(alice.left, IsEmpty());
  world.run_for(1s);
  world.send(alice, bob.id(), "goes", 3);
  ASSERT_THAT(alice.left, SizeIs(3));
  EXPECT_EQ(alice.left[0].token, 1u);
  EXPECT_EQ(alice.left[0].tag, 0u) << "it rode in the opening";
  EXPECT_EQ(alice.left[1].token, 2u);
  EXPECT_EQ(alice.left[1].tag, tap.first(session_data).wish.tag);
  EXPECT_EQ(alice.left[2].token, 3u);
  EXPECT_EQ(alice.left[2].tag, tap.last(session_data).wish.tag);
  world.run_for(1s);
  EXPECT_THAT(bob.inbox, ElementsAre("rides", "waits", "goes"));
}

TEST(Sessions, SendsWhatIsTooLargeToRideWhenTheSessionStands) {
  for (const bool is_known : {false, true}) {
    SCOPED_TRACE(is_known);
    SessionWorld world;
    auto [alice, bob] = world.pair();
    if (is_known) SessionWorld::introduce(alice, bob);
    Tap tap{world};
    const std::string large(60'000, 'x');
    world.send(alice, bob.id(), large);
    world.send(alice, bob.id(), "small");
    EXPECT_LE(tap.first(session_open).wish.body.size(), 300u);
    world.run_for(1s);
    EXPECT_THAT(bob.inbox, UnorderedElementsAre(large, "small"));
  }
}

// ---- Lost, late and repeated --------------------------------------------------------------------

struct Loss {
  EnvelopeKind kind;
  int times;
  bool is_known;
};

class SessionsLosing : public ::testing::TestWithParam<Loss> {};

TEST_P(SessionsLosing, DeliversAllTheSame) {
  const auto [kind, times, is_known] = GetParam();
  SessionWorld world;
  auto [alice, bob] = world.pair();
  if (is_known) SessionWorld::introduce(alice, bob);
  world.fate = lose_first(kind, times);
  Tap tap{world};
  world.send(alice, bob.id(), "one", 1);
  world.send(alice, bob.id(), "two", 2);
  world.run_for(9s);
  EXPECT_THAT(bob.inbox, UnorderedElementsAre("one", "two"));
  EXPECT_THAT(alice.left, SizeIs(2));
  EXPECT_THAT(alice.failed, IsEmpty());
  world.send(bob, alice.id(), "three");
  world.run_for(1s);
  EXPECT_THAT(alice.inbox, ElementsAre("three"));
  if (kind == session_open) {
    EXPECT_EQ(tap.last(session_open).wish.attempt, times + 1)
        << "each try takes another path, and after the first one two go together";
  }
}

INSTANTIATE_TEST_SUITE_P(
    EachStep, SessionsLosing,
    ::testing::Values(Loss{session_open, 1, false}, Loss{session_open, 3, false},
                      Loss{session_answer, 1, false}, Loss{session_answer, 2, false},
                      Loss{session_finish, 1, false}, Loss{session_finish, 3, false},
                      Loss{session_open, 1, true}, Loss{session_open, 3, true},
                      Loss{session_answer, 1, true}, Loss{session_answer, 3, true}));

TEST(Sessions, AsksForALostFinishWhenSomethingComesAfterIt) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  world.fate = lose_first(session_finish, 1);
  world.send(alice, bob.id(), "rode in it");
  world.run_for(500ms);
  EXPECT_THAT(bob.inbox, IsEmpty());
  world.send(alice, bob.id(), "came too early");
  world.run_for(4 * latency);
  EXPECT_THAT(bob.inbox, ElementsAre("rode in it"));
  EXPECT_EQ(bob.dropped(DropReason::no_session), 1u);
}

TEST(Sessions, GivesUpAfterTenSecondsAndElevenTries) {
  for (const bool is_known : {false, true}) {
    SCOPED_TRACE(is_known);
    SessionWorld world;
    auto [alice, bob] = world.pair();
    if (is_known) SessionWorld::introduce(alice, bob);
    world.fate = lose_first(session_open, 1000);
    Tap tap{world};
    world.send(alice, bob.id(), "asked for", 1);
    world.send(alice, bob.id(), "not asked for");
    world.run_for(limits::session_handshake_timeout - 1us);
    EXPECT_THAT(alice.failed, IsEmpty());
    world.run_for(1us);
    ASSERT_THAT(alice.failed, SizeIs(1));
    EXPECT_EQ(alice.failed[0].outcome, Outcome::timed_out);
    EXPECT_EQ(alice.dropped(DropReason::expired), 1u);
    EXPECT_EQ(alice.sessions().waiting(), 0u);
    ASSERT_THAT(tap.flights, SizeIs(11));
    for (std::uint8_t i = 0; i < 11; ++i) EXPECT_EQ(tap.flights[i].wish.attempt, i);
    EXPECT_EQ(tap.flights[0].wish.body, tap.flights[10].wish.body);
    EXPECT_EQ(alice.sessions().next_wake(), never);
  }
}

TEST(Sessions, TakesAContentOnceHoweverOftenItsOpeningComes) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  SessionWorld::introduce(alice, bob);
  Tap tap{world};
  world.send(alice, bob.id(), "hello");
  const Flight open = tap.first(session_open);
  world.run_for(latency);
  for (int i = 0; i < 50; ++i) world.post(open);  // repeated on the way
  world.run_for(2s);
  for (int i = 0; i < 50; ++i) world.post(open);
  world.run_for(2s);
  EXPECT_THAT(bob.inbox, ElementsAre("hello"));
  EXPECT_LE(tap.count(session_answer), 3u);
  EXPECT_GE(bob.dropped(DropReason::replayed), 97u);
  world.send(alice, bob.id(), "still there?");
  world.send(bob, alice.id(), "yes");
  world.run_for(1s);
  EXPECT_THAT(bob.inbox, ElementsAre("hello", "still there?"));
  EXPECT_THAT(alice.inbox, ElementsAre("yes"));
  EXPECT_EQ(tap.count(session_open), 101u) << "alice opened once";
}

TEST(Sessions, TakesEachCounterOnce) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  converse(world, alice, bob);
  Tap tap{world};
  world.send(alice, bob.id(), "once");
  const Flight data = tap.last(session_data);
  for (int i = 0; i < 5; ++i) world.post(data);
  world.run_for(1s);
  EXPECT_THAT(bob.inbox, ElementsAre("once"));
  EXPECT_EQ(bob.dropped(DropReason::replayed), 5u);
}

TEST(Sessions, TakesWhatIsLateByAWindowAndNoLater) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  converse(world, alice, bob);
  const Flight too_late = capture(world, alice, bob.id(), "too late");
  const Flight just_in_time = capture(world, alice, bob.id(), "just in time");
  for (std::size_t i = 1; i < limits::replay_window; ++i) world.send(alice, bob.id(), "new");
  world.run_for(latency);
  ASSERT_THAT(bob.inbox, SizeIs(limits::replay_window - 1));
  bob.inbox.clear();
  world.post(too_late);
  world.post(just_in_time);
  world.post(just_in_time);
  world.run_for(latency);
  EXPECT_THAT(bob.inbox, ElementsAre("just in time"));
  EXPECT_EQ(bob.dropped(DropReason::replayed), 2u);
}

/// An answer that can't be repeated must not become one that says something else.
TEST(Sessions, AnswersNoOpeningAnewOfWhichItHasTakenTheContents) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  SessionWorld::introduce(alice, bob);
  bool is_lost = true;
  world.fate = [&](Flight& flight) {
    const bool is_answer = flight.wish.kind == session_answer;
    return is_answer && is_lost ? std::vector<Duration>{} : std::vector<Duration>{latency};
  };
  world.send(alice, bob.id(), "hello", 1);
  world.run_for(latency);
  ASSERT_THAT(bob.inbox, ElementsAre("hello"));
  Random random{1};
  for (std::size_t i = 0; i < 2 * Sessions::answers_max; ++i) {  // until bob forgets the answer
    Bytes body;
    encode_session_open({.index = 1, .noise = {}}, body);
    for (int byte = 0; byte < 32; ++byte) body.push_back(static_cast<std::uint8_t>(random.next()));
    world.deliver(
        {.source = random.id(), .wish = {.kind = session_open, .target = bob.id(), .body = body}},
        bob);
    world.run_for(500us);
  }
  is_lost = false;
  world.run_for(10s);
  EXPECT_THAT(bob.inbox, ElementsAre("hello"));
  EXPECT_EQ(alice.left.size() + alice.failed.size(), 1u);
}

// ---- Early data ---------------------------------------------------------------------------------

TEST(Sessions, RefusesEarlyDataOfAClockThatIsTooFarFromOurs) {
  for (const std::int64_t apart : {-61'000, 61'000}) {
    SCOPED_TRACE(apart);
    SessionWorld world;
    SessionNode& alice = world.add({.unix_ms_at_zero = apart});
    SessionNode& bob = world.add();
    SessionWorld::introduce(alice, bob);
    world.run_for(10min);
    world.send(alice, bob.id(), "hello", 1);
    world.run_for(latency);
    EXPECT_THAT(bob.inbox, IsEmpty());
    world.run_for(2 * latency);
    EXPECT_THAT(bob.inbox, ElementsAre("hello")) << "sent again, under keys that no replay has";
    EXPECT_THAT(alice.left, SizeIs(1));
    EXPECT_NE(alice.left[0].tag, 0u);
  }
}

TEST(Sessions, ForgetsTheClockOfNobodyWhoIsAFewSecondsOff) {
  SessionWorld world;
  SessionNode& alice = world.add({.unix_ms_at_zero = 59'000});
  SessionNode& bob = world.add();
  SessionWorld::introduce(alice, bob);
  world.send(alice, bob.id(), "hello");
  world.run_for(latency);
  EXPECT_THAT(bob.inbox, ElementsAre("hello"));
}

TEST(Sessions, TakesNoEarlyDataFromBeforeItsOwnStart) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  SessionWorld::introduce(alice, bob);
  Tap tap{world};
  world.send(alice, bob.id(), "pay ten coins");
  world.run_for(1s);
  ASSERT_THAT(bob.inbox, ElementsAre("pay ten coins"));
  bob.restart(world.now);
  world.post(tap.first(session_open));
  world.run_for(5s);
  EXPECT_THAT(bob.inbox, ElementsAre("pay ten coins"));
  EXPECT_EQ(bob.sessions().size(), 0u);
}

TEST(Sessions, IsNotDisturbedByAnOldOpening) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  SessionWorld::introduce(alice, bob);
  Tap tap{world};
  world.send(alice, bob.id(), "hello");
  world.run_for(1s);
  const Flight open = tap.first(session_open);
  world.run_for(100s);  // beyond the time in which bob remembers it
  for (int i = 0; i < 40; ++i) {
    world.post(open);
    world.run_for(1s);
    if (i > 20) {
      world.send(bob, alice.id(), "from bob");
      world.send(alice, bob.id(), "from alice");
    }
  }
  world.run_for(1s);
  EXPECT_THAT(alice.inbox, SizeIs(19));
  EXPECT_THAT(bob.inbox, SizeIs(20));
}

TEST(Sessions, PrefersTheKeysOfOneWhoLostTheOldOnes) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  converse(world, alice, bob);
  SessionWorld::introduce(bob, alice);
  bob.restart(world.now);
  world.run_for(1s);
  world.send(bob, alice.id(), "I am new here");
  world.run_for(latency);
  EXPECT_THAT(alice.inbox, ElementsAre("I am new here"));
  world.send(alice, bob.id(), "welcome");
  world.run_for(latency);
  EXPECT_THAT(bob.inbox, ElementsAre("welcome")) << "not sealed for what bob was";
}

// ---- Both at once -------------------------------------------------------------------------------

struct Meeting {
  bool one_knows;
  bool other_knows;
  int other_later_ms;
};

class SessionsMeeting : public ::testing::TestWithParam<Meeting> {};

TEST_P(SessionsMeeting, DeliverEachContentOnce) {
  const auto [one_knows, other_knows, later_ms] = GetParam();
  SessionWorld world;
  auto [small, large] = world.pair();
  if (one_knows) SessionWorld::introduce(small, large);
  if (other_knows) SessionWorld::introduce(large, small);
  const auto later = std::chrono::milliseconds{later_ms};
  SessionNode& first = later_ms >= 0 ? small : large;
  SessionNode& second = later_ms >= 0 ? large : small;
  world.send(first, second.id(), "a");
  world.send(first, second.id(), "b", 1);
  world.run_for(later_ms >= 0 ? later : -later);
  world.send(second, first.id(), "c");
  world.send(second, first.id(), "d", 1);
  world.run_for(900ms);
  EXPECT_THAT(second.inbox, UnorderedElementsAre("a", "b"));
  EXPECT_THAT(first.inbox, UnorderedElementsAre("c", "d"));
  EXPECT_THAT(first.left, SizeIs(1));
  EXPECT_THAT(second.left, SizeIs(1));
  for (int i = 0; i < 10; ++i) {
    world.send(first, second.id(), "more");
    world.send(second, first.id(), "more");
    world.run_for(300ms);
  }
  EXPECT_THAT(first.inbox, SizeIs(12));
  EXPECT_THAT(second.inbox, SizeIs(12));
  EXPECT_EQ(first.sessions().waiting() + second.sessions().waiting(), 0u);
}

std::vector<Meeting> meetings() {
  std::vector<Meeting> all;
  for (const bool one : {false, true}) {
    for (const bool other : {false, true}) {
      for (const int later : {0, 10, -10, 30, -30, 50, -50}) all.push_back({one, other, later});
    }
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(AllWays, SessionsMeeting, ::testing::ValuesIn(meetings()));

/// Paths of other lengths each way, and for each try; nothing is lost, so nothing has to wait for a
/// repetition.
TEST(Sessions, MeetOverPathsOfAnyLengthWithoutAWait) {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE(seed);
    Random random{seed};
    SessionWorld world;
    auto [small, large] = world.pair();
    if (random.below(4) != 0) SessionWorld::introduce(small, large);
    if (random.below(4) != 0) SessionWorld::introduce(large, small);
    std::map<std::pair<NodeId, std::uint8_t>, Duration> lengths;
    world.fate = [&](Flight& flight) {
      const auto fresh = std::chrono::milliseconds{1 + random.below(100)};
      return std::vector<Duration>{
          lengths.emplace(std::pair{flight.source, flight.wish.attempt}, fresh).first->second};
    };
    std::array<std::size_t, 2> sent{};
    for (int i = 0; i < 40; ++i) {
      const bool is_small = random.below(2) != 0;
      SessionNode& from = is_small ? small : large;
      world.send(from, (is_small ? large : small).id(), std::to_string(i));
      ++sent[is_small ? 0 : 1];
      world.run_for(std::chrono::milliseconds{random.below(20)});
    }
    world.run_for(900ms);
    EXPECT_THAT(large.inbox, SizeIs(sent[0]));
    EXPECT_THAT(small.inbox, SizeIs(sent[1]));
    // And both have settled on the same keys.
    Tap tap{world};
    world.send(small, large.id(), "there");
    world.send(large, small.id(), "and back");
    world.run_for(300ms);
    EXPECT_THAT(tap.kinds(), ElementsAre(session_data, session_data));
  }
}

TEST(Sessions, GivesOnceWhatRodeInALosingOpening) {
  SessionWorld world;
  auto [small, large] = world.pair();
  SessionWorld::introduce(small, large);
  SessionWorld::introduce(large, small);
  world.fate = [&](Flight& flight) {
    const bool is_slow = flight.wish.kind == session_open && flight.source == large.id();
    return std::vector<Duration>{is_slow ? 500ms : Duration{latency}};
  };
  world.send(small, large.id(), "from small");
  world.send(large, small.id(), "from large");
  world.run_for(3s);
  EXPECT_THAT(small.inbox, ElementsAre("from large"));
  EXPECT_THAT(large.inbox, ElementsAre("from small"));
}

/// It was taken, but the answer is lost; and then the other end opens a session itself.
TEST(Sessions, DoesNotSendAgainWhatMayHaveBeenTaken) {
  SessionWorld world;
  auto [small, large] = world.pair();
  SessionWorld::introduce(large, small);
  const auto normal = world.fate;
  world.fate = [&](Flight& flight) {  // a relay alters the index, which no seal protects
    if (flight.wish.kind == session_open && flight.source == large.id()) flight.wish.body[4] ^= 1;
    return normal(flight);
  };
  world.send(large, small.id(), "taken");
  world.run_for(latency);
  ASSERT_THAT(small.inbox, ElementsAre("taken"));
  world.fate = normal;
  world.send(small, large.id(), "for an index that large does not know");
  world.run_for(2 * latency);
  world.send(small, large.id(), "with new keys");
  world.send(large, small.id(), "both ways");
  world.run_for(15s);
  EXPECT_THAT(small.inbox, ElementsAre("taken", "both ways"));
  EXPECT_THAT(large.inbox, ElementsAre("with new keys"));
  EXPECT_EQ(small.sessions().waiting() + large.sessions().waiting(), 0u);
}

TEST(Sessions, TriesTheWayThatALosingOpeningNames) {
  SessionWorld world;
  auto [small, large] = world.pair();
  const NodeId home = Random{99}.id();
  large.home = home;
  world.fate = [&](Flight& flight) {  // large is only found by its home
    const bool is_lost = flight.wish.target == large.id() && flight.wish.via != home;
    return is_lost ? std::vector<Duration>{} : std::vector<Duration>{latency};
  };
  world.send(small, large.id(), "from small");
  world.send(large, small.id(), "from large");
  world.run_for(6 * latency);
  EXPECT_THAT(small.inbox, ElementsAre("from large"));
  EXPECT_THAT(large.inbox, ElementsAre("from small"));
}

// ---- New keys -----------------------------------------------------------------------------------

TEST(Sessions, RenewsItsKeysWhileContentsFlow) {
  for (const bool both_talk : {false, true}) {
    SCOPED_TRACE(both_talk);
    SessionWorld world;
    auto [alice, bob] = world.pair();
    converse(world, alice, bob);
    Tap tap{world};
    std::size_t sent = 0;
    for (; world.now < TimePoint{700s}; ++sent) {
      world.send(alice, bob.id(), std::to_string(sent));
      if (both_talk) world.send(bob, alice.id(), std::to_string(sent));
      world.run_for(90ms);
    }
    world.run_for(1s);
    ASSERT_THAT(bob.inbox, SizeIs(sent));
    ASSERT_THAT(alice.inbox, SizeIs(both_talk ? sent : 0));
    EXPECT_GE(tap.count(session_open), 4u);
    EXPECT_LE(tap.count(session_open), 6u);
    EXPECT_EQ(tap.count(session_unknown), 0u);
    std::set<std::uint32_t> indices;
    for (const Flight& flight : tap.flights) {
      if (flight.wish.kind == session_data && flight.source == alice.id()) {
        indices.insert(decode_session_data(flight.wish.body)->index);
      }
    }
    EXPECT_GE(indices.size(), 5u);
  }
}

TEST(Sessions, GoesOnWithTheOldKeysWhileTheNewOnesAreLost) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  converse(world, alice, bob);
  const auto normal = world.fate;
  world.fate = [&](Flight& flight) {  // no handshake ends before 160 s
    const bool is_lost = flight.wish.kind == session_answer && world.now < TimePoint{160s};
    return is_lost ? std::vector<Duration>{} : normal(flight);
  };
  std::size_t sent = 0;
  for (; world.now < TimePoint{400s}; ++sent) {
    world.send(alice, bob.id(), std::to_string(sent));
    world.run_for(100ms);
  }
  world.run_for(1s);
  EXPECT_THAT(bob.inbox, SizeIs(sent));
}

TEST(Sessions, RenewsItsKeysAfterManyMessages) {
  SessionWorld world;
  auto [alice, bob] = world.pair({.messages_max = 50});
  converse(world, alice, bob);
  Tap tap{world};
  for (int i = 0; i < 200; ++i) {
    world.send(alice, bob.id(), std::to_string(i));
    world.run_for(100ms);
  }
  EXPECT_THAT(bob.inbox, SizeIs(200));
  EXPECT_GE(tap.count(session_open), 3u);
  EXPECT_LE(tap.count(session_open), 4u);
}

TEST(Sessions, OpensNothingWithKeysThatAreTooOld) {
  for (const bool is_too_old : {false, true}) {
    SCOPED_TRACE(is_too_old);
    SessionWorld world;
    auto [alice, bob] = world.pair();
    world.send(alice, bob.id(), "hello");
    world.run_for(3 * latency);
    const TimePoint made = world.now;  // bob's, by the last message of the handshake
    ASSERT_THAT(bob.inbox, ElementsAre("hello"));
    const Flight kept = capture(world, alice, bob.id(), "kept back");
    world.run_until(made + limits::session_reject_after - (is_too_old ? 0us : 1us) - latency);
    Tap tap{world};
    world.post(kept);
    world.run_for(2 * latency);
    EXPECT_THAT(bob.inbox, SizeIs(is_too_old ? 1 : 2));
    EXPECT_EQ(bob.dropped(DropReason::no_session), is_too_old ? 1u : 0u);
    EXPECT_EQ(tap.count(session_unknown), is_too_old ? 1u : 0u);
  }
}

TEST(Sessions, SealsNothingThatMightComeTooLate) {
  for (const bool is_late : {false, true}) {
    SCOPED_TRACE(is_late);
    SessionWorld world;
    auto [alice, bob] = world.pair();
    world.send(alice, bob.id(), "hello");
    world.run_for(2 * latency);  // alice's keys are made
    world.run_for(limits::session_reject_after - limits::session_handshake_timeout -
                  (is_late ? 0us : 1us));
    Tap tap{world};
    world.send(alice, bob.id(), "hello again");
    EXPECT_EQ(tap.kinds().front(), is_late ? session_open : session_data);
    world.run_for(1s);
    EXPECT_THAT(bob.inbox, ElementsAre("hello", "hello again"));
  }
}

TEST(Sessions, OpensAgainAfterALongSilence) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  converse(world, alice, bob);
  world.run_for(1h);
  EXPECT_EQ(alice.sessions().next_wake(), never) << "dead keys are wiped";
  Tap tap{world};
  world.send(bob, alice.id(), "are you there?");
  world.run_for(latency);
  EXPECT_THAT(alice.inbox, ElementsAre("are you there?")) << "the key is known by now";
  EXPECT_EQ(tap.count(session_open), 1u);
}

// ---- Restarts -----------------------------------------------------------------------------------

TEST(Sessions, LearnsThatTheOtherEndHasForgottenIt) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  converse(world, alice, bob);
  bob.restart(world.now);
  world.run_for(1s);
  Tap tap{world};
  world.send(alice, bob.id(), "lost");
  world.run_for(2 * latency);
  world.send(alice, bob.id(), "waits for the new session", 1);
  world.run_for(1s);
  EXPECT_THAT(bob.inbox, ElementsAre("waits for the new session"));
  EXPECT_THAT(alice.left, SizeIs(1));
  EXPECT_EQ(bob.dropped(DropReason::no_session), 1u);
  EXPECT_EQ(tap.count(session_unknown), 1u);
  EXPECT_EQ(tap.count(session_open), 1u);
}

TEST(Sessions, IsLedAstrayByNoWordOfASessionThatItDoesNotHave) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  converse(world, alice, bob);
  Tap tap{world};
  for (std::uint32_t index = 0; index < 1000; ++index) {
    Bytes body;
    encode_session_unknown({.index = index}, body);
    world.post({.source = bob.id(),
                .wish = {.kind = session_unknown, .target = alice.id(), .body = body}});
  }
  world.run_for(1s);
  EXPECT_EQ(tap.count(session_open), 0u);
  EXPECT_EQ(alice.dropped(DropReason::no_session), 1000u);
}

TEST(Sessions, ReopensOnceASecondAtTheMost) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  converse(world, alice, bob);
  Tap tap{world};
  std::size_t sent = 0;
  for (int i = 0; i < 1000; ++i) {  // a relay that reads indices cries wolf, again and again
    world.send(alice, bob.id(), "content");
    ++sent;
    world.run_for(10ms);
    const Flight& data = tap.last(session_data);
    if (data.source != alice.id()) continue;
    Bytes body;
    encode_session_unknown({.index = decode_session_data(data.wish.body)->index}, body);
    world.post({.source = bob.id(),
                .wish = {.kind = session_unknown, .target = alice.id(), .body = body}});
  }
  world.run_for(1s);
  EXPECT_LE(tap.count(session_open), 11u);
  EXPECT_THAT(bob.inbox, SizeIs(sent)) << "it costs handshakes, and no content";
}

TEST(Sessions, SaysOnlySoOftenThatItKnowsNoSuchSession) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  Tap tap{world};
  Bytes body;
  encode_session_data_header(1234, 0, body);
  body.resize(body.size() + 100);
  for (int i = 0; i < 10'000; ++i) {
    world.post(
        {.source = bob.id(), .wish = {.kind = session_data, .target = alice.id(), .body = body}});
  }
  world.run_for(latency);
  EXPECT_LE(tap.count(session_unknown), 2 * Sessions::unknowns_per_second);
  EXPECT_EQ(alice.dropped(DropReason::no_session), 10'000u);
}

// ---- Strangers ----------------------------------------------------------------------------------

TEST(Sessions, TakesNoContentUnderAnothersName) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  SessionNode& mallory = world.add();
  converse(world, alice, bob);
  const Flight data = capture(world, alice, bob.id(), "mine");
  Flight forged = data;
  forged.source = mallory.id();
  world.post(forged);
  world.run_for(latency);
  EXPECT_THAT(bob.inbox, IsEmpty());
  EXPECT_EQ(bob.dropped(DropReason::forged_source), 1u);
  Flight altered = data;
  altered.wish.body.back() ^= 1;
  world.post(altered);
  world.run_for(latency);
  EXPECT_EQ(bob.dropped(DropReason::seal_broken), 1u);
  world.post(data);
  world.run_for(latency);
  EXPECT_THAT(bob.inbox, ElementsAre("mine")) << "neither has spent its counter";
}

/// An answer to the first message of XX, by one who has the bytes but not the key.
Bytes forged_answer(const SessionOpen& open, const NodeId& opener, const NodeId& claimed,
                    const Identity& forger, const PublicKey& shown, Crypto& crypto) {
  const auto prologue = session_prologue({}, opener, claimed);
  noise::Handshake handshake{{.pattern = noise::Pattern::xx,
                              .role = noise::Role::responder,
                              .prologue = prologue,
                              .own = forger.keys.agreement(),
                              .remote_static = std::nullopt},
                             crypto};
  Bytes payload;
  EXPECT_TRUE(handshake.read(open.noise, payload).has_value());
  Bytes own;
  encode_session_payload({.key = shown, .contents = {}}, own);
  Bytes body;
  encode_session_answer({.opener_index = open.index, .answerer_index = 77, .noise = {}}, body);
  EXPECT_TRUE(handshake.write(own, body).has_value());
  return body;
}

TEST(Sessions, TakesNobodyForTheTargetWhoHasNotItsKey) {
  for (const bool shows_own_key : {false, true}) {
    SCOPED_TRACE(shows_own_key);
    SessionWorld world;
    auto [alice, bob] = world.pair();
    SessionNode& mallory = world.add();
    const PublicKey shown =
        shows_own_key ? mallory.identity().keys.public_key : bob.identity().keys.public_key;
    world.fate = [&](Flight& flight) {
      if (flight.wish.kind == session_open) {
        const Bytes body =
            forged_answer(*decode_session_open(flight.wish.body), flight.source, flight.wish.target,
                          mallory.identity(), shown, mallory.crypto());
        world.post({.source = bob.id(),
                    .wish = {.kind = session_answer, .target = flight.source, .body = body}});
        return std::vector<Duration>{};
      }
      return std::vector<Duration>{latency};
    };
    world.send(alice, bob.id(), "secret", 1);
    world.run_for(11s);
    EXPECT_EQ(alice.sessions().size(), 0u);
    EXPECT_GE(alice.dropped(DropReason::handshake_failed), 1u);
    ASSERT_THAT(alice.failed, SizeIs(1));
    EXPECT_EQ(alice.failed[0].outcome, Outcome::unreachable);
    EXPECT_EQ(alice.failed[0].reason, UnreachableReason::session_refused);
    EXPECT_EQ(alice.failed[0].where, bob.id());
  }
}

TEST(Sessions, GetsThroughWhenTheForgerDoesNotAnswerEveryTime) {
  for (const bool is_known : {false, true}) {
    SCOPED_TRACE(is_known);
    SessionWorld world;
    auto [alice, bob] = world.pair();
    if (is_known) SessionWorld::introduce(alice, bob);
    int forged = 2;
    world.fate = [&](Flight& flight) {
      if (flight.wish.kind == session_answer && forged-- > 0) flight.wish.body.back() ^= 1;
      return std::vector<Duration>{latency};
    };
    world.send(alice, bob.id(), "for anyone");
    world.send(alice, bob.id(), "acknowledged", 1);
    world.run_for(9s);
    EXPECT_LE(std::ranges::count(bob.inbox, "for anyone"), 1);
    EXPECT_GE(std::ranges::count(bob.inbox, "acknowledged"), 1);
    EXPECT_THAT(alice.left, SizeIs(1));
    EXPECT_EQ(alice.sessions().waiting(), 0u);
  }
}

TEST(Sessions, AnswersNobodyWhoClaimsToBeAnother) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  SessionNode& mallory = world.add();
  SessionWorld::introduce(mallory, bob);
  world.fate = [&](Flight& flight) {
    if (flight.source == mallory.id()) flight.source = alice.id();
    return std::vector<Duration>{latency};
  };
  world.send(mallory, bob.id(), "I am alice");
  world.run_for(5s);
  EXPECT_THAT(bob.inbox, IsEmpty());
  EXPECT_GE(bob.dropped(DropReason::handshake_failed), 1u);
  EXPECT_EQ(bob.sessions().size(), 0u);
}

TEST(Sessions, TakesNothingFromItself) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  Tap tap{world};
  world.send(alice, bob.id(), "hello");
  Flight open = tap.first(session_open);
  open.source = bob.id();
  world.deliver(open, bob);
  EXPECT_EQ(bob.dropped(DropReason::forged_source), 1u);
}

TEST(Sessions, ForgetsTheIdleFirst) {
  SessionWorld world;
  SessionNode& alice = world.add({.sessions_max = 2});
  SessionNode& bob = world.add();
  SessionNode& carol = world.add();
  SessionNode& dave = world.add();
  for (SessionNode* const peer : {&bob, &carol}) {
    world.send(alice, peer->id(), "hello");
    world.run_for(1s);
  }
  world.send(alice, bob.id(), "busy");
  world.send(alice, dave.id(), "hello");
  world.run_for(1s);
  EXPECT_EQ(alice.sessions().size(), 2u);
  EXPECT_TRUE(alice.sessions().key_of(bob.id()));
  EXPECT_FALSE(alice.sessions().key_of(carol.id()));
  world.send(carol, alice.id(), "lost");
  world.run_for(1s);
  world.send(carol, alice.id(), "I was forgotten");
  world.run_for(1s);
  EXPECT_THAT(alice.inbox, ElementsAre("I was forgotten"));
}

TEST(Sessions, SurvivesAFloodOfOpenings) {
  SessionWorld world;
  SessionNode& alice = world.add({.sessions_max = 8});
  SessionNode& bob = world.add();
  converse(world, alice, bob);
  world.fate = [&](Flight& flight) {  // strangers listen to no answer
    return world.find(flight.wish.target) ? std::vector<Duration>{latency}
                                          : std::vector<Duration>{};
  };
  Tap tap{world};
  Random random{1};
  for (int i = 0; i < 100'000; ++i) {
    Bytes noise(32);
    for (std::uint8_t& byte : noise) byte = static_cast<std::uint8_t>(random.next());
    Bytes body;
    encode_session_open({.pattern = i % 50 == 0 ? SessionPattern::ik : SessionPattern::xx,
                         .index = static_cast<std::uint32_t>(random.next()),
                         .noise = noise},
                        body);
    world.deliver(
        {.source = random.id(), .wish = {.kind = session_open, .target = alice.id(), .body = body}},
        alice);
    if (i % 10 == 0) world.run_for(100us);  // 100,000 a second
  }
  EXPECT_EQ(alice.sessions().size(), 1u);
  EXPECT_LE(tap.count(session_answer), Sessions::answers_max + 2 * Sessions::answers_per_second);
  EXPECT_GE(alice.dropped(DropReason::session_limit), 90'000u);
  world.send(bob, alice.id(), "still there?");
  world.send(alice, bob.id(), "yes");
  world.run_for(2s);
  EXPECT_THAT(alice.inbox, ElementsAre("still there?"));
  EXPECT_THAT(bob.inbox, ElementsAre("yes"));

  SessionNode& carol = world.add();
  world.send(carol, alice.id(), "I am no flood");
  world.run_for(1s);
  EXPECT_THAT(alice.inbox, ElementsAre("still there?", "I am no flood"));
}

TEST(Sessions, KeepsProvenPeersWhenManyOthersOpenAndAreNeverHeardOfAgain) {
  SessionWorld world;
  SessionNode& alice = world.add({.sessions_max = 4});
  SessionNode& bob = world.add();
  converse(world, alice, bob);
  world.fate = [&](Flight& flight) {
    const bool is_answer = flight.wish.kind == session_answer;
    return is_answer ? std::vector<Duration>{} : std::vector<Duration>{latency};
  };
  for (int i = 0; i < 40; ++i) {
    SessionNode& stranger = world.add();
    SessionWorld::introduce(stranger, alice);
    world.send(stranger, alice.id(), "let me in");
    world.run_for(100ms);
  }
  EXPECT_THAT(alice.inbox, SizeIs(40));
  EXPECT_EQ(alice.sessions().size(), 1u);
  EXPECT_TRUE(alice.sessions().key_of(bob.id()));
}

TEST(Sessions, SurvivesBrokenBytes) {
  SessionWorld world;
  auto [alice, bob] = world.pair();
  SessionWorld::introduce(bob, alice);
  Random random{3};
  world.fate = [&](Flight& flight) {
    Bytes& body = flight.wish.body;
    const auto choice = random.below(6);
    if (choice == 0 && !body.empty()) body[random.below(body.size())] ^= 0x40;
    if (choice == 1) body.resize(random.below(body.size() + 1));
    if (choice == 2) body.push_back(0);
    return std::vector<Duration>{latency};
  };
  for (int i = 0; i < 2000; ++i) {
    world.send(alice, bob.id(), "to bob");
    world.send(bob, alice.id(), "to alice");
    world.run_for(random.between(0ms, 400ms));
  }
  world.fate = [](Flight&) { return std::vector<Duration>{latency}; };
  world.run_for(limits::session_handshake_timeout);
  for (int i = 0; i < 3; ++i) {
    world.send(alice, bob.id(), "heals");
    world.send(bob, alice.id(), "heals");
    world.run_for(2s);
  }
  EXPECT_THAT(bob.inbox, ::testing::Contains("heals"));
  EXPECT_THAT(alice.inbox, ::testing::Contains("heals"));
  for (const SessionNode* const node : {&alice, &bob}) {
    for (const std::string& text : node->inbox) {
      ASSERT_TRUE(text == "heals" || text == "to bob" || text == "to alice") << text;
    }
  }
}

// ---- Notices ------------------------------------------------------------------------------------

struct Notices : ::testing::Test {
  bool turn_back(UnreachableReason reason) { return turn_back(reason, tap.flights.size() - 1); }
  bool turn_back(UnreachableReason reason, std::size_t flight) {
    const std::uint32_t tag = tap.flights[flight].wish.tag;
    const bool is_ours = alice.sessions().unreachable(tag, reason, where, world.now, alice.out());
    world.grant(alice);
    return is_ours;
  }
  void lose_all() {
    world.fate = [](Flight&) { return std::vector<Duration>{}; };
    tap.flights.clear();
    world.fate = [this](Flight& flight) {
      tap.flights.push_back(flight);
      return std::vector<Duration>{};
    };
  }

  SessionWorld world;
  SessionNode& alice = world.add();
  SessionNode& bob = world.add();
  Tap tap{world};
  NodeId where = Random{5}.id();
};

TEST_F(Notices, OfThreeCarefulWaysEndIt) {
  for (const auto& [is_known, reason] :
       {std::pair{false, UnreachableReason::dead_end}, std::pair{true, UnreachableReason::dead_end},
        std::pair{false, UnreachableReason::hops_spent}}) {
    alice.contacts.clear();
    alice.failed.clear();
    lose_all();
    if (is_known) SessionWorld::introduce(alice, bob);
    const auto expired = alice.dropped(DropReason::expired);
    world.send(alice, bob.id(), "hello", 1);
    world.send(alice, bob.id(), "hello again");
    EXPECT_FALSE(tap.flights.back().wish.careful);
    EXPECT_TRUE(turn_back(reason));
    ASSERT_THAT(tap.flights, SizeIs(2)) << "one at once";
    EXPECT_TRUE(turn_back(reason));
    EXPECT_FALSE(turn_back(reason)) << "each try has one notice";
    EXPECT_THAT(tap.flights, SizeIs(2)) << "the others when it is time to repeat";
    world.run_for(limits::session_handshake_retry - 1ms);
    EXPECT_THAT(tap.flights, SizeIs(2));
    world.run_for(2ms);
    ASSERT_THAT(tap.flights, SizeIs(4));
    for (int i = 1; i <= 3; ++i) {
      EXPECT_TRUE(tap.flights[i].wish.careful);
      EXPECT_EQ(tap.flights[i].wish.attempt, i) << "not the same way";
    }
    EXPECT_TRUE(turn_back(reason));
    EXPECT_THAT(alice.failed, IsEmpty()) << "the other one is on its way";
    EXPECT_TRUE(turn_back(reason, 2));
    ASSERT_THAT(alice.failed, SizeIs(1));
    EXPECT_EQ(alice.failed[0].outcome, Outcome::unreachable);
    EXPECT_EQ(alice.failed[0].reason, reason);
    EXPECT_EQ(alice.failed[0].where, where);
    EXPECT_EQ(alice.dropped(DropReason::expired), expired + 1);
    EXPECT_THAT(tap.flights, SizeIs(4));
  }
}

// Three ways were tried before anybody answered: none was careful.
TEST_F(Notices, OfCopiesAreNotTheLastWord) {
  lose_all();
  world.send(alice, bob.id(), "hello", 1);
  world.run_for(800ms);
  ASSERT_THAT(tap.flights, SizeIs(3));
  for (const std::size_t flight : {2, 0, 1}) {
    EXPECT_TRUE(turn_back(UnreachableReason::dead_end, flight));
    EXPECT_THAT(tap.flights, SizeIs(4)) << "one careful way, for the first of them";
  }
  EXPECT_TRUE(turn_back(UnreachableReason::dead_end));
  EXPECT_THAT(alice.failed, IsEmpty());
}

// What was reached in small steps alone is spoken to so.
TEST_F(Notices, MakeASessionCarefulThatWasOpenedSo) {
  int denied = 1;
  world.fate = [&](Flight& flight) {
    tap.flights.push_back(flight);
    return denied-- > 0 ? std::vector<Duration>{} : std::vector<Duration>{20ms};
  };
  world.send(alice, bob.id(), "hello", 1);
  EXPECT_TRUE(turn_back(UnreachableReason::dead_end));
  world.run_for(1s);
  world.send(alice, bob.id(), "hello again");
  world.run_for(1s);
  EXPECT_THAT(bob.inbox, ElementsAre("hello", "hello again"));
  for (const Flight& flight : tap.flights) {
    const bool is_hers = flight.source == alice.id();
    EXPECT_EQ(flight.wish.careful, is_hers && &flight != &tap.flights.front());
  }
}

TEST_F(Notices, OfCongestionMakeItWait) {
  lose_all();
  world.send(alice, bob.id(), "hello", 1);
  EXPECT_TRUE(turn_back(UnreachableReason::queue_full));
  EXPECT_THAT(tap.flights, SizeIs(1));
  world.run_for(1s);
  EXPECT_THAT(tap.flights, SizeIs(3));
  for (int i = 0; i < 3; ++i) {
    turn_back(UnreachableReason::rate_limited);
    world.run_for(3s);
  }
  world.run_for(3s);
  ASSERT_THAT(alice.failed, SizeIs(1));
}

TEST_F(Notices, OfNothingThatItSentAreNotIts) {
  lose_all();
  world.send(alice, bob.id(), "hello", 1);
  const std::uint32_t tag = tap.flights.back().wish.tag;
  EXPECT_FALSE(alice.sessions().unreachable(tag + 1, UnreachableReason::dead_end, where, world.now,
                                            alice.out()));
  EXPECT_THAT(alice.failed, IsEmpty());
}

TEST_F(Notices, OfAnAnsweredOpeningChangeNothing) {
  world.send(alice, bob.id(), "hello", 1);
  const std::uint32_t tag = tap.first(session_open).wish.tag;
  world.run_for(1s);
  EXPECT_FALSE(alice.sessions().unreachable(tag, UnreachableReason::dead_end, where, world.now,
                                            alice.out()));
  EXPECT_THAT(bob.inbox, ElementsAre("hello"));
}

TEST_F(Notices, OfALostFinishSendItAnotherWay) {
  int lost = 1;
  world.fate = [&](Flight& flight) {
    tap.flights.push_back(flight);
    const bool is_lost = flight.wish.kind == session_finish && lost-- > 0;
    return is_lost ? std::vector<Duration>{} : std::vector<Duration>{latency};
  };
  world.send(alice, bob.id(), "hello", 1);
  world.run_for(2 * latency);
  ASSERT_EQ(tap.flights.back().wish.kind, session_finish);
  EXPECT_TRUE(turn_back(UnreachableReason::dead_end));
  world.run_for(latency);
  EXPECT_THAT(bob.inbox, ElementsAre("hello"));
  EXPECT_EQ(tap.last(session_finish).wish.attempt, 1);
}

// ---- Home ---------------------------------------------------------------------------------------

TEST(Sessions, AnswersByTheHomeThatAnEnvelopeNamesAndOnlyWhileItDoes) {
  for (const bool is_known : {false, true}) {
    SCOPED_TRACE(is_known);
    SessionWorld world;
    auto [alice, bob] = world.pair();
    if (is_known) SessionWorld::introduce(alice, bob);
    const NodeId home = Random{5}.id();
    alice.home = home;
    Tap tap{world};
    world.send(alice, bob.id(), "hello");
    world.run_for(1s);
    EXPECT_EQ(tap.first(session_answer).wish.via, home);
    world.send(bob, alice.id(), "by your home");
    EXPECT_EQ(tap.flights.back().wish.via, home);
    alice.home.reset();
    world.send(alice, bob.id(), "I am settled now");
    EXPECT_EQ(tap.flights.back().wish.via, std::nullopt);
    world.run_for(1s);
    world.send(bob, alice.id(), "straight");
    EXPECT_EQ(tap.flights.back().wish.via, std::nullopt);
  }
}

// ---- Anything, in any order ---------------------------------------------------------------------

/// Every content arrives at most once, every token ends once, and when the network is good again
/// so is everything else.
TEST(Sessions, KeepTheirPromisesInAnyWeather) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    Random random{seed};
    SessionWorld world;
    std::vector<SessionNode*> nodes;
    const std::size_t sessions_max = 1 + random.below(3);
    for (int i = 0; i < 3; ++i) {
      nodes.push_back(&world.add({.sessions_max = sessions_max, .messages_max = 40}));
    }
    for (SessionNode* const one : nodes) {
      for (SessionNode* const other : nodes) {
        if (random.below(2) == 0) SessionWorld::introduce(*one, *other);
      }
    }
    const std::uint64_t loss = random.below(40);
    const std::uint64_t copies = random.below(30);
    world.fate = [&](Flight&) {
      std::vector<Duration> out;
      if (random.below(100) >= loss) out.push_back(random.between(1ms, 200ms));
      while (random.below(100) < copies) out.push_back(random.between(1ms, 3s));
      return out;
    };
    std::uint64_t token = 0;
    const auto send_one = [&](bool wants_token) {
      const auto from = random.below(3);
      const auto to = (from + 1 + random.below(2)) % 3;
      ++token;
      world.send(*nodes[from], nodes[to]->id(), std::to_string(token), wants_token ? token : 0);
    };
    for (int i = 0; i < 300; ++i) {
      send_one(random.below(2) == 0);
      world.run_for(random.below(10) == 0 ? random.between(0s, 40s) : random.between(0ms, 500ms));
    }
    world.run_for(30s);

    std::set<std::uint64_t> ended;
    for (const SessionNode* const node : nodes) {
      const std::set<std::string> unlike{node->inbox.begin(), node->inbox.end()};
      ASSERT_EQ(unlike.size(), node->inbox.size()) << "a content came twice";
      for (const ContentLeft& left : node->left) ASSERT_TRUE(ended.insert(left.token).second);
      for (const ContentFailed& failed : node->failed) {
        ASSERT_TRUE(ended.insert(failed.token).second);
      }
    }
    std::size_t waiting = 0;
    for (SessionNode* const node : nodes) waiting += node->sessions().waiting();
    ASSERT_EQ(waiting, 0u);

    world.fate = [](Flight&) { return std::vector<Duration>{latency}; };
    for (int i = 0; i < 40; ++i) {
      for (const auto from : {0u, 1u, 2u}) {
        for (const auto to : {0u, 1u, 2u}) {
          if (from != to) world.send(*nodes[from], nodes[to]->id(), "calm " + std::to_string(i));
        }
      }
      world.run_for(2s);
    }
    if (sessions_max < 2) continue;  // too few for these talks: some content is always the last
    for (const SessionNode* const node : nodes) {
      EXPECT_EQ(std::ranges::count(node->inbox, "calm 39"), 2);
    }
  }
}

}  // namespace
}  // namespace peer_relay
