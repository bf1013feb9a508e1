// SPDX-License-Identifier: MIT
#include "sender.hpp"

#include <algorithm>
#include <utility>

namespace peer_relay::app {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// Then the loop hears signals and results, before it goes on.
constexpr std::uint64_t sends_per_turn = 256;

/// About what an envelope and its seals add to a payload.
constexpr std::size_t envelope_bytes = 128;

/// Our own node's queues are full: about what a link writes in this time makes room again.
constexpr Duration full_pause = 1ms;

/// A part of what a link queues, so that there is room for a turn.
constexpr std::size_t ahead_bytes_max = limits::link_queue_bytes_max / 4;

std::string loss_of(const SendResult& result) {
  const bool has_reason = result.outcome == SendResult::Outcome::unreachable;
  return std::string{has_reason ? name_of(result.reason) : name_of(result.outcome)};
}

}  // namespace

std::uint64_t Tally::lost_count() const {
  std::uint64_t count = 0;
  for (const auto& [reason, lost_for_it] : lost) count += lost_for_it;
  return count;
}

Sender::Sender(Loop& loop, Node& node, Load load)
    : loop_{loop}, node_{node}, load_{std::move(load)} {}

void Sender::begin() {
  if (!load_.best_effort || load_.count == 1) return start();
  // Only so many messages wait for a session; with it open from the start none is lost for that.
  const auto opened = [this, loop = &loop_](const SendResult&) { loop->post([this] { start(); }); };
  node_.send(load_.to, Payload{}, {.timeout = load_.timeout, .probe = true}, opened);
}

void Sender::start() {
  started_ = next_ = Clock::now();
  pump();
}

void Sender::pump() {
  if (stopped_) return;
  tally_.elapsed = std::chrono::duration_cast<Duration>(Clock::now() - started_);
  if (is_ahead()) return pump_in(full_pause);
  const auto turn_bytes_max = limits::link_queue_bytes_max / 2;
  const std::uint64_t sends = std::clamp<std::uint64_t>(
      turn_bytes_max / (load_.payload.bytes.size() + envelope_bytes), 1, sends_per_turn);
  for (std::uint64_t i = 0; i < sends && may_send(); ++i) {
    const auto now = Clock::now();
    if (now < next_) return pump_in(std::chrono::ceil<Duration>(next_ - now));
    if (!send_one()) return pump_in(full_pause);
    next_ += load_.interval;
  }
  if (may_send()) pump_in(Duration{});
  if (tally_.sent == load_.count && in_flight_ == 0) loop_.stop(0);
}

/// Best effort has no window, and what our own link can't take in time would be dropped here.
bool Sender::is_ahead() const {
  return load_.best_effort && load_.count > 1 && node_.stats().queued_bytes > ahead_bytes_max;
}

bool Sender::may_send() const {
  return !tally_.refused && tally_.sent < load_.count &&
         (load_.best_effort || in_flight_ < load_.window);
}

bool Sender::send_one() {
  if (load_.best_effort) return send_best_effort();
  send_acknowledged();
  return true;
}

void Sender::send_acknowledged() {
  ++tally_.sent;
  ++in_flight_;
  // The node may outlive us, the loop outlives both.
  const auto done = [this, loop = &loop_](const SendResult& result) {
    loop->post([this, result] { ended(result); });
  };
  node_.send(load_.to, load_.payload, {.timeout = load_.timeout}, done);
}

bool Sender::send_best_effort() {
  const auto sent = node_.send(load_.to, load_.payload);
  if (sent) {
    ++tally_.sent;
  } else if (sent.error() != Error::queue_full) {
    refused(sent.error());
  }
  return sent.has_value();
}

void Sender::ended(const SendResult& result) {
  if (stopped_) return;
  --in_flight_;
  if (result.outcome == SendResult::Outcome::refused) {
    --tally_.sent;
    return result.error == Error::queue_full ? pump_in(full_pause) : refused(result.error);
  }
  ++tally_.ended;
  tally_.last = result;
  if (result.delivered()) {
    ++tally_.delivered;
    tally_.round_trips.add(result.round_trip);
  } else if (result.outcome == SendResult::Outcome::unconfirmed) {
    ++tally_.unconfirmed;
  } else {
    ++tally_.lost[loss_of(result)];
  }
  pump();
}

void Sender::refused(Error error) {
  tally_.refused = error;
  loop_.stop(0);
}

void Sender::pump_in(Duration delay) {
  if (std::exchange(pump_planned_, true)) return;
  loop_.after(delay, [this] {
    pump_planned_ = false;
    pump();
  });
}

}  // namespace peer_relay::app
