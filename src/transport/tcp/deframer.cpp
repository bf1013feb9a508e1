// SPDX-License-Identifier: MIT
#include "transport/tcp/deframer.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "peer_relay/limits.hpp"

namespace peer_relay::tcp {

namespace {

/// Of an unfinished message, before it gets a buffer that is as long as any: who announces much and
/// sends little takes no more than this from us.
constexpr std::size_t small_bytes = 1024;

MutableBytes take_front(MutableBytes& bytes, std::size_t count) {
  const MutableBytes front = bytes.first(count);
  bytes = bytes.subspan(count);
  return front;
}

}  // namespace

LengthField length_field(std::size_t message_bytes) {
  PEER_RELAY_ASSERT(message_bytes > 0 && message_bytes <= limits::batch_bytes_max);
  LengthField out{};
  for (std::size_t i = 0; i < length_bytes; ++i) {
    out[i] = static_cast<std::uint8_t>(message_bytes >> (8 * (length_bytes - 1 - i)) & 255);
  }
  return out;
}

MutableBytes Deframer::room() {
  if (partial_.empty()) return {};
  return MutableBytes{partial_}.first(std::min(partial_.size(), length_)).subspan(have_);
}

void Deframer::filled(std::size_t bytes) {
  PEER_RELAY_ASSERT(bytes <= room().size());
  have_ += bytes;
}

std::optional<MutableBytes> Deframer::next(MutableBytes& bytes) {
  if (given_) clear();
  if (length_ == 0) take_length(bytes);
  if (length_ == 0 || broken_) return std::nullopt;
  if (have_ == 0 && bytes.size() >= length_) {
    length_have_ = 0;
    return take_front(bytes, std::exchange(length_, 0));
  }
  keep(bytes);
  if (have_ < length_) return std::nullopt;
  given_ = true;
  return MutableBytes{partial_}.first(length_);
}

void Deframer::take_length(MutableBytes& bytes) {
  const MutableBytes more = take_front(bytes, std::min(bytes.size(), length_bytes - length_have_));
  std::ranges::copy(more, length_field_.begin() + static_cast<std::ptrdiff_t>(length_have_));
  length_have_ += more.size();
  if (length_have_ < length_bytes) return;
  for (const std::uint8_t byte : length_field_) length_ = length_ << 8 | byte;
  broken_ = length_ == 0 || length_ > limits::batch_bytes_max;
}

void Deframer::keep(MutableBytes& bytes) {
  const MutableBytes more = take_front(bytes, std::min(bytes.size(), length_ - have_));
  if (more.empty()) return;
  if (have_ + more.size() > partial_.size()) {
    const bool is_small = have_ + more.size() <= small_bytes;
    Bytes wider = is_small ? Bytes(std::min(length_, small_bytes)) : buffers_.take();
    std::copy_n(partial_.begin(), have_, wider.begin());
    partial_ = std::move(wider);
  }
  std::ranges::copy(more, partial_.begin() + static_cast<std::ptrdiff_t>(have_));
  have_ += more.size();
}

void Deframer::clear() {
  if (!partial_.empty()) buffers_.give_back(std::exchange(partial_, {}));
  length_have_ = length_ = have_ = 0;
  given_ = false;
}

}  // namespace peer_relay::tcp
