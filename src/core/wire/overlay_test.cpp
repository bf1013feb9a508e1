// SPDX-License-Identifier: MIT
#include "core/wire/overlay.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.hpp"
#include "base/writer.hpp"
#include "peer_relay/limits.hpp"
#include "tests/support/decoding.hpp"
#include "tests/support/vectors.hpp"

namespace peer_relay {
namespace {

using testing::ElementsAreArray;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint64_t seed = 16;

Bytes golden_body(std::string_view name) {
  const Bytes frame = golden(name);
  return {frame.begin() + frame_header_bytes, frame.end()};
}

template <auto encode>
Bytes encoded(const auto& value) {
  Bytes out;
  encode(value, out);
  return out;
}

/// count | that many records of so many bytes
Bytes records(std::size_t count, std::size_t record_bytes) {
  Bytes out;
  Writer writer{out};
  writer.u8(static_cast<std::uint8_t>(count));
  for (std::size_t i = 0; i < count; ++i) writer.bytes_u16(Bytes(record_bytes, 0x11));
  return out;
}

/// `start`, and records behind it.
Bytes with_records(Bytes start, std::size_t count, std::size_t record_bytes) {
  const Bytes tail = records(count, record_bytes);
  start.insert(start.end(), tail.begin(), tail.end());
  return start;
}

TEST(Lookup, IsTheGoldenOne) {
  const Bytes body = golden("lookup");
  const auto lookup = decode_lookup(body);
  ASSERT_TRUE(lookup);
  EXPECT_EQ(lookup->nonce, 0x1122334455667788u);
  EXPECT_EQ(lookup->wanted, 8);
  EXPECT_THAT(lookup->contact, IsEmpty());
  EXPECT_EQ(encoded<encode_lookup>(*lookup), body);
}

TEST(Lookup, WantsSomethingAndNotTooMuch) {
  Bytes body = golden("lookup");
  body[8] = 0;
  EXPECT_EQ(error_of(decode_lookup(body)), DecodeError::bad_value);
  body[8] = limits::contacts_per_frame_max;
  EXPECT_TRUE(decode_lookup(body));
  body[8] = limits::contacts_per_frame_max + 1;
  EXPECT_EQ(error_of(decode_lookup(body)), DecodeError::over_limit);
}

TEST(Lookup, BringsAContactWithinTheLimit) {
  const auto body_with = [](std::size_t contact_bytes) {
    Bytes out;
    Writer writer{out};
    writer.u64(1);
    writer.u8(1);
    writer.bytes_u16(Bytes(contact_bytes, 0x11));
    return out;
  };
  const Bytes largest = body_with(limits::contact_bytes_max);
  EXPECT_THAT(decode_lookup(largest)->contact, SizeIs(limits::contact_bytes_max));
  EXPECT_EQ(error_of(decode_lookup(body_with(limits::contact_bytes_max + 1))),
            DecodeError::over_limit);
}

TEST(LookupAnswer, IsTheGoldenOne) {
  const Bytes body = golden("lookup_answer");
  const auto answer = decode_lookup_answer(body);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->nonce, 0x1122334455667788u);
  ASSERT_THAT(answer->contacts, SizeIs(2));
  EXPECT_THAT(answer->contacts[0], SizeIs(137));
  EXPECT_THAT(answer->contacts[1], SizeIs(115));
  EXPECT_EQ(encoded<encode_lookup_answer>(*answer), body);
}

TEST(LookupAnswer, KeepsTheLimits) {
  const Bytes nonce(8, 0);
  const std::size_t count = limits::contacts_per_frame_max;
  const std::size_t size = limits::contact_bytes_max;
  EXPECT_TRUE(decode_lookup_answer(with_records(nonce, 0, 0)));
  const Bytes fullest = with_records(nonce, count, size);
  EXPECT_THAT(decode_lookup_answer(fullest)->contacts, SizeIs(count));
  EXPECT_EQ(error_of(decode_lookup_answer(with_records(nonce, count + 1, 1))),
            DecodeError::over_limit);
  EXPECT_EQ(error_of(decode_lookup_answer(with_records(nonce, 1, size + 1))),
            DecodeError::over_limit);
  EXPECT_EQ(error_of(decode_lookup_answer(with_records(nonce, 2, 0))), DecodeError::bad_value);
}

TEST(Unreachable, IsTheGoldenOne) {
  const Bytes body = golden("unreachable");
  const auto notice = decode_unreachable(body);
  ASSERT_TRUE(notice);
  EXPECT_EQ(notice->reason, UnreachableReason::dead_end);
  EXPECT_EQ(notice->kind, EnvelopeKind::session_data);
  EXPECT_EQ(notice->tag, 0xcafe0001);
  EXPECT_EQ(notice->target.to_hex(), "0a651dd6e6272f83a5dbe0e7ecdb7d6351ee106a");
  EXPECT_EQ(encoded<encode_unreachable>(*notice), body);
}

TEST(Unreachable, HasOneOfTheReasonsThatTravel) {
  const auto with_reason = [](std::uint8_t reason) {
    Bytes body = golden("unreachable");
    body[0] = reason;
    return decode_unreachable(body);
  };
  for (const std::uint8_t reason : Bytes{1, 2, 3, 4}) EXPECT_TRUE(with_reason(reason));
  for (const std::uint8_t reason : Bytes{5, 63}) {
    EXPECT_EQ(error_of(with_reason(reason)), DecodeError::unknown);
  }
  for (const std::uint8_t reason : Bytes{0, 64, 65, 255}) {
    EXPECT_EQ(error_of(with_reason(reason)), DecodeError::bad_value);
  }
}

TEST(NeighbourContacts, IsTheGoldenOne) {
  const Bytes body = golden_body("contacts");
  const auto contacts = decode_neighbour_contacts(body);
  ASSERT_TRUE(contacts);
  EXPECT_EQ(contacts->purpose, ContactsPurpose::neighbours);
  ASSERT_THAT(contacts->contacts, SizeIs(2));
  EXPECT_THAT(contacts->contacts[0], SizeIs(137));
  EXPECT_EQ(encoded<encode_neighbour_contacts>(*contacts), body);
}

TEST(NeighbourContacts, HasAKnownPurpose) {
  for (const std::uint8_t purpose : Bytes{1, 2, 3}) {
    EXPECT_EQ(decode_neighbour_contacts(Bytes{purpose, 0})->purpose, ContactsPurpose{purpose});
  }
  for (const std::uint8_t purpose : Bytes{0, 4, 255}) {
    EXPECT_EQ(error_of(decode_neighbour_contacts(Bytes{purpose, 0})), DecodeError::unknown);
  }
}

TEST(NeighbourContacts, KeepsTheLimits) {
  const std::size_t count = limits::contacts_per_frame_max;
  EXPECT_TRUE(decode_neighbour_contacts(with_records({1}, count, limits::contact_bytes_max)));
  EXPECT_EQ(error_of(decode_neighbour_contacts(with_records({1}, count + 1, 1))),
            DecodeError::over_limit);
  EXPECT_EQ(
      error_of(decode_neighbour_contacts(with_records({1}, 1, limits::contact_bytes_max + 1))),
      DecodeError::over_limit);
  EXPECT_EQ(error_of(decode_neighbour_contacts(with_records({1}, 1, 0))), DecodeError::bad_value);
}

TEST(ContactViews, ComeBackInTheirOrder) {
  Random random{seed};
  for (int i = 0; i < 200; ++i) {
    SCOPED_TRACE(testing::Message() << "try " << i << " of seed " << seed);
    std::vector<Bytes> owned(random.below(limits::contacts_per_frame_max + 1));
    LookupAnswer answer{.nonce = random.next(), .contacts = {}};
    for (Bytes& record : owned) {
      record.assign(1 + random.below(limits::contact_bytes_max),
                    static_cast<std::uint8_t>(random.next()));
      answer.contacts.push_back(record);
    }
    const Bytes body = encoded<encode_lookup_answer>(answer);
    const auto decoded = decode_lookup_answer(body);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->nonce, answer.nonce);
    ASSERT_THAT(decoded->contacts, SizeIs(owned.size()));
    for (std::size_t n = 0; n < owned.size(); ++n) {
      EXPECT_THAT(decoded->contacts[n], ElementsAreArray(owned[n]));
    }
  }
}

