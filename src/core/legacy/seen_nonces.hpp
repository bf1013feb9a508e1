// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace peer_relay::legacy {

/// Remembers the nonces of the last `generation` messages at least, and of twice as many at most,
/// in memory that does not grow. What is forgotten may pass again; but no relay sends a message to
/// one whose id is in its path, so it can't run in circles.
class SeenNonces {
 public:
  /// Hashes begin with `key`, so that nobody can choose nonces that look alike to us.
  explicit SeenNonces(std::uint64_t key) : key_(key) {}

  /// False if it was there already.
  bool insert(std::string_view nonce) {
    const std::uint64_t hash = hash_of(nonce);
    if (contains(younger_, hash) || contains(older_, hash)) return false;
    if (younger_.empty()) younger_.resize(slots);
    if (count_ == generation) {
      std::swap(younger_, older_);
      younger_.assign(slots, 0);
      count_ = 0;
    }
    place(younger_, hash) = hash;
    ++count_;
    return true;
  }

  static constexpr std::size_t generation = 1 << 16;  ///< seconds of a relay that is busy

 private:
  using Slots = std::vector<std::uint64_t>;  // open addressing; 0 is empty
  static constexpr std::size_t slots = 2 * generation;

  static std::uint64_t& place(Slots& in, std::uint64_t hash) {
    std::size_t at = hash % slots;
    while (in[at] != 0 && in[at] != hash) at = (at + 1) % slots;
    return in[at];
  }

  static bool contains(Slots& in, std::uint64_t hash) {
    return !in.empty() && place(in, hash) == hash;
  }

  std::uint64_t hash_of(std::string_view nonce) const {
    std::uint64_t hash = key_;
    for (const char c : nonce) {
      hash = (hash ^ static_cast<unsigned char>(c)) * 0x9e3779b97f4a7c15;
      hash ^= hash >> 29;
    }
    return hash == 0 ? 1 : hash;
  }

  std::uint64_t key_;
  std::size_t count_ = 0;
  Slots younger_;
  Slots older_;
};

}  // namespace peer_relay::legacy
