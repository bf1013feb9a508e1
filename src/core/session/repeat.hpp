// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/wire/envelope.hpp"
#include "peer_relay/bytes.hpp"
#include "peer_relay/limits.hpp"
#include "peer_relay/reasons.hpp"
#include "peer_relay/time.hpp"

namespace peer_relay {

/// A handshake message of ours that is sent again, by two other paths each time and after a longer
/// pause, until it is answered or its time is up.
class Repeat {
 public:
  Repeat(EnvelopeKind kind, Bytes body, TimePoint now)
      : kind_(kind),
        body_(std::move(body)),
        deadline_(now + limits::session_handshake_timeout),
        next_(now) {}

  /// Counts a transmission under this tag; says which it is, from 0.
  std::uint8_t note_sent(std::uint32_t tag, TimePoint now) {
    tags_.push_back(tag);
    sent_ = now;
    next_ = std::min(deadline_, now + pause_);
    reason_ = UnreachableReason::none;
    return static_cast<std::uint8_t>(tags_.size() - 1);
  }

  /// Nothing came back in time: the next pause is longer.
  void back_off() { pause_ = pause_ * 3 / 2; }

  /// The time for the whole goes on; the bytes are others.
  void replace(Bytes body) { body_ = std::move(body); }

  void turned_back(UnreachableReason reason, const NodeId& where) {
    reason_ = reason;
    where_ = where;
  }

  EnvelopeKind kind() const { return kind_; }
  const Bytes& body() const { return body_; }
  bool is_due(TimePoint now) const { return now >= next_; }
  bool is_over(TimePoint now) const { return now >= deadline_; }
  TimePoint next() const { return next_; }
  TimePoint sent() const { return sent_; }

  /// Of all transmissions so far: a handful, as the pauses double and notices are few.
  const std::vector<std::uint32_t>& tags() const { return tags_; }

  /// From now on transmissions are careful.
  void take_care() { careful_from_ = std::min(careful_from_, tags_.size()); }
  bool is_careful() const { return tags_.size() >= careful_from_; }
  /// Whether the one with this tag was.
  bool was_careful(std::uint32_t tag) const {
    return static_cast<std::size_t>(std::ranges::find(tags_, tag) - tags_.begin()) >= careful_from_;
  }

  bool has_tag(std::uint32_t tag) const { return std::ranges::find(tags_, tag) != tags_.end(); }

  /// Why a transmission came back, and none was sent since; else `none`.
  UnreachableReason reason() const { return reason_; }
  const NodeId& where() const { return where_; }

  std::uint8_t notices = 0;  ///< transmissions that found no way, and count

 private:
  EnvelopeKind kind_;
  Bytes body_;
  TimePoint deadline_;
  TimePoint next_;
  TimePoint sent_{};
  Duration pause_ = limits::session_handshake_retry;
  std::vector<std::uint32_t> tags_;
  std::size_t careful_from_ = std::numeric_limits<std::size_t>::max();
  UnreachableReason reason_ = UnreachableReason::none;
  NodeId where_{};
};

}  // namespace peer_relay
