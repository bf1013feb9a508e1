// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>

#include "sodium/sodium_crypto.hpp"

namespace peer_relay {

/// Real cryptography with the same entropy for the same seed: for tests, fuzzers and simulated
/// worlds. Its secrets are known to whoever knows the seed.
class DeterministicCrypto final : public SodiumCrypto {
 public:
  explicit DeterministicCrypto(std::uint64_t seed);

  void random(MutableBytes out) override;

 private:
  std::array<std::uint8_t, 32> key_;
  std::uint64_t draws_ = 0;
};

}  // namespace peer_relay
