// SPDX-License-Identifier: MIT
#include "core/session/early_data.hpp"

#include <limits>

namespace peer_relay {

using namespace std::chrono_literals;

MessageHash MessageHash::of(BytesView message, Crypto& crypto) {
  const BytesView parts[] = {message};
  MessageHash out;
  crypto.hash(parts, out.bytes);
  return out;
}

std::uint64_t EarlyData::unix_ms(TimePoint now) const {
  const auto since = std::chrono::floor<std::chrono::milliseconds>(now.time_since_epoch()).count();
  return static_cast<std::uint64_t>(unix_ms_at_zero_ + since);
}

bool EarlyData::take(const MessageHash& message, std::uint64_t their_ms, TimePoint now) {
  forget_old(now);
  constexpr std::uint64_t window_ms = limits::early_data_window / 1ms;
  const std::uint64_t our_ms = unix_ms(now);
  const std::uint64_t apart = their_ms > our_ms ? their_ms - our_ms : our_ms - their_ms;
  if (apart > window_ms || their_ms <= unix_ms(started_)) return false;
  if (seen_.contains(message) || seen_.size() >= limits::early_data_seen_max) return false;

  seen_.insert(message);
  // A time stamp ahead of us by a window will be good for two; and we round to milliseconds.
  order_.push({message, now + 2 * limits::early_data_window + 1ms});
  return true;
}

void EarlyData::forget_old(TimePoint now) {
  while (!order_.empty() && order_.front().forget < now) seen_.erase(order_.pop().message);
}

}  // namespace peer_relay
