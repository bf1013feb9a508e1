// SPDX-License-Identifier: MIT
//
// What strangers send on a TCP link, in pieces of any size: the first byte seeds their sizes. What
// comes out is what one look at the whole stream finds.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/assert.hpp"
#include "base/random.hpp"
#include "peer_relay/limits.hpp"
#include "transport/tcp/deframer.hpp"
#include "transport/tcp/opening.hpp"

namespace {

using namespace peer_relay;
using namespace peer_relay::tcp;

struct Heard {
  std::vector<Bytes> messages;
  bool is_broken = false;
  bool operator==(const Heard&) const = default;
};

Heard at_a_glance(BytesView stream) {
  Heard heard;
  while (stream.size() >= length_bytes) {
    const std::size_t length = std::size_t{stream[0]} << 24 | std::size_t{stream[1]} << 16 |
                               std::size_t{stream[2]} << 8 | stream[3];
    heard.is_broken = length == 0 || length > limits::batch_bytes_max;
    stream = stream.subspan(length_bytes);
    if (heard.is_broken || stream.size() < length) break;
    heard.messages.emplace_back(stream.begin(),
                                stream.begin() + static_cast<std::ptrdiff_t>(length));
    stream = stream.subspan(length);
  }
  return heard;
}

Heard piece_by_piece(BytesView stream, Random random) {
  ReadBuffers buffers;
  Deframer deframer{buffers};
  Heard heard;
  while (!stream.empty() && !deframer.is_broken()) {
    const auto piece = stream.first(1 + random.below(std::min<std::uint64_t>(
                                            stream.size(), std::uint64_t{1} << random.below(18))));
    stream = stream.subspan(piece.size());
    const MutableBytes room = deframer.room();
    const std::size_t in_room = std::min(room.size(), piece.size());
    std::copy_n(piece.begin(), in_room, room.begin());
    deframer.filled(in_room);
    Bytes rest(piece.begin() + static_cast<std::ptrdiff_t>(in_room), piece.end());
    MutableBytes left{rest};
    while (const auto message = deframer.next(left)) {
      PEER_RELAY_ASSERT(!message->empty() && message->size() <= limits::batch_bytes_max);
      heard.messages.emplace_back(message->begin(), message->end());
      std::ranges::fill(*message, std::uint8_t{0xee});  // the sink may write in it
    }
    PEER_RELAY_ASSERT(left.empty() || deframer.is_broken());
  }
  heard.is_broken = deframer.is_broken();
  return heard;
}

/// It never thinks again, whatever comes later.
void try_opening(BytesView stream) {
  Opening before = Opening::undecided;
  for (std::size_t size = 0; size <= std::min(stream.size(), 2 * opening_bytes); ++size) {
    const Opening now = opening_of(stream.first(size));
    PEER_RELAY_ASSERT(before == Opening::undecided || now == before);
    PEER_RELAY_ASSERT(size < opening_bytes || now != Opening::undecided);
    before = now;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const BytesView stream = BytesView{data, size}.subspan(1);
  try_opening(stream);
  PEER_RELAY_ASSERT(piece_by_piece(stream, Random{data[0]}) == at_a_glance(stream));
  return 0;
}
