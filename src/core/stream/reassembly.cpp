// SPDX-License-Identifier: MIT
#include "core/stream/reassembly.hpp"

#include <algorithm>
#include <utility>

#include "peer_relay/limits.hpp"

namespace peer_relay {

bool Reassembly::add(std::uint64_t offset, BytesView bytes) {
  // What is known already is cut off, from the left.
  const auto skip_to = [&](std::uint64_t at) {
    const std::uint64_t known = std::min<std::uint64_t>(at - offset, bytes.size());
    bytes = bytes.subspan(known);
    offset += known;
  };
  if (offset < received_) skip_to(received_);
  if (bytes.empty()) return true;

  if (offset == received_) {
    ready_.insert(ready_.end(), bytes.begin(), bytes.end());
    received_ += bytes.size();
    while (!early_.empty() && early_.begin()->first <= received_) {
      const auto piece = early_.extract(early_.begin());
      const std::uint64_t known = received_ - piece.key();
      if (known >= piece.mapped().size()) continue;
      const BytesView rest = BytesView{piece.mapped()}.subspan(known);
      ready_.insert(ready_.end(), rest.begin(), rest.end());
      received_ += rest.size();
    }
    return true;
  }

  // Between the pieces that are there, each part that is missing becomes a piece of its own.
  while (!bytes.empty()) {
    const auto after = early_.upper_bound(offset);
    const auto before = after == early_.begin() ? early_.end() : std::prev(after);
    const std::uint64_t known =
        before == early_.end() ? received_ : before->first + before->second.size();
    if (known > offset) {
      skip_to(known);
      continue;
    }
    const std::uint64_t end = after == early_.end()
                                  ? offset + bytes.size()
                                  : std::min<std::uint64_t>(after->first, offset + bytes.size());
    const BytesView part = bytes.first(end - offset);
    if (known == offset) {
      // Behind one loss come many small pieces in a row; they are one.
      before->second.insert(before->second.end(), part.begin(), part.end());
    } else {
      if (early_.size() >= limits::stream_early_pieces_max) return false;
      early_.emplace_hint(after, offset, Bytes{part.begin(), part.end()});
    }
    skip_to(end);
  }
  return true;
}

std::optional<Bytes> Reassembly::next() {
  if (ready_.empty()) return std::nullopt;
  return std::exchange(ready_, {});
}

std::uint64_t Reassembly::highest() const {
  if (early_.empty()) return received_;
  return early_.rbegin()->first + early_.rbegin()->second.size();
}

}  // namespace peer_relay
