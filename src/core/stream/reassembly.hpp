// SPDX-License-Identifier: MIT
//
// Puts the pieces of a stream in order: they come late, twice, overlapping, by two ways at once.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "peer_relay/bytes.hpp"

namespace peer_relay {

class Reassembly {
 public:
  /// Takes a piece; false if there is no room for all of it out of order.
  bool add(std::uint64_t offset, BytesView bytes);

  /// The next bytes in order; nothing while they are missing.
  std::optional<Bytes> next();

  /// All before it came in order, whether taken out or not.
  std::uint64_t received() const { return received_; }
  bool has_gaps() const { return !early_.empty(); }
  /// The last byte that came, and one more.
  std::uint64_t highest() const;

 private:
  std::uint64_t received_ = 0;
  Bytes ready_;
  // By offset, none touching `received_` and none overlapping; what continues one belongs to it.
  // Pieces: stream_early_pieces_max.
  std::map<std::uint64_t, Bytes> early_;
};

}  // namespace peer_relay
