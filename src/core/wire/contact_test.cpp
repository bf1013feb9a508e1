// SPDX-License-Identifier: MIT
#include "core/wire/contact.hpp"

#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.hpp"
#include "peer_relay/limits.hpp"
#include "sodium/sodium_crypto.hpp"
#include "tests/support/decoding.hpp"
#include "tests/support/vectors.hpp"

namespace peer_relay {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint64_t seed = 115;
constexpr std::size_t count_at = 1 + 32 + 1 + 8 + 8;

Address address(std::string_view text) { return Address::parse(text).value(); }

Bytes encoded(const ContactRecord& record) {
  Bytes out;
  encode_contact_unsigned(record, out);
  out.insert(out.end(), record.signature.begin(), record.signature.end());
  return out;
}

/// A record with these texts for addresses, good or not.
Bytes record_with(const std::vector<std::string>& texts) {
  Bytes out = encoded({});
  out.resize(count_at);
  out.push_back(static_cast<std::uint8_t>(texts.size()));
  for (const std::string& text : texts) {
    out.push_back(static_cast<std::uint8_t>(text.size()));
    out.insert(out.end(), text.begin(), text.end());
  }
  out.resize(out.size() + contact_signature_bytes);
  return out;
}

KeyPair alice(Crypto& crypto) {
  SigningSeed bytes;
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
  return crypto.key_pair(bytes);
}

NetworkHash public_network(Crypto& crypto) {
  NetworkHash out;
  const BytesView name = as_bytes("peer-relay");
  crypto.hash({&name, 1}, out);
  return out;
}

TEST(ContactRecord, IsTheGoldenOne) {
  const Bytes bytes = golden("contact");
  const auto record = decode_contact(bytes);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->transports, contact_webrtc);
  EXPECT_EQ(record->sequence, 1'767'225'600'000u);
  EXPECT_EQ(record->expiry, 1'767'312'000u);
  EXPECT_THAT(record->addresses, ElementsAre(address("ws://198.51.100.7:8080"),
                                             address("wss://relay.example.org/overlay")));
  EXPECT_EQ(encoded(*record), bytes);
}

TEST(ContactRecord, IsSignedAsTheGoldenOne) {
  SodiumCrypto crypto;
  const Bytes bytes = golden("contact");
  const auto record = decode_contact(bytes);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->key, alice(crypto).public_key);

  const BytesView unsigned_part = BytesView{bytes}.first(bytes.size() - contact_signature_bytes);
  const Bytes covered = contact_signed_bytes(public_network(crypto), unsigned_part);
  EXPECT_TRUE(crypto.verify(record->key, covered, record->signature));
  EXPECT_EQ(crypto.sign(alice(crypto), covered), record->signature);
  EXPECT_FALSE(crypto.verify(record->key, contact_signed_bytes(NetworkHash{}, unsigned_part),
                             record->signature));
}

TEST(ContactRecord, OfALaterVersionIsUnknown) {
  Bytes bytes = golden("contact");
  bytes[0] = 2;
  EXPECT_EQ(error_of(decode_contact(bytes)), DecodeError::unknown);
}

TEST(ContactRecord, LeavesOutAddressesThatItDoesNotUnderstand) {
  const auto record = decode_contact(
      record_with({"quic://198.51.100.7:1", "ws://198.51.100.7:8080", "", "ws://a b/"}));
  ASSERT_TRUE(record);
  EXPECT_THAT(record->addresses, ElementsAre(address("ws://198.51.100.7:8080")));
}

TEST(ContactRecord, KeepsTheLimits) {
  EXPECT_TRUE(decode_contact(record_with({"a", "b", "c", "d"})));
  EXPECT_EQ(error_of(decode_contact(record_with({"a", "b", "c", "d", "e"}))),
            DecodeError::over_limit);
  const std::string longest(limits::address_bytes_max, 'a');
  EXPECT_TRUE(decode_contact(record_with({longest, longest, longest, longest})));
  EXPECT_EQ(error_of(decode_contact(record_with({longest + "a"}))), DecodeError::over_limit);
  EXPECT_EQ(error_of(decode_contact(Bytes(limits::contact_bytes_max + 1, 1))),
            DecodeError::over_limit);
}

TEST(ContactRecord, GoesOutWithNoMoreAddressesThanMayBe) {
  const auto many = encoded({.addresses = std::vector<Address>(9, address("ws://198.51.100.7"))});
  ASSERT_TRUE(decode_contact(many));
  EXPECT_THAT(decode_contact(many)->addresses, SizeIs(limits::contact_addresses_max));

  Address endless = address("ws://198.51.100.7");
  endless.path += std::string(200, 'p');
  const auto with_endless = encoded({.addresses = {endless, address("ws://198.51.100.8")}});
  EXPECT_THAT(decode_contact(with_endless)->addresses, ElementsAre(address("ws://198.51.100.8")));
}

TEST(ContactRecord, OfAnyShapeComesBack) {
  Random random{seed};
  for (int i = 0; i < 500; ++i) {
    SCOPED_TRACE(testing::Message() << "try " << i << " of seed " << seed);
    ContactRecord record{.transports = static_cast<std::uint8_t>(random.next()),
                         .sequence = random.next(),
                         .expiry = random.next()};
    for (auto& byte : record.key) byte = static_cast<std::uint8_t>(random.next());
    for (auto& byte : record.signature) byte = static_cast<std::uint8_t>(random.next());
    for (std::uint64_t n = random.below(limits::contact_addresses_max + 1); n > 0; --n) {
      record.addresses.push_back({.scheme = Scheme{static_cast<std::uint8_t>(random.below(2))},
                                  .host = random.below(2) ? "2001:db8::7" : "node.example",
                                  .port = static_cast<std::uint16_t>(1 + random.below(65'535)),
                                  .path = random.below(2) ? "/" : "/overlay"});
    }

    const Bytes bytes = encoded(record);
    EXPECT_LE(bytes.size(), limits::contact_bytes_max);
    const auto decoded = decode_contact(bytes);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->key, record.key);
    EXPECT_EQ(decoded->transports, record.transports);
    EXPECT_EQ(decoded->sequence, record.sequence);
    EXPECT_EQ(decoded->expiry, record.expiry);
    EXPECT_EQ(decoded->addresses, record.addresses);
    EXPECT_EQ(decoded->signature, record.signature);
  }
}

}  // namespace
}  // namespace peer_relay
