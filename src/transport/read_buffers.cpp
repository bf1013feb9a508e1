// SPDX-License-Identifier: MIT
#include "transport/read_buffers.hpp"

#include <utility>

#include "peer_relay/limits.hpp"

namespace peer_relay {

Bytes ReadBuffers::take() {
  if (free_.empty()) return Bytes(limits::batch_bytes_max);
  Bytes out = std::move(free_.back());
  free_.pop_back();
  return out;
}

void ReadBuffers::give_back(Bytes buffer) {
  // Those that had to grow for a long text are not kept.
  if (free_.size() < kept_max && buffer.size() == limits::batch_bytes_max)
    free_.push_back(std::move(buffer));
}

}  // namespace peer_relay
