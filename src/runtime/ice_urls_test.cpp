// SPDX-License-Identifier: MIT
#include "runtime/ice_urls.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace peer_relay {
namespace {

using Kind = IceServerName::Kind;
using testing::HasSubstr;
using testing::Not;

TEST(IceUrls, AStunServerIsAHostAndAPort) {
  for (const char* text : {"stun.example.org:3479", "stun:stun.example.org:3479"}) {
    const auto server = parse_stun(text);
    ASSERT_TRUE(server) << text;
    EXPECT_EQ(server->kind, Kind::stun);
    EXPECT_EQ(server->host, "stun.example.org");
    EXPECT_EQ(server->port, 3479);
  }
  EXPECT_EQ(parse_stun("192.0.2.1")->port, 3478);
  EXPECT_EQ(parse_stun("[2001:db8::1]")->host, "2001:db8::1");
  EXPECT_EQ(parse_stun("[2001:db8::1]:5000")->port, 5000);
}

TEST(IceUrls, ATurnServerHasAUserAndASecretToo) {
  const auto server = parse_turn("me:a@b:c@turn.example.org:3480");
  ASSERT_TRUE(server);
  EXPECT_EQ(server->kind, Kind::turn_udp);
  EXPECT_EQ(server->user, "me");
  EXPECT_EQ(server->secret, "a@b:c");
  EXPECT_EQ(server->host, "turn.example.org");
  EXPECT_EQ(server->port, 3480);
  EXPECT_EQ(parse_turn("turn:me:s@[::1]?transport=tcp")->kind, Kind::turn_tcp);
  EXPECT_EQ(parse_turn("me:s@host?transport=udp")->kind, Kind::turn_udp);
}

TEST(IceUrls, WhatIsNeitherIsRefusedAndTheSecretIsNotShown) {
  for (const char* text : {"", ":3478", "host:", "host:0", "host:65536", "host:1x", "[::1",
                           "[::1]x", "a b", "http://host"}) {
    EXPECT_FALSE(parse_stun(text)) << text;
    EXPECT_FALSE(parse_turn("me:secret@" + std::string{text})) << text;
  }
  for (const char* text : {"host", "me@host", ":secret@host", "me:s@host?transport=sctp"}) {
    EXPECT_FALSE(parse_turn(text)) << text;
  }
  const auto refused = parse_turn("me:hush@host:0");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, HasSubstr("host:0"));
  EXPECT_THAT(refused.error().detail, Not(HasSubstr("hush")));
}

}  // namespace
}  // namespace peer_relay
