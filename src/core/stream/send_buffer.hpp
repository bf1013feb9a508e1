// SPDX-License-Identifier: MIT
//
// The bytes of a stream that its reader may not have yet: kept until it says that it has them, so
// that any of them can be sent again.
#pragma once

#include <cstdint>
#include <deque>

#include "peer_relay/bytes.hpp"

namespace peer_relay {

class SendBuffer {
 public:
  void append(Bytes bytes);

  /// The first byte that is held, and the one after the last.
  std::uint64_t begin() const { return begin_; }
  std::uint64_t end() const { return end_; }

  /// Appends those bytes, all of them held, to `out`.
  void copy(std::uint64_t from, std::uint64_t to, Bytes& out) const;

  /// Forgets all before `to`.
  void release(std::uint64_t to);

 private:
  struct Chunk {
    std::uint64_t at = 0;
    Bytes bytes;
  };
  std::deque<Chunk> chunks_;
  std::uint64_t begin_ = 0;
  std::uint64_t end_ = 0;
};

}  // namespace peer_relay
