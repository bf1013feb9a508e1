// SPDX-License-Identifier: MIT
//
// Candidates that came before the offer they belong to, as messages may: kept for it, within a
// bound for all peers together.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "peer_relay/limits.hpp"
#include "peer_relay/node_id.hpp"

namespace peer_relay {

class EarlyCandidates {
 public:
  /// `number` names the offer, where offers have one. The oldest makes room.
  void keep(const NodeId& from, std::uint64_t number, std::string_view line) {
    if (kept_.size() == limits::candidates_max) kept_.pop_front();
    kept_.push_back({.from = from, .number = number, .line = std::string{line}});
  }

  /// Those of that offer, oldest first; they are forgotten here.
  std::vector<std::string> take(const NodeId& from, std::uint64_t number) {
    const auto is_of_it = [&](const Kept& each) {
      return each.from == from && each.number == number;
    };
    std::vector<std::string> lines;
    for (Kept& each : kept_) {
      if (is_of_it(each)) lines.push_back(std::move(each.line));
    }
    std::erase_if(kept_, is_of_it);
    return lines;
  }

 private:
  struct Kept {
    NodeId from{};
    std::uint64_t number = 0;
    std::string line;
  };
  std::deque<Kept> kept_;  // at most limits::candidates_max
};

}  // namespace peer_relay
