// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "base/assert.hpp"

namespace peer_relay {

/// A first-in, first-out queue that keeps its memory: once it has grown to its usual length it
/// allocates no more. It has no bound of its own; whoever pushes keeps one.
template <class T>
class Ring {
 public:
  bool empty() const { return count_ == 0; }
  std::size_t size() const { return count_; }

  void push(T value) {
    if (count_ == slots_.size()) grow();
    slots_[(first_ + count_) & (slots_.size() - 1)] = std::move(value);
    ++count_;
  }

  T pop() {
    PEER_RELAY_ASSERT(count_ > 0);
    T out = std::move(slots_[first_]);
    slots_[first_] = T{};
    first_ = (first_ + 1) & (slots_.size() - 1);
    --count_;
    return out;
  }

  T& front() {
    PEER_RELAY_ASSERT(count_ > 0);
    return slots_[first_];
  }

  /// The first is number 0.
  T& operator[](std::size_t index) {
    PEER_RELAY_ASSERT(index < count_);
    return slots_[(first_ + index) & (slots_.size() - 1)];
  }

  const T& front() const {
    PEER_RELAY_ASSERT(count_ > 0);
    return slots_[first_];
  }

  T& back() {
    PEER_RELAY_ASSERT(count_ > 0);
    return slots_[(first_ + count_ - 1) & (slots_.size() - 1)];
  }

  /// Gives memory back that an unusual crowd took. Only while it is empty.
  void trim() {
    PEER_RELAY_ASSERT(count_ == 0);
    if (slots_.size() > kept_when_trimmed) *this = Ring{};
  }

  /// Drops all, memory too.
  void clear() { *this = Ring{}; }

 private:
  static constexpr std::size_t kept_when_trimmed = 2;

  void grow() {
    std::vector<T> wider(slots_.empty() ? 2 : slots_.size() * 2);
    for (std::size_t i = 0; i < count_; ++i) {
      wider[i] = std::move(slots_[(first_ + i) & (slots_.size() - 1)]);
    }
    slots_ = std::move(wider);
    first_ = 0;
  }

  std::vector<T> slots_;  // a power of two of them
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

}  // namespace peer_relay
