// SPDX-License-Identifier: MIT
//
// The three forms of a report: each says what it should, and none trips over what a run lacks.
#include "report.hpp"

#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "svg_plot.hpp"

namespace peer_relay::sim {
namespace {

using testing::AllOf;
using testing::Each;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;
using Json = nlohmann::ordered_json;

Report sample() {
  Report report;
  report.scenario = "steady";
  report.about = "Nodes that stay, and send <hello> to each other & nobody else.";
  report.nodes = 1000;
  report.seed = 7;
  report.command = "peer-relay-sim steady --nodes 1000 --seed 7";
  report.event_hash = 0x0123456789abcdef;
  report.virtual_seconds = 312;
  report.findings = {
      {"delivered", "99.8 %", ">= 99 %", true},
      {"the 99th percentile of hops over all messages of the run", "14", "<= 10", false},
      {"messages", "1,234", "", {}}};
  report.hops = {0, 10, 200, 900, 120, 4};
  report.delivery = {{10, 400, 400}, {11, 0, 0}, {12, 434, 300}, {13, 400, 399}};
  report.storms = {{11, 11, "half of the nodes killed"}, {12, 13, "a <dark> tenth"}};
  report.links = {30, 31, 31, 35, 40};
  report.control_bytes = {90, 110, 250.5, 400};
  report.relayed_bytes = {0, 12, 800, 12000};
  report.join_envelopes = {80, 95, 130};
  report.dropped = {{"dead end", 12345}, {"hops spent", 3}};
  report.wall_seconds = 8.1;
  report.memory_per_node = 21811;
  return report;
}

std::size_t count_of(std::string_view text, std::string_view what) {
  std::size_t count = 0;
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++count;
  return count;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  for (; !text.empty(); text.remove_prefix(text.find('\n') + 1)) {
    lines.emplace_back(text.substr(0, text.find('\n')));
  }
  return lines;
}

// What a quotient of nothing by nothing would print.
auto no_odd_numbers() {
  return Not(testing::ContainsRegex("nan[^a-z]|inf[^a-z]|[^0-9a-z-]-0[^.0-9]"));
}

TEST(ReportText, BeginsWithTheRunAndEndsWithHowToRepeatIt) {
  const std::string text = text_of(sample());
  EXPECT_THAT(text, StartsWith("steady: 1,000 nodes, seed 7\nNodes that stay"));
  EXPECT_THAT(text, EndsWith("repeat with: peer-relay-sim steady --nodes 1000 --seed 7\n"
                             "event hash 0123456789abcdef, 312 s simulated in 8.1 s, "
                             "21.3 KiB a node\n"));
}

TEST(ReportText, HasATableOfFindings) {
  const std::string text = text_of(sample());
  EXPECT_THAT(text, HasSubstr("99.8 %  >= 99 %  ok\n"));
  EXPECT_THAT(text, HasSubstr("    14  <= 10    FAILED\n"));
  EXPECT_THAT(text, HasSubstr(" 1,234\n"));  // without an aim there is no word
}

TEST(ReportText, SaysHopsAndWhatWasDropped) {
  const std::string text = text_of(sample());
  EXPECT_THAT(text, HasSubstr("hops: mean 2.93, p99 4, max 5; log2 N is 10.0\n"));
  EXPECT_THAT(text, HasSubstr("dropped: 12,345 dead end, 3 hops spent\n"));
}

TEST(ReportText, FitsATerminal) {
  Report report = sample();
  report.about = std::string(30, 'x') + " " + report.about + " " + report.about;
  for (int i = 0; i < 12; ++i) report.dropped.emplace_back("one more reason", 1000);
  EXPECT_THAT(lines_of(text_of(report)), Each(SizeIs(testing::Le(80u))));
}

TEST(ReportJson, IsOneLineInTheOrderOfTheStruct) {
  const std::string line = json_of(sample());
  EXPECT_THAT(line, Not(HasSubstr("\n")));
  const Json json = Json::parse(line);
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  EXPECT_THAT(keys,
              testing::ElementsAre("scenario", "about", "nodes", "seed", "command", "event_hash",
                                   "virtual_seconds", "findings", "hops", "delivery", "storms",
                                   "links", "control_bytes", "relayed_bytes", "join_envelopes",
                                   "dropped", "machine", "passed"));
}

TEST(ReportJson, ParsesBack) {
  const Json json = Json::parse(json_of(sample()));
  EXPECT_EQ(json["event_hash"], "0123456789abcdef");
  EXPECT_EQ(json["nodes"], 1000);
  EXPECT_EQ(json["passed"], false);
  EXPECT_EQ(json["hops"], Json(sample().hops));
  EXPECT_EQ(json["delivery"][2], Json::parse(R"({"second":12.0,"sent":434,"delivered":300})"));
  EXPECT_EQ(json["findings"][2]["passed"], nullptr);
  EXPECT_EQ(json["dropped"]["dead end"], 12345);
  EXPECT_EQ(json["links"],
            Json::parse(R"({"min":30,"mean":33.4,"p50":31,"p99":40,"max":40,"count":5})"));
}

TEST(ReportJson, DiffersOnlyInTheMachinesPart) {
  const Report report = sample();
  Report elsewhere = report;
  elsewhere.wall_seconds = 99;
  elsewhere.memory_per_node = 0;
  EXPECT_NE(json_of(report), json_of(elsewhere));
  Json here = Json::parse(json_of(report));
  Json there = Json::parse(json_of(elsewhere));
  here.erase("machine");
  there.erase("machine");
  EXPECT_EQ(here.dump(), there.dump());
}

TEST(ReportHtml, IsSelfContained) {
  const std::string page = html_of({sample(), sample()});
  EXPECT_THAT(page, StartsWith("<!doctype html>"));
  for (const char* outside : {"http", "<script", "<link", "@import", "url(", "src="}) {
    EXPECT_THAT(page, Not(HasSubstr(outside)));
  }
}

TEST(ReportHtml, HasItsPlotsEachClosed) {
  const std::string page = html_of({sample()});
  EXPECT_EQ(count_of(page, "<svg "), 5u);
  for (const char* name : {"svg", "figure", "table", "section", "div", "tr", "text", "p"}) {
    const std::string opened = std::string{"<"} + name;
    EXPECT_EQ(count_of(page, opened + " ") + count_of(page, opened + ">"),
              count_of(page, std::string{"</"} + name + ">"))
        << name;
  }
}

TEST(ReportHtml, LeavesOutPlotsWithoutData) {
  Report report = sample();
  report.links.clear();
  report.delivery = {{10, 0, 0}};
  report.relayed_bytes.clear();
  EXPECT_EQ(count_of(html_of({report}), "<svg "), 3u);
}

TEST(ReportHtml, EscapesText) {
  Report report = sample();
  report.scenario = "<b>\"bold\"</b>";
  report.findings.push_back({"<i>", "<u>", "<= <s>", false});
  report.dropped.emplace_back("<em>", 1);
  report.command = "sim --x '<script>'";
  const std::string page = html_of({report, report});
  EXPECT_THAT(page, HasSubstr("send &lt;hello&gt; to each other &amp; nobody"));
  EXPECT_THAT(page, HasSubstr("&lt;b&gt;&quot;bold&quot;"));
  for (const char* raw : {"<hello>", "<b>\"", "<i>", "<u>", "<s>", "<em>", "<script", "<dark>"}) {
    EXPECT_THAT(page, Not(HasSubstr(raw)));
  }
}

TEST(ReportHtml, HasAnOverviewOfSeveral) {
  Report good = sample();
  good.findings = {{"delivered", "100 %", ">= 99 %", true}};
  const std::string page = html_of({sample(), good});
  EXPECT_THAT(page, HasSubstr("<h1>2 scenarios</h1>"));
  EXPECT_THAT(page, AllOf(HasSubstr("href=\"#scenario-2\""), HasSubstr("id=\"scenario-2\"")));
  EXPECT_THAT(page, AllOf(HasSubstr(">FAILED<"), HasSubstr(">passed<")));
  EXPECT_THAT(html_of({good}), Not(HasSubstr("FAILED")));
}

TEST(Report, MayBeEmpty) {
  EXPECT_THAT(text_of(Report{}), no_odd_numbers());
  EXPECT_TRUE(Json::accept(json_of(Report{})));
  EXPECT_THAT(html_of({Report{}}), AllOf(no_odd_numbers(), Not(HasSubstr("<svg"))));
  EXPECT_THAT(html_of({}), EndsWith("</html>\n"));
}

TEST(Report, MayHaveOneOfEach) {
  Report report;
  report.nodes = 1;
  report.hops = {1};
  report.delivery = {{0, 1, 0}};
  report.storms = {{0, 0, ""}};
  report.links = {0};
  report.control_bytes = {1};
  report.relayed_bytes = {0};
  report.join_envelopes = {0};
  const std::string page = html_of({report});
  EXPECT_EQ(count_of(page, "<svg "), 5u);
  EXPECT_THAT(page, no_odd_numbers());
  EXPECT_THAT(text_of(report), no_odd_numbers());
}

TEST(ReportNumbers, AreWrittenForPeople) {
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(1234567), "1,234,567");
  EXPECT_EQ(bytes_text(512), "512 B");
  EXPECT_EQ(bytes_text(1536), "1.5 KiB");
  EXPECT_EQ(seconds_text(0.345), "0.34 s");
  EXPECT_EQ(seconds_text(1312.4), "1,312 s");
}

TEST(ReportNumbers, HaveRoundSteps) {
  EXPECT_DOUBLE_EQ(round_step(0.3), 0.5);
  EXPECT_DOUBLE_EQ(round_step(1), 1);
  EXPECT_DOUBLE_EQ(round_step(11), 20);
  EXPECT_DOUBLE_EQ(round_step(70), 100);
  EXPECT_DOUBLE_EQ(round_step(0), 1);
}

}  // namespace
}  // namespace peer_relay::sim
