// SPDX-License-Identifier: MIT
#include "crew.hpp"

#include <array>

#include <gtest/gtest.h>

namespace peer_relay::sim {
namespace {

TEST(Crew, SeesWhatOthersWroteBeforeTheyMet) {
  constexpr std::size_t members = 3;
  constexpr int rounds = 2000;
  std::array<int, members> written{};
  std::array<int, members> wrong{};
  Crew* crew = nullptr;
  Crew own{members, [&](std::size_t self) {
             for (int round = 1; round <= rounds; ++round) {
               written[self] = round;
               crew->meet();
               for (const int other : written) wrong[self] += other != round;
               crew->meet();
             }
           }};
  crew = &own;
  own.work();
  own.work();
  EXPECT_EQ(wrong, (std::array<int, members>{}));
}

TEST(Crew, ThatIsNeverCalledGoesHome) {
  const Crew crew{3, [](std::size_t) { FAIL(); }};
}

}  // namespace
}  // namespace peer_relay::sim
