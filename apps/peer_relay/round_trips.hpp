// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "peer_relay/time.hpp"

namespace peer_relay::app {

/// Round-trip times of many messages. Up to a million of them are kept, beyond that a fair sample;
/// smallest, largest and mean are always exact.
class RoundTrips {
 public:
  static constexpr std::size_t kept_max = 1'000'000;

  void add(Duration round_trip);

  std::uint64_t count() const { return count_; }
  Duration min() const { return min_; }
  Duration max() const { return max_; }
  Duration mean() const;
  /// The value that the given share (0 to 1) of all are at or below (nearest rank).
  Duration quantile(double share) const;
  Duration median() const { return quantile(0.5); }

 private:
  std::uint64_t count_ = 0;
  Duration min_{}, max_{}, sum_{};
  std::vector<Duration> kept_;
  std::minstd_rand dice_;
};

}  // namespace peer_relay::app
