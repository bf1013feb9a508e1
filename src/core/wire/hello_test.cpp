// SPDX-License-Identifier: MIT
#include "core/wire/hello.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "peer_relay/limits.hpp"
#include "tests/support/decoding.hpp"
#include "tests/support/vectors.hpp"

namespace peer_relay {
namespace {

using testing::ElementsAreArray;
using testing::IsEmpty;

const NetworkHash public_network{0x6e, 0xb7, 0x18, 0xa8, 0xd8, 0x02, 0x8f, 0xf3,
                                 0xfb, 0x72, 0x58, 0x5a, 0x13, 0x1e, 0x38, 0x46};

TEST(Hello, IsTheGoldenOne) {
  const Bytes message = golden("hello");
  const auto hello = decode_hello(message);
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->version, protocol_version);
  EXPECT_EQ(hello->network, public_network);
  EXPECT_THAT(hello->noise, ElementsAreArray(BytesView{message}.subspan(Hello::prologue_bytes)));

  Bytes encoded;
  encode_hello(*hello, encoded);
  EXPECT_EQ(encoded, message);
}

TEST(Hello, OfAnotherVersionIsNotReadFurther) {
  Bytes message = golden("hello");
  message[4] = 2;
  message.resize(5);  // whatever version 2 may have there
  const auto hello = decode_hello(message);
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->version, 2);
  EXPECT_THAT(hello->noise, IsEmpty());
}

TEST(Hello, OfAnotherProtocolIsNone) {
  EXPECT_EQ(error_of(decode_hello(as_bytes("GET / HTTP/1.1\r\n"))), DecodeError::bad_value);
  EXPECT_EQ(error_of(decode_hello(as_bytes("PRL"))), DecodeError::truncated);
}

TEST(HelloReply, TellsItsTwoKinds) {
  EXPECT_EQ(reply_kind(golden("accepted")), HelloReply::accepted);
  EXPECT_EQ(reply_kind(golden("refused")), HelloReply::refused);
  EXPECT_EQ(error_of(reply_kind({})), DecodeError::truncated);
  EXPECT_EQ(error_of(reply_kind(Bytes{0})), DecodeError::unknown);
  EXPECT_EQ(error_of(reply_kind(Bytes{3})), DecodeError::unknown);
}

TEST(HelloReply, IsNotReadAsTheOtherKind) {
  EXPECT_EQ(error_of(decode_accepted(golden("refused"))), DecodeError::unknown);
  EXPECT_EQ(error_of(decode_refused(golden("accepted"))), DecodeError::unknown);
}

TEST(Accepted, IsTheGoldenOne) {
  const Bytes message = golden("accepted");
  const auto accepted = decode_accepted(message);
  ASSERT_TRUE(accepted);
  EXPECT_THAT(accepted->noise, ElementsAreArray(BytesView{message}.subspan(1)));

  Bytes encoded;
  encode_accepted(accepted->noise, encoded);
  EXPECT_EQ(encoded, message);
}

TEST(Refused, IsTheGoldenOne) {
  const Bytes message = golden("refused");
  const auto refused = decode_refused(message);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->reason, CloseReason::wrong_network);
  EXPECT_EQ(refused->version, 1);
  EXPECT_EQ(refused->network, "private");

  Bytes encoded;
  encode_refused(*refused, encoded);
  EXPECT_EQ(encoded, message);
}

TEST(Refused, WithAReasonThatDoesNotTravelIsAProtocolError) {
  for (const std::uint8_t reason : Bytes{12, 64, 255}) {
    EXPECT_EQ(decode_refused(Bytes{2, reason, 1, 0})->reason, CloseReason::protocol_error);
  }
}

TEST(Refused, NamesItsNetworkForNoOtherReason) {
  EXPECT_TRUE(decode_refused(Bytes{2, 1, 1, 0}));
  EXPECT_EQ(error_of(decode_refused(Bytes{2, 1, 1, 1, 'x'})), DecodeError::bad_value);
}

TEST(Refused, NamesANetworkThatCanBeShown) {
  EXPECT_EQ(error_of(decode_refused(Bytes{2, 5, 1, 2, 'a', 0x1b})), DecodeError::bad_value);
  EXPECT_EQ(error_of(decode_refused(Bytes{2, 5, 1, 1, 0xff})), DecodeError::bad_value);
}

