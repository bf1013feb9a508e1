// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <expected>

#include "base/replay_window.hpp"
#include "core/noise/handshake.hpp"
#include "core/wire/sealed.hpp"
#include "peer_relay/limits.hpp"
#include "peer_relay/reasons.hpp"

namespace peer_relay {

/// What one handshake leaves: a key for each direction, the numbers by which the two ends name
/// them, and what was sent and seen under them. Keys age: for a while they seal and open, then they
/// seal and want a successor, then they open only, then they are dead.
class SessionKeys {
 public:
  struct Origin {
    std::uint32_t own_index = 0;    ///< names these keys in what comes to us
    std::uint32_t their_index = 0;  ///< names them in what we send
    bool opened_by_us = false;
  };

  SessionKeys(noise::Ciphers ciphers, Origin origin, TimePoint now);

  /// Makes a content behind session_data_header_bytes of room the body of a SESSION_DATA, in place.
  /// `scratch` saves an allocation; what it holds is lost.
  void seal(Bytes& content, Bytes& scratch, Crypto& crypto);

  /// Opens the seal in place, with keys that are not dead. What is not to be taken: replayed or
  /// seal_broken.
  std::expected<MutableBytes, DropReason> open(std::uint64_t counter, MutableBytes sealed,
                                               TimePoint now, Crypto& crypto);

  /// Whether the other end still opens what is sealed now, even if it is long on its way.
  bool may_seal(TimePoint now) const;
  bool wants_successor(std::uint64_t messages_max, TimePoint now) const;
  bool is_dead(TimePoint now) const { return now - made_ >= limits::session_reject_after; }

  std::uint32_t own_index() const { return origin_.own_index; }
  std::uint32_t their_index() const { return origin_.their_index; }
  bool opened_by_us() const { return origin_.opened_by_us; }
  TimePoint made() const { return made_; }
  std::uint64_t sealed_count() const { return counter_; }

 private:
  noise::Key send_;
  noise::Key receive_;
  std::uint64_t counter_ = 0;
  ReplayWindow seen_;
  TimePoint made_;
  Origin origin_;
};

}  // namespace peer_relay
