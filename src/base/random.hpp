// SPDX-License-Identifier: MIT
//
// Chance for decisions that need no secrecy: which contact to ask, how long to wait. Handed down
// and split, so that one room's extra draw does not shift another's. Secrets come from the crypto
// port instead.
#pragma once

#include <array>
#include <cstdint>

#include "base/assert.hpp"
#include "peer_relay/node_id.hpp"
#include "peer_relay/time.hpp"

namespace peer_relay {

/// xoshiro256** (Blackman and Vigna 2018), seeded by splitmix64: the same on every platform.
class Random {
 public:
  explicit Random(std::uint64_t seed) {
    for (std::uint64_t& word : state_) word = splitmix(seed);
  }

  std::uint64_t next() {
    const std::uint64_t out = rotate(state_[1] * 5, 7) * 9;
    const std::uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate(state_[3], 45);
    return out;
  }

  /// 0 to bound - 1; the bias is below 2^-32 for the bounds we use.
  std::uint64_t below(std::uint64_t bound) {
    PEER_RELAY_ASSERT(bound > 0);
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
  }

  /// Between low and high, both included.
  Duration between(Duration low, Duration high) {
    PEER_RELAY_ASSERT(low <= high);
    return low + Duration{static_cast<Duration::rep>(
                     below(static_cast<std::uint64_t>((high - low).count()) + 1))};
  }

  NodeId id() {
    NodeId out;
    for (std::uint8_t& byte : out.bytes) byte = static_cast<std::uint8_t>(next() >> 56);
    return out;
  }

  /// A generator of its own for another room.
  Random split() { return Random{next()}; }

 private:
  static std::uint64_t rotate(std::uint64_t x, int by) { return x << by | x >> (64 - by); }
  static std::uint64_t splitmix(std::uint64_t& x) {
    std::uint64_t z = x += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  std::array<std::uint64_t, 4> state_{};
};

}  // namespace peer_relay
