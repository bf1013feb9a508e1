// SPDX-License-Identifier: MIT
#include "sodium/sodium_crypto.hpp"

#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sodium/deterministic_crypto.hpp"
#include "sodium/testing.hpp"

namespace peer_relay {
namespace {

using testing::hex;
using testing::unhex;
using testing::unhex_array;

std::string hash_of(std::initializer_list<std::string_view> texts, std::size_t size) {
  SodiumCrypto crypto;
  std::vector<BytesView> parts;
  for (const std::string_view text : texts) parts.push_back(as_bytes(text));
  Bytes out(size);
  crypto.hash(parts, out);
  return hex(out);
}

TEST(SodiumHash, IsBlake2bAsRfc7693HasIt) {  // appendix A
  EXPECT_EQ(hash_of({"abc"}, 64),
            "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
            "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923");
  EXPECT_EQ(hash_of({}, 16), "cae66941d9efbd404e4d88758ea67670");
}

TEST(SodiumHash, TakesPartsInARow) {
  EXPECT_EQ(hash_of({"a", "", "bc"}, 64), hash_of({"abc"}, 64));
  EXPECT_NE(hash_of({"ac", "b"}, 64), hash_of({"abc"}, 64));
}

TEST(SodiumHash, DependsOnItsSize) {
  EXPECT_FALSE(hash_of({"abc"}, 64).starts_with(hash_of({"abc"}, 20)));
  for (std::size_t size = 1; size <= 64; ++size) EXPECT_EQ(hash_of({"abc"}, size).size(), 2 * size);
}

struct Signing {
  const char* seed;
  const char* public_key;
  const char* message;
  const char* signature;
};

/// RFC 8032 §7.1, tests 1 to 3.
constexpr Signing signings[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
     "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
     "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
     "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
};

TEST(SodiumSign, IsEd25519AsRfc8032HasIt) {
  SodiumCrypto crypto;
  for (const Signing& signing : signings) {
    const KeyPair pair = crypto.key_pair(unhex_array(signing.seed));
    EXPECT_EQ(hex(pair.public_key), signing.public_key);
    EXPECT_EQ(hex(pair.seed), signing.seed);
    const Bytes message = unhex(signing.message);
    const Signature signature = crypto.sign(pair, message);
    EXPECT_EQ(hex(signature), signing.signature);
    EXPECT_TRUE(crypto.verify(pair.public_key, message, signature));
  }
}

TEST(SodiumSign, VerifiesNothingElse) {
  SodiumCrypto crypto;
  const KeyPair pair = crypto.key_pair(unhex_array(signings[0].seed));
  const KeyPair other = crypto.key_pair(unhex_array(signings[1].seed));
  const Signature signature = crypto.sign(pair, as_bytes("message"));
  EXPECT_TRUE(crypto.verify(pair.public_key, as_bytes("message"), signature));
  EXPECT_FALSE(crypto.verify(other.public_key, as_bytes("message"), signature));
  EXPECT_FALSE(crypto.verify(pair.public_key, as_bytes("Message"), signature));
  EXPECT_FALSE(crypto.verify(pair.public_key, {}, signature));
  for (std::size_t bit = 0; bit < 8 * signature.size(); ++bit) {
    Signature changed = signature;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_FALSE(crypto.verify(pair.public_key, as_bytes("message"), changed)) << bit;
  }
}

TEST(SodiumSign, RefusesASecondFormOfOneSignature) {  // S + L (RFC 8032 §5.1.7, step 1)
  SodiumCrypto crypto;
  const KeyPair pair = crypto.key_pair(unhex_array(signings[0].seed));
  Signature signature = crypto.sign(pair, as_bytes("message"));
  const auto order =
      unhex_array("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  unsigned carry = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    carry += signature[32 + i] + unsigned{order[i]};
    signature[32 + i] = static_cast<std::uint8_t>(carry);
    carry >>= 8;
  }
  EXPECT_FALSE(crypto.verify(pair.public_key, as_bytes("message"), signature));
}

AgreementKey agreed(const AgreementKey& secret, const AgreementKey& other) {
  SodiumCrypto crypto;
  AgreementKey out{};
  EXPECT_TRUE(crypto.agree(secret, other, out));
  return out;
}

TEST(SodiumAgree, IsX25519AsRfc7748HasIt) {
  EXPECT_EQ(  // §5.2
      hex(agreed(unhex_array("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
                 unhex_array("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"))),
      "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
  EXPECT_EQ(
      hex(agreed(unhex_array("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"),
                 unhex_array("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493"))),
      "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");

  AgreementKey k{9};
  AgreementKey u{9};
  for (int i = 0; i < 1000; ++i) u = std::exchange(k, agreed(k, u));
  EXPECT_EQ(hex(k), "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

TEST(SodiumAgree, GivesBothTheSame) {  // RFC 7748 §6.1
  SodiumCrypto crypto;
  const AgreementPair alice = crypto.agreement_pair(
      unhex_array("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
  const AgreementPair bob = crypto.agreement_pair(
      unhex_array("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
  EXPECT_EQ(hex(alice.public_key),
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  EXPECT_EQ(hex(bob.public_key),
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  EXPECT_EQ(hex(agreed(alice.secret, bob.public_key)),
            "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
  EXPECT_EQ(agreed(bob.secret, alice.public_key), agreed(alice.secret, bob.public_key));
}

/// The points of small order (u = 0, 1, two of order 8, -1) and what is equal to them modulo p.
constexpr const char* weak_agreement_keys[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

TEST(SodiumAgree, RefusesToAgreeOnZeros) {
  DeterministicCrypto crypto{1};
  for (const char* weak : weak_agreement_keys) {
    for (const std::uint8_t top_bit :
         {std::uint8_t{0}, std::uint8_t{0x80}}) {  // which X25519 does not look at
      AgreementKey key = unhex_array(weak);
      key[31] |= top_bit;
      AgreementKey secret;
      AgreementKey out;
      crypto.random(secret);
      EXPECT_FALSE(crypto.agree(secret, key, out)) << weak;
    }
  }
}

TEST(SodiumToAgreement, GivesTheTwinOfAKeyPair) {
  DeterministicCrypto crypto{1};
  for (int i = 0; i < 20; ++i) {
    SigningSeed seed;
    crypto.random(seed);
    const KeyPair pair = crypto.key_pair(seed);
    AgreementKey twin;
    ASSERT_TRUE(crypto.to_agreement(pair.public_key, twin));
    EXPECT_EQ(twin, pair.agreement_public);
    EXPECT_EQ(crypto.agreement_pair(pair.agreement_secret).public_key, pair.agreement_public);
    EXPECT_EQ(pair.agreement().secret, pair.agreement_secret);
    EXPECT_EQ(pair.agreement().public_key, pair.agreement_public);
  }
}

bool converts(const PublicKey& key) {
  SodiumCrypto crypto;
  AgreementKey out;
  return crypto.to_agreement(key, out);
}

constexpr const char* order_eight =
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05";

TEST(SodiumToAgreement, RefusesPointsOfSmallOrder) {
  for (const char* weak : {
           "0100000000000000000000000000000000000000000000000000000000000000",  // order 1
           "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  // 2
           "0000000000000000000000000000000000000000000000000000000000000000",  // 4
           order_eight,
           "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",  // 8
           "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  // 0 again, modulo p
           "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  // 1 again
       }) {
    PublicKey key = unhex_array(weak);
    EXPECT_FALSE(converts(key)) << weak;
    key[31] |= 0x80;
    EXPECT_FALSE(converts(key)) << weak;
  }
}

TEST(SodiumToAgreement, RefusesPointsOutsideThePrimeOrderGroup) {
  SodiumCrypto crypto;
  const KeyPair pair = crypto.key_pair(unhex_array(signings[0].seed));
  const PublicKey weak = unhex_array(order_eight);
  PublicKey sum;
  ASSERT_EQ(crypto_core_ed25519_add(sum.data(), pair.public_key.data(), weak.data()), 0);
  EXPECT_TRUE(converts(pair.public_key));
  EXPECT_FALSE(converts(sum));
}

TEST(SodiumToAgreement, RefusesWhatIsNoPoint) {
  int refused = 0;
  for (std::uint8_t y = 2; y < 100; ++y) refused += converts(PublicKey{y}) ? 0 : 1;
  EXPECT_GT(refused, 30);  // half of all y have no x
  PublicKey ones;
  ones.fill(0xff);
  EXPECT_FALSE(converts(ones));
}

TEST(SodiumToAgreement, RefusesEachSecondFormOfAKey) {  // all there are: y + p (RFC 8032 §5.1.3)
  for (std::uint8_t y = 0; y < 19; ++y) {
    for (const std::uint8_t sign : {std::uint8_t{0}, std::uint8_t{0x80}}) {
      PublicKey key;
      key.fill(0xff);
      key[0] = static_cast<std::uint8_t>(0xed + y);
      key[31] = 0x7f | sign;
      EXPECT_FALSE(converts(key)) << int{y};
    }
  }
}

/// RFC 8439, appendix A.5: a nonce that begins with 32 zero bits, as ours do.
const SymmetricKey sealing_key =
    unhex_array("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
constexpr std::uint64_t sealing_counter = 0x0807060504030201;
const Bytes sealing_associated = unhex("f33388860000000000004e91");
constexpr std::string_view sealing_plain =
    "Internet-Drafts are draft documents valid for a maximum of six months and may be updated, "
    "replaced, or obsoleted by other documents at any time. It is inappropriate to use "
    "Internet-Drafts as reference material or to cite them other than as /\xe2\x80\x9cwork in "
    "progress./\xe2\x80\x9d";
const Bytes sealing_sealed = unhex(
    "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d26"
    "b0bdb7b73c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37"
    "c8559797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4b9166c767b804d46a59b5216cd"
    "e7a4e99040c5a40433225ee282a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273"
    "f548271a0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a1049e617d91d361094fa68f0"
    "ff77987130305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709beead9d67890cbb22392336fea1851f38");

TEST(SodiumSeal, IsChaCha20Poly1305AsRfc8439HasIt) {
  SodiumCrypto crypto;
  const BytesView plain = as_bytes(sealing_plain);
  Bytes sealed(plain.size() + tag_bytes);
  crypto.seal(sealing_key, sealing_counter, sealing_associated, plain, sealed.data());
  EXPECT_EQ(hex(sealed), hex(sealing_sealed));
  Bytes opened(plain.size());
  ASSERT_TRUE(crypto.open(sealing_key, sealing_counter, sealing_associated, sealed, opened.data()));
  EXPECT_EQ(as_text(opened), sealing_plain);
}

TEST(SodiumSeal, WorksInPlace) {
  SodiumCrypto crypto;
  Bytes buffer(sealing_plain.begin(), sealing_plain.end());
  buffer.resize(buffer.size() + tag_bytes);
  crypto.seal(sealing_key, sealing_counter, sealing_associated,
              BytesView{buffer}.first(sealing_plain.size()), buffer.data());
  EXPECT_EQ(buffer, sealing_sealed);
  ASSERT_TRUE(crypto.open(sealing_key, sealing_counter, sealing_associated, buffer, buffer.data()));
  EXPECT_EQ(as_text(BytesView{buffer}.first(sealing_plain.size())), sealing_plain);
}

TEST(SodiumSeal, SealsNothingToo) {
  SodiumCrypto crypto;
  Bytes sealed(tag_bytes);
  crypto.seal(sealing_key, 0, {}, {}, sealed.data());
  EXPECT_TRUE(crypto.open(sealing_key, 0, {}, sealed, nullptr));
  EXPECT_FALSE(crypto.open(sealing_key, 1, {}, sealed, nullptr));
}

TEST(SodiumSeal, OpensNothingThatWasChangedAndLeavesNothingToRead) {
  SodiumCrypto crypto;
  const std::size_t size = sealing_plain.size();
  const auto opens = [&](const SymmetricKey& key, std::uint64_t counter, BytesView associated,
                         BytesView sealed) {
    Bytes out(size, 0xee);
    const bool ok = crypto.open(key, counter, associated, sealed, out.data());
    EXPECT_NE(as_text(out).substr(0, 16), sealing_plain.substr(0, 16));
    return ok;
  };
  for (std::size_t byte = 0; byte < sealing_sealed.size(); ++byte) {
    Bytes changed = sealing_sealed;
    changed[byte] ^= static_cast<std::uint8_t>(1 << byte % 8);
    EXPECT_FALSE(opens(sealing_key, sealing_counter, sealing_associated, changed));
  }
  EXPECT_FALSE(opens(sealing_key, sealing_counter + 1, sealing_associated, sealing_sealed));
  EXPECT_FALSE(opens(sealing_key, sealing_counter, {}, sealing_sealed));
  EXPECT_FALSE(opens(SymmetricKey{}, sealing_counter, sealing_associated, sealing_sealed));
}

TEST(SodiumCrypto, ComparesBytes) {
  SodiumCrypto crypto;
  EXPECT_TRUE(crypto.equal(as_bytes("secret"), as_bytes("secret")));
  EXPECT_FALSE(crypto.equal(as_bytes("secret"), as_bytes("sEcret")));
  EXPECT_FALSE(crypto.equal(as_bytes("secret"), as_bytes("secre")));
  EXPECT_TRUE(crypto.equal({}, {}));
}

TEST(SodiumCrypto, Wipes) {
  SodiumCrypto crypto;
  Bytes secret(100, 0xee);
  crypto.wipe(secret);
  EXPECT_THAT(secret, ::testing::Each(0));
}

TEST(SodiumCrypto, DrawsOtherBytesEachTime) {
  SodiumCrypto crypto;
  AgreementKey one{};
  AgreementKey two{};
  crypto.random(one);
  crypto.random(two);
  EXPECT_NE(one, AgreementKey{});
  EXPECT_NE(one, two);
}

TEST(DeterministicCrypto, DrawsTheSameForTheSameSeedAndOtherwiseNot) {
  DeterministicCrypto one{7};
  DeterministicCrypto again{7};
  DeterministicCrypto other{8};
  const auto draw = [](Crypto& crypto) {
    Bytes bytes(40);
    crypto.random(bytes);
    return bytes;
  };
  const Bytes first = draw(one);
  EXPECT_EQ(first, draw(again));
  EXPECT_NE(first, draw(other));
  const Bytes second = draw(one);
  EXPECT_NE(first, second);
  EXPECT_EQ(second, draw(again));
}

}  // namespace
}  // namespace peer_relay
