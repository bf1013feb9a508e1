// SPDX-License-Identifier: MIT
#include "core/crypto/identity.hpp"

namespace peer_relay {

Identity make_identity(Crypto& crypto) {
  SigningSeed seed;
  crypto.random(seed);
  Identity identity = identity_from_seed(seed, crypto);
  crypto.wipe(seed);
  return identity;
}

Identity identity_from_seed(const SigningSeed& seed, Crypto& crypto) {
  Identity identity{.keys = crypto.key_pair(seed), .id = {}};
  identity.id = node_id_of(identity.keys.public_key, crypto);
  return identity;
}

NodeId node_id_of(const PublicKey& key, Crypto& crypto) {
  const BytesView parts[] = {key};
  NodeId id;
  crypto.hash(parts, id.bytes);
  return id;
}

}  // namespace peer_relay