TEST(Refused, NamesANetworkWithinTheLimit) {
  const auto refused_with = [](std::size_t name_bytes) {
    Bytes message{2, 5, 1, static_cast<std::uint8_t>(name_bytes)};
    message.resize(message.size() + name_bytes, 'n');
    return message;
  };
  EXPECT_TRUE(decode_refused(refused_with(limits::network_bytes_max)));
  EXPECT_EQ(error_of(decode_refused(refused_with(limits::network_bytes_max + 1))),
            DecodeError::over_limit);
}

/// Written by hand, for the encoder keeps the limits that the decoder is tested for.
Bytes introduction_with(std::string_view agent, std::string_view host, std::size_t contact_bytes) {
  Bytes out(36, 0x11);
  out.push_back(static_cast<std::uint8_t>(agent.size()));
  out.insert(out.end(), agent.begin(), agent.end());
  out.push_back(static_cast<std::uint8_t>(host.size()));
  out.insert(out.end(), host.begin(), host.end());
  out.push_back(static_cast<std::uint8_t>(contact_bytes >> 8));
  out.push_back(static_cast<std::uint8_t>(contact_bytes));
  out.resize(out.size() + contact_bytes, 0x22);
  return out;
}

TEST(Introduction, IsTheGoldenOne) {
  const Bytes payload = golden("introduction");
  const auto introduction = decode_introduction(payload);
  ASSERT_TRUE(introduction);
  EXPECT_THAT(introduction->key, ElementsAreArray(BytesView{payload}.first(32)));
  EXPECT_EQ(introduction->features, feature_relays);
  EXPECT_EQ(introduction->agent, "peer-relay/0.1.0");
  EXPECT_EQ(introduction->observed_host, "198.51.100.7");
  EXPECT_THAT(introduction->contact, IsEmpty());

  Bytes encoded;
  encode_introduction(*introduction, encoded);
  EXPECT_EQ(encoded, payload);
}

TEST(Introduction, BringsAContactRecord) {
  const Bytes contact = golden("contact");
  Bytes encoded;
  encode_introduction(
      {.key = {}, .features = 0, .agent = "x", .observed_host = {}, .contact = contact}, encoded);
  const auto introduction = decode_introduction(encoded);
  ASSERT_TRUE(introduction);
  EXPECT_THAT(introduction->contact, ElementsAreArray(contact));
}

TEST(Introduction, KeepsFeaturesOfLaterVersions) {
  Bytes payload = golden("introduction");
  payload[32] = 0x80;
  EXPECT_EQ(decode_introduction(payload)->features, 0x80000001);
}

TEST(Introduction, KeepsTheLimits) {
  const std::string agent(limits::agent_bytes_max, 'a');
  EXPECT_TRUE(decode_introduction(introduction_with(agent, "", limits::contact_bytes_max)));
  EXPECT_EQ(error_of(decode_introduction(introduction_with(agent + "a", "", 0))),
            DecodeError::over_limit);
  EXPECT_EQ(error_of(decode_introduction(introduction_with("", "", limits::contact_bytes_max + 1))),
            DecodeError::over_limit);
}

TEST(Introduction, NamesAnAgentThatCanBeShown) {
  EXPECT_EQ(error_of(decode_introduction(introduction_with("a\nb", "", 0))),
            DecodeError::bad_value);
}

TEST(Introduction, SeesTheOtherAtAnIpAddressOrNowhere) {
  const auto observed = [](std::string_view host) {
    const Bytes payload = introduction_with("", host, 0);
    const auto introduction = decode_introduction(payload);
    return introduction ? std::string{introduction->observed_host} : "refused";
  };
  EXPECT_EQ(observed("2001:db8::1"), "2001:db8::1");
  EXPECT_EQ(observed("198.51.100.7"), "198.51.100.7");
  EXPECT_EQ(observed("evil.example"), "");
  EXPECT_EQ(observed("fe80::1%eth0"), "");
  EXPECT_EQ(observed("[::1]"), "");
  EXPECT_EQ(observed(std::string(255, 'a')), "");
}

}  // namespace
}  // namespace peer_relay
