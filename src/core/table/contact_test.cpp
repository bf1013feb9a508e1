// SPDX-License-Identifier: MIT
#include "core/table/contact.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/writer.hpp"
#include "sodium/deterministic_crypto.hpp"

namespace peer_relay {
namespace {

constexpr std::uint64_t now = 1'800'000'000;
constexpr std::uint64_t day = 86'400;
constexpr NetworkHash network{1, 2, 3};

class ContactProof : public testing::Test {
 protected:
  Bytes record(std::uint64_t expiry = now + day,
               std::vector<std::string> addresses = {"ws://192.0.2.1:8000"}) {
    ContactRecord record{.key = self.keys.public_key, .sequence = now * 1000, .expiry = expiry};
    for (const std::string& address : addresses) {
      record.addresses.push_back(Address::parse(address).value());
    }
    return sign_contact(record, network, self, crypto);
  }

  std::optional<DropReason> refusal(BytesView encoded, const NetworkHash& of = network,
                                    std::uint64_t at = now) {
    const auto proven = prove_contact(encoded, of, at, crypto);
    return proven ? std::nullopt : std::optional{proven.error()};
  }

  DeterministicCrypto crypto{1};
  Identity self = make_identity(crypto);
};

TEST_F(ContactProof, GivesTheIdAndTheBytesAsTheyCame) {
  const Bytes encoded = record();
  const auto proven = prove_contact(encoded, network, now, crypto);
  ASSERT_TRUE(proven.has_value());
  EXPECT_EQ((*proven)->id, self.id);
  EXPECT_EQ((*proven)->encoded, encoded);
  EXPECT_EQ((*proven)->sequence, now * 1000);
  EXPECT_TRUE((*proven)->is_dialable());
  EXPECT_FALSE((*proven)->is_local());
}

TEST_F(ContactProof, ARecordHasItsTime) {
  EXPECT_EQ(refusal(record(now + 1)), std::nullopt);
  EXPECT_EQ(refusal(record(now)), DropReason::contact_expired);
  EXPECT_EQ(refusal(record(0)), DropReason::contact_expired);
  EXPECT_EQ(refusal(record(now + 2 * day)), std::nullopt) << "their clock may be ahead of ours";
  EXPECT_EQ(refusal(record(now + 2 * day + 1)), DropReason::contact_expired);
  EXPECT_EQ(refusal(record(~std::uint64_t{0})), DropReason::contact_expired);
  EXPECT_EQ(refusal(record(now), network, 0), std::nullopt) << "from our own cache, old ones too";
}

TEST_F(ContactProof, ARecordIsOfOneNetwork) {
  EXPECT_EQ(refusal(record(), NetworkHash{9}), DropReason::contact_forged);
}

TEST_F(ContactProof, NobodySignsForAnother) {
  const Identity other = make_identity(crypto);
  ContactRecord record{.key = other.keys.public_key, .expiry = now + day};
  const Bytes forged = sign_contact(record, network, self, crypto);
  EXPECT_EQ(refusal(forged), DropReason::contact_forged);
}

TEST_F(ContactProof, NoAlteredByteIsTaken) {
  const Bytes encoded = record(now + day, {"ws://192.0.2.1:8000", "tcp://[2001:db8::1]:9"});
  for (std::size_t at = 0; at < encoded.size(); ++at) {
    for (const std::uint8_t change : {std::uint8_t{0x01}, std::uint8_t{0x80}}) {
      Bytes altered = encoded;
      altered[at] ^= change;
      EXPECT_NE(refusal(altered), std::nullopt) << "byte " << at;
    }
  }
  for (std::size_t size = 0; size < encoded.size(); ++size) {
    EXPECT_EQ(refusal(BytesView{encoded}.first(size)), DropReason::malformed);
  }
  Bytes longer = encoded;
  longer.push_back(0);
  EXPECT_EQ(refusal(longer), DropReason::malformed);
}

// A later version's kind of address is skipped here and still passed on, signature and all.
TEST_F(ContactProof, WhatWeCannotReadOfARecordIsStillPassedOn) {
  Bytes encoded = record(now + day, {});
  encoded.resize(encoded.size() - contact_signature_bytes);
  encoded.back() = 1;  // the count of addresses
  Writer{encoded}.bytes_u8(as_bytes("quic://192.0.2.1:1"));
  const Signature signature = crypto.sign(self.keys, contact_signed_bytes(network, encoded));
  encoded.insert(encoded.end(), signature.begin(), signature.end());
  const auto proven = prove_contact(encoded, network, now, crypto);
  ASSERT_TRUE(proven.has_value());
  EXPECT_FALSE((*proven)->is_dialable());
  EXPECT_EQ((*proven)->encoded, encoded);
}

TEST_F(ContactProof, SaysWhetherItNamesThisMachine) {
  const auto is_local = [&](std::vector<std::string> addresses) {
    return (*prove_contact(record(now + day, std::move(addresses)), network, now, crypto))
        ->is_local();
  };
  EXPECT_TRUE(is_local({"ws://127.0.0.1:1"}));
  EXPECT_TRUE(is_local({"ws://192.0.2.1:1", "ws://[::1]:1"}));
  EXPECT_TRUE(is_local({"ws://localhost:1"}));
  EXPECT_FALSE(is_local({"ws://192.168.0.1:1"}));
  EXPECT_FALSE(is_local({}));
}

TEST(Contact, OneWithoutAnAddressThatCanBeSignalledIsDialable) {
  EXPECT_FALSE(Contact({}, {}, {}).is_dialable());
  EXPECT_TRUE(Contact({}, {.transports = contact_webrtc}, {}).is_dialable());
}

TEST_F(ContactProof, WhatIsKeptIsReadFromItsBytesAgain) {
  const auto proven = prove_contact(record(), network, now, crypto);
  ASSERT_TRUE(proven.has_value());
  EXPECT_EQ((*proven)->key(), self.keys.public_key);
  ASSERT_EQ((*proven)->addresses().size(), 1u);
  EXPECT_EQ((*proven)->addresses().front().to_string(), "ws://192.0.2.1:8000");
}

// ---- The pool ----

TEST_F(ContactProof, APoolGivesTheSameContactForTheSameBytes) {
  ContactPool pool;
  const Bytes encoded = record();
  EXPECT_EQ(pool.find(network, encoded), nullptr);
  const ContactPtr contact = *prove_contact(encoded, network, now, crypto);
  pool.keep(network, contact);
  EXPECT_EQ(pool.find(network, encoded), contact);
  EXPECT_EQ(pool.find(network, record(now + day + 1)), nullptr);
  EXPECT_EQ(pool.find(NetworkHash{9}, encoded), nullptr) << "proven for one network only";
}

TEST_F(ContactProof, APoolHoldsNothingThatNobodyElseHolds) {
  ContactPool pool;
  for (std::uint64_t i = 1; i <= 1500; ++i) {
    pool.keep(network, *prove_contact(record(now + i), network, now, crypto));
  }
  EXPECT_EQ(pool.find(network, record(now + 1)), nullptr);
  EXPECT_LE(pool.size(), 1024u);
}

}  // namespace
}  // namespace peer_relay
