// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <list>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/assert.hpp"

namespace peer_relay {

/// A map with a bound: a new key in a full map takes the place of the one that was used longest
/// ago. References stay good until their own key goes.
template <class Key, class Value>
class LruMap {
 public:
  explicit LruMap(std::size_t bound) : bound_(bound) { PEER_RELAY_ASSERT(bound > 0); }

  // A copy's index would point into the original.
  LruMap(const LruMap&) = delete;
  LruMap& operator=(const LruMap&) = delete;
  LruMap(LruMap&&) = default;
  LruMap& operator=(LruMap&&) = default;
  ~LruMap() = default;

  /// The value, which counts as a use; null if there is none.
  Value* find(const Key& key) {
    const auto at = index_.find(key);
    if (at == index_.end()) return nullptr;
    order_.splice(order_.begin(), order_, at->second);
    return &at->second->second;
  }

  /// A look that is no use.
  const Value* peek(const Key& key) const {
    const auto at = index_.find(key);
    return at == index_.end() ? nullptr : &at->second->second;
  }

  struct Inserted {
    Value& value;
    std::optional<std::pair<Key, Value>> displaced;  ///< what had to go for it
  };

  /// Puts a new key first; an old one gets the new value.
  Inserted insert(const Key& key, Value value) {
    if (Value* const old = find(key)) {
      *old = std::move(value);
      return {*old, std::nullopt};
    }
    std::optional<std::pair<Key, Value>> displaced;
    if (index_.size() == bound_) {
      displaced.emplace(std::move(order_.back()));
      index_.erase(displaced->first);
      order_.pop_back();
    }
    order_.emplace_front(key, std::move(value));
    index_.emplace(key, order_.begin());
    return {order_.front().second, std::move(displaced)};
  }

  bool erase(const Key& key) {
    const auto at = index_.find(key);
    if (at == index_.end()) return false;
    order_.erase(at->second);
    index_.erase(at);
    return true;
  }

  std::size_t size() const { return index_.size(); }
  bool empty() const { return index_.empty(); }

  /// Most recently used first.
  auto begin() { return order_.begin(); }
  auto end() { return order_.end(); }
  auto begin() const { return order_.begin(); }
  auto end() const { return order_.end(); }

 private:
  std::size_t bound_;
  std::list<std::pair<Key, Value>> order_;
  std::unordered_map<Key, typename std::list<std::pair<Key, Value>>::iterator> index_;
};

}  // namespace peer_relay
