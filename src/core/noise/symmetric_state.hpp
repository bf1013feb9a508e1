// SPDX-License-Identifier: MIT
//
// What both sides of a handshake mix together, message by message (Noise §5.2): a chaining key, a
// hash of all that was said, and, once anything secret was agreed on, a key to seal with. For the
// handshake of this room alone.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/crypto/crypto.hpp"
#include "core/noise/cipher.hpp"
#include "core/noise/secret.hpp"

namespace peer_relay::noise {

class SymmetricState {
 public:
  SymmetricState(std::string_view protocol, Crypto& crypto);

  void mix_hash(BytesView bytes);
  void mix_key(BytesView agreed);

  /// Whether what is written from now on is sealed, and so a tag longer.
  bool has_key() const { return has_key_; }

  /// `out` is as long as `plain`, and a tag longer where there is a key.
  void encrypt_and_hash(BytesView plain, MutableBytes out);

  /// `sealed` is at least a tag long where there is a key, and `out` is as long as what is in it.
  /// False where the tag is wrong.
  bool decrypt_and_hash(BytesView sealed, MutableBytes out);

  struct Keys {
    Key from_initiator;
    Key from_responder;
  };
  Keys split() const;

  /// Binds a channel to this very handshake (Noise §11.2). Not a secret.
  const HashOutput& hash() const { return hash_; }

  Crypto& crypto() const { return *crypto_; }

  /// Forgets all but the hash.
  void wipe();

 private:
  Crypto* crypto_;
  HashOutput hash_{};
  Secret<64> chaining_key_;
  Secret<32> key_;
  std::uint8_t counter_ = 0;  // a pattern seals twice under one key, at most
  bool has_key_ = false;
};

}  // namespace peer_relay::noise
