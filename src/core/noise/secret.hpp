// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace peer_relay::noise {

/// Bytes that leave no trace: overwritten when their owner goes, and where they were moved from.
/// Links and sessions are made of them, so they hold nothing else.
template <std::size_t size>
class Secret {
 public:
  Secret() = default;
  explicit Secret(const std::array<std::uint8_t, size>& bytes) : bytes_(bytes) {}

  Secret(Secret&& other) noexcept : bytes_(other.bytes_) { other.wipe(); }
  Secret& operator=(Secret&& other) noexcept {
    if (this == &other) return *this;
    bytes_ = other.bytes_;
    other.wipe();
    return *this;
  }
  ~Secret() { wipe(); }

  std::array<std::uint8_t, size>& operator*() { return bytes_; }
  const std::array<std::uint8_t, size>& operator*() const { return bytes_; }

  void wipe() {
    std::memset(bytes_.data(), 0, size);
    // Somebody might read it, as far as compilers know: so none leaves the line above out.
    __asm__ volatile("" : : "r"(bytes_.data()) : "memory");
  }

  /// Before anything was written to it, and after it was moved from.
  bool is_empty() const {
    std::uint8_t any = 0;
    for (const std::uint8_t byte : bytes_) any |= byte;
    return any == 0;
  }

 private:
  std::array<std::uint8_t, size> bytes_{};
};

}  // namespace peer_relay::noise
