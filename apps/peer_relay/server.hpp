// SPDX-License-Identifier: MIT
//
// What `serve` runs: a node, its events as lines for people or machines, and the control socket.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <spdlog/logger.h>

#include "command.hpp"
#include "control_server.hpp"
#include "forward_targets.hpp"
#include "loop.hpp"
#include "output.hpp"
#include "peer_relay/node.hpp"

namespace peer_relay::app {

struct ServerOptions {
  NodeOptions node;
  std::string program;                  ///< for the lines to copy
  std::string log_level;                ///< of spdlog; empty: as fits
  std::vector<std::uint16_t> forwards;  ///< local ports that others may be connected to
  bool json = false;
};

class Server {
 public:
  Server(Loop& loop, ServerOptions options);

  /// An exit status.
  int run();

 private:
  using Clock = std::chrono::steady_clock;
  struct Sample {
    Clock::time_point at;
    Stats stats;
  };

  bool start();
  NodeEvents events();
  void announce();
  void open_control();
  void shut_down();

  // Events of the node, on the main thread.
  void on_message(const Message& message);
  void on_peer(const Peer& peer);
  void on_peer_lost(const NodeId& id, CloseReason reason);
  void on_problem(const Problem& problem);
  void on_joined();
  void on_stream(const Stream& stream);
  void event(const char* name, const Json& members);
  bool is_news(const std::string& line);
  void tell_missed();

  // Requests of the control socket.
  void handle(const Json& request, const ControlServer::Reply& reply);
  void handle_send(const Json& request, const ControlServer::Reply& reply, bool probe);
  Json status() const;
  Json rates(const Stats& now) const;
  void sample();

  Loop& loop_;
  const ServerOptions options_;
  const Clock::time_point started_ = Clock::now();
  std::shared_ptr<spdlog::logger> log_;
  std::atomic<std::uint64_t> missed_ = 0;  // events that no line tells of
  std::deque<Sample> samples_;             // of the last seconds, the oldest first
  Loop::TimerId sampling_{};
  std::map<std::string, Clock::time_point> warned_;  // what the log said, and when
  bool stopping_ = false;
  Output output_;
  std::unique_ptr<ControlServer> control_;
  ForwardTargets forwards_;
  std::optional<Node> node_;
};

/// What a start that failed means and what to do, for people.
std::string explanation(const StartError& error, const NodeOptions& options);

/// What `serve` prints first, for people.
std::string welcome(const Node& node, const ServerOptions& options, bool colors);

}  // namespace peer_relay::app
