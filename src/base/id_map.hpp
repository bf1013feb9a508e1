// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "base/gentle_growth.hpp"
#include "base/prefetch.hpp"

namespace peer_relay {

/// Values that carry their number as `id`, found by it. For tables of dozens of which there are
/// very many: beside the values it takes some twenty-five bytes for each, and a search touches one
/// row of four-byte entries and then the value. Values stay where they are. Each has a note of four
/// bytes, for its owner to read without touching the value.
///
/// Numbers are ours or our host's; strangers choose none, so that chains stay short.
template <class Id, class Value>
class IdMap {
 public:
  Value* find(Id id) { return const_cast<Value*>(std::as_const(*this).find(id)); }
  const Value* find(Id id) const {
    if (rows_.empty()) return nullptr;
    const std::size_t at = entry_of(id);
    return index_[at] == 0 ? nullptr : rows_[row_at(at)].get();
  }

  /// A new one, of a number that is not there.
  Value& add(Id id) {
    if (4 * (rows_.size() + 1) > 3 * index_.size()) {
      index(index_.empty() ? least_entries : 2 * index_.size());
    }
    const std::size_t at = entry_of(id);
    PEER_RELAY_ASSERT(index_[at] == 0);
    grow_gently(rows_);
    rows_.push_back(std::make_unique<Value>());
    grow_gently(notes_);
    notes_.push_back(0);
    rows_.back()->id = id;
    index_[at] = entry(id, rows_.size() - 1);
    return *rows_.back();
  }

  /// One that is there.
  void erase(Id id) {
    std::size_t hole = entry_of(id);
    PEER_RELAY_ASSERT(index_[hole] != 0);
    const std::size_t row = row_at(hole);
    // The last row moves into the gap.
    if (row + 1 != rows_.size()) {
      index_[entry_of(rows_.back()->id)] = entry(rows_.back()->id, row);
      rows_[row].swap(rows_.back());
      notes_[row] = notes_.back();
    }
    rows_.pop_back();
    notes_.pop_back();
    // What stands behind the hole, and was kept from it, moves up (Knuth 6.4, algorithm R).
    index_[hole] = 0;
    for (std::size_t at = next(hole); index_[at] != 0; at = next(at)) {
      const std::size_t home = home_of(rows_[row_at(at)]->id);
      if (((at - home) & mask()) < ((at - hole) & mask())) continue;
      index_[hole] = std::exchange(index_[at], 0);
      hole = at;
    }
    if (index_.size() > least_entries && 8 * rows_.size() < index_.size()) index(index_.size() / 2);
  }

  /// Before a search: brings the row of entries nearer, and then, a moment later, the value.
  void foresee(Id id) const {
    if (rows_.empty()) return;
    prefetch(&index_[home_of(id)], sizeof index_[0]);
    prefetch(rows_.data(), rows_.size() * sizeof rows_[0]);
  }
  void foresee_value(Id id) const {
    if (rows_.empty()) return;
    std::size_t at = home_of(id);
    while (index_[at] != 0 && (index_[at] ^ tag_of(id)) >> row_bits != 0) at = next(at);
    if (index_[at] != 0) prefetch(*rows_[row_at(at)]);
  }

  std::size_t size() const { return rows_.size(); }

  /// Of one that is there.
  std::uint32_t& note(Id id) { return notes_[row_at(entry_of(id))]; }

  // In no order that means anything; notes() in the same.
  auto begin() const { return rows_.begin(); }
  auto end() const { return rows_.end(); }
  std::span<std::uint32_t> notes() { return notes_; }

 private:
  // An entry: 8 bits of the number's hash, so that few values are looked at in vain, and the row
  // and one.
  static constexpr int row_bits = 24;
  static constexpr std::size_t least_entries = 8;

  static std::uint64_t hash_of(Id id) {
    return static_cast<std::uint64_t>(id) * 0x9e3779b97f4a7c15;  // of the golden ratio
  }
  std::size_t mask() const { return index_.size() - 1; }
  std::size_t next(std::size_t at) const { return (at + 1) & mask(); }
  std::size_t home_of(Id id) const {
    return static_cast<std::size_t>(hash_of(id) >> (64 - std::countr_zero(index_.size())));
  }
  static std::uint32_t tag_of(Id id) {
    return static_cast<std::uint32_t>(hash_of(id) >> 16 & 0xff) << row_bits;
  }
  static std::uint32_t entry(Id id, std::size_t row) {
    PEER_RELAY_ASSERT(row + 1 < std::size_t{1} << row_bits);
    return tag_of(id) | static_cast<std::uint32_t>(row + 1);
  }
  std::size_t row_at(std::size_t at) const { return (index_[at] & ((1u << row_bits) - 1)) - 1; }

  /// Where it is, or would be.
  std::size_t entry_of(Id id) const {
    std::size_t at = home_of(id);
    const std::uint32_t tag = tag_of(id);
    while (index_[at] != 0 &&
           ((index_[at] ^ tag) >> row_bits != 0 || rows_[row_at(at)]->id != id)) {
      at = next(at);
    }
    return at;
  }

  void index(std::size_t entries) {
    index_ = std::vector<std::uint32_t>(entries);
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      index_[entry_of(rows_[row]->id)] = entry(rows_[row]->id, row);
    }
  }

  std::vector<std::unique_ptr<Value>> rows_;
  std::vector<std::uint32_t> notes_;  // a row's
  std::vector<std::uint32_t>
      index_;  // a power of two of them, at most three quarters full; 0: free
};

}  // namespace peer_relay
