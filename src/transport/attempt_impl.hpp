// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <unordered_set>

#include "peer_relay/time.hpp"
#include "transport/sockets_impl.hpp"

namespace peer_relay::sockets {

class Attempt;

/// All that is under way to become a link, so that it can be called off.
class Attempts {
 public:
  void call_off_all();
  std::size_t size() const { return all_.size(); }

 private:
  friend class Attempt;
  std::unordered_set<Attempt*> all_;
};

/// One of them: holds a deadline, and closes what it watches when the deadline passes or the
/// attempt is called off. What was waited for on it then ends with an error. The socket or timer
/// watched lives as long as the attempt, or until another is watched.
class Attempt {
 public:
  Attempt(std::shared_ptr<Attempts> attempts, const Executor& executor);
  ~Attempt();
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  void watch(Socket& socket);
  void watch(Timer& timer);
  void watch_nothing();

  /// In place of any deadline before; a passed one is forgotten.
  void set_deadline(std::chrono::steady_clock::time_point deadline);

  bool is_late() const { return state_->late; }
  bool is_called_off() const { return state_->called_off; }
  void call_off();

 private:
  // Shared with the handler of the deadline, which can outlive the attempt by one turn.
  struct State {
    Socket* socket = nullptr;
    Timer* timer = nullptr;
    std::uint64_t deadlines = 0;
    bool late = false;
    bool called_off = false;
    void stop() const;
  };

  std::shared_ptr<Attempts> attempts_;
  std::shared_ptr<State> state_ = std::make_shared<State>();
  Timer deadline_;
};

/// For what is watched and goes before the attempt does.
struct WatchEnds {
  Attempt& attempt;
  ~WatchEnds() { attempt.watch_nothing(); }
};

}  // namespace peer_relay::sockets
