// SPDX-License-Identifier: MIT
//
// Tells the hops on the way to a node, as traceroute does: the same question again and again, with
// one hop more each time, until the target itself answers. What comes back are hints: a relay can
// lie.
#pragma once

#include <cstdint>
#include <map>

#include "base/random.hpp"
#include "base/timers.hpp"
#include "core/outbox.hpp"
#include "core/wire/overlay.hpp"
#include "peer_relay/time.hpp"

namespace peer_relay {

class Tracer {
 public:
  explicit Tracer(Random random) : random_(random) {}

  /// The number under which the hops are told.
  std::uint64_t start(const NodeId& target, TimePoint now, Outbox& out);

  /// True if the notice, or the answer, was for a question of ours.
  bool unreachable(const NodeId& where, const Unreachable& notice, TimePoint now, Outbox& out);
  bool answered(const NodeId& from, std::uint64_t nonce, TimePoint now, Outbox& out);

  void wake(TimePoint now, Outbox& out);
  TimePoint next_wake() const { return timers_.next(); }

 private:
  struct Trace {
    NodeId target{};
    int hop = 1;
    int tries = 0;
    std::uint32_t tag = 0;
    std::uint64_t nonce = 0;
    TimePoint asked_at{};
    TimePoint deadline{};
  };

  void ask(std::uint64_t number, Trace& trace, TimePoint now, Outbox& out);

  Random random_;
  std::uint64_t last_ = 0;
  std::map<std::uint64_t, Trace> traces_;  // at most traces_max; the oldest ends
  Timers<std::uint64_t> timers_;
};

}  // namespace peer_relay
