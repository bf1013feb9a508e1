// SPDX-License-Identifier: MIT
#include "sodium/deterministic_crypto.hpp"

#include <sodium.h>

namespace peer_relay {

namespace {

std::array<std::uint8_t, 8> little_endian(std::uint64_t value) {
  std::array<std::uint8_t, 8> bytes;
  for (std::uint8_t& byte : bytes) {
    byte = static_cast<std::uint8_t>(value);
    value >>= 8;
  }
  return bytes;
}

}  // namespace

DeterministicCrypto::DeterministicCrypto(std::uint64_t seed) {
  const auto bytes = little_endian(seed);
  const BytesView parts[] = {bytes};
  hash(parts, key_);
}

void DeterministicCrypto::random(MutableBytes out) {
  const auto nonce = little_endian(draws_++);
  crypto_stream_chacha20(out.data(), out.size(), nonce.data(), key_.data());
}

}  // namespace peer_relay
