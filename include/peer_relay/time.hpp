// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>

namespace peer_relay {

/// A clock to count with, not to read: whoever drives an engine says what time it is.
struct Steady {
  using duration = std::chrono::microseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<Steady>;
  static constexpr bool is_steady = true;
};

using Duration = Steady::duration;
using TimePoint = Steady::time_point;

/// "Never", for timers that are not armed.
inline constexpr TimePoint never = TimePoint::max();

}  // namespace peer_relay
