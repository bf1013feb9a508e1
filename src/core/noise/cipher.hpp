// SPDX-License-Identifier: MIT
//
// What a handshake leaves behind (Noise §5.1): a key for each direction. Links are ordered, so a
// Cipher counts by itself; sessions are not, so they hold the Key and say each counter. Nothing
// here allocates. Unlike Noise we have no rekey: sessions make new keys by a new handshake.
#pragma once

#include <cstdint>
#include <expected>
#include <limits>
#include <utility>

#include "core/crypto/crypto.hpp"
#include "core/noise/noise_error.hpp"
#include "core/noise/secret.hpp"

namespace peer_relay::noise {

/// The one counter that is never used (Noise §5.1).
inline constexpr std::uint64_t counter_reserved = std::numeric_limits<std::uint64_t>::max();

/// A key of one direction; the caller sees to it that no counter seals twice. One that was moved
/// from, or never made, is of no use: nothing is sealed with a key of zeros by mistake.
class Key {
 public:
  Key() = default;
  explicit Key(const SymmetricKey& key) : key_(key) {}

  /// Seals `plain` into the front of `out`, which has room for plain.size() + tag_bytes and may
  /// start where `plain` does. Returns the part of `out` that was written.
  std::expected<MutableBytes, NoiseError> seal(std::uint64_t counter, BytesView associated,
                                               BytesView plain, MutableBytes out,
                                               Crypto& crypto) const;

  /// Opens `sealed` into the front of `out`, which has room for all but the tag and may start where
  /// `sealed` does. Returns the plain part of `out`; after an error there is nothing to be read in
  /// it, and what was opened in place is lost.
  std::expected<MutableBytes, NoiseError> open(std::uint64_t counter, BytesView associated,
                                               BytesView sealed, MutableBytes out,
                                               Crypto& crypto) const;

 private:
  Secret<32> key_;
};

/// A key and the counter of its next message. A failed call leaves the counter where it was.
class Cipher {
 public:
  Cipher() = default;
  explicit Cipher(Key key, std::uint64_t counter = 0) : key_(std::move(key)), counter_(counter) {}

  std::expected<MutableBytes, NoiseError> seal(BytesView associated, BytesView plain,
                                               MutableBytes out, Crypto& crypto);
  std::expected<MutableBytes, NoiseError> open(BytesView associated, BytesView sealed,
                                               MutableBytes out, Crypto& crypto);

  std::uint64_t counter() const { return counter_; }

  /// The key alone, for whoever counts in another way. The cipher is of no more use.
  Key take_key() && { return std::move(key_); }

 private:
  Key key_;
  std::uint64_t counter_ = 0;
};

}  // namespace peer_relay::noise
