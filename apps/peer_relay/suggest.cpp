// SPDX-License-Identifier: MIT
#include "suggest.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace peer_relay::app {

std::size_t typing_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

std::optional<std::string> meant(std::string_view typed, std::span<const std::string> words) {
  if (typed.size() > 64) return std::nullopt;
  std::optional<std::string> best;
  std::size_t best_distance = 0;
  for (const std::string& word : words) {
    // A beginning counts as a small mistake: `boot` for `bootstrap`.
    const bool begins = typed.size() >= 3 && word.starts_with(typed);
    const std::size_t away = begins ? 1 : typing_distance(typed, word);
    if (away > std::max<std::size_t>(1, word.size() / 3)) continue;
    if (!best || away < best_distance) {
      best = word;
      best_distance = away;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view typed, std::span<const std::string> words) {
  const auto word = meant(typed, words);
  return word ? fmt::format(" (did you mean '{}'?)", *word) : "";
}

}  // namespace peer_relay::app
