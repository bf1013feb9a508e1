// SPDX-License-Identifier: MIT
#include "round_trips.hpp"

#include <algorithm>
#include <cmath>

namespace peer_relay::app {

void RoundTrips::add(Duration round_trip) {
  min_ = count_ == 0 ? round_trip : std::min(min_, round_trip);
  max_ = std::max(max_, round_trip);
  sum_ += round_trip;
  ++count_;
  if (kept_.size() < kept_max) return kept_.push_back(round_trip);
  // Vitter's algorithm R: each of all has the same chance to be among the kept.
  const auto place = std::uniform_int_distribution<std::uint64_t>{0, count_ - 1}(dice_);
  if (place < kept_max) kept_[place] = round_trip;
}

Duration RoundTrips::mean() const {
  return count_ == 0 ? Duration{} : sum_ / static_cast<std::int64_t>(count_);
}

Duration RoundTrips::quantile(double share) const {
  if (kept_.empty()) return Duration{};
  std::vector<Duration> sorted = kept_;
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  const auto at = sorted.begin() + static_cast<std::ptrdiff_t>(std::max<std::size_t>(rank, 1) - 1);
  std::ranges::nth_element(sorted, at);
  return *at;
}

}  // namespace peer_relay::app
