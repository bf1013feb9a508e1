// SPDX-License-Identifier: MIT
//
// The load, and the same one for every system that is measured: one end keeps a window of messages
// under way, the other answers every so many of them with how far it has come.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "peer_relay/bytes.hpp"
#include "process.hpp"

namespace peer_relay::bench {

struct Load {
  std::size_t bytes = 100;        ///< of one message
  std::size_t window = 64;        ///< messages sent and not yet answered
  std::size_t answer_bytes = 16;  ///< of one answer
  std::uint64_t answer_every =
      16;  ///< messages: a quarter of the window, so that it never runs dry

  static Load from(const Json& command);
};

/// One end: answers whatever comes, and sends while it is told to. Calls may come from two threads:
/// the commands' and the network's.
class End {
 public:
  /// Gives a message to the network; false: it takes no more now.
  using Send = std::function<bool(Bytes)>;

  explicit End(Send send) : send_(std::move(send)) {}

  void start(const Load& load);
  /// What is under way still arrives.
  void stop();
  void received(BytesView message);

  /// Messages can be lost, and answers; if nothing has moved since the last call, the window begins
  /// anew.
  void unstick();

  /// Counters; the round trips since the last call, where the window is 1.
  Json report();

 private:
  using Clock = std::chrono::steady_clock;

  void answered(std::uint64_t sequence);
  void fill_window();

  std::mutex mutex_;
  Send send_;
  Load load_;
  bool is_running_ = false;
  std::uint64_t sent_ = 0;      // the sequence of the last message
  std::uint64_t answered_ = 0;  // the highest that was answered
  std::uint64_t answered_at_last_look_ = 0;
  std::uint64_t stuck_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t received_since_answer_ = 0;
  Clock::time_point sent_at_{};
  std::vector<std::uint32_t> round_trips_ns_;
};

}  // namespace peer_relay::bench
