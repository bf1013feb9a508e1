// SPDX-License-Identifier: MIT
//
// Standard output, and what is known of the terminal behind it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "loop.hpp"

namespace peer_relay::app {

bool is_terminal(int fd);

/// A terminal that wants them: NO_COLOR (no-color.org) and TERM=dumb are respected.
bool wants_colors(int fd);

std::string bold(std::string_view text, bool colors);
std::string dim(std::string_view text, bool colors);

/// Writes all of it, and waits where it must; false if the reader went away. SIGPIPE is ignored.
bool write_all(int fd, std::string_view text);
bool print(std::string_view text);         ///< to standard output
void complain(std::string_view sentence);  ///< to standard error: "peer-relay: ...\n"

/// Lines to standard output that never hold up the loop: a slow reader makes them wait, up to a
/// bound, beyond which new ones are refused.
class Output {
 public:
  static constexpr std::size_t waiting_bytes_max = 16 << 20;

  explicit Output(Loop& loop);
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  /// Adds "\n"; written at the latest when the loop's turn ends. False if it was refused.
  bool line(std::string_view text);

  /// What to do when the reader went away, be it while there is nothing to write.
  void on_closed(Loop::Task task);

  /// Waits until all is written, the reader is gone, or the time is up.
  void finish(Duration patience);

 private:
  bool has_room_for(std::string_view text) const;
  void flush();
  bool write_some();
  void close_down();
  void watch();

  Loop& loop_;
  std::string waiting_;
  std::size_t written_ = 0;  // of waiting_
  bool closed_ = false;
  bool regular_file_ = false;
  Loop::Task on_closed_;
};

}  // namespace peer_relay::app
