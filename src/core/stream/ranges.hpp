// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace peer_relay {

/// A part of a stream, from `from` up to and without `to`.
struct Range {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
};

/// Parts of a stream, in order and apart from each other. Few at any time: each is what was lost in
/// one go.
class Ranges {
 public:
  void add(Range range);
  /// Takes out all before `to`.
  void drop_before(std::uint64_t to);
  /// Takes out the first part, and of that at most so much.
  std::optional<Range> take(std::uint64_t length_max);

  bool empty() const { return all_.empty(); }
  std::size_t size() const { return all_.size(); }
  void clear() { all_.clear(); }

 private:
  std::vector<Range> all_;
};

}  // namespace peer_relay
