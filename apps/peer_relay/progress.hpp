// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "loop.hpp"

namespace peer_relay::app {

/// A line on standard error that tells how far a long job has come, if that is a terminal and the
/// job takes more than two seconds.
class Progress {
 public:
  /// `more` follows the numbers, as "3 lost".
  struct State {
    std::uint64_t done = 0, total = 0;
    std::string more;
  };

  Progress(Loop& loop, std::function<State()> state);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

 private:
  void draw();
  void draw_again_in(Duration delay);

  Loop& loop_;
  std::function<State()> state_;
  std::chrono::steady_clock::time_point started_;
  Loop::TimerId timer_{};
  bool drawn_ = false;
};

/// "█████░░░░░  50 %  1,000 of 2,000  480/s  more"
std::string progress_text(const Progress::State& state, double seconds);

}  // namespace peer_relay::app
