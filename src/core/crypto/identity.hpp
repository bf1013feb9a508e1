// SPDX-License-Identifier: MIT
#pragma once

#include "core/crypto/crypto.hpp"
#include "peer_relay/node_id.hpp"

namespace peer_relay {

/// Who a node is: a key that it can prove to have, and the id that follows from it.
struct Identity {
  KeyPair keys;
  NodeId id;
};

/// A new one, unlike any other.
Identity make_identity(Crypto& crypto);

/// The same one for the same seed, as from a key file.
Identity identity_from_seed(const SigningSeed& seed, Crypto& crypto);

/// BLAKE2b with 20 bytes of output over the Ed25519 public key.
NodeId node_id_of(const PublicKey& key, Crypto& crypto);

}  // namespace peer_relay
