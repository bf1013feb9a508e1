// SPDX-License-Identifier: MIT
#include "loop.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace peer_relay::app {
namespace {

using Clock = std::chrono::steady_clock;

/// A task without bytes of its own still holds about this much.
constexpr std::size_t task_bytes = 128;

bool is_ignored(int signal) {
  struct sigaction action{};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

/// nohup(1) and shells that start jobs in the background ignore some for us, and mean it.
sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  for (const int signal : {SIGINT, SIGHUP}) {
    if (!is_ignored(signal)) sigaddset(&set, signal);
  }
  return set;
}

void make_pipe(int& read_end, int& write_end) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  for (const int fd : ends) {
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, O_NONBLOCK);
  }
  read_end = ends[0];
  write_end = ends[1];
}

}  // namespace

Loop::Loop() {
  make_pipe(wake_read_, wake_write_);
  signal(SIGPIPE, SIG_IGN);  // who goes away while we write is an error of write(2)
  const sigset_t signals = ending_signals();
  pthread_sigmask(SIG_BLOCK, &signals, &mask_before_);
  signal_thread_ = std::thread{[this, signals] { wait_for_signals(signals); }};
}

Loop::~Loop() {
  ending_ = true;
  // It is blocked in all threads, and waited for in that one.
  // NOLINTNEXTLINE(bugprone-bad-signal-to-kill-thread)
  pthread_kill(signal_thread_.native_handle(), SIGTERM);
  signal_thread_.join();
  pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
  close(wake_read_);
  close(wake_write_);
}

void Loop::wait_for_signals(sigset_t signals) {
  for (int seen = 0;;) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0 || ending_) return;
    if (++seen > 1) _exit(128 + signal);
    post([this] { interrupt(); });
  }
}

void Loop::interrupt() {
  interrupted_ = true;
  if (on_interrupt_) return on_interrupt_();
  stop(130);
}

void Loop::post(Task task) {
  {
    const std::lock_guard lock{mutex_};
    backlog_bytes_ += task_bytes;
    tasks_.emplace_back(task_bytes, std::move(task));
    if (tasks_.size() > 1) return;  // the loop has been woken for the first
  }
  wake();
}

bool Loop::offer(std::size_t bytes, Task task) {
  {
    const std::lock_guard lock{mutex_};
    if (backlog_bytes_ + bytes > backlog_bytes_max) return false;
    backlog_bytes_ += bytes;
    tasks_.emplace_back(bytes, std::move(task));
    if (tasks_.size() > 1) return true;
  }
  wake();
  return true;
}

void Loop::wake() {
  // A full pipe has woken the loop already.
  [[maybe_unused]] const auto written = write(wake_write_, "", 1);
}

Loop::TimerId Loop::after(Duration delay, Task task) {
  const TimerId id{Clock::now() + delay, ++timers_made_};
  timers_.emplace(id, std::move(task));
  return id;
}

void Loop::watch(int fd, short events, std::function<void(short)> ready) {
  watches_[fd] = {events, std::move(ready)};
}

int Loop::run() {
  while (!status_) {
    run_tasks();
    run_timers();
    if (turn_end_) turn_end_();
    if (!status_) poll_once();
  }
  return *std::exchange(status_, std::nullopt);
}

void Loop::run_tasks() {
  std::vector<std::pair<std::size_t, Task>> tasks;
  {
    const std::lock_guard lock{mutex_};
    tasks.swap(tasks_);
  }
  std::size_t bytes = 0;
  for (auto& [cost, task] : tasks) {
    task();
    bytes += cost;
  }
  const std::lock_guard lock{mutex_};
  backlog_bytes_ -= bytes;
}

void Loop::run_timers() {
  const auto now = Clock::now();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    const auto timer = timers_.extract(timers_.begin());
    timer.mapped()();
  }
}

void Loop::poll_once() {
  std::vector<pollfd> fds{{wake_read_, POLLIN, 0}};
  for (const auto& [fd, watch] : watches_) fds.push_back({fd, watch.events, 0});
  if (poll(fds.data(), fds.size(), poll_timeout_ms()) <= 0) return;
  if (fds[0].revents != 0) {
    std::array<char, 64> bytes{};
    while (read(wake_read_, bytes.data(), bytes.size()) > 0) {
    }
  }
  for (const pollfd& found : fds) {
    if (found.revents == 0 || found.fd == wake_read_) continue;
    const auto watch = watches_.find(found.fd);
    if (watch == watches_.end()) continue;   // unwatched by one before it
    const auto ready = watch->second.ready;  // which may unwatch itself
    ready(found.revents);
  }
}

int Loop::poll_timeout_ms() const {
  if (timers_.empty()) return -1;
  const auto left = timers_.begin()->first.first - Clock::now();
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::clamp<std::int64_t>(ms, 0, 60'000));
}

}  // namespace peer_relay::app
