// SPDX-License-Identifier: MIT
#include "core/stream/recovery.hpp"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t seed = 74;
constexpr std::uint32_t epoch = 0xfeed;
constexpr std::size_t turn = limits::stream_turn_bytes_max;

class RecoveryTest : public testing::Test {
 protected:
  /// Each packet says one byte: its own number.
  std::uint32_t send(std::size_t bytes = 100) {
    const std::uint32_t number = recovery.next_number();
    recovery.sent(bytes, {{.stream = 1, .bytes = {number, std::uint64_t{number} + 1}}}, now);
    return number;
  }
  void send_many(std::size_t count, std::size_t bytes = 100) {
    for (std::size_t i = 0; i < count; ++i) send(bytes);
  }
  Recovery::News hear(std::uint32_t largest, std::uint64_t before = 0) {
    return keep(recovery.acknowledged({.epoch = epoch, .largest = largest, .before = before}, now));
  }
  Recovery::News wake() { return keep(recovery.wake(now)); }
  Recovery::News keep(Recovery::News news) {
    EXPECT_EQ(news.packets_lost, news.lost.size());
    for (const SaidOfStream& said : news.lost) lost.push_back(said.bytes.from);
    return news;
  }
  /// Until it wants something.
  Recovery::News wake_when_due() {
    now = recovery.next_wake();
    const Recovery::News news = wake();
    EXPECT_GT(recovery.next_wake(), now) << "wakes for nothing";
    return news;
  }
  /// A round trip of so long is known.
  void measure(Duration round_trip) {
    for (int i = 0; i < 40; ++i) {
      const std::uint32_t number = send();
      now += round_trip;
      hear(number);
    }
    ASSERT_NEAR(static_cast<double>(recovery.round_trip().count()),
                static_cast<double>(round_trip.count()), 1000);
  }

  Recovery recovery{epoch};
  TimePoint now{100s};
  std::vector<std::uint64_t> lost;
};

TEST_F(RecoveryTest, WaitsForNothingAtFirst) {
  EXPECT_TRUE(recovery.may_send());
  EXPECT_EQ(recovery.next_wake(), never);
  EXPECT_EQ(recovery.waits_since(), never);
  EXPECT_FALSE(wake().is_probe);
}

TEST_F(RecoveryTest, WhatIsAcknowledgedIsNoLongerUnderWay) {
  send_many(3);
  EXPECT_EQ(recovery.in_flight_bytes(), 300u);
  EXPECT_EQ(recovery.waits_since(), now);
  now += 50ms;
  EXPECT_TRUE(hear(1, 0b1).is_good);
  EXPECT_EQ(recovery.in_flight_bytes(), 100u);
  EXPECT_EQ(recovery.waits_since(), now);
  EXPECT_EQ(recovery.round_trip(), 50ms);
  EXPECT_TRUE(hear(2).is_good);
  EXPECT_EQ(recovery.in_flight_bytes(), 0u);
  EXPECT_EQ(recovery.next_wake(), never);
  EXPECT_EQ(recovery.waits_since(), never);
  EXPECT_THAT(lost, IsEmpty());
}

TEST_F(RecoveryTest, ThreeLaterOnesMeanThatItIsLost) {
  send_many(4);
  now += 10ms;
  hear(1);
  hear(2);
  EXPECT_THAT(lost, IsEmpty());
  hear(3);
  EXPECT_THAT(lost, ElementsAre(0));
  EXPECT_EQ(recovery.in_flight_bytes(), 0u);
  EXPECT_EQ(recovery.next_wake(), never);
}

