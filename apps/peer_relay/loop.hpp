// SPDX-License-Identifier: MIT
//
// The main thread's loop: what the node's thread, the signals, the clock and the file descriptors
// have to say is heard here, one after the other, so that the verbs need no locks.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <signal.h>

#include "peer_relay/time.hpp"

namespace peer_relay::app {

class Loop {
 public:
  using Task = std::function<void()>;
  using TimerId = std::pair<std::chrono::steady_clock::time_point, std::uint64_t>;

  /// What strangers caused and the main thread has not come to yet; the newest is refused.
  static constexpr std::size_t backlog_bytes_max = 64 << 20;

  /// SIGINT, SIGTERM and SIGHUP come to this loop from now on, in threads made later too (so it
  /// stands before the node). A second one ends the process at once. What was ignored stays so.
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// From any thread: runs the task in the loop.
  void post(Task task);
  /// The same, for what strangers can cause: not taken (false) if too many bytes wait already.
  bool offer(std::size_t bytes, Task task);

  TimerId after(Duration delay, Task task);
  void cancel(TimerId timer) { timers_.erase(timer); }

  /// Calls `ready` with what poll(2) found, while the descriptor is watched. Replaces an older one.
  void watch(int fd, short events, std::function<void(short)> ready);
  void unwatch(int fd) { watches_.erase(fd); }

  /// At the end of every turn, before the loop sleeps.
  void at_turn_end(Task task) { turn_end_ = std::move(task); }

  /// At the first signal; without it the loop stops with 130.
  void on_interrupt(Task task) { on_interrupt_ = std::move(task); }
  bool interrupted() const { return interrupted_; }

  /// Until stop(), whose status it returns; at once if that came before. May be called again.
  int run();
  void stop(int status) { status_ = status; }

 private:
  struct Watch {
    short events = 0;
    std::function<void(short)> ready;
  };

  void wait_for_signals(sigset_t signals);
  void interrupt();
  void wake();
  void run_tasks();
  void run_timers();
  void poll_once();
  int poll_timeout_ms() const;

  std::mutex mutex_;  // guards the two below
  std::vector<std::pair<std::size_t, Task>> tasks_;
  std::size_t backlog_bytes_ = 0;

  int wake_read_ = -1, wake_write_ = -1;
  std::map<int, Watch> watches_;
  std::map<TimerId, Task> timers_;
  std::uint64_t timers_made_ = 0;
  Task turn_end_, on_interrupt_;
  std::optional<int> status_;
  bool interrupted_ = false;

  sigset_t mask_before_{};
  std::atomic<bool> ending_ = false;
  std::thread signal_thread_;
};

}  // namespace peer_relay::app
