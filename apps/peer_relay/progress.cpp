// SPDX-License-Identifier: MIT
#include "progress.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "output.hpp"
#include "text.hpp"

namespace peer_relay::app {
namespace {

using namespace std::chrono_literals;

constexpr Duration first_drawn_after = 2s;
constexpr Duration drawn_every = 200ms;
constexpr std::string_view back_and_clear = "\r\x1b[K";

}  // namespace

Progress::Progress(Loop& loop, std::function<State()> state)
    : loop_{loop}, state_{std::move(state)}, started_{std::chrono::steady_clock::now()} {
  if (is_terminal(STDERR_FILENO)) draw_again_in(first_drawn_after);
}

Progress::~Progress() {
  loop_.cancel(timer_);
  if (drawn_) write_all(STDERR_FILENO, back_and_clear);
}

void Progress::draw() {
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - started_;
  write_all(STDERR_FILENO, std::string{back_and_clear} + progress_text(state_(), passed.count()));
  drawn_ = true;
  draw_again_in(drawn_every);
}

void Progress::draw_again_in(Duration delay) {
  timer_ = loop_.after(delay, [this] { draw(); });
}

std::string progress_text(const Progress::State& state, double seconds) {
  constexpr std::uint64_t width = 24;
  const std::uint64_t total = std::max<std::uint64_t>(state.total, 1);
  const double share = std::min(1.0, static_cast<double>(state.done) / static_cast<double>(total));
  const auto full = static_cast<std::uint64_t>(share * width);
  std::string bar;
  for (std::uint64_t i = 0; i < width; ++i) bar += i < full ? "█" : "░";
  const double rate = seconds > 0 ? static_cast<double>(state.done) / seconds : 0;
  return fmt::format("{} {:3.0f} %  {} of {}  {}/s  {}", bar, share * 100, count_text(state.done),
                     count_text(state.total), count_text(static_cast<std::uint64_t>(rate)),
                     state.more);
}

}  // namespace peer_relay::app
