// SPDX-License-Identifier: MIT
//
// The crypto port for large worlds: messages of the same sizes, failures in the same cases, and
// nothing secret about it. Keys agree, signatures and tags verify, and what was altered does not;
// but an adversary of the world who knew the recipe could forge anything. Costs some hundred
// nanoseconds where libsodium takes some hundred microseconds.
#pragma once

#include "core/crypto/crypto.hpp"
#include "entropy.hpp"

namespace peer_relay::sim {

class ModelledCrypto : public Crypto {
 public:
  /// `entropy` outlives it.
  explicit ModelledCrypto(Entropy& entropy) : entropy_(entropy) {}

  void random(MutableBytes out) override;
  void hash(std::span<const BytesView> parts, MutableBytes out) override;
  KeyPair key_pair(const SigningSeed& seed) override;
  AgreementPair agreement_pair(const AgreementKey& secret) override;
  Signature sign(const KeyPair& pair, BytesView message) override;
  bool verify(const PublicKey& key, BytesView message, const Signature& signature) override;
  bool to_agreement(const PublicKey& key, AgreementKey& out) override;
  bool agree(const AgreementKey& secret, const AgreementKey& other, AgreementKey& out) override;
  void seal(const SymmetricKey& key, std::uint64_t counter, BytesView associated, BytesView plain,
            std::uint8_t* out) override;
  bool open(const SymmetricKey& key, std::uint64_t counter, BytesView associated, BytesView sealed,
            std::uint8_t* out) override;
  bool equal(BytesView a, BytesView b) override;
  void wipe(MutableBytes secret) override;

 protected:
  /// The public key of a seed, by which all its other keys are known.
  virtual PublicKey public_key_of(const SigningSeed& seed);

 private:
  AgreementKey agreement_key_of(const AgreementKey& secret);

  Entropy& entropy_;
};

}  // namespace peer_relay::sim
