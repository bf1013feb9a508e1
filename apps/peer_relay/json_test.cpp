// SPDX-License-Identifier: MIT
#include "json.hpp"

#include <chrono>

#include <gtest/gtest.h>

namespace peer_relay::app {
namespace {

using namespace std::chrono_literals;

const std::string someone(40, 'a');

Message message(Payload payload) {
  return {.from = *NodeId::from_hex(someone), .payload = std::move(payload), .hops = 2};
}

Json line(Payload payload) { return Json::parse(message_line("", message(std::move(payload)))); }

TEST(JsonOfMessage, GivesTextAsAString) {
  EXPECT_EQ(message_line("", message(Payload::of_text("say \"hi\"\n"))),
            R"({"msg":"say \"hi\"\n","from":")" + someone + R"(","hops":2})");
}

TEST(JsonOfMessage, GivesJsonAsItIsOnOneLine) {
  const std::string text =
      message_line(R"("event":"message",)", message(Payload::of_json("{\"a\":\n [1, 2.50]}")));
  EXPECT_EQ(text, R"({"event":"message","msg":{"a":  [1, 2.50]},"json":true,"from":")" + someone +
                      R"(","hops":2})");
}

TEST(JsonOfMessage, GivesOtherBytesInBase64) {
  const Json object = line(Payload::of_text("\xff\x00"));
  EXPECT_FALSE(object.contains("msg"));
  EXPECT_EQ(object["bytes"], "/w==");
}

TEST(JsonOfMessage, DoesNotTrustASenderThatSaysJson) {
  const std::string deep(10'000, '[');
  const std::string shut(10'000, ']');
  const std::string nul{"{}\0,\"from\":\"me\"", 15};
  for (const std::string& claim : {std::string{"{\"a\":"}, std::string{"1} {"}, std::string{},
                                   deep + shut, nul, std::string{"\xef\xbb\xbf{}"}}) {
    const Json object = line(Payload::of_json(claim));
    EXPECT_FALSE(object.contains("json")) << claim.substr(0, 20);
    EXPECT_EQ(object["msg"], claim);
    EXPECT_EQ(object["from"], someone);
  }
}

TEST(JsonOfMessage, SaysWhenItIsNotAuthenticated) {
  Message old = message(Payload::of_text("x"));
  old.authenticated = false;
  EXPECT_EQ(Json::parse(message_line("", old))["authenticated"], false);
  EXPECT_FALSE(line(Payload::of_text("x")).contains("authenticated"));
}

TEST(JsonOfSendResult, NamesTheReasonAndThePlace) {
  const SendResult result{.outcome = SendResult::Outcome::unreachable,
                          .reason = UnreachableReason::dead_end,
                          .where = *NodeId::from_hex(someone),
                          .elapsed = 1500us,
                          .attempts = 2};
  EXPECT_EQ(line_of(json_of(result)), R"({"outcome":"unreachable","reason":"dead_end","where":")" +
                                          someone + R"(","elapsed_ms":1.5,"attempts":2})");
}

TEST(JsonOfStats, ListsOnlyReasonsThatOccurred) {
  Stats stats;
  stats.dropped[static_cast<std::size_t>(DropReason::queue_full)] = 3;
  const Json object = json_of(stats);
  EXPECT_EQ(line_of(object["dropped"]), R"({"queue_full":3})");
  EXPECT_EQ(line_of(object["closed"]), "{}");
}

TEST(JsonLine, ReplacesBytesOfStrangersThatAreNoText) {
  const Problem problem{.kind = Problem::Kind::wrong_network, .where = "ws://a", .detail = "\xff"};
  EXPECT_EQ(line_of(json_of(problem)),
            "{\"kind\":\"wrong_network\",\"where\":\"ws://a\",\"detail\":\"\xef\xbf\xbd\"}");
}

TEST(JsonMembers, OfTheWrongTypeAreMissing) {
  const Json object = Json::parse(R"({"to":5,"n":"5","yes":true})");
  EXPECT_EQ(text_in(object, "to"), "");
  EXPECT_EQ(number_in(object, "n", 7), 7);
  EXPECT_TRUE(flag_in(object, "yes"));
  EXPECT_FALSE(flag_in(object, "no"));
  EXPECT_TRUE(member_of(Json::array(), "to").is_null());
}

}  // namespace
}  // namespace peer_relay::app
