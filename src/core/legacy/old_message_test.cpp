// SPDX-License-Identifier: MIT
#include "core/legacy/old_message.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.hpp"
#include "tests/legacy/hostile.hpp"

namespace peer_relay::legacy {

void PrintTo(Fault fault, std::ostream* os) { *os << name_of(fault); }

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const NodeId alice = *NodeId::from_hex("3f7d912d59a56aff1f3bd97e7aad402a441cd13e");
const NodeId relay = *NodeId::from_hex("1cb466941d38775172d8222e8c772608ae87a05b");
const NodeId bob = *NodeId::from_hex("0cbe1a5bfec8acc4b88619fd86104f9dfbfc727c");

std::string with_data(const std::string& data, const std::string& more = "") {
  return "{\"to\":\"" + bob.to_hex() + "\",\"from\":\"" + alice.to_hex() + "\",\"path\":[\"" +
         alice.to_hex() + "\"],\"nonce\":\"946148946175253\",\"data\":" + data + more + "}";
}

TEST(OldId, IsReadInThreeForms) {
  EXPECT_EQ(read_id(id_text(alice)), alice);
  EXPECT_EQ(read_id('"' + alice.to_hex() + '"'), alice);
  EXPECT_EQ(read_id("\"3F7D912D59A56AFF1F3BD97E7AAD402A441CD13E\""), alice);
  EXPECT_EQ(read_id(" [63,125,145,45,89,165,106,255,31,59,217,126,122,173,64,42,68,28,209,62]\n"),
            alice);
}

TEST(OldId, IsWrittenAsEveryVersionDoes) {
  EXPECT_EQ(id_text(bob),
            "{\"type\":\"Buffer\",\"data\":[12,190,26,91,254,200,172,196,184,134,25,253,134,16,79,"
            "157,251,252,114,124]}");
}

TEST(OldMessage, IsReadAsAnOriginWritesIt) {
  const std::string text = with_data("{\"type\":\"user\",\"data\":\"one\"}");
  const auto message = read_message(text);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->to, bob);
  EXPECT_EQ(message->from, alice);
  EXPECT_THAT(message->path, ElementsAre(alice));
  EXPECT_EQ(message->nonce, "946148946175253");
  EXPECT_EQ(message->type, OldType::user);
  EXPECT_EQ(message->content, "\"one\"");
}

TEST(OldMessage, IsReadAsAnOldRelayWritesIt) {
  const std::string text =
      R"({"to":{"type":"Buffer","data":[12,190,26,91,254,200,172,196,184,134,25,253,134,16,79,157,251,252,114,124]},)"
      R"("from":{"type":"Buffer","data":[63,125,145,45,89,165,106,255,31,59,217,126,122,173,64,42,68,28,209,62]},)"
      R"("path":["3f7d912d59a56aff1f3bd97e7aad402a441cd13e","1cb466941d38775172d8222e8c772608ae87a05b"],)"
      R"("nonce":"946148946175253","data":{"type":"user","data":"one"}})";
  const auto message = read_message(text);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->to, bob);
  EXPECT_EQ(message->from, alice);
  EXPECT_THAT(message->path, ElementsAre(alice, relay));
}

TEST(OldMessage, IsRelayedInHexAndOtherwiseAsItCame) {
  const std::string data =
      "{ \"type\" : \"user\",\"data\": [1.50, 1e2, -0, \"\\u00e9\", {\"a\":null}] }";
  const std::string text = with_data(data, R"(, "x\u0079" : [ 1.0 ],"z":true)");
  const auto message = read_message(text);
  ASSERT_TRUE(message);
  EXPECT_EQ(relayed_text(*message, relay),
            "{\"to\":\"" + bob.to_hex() + "\",\"from\":\"" + alice.to_hex() + "\",\"path\":[\"" +
                alice.to_hex() + "\",\"" + relay.to_hex() +
                "\"],\"nonce\":\"946148946175253\",\"data\":" + data +
                R"(,"x\u0079":[ 1.0 ],"z":true})");
  EXPECT_EQ(fault_of(relayed_text(*message, relay), false), std::nullopt);
}

TEST(OldMessage, KeepsEveryValueOfAnApplication) {
  for (const char* value :
       {"null", "true", "false", "0", "-1", "12345678901234567890", "1.0", "1e5", "0.1E-7", "\"\"",
        "\"a\\\"b\\\\\"", "[]", "{}", "[[],{}]", R"({"type":"Buffer","data":"x"})",
        R"({"to":1,"data":{"data":2}})", "[1, 2 ,3 ]", " 7 "}) {
    const std::string text = with_data(std::string{"{\"type\":\"user\",\"data\":"} + value + "}");
    const auto message = read_message(text);
    ASSERT_TRUE(message) << value;
    std::string_view bare = value;
    while (bare.starts_with(' ')) bare.remove_prefix(1);
    while (bare.ends_with(' ')) bare.remove_suffix(1);
    EXPECT_EQ(message->content, bare);
    EXPECT_EQ(payload_of(message->content).text(), bare);
  }
}

TEST(OldMessage, UndefinedArrivesAsNull) {
  const std::string text = with_data("{\"type\":\"user\"}");
  const auto message = read_message(text);
  ASSERT_TRUE(message);
  EXPECT_EQ(payload_of(message->content).text(), "null");
}

