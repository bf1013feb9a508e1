// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <unordered_set>

#include "base/ring.hpp"
#include "core/crypto/crypto.hpp"
#include "peer_relay/limits.hpp"
#include "peer_relay/time.hpp"

namespace peer_relay {

/// Tells one handshake message from another.
struct MessageHash {
  std::array<std::uint8_t, 16> bytes{};
  bool operator==(const MessageHash&) const = default;

  static MessageHash of(BytesView message, Crypto& crypto);

  struct Hasher {
    std::size_t operator()(const MessageHash& hash) const noexcept {
      std::size_t word = 0;
      std::memcpy(&word, hash.bytes.data(), sizeof word);
      return word;
    }
  };
};

/// Tells a first message that was sent just now from one that somebody kept and sends again: single
/// use within a time window, and nothing from before our own start, of which we remember nothing
/// (RFC 8446 §8.2 and §8.3).
class EarlyData {
 public:
  EarlyData(std::int64_t unix_ms_at_zero, TimePoint started)
      : unix_ms_at_zero_(unix_ms_at_zero), started_(started) {}

  /// Our clock, as a handshake payload says it.
  std::uint64_t unix_ms(TimePoint now) const;

  /// Whether a message of that time stamp is certainly new. If so it is not from now on. While as
  /// many are remembered as we can, none is certain.
  bool take(const MessageHash& message, std::uint64_t unix_ms, TimePoint now);

  bool has_seen(const MessageHash& message) const { return seen_.contains(message); }

  std::size_t size() const { return seen_.size(); }

 private:
  struct Seen {
    MessageHash message;
    TimePoint forget{};
  };
  void forget_old(TimePoint now);

  std::int64_t unix_ms_at_zero_;
  TimePoint started_;
  std::unordered_set<MessageHash, MessageHash::Hasher> seen_;
  Ring<Seen> order_;  // all are kept equally long, so the front goes first
};

}  // namespace peer_relay
