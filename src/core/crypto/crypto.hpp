// SPDX-License-Identifier: MIT
//
// The crypto port: everything that the engine asks of a cryptographic library. One abstract class,
// kept by src/sodium natively (and in WebAssembly), and by a modelled one in the simulator's large
// worlds. Stateless but for the source of entropy; called from the engine's thread only.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "peer_relay/bytes.hpp"
#include "peer_relay/keys.hpp"

namespace peer_relay {

inline constexpr std::size_t tag_bytes = 16;  ///< ChaCha20-Poly1305 (RFC 8439 §2.8)

using HashOutput = std::array<std::uint8_t, 64>;  ///< BLAKE2b-512 (RFC 7693)

struct AgreementPair {
  AgreementKey secret;
  AgreementKey public_key;
};

/// An Ed25519 key pair and its X25519 twin.
struct KeyPair {
  SigningSeed seed;
  PublicKey public_key;
  AgreementKey agreement_secret;
  AgreementKey agreement_public;

  AgreementPair agreement() const { return {agreement_secret, agreement_public}; }
};

class Crypto {
 public:
  virtual ~Crypto() = default;

  /// Fills with bytes that nobody can guess.
  virtual void random(MutableBytes out) = 0;

  /// BLAKE2b, unkeyed, of all parts in a row; `out` is 1 to 64 bytes, and its size is part of the
  /// hash (RFC 7693 §2.5).
  virtual void hash(std::span<const BytesView> parts, MutableBytes out) = 0;

  virtual KeyPair key_pair(const SigningSeed& seed) = 0;
  virtual AgreementPair agreement_pair(const AgreementKey& secret) = 0;
  virtual Signature sign(const KeyPair& pair, BytesView message) = 0;
  virtual bool verify(const PublicKey& key, BytesView message, const Signature& signature) = 0;

  /// The X25519 form of an Ed25519 public key. False for a key that is not a point of the prime
  /// order group, or not written in the one canonical way: a stranger wrote it. A key and its
  /// negative have one X25519 form; whoever can use the one can use the other.
  virtual bool to_agreement(const PublicKey& key, AgreementKey& out) = 0;

  /// X25519. False where the result would be all zeros (RFC 7748 §6.1).
  virtual bool agree(const AgreementKey& secret, const AgreementKey& other, AgreementKey& out) = 0;

  /// ChaCha20-Poly1305 with the nonce as Noise §12.3 makes it: 32 zero bits, then `counter` in
  /// little-endian. `out` is plain.size() + tag_bytes long and may start where `plain` does.
  virtual void seal(const SymmetricKey& key, std::uint64_t counter, BytesView associated,
                    BytesView plain, std::uint8_t* out) = 0;

  /// The other way. `sealed` is at least tag_bytes long; `out` has room for all but the tag and may
  /// start where `sealed` does. False, and nothing to be read in `out`, where the tag is wrong.
  virtual bool open(const SymmetricKey& key, std::uint64_t counter, BytesView associated,
                    BytesView sealed, std::uint8_t* out) = 0;

  /// Compares secrets in constant time.
  virtual bool equal(BytesView a, BytesView b) = 0;

  /// Overwrites a secret in a way that no compiler removes.
  virtual void wipe(MutableBytes secret) = 0;
};

}  // namespace peer_relay
