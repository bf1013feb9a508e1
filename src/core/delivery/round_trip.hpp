// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "peer_relay/limits.hpp"
#include "peer_relay/time.hpp"

namespace peer_relay {

/// How long an acknowledgement takes, and how long to wait for one (RFC 6298).
class RoundTrip {
 public:
  /// Of a message that was sent once: of others one can't tell which copy was acknowledged (§3).
  void measure(Duration taken) {
    taken = std::max(taken, Duration{1});
    if (!is_known()) {
      smoothed_ = taken;
      variation_ = taken / 2;
      return;
    }
    const Duration error = smoothed_ > taken ? smoothed_ - taken : taken - smoothed_;
    variation_ = (3 * variation_ + error) / 4;
    smoothed_ = (7 * smoothed_ + taken) / 8;
  }

  bool is_known() const { return smoothed_ != Duration{}; }

  /// Before the first resend; later ones wait twice as long each.
  Duration patience() const {
    using namespace std::chrono_literals;
    if (!is_known()) return 1s;  // §2.1
    return std::clamp(smoothed_ + 4 * variation_, limits::resend_after_min,
                      limits::resend_after_max);
  }

 private:
  Duration smoothed_{};
  Duration variation_{};
};

}  // namespace peer_relay
