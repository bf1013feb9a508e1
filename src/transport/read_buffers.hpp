// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <vector>

#include "peer_relay/bytes.hpp"

namespace peer_relay {

/// Buffers for messages that are longer than what a quiet link holds; each has room for the longest
/// batch. They go from link to link, so that memory follows the messages under way and not the
/// links.
class ReadBuffers {
 public:
  Bytes take();
  void give_back(Bytes buffer);

 private:
  static constexpr std::size_t kept_max = 8;
  std::vector<Bytes> free_;
};

}  // namespace peer_relay
