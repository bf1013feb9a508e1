// SPDX-License-Identifier: MIT
#include "core/wire/sealed.hpp"

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

constexpr std::uint64_t seed = 41;

template <auto encode>
Bytes encoded(const auto& value) {
  Bytes out;
  encode(value, out);
  return out;
}

TEST(SessionOpen, IsTheGoldenOne) {
  const Bytes body = golden("session_open");
  const auto open = decode_session_open(body);
  ASSERT_TRUE(open);
  EXPECT_EQ(open->pattern, SessionPattern::ik);
  EXPECT_EQ(open->index, 0x01020304u);
  EXPECT_THAT(open->noise, ElementsAreArray(BytesView{body}.subspan(5)));
  EXPECT_EQ(encoded<encode_session_open>(*open), body);
}

TEST(SessionOpen, HasAKnownPattern) {
  Bytes body = golden("session_open");
  body[0] = 1;
  EXPECT_EQ(decode_session_open(body)->pattern, SessionPattern::xx);
  for (const std::uint8_t pattern : Bytes{0, 3, 255}) {
    body[0] = pattern;
    EXPECT_EQ(error_of(decode_session_open(body)), DecodeError::unknown);
  }
}

TEST(SessionAnswer, IsTheGoldenOne) {
  const Bytes body = golden("session_answer");
  const auto answer = decode_session_answer(body);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->opener_index, 0x01020304u);
  EXPECT_EQ(answer->answerer_index, 0x0a0b0c0du);
  EXPECT_THAT(answer->noise, ElementsAreArray(BytesView{body}.subspan(8)));
  EXPECT_EQ(encoded<encode_session_answer>(*answer), body);
}

TEST(SessionFinish, IsTheGoldenOne) {
  const Bytes body = golden("session_finish");
  const auto finish = decode_session_finish(body);
  ASSERT_TRUE(finish);
  EXPECT_EQ(finish->index, 0x0a0b0c0du);
  EXPECT_THAT(finish->noise, ElementsAreArray(BytesView{body}.subspan(4)));
  EXPECT_EQ(encoded<encode_session_finish>(*finish), body);
}

TEST(SessionData, IsTheGoldenOne) {
  const Bytes body = golden("session_data");
  const auto data = decode_session_data(body);
  ASSERT_TRUE(data);
  EXPECT_EQ(data->index, 0x0a0b0c0du);
  EXPECT_EQ(data->counter, 7u);
  EXPECT_THAT(data->sealed, ElementsAreArray(BytesView{body}.last(20)));

  Bytes header;
  encode_session_data_header(data->index, data->counter, header);
  EXPECT_THAT(header, ElementsAreArray(BytesView{body}.first(session_data_header_bytes)));
}

TEST(SessionData, HasATagAtLeast) {
  Bytes body = golden("session_data");
  body.resize(session_data_header_bytes + session_tag_bytes);
  EXPECT_TRUE(decode_session_data(body));
  body.pop_back();
  EXPECT_EQ(error_of(decode_session_data(body)), DecodeError::truncated);
}

TEST(SessionUnknown, IsTheGoldenOne) {
  const Bytes body = golden("session_unknown");
  const auto unknown = decode_session_unknown(body);
  ASSERT_TRUE(unknown);
  EXPECT_EQ(unknown->index, 0x0a0b0c0du);
  EXPECT_EQ(encoded<encode_session_unknown>(*unknown), body);
}

TEST(SessionPayload, IsTheGoldenOne) {
  const Bytes bytes = golden("session_payload");
  const auto payload = decode_session_payload(bytes);
  ASSERT_TRUE(payload);
  EXPECT_THAT(payload->key, ElementsAreArray(BytesView{bytes}.first(32)));
  EXPECT_EQ(payload->unix_ms, 1'767'225'600'000u);
  EXPECT_FALSE(payload->early_taken);
  ASSERT_THAT(payload->contents, SizeIs(2));
  EXPECT_EQ(decode_content(payload->contents[0])->kind, ContentKind::data);
  EXPECT_EQ(decode_content(payload->contents[1])->kind, ContentKind::probe);
  EXPECT_EQ(encoded<encode_session_payload>(*payload), bytes);
}

