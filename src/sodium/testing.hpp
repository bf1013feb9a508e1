// SPDX-License-Identifier: MIT
//
// For tests alone: bytes as people write them, and entropy that a test wrote.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <deque>
#include <string>
#include <string_view>

#include <sodium.h>

#include "base/assert.hpp"
#include "sodium/sodium_crypto.hpp"

namespace peer_relay::testing {

inline Bytes unhex(std::string_view text) {
  Bytes bytes(text.size() / 2);
  if (text.empty()) return bytes;
  std::size_t written = 0;
  const int result = sodium_hex2bin(bytes.data(), bytes.size(), text.data(), text.size(), nullptr,
                                    &written, nullptr);
  PEER_RELAY_ASSERT(result == 0 && written * 2 == text.size());
  return bytes;
}

template <std::size_t size = 32>
std::array<std::uint8_t, size> unhex_array(std::string_view text) {
  const Bytes bytes = unhex(text);
  PEER_RELAY_ASSERT(bytes.size() == size);
  std::array<std::uint8_t, size> out;
  std::ranges::copy(bytes, out.begin());
  return out;
}

inline std::string hex(BytesView bytes) {
  std::string text(bytes.size() * 2 + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), bytes.data(), bytes.size());
  text.pop_back();
  return text;
}

/// Real cryptography, whose draws of 32 bytes are those of a list, one after the other.
class ScriptedCrypto final : public SodiumCrypto {
 public:
  explicit ScriptedCrypto(std::deque<std::array<std::uint8_t, 32>> draws = {})
      : draws_(std::move(draws)) {}

  void random(MutableBytes out) override {
    PEER_RELAY_ASSERT(!draws_.empty() && out.size() == draws_.front().size());
    std::ranges::copy(draws_.front(), out.begin());
    draws_.pop_front();
  }

 private:
  std::deque<std::array<std::uint8_t, 32>> draws_;
};

}  // namespace peer_relay::testing
