// SPDX-License-Identifier: MIT
#include "core/stream/ranges.hpp"

#include <algorithm>

namespace peer_relay {

void Ranges::add(Range range) {
  if (range.from >= range.to) return;
  // Those that it touches become one with it.
  const auto first = std::ranges::lower_bound(all_, range.from, {}, &Range::to);
  auto last = first;
  for (; last != all_.end() && last->from <= range.to; ++last) {
    range.from = std::min(range.from, last->from);
    range.to = std::max(range.to, last->to);
  }
  all_.insert(all_.erase(first, last), range);
}

void Ranges::drop_before(std::uint64_t to) {
  const auto kept = std::ranges::upper_bound(all_, to, {}, &Range::to);
  all_.erase(all_.begin(), kept);
  if (!all_.empty()) all_.front().from = std::max(all_.front().from, to);
}

std::optional<Range> Ranges::take(std::uint64_t length_max) {
  if (all_.empty()) return std::nullopt;
  Range out = all_.front();
  out.to = std::min(out.to, out.from + length_max);
  drop_before(out.to);
  return out;
}

}  // namespace peer_relay
