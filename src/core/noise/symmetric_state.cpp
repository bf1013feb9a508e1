// SPDX-License-Identifier: MIT
#include "core/noise/symmetric_state.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace peer_relay::noise {

namespace {

constexpr std::size_t block_bytes = 128;  // BLAKE2b (RFC 7693 §2.1)

/// HMAC (RFC 2104 §2) with BLAKE2b-512, of two parts in a row. Keys here are hashes, hence never
/// longer than a block.
void hmac(const Secret<64>& key, BytesView first, BytesView second, Secret<64>& out,
          Crypto& crypto) {
  Secret<block_bytes> inner;
  Secret<block_bytes> outer;
  (*inner).fill(0x36);
  (*outer).fill(0x5c);
  for (std::size_t i = 0; i < (*key).size(); ++i) {
    (*inner)[i] ^= (*key)[i];
    (*outer)[i] ^= (*key)[i];
  }
  Secret<64> inner_hash;
  const BytesView inner_parts[] = {*inner, first, second};
  crypto.hash(inner_parts, *inner_hash);
  const BytesView outer_parts[] = {*outer, *inner_hash};
  crypto.hash(outer_parts, *out);
}

struct Derived {
  Secret<64> first;
  Secret<64> second;
};

/// HKDF (RFC 5869) as Noise §4.3 has it, for two outputs.
Derived hkdf(const Secret<64>& chaining_key, BytesView input, Crypto& crypto) {
  static constexpr std::uint8_t one = 1;
  static constexpr std::uint8_t two = 2;
  Derived out;
  Secret<64> extracted;
  hmac(chaining_key, input, {}, extracted, crypto);
  hmac(extracted, {&one, 1}, {}, out.first, crypto);
  hmac(extracted, *out.first, {&two, 1}, out.second, crypto);
  return out;
}

/// A cipher's key is the front of a hash (Noise §5.2).
void cut(const Secret<64>& from, Secret<32>& to) {
  std::copy_n((*from).begin(), (*to).size(), (*to).begin());
}

}  // namespace

SymmetricState::SymmetricState(std::string_view protocol, Crypto& crypto) : crypto_(&crypto) {
  PEER_RELAY_ASSERT(protocol.size() <= hash_.size());
  std::ranges::copy(as_bytes(protocol), hash_.begin());
  *chaining_key_ = hash_;
}

void SymmetricState::mix_hash(BytesView bytes) {
  const BytesView parts[] = {hash_, bytes};
  HashOutput mixed;
  crypto().hash(parts, mixed);
  hash_ = mixed;
}

void SymmetricState::mix_key(BytesView agreed) {
  Derived derived = hkdf(chaining_key_, agreed, crypto());
  chaining_key_ = std::move(derived.first);
  cut(derived.second, key_);
  counter_ = 0;
  has_key_ = true;
}

void SymmetricState::encrypt_and_hash(BytesView plain, MutableBytes out) {
  PEER_RELAY_ASSERT(out.size() == plain.size() + (has_key_ ? tag_bytes : 0));
  if (has_key_) {
    crypto().seal(*key_, counter_++, hash_, plain, out.data());
  } else {
    std::ranges::copy(plain, out.begin());
  }
  mix_hash(out);
}

bool SymmetricState::decrypt_and_hash(BytesView sealed, MutableBytes out) {
  PEER_RELAY_ASSERT(sealed.size() == out.size() + (has_key_ ? tag_bytes : 0));
  if (!has_key_) {
    std::ranges::copy(sealed, out.begin());
  } else if (!crypto().open(*key_, counter_++, hash_, sealed, out.data())) {
    return false;
  }
  mix_hash(sealed);
  return true;
}

SymmetricState::Keys SymmetricState::split() const {
  const Derived derived = hkdf(chaining_key_, {}, crypto());
  Secret<32> first;
  Secret<32> second;
  cut(derived.first, first);
  cut(derived.second, second);
  return {.from_initiator = Key{*first}, .from_responder = Key{*second}};
}

void SymmetricState::wipe() {
  chaining_key_.wipe();
  key_.wipe();
  has_key_ = false;
}

}  // namespace peer_relay::noise
