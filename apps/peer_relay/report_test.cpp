// SPDX-License-Identifier: MIT
#include "report.hpp"

#include <gmock/gmock.h>

namespace peer_relay::app {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const Json answer = Json::parse(R"({
  "id":"aa", "version":"0.1.0", "url":"ws://127.0.0.1:8000", "network":"n", "uptime_ms":60000.0,
  "pid":12, "joined":true,
  "stats":{"links":2,"messages_sent":1234,"dropped":{"dead_end":1,"hops_spent":30},"closed":{}},
  "rates":{"messages_sent":2.4}, "buckets":[{"bucket":0,"links":2,"siblings":1}],
  "peers":[
    {"id":"bbbbbbbbbb","dialed":true,"address":"ws://b\u001b[2J","bucket":0,"sibling":false,
     "rtt_ms":1.24,"age_ms":61000.0,"bytes_in":2048,"bytes_out":10},
    {"id":"cccccccccc","dialed":false,"address":"127.0.0.1:9","bucket":3,"sibling":true,
     "age_ms":1000.0,"bytes_in":0,"bytes_out":0}]})");

TEST(Report, ListsTheClosestPeersFirstInAlignedColumns) {
  EXPECT_EQ(peers_text(answer, false),
            "peer      dialed  bucket               rtt        age     in   out  address\n"
            "cccccccc  by it        3  sibling        -        1 s    0 B   0 B  127.0.0.1:9\n"
            "bbbbbbbb  by us        0           1.24 ms  1 min 1 s  2 KiB  10 B  ws://b\\x1b[2J\n");
}

TEST(Report, SaysWhenThereAreNoLinks) {
  EXPECT_EQ(peers_text(Json::parse(R"({"peers":[]})"), false), "no links\n");
}

TEST(Report, TellsTheMostFrequentReasonsFirst) {
  const std::string text = status_text(answer, false);
  EXPECT_THAT(text, HasSubstr("dropped       30 hops spent, 1 dead end\n"));
  EXPECT_THAT(text, HasSubstr("links closed  none\n"));
  EXPECT_THAT(text, HasSubstr("2: 1 to siblings; 1 we dialed, 1 came in\n"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST(Report, SurvivesANodeOfAnotherVersion) {
  EXPECT_THAT(status_text(Json::parse(R"({"ok":true})"), false), HasSubstr("none"));
  EXPECT_EQ(peers_text(Json::parse(R"({"peers":5})"), false), "no links\n");
}

}  // namespace
}  // namespace peer_relay::app
