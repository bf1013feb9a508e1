// SPDX-License-Identifier: MIT
#include "sodium/sodium_crypto.hpp"

#include <algorithm>
#include <array>

#include <sodium.h>

#include "base/assert.hpp"

namespace peer_relay {

namespace {

using Nonce = std::array<std::uint8_t, crypto_aead_chacha20poly1305_ietf_NPUBBYTES>;

Nonce nonce_of(std::uint64_t counter) {
  Nonce nonce{};
  for (std::size_t i = 4; i < nonce.size(); ++i, counter >>= 8) {
    nonce[i] = static_cast<std::uint8_t>(counter);
  }
  return nonce;
}

}  // namespace

SodiumCrypto::SodiumCrypto() { PEER_RELAY_ASSERT(sodium_init() >= 0); }

void SodiumCrypto::random(MutableBytes out) { randombytes_buf(out.data(), out.size()); }

void SodiumCrypto::hash(std::span<const BytesView> parts, MutableBytes out) {
  PEER_RELAY_ASSERT(!out.empty() && out.size() <= crypto_generichash_BYTES_MAX);
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, out.size());
  for (const BytesView part : parts) crypto_generichash_update(&state, part.data(), part.size());
  crypto_generichash_final(&state, out.data(), out.size());
}

KeyPair SodiumCrypto::key_pair(const SigningSeed& seed) {
  KeyPair pair{};
  std::array<std::uint8_t, crypto_sign_SECRETKEYBYTES> secret;
  pair.seed = seed;
  crypto_sign_seed_keypair(pair.public_key.data(), secret.data(), seed.data());
  crypto_sign_ed25519_sk_to_curve25519(pair.agreement_secret.data(), secret.data());
  crypto_scalarmult_base(pair.agreement_public.data(), pair.agreement_secret.data());
  wipe(secret);
  return pair;
}

AgreementPair SodiumCrypto::agreement_pair(const AgreementKey& secret) {
  AgreementPair pair{.secret = secret, .public_key = {}};
  crypto_scalarmult_base(pair.public_key.data(), secret.data());
  return pair;
}

Signature SodiumCrypto::sign(const KeyPair& pair, BytesView message) {
  // libsodium's secret key is the seed with the public key behind it
  std::array<std::uint8_t, crypto_sign_SECRETKEYBYTES> secret;
  std::ranges::copy(pair.public_key, std::ranges::copy(pair.seed, secret.begin()).out);
  Signature signature;
  crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(), secret.data());
  wipe(secret);
  return signature;
}

bool SodiumCrypto::verify(const PublicKey& key, BytesView message, const Signature& signature) {
  return crypto_sign_verify_detached(signature.data(), message.data(), message.size(),
                                     key.data()) == 0;
}

bool SodiumCrypto::to_agreement(const PublicKey& key, AgreementKey& out) {
  // takes y modulo p, but none of the few points with a second form is of the prime order group
  return crypto_sign_ed25519_pk_to_curve25519(out.data(), key.data()) == 0;
}

bool SodiumCrypto::agree(const AgreementKey& secret, const AgreementKey& other, AgreementKey& out) {
  return crypto_scalarmult(out.data(), secret.data(), other.data()) == 0;
}

void SodiumCrypto::seal(const SymmetricKey& key, std::uint64_t counter, BytesView associated,
                        BytesView plain, std::uint8_t* out) {
  crypto_aead_chacha20poly1305_ietf_encrypt(out, nullptr, plain.data(), plain.size(),
                                            associated.data(), associated.size(), nullptr,
                                            nonce_of(counter).data(), key.data());
}

bool SodiumCrypto::open(const SymmetricKey& key, std::uint64_t counter, BytesView associated,
                        BytesView sealed, std::uint8_t* out) {
  PEER_RELAY_ASSERT(sealed.size() >= tag_bytes);
  return crypto_aead_chacha20poly1305_ietf_decrypt(
             out, nullptr, nullptr, sealed.data(), sealed.size(), associated.data(),
             associated.size(), nonce_of(counter).data(), key.data()) == 0;
}

bool SodiumCrypto::equal(BytesView a, BytesView b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

void SodiumCrypto::wipe(MutableBytes secret) { sodium_memzero(secret.data(), secret.size()); }

}  // namespace peer_relay
