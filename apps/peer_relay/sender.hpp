// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "loop.hpp"
#include "peer_relay/node.hpp"
#include "round_trips.hpp"

namespace peer_relay::app {

/// What is to be sent, and how.
struct Load {
  NodeId to;
  Payload payload;
  std::uint64_t count = 1;
  std::uint64_t window = 64;  ///< acknowledged ones in flight
  Duration interval{};        ///< between two; zero: as fast as it goes
  Duration timeout = limits::acknowledged_timeout;
  bool best_effort = false;
};

/// How it went.
struct Tally {
  std::uint64_t sent = 0;
  std::uint64_t ended = 0, delivered = 0;     ///< acknowledged ones
  std::uint64_t unconfirmed = 0;              ///< into the old network
  std::map<std::string, std::uint64_t> lost;  ///< by outcome, or reason if unreachable
  RoundTrips round_trips;
  SendResult last;
  Duration elapsed{};
  std::optional<Error> refused;  ///< our own node takes such a message never: nothing more was sent

  std::uint64_t lost_count() const;
};

/// Sends one load from the main thread, then stops the loop.
class Sender {
 public:
  Sender(Loop& loop, Node& node, Load load);

  void begin();
  /// Nothing more is sent, and what is in flight is forgotten.
  void stop() { stopped_ = true; }

  const Tally& tally() const { return tally_; }
  const Load& load() const { return load_; }

 private:
  void start();
  void pump();
  bool is_ahead() const;
  bool may_send() const;
  /// False if our own node is full: the message has not left, and another try comes soon.
  bool send_one();
  void send_acknowledged();
  bool send_best_effort();
  void ended(const SendResult& result);
  void refused(Error error);
  void pump_in(Duration delay);

  Loop& loop_;
  Node& node_;
  const Load load_;
  Tally tally_;
  std::uint64_t in_flight_ = 0;
  bool pump_planned_ = false;
  bool stopped_ = false;
  std::chrono::steady_clock::time_point started_, next_;
};

}  // namespace peer_relay::app
