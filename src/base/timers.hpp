// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "base/gentle_growth.hpp"
#include "peer_relay/time.hpp"

namespace peer_relay {

/// Deadlines by key, earliest first. A deadline can't be taken back: when it falls due its owner
/// looks whether it still means anything, and arms a later one if not. So arming is cheap, and a
/// deadline that moves with every message (as a keepalive's) costs nothing until it is due.
template <class Key>
class Timers {
 public:
  void arm(TimePoint at, Key key) {
    if (at == never) return;
    grow_gently(heap_);
    heap_.push_back({at, key});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }

  /// The earliest key that is due, taken out.
  std::optional<Key> pop_due(TimePoint now) {
    if (heap_.empty() || heap_.front().at > now) return std::nullopt;
    const Key key = heap_.front().key;
    std::pop_heap(heap_.begin(), heap_.end(), later);
    heap_.pop_back();
    return key;
  }

  TimePoint next() const { return heap_.empty() ? never : heap_.front().at; }
  std::size_t size() const { return heap_.size(); }

 private:
  struct Entry {
    TimePoint at;
    Key key;
  };
  // Equal times fall due in the order of their keys, so that a run can be repeated.
  static bool later(const Entry& a, const Entry& b) {
    return a.at != b.at ? a.at > b.at : b.key < a.key;
  }

  std::vector<Entry> heap_;
};

}  // namespace peer_relay
