// SPDX-License-Identifier: MIT
#include "scenario.hpp"

#include <gtest/gtest.h>

namespace peer_relay::sim {
namespace {

Report play(std::string_view name, std::uint64_t usual_seed, std::size_t nodes = 60) {
  const Scenario* const scenario = find_scenario(name);
  EXPECT_NE(scenario, nullptr);
  return scenario->run(*scenario,
                       {.nodes = nodes, .seed = seed_from_environment(usual_seed), .progress = {}});
}

std::string failures(const Report& report) {
  std::string out;
  for (const Finding& finding : report.findings) {
    if (finding.passed == false) out += finding.name + ": " + finding.value + "\n";
  }
  return out;
}

class Storms : public testing::TestWithParam<const char*> {};

/// Those whose aims are met, small; the others and larger worlds: `peer-relay sim`.
TEST_P(Storms, Pass) {
  const Report report = play(GetParam(), 1);
  EXPECT_EQ(failures(report), "") << report.command;
}

INSTANTIATE_TEST_SUITE_P(Small, Storms,
                         testing::Values("bootstrap-loss", "droppers", "eclipse", "join-flood",
                                         "kill25", "kill50", "misrouters", "partition-heal",
                                         "reconnect-storm"));

TEST(Scenarios, TheSameSeedIsTheSameReport) {
  Report one = play("kill25", 3);
  Report other = play("kill25", 3);
  one.wall_seconds = other.wall_seconds = 0;
  EXPECT_EQ(json_of(one), json_of(other));
  EXPECT_NE(one.event_hash, play("kill25", 4).event_hash);
}

// Storms of each kind of event: dials and data channels, deaths, tearing, slow links, lies.
class Threads : public testing::TestWithParam<const char*> {};

TEST_P(Threads, ChangeNothing) {
  const Scenario& scenario = *find_scenario(GetParam());
  const auto run_with = [&, seed = seed_from_environment(6)](std::size_t threads) {
    Report report =
        scenario.run(scenario, {.nodes = 40, .seed = seed, .threads = threads, .progress = {}});
    report.wall_seconds = report.memory_per_node = 0;
    report.threads = 1;
    return json_of(report);
  };
  EXPECT_EQ(run_with(1), run_with(3));
}

INSTANTIATE_TEST_SUITE_P(Any, Threads,
                         testing::Values("browsers", "kill25", "misrouters", "partition-heal",
                                         "slow", "steady"));

TEST(Scenarios, LiarsBreakNoLaw) {
  for (const char* const name : {"droppers", "misrouters", "eclipse"}) {
    for (const Finding& finding : play(name, 5).findings) {
      if (finding.name == "laws broken") {
        EXPECT_EQ(finding.value, "0") << name;
      }
    }
  }
}

}  // namespace
}  // namespace peer_relay::sim
