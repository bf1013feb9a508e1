// SPDX-License-Identifier: MIT
#include "core/stream/send_buffer.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace peer_relay {

namespace {

// A writer of single bytes must not cost a chunk for each.
constexpr std::size_t gathered_bytes_max = 4096;

}  // namespace

void SendBuffer::append(Bytes bytes) {
  if (bytes.empty()) return;
  const std::uint64_t at = end_;
  end_ += bytes.size();
  if (!chunks_.empty() && chunks_.back().bytes.size() + bytes.size() <= gathered_bytes_max) {
    Bytes& last = chunks_.back().bytes;
    last.insert(last.end(), bytes.begin(), bytes.end());
    return;
  }
  chunks_.push_back({.at = at, .bytes = std::move(bytes)});
}

void SendBuffer::copy(std::uint64_t from, std::uint64_t to, Bytes& out) const {
  PEER_RELAY_ASSERT(begin_ <= from && from <= to && to <= end_);
  if (from == to) return;
  auto chunk = std::ranges::upper_bound(chunks_, from, {}, &Chunk::at) - 1;
  while (from < to) {
    const std::uint64_t chunk_end = chunk->at + chunk->bytes.size();
    const std::uint64_t stop = std::min(to, chunk_end);
    const auto bytes = BytesView{chunk->bytes}.subspan(from - chunk->at, stop - from);
    out.insert(out.end(), bytes.begin(), bytes.end());
    from = stop;
    ++chunk;
  }
}

void SendBuffer::release(std::uint64_t to) {
  PEER_RELAY_ASSERT(to <= end_);
  if (to <= begin_) return;
  begin_ = to;
  while (!chunks_.empty() && chunks_.front().at + chunks_.front().bytes.size() <= to) {
    chunks_.pop_front();
  }
}

}  // namespace peer_relay
