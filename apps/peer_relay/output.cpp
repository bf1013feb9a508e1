// SPDX-License-Identifier: MIT
#include "output.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace peer_relay::app {
namespace {

/// poll(2) promises that a write of this much to a pipe does not block (POSIX, pipe capacity).
constexpr std::size_t chunk_bytes = PIPE_BUF;

short poll_now(int fd, short events, int timeout_ms) {
  pollfd found{fd, events, 0};
  return poll(&found, 1, timeout_ms) > 0 ? found.revents : static_cast<short>(0);
}

bool leads_to_file(int fd) {
  struct stat facts{};
  return fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode);
}

}  // namespace

bool is_terminal(int fd) { return isatty(fd) == 1; }

bool wants_colors(int fd) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  if (no_color != nullptr && *no_color != '\0') return false;
  return is_terminal(fd) && term != nullptr && std::string_view{term} != "dumb";
}

std::string bold(std::string_view text, bool colors) {
  return colors ? fmt::format("\x1b[1m{}\x1b[0m", text) : std::string{text};
}

std::string dim(std::string_view text, bool colors) {
  return colors ? fmt::format("\x1b[2m{}\x1b[0m", text) : std::string{text};
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = write(fd, text.data(), text.size());
    if (count < 0 && errno == EAGAIN) poll_now(fd, POLLOUT, -1);
    if (count < 0 && errno != EINTR && errno != EAGAIN) return false;
    text.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  }
  return true;
}

bool print(std::string_view text) { return write_all(STDOUT_FILENO, text); }

void complain(std::string_view sentence) {
  write_all(STDERR_FILENO, fmt::format("peer-relay: {}\n", sentence));
}

Output::Output(Loop& loop) : loop_{loop}, regular_file_{leads_to_file(STDOUT_FILENO)} {
  loop_.at_turn_end([this] { flush(); });
}

Output::~Output() {
  loop_.at_turn_end({});
  loop_.unwatch(STDOUT_FILENO);
}

bool Output::line(std::string_view text) {
  if (!has_room_for(text)) flush();
  if (closed_ || !has_room_for(text)) return false;
  waiting_ += text;
  waiting_ += '\n';
  return true;
}

bool Output::has_room_for(std::string_view text) const {
  return waiting_.size() - written_ + text.size() <= waiting_bytes_max;
}

void Output::on_closed(Loop::Task task) {
  on_closed_ = std::move(task);
  watch();
}

void Output::finish(Duration patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!closed_ && written_ < waiting_.size()) {
    const auto left = until - std::chrono::steady_clock::now();
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    if (ms <= 0 || poll_now(STDOUT_FILENO, POLLOUT, static_cast<int>(ms)) == 0) return;
    if (!write_some()) close_down();
  }
}

void Output::flush() {
  while (!closed_ && written_ < waiting_.size()) {
    if (!regular_file_ && poll_now(STDOUT_FILENO, POLLOUT, 0) == 0) break;
    if (!write_some()) close_down();
  }
  if (written_ == waiting_.size()) {
    waiting_.clear();
    written_ = 0;
  } else if (written_ > waiting_bytes_max / 16) {
    waiting_.erase(0, written_);
    written_ = 0;
  }
  watch();
}

bool Output::write_some() {
  const std::size_t left = waiting_.size() - written_;
  const std::size_t chunk = regular_file_ ? left : std::min(left, chunk_bytes);
  const ssize_t count = write(STDOUT_FILENO, waiting_.data() + written_, chunk);
  if (count < 0) return errno == EINTR || errno == EAGAIN;
  written_ += static_cast<std::size_t>(count);
  return true;
}

void Output::close_down() {
  closed_ = true;
  waiting_.clear();
  written_ = 0;
  if (on_closed_) loop_.post(on_closed_);
}

/// POLLERR comes unasked when the last reader of a pipe is gone.
void Output::watch() {
  const bool writing = written_ < waiting_.size();
  if (closed_ || regular_file_ || !(writing || on_closed_)) return loop_.unwatch(STDOUT_FILENO);
  loop_.watch(STDOUT_FILENO, writing ? POLLOUT : static_cast<short>(0), [this](short found) {
    if ((found & (POLLERR | POLLNVAL)) != 0) close_down();
    flush();
  });
}

}  // namespace peer_relay::app
