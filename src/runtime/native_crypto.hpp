// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "sodium/sodium_crypto.hpp"

namespace peer_relay {

/// libsodium, but for sealing what is long: there OpenSSL, which a native node has for wss://
/// anyway, is more than twice as fast. The bytes are the same.
class NativeCrypto final : public SodiumCrypto {
 public:
  NativeCrypto();
  ~NativeCrypto() override;

  void seal(const SymmetricKey& key, std::uint64_t counter, BytesView associated, BytesView plain,
            std::uint8_t* out) override;
  bool open(const SymmetricKey& key, std::uint64_t counter, BytesView associated, BytesView sealed,
            std::uint8_t* out) override;

 private:
  struct Contexts;
  std::unique_ptr<Contexts> contexts_;
};

}  // namespace peer_relay