TEST(DialBack, IsTheGoldenOne) {
  const Bytes body = golden_body("dial_back");
  const auto request = decode_dial_back(body);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->token, 0x5eed5eedu);
  EXPECT_EQ(request->scheme, Scheme::wss);
  EXPECT_EQ(request->port, 8443);
  EXPECT_EQ(encoded<encode_dial_back>(*request), body);
}

TEST(DialBack, NamesASchemeAndAPort) {
  EXPECT_TRUE(decode_dial_back(Bytes{0, 0, 0, 0, 2, 0, 1}));
  EXPECT_EQ(error_of(decode_dial_back(Bytes{0, 0, 0, 0, 3, 0, 1})), DecodeError::unknown);
  EXPECT_EQ(error_of(decode_dial_back(Bytes{0, 0, 0, 0, 0, 0, 0})), DecodeError::bad_value);
}

TEST(DialBackResult, IsTheGoldenOne) {
  const Bytes body = golden_body("dial_back_result");
  const auto result = decode_dial_back_result(body);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->token, 0x5eed5eedu);
  EXPECT_TRUE(result->reached);
  EXPECT_EQ(encoded<encode_dial_back_result>(*result), body);
}

TEST(DialBackResult, IsYesOrNo) {
  EXPECT_FALSE(decode_dial_back_result(Bytes{0, 0, 0, 0, 0})->reached);
  EXPECT_EQ(error_of(decode_dial_back_result(Bytes{0, 0, 0, 0, 2})), DecodeError::bad_value);
}

}  // namespace
}  // namespace peer_relay
