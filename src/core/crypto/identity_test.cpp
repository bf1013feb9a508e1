// SPDX-License-Identifier: MIT
#include "core/crypto/identity.hpp"

#include <gtest/gtest.h>

#include "sodium/deterministic_crypto.hpp"
#include "sodium/testing.hpp"

namespace peer_relay {
namespace {

using testing::hex;
using testing::unhex_array;

struct Known {
  SigningSeed seed;
  const char* public_key;
  const char* id;
};

/// Made by Python's hashlib and pyca/cryptography.
const Known known[] = {
    {{},
     "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29",
     "86cb6705403b50453c7a7f461133114f56057829"},
    {unhex_array("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
     "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8",
     "f0a594d2978da8803f696325ea0aaa5045cf2e94"},
};

TEST(Identity, FollowsFromItsSeed) {
  SodiumCrypto crypto;
  for (const Known& expected : known) {
    const Identity identity = identity_from_seed(expected.seed, crypto);
    EXPECT_EQ(identity.keys.seed, expected.seed);
    EXPECT_EQ(hex(identity.keys.public_key), expected.public_key);
    EXPECT_EQ(identity.id.to_hex(), expected.id);
  }
}

TEST(Identity, HasTheIdOfItsPublicKey) {
  SodiumCrypto crypto;
  EXPECT_EQ(node_id_of(unhex_array(known[0].public_key), crypto).to_hex(), known[0].id);
}

TEST(Identity, IsAnotherEachTimeOneIsMade) {
  DeterministicCrypto crypto{1};
  const Identity one = make_identity(crypto);
  const Identity two = make_identity(crypto);
  EXPECT_NE(one.id, two.id);
  EXPECT_NE(one.keys.seed, two.keys.seed);
  EXPECT_EQ(identity_from_seed(one.keys.seed, crypto).id, one.id);
  EXPECT_EQ(node_id_of(two.keys.public_key, crypto), two.id);
}

}  // namespace
}  // namespace peer_relay
