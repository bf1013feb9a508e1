// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "peer_relay/time.hpp"

namespace peer_relay::sim {

/// What is to happen, earliest first. `Event` has `at`, and an `operator<` that says which of two
/// is later.
///
/// Most of what a network plans is due within a latency or two, so the next seconds are slots of a
/// millisecond, in any order until their turn comes; only what is farther off is in one heap (a
/// calendar queue: Brown 1988). The slot whose turn it is is sorted once, so that one can see who
/// comes next.
template <class Event>
class Agenda {
 public:
  static constexpr Duration slot_time{1024};

  void add(Event event) {
    const std::uint64_t slot = slot_of(event.at);
    if (slot <= current_) {
      push(late_, std::move(event));
    } else if (slot < current_ + slots_.size()) {
      ++in_slots_;
      slots_[slot % slots_.size()].push_back(std::move(event));
    } else {
      push(far_, std::move(event));
    }
  }

  /// The next, if it is due by then.
  std::optional<Event> pop(TimePoint until) {
    while (due_.empty() && late_.empty()) {
      if (!advance(slot_of(until))) return std::nullopt;
    }
    const bool is_late = due_.empty() || (!late_.empty() && due_.back() < late_.front());
    if ((is_late ? late_.front() : due_.back()).at > until) return std::nullopt;
    if (is_late) return take(late_);
    Event event = std::move(due_.back());
    due_.pop_back();
    return event;
  }

  /// No event is due before that; never without any. Exact to a slot.
  TimePoint earliest() const {
    TimePoint least = never;
    if (!due_.empty()) least = due_.back().at;
    if (!late_.empty()) least = std::min(least, late_.front().at);
    if (least != never) return least;
    if (!far_.empty()) least = far_.front().at;
    for (std::uint64_t slot = current_ + 1; in_slots_ > 0; ++slot) {
      if (!slots_[slot % slots_.size()].empty()) return std::min(least, start_of(slot));
    }
    return least;
  }

  /// The last moment of the slot that `at` is in. What is planned `slot_time` ahead or more is due
  /// after it.
  static TimePoint end_of_slot(TimePoint at) { return start_of(slot_of(at) + 1) - Duration{1}; }

  /// What pop() is likely to give the `n`th time from now on, counted from 0; null where nothing is
  /// known of it yet.
  const Event* peek(std::size_t n) const {
    return n < due_.size() ? &due_[due_.size() - 1 - n] : nullptr;
  }

 private:
  static constexpr std::size_t slot_count = 1024;  // beyond the longest latency

  static std::uint64_t slot_of(TimePoint at) {
    return static_cast<std::uint64_t>(at.time_since_epoch() / slot_time);
  }
  static TimePoint start_of(std::uint64_t slot) {
    return TimePoint{static_cast<Duration::rep>(slot) * slot_time};
  }
  static void push(std::vector<Event>& heap, Event event) {
    heap.push_back(std::move(event));
    std::ranges::push_heap(heap, std::less{});
  }
  static Event take(std::vector<Event>& heap) {
    std::ranges::pop_heap(heap, std::less{});
    Event event = std::move(heap.back());
    heap.pop_back();
    return event;
  }

  /// To the next slot, but not past `last`; false if that is as far as it goes.
  bool advance(std::uint64_t last) {
    if (current_ >= last) return false;
    ++current_;
    if (in_slots_ == 0) {  // nothing in between
      if (far_.empty() || slot_of(far_.front().at) > last) {
        current_ = last;
      } else {
        current_ = std::max(current_, slot_of(far_.front().at));
      }
    }
    // A thousand slots would keep what their busiest moments took: due_ has it and gives it up.
    due_ = std::exchange(slots_[current_ % slots_.size()], {});
    in_slots_ -= due_.size();
    while (!far_.empty() && slot_of(far_.front().at) < current_ + slots_.size()) {
      if (slot_of(far_.front().at) == current_) {
        due_.push_back(take(far_));
      } else {
        add(take(far_));
      }
    }
    std::ranges::sort(due_, std::less{});
    return true;
  }

  std::uint64_t current_ = 0;
  std::size_t in_slots_ = 0;
  std::vector<Event> due_;   // of the current slot, sorted: the next is last
  std::vector<Event> late_;  // a heap: planned for the current slot, or before, since it began
  std::vector<std::vector<Event>> slots_ = std::vector<std::vector<Event>>(slot_count);
  std::vector<Event> far_;  // a heap
};

}  // namespace peer_relay::sim
