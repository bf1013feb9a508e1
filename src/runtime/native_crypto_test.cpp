// SPDX-License-Identifier: MIT
#include "runtime/native_crypto.hpp"

#include <gtest/gtest.h>

#include "base/random.hpp"
#include "peer_relay/limits.hpp"

namespace peer_relay {
namespace {

Bytes random_bytes(std::size_t size, Random& random) {
  Bytes bytes(size);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.next());
  return bytes;
}

template <class Check>
void for_each_size(Check check) {
  for (std::size_t size = 0; size <= 1200; ++size) check(size);
  for (std::size_t size = 1201; size <= limits::batch_bytes_max; size += 997) check(size);
}

TEST(NativeCrypto, SealsAsLibsodiumDoesAndOpensIt) {
  SodiumCrypto sodium;
  NativeCrypto native;
  Random random{1};
  const SymmetricKey key{1, 2, 3};
  for_each_size([&](std::size_t size) {
    const std::uint64_t counter = random.next();
    const Bytes associated = random_bytes(random.below(40), random);
    const Bytes plain = random_bytes(size, random);
    Bytes theirs(size + tag_bytes);
    sodium.seal(key, counter, associated, plain, theirs.data());
    Bytes ours = plain;
    ours.resize(size + tag_bytes);
    native.seal(key, counter, associated, BytesView{ours}.first(size), ours.data());
    ASSERT_EQ(ours, theirs) << size;
    ASSERT_TRUE(native.open(key, counter, associated, ours, ours.data())) << size;
    ours.resize(size);
    ASSERT_EQ(ours, plain) << size;
  });
}

TEST(NativeCrypto, OpensNothingThatWasChangedAndLeavesNothingToRead) {
  NativeCrypto native;
  Random random{2};
  const SymmetricKey key{1};
  for (const std::size_t size : {448u, 449u, 1000u, 65'000u}) {
    const Bytes plain = random_bytes(size, random);
    Bytes sealed(size + tag_bytes);
    native.seal(key, 7, {}, plain, sealed.data());
    for (int i = 0; i < 200; ++i) {
      Bytes changed = sealed;
      changed[random.below(changed.size())] ^= static_cast<std::uint8_t>(1u << random.below(8));
      Bytes out(size);
      ASSERT_FALSE(native.open(key, 7, {}, changed, out.data()));
      ASSERT_EQ(out, Bytes(size));
    }
    Bytes out(size);
    EXPECT_FALSE(native.open(key, 8, {}, sealed, out.data()));
    EXPECT_FALSE(native.open({}, 7, {}, sealed, out.data()));
    EXPECT_FALSE(native.open(key, 7, as_bytes("other"), sealed, out.data()));
  }
}

}  // namespace
}  // namespace peer_relay
