// SPDX-License-Identifier: MIT
#include "core/delivery/round_trip.hpp"

#include <gtest/gtest.h>

namespace peer_relay {
namespace {

using namespace std::chrono_literals;

TEST(RoundTrip, WaitsASecondBeforeItKnowsAnything) { EXPECT_EQ(RoundTrip{}.patience(), 1s); }

TEST(RoundTrip, DoesAsRfc6298Says) {
  RoundTrip trip;
  trip.measure(400ms);
  EXPECT_EQ(trip.patience(), 400ms + 4 * 200ms);  // §2.2
  trip.measure(800ms);                            // §2.3: variation 250 ms, smoothed 450 ms
  EXPECT_EQ(trip.patience(), 450ms + 4 * 250ms);
}

TEST(RoundTrip, StaysWithinItsBounds) {
  RoundTrip trip;
  for (int i = 0; i < 100; ++i) trip.measure(1ms);
  EXPECT_EQ(trip.patience(), limits::resend_after_min);
  for (int i = 0; i < 100; ++i) trip.measure(1min);
  EXPECT_EQ(trip.patience(), limits::resend_after_max);
}

}  // namespace
}  // namespace peer_relay