TEST_F(RecoveryTest, OneLaterOneAndTimeMeanIt) {
  measure(100ms);
  const std::uint32_t first = send();
  const TimePoint sent = now;
  send();
  now += 100ms;
  hear(first + 1);
  EXPECT_THAT(lost, IsEmpty());
  EXPECT_NEAR(static_cast<double>((recovery.next_wake() - sent).count()), 112'500, 1000);
  const Recovery::News news = wake_when_due();
  EXPECT_FALSE(news.is_probe);
  EXPECT_THAT(lost, ElementsAre(first));
}

TEST_F(RecoveryTest, AfterSilenceTheOldestGoesAgainThenAll) {
  measure(100ms);
  const std::uint32_t first = send();
  send_many(2);
  EXPECT_TRUE(wake_when_due().is_probe);
  EXPECT_EQ(recovery.probes(), 1);
  EXPECT_THAT(lost, ElementsAre(first));
  EXPECT_TRUE(wake_when_due().is_probe);
  EXPECT_THAT(lost, ElementsAre(first, first + 1, first + 2));
  EXPECT_EQ(recovery.window(), Recovery::window_min);
  EXPECT_EQ(recovery.in_flight_bytes(), 0u);
}

TEST_F(RecoveryTest, ProbesBackOffUntilSomethingArrives) {
  measure(100ms);
  Duration last{};
  std::vector<Duration> pauses;
  for (int i = 0; i < 12; ++i) {
    send();
    const TimePoint before = now;
    ASSERT_TRUE(wake_when_due().is_probe);
    const Duration pause = now - before;
    EXPECT_GE(pause, last);
    EXPECT_LE(pause, Recovery::probe_after_max);
    last = pause;
    pauses.push_back(pause);
  }
  EXPECT_LT(pauses[0], 200ms);
  EXPECT_EQ(pauses[3], pauses[0] * 8);
  EXPECT_EQ(last, Recovery::probe_after_max);
  now += 100ms;
  hear(send());
  EXPECT_EQ(recovery.probes(), 0);
  send();
  EXPECT_LT(recovery.next_wake() - now, 300ms);
}

TEST_F(RecoveryTest, AProbeMayExceedTheWindow) {
  while (recovery.may_send()) send(turn);
  EXPECT_EQ(recovery.in_flight_bytes(), Recovery::window_initial);
  wake_when_due();
  EXPECT_TRUE(recovery.may_send());
  send(turn);
  EXPECT_TRUE(recovery.may_send()) << "in place of the one that was given up";
  send(turn);
  EXPECT_FALSE(recovery.may_send());
}

TEST_F(RecoveryTest, TheWindowDoublesEachRoundTripWhileItIsUsed) {
  while (recovery.may_send()) send(turn);
  for (int round = 0; round < 4; ++round) {
    const std::size_t before = recovery.window();
    const std::uint32_t end = recovery.next_number();
    now += 50ms;
    for (auto number = static_cast<std::uint32_t>(end - before / turn); number != end; ++number) {
      hear(number);
      while (recovery.may_send()) send(turn);
    }
    EXPECT_EQ(recovery.window(), before * 2);
  }
}

TEST_F(RecoveryTest, AWindowThatIsNotUsedDoesNotGrow) {
  for (int i = 0; i < 1000; ++i) {
    const std::uint32_t number = send(1000);
    now += 10ms;
    hear(number);
  }
  EXPECT_EQ(recovery.window(), Recovery::window_initial);
}

TEST_F(RecoveryTest, TheWindowHasABound) {
  for (int round = 0; round < 30; ++round) {
    const std::uint32_t first = recovery.next_number();
    while (recovery.may_send()) send(turn);
    now += 50ms;
    for (std::uint32_t number = first; number != recovery.next_number(); ++number) hear(number);
    ASSERT_LE(recovery.in_flight_bytes(), Recovery::window_max);
  }
  EXPECT_EQ(recovery.window(), Recovery::window_max);
}

TEST_F(RecoveryTest, TheWindowHalvesOnceForARoundTripAndHasAFloor) {
  const std::uint32_t first = recovery.next_number();
  send_many(10, turn);
  now += 50ms;
  hear(first + 4, 0);  // 0 and 1 are lost; 2 and 3 may come
  EXPECT_THAT(lost, ElementsAre(first, first + 1));
  const std::size_t halved = recovery.window();
  EXPECT_LE(halved, Recovery::window_initial / 2 + turn);
  hear(first + 9, 0);
  EXPECT_EQ(lost.size(), 6u);
  EXPECT_EQ(recovery.window(), halved) << "all left in the same round trip";
  for (int round = 0; round < 10; ++round) {
    now += 50ms;
    const std::uint32_t next = recovery.next_number();
    send_many(4, 1000);
    now += 50ms;
    hear(next + 3);
  }
  EXPECT_EQ(recovery.window(), Recovery::window_min);
}

TEST_F(RecoveryTest, AfterALossItGrowsByATurnEachRoundTrip) {
  send_many(10, turn);
  now += 50ms;
  hear(9, 0b011111111);  // 0 is lost
  const std::size_t halved = recovery.window();
  now += 1ms;
  const std::uint32_t first = recovery.next_number();
  while (recovery.may_send()) send(turn);
  now += 50ms;
  for (std::uint32_t number = first; number != recovery.next_number(); ++number) hear(number);
  EXPECT_GT(recovery.window(), halved);
  EXPECT_LE(recovery.window(), halved + turn);
}

TEST_F(RecoveryTest, PacketsUnderWayAreBoundedHoweverSmall) {
  std::size_t sent = 0;
  for (; recovery.may_send(); ++sent) send(1);
  EXPECT_EQ(sent, Recovery::packets_max);
}

TEST_F(RecoveryTest, WhatWasNotSentIsNotAcknowledged) {
  send_many(2);
  now += 10ms;
  EXPECT_FALSE(recovery.acknowledged({.epoch = epoch + 1, .largest = 1, .before = 1}, now).is_good);
  EXPECT_FALSE(hear(2, ~std::uint64_t{0}).is_good) << "never sent";
  EXPECT_FALSE(hear(1'000'000, ~std::uint64_t{0}).is_good);
  EXPECT_FALSE(hear(UINT32_MAX, ~std::uint64_t{0}).is_good) << "before the first";
  EXPECT_EQ(recovery.in_flight_bytes(), 200u);
  // Nor are later ones lost by it.
  EXPECT_TRUE(hear(1, 1).is_good);
  send_many(1);
  now += 10ms;
  EXPECT_TRUE(hear(2, ~std::uint64_t{0}).is_good);
  EXPECT_THAT(lost, IsEmpty());
}

TEST_F(RecoveryTest, AnAcknowledgementCountsOnce) {
  while (recovery.may_send()) send(turn);
  now += 10ms;
  hear(0);
  const std::size_t window = recovery.window();
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(hear(0, ~std::uint64_t{0}).is_good);
  EXPECT_EQ(recovery.window(), window);
}

TEST_F(RecoveryTest, WhatWasGivenUpAndArrivesAfterAllCountsForNothing) {
  send();
  wake_when_due();
  const std::size_t window = recovery.window();
  EXPECT_FALSE(hear(0).is_good);
  EXPECT_EQ(recovery.in_flight_bytes(), 0u);
  EXPECT_EQ(recovery.window(), window);
}

TEST_F(RecoveryTest, ForgetsWhatWasUnderWayButCountsOn) {
  send_many(5);
  recovery.forget();
  EXPECT_EQ(recovery.in_flight_bytes(), 0u);
  EXPECT_EQ(recovery.next_wake(), never);
  EXPECT_EQ(recovery.waits_since(), never);
  EXPECT_FALSE(hear(4, 0b1111).is_good);
  EXPECT_EQ(send(), 5u);
  EXPECT_TRUE(hear(5).is_good);
  EXPECT_THAT(lost, IsEmpty());
}

// No acknowledgement, whatever it says, does more than to name packets that are under way.
TEST_F(RecoveryTest, BytesUnderWayAreKeptAccountOfWhateverIsSaid) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Random random{seed};
  for (int step = 0; step < 20'000; ++step) {
    if (recovery.may_send() && random.below(3) != 0) send(random.below(turn + 1));
    const auto about = static_cast<std::uint32_t>(recovery.next_number() + 10 - random.below(100));
    if (random.below(3) == 0) {
      hear(random.below(10) == 0 ? static_cast<std::uint32_t>(random.next()) : about,
           random.next() & random.next());
    }
    now += Duration{static_cast<Duration::rep>(random.below(20'000))};
    if (now >= recovery.next_wake()) {
      wake();
      ASSERT_GT(recovery.next_wake(), now) << "wakes for nothing";
    }
    ASSERT_LE(recovery.in_flight_bytes(), recovery.window() + Recovery::window_max);
    ASSERT_GE(recovery.window(), Recovery::window_min);
    ASSERT_LE(recovery.window(), Recovery::window_max);
  }
  // Each was said again at most once for each time it was sent.
  std::ranges::sort(lost);
  EXPECT_THAT(std::ranges::adjacent_find(lost), lost.end());
}

// ---- What has come ----

TEST(ArrivalsTest, EverySecondOneIsAcknowledgedAtOnce) {
  Arrivals arrivals;
  EXPECT_FALSE(arrivals.owes());
  EXPECT_FALSE(arrivals.note(epoch, 0));
  EXPECT_TRUE(arrivals.owes());
  EXPECT_TRUE(arrivals.note(epoch, 1));
  const StreamAck ack = arrivals.acknowledge();
  EXPECT_EQ(ack.epoch, epoch);
  EXPECT_EQ(ack.largest, 1u);
  EXPECT_EQ(ack.before, 0b1u);
  EXPECT_FALSE(arrivals.owes());
  EXPECT_FALSE(arrivals.note(epoch, 2));
}

TEST(ArrivalsTest, AGapIsToldAtOnce) {
  Arrivals arrivals;
  arrivals.note(epoch, 0);
  arrivals.acknowledge();
  EXPECT_TRUE(arrivals.note(epoch, 2));
  EXPECT_EQ(arrivals.acknowledge().before, 0b10u);
  EXPECT_TRUE(arrivals.note(epoch, 1));
  EXPECT_EQ(arrivals.acknowledge().before, 0b11u);
  EXPECT_TRUE(arrivals.note(epoch, 1)) << "its acknowledgement was lost";
  EXPECT_EQ(arrivals.acknowledge().largest, 2u);
}

TEST(ArrivalsTest, TheLatestSixtyFiveAreRemembered) {
  Arrivals arrivals;
  for (std::uint32_t number = 0; number <= 64; ++number) arrivals.note(epoch, number);
  EXPECT_EQ(arrivals.acknowledge().before, ~std::uint64_t{0});
  arrivals.note(epoch, 65);
  arrivals.note(epoch, 0);  // too old to tell of
  const StreamAck ack = arrivals.acknowledge();
  EXPECT_EQ(ack.largest, 65u);
  EXPECT_EQ(ack.before, ~std::uint64_t{0});
  arrivals.note(epoch, 65 + 64);
  EXPECT_EQ(arrivals.acknowledge().before, std::uint64_t{1} << 63);
  arrivals.note(epoch, 65 + 64 + 65);
  EXPECT_EQ(arrivals.acknowledge().before, 0u);
}

TEST(ArrivalsTest, ANewEpochBeginsAnew) {
  Arrivals arrivals;
  arrivals.note(epoch, 7);
  arrivals.note(epoch + 1, 3);
  const StreamAck ack = arrivals.acknowledge();
  EXPECT_EQ(ack.epoch, epoch + 1);
  EXPECT_EQ(ack.largest, 3u);
  EXPECT_EQ(ack.before, 0u);
}

TEST(ArrivalsTest, NumbersGoRound) {
  Arrivals arrivals;
  arrivals.note(epoch, UINT32_MAX - 1);
  arrivals.note(epoch, 1);
  arrivals.note(epoch, UINT32_MAX);
  const StreamAck ack = arrivals.acknowledge();
  EXPECT_EQ(ack.largest, 1u);
  EXPECT_EQ(ack.before, 0b110u);
}

// Against a set of all that came, over a way that loses and reorders.
TEST(ArrivalsTest, TellWhatASetTells) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Random random{seed};
  for (int run = 0; run < 100; ++run) {
    Arrivals arrivals;
    const std::uint32_t base = UINT32_MAX - 200;
    std::vector<bool> came(400);
    std::uint32_t largest = 0;
    for (std::uint32_t at = 0; at < 400; ++at) {
      if (random.below(4) == 0) continue;
      const auto number =
          static_cast<std::uint32_t>(at - std::min<std::uint64_t>(at, random.below(90)));
      largest = came == std::vector<bool>(400) ? number : std::max(largest, number);
      // What is too old when it comes is not remembered.
      if (largest - number <= 64) came[number] = true;
      arrivals.note(epoch, base + number);
      const StreamAck ack = arrivals.acknowledge();
      ASSERT_EQ(ack.largest, base + largest);
      for (std::uint32_t n = 0; n < 64 && n + 1 <= largest; ++n) {
        ASSERT_EQ((ack.before >> n & 1) != 0, came[largest - 1 - n]) << n;
      }
    }
  }
}

}  // namespace
}  // namespace peer_relay