TEST(SessionPayload, OfTheGoldenAnswerTookTheEarlyContents) {
  const Bytes bytes = golden("session_payload_answer");
  const auto payload = decode_session_payload(bytes);
  ASSERT_TRUE(payload);
  EXPECT_TRUE(payload->early_taken);
  EXPECT_EQ(payload->unix_ms, 1'767'225'600'030u);
  EXPECT_THAT(payload->contents, IsEmpty());
  EXPECT_EQ(encoded<encode_session_payload>(*payload), bytes);
}

TEST(SessionPayload, WithAFlagOfALaterVersionIsRefused) {
  Bytes bytes = golden("session_payload");
  for (const std::uint8_t flags : Bytes{2, 3, 0x80}) {
    bytes[40] = flags;
    EXPECT_EQ(error_of(decode_session_payload(bytes)), DecodeError::unknown);
  }
}

TEST(SessionPayload, HasNoEmptyContentsAndNotTooMany) {
  const auto with_contents = [](std::size_t count, std::size_t content_bytes) {
    Bytes out(session_payload_header_bytes, 0);
    Writer writer{out};
    for (std::size_t i = 0; i < count; ++i) writer.bytes_u16(Bytes(content_bytes, 1));
    return out;
  };
  const Bytes fullest = with_contents(limits::session_waiting_max, 1);
  EXPECT_THAT(decode_session_payload(fullest)->contents, SizeIs(limits::session_waiting_max));
  EXPECT_EQ(error_of(decode_session_payload(with_contents(limits::session_waiting_max + 1, 1))),
            DecodeError::over_limit);
  EXPECT_EQ(error_of(decode_session_payload(with_contents(1, 0))), DecodeError::bad_value);
}

TEST(SessionPayload, MissesNothingOfItsLastContent) {
  const Bytes bytes = golden("session_payload");  // its last content has 9 bytes
  EXPECT_EQ(error_of(decode_session_payload(BytesView{bytes}.first(bytes.size() - 1))),
            DecodeError::truncated);
  EXPECT_EQ(error_of(decode_session_payload(BytesView{bytes}.first(bytes.size() - 10))),
            DecodeError::truncated);
  EXPECT_THAT(decode_session_payload(BytesView{bytes}.first(bytes.size() - 11))->contents,
              SizeIs(1));
}

void expect_golden_content(std::string_view name, const Content& expected) {
  const Bytes bytes = golden(name);
  const auto content = decode_content(bytes);
  ASSERT_TRUE(content) << name;
  EXPECT_EQ(content->kind, expected.kind);
  EXPECT_EQ(content->epoch, expected.epoch);
  EXPECT_EQ(content->sequence, expected.sequence);
  EXPECT_EQ(content->hops_left, expected.hops_left);
  EXPECT_EQ(content->type, expected.type);
  EXPECT_THAT(content->payload, ElementsAreArray(expected.payload));
  EXPECT_EQ(encoded<encode_content>(expected), bytes);
}

TEST(Content, IsTheGoldenOneOfEachKind) {
  const Bytes four{0xde, 0xad, 0xbe, 0xef};
  expect_golden_content("content_data", {.kind = ContentKind::data,
                                         .type = ContentType::json,
                                         .payload = as_bytes(R"({"hello":1})")});
  expect_golden_content(
      "content_data_acked",
      {.kind = ContentKind::data_acked, .epoch = 0xfeedf00d, .sequence = 0, .payload = four});
  expect_golden_content("content_probe",
                        {.kind = ContentKind::probe, .epoch = 0xfeedf00d, .sequence = 1});
  expect_golden_content("content_acknowledge", {.kind = ContentKind::acknowledge,
                                                .epoch = 0xfeedf00d,
                                                .sequence = 1,
                                                .hops_left = 29,
                                                .payload = {}});
}

