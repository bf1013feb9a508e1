// SPDX-License-Identifier: MIT
//
// Sending. What comes in is in delivery_receive.cpp.
#include "core/delivery/delivery.hpp"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "base/assert.hpp"

namespace peer_relay {

namespace {

using Outcome = SendResult::Outcome;

/// Whether a while later it may be over, without another path.
bool passes(UnreachableReason reason) {
  return reason == UnreachableReason::queue_full || reason == UnreachableReason::rate_limited ||
         reason == UnreachableReason::no_links;
}

}  // namespace

Bytes content_for_sealing(const Content& content) {
  Bytes out;
  out.reserve(session_data_header_bytes + content_header_bytes_max + content.payload.size() +
              session_tag_bytes);
  out.resize(session_data_header_bytes);
  encode_content(content, out);
  return out;
}

Delivery::Delivery(Random random, std::uint32_t epoch) : random_(random), next_epoch_(epoch) {}

// ---- Best effort --------------------------------------------------------------------------------

MessageId Delivery::send(const NodeId& to, Payload payload, TimePoint now, Outbox& out) {
  PEER_RELAY_ASSERT(payload.bytes.size() <= limits::payload_bytes_max);
  Bytes content = content_for_sealing(
      {.kind = ContentKind::data, .type = payload.type, .payload = payload.bytes});
  if (connected_) {
    out.wish(SealWish{.to = to, .content = std::move(content)});
  } else {
    if (unsent_.size() >= unsent_max || !has_room_for(content.size())) {
      out.drop(DropReason::waiting_full);
      return 0;
    }
    held_bytes_ += content.size();
    unsent_.push(
        {.to = to, .content = std::move(content), .expires = now + limits::acknowledged_timeout});
  }
  ++out.stats().messages_sent;
  return ++last_message_;
}

void Delivery::release_unsent(TimePoint now, Outbox& out) {
  expire_unsent(now, out);
  while (!unsent_.empty()) {
    Unsent& unsent = unsent_.front();
    held_bytes_ -= unsent.content.size();
    out.wish(SealWish{.to = unsent.to, .content = std::move(unsent.content)});
    unsent_.pop();
  }
}

void Delivery::expire_unsent(TimePoint now, Outbox& out) {
  while (!unsent_.empty() && unsent_.front().expires <= now) {
    held_bytes_ -= unsent_.front().content.size();
    unsent_.pop();
    out.drop(DropReason::expired);
  }
}

bool Delivery::has_room_for(std::size_t bytes) const {
  return held_bytes_ + bytes <= limits::waiting_bytes_max;
}

// ---- Acknowledged -------------------------------------------------------------------------------

MessageId Delivery::send(const NodeId& to, Payload payload, Promise promise, TimePoint now,
                         Outbox& out) {
  PEER_RELAY_ASSERT(payload.bytes.size() <= limits::payload_bytes_max);
  return begin(to,
               {.kind = promise.probe ? ContentKind::probe : ContentKind::data_acked,
                .type = payload.type,
                .payload = payload.bytes},
               promise.probe ? Rider::probe : Rider::message, 0, promise.timeout, now, out);
}

void Delivery::send(const SignalWish& signal, TimePoint now, Outbox& out) {
  begin(signal.to, {.kind = ContentKind::signal, .payload = signal.body}, Rider::signal,
        signal.token, limits::offer_timeout, now, out);
}

MessageId Delivery::begin(const NodeId& to, Content content, Rider rider, std::uint64_t token,
                          Duration timeout, TimePoint now, Outbox& out) {
  const MessageId message = ++last_message_;
  const std::size_t bytes =
      session_data_header_bytes + content_header_bytes_max + content.payload.size();
  if (sends_.size() >= limits::acknowledged_max || !has_room_for(bytes)) {
    const Send refused{.rider = rider, .token = token};
    tell_end(message, refused, {.outcome = Outcome::refused, .error = Error::queue_full}, out);
    return message;
  }

  Target& target = busy_target(to);
  content.epoch = target.epoch;
  content.sequence = target.sequence++;
  if (target.sequence == 0) target.epoch = next_epoch_++;  // all numbers were used
  Send& send = sends_[message];
  send.to = to;
  send.content = content_for_sealing(content);
  send.asked = now;
  send.deadline = timeout < never - now ? now + timeout : never;
  send.epoch = content.epoch;
  send.sequence = content.sequence;
  send.rider = rider;
  send.token = token;
  numbers_[number_of(send)] = message;
  held_bytes_ += send.content.size();
  ++target.unfinished;
  target.queued.push(message);
  if (rider == Rider::message) ++out.stats().messages_sent;

  arm(message, send, now);
  begin_queued(to, now, out);
  return message;
}

/// The target's record, with its count, whether it was forgotten, idle or in use.
Delivery::Target& Delivery::busy_target(const NodeId& id) {
  const auto at = targets_.find(id);
  if (at != targets_.end()) return at->second;
  Target* const idle = idle_targets_.find(id);
  if (!idle) return targets_.emplace(id, Target{.epoch = next_epoch_++}).first->second;
  Target& target = targets_.emplace(id, std::move(*idle)).first->second;
  idle_targets_.erase(id);
  return target;
}

/// Begins those whose turn it is, in order.
void Delivery::begin_queued(const NodeId& to, TimePoint now, Outbox& out) {
  Target& target = targets_.at(to);
  if (target.queued.size() > 2 * target.unfinished + 16) skip_finished(target);
  while (!target.queued.empty()) {
    const MessageId message = target.queued.front();
    const auto at = sends_.find(message);
    if (at != sends_.end()) {
      if (!may_leave(at->second) || !may_begin(target, at->second)) return;
      Send& send = at->second;
      target.in_flight_bytes += send.content.size();
      target.in_order.push({.epoch = send.epoch, .sequence = send.sequence, .message = message});
      hand_over(message, send, now, out);
    }
    target.queued.pop();
  }
}

/// So that the queue stays short also while nothing can begin.
void Delivery::skip_finished(Target& target) {
  for (std::size_t count = target.queued.size(); count > 0; --count) {
    const MessageId message = target.queued.pop();
    if (sends_.contains(message)) target.queued.push(message);
  }
}

// Signals are how a node that nobody can dial comes to be joined.
bool Delivery::may_leave(const Send& send) const {
  return connected_ || send.rider == Rider::signal;
}

bool Delivery::may_begin(Target& target, const Send& send) {
  while (!target.in_order.empty() && !sends_.contains(target.in_order.front().message)) {
    target.in_order.pop();
  }
  if (target.in_order.empty()) return true;
  const Numbered& oldest = target.in_order.front();
  // A receiver keeps two epochs apart, so a new one begins a window of its own.
  const bool is_in_window =
      oldest.epoch != send.epoch || send.sequence - oldest.sequence < in_flight_max;
  return is_in_window && target.in_flight_bytes + send.content.size() <= in_flight_bytes_max;
}

void Delivery::hand_over(MessageId message, Send& send, TimePoint now, Outbox& out) {
  send.stage = Stage::handed;
  send.due = never;
  send.handed = now;
  Bytes content;
  content.reserve(send.content.size() + session_tag_bytes);
  content.assign(send.content.begin(), send.content.end());
  out.wish(SealWish{.to = send.to,
                    .content = std::move(content),
                    .token = message,
                    .attempt = send.attempts,
                    .careful = send.careful});
}

void Delivery::handle(const ContentLeft& left, TimePoint now, Outbox& out) {
  const auto at = sends_.find(left.token);
  if (at == sends_.end() || at->second.stage != Stage::handed) return;
  Send& send = at->second;
  if (send.attempts > 0 && send.rider == Rider::message) ++out.stats().resent;
  if (send.attempts < std::numeric_limits<std::uint8_t>::max()) ++send.attempts;
  send.reason = UnreachableReason::none;
  send.rode_handshake = left.tag == 0;
  send.left = send.rode_handshake ? send.handed : now;
  if (!send.rode_handshake) note_tag(left.token, send, left.tag);
  send.stage = Stage::flying;
  send.due = now + patience(send);
  arm(left.token, send, now);
}

/// Until the next try, with some jitter, so that what was lost together does not come back
/// together.
Duration Delivery::patience(const Send& send) {
  Duration wait = targets_.at(send.to).round_trip.patience();
  for (int i = 1; i < send.attempts && wait < limits::resend_after_max; ++i) wait *= 2;
  wait = std::min(wait, limits::resend_after_max);
  return wait + random_.between(Duration{}, wait / 8);
}

void Delivery::handle(const ContentFailed& failed, TimePoint now, Outbox& out) {
  const auto at = sends_.find(failed.token);
  if (at == sends_.end() || at->second.stage != Stage::handed) return;
  Send& send = at->second;
  send.is_refused = failed.outcome == Outcome::refused;
  const bool is_unreachable = failed.outcome == Outcome::unreachable;
  send.reason = is_unreachable ? failed.reason : UnreachableReason::none;
  send.where = failed.where;
  if (is_unreachable && !passes(failed.reason) && send.rider != Rider::signal) {
    return finish_unreachable(failed.token, send, now, out);
  }
  pause(failed.token, send, now);
}

void Delivery::pause(MessageId message, Send& send, TimePoint now) {
  send.stage = Stage::pausing;
  send.due = now + patience(send);
  arm(message, send, now);
}

bool Delivery::unreachable(std::uint32_t tag, UnreachableReason reason, const NodeId& where,
                           bool plausible, TimePoint now, Outbox& out) {
  const auto named = tags_.find(tag);
  if (named == tags_.end()) return false;
  const MessageId message = named->second;
  tags_.erase(named);  // one notice for each try
  Send& send = sends_.at(message);
  const bool is_latest = send.tags.front() == tag && send.stage == Stage::flying;
  std::ranges::replace(send.tags, tag, 0u);
  if (is_latest) {
    send.reason = reason;
    send.where = where;
  }
  if (passes(reason)) return true;  // it goes again when it is due

  // A notice is a hint: only of a node that never spoke to us the first one is the last word.
  const bool is_stranger = !targets_.at(send.to).has_acknowledged;
  const bool is_last_word = plausible && is_stranger && is_latest && send.careful &&
                            reason == UnreachableReason::dead_end;
  // Who is signalled to may be new, and not to be found before a second has passed.
  if (send.rider == Rider::signal) {
    if (!is_latest) return true;
    send.careful = true;
    if (++send.notices <= 1) {
      resend(message, send, now, out);
    } else {
      pause(message, send, now);
    }
  } else if (is_last_word || ++send.notices >= notices_max) {
    send.reason = reason;
    send.where = where;
    finish_unreachable(message, send, now, out);
  } else if (is_latest) {
    send.careful = true;
    resend(message, send, now, out);
  }
  return true;
}

void Delivery::note_tag(MessageId message, Send& send, std::uint32_t tag) {
  if (send.tags.back() != 0) tags_.erase(send.tags.back());
  std::ranges::rotate(send.tags, send.tags.end() - 1);
  send.tags.front() = tag;
  tags_[tag] = message;
}

void Delivery::resend(MessageId message, Send& send, TimePoint now, Outbox& out) {
  if (may_leave(send)) return hand_over(message, send, now, out);
  send.stage = Stage::paused;
  send.due = never;
  paused_.push(message);
}

// ---- Ends ---------------------------------------------------------------------------------------

/// The time is up: what was heard last says why.
void Delivery::expire(MessageId message, const Send& send, TimePoint now, Outbox& out) {
  SendResult result{.outcome = Outcome::timed_out};
  if (!connected_) {
    result = {.outcome = Outcome::unreachable, .reason = UnreachableReason::no_links};
  } else if (send.reason != UnreachableReason::none) {
    result = {.outcome = Outcome::unreachable, .reason = send.reason, .where = send.where};
  } else if (send.attempts == 0 && send.is_refused) {
    result = {.outcome = Outcome::refused, .error = Error::queue_full};
  }
  finish(message, result, now, out);
}

void Delivery::finish_unreachable(MessageId message, const Send& send, TimePoint now, Outbox& out) {
  finish(message, {.outcome = Outcome::unreachable, .reason = send.reason, .where = send.where},
         now, out);
}

void Delivery::finish(MessageId message, SendResult result, TimePoint now, Outbox& out) {
  const auto at = sends_.find(message);
  PEER_RELAY_ASSERT(at != sends_.end());
  const Send send = std::move(at->second);
  sends_.erase(at);
  numbers_.erase(number_of(send));
  for (const std::uint32_t tag : send.tags) tags_.erase(tag);
  held_bytes_ -= send.content.size();

  result.elapsed = now - send.asked;
  // An acknowledgement can overtake the word that its content left.
  result.attempts = std::max<int>(send.attempts, result.delivered() ? 1 : 0);
  tell_end(message, send, result, out);

  Target& target = targets_.at(send.to);
  if (send.stage != Stage::queued) target.in_flight_bytes -= send.content.size();
  begin_queued(send.to, now, out);
  if (--target.unfinished == 0) retire(send.to);
}

void Delivery::tell_end(MessageId message, const Send& send, const SendResult& result,
                        Outbox& out) {
  if (send.rider == Rider::message) count(result.outcome, out.stats());
  if (send.rider != Rider::signal) {
    out.notify(NotifyWish::SendDone{.message = message, .result = result});
  } else if (send.token != 0) {
    out.wish(SignalDone{.token = send.token, .arrived = result.delivered()});
  }
}

void Delivery::count(Outcome outcome, Stats& stats) {
  if (outcome == Outcome::delivered) ++stats.acknowledged;
  if (outcome == Outcome::unreachable) ++stats.unreachable;
  if (outcome == Outcome::timed_out) ++stats.timed_out;
}

void Delivery::retire(const NodeId& to) {
  auto idle = targets_.extract(to);
  idle.mapped().queued = {};
  idle.mapped().in_order = {};
  idle_targets_.insert(to, std::move(idle.mapped()));
}

void Delivery::abandon_all(TimePoint now, Outbox& out) {
  connected_ = false;  // nothing begins in the place of what ends
  std::vector<MessageId> messages;
  for (const auto& [message, send] : sends_) messages.push_back(message);
  std::ranges::sort(messages);
  for (const MessageId message : messages) {
    finish(message, {.outcome = Outcome::refused, .error = Error::closed}, now, out);
  }
  for (; !unsent_.empty(); unsent_.pop()) {
    held_bytes_ -= unsent_.front().content.size();
    out.drop(DropReason::expired);
  }
}

// ---- Time ---------------------------------------------------------------------------------------

void Delivery::set_connected(bool connected, TimePoint now, Outbox& out) {
  if (connected == connected_) return;
  connected_ = connected;
  if (!connected) return;
  release_unsent(now, out);
  for (std::size_t count = paused_.size(); count > 0; --count) {
    const MessageId message = paused_.pop();
    const auto at = sends_.find(message);
    if (at != sends_.end()) hand_over(message, at->second, now, out);
  }
  std::vector<NodeId> targets;
  for (const auto& [id, target] : targets_) {
    if (!target.queued.empty()) targets.push_back(id);
  }
  std::ranges::sort(targets);
  for (const NodeId& id : targets) begin_queued(id, now, out);
}

/// Sets a timer for what is next, unless an earlier one will look anyway. Most messages are done
/// within a second, so nobody waits for a far deadline at once.
void Delivery::arm(MessageId message, Send& send, TimePoint now) {
  using namespace std::chrono_literals;
  const TimePoint next = std::min({send.deadline, send.due, now + 1s});
  if (send.armed <= next) return;
  send.armed = next;
  timers_.arm(next, message);
}

void Delivery::attend(MessageId message, TimePoint now, Outbox& out) {
  const auto at = sends_.find(message);
  if (at == sends_.end()) return;
  Send& send = at->second;
  if (send.armed <= now) send.armed = never;
  if (now >= send.deadline) return expire(message, send, now, out);
  if (now >= send.due) resend(message, send, now, out);
  arm(message, send, now);
}

void Delivery::wake(TimePoint now, Outbox& out) {
  expire_unsent(now, out);
  while (const auto message = timers_.pop_due(now)) attend(*message, now, out);
}

TimePoint Delivery::next_wake() const {
  const TimePoint unsent = unsent_.empty() ? never : unsent_.front().expires;
  return std::min(timers_.next(), unsent);
}

}  // namespace peer_relay
