// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace peer_relay::sim {

/// Where the members of a crew wait for each other. They meet thousands of times a second, so who
/// is early looks for a moment before it sleeps, if there is a core for each.
class Meeting {
 public:
  explicit Meeting(std::size_t members);

  /// Returns when all have come; what each has written before, all others see.
  void come();

 private:
  const std::size_t members_;
  const int looks_before_sleep_;
  std::atomic<std::size_t> here_ = 0;
  std::atomic<std::uint32_t> round_ = 0;
};

/// Threads that work side by side, each at its own part, when they are told to. The caller is the
/// first of them.
class Crew {
 public:
  /// `work` is called with each member's number, from 0.
  Crew(std::size_t members, std::function<void(std::size_t)> work);
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  /// All do their work once; returns when the last one is done.
  void work();
  /// From within the work: waits until all members say so.
  void meet() { meeting_.come(); }

 private:
  std::function<void(std::size_t)> work_;
  Meeting meeting_;
  std::atomic<std::uint32_t> calls_ = 0;
  bool is_over_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace peer_relay::sim
