// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>

#include "peer_relay/time.hpp"

namespace peer_relay {

/// So many tokens a second, and so many saved up at the most.
struct TokenRate {
  std::uint64_t per_second = 0;
  std::uint64_t burst = 0;
};

/// What is left of a rate that many share; begins full.
class Tokens {
 public:
  explicit Tokens(const TokenRate& rate) : left_(rate.burst) {}

  /// Takes `count` tokens, or none and says false.
  bool take(std::uint64_t count, const TokenRate& rate, TimePoint now) {
    refill(rate, now);
    if (left_ < count) return false;
    left_ -= count;
    return true;
  }

 private:
  void refill(const TokenRate& rate, TimePoint now) {
    if (now <= refilled_at_) return;
    const auto waited = static_cast<std::uint64_t>((now - refilled_at_).count());
    // A whole burst's wait and longer fills it; this also keeps the product below in 64 bits.
    if (rate.per_second == 0) return;
    if (waited / 1'000'000 > rate.burst / rate.per_second) {
      left_ = rate.burst;
      refilled_at_ = now;
      return;
    }
    using Wide = unsigned __int128;
    const auto fresh = static_cast<std::uint64_t>(Wide{waited} * rate.per_second / 1'000'000);
    left_ = std::min(rate.burst, left_ + fresh);
    // Only the time of whole tokens is spent, so that frequent calls lose no fractions. It is
    // rounded up: rounded down, calls that are frequent enough would be given a token twice.
    const auto spent = (Wide{fresh} * 1'000'000 + rate.per_second - 1) / rate.per_second;
    refilled_at_ += Duration{static_cast<Duration::rep>(spent)};
  }

  std::uint64_t left_;
  TimePoint refilled_at_{};
};

/// Tokens with a rate of their own.
class TokenBucket {
 public:
  TokenBucket(std::uint64_t per_second, std::uint64_t burst)
      : rate_{per_second, burst}, tokens_(rate_) {}

  /// Takes `count` tokens, or none and says false.
  bool take(std::uint64_t count, TimePoint now) { return tokens_.take(count, rate_, now); }

 private:
  TokenRate rate_;
  Tokens tokens_;
};

}  // namespace peer_relay
