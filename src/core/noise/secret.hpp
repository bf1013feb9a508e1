// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/assert.hpp"
#include "core/crypto/crypto.hpp"

namespace peer_relay::noise {

/// Bytes that leave no trace: overwritten when their owner goes, and where they were moved from.
/// The crypto port outlives them.
template <std::size_t size>
class Secret {
 public:
  explicit Secret(Crypto& crypto) : crypto_(&crypto) {}
  Secret(const std::array<std::uint8_t, size>& bytes, Crypto& crypto)
      : crypto_(&crypto), bytes_(bytes) {}

  Secret(Secret&& other) noexcept : crypto_(other.crypto_), bytes_(other.bytes_) {
    other.abandon();
  }
  Secret& operator=(Secret&& other) noexcept {
    if (this == &other) return *this;
    wipe();
    crypto_ = other.crypto_;
    bytes_ = other.bytes_;
    other.abandon();
    return *this;
  }
  ~Secret() { wipe(); }

  std::array<std::uint8_t, size>& operator*() { return bytes_; }
  const std::array<std::uint8_t, size>& operator*() const { return bytes_; }

  /// Never called on what was moved from: nothing is sealed with a key of zeros by mistake.
  Crypto& crypto() const {
    PEER_RELAY_ASSERT(crypto_ != nullptr);
    return *crypto_;
  }

  void wipe() {
    if (crypto_ != nullptr) crypto_->wipe(bytes_);
  }

 private:
  void abandon() {
    wipe();
    crypto_ = nullptr;
  }

  Crypto* crypto_;
  std::array<std::uint8_t, size> bytes_{};
};

}  // namespace peer_relay::noise
