// SPDX-License-Identifier: MIT
#include "core/noise/cipher.hpp"

#include "base/assert.hpp"

namespace peer_relay::noise {

std::expected<MutableBytes, NoiseError> Key::seal(std::uint64_t counter, BytesView associated,
                                                  BytesView plain, MutableBytes out,
                                                  Crypto& crypto) const {
  if (counter == counter_reserved) return std::unexpected(NoiseError::counter_spent);
  if (plain.size() > message_bytes_max - tag_bytes) return std::unexpected(NoiseError::too_large);
  PEER_RELAY_ASSERT(out.size() >= plain.size() + tag_bytes);
  PEER_RELAY_ASSERT(!key_.is_empty());
  crypto.seal(*key_, counter, associated, plain, out.data());
  return out.first(plain.size() + tag_bytes);
}

std::expected<MutableBytes, NoiseError> Key::open(std::uint64_t counter, BytesView associated,
                                                  BytesView sealed, MutableBytes out,
                                                  Crypto& crypto) const {
  if (counter == counter_reserved) return std::unexpected(NoiseError::counter_spent);
  if (sealed.size() < tag_bytes) return std::unexpected(NoiseError::truncated);
  if (sealed.size() > message_bytes_max) return std::unexpected(NoiseError::too_large);
  const std::size_t plain_bytes = sealed.size() - tag_bytes;
  PEER_RELAY_ASSERT(out.size() >= plain_bytes);
  PEER_RELAY_ASSERT(!key_.is_empty());
  if (!crypto.open(*key_, counter, associated, sealed, out.data())) {
    return std::unexpected(NoiseError::forged);
  }
  return out.first(plain_bytes);
}

std::expected<MutableBytes, NoiseError> Cipher::seal(BytesView associated, BytesView plain,
                                                     MutableBytes out, Crypto& crypto) {
  const auto sealed = key_.seal(counter_, associated, plain, out, crypto);
  if (sealed) ++counter_;
  return sealed;
}

std::expected<MutableBytes, NoiseError> Cipher::open(BytesView associated, BytesView sealed,
                                                     MutableBytes out, Crypto& crypto) {
  const auto plain = key_.open(counter_, associated, sealed, out, crypto);
  if (plain) ++counter_;
  return plain;
}

}  // namespace peer_relay::noise
