// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <memory>

#include "peer_relay/limits.hpp"

namespace peer_relay {

/// Which numbers of a growing count have come, among the newest limits::replay_window of them; what
/// is older counts as come. RFC 6479, except that the bits are only allocated by the first number
/// that leaves a gap: between well connected peers that takes long, and a session is four times
/// smaller until then.
class ReplayWindow {
 public:
  /// Whether this number is neither known to have come nor too old to tell.
  bool is_new(std::uint64_t number) const {
    if (number >= next_) return number != std::numeric_limits<std::uint64_t>::max();
    if (next_ - number > limits::replay_window || !bits_) return false;
    return (word(number) >> (number % 64) & 1) == 0;
  }

  /// Notes a number; false, and nothing noted, where it is not new.
  bool take(std::uint64_t number) {
    if (!is_new(number)) return false;
    if (number == next_ && !bits_) {
      ++next_;
      return true;
    }
    if (!bits_) allocate();
    if (number >= next_) advance(number);
    word(number) |= std::uint64_t{1} << (number % 64);
    return true;
  }

  /// One more than the largest number that came.
  std::uint64_t next() const { return next_; }

 private:
  // One word more than the window, so that the whole of it stands while the newest word fills up.
  static constexpr std::size_t words = limits::replay_window / 64 + 1;
  static_assert(limits::replay_window % 64 == 0);
  using Bits = std::array<std::uint64_t, words>;

  std::uint64_t& word(std::uint64_t number) { return (*bits_)[number / 64 % words]; }
  const std::uint64_t& word(std::uint64_t number) const { return (*bits_)[number / 64 % words]; }

  /// All numbers before next_ have come, and none after it.
  void allocate() {
    bits_ = std::make_unique<Bits>();
    bits_->fill(~std::uint64_t{0});
    word(next_) = (std::uint64_t{1} << (next_ % 64)) - 1;
  }

  /// Clears the words that the window enters. The one in which next_ stands has been entered.
  void advance(std::uint64_t number) {
    const std::uint64_t entered = next_ == 0 ? 0 : (next_ - 1) / 64;
    const std::uint64_t blocks = number / 64 - entered;
    if (blocks >= words) {
      bits_->fill(0);
    } else {
      for (std::uint64_t block = 1; block <= blocks; ++block) word((entered + block) * 64) = 0;
    }
    next_ = number + 1;
  }

  std::uint64_t next_ = 0;
  std::unique_ptr<Bits> bits_;  // none: all before next_ have come
};

}  // namespace peer_relay
