// SPDX-License-Identifier: MIT
#pragma once

#include "base/random.hpp"
#include "peer_relay/bytes.hpp"

namespace peer_relay::sim {

/// What the crypto ports of a world draw from: a stream of the node's whose turn it is, so that
/// what one node draws shifts no other's.
class Entropy {
 public:
  Entropy() = default;
  /// One stream for all.
  explicit Entropy(std::uint64_t seed) : own_(seed) {}

  /// `stream` outlives its turn.
  void set_turn(Random& stream) { turn_ = &stream; }
  void fill(MutableBytes out) {
    Random& stream = turn_ != nullptr ? *turn_ : own_;
    for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(stream.next() >> 56);
  }

 private:
  Random own_{0};
  Random* turn_ = nullptr;
};

}  // namespace peer_relay::sim
