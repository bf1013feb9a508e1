// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

#include "peer_relay/time.hpp"

namespace peer_relay {

/// So many tokens a second, and so many saved up at the most.
struct TokenRate {
  std::uint64_t per_second = 0;
  std::uint64_t burst = 0;
};

/// What is left of a rate that many share; begins full. All tokens that there will ever be stand in
/// a row and fall due at the rate: this is the place up to which they are taken.
class Tokens {
 public:
  /// Takes `count` tokens, or none and says false.
  bool take(std::uint64_t count, const TokenRate& rate, TimePoint now) {
    const int coarse = std::max(0, static_cast<int>(std::bit_width(rate.per_second)) - rate_bits);
    const std::int64_t due = due_at(rate.per_second >> coarse, now);
    const auto burst =
        static_cast<std::int64_t>(std::min<std::uint64_t>(rate.burst >> coarse, row_end));
    taken_ = std::max(taken_, due - burst);  // no more is saved up
    const std::uint64_t wanted = count == 0 ? 0 : ((count - 1) >> coarse) + 1;
    if (due < taken_ || static_cast<std::uint64_t>(due - taken_) < wanted) return false;
    taken_ += static_cast<std::int64_t>(wanted);
    return true;
  }

 private:
  // A row of 2^62 lasts for eight years at 16 GiB a second. Of larger rates the tokens are counted
  // in lots.
  static constexpr std::int64_t row_end = std::int64_t{1} << 62;
  static constexpr int rate_bits = 34;

  // Asked for each frame that is forwarded: whole seconds apart, so that nothing wide is divided.
  static std::int64_t due_at(std::uint64_t per_second, TimePoint now) {
    using Wide = __int128;
    const auto rate = static_cast<std::int64_t>(per_second);
    const std::int64_t us = now.time_since_epoch().count();
    const Wide due = Wide{us / 1'000'000} * rate + us % 1'000'000 * rate / 1'000'000;
    return static_cast<std::int64_t>(std::clamp<Wide>(due, -row_end, row_end));
  }

  std::int64_t taken_ = std::numeric_limits<std::int64_t>::min();
};

/// Tokens with a rate of their own.
class TokenBucket {
 public:
  TokenBucket(std::uint64_t per_second, std::uint64_t burst) : rate_{per_second, burst} {}

  /// Takes `count` tokens, or none and says false.
  bool take(std::uint64_t count, TimePoint now) { return tokens_.take(count, rate_, now); }

 private:
  TokenRate rate_;
  Tokens tokens_;
};

}  // namespace peer_relay
