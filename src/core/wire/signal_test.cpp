// SPDX-License-Identifier: MIT
#include "core/wire/signal.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "peer_relay/limits.hpp"
#include "tests/support/decoding.hpp"

namespace peer_relay {
namespace {

Bytes encoded(const Signal& signal) {
  Bytes out;
  encode_signal(signal, out);
  return out;
}

TEST(Signal, IsByteForByteWhatTheProtocolSays) {
  const Bytes body = encoded(
      {.step = SignalStep::offer, .is_needed = true, .number = 0x0102030405060708, .text = "v=0"});
  EXPECT_EQ(body, (Bytes{1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 'v', '=', '0'}));
}

TEST(Signal, ComesBackAsItWas) {
  for (const SignalStep step : {SignalStep::offer, SignalStep::answer, SignalStep::candidate}) {
    const Bytes body = encoded({.step = step, .number = 7, .text = "text"});
    const auto signal = decode_signal(body);
    ASSERT_TRUE(signal);
    EXPECT_EQ(signal->step, step);
    EXPECT_FALSE(signal->is_needed);
    EXPECT_EQ(signal->number, 7u);
    EXPECT_EQ(signal->text, "text");
  }
}

TEST(Signal, AnEmptyCandidateIsTheLast) {
  const Bytes body = encoded({.step = SignalStep::candidate, .number = 7});
  EXPECT_EQ(decode_signal(body)->text, "");
}

TEST(Signal, OnlyAnOfferIsNeeded) {
  Bytes body = encoded({.step = SignalStep::answer, .number = 7, .text = "v=0"});
  body[1] = 0xff;  // unknown flags are ignored
  EXPECT_FALSE(decode_signal(body)->is_needed);
  body[0] = 1;
  EXPECT_TRUE(decode_signal(body)->is_needed);
}

TEST(Signal, HasAKnownStep) {
  Bytes body = encoded({.step = SignalStep::decline, .number = 7});
  for (const std::uint8_t step : Bytes{0, 5, 255}) {
    body[0] = step;
    EXPECT_EQ(error_of(decode_signal(body)), DecodeError::unknown);
  }
}

TEST(Signal, IsBounded) {
  const auto with_text = [](SignalStep step, std::size_t bytes) {
    Bytes body = encoded({.step = SignalStep::decline, .number = 7});
    body[0] = static_cast<std::uint8_t>(step);
    body.insert(body.end(), bytes, 'x');
    return body;
  };
  for (const SignalStep step : {SignalStep::offer, SignalStep::answer}) {
    EXPECT_TRUE(decode_signal(with_text(step, limits::description_bytes_max)));
    EXPECT_EQ(error_of(decode_signal(with_text(step, limits::description_bytes_max + 1))),
              DecodeError::over_limit);
  }
  EXPECT_TRUE(decode_signal(with_text(SignalStep::candidate, limits::candidate_bytes_max)));
  EXPECT_EQ(
      error_of(decode_signal(with_text(SignalStep::candidate, limits::candidate_bytes_max + 1))),
      DecodeError::over_limit);
  EXPECT_EQ(error_of(decode_signal(with_text(SignalStep::decline, 1))), DecodeError::over_limit);
}

TEST(Signal, CutShortIsAnError) {
  const Bytes body = encoded({.step = SignalStep::decline, .number = 7});
  for (std::size_t size = 0; size < signal_header_bytes; ++size) {
    EXPECT_EQ(error_of(decode_signal(BytesView{body}.first(size))), DecodeError::truncated);
  }
}

}  // namespace
}  // namespace peer_relay
