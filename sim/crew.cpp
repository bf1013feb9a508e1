// SPDX-License-Identifier: MIT
#include "crew.hpp"

#include <utility>

namespace peer_relay::sim {

namespace {

constexpr int looks = 4000;  // some 50 us

void rest_a_moment() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

Meeting::Meeting(std::size_t members)
    : members_(members),
      looks_before_sleep_(members <= std::thread::hardware_concurrency() ? looks : 0) {}

void Meeting::come() {
  const std::uint32_t round = round_.load(std::memory_order_relaxed);
  if (here_.fetch_add(1, std::memory_order_acq_rel) + 1 == members_) {
    here_.store(0, std::memory_order_relaxed);
    round_.store(round + 1, std::memory_order_release);
    round_.notify_all();
    return;
  }
  for (int i = 0; i < looks_before_sleep_; ++i) {
    if (round_.load(std::memory_order_acquire) != round) return;
    rest_a_moment();
  }
  round_.wait(round, std::memory_order_acquire);
}

Crew::Crew(std::size_t members, std::function<void(std::size_t)> work)
    : work_(std::move(work)), meeting_(members) {
  for (std::size_t member = 1; member < members; ++member) {
    threads_.emplace_back([this, member] {
      for (std::uint32_t call = 0;; ++call) {
        calls_.wait(call, std::memory_order_acquire);
        if (is_over_) return;
        work_(member);
        meeting_.come();
      }
    });
  }
}

Crew::~Crew() {
  is_over_ = true;
  calls_.fetch_add(1, std::memory_order_release);
  calls_.notify_all();
}

void Crew::work() {
  calls_.fetch_add(1, std::memory_order_release);
  calls_.notify_all();
  work_(0);
  meeting_.come();
}

}  // namespace peer_relay::sim
