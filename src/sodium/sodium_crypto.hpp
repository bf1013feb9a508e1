// SPDX-License-Identifier: MIT
#pragma once

#include "core/crypto/crypto.hpp"

namespace peer_relay {

/// The crypto port, kept with libsodium (1.0.18 or later).
class SodiumCrypto : public Crypto {
 public:
  SodiumCrypto();

  /// From the operating system. The one call that a deterministic world makes otherwise.
  void random(MutableBytes out) override;

  void hash(std::span<const BytesView> parts, MutableBytes out) final;
  KeyPair key_pair(const SigningSeed& seed) final;
  AgreementPair agreement_pair(const AgreementKey& secret) final;
  Signature sign(const KeyPair& pair, BytesView message) final;
  bool verify(const PublicKey& key, BytesView message, const Signature& signature) final;
  bool to_agreement(const PublicKey& key, AgreementKey& out) final;
  bool agree(const AgreementKey& secret, const AgreementKey& other, AgreementKey& out) final;
  void seal(const SymmetricKey& key, std::uint64_t counter, BytesView associated, BytesView plain,
            std::uint8_t* out) override;
  bool open(const SymmetricKey& key, std::uint64_t counter, BytesView associated, BytesView sealed,
            std::uint8_t* out) override;
  bool equal(BytesView a, BytesView b) final;
  void wipe(MutableBytes secret) final;
};

}  // namespace peer_relay
