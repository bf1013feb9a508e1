// SPDX-License-Identifier: MIT
//
// For tests of this room: both ends run in one io_context, by the machine's clock, and leave
// nothing behind in the process.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <iterator>

#include <boost/asio/io_context.hpp>
#include <malloc.h>

#if defined(__SANITIZE_ADDRESS__)
extern "C" std::size_t __sanitizer_get_current_allocated_bytes();  // g++ installs no header of it
#endif

namespace peer_relay::webrtc {

class Loop {
 public:
  /// Says whether it came to be so.
  bool run_until(const std::function<bool()>& done,
                 std::chrono::milliseconds at_most = std::chrono::seconds{20}) {
    const auto deadline = std::chrono::steady_clock::now() + at_most;
    while (!done()) {
      io.restart();  // it stops when all connections are gone
      const auto left = deadline - std::chrono::steady_clock::now();
      if (left <= std::chrono::milliseconds{0} || io.run_one_for(left) == 0) return done();
    }
    return true;
  }
  /// And then all that is due, however long the machine paused.
  void run_for(std::chrono::milliseconds time) {
    run_until([] { return false; }, time);
    io.restart();
    io.poll();
  }

  boost::asio::io_context io;
};

inline std::size_t entries_of(const char* directory) {
  const std::filesystem::directory_iterator all{directory};
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}
inline std::size_t open_files() { return entries_of("/proc/self/fd"); }
inline std::size_t threads() { return entries_of("/proc/self/task"); }

/// What is allocated and not freed. (What the process holds says less: sanitizers keep what was
/// freed.)
inline std::size_t allocated_bytes() {
#if defined(__SANITIZE_ADDRESS__)
  return __sanitizer_get_current_allocated_bytes();
#else
  return ::mallinfo2().uordblks;
#endif
}

}  // namespace peer_relay::webrtc
