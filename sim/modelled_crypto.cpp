// SPDX-License-Identifier: MIT
#include "modelled_crypto.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace peer_relay::sim {

namespace {

// Four lanes of multiply and fold (as wyhash has it): quick, well mixed, and no cryptography.
class Mixer {
 public:
  explicit Mixer(std::uint64_t domain) {
    for (std::uint64_t& lane : lanes_) lane = domain += 0x9e3779b97f4a7c15;
  }

  void add(BytesView bytes) {
    add_word(bytes.size());
    while (bytes.size() >= 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data(), 8);
      add_word(word);
      bytes = bytes.subspan(8);
    }
    std::uint64_t last = 0;
    if (!bytes.empty()) std::memcpy(&last, bytes.data(), bytes.size());
    add_word(last);
  }

  void add_word(std::uint64_t word) {
    std::uint64_t& lane = lanes_[next_++ & 3];
    lane = fold(lane ^ word, 0xa0761d6478bd642f) + lanes_[next_ & 3];
  }

  void finish(MutableBytes out) {
    std::uint64_t state = out.size();
    for (const std::uint64_t lane : lanes_) state = fold(state ^ lane, 0xe7037ed1a0b428db);
    for (std::size_t at = 0; at < out.size(); at += 8) {
      state = fold(state + 0x9e3779b97f4a7c15, 0x8ebc6af09c88c6e3);
      std::memcpy(out.data() + at, &state, std::min<std::size_t>(8, out.size() - at));
    }
  }

 private:
  static std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
    const unsigned __int128 product = static_cast<unsigned __int128>(a | 1) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }

  std::uint64_t lanes_[4];
  unsigned next_ = 0;
};

enum Domain : std::uint64_t { hashing = 1, signing_key, agreement_key, agreeing, signing, sealing };

template <std::size_t N = 32>
std::array<std::uint8_t, N> mixed(Domain domain, BytesView a, BytesView b = {}) {
  Mixer mixer{domain};
  mixer.add(a);
  mixer.add(b);
  std::array<std::uint8_t, N> out;
  mixer.finish(out);
  return out;
}

std::array<std::uint8_t, tag_bytes> tag_of(const SymmetricKey& key, std::uint64_t counter,
                                           BytesView associated, BytesView plain) {
  Mixer mixer{sealing + counter};
  mixer.add(key);
  mixer.add(associated);
  mixer.add(plain);
  std::array<std::uint8_t, tag_bytes> tag;
  mixer.finish(tag);
  return tag;
}

}  // namespace

void ModelledCrypto::random(MutableBytes out) { entropy_.fill(out); }

void ModelledCrypto::hash(std::span<const BytesView> parts, MutableBytes out) {
  // Of the bytes, wherever they are cut.
  std::size_t size = 0;
  for (const BytesView part : parts) size += part.size();
  std::array<std::uint8_t, 512> usual;
  Bytes unusual;
  if (size > usual.size()) unusual.resize(size);
  const MutableBytes whole = size > usual.size() ? MutableBytes{unusual} : MutableBytes{usual};
  auto at = whole.begin();
  for (const BytesView part : parts) at = std::ranges::copy(part, at).out;
  Mixer mixer{hashing};
  mixer.add(whole.first(size));
  mixer.finish(out);
}

PublicKey ModelledCrypto::public_key_of(const SigningSeed& seed) {
  return mixed(signing_key, seed);
}

// As if on the curve: the agreement key of a secret goes by way of the public key of the same seed,
// so that to_agreement() needs no secret.
AgreementKey ModelledCrypto::agreement_key_of(const AgreementKey& secret) {
  return mixed(agreement_key, public_key_of(secret));
}

KeyPair ModelledCrypto::key_pair(const SigningSeed& seed) {
  return {.seed = seed,
          .public_key = public_key_of(seed),
          .agreement_secret = seed,
          .agreement_public = agreement_key_of(seed)};
}

AgreementPair ModelledCrypto::agreement_pair(const AgreementKey& secret) {
  return {.secret = secret, .public_key = agreement_key_of(secret)};
}

Signature ModelledCrypto::sign(const KeyPair& pair, BytesView message) {
  return mixed<64>(signing, pair.public_key, message);
}

bool ModelledCrypto::verify(const PublicKey& key, BytesView message, const Signature& signature) {
  return mixed<64>(signing, key, message) == signature;
}

bool ModelledCrypto::to_agreement(const PublicKey& key, AgreementKey& out) {
  out = mixed(agreement_key, key);
  return true;
}

bool ModelledCrypto::agree(const AgreementKey& secret, const AgreementKey& other,
                           AgreementKey& out) {
  const AgreementKey own = agreement_key_of(secret);
  out = mixed(agreeing, std::min(own, other), std::max(own, other));
  return std::ranges::any_of(other, [](std::uint8_t byte) { return byte != 0; });
}

void ModelledCrypto::seal(const SymmetricKey& key, std::uint64_t counter, BytesView associated,
                          BytesView plain, std::uint8_t* out) {
  const auto tag = tag_of(key, counter, associated, plain);
  if (!plain.empty()) std::memmove(out, plain.data(), plain.size());
  std::memcpy(out + plain.size(), tag.data(), tag.size());
}

bool ModelledCrypto::open(const SymmetricKey& key, std::uint64_t counter, BytesView associated,
                          BytesView sealed, std::uint8_t* out) {
  const BytesView plain = sealed.first(sealed.size() - tag_bytes);
  const auto tag = tag_of(key, counter, associated, plain);
  if (!std::ranges::equal(tag, sealed.last(tag_bytes))) return false;
  if (!plain.empty()) std::memmove(out, plain.data(), plain.size());
  return true;
}

bool ModelledCrypto::equal(BytesView a, BytesView b) { return std::ranges::equal(a, b); }

void ModelledCrypto::wipe(MutableBytes secret) { std::ranges::fill(secret, std::uint8_t{0}); }

}  // namespace peer_relay::sim
