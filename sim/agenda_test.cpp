// SPDX-License-Identifier: MIT
#include "agenda.hpp"

#include <set>

#include <gtest/gtest.h>

#include "base/random.hpp"
#include "world.hpp"

namespace peer_relay::sim {
namespace {

struct Due {
  TimePoint at{};
  std::uint64_t order = 0;
  bool operator<(const Due& other) const {
    return at != other.at ? at > other.at : order > other.order;
  }
};

TEST(Agenda, GivesWhatARowInOrderWouldGive) {
  Random random{seed_from_environment(5)};
  Agenda<Due> agenda;
  std::set<std::pair<TimePoint, std::uint64_t>> row;
  TimePoint now{std::chrono::seconds{1}};
  std::uint64_t order = 0;
  for (int round = 0; round < 3000; ++round) {
    // At once, in a moment, soon, and in many minutes.
    constexpr std::int64_t spans[] = {1, 2'000, 300'000, 600'000'000};
    for (std::uint64_t i = random.below(4); i > 0; --i) {
      const Duration wait{static_cast<std::int64_t>(
          random.below(static_cast<std::uint64_t>(spans[random.below(std::size(spans))])))};
      agenda.add({now + wait, order});
      row.emplace(now + wait, order++);
    }
    const TimePoint least = row.empty() ? never : row.begin()->first;
    EXPECT_LE(agenda.earliest(), least);
    if (least != never) {
      EXPECT_LT(least - agenda.earliest(), Agenda<Due>::slot_time);
    }
    const TimePoint until = now + Duration{static_cast<std::int64_t>(
                                      random.below(random.below(50) == 0 ? 90'000'000 : 3'000))};
    while (const auto due = agenda.pop(until)) {
      ASSERT_FALSE(row.empty());
      ASSERT_EQ((std::pair{due->at, due->order}), *row.begin());
      row.erase(row.begin());
    }
    EXPECT_TRUE(row.empty() || row.begin()->first > until);
    now = until;
  }
}

TEST(Agenda, ASlotEndsBeforeTheNextBegins) {
  const TimePoint at{std::chrono::seconds{7}};
  const TimePoint end = Agenda<Due>::end_of_slot(at);
  EXPECT_GE(end, at);
  EXPECT_LT(end, at + Agenda<Due>::slot_time);
  EXPECT_EQ(Agenda<Due>::end_of_slot(end), end);
  EXPECT_EQ(Agenda<Due>::end_of_slot(end + Duration{1}), end + Agenda<Due>::slot_time);
}

}  // namespace
}  // namespace peer_relay::sim