TEST(OldMessage, BytesGoAndComeAsABuffer) {
  const Bytes bytes{0, 7, 255, 128};
  const std::string text = with_data(user_data({ContentType::bytes, bytes}));
  EXPECT_THAT(text, HasSubstr(R"({"type":"user","data":{"type":"Buffer","data":[0,7,255,128]}})"));
  const auto message = read_message(text);
  ASSERT_TRUE(message);
  const Payload payload = payload_of(message->content);
  EXPECT_EQ(payload.type, ContentType::bytes);
  EXPECT_EQ(payload.bytes, bytes);
}

TEST(OldMessage, ContentsOfEachType) {
  const auto found = read_message(with_data(found_peers_data({alice, relay})));
  ASSERT_TRUE(found);
  EXPECT_THAT(found->found, ElementsAre(alice, relay));
  const auto sought = read_message(with_data(find_peers_data(relay)));
  ASSERT_TRUE(sought);
  EXPECT_EQ(sought->sought, relay);
  const auto answer = read_message(with_data(handshake_answer_data("ws://localhost:22101")));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->ws, "ws://localhost:22101");
  const auto none = read_message(with_data(handshake_answer_data("")));
  ASSERT_TRUE(none);
  EXPECT_EQ(none->ws, "");
  EXPECT_EQ(read_message(with_data(handshake_offer_data()))->type, OldType::handshake_offer);
  EXPECT_EQ(read_message(with_data(R"({"type":"later"})"))->type, OldType::other);
  EXPECT_EQ(read_message(with_data("{}"))->type, OldType::other);
}

TEST(OldMessage, NothingThatKillsAnOldNodeIsReadOrWritten) {
  for (const testing::Hostile& hostile : testing::hostile_texts(bob, alice)) {
    const auto fault = hostile.is_first ? [&]() -> std::optional<Fault> {
      const auto id = read_id(hostile.text);
      return id ? std::nullopt : std::optional{id.error()};
    }()
        : [&]() -> std::optional<Fault> {
            const auto message = read_message(hostile.text);
            return message ? std::nullopt : std::optional{message.error()};
          }();
    EXPECT_TRUE(fault) << hostile.text.substr(0, 200);
    EXPECT_TRUE(fault_of(hostile.text, hostile.is_first)) << hostile.text.substr(0, 200);
  }
}

TEST(OldMessage, HasBounds) {
  const auto fault = [](const std::string& text) {
    const auto message = read_message(text);
    return message ? std::nullopt : std::optional{message.error()};
  };
  const auto nested = [](std::size_t depth) {
    return with_data("{\"type\":\"user\",\"data\":" + std::string(depth, '[') +
                     std::string(depth, ']') + "}");
  };
  EXPECT_EQ(fault(nested(depth_max - 2)), std::nullopt);
  EXPECT_EQ(fault(nested(depth_max - 1)), Fault::too_deep);
  EXPECT_EQ(
      fault(with_data("{\"type\":\"user\",\"data\":\"" + std::string(text_bytes_max, 'x') + "\"}")),
      Fault::too_large);
  std::string fields;
  for (std::size_t i = 0; i <= extra_fields_max; ++i) fields += ",\"f" + std::to_string(i) + "\":1";
  EXPECT_EQ(fault(with_data("{}", fields)), Fault::many_fields);
  fields.clear();
  for (std::size_t i = 0; i < 100'000; ++i) fields += ",\"\":1";
  EXPECT_EQ(fault(with_data("{}", fields.substr(0, text_bytes_max / 2))), Fault::many_fields);
  EXPECT_TRUE(is_json(std::string(depth_max - 2, '[') + std::string(depth_max - 2, ']')));
  EXPECT_FALSE(is_json(std::string(depth_max - 1, '[') + std::string(depth_max - 1, ']')));
  EXPECT_FALSE(is_json(""));
  EXPECT_FALSE(
      is_json("\xef\xbb\xbf"
              "1"));
  EXPECT_FALSE(is_json("\"\xff\""));
  EXPECT_FALSE(is_json(std::string_view{"3\0001", 3}));
}

TEST(OldMessage, TheJudgeWantsOurOwnForm) {
  EXPECT_EQ(fault_of(id_text(alice), true), std::nullopt);
  EXPECT_EQ(fault_of('"' + alice.to_hex() + '"', true), Fault::not_as_we_do);
  const std::string own = message_text(bob, alice, "1", user_data(Payload::of_json("1")));
  EXPECT_EQ(fault_of(own, false), std::nullopt);
  std::string as_buffer = own;
  testing::replace_all(as_buffer, '"' + bob.to_hex() + '"', id_text(bob));
  EXPECT_TRUE(read_message(as_buffer));
  EXPECT_EQ(fault_of(as_buffer, false), Fault::not_as_we_do);
  std::string pathless = own;
  testing::replace_all(pathless, "[\"" + alice.to_hex() + "\"]", "[]");
  EXPECT_TRUE(read_message(pathless));
  EXPECT_EQ(fault_of(pathless, false), Fault::bad_path);
}

}  // namespace
}  // namespace peer_relay::legacy
