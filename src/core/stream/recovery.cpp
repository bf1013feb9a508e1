// SPDX-License-Identifier: MIT
#include "core/stream/recovery.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"

namespace peer_relay {

namespace {

// RFC 9002, §6.1.1. Packets of one way stay in order, but ways change.
constexpr std::uint32_t reordering_max = 3;

/// How much later `a` was numbered than `b`; numbers go round.
std::int32_t later_by(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b); }

}  // namespace

bool Recovery::may_send() const {
  if (packets_.size() >= packets_max) return false;
  return allowance_ > 0 || in_flight_bytes_ + limits::stream_turn_bytes_max <= window_;
}

void Recovery::sent(std::size_t bytes, std::vector<SaidOfStream> said, TimePoint now) {
  if (in_flight_bytes_ + limits::stream_turn_bytes_max > window_ && allowance_ > 0) --allowance_;
  packets_.push_back({.at = now,
                      .bytes = static_cast<std::uint32_t>(bytes),
                      .is_done = false,
                      .said = std::move(said)});
  ++next_;
  ++in_flight_;
  in_flight_bytes_ += bytes;
  last_sent_ = now;
  if (waits_since_ == never) waits_since_ = now;
}

Recovery::Packet* Recovery::find(std::uint32_t number) {
  const std::uint32_t index = number - first();
  return index < packets_.size() ? &packets_[index] : nullptr;
}

Recovery::News Recovery::acknowledged(const StreamAck& ack, TimePoint now) {
  News news;
  if (ack.epoch != epoch_) return news;
  if (later_by(ack.largest, next_) >= 0) return news;  // it was never sent
  // §7.8: a window that was not used is no proof that the way carries more.
  const bool is_full = in_flight_bytes_ * 2 >= window_;
  for (std::uint32_t n = 0; n <= 64; ++n) {
    if (n > 0 && (ack.before >> (n - 1) & 1) == 0) continue;
    Packet* const packet = find(ack.largest - n);
    if (packet == nullptr || packet->is_done) continue;
    if (n == 0) note_round_trip(now - packet->at);
    packet->is_done = true;
    packet->said.clear();
    --in_flight_;
    in_flight_bytes_ -= packet->bytes;
    news.is_good = true;
    if (is_full && packet->at > recovery_since_) grow(packet->bytes);
  }
  if (!news.is_good) return news;
  if (!has_acknowledged_ || later_by(ack.largest, largest_) > 0) largest_ = ack.largest;
  has_acknowledged_ = true;
  probes_ = 0;
  allowance_ = 0;
  find_lost(now, news);
  tidy();
  waits_since_ = in_flight_ == 0 ? never : now;
  return news;
}

void Recovery::note_round_trip(Duration sample) {
  latest_ = sample;
  if (!std::exchange(has_measured_, true)) {
    smoothed_ = sample;
    variation_ = sample / 2;
    return;
  }
  const Duration off = sample > smoothed_ ? sample - smoothed_ : smoothed_ - sample;
  variation_ = (variation_ * 3 + off) / 4;
  smoothed_ = (smoothed_ * 7 + sample) / 8;
}

void Recovery::grow(std::size_t bytes) {
  window_ += window_ < slow_start_until_ ? bytes : limits::stream_turn_bytes_max * bytes / window_;
  window_ = std::min(window_, window_max);
}

// §6.1: lost is what three later ones have overtaken, or what is late beside one later one.
void Recovery::find_lost(TimePoint now, News& news) {
  loss_at_ = never;
  if (!has_acknowledged_) return;
  TimePoint latest_lost = TimePoint::min();
  for (std::size_t i = 0; i < packets_.size(); ++i) {
    Packet& packet = packets_[i];
    const std::int32_t behind = later_by(largest_, first() + static_cast<std::uint32_t>(i));
    if (behind <= 0) break;
    if (packet.is_done) continue;
    if (behind >= static_cast<std::int32_t>(reordering_max) || packet.at + loss_delay() <= now) {
      latest_lost = packet.at;
      give_up(packet, news);
    } else {
      loss_at_ = std::min(loss_at_, packet.at + loss_delay());
    }
  }
  if (latest_lost != TimePoint::min()) shrink(latest_lost, now);
}

void Recovery::give_up(Packet& packet, News& news) {
  packet.is_done = true;
  --in_flight_;
  in_flight_bytes_ -= packet.bytes;
  ++news.packets_lost;
  std::ranges::move(packet.said, std::back_inserter(news.lost));
  packet.said.clear();
}

// §7.3.2: once for all that was lost in one round trip.
void Recovery::shrink(TimePoint sent_at, TimePoint now) {
  if (sent_at <= recovery_since_) return;
  recovery_since_ = now;
  window_ = std::max(window_ / 2, window_min);
  slow_start_until_ = window_;
}

Recovery::News Recovery::wake(TimePoint now) {
  News news;
  if (now >= loss_at_) {
    find_lost(now, news);
    tidy();
    return news;
  }
  if (in_flight_ == 0 || now < last_sent_ + probe_delay()) return news;
  ++probes_;
  news.is_probe = true;
  // §6.2.4: the first time the oldest goes again; then the way is gone, with all that was on it.
  for (Packet& packet : packets_) {
    if (packet.is_done) continue;
    give_up(packet, news);
    if (probes_ == 1) break;
  }
  if (probes_ > 1) {
    window_ = window_min;  // §7.6.2
    recovery_since_ = now;
  }
  allowance_ = 1;
  last_sent_ = now;
  tidy();
  return news;
}

void Recovery::tidy() {
  while (!packets_.empty() && packets_.front().is_done) packets_.pop_front();
}

TimePoint Recovery::next_wake() const {
  if (in_flight_ == 0) return loss_at_;
  return std::min(loss_at_, last_sent_ + probe_delay());
}

void Recovery::forget() {
  packets_.clear();
  in_flight_ = in_flight_bytes_ = 0;
  loss_at_ = waits_since_ = never;
  probes_ = allowance_ = 0;
}

Duration Recovery::loss_delay() const {
  return std::max(std::max(latest_, smoothed_) * 9 / 8, granularity);
}

Duration Recovery::probe_delay() const {
  const Duration once = smoothed_ + std::max(variation_ * 4, granularity) + ack_delay_max;
  return std::min(once * (1 << std::min(probes_, 10)), probe_after_max);
}

bool Arrivals::note(std::uint32_t epoch, std::uint32_t number) {
  ++owed_;
  if (!has_any_ || epoch != seen_.epoch) {
    seen_ = {.epoch = epoch, .largest = number, .before = 0};
    return std::exchange(has_any_, true) || number != 0;
  }
  const std::int32_t by = later_by(number, seen_.largest);
  if (by > 0) {
    // The largest so far becomes bit `by` - 1.
    seen_.before = by > 64    ? 0
                   : by == 64 ? std::uint64_t{1} << 63
                              : seen_.before << by | std::uint64_t{1} << (by - 1);
    seen_.largest = number;
  } else if (by < 0 && by >= -64) {
    seen_.before |= std::uint64_t{1} << (-by - 1);
  }
  return owed_ >= 2 || by != 1;
}

StreamAck Arrivals::acknowledge() {
  owed_ = 0;
  return seen_;
}

}  // namespace peer_relay
