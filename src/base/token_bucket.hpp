// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>

#include "peer_relay/time.hpp"

namespace peer_relay {

/// So many tokens a second, and so many saved up at the most.
class TokenBucket {
 public:
  TokenBucket(std::uint64_t per_second, std::uint64_t burst)
      : per_second_(per_second), burst_(burst), tokens_(burst) {}

  /// Takes `count` tokens, or none and says false.
  bool take(std::uint64_t count, TimePoint now) {
    refill(now);
    if (tokens_ < count) return false;
    tokens_ -= count;
    return true;
  }

 private:
  void refill(TimePoint now) {
    if (now <= refilled_at_) return;
    const auto waited = static_cast<std::uint64_t>((now - refilled_at_).count());
    // A whole burst's wait and longer fills it; this also keeps the product below in 64 bits.
    if (per_second_ == 0) return;
    if (waited / 1'000'000 > burst_ / per_second_) {
      tokens_ = burst_;
      refilled_at_ = now;
      return;
    }
    using Wide = unsigned __int128;
    const auto fresh = static_cast<std::uint64_t>(Wide{waited} * per_second_ / 1'000'000);
    tokens_ = std::min(burst_, tokens_ + fresh);
    // Only the time of whole tokens is spent, so that frequent calls lose no fractions. It is
    // rounded up: rounded down, calls that are frequent enough would be given a token twice.
    const auto spent = (Wide{fresh} * 1'000'000 + per_second_ - 1) / per_second_;
    refilled_at_ += Duration{static_cast<Duration::rep>(spent)};
  }

  std::uint64_t per_second_;
  std::uint64_t burst_;
  std::uint64_t tokens_;
  TimePoint refilled_at_{};
};

}  // namespace peer_relay