TEST(Content, ASignalIsNumberedAndHasNoType) {
  const Bytes signal{0x10, 0xfe, 0xed, 0xf0, 0x0d, 0, 0, 0, 7, 4, 0};
  const auto content = decode_content(signal);
  ASSERT_TRUE(content);
  EXPECT_EQ(content->kind, ContentKind::signal);
  EXPECT_EQ(content->epoch, 0xfeedf00d);
  EXPECT_EQ(content->sequence, 7u);
  EXPECT_THAT(content->payload, ElementsAreArray({4, 0}));
  EXPECT_EQ(encoded<encode_content>(*content), signal);
}

TEST(Content, OfAnUnknownKindOrTypeIsRefused) {
  for (const std::uint8_t kind : Bytes{0, 5, 0x0f, 0x11, 0x20, 255}) {
    EXPECT_EQ(error_of(decode_content(Bytes{kind, 0, 0, 0, 0, 0, 0, 0, 0, 0})),
              DecodeError::unknown);
  }
  EXPECT_EQ(error_of(decode_content(Bytes{1, 2})), DecodeError::unknown);
}

TEST(Content, KeepsTheLimits) {
  Bytes data(2 + limits::payload_bytes_max, 1);
  EXPECT_TRUE(decode_content(data));
  data.push_back(1);
  EXPECT_EQ(error_of(decode_content(data)), DecodeError::over_limit);

  Bytes acknowledge = golden("content_acknowledge");
  acknowledge.back() = limits::hops_max;
  EXPECT_TRUE(decode_content(acknowledge));
  acknowledge.back() = limits::hops_max + 1;
  EXPECT_EQ(error_of(decode_content(acknowledge)), DecodeError::over_limit);
}

TEST(Content, OfAnyShapeComesBack) {
  Random random{seed};
  for (int i = 0; i < 2000; ++i) {
    SCOPED_TRACE(testing::Message() << "try " << i << " of seed " << seed);
    const Bytes payload(random.below(50), static_cast<std::uint8_t>(random.next()));
    const Content content{.kind = random.below(2) ? ContentKind::data : ContentKind::data_acked,
                          .epoch = static_cast<std::uint32_t>(random.next()),
                          .sequence = static_cast<std::uint32_t>(random.next()),
                          .type = random.below(2) ? ContentType::json : ContentType::bytes,
                          .payload = payload};
    const Bytes bytes = encoded<encode_content>(content);
    EXPECT_LE(bytes.size(), content_header_bytes_max + payload.size());
    const auto decoded = decode_content(bytes);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->kind, content.kind);
    EXPECT_EQ(decoded->type, content.type);
    EXPECT_THAT(decoded->payload, ElementsAreArray(payload));
    if (content.kind == ContentKind::data) continue;
    EXPECT_EQ(decoded->epoch, content.epoch);
    EXPECT_EQ(decoded->sequence, content.sequence);
  }
}

TEST(SessionPayload, OfAnyShapeComesBack) {
  Random random{seed};
  for (int i = 0; i < 500; ++i) {
    SCOPED_TRACE(testing::Message() << "try " << i << " of seed " << seed);
    std::vector<Bytes> owned(random.below(10));
    SessionPayload payload{.unix_ms = random.next(), .early_taken = random.below(2) == 1};
    for (auto& byte : payload.key) byte = static_cast<std::uint8_t>(random.next());
    for (Bytes& content : owned) {
      content.assign(1 + random.below(300), static_cast<std::uint8_t>(random.next()));
      payload.contents.push_back(content);
    }
    const Bytes bytes = encoded<encode_session_payload>(payload);
    const auto decoded = decode_session_payload(bytes);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->key, payload.key);
    EXPECT_EQ(decoded->unix_ms, payload.unix_ms);
    EXPECT_EQ(decoded->early_taken, payload.early_taken);
    ASSERT_THAT(decoded->contents, SizeIs(owned.size()));
    for (std::size_t n = 0; n < owned.size(); ++n) {
      EXPECT_THAT(decoded->contents[n], ElementsAreArray(owned[n]));
    }
  }
}

}  // namespace
}  // namespace peer_relay
