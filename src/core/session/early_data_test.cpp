// SPDX-License-Identifier: MIT
#include "core/session/early_data.hpp"

#include <gtest/gtest.h>

#include "sodium/sodium_crypto.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t unix_ms_at_zero = 1'700'000'000'000;

struct EarlyDataTest : ::testing::Test {
  MessageHash message(std::uint32_t number) {
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(&number);
    return MessageHash::of({bytes, sizeof number}, crypto);
  }
  /// A time stamp of a clock that differs from ours by so much.
  std::uint64_t stamp(std::chrono::milliseconds apart = 0ms) const {
    return early.unix_ms(now + apart);
  }

  SodiumCrypto crypto;
  EarlyData early{unix_ms_at_zero, TimePoint{100s}};
  TimePoint now{1000s};
};

TEST_F(EarlyDataTest, TellsTheTime) {
  EXPECT_EQ(early.unix_ms(TimePoint{1500us}), static_cast<std::uint64_t>(unix_ms_at_zero + 1));
}

TEST_F(EarlyDataTest, TakesAMessageOnce) {
  EXPECT_FALSE(early.has_seen(message(1)));
  EXPECT_TRUE(early.take(message(1), stamp(), now));
  EXPECT_TRUE(early.has_seen(message(1)));
  EXPECT_FALSE(early.take(message(1), stamp(), now));
  EXPECT_TRUE(early.take(message(2), stamp(), now));
}

TEST_F(EarlyDataTest, TakesWhatIsWithinTheWindowOfOurClock) {
  EXPECT_TRUE(early.take(message(1), stamp(-60s), now));
  EXPECT_TRUE(early.take(message(2), stamp(60s), now));
  EXPECT_FALSE(early.take(message(3), stamp(-60s - 1ms), now));
  EXPECT_FALSE(early.take(message(4), stamp(60s + 1ms), now));
  EXPECT_FALSE(early.take(message(5), 0, now));
  EXPECT_FALSE(early.take(message(6), ~std::uint64_t{0}, now));
}

TEST_F(EarlyDataTest, TakesNothingFromBeforeTheStart) {
  now = TimePoint{110s};
  EXPECT_FALSE(early.take(message(1), stamp(-10s), now));
  EXPECT_TRUE(early.take(message(2), stamp(-10s + 1ms), now));
}

TEST_F(EarlyDataTest, RemembersAMessageAsLongAsItsTimeStampIsGood) {
  const std::uint64_t ahead = stamp(60s);
  ASSERT_TRUE(early.take(message(1), ahead, now));
  for (int second = 0; second <= 130; ++second) {
    now += 1s;
    EXPECT_FALSE(early.take(message(1), ahead, now)) << second;
  }
}

TEST_F(EarlyDataTest, TakesNoneWhileItRemembersAsManyAsItCan) {
  for (std::uint32_t i = 0; i < limits::early_data_seen_max; ++i) {
    ASSERT_TRUE(early.take(message(i), stamp(), now));
  }
  EXPECT_FALSE(early.take(message(1'000'000), stamp(), now));
  EXPECT_EQ(early.size(), limits::early_data_seen_max);
  now += 2 * limits::early_data_window + 1s;
  EXPECT_TRUE(early.take(message(1'000'000), stamp(), now));
  EXPECT_EQ(early.size(), 1u);
}

}  // namespace
}  // namespace peer_relay
