// SPDX-License-Identifier: MIT
#include "core/exchange/multiplex.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace peer_relay::exchange {

namespace {

BytesView take_front(BytesView& bytes, std::size_t count) {
  const BytesView front = bytes.first(count);
  bytes = bytes.subspan(count);
  return front;
}

void append_varint(std::uint64_t value, Bytes& out) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<std::uint8_t>(value | 0x80));
  out.push_back(static_cast<std::uint8_t>(value));
}

}  // namespace

std::optional<Piece> MultiplexReader::next(BytesView& bytes) {
  while (!broken_) {
    if (stage_ == Stage::payload) {
      const auto piece = take_payload(bytes);
      if (!piece || piece->type != FrameType::nothing) return piece;
    } else {
      if (!take_varint(bytes)) return std::nullopt;
      if (stage_ == Stage::header) {
        take_header();
      } else {
        take_length();
      }
    }
  }
  return std::nullopt;
}

/// True once it is whole.
bool MultiplexReader::take_varint(BytesView& bytes) {
  while (!bytes.empty() && !broken_) {
    const std::uint8_t byte = take_front(bytes, 1).front();
    const std::uint64_t bits = byte & 0x7f;
    const int shift = 7 * varint_bytes_++;
    // The tenth byte has room for one bit.
    broken_ = shift > 63 || (shift == 63 && bits > 1);
    if (broken_) return false;
    varint_ |= bits << shift;
    if ((byte & 0x80) == 0) {
      varint_bytes_ = 0;
      return true;
    }
    broken_ = varint_bytes_ == varint_bytes_max;
  }
  return false;
}

void MultiplexReader::take_header() {
  type_ = static_cast<FrameType>(varint_ & 7);
  const std::uint64_t number = varint_ >> 3;
  broken_ = number > channel_number_max;
  channel_ = static_cast<std::uint32_t>(number);
  varint_ = 0;
  stage_ = Stage::length;
}

void MultiplexReader::take_length() {
  left_ = varint_;
  broken_ = left_ > (type_ == FrameType::open ? channel_name_bytes_max : frame_bytes_max);
  varint_ = 0;
  stage_ = Stage::payload;
  name_.clear();
}

/// A frame that means nothing comes out as one of that type, at its end.
std::optional<Piece> MultiplexReader::take_payload(BytesView& bytes) {
  const BytesView front =
      take_front(bytes, static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size())));
  left_ -= front.size();
  const bool is_last = left_ == 0;
  if (is_last) stage_ = Stage::header;
  Piece piece{.type = type_, .channel = channel_, .is_last = is_last};
  if (type_ == FrameType::receiver_data || type_ == FrameType::opener_data) {
    if (front.empty() && !is_last) return std::nullopt;
    piece.bytes = front;
    return piece;
  }
  if (type_ == FrameType::open) name_.insert(name_.end(), front.begin(), front.end());
  if (!is_last) return std::nullopt;
  if (type_ == FrameType::open) piece.bytes = name_;
  return piece;
}

void append_frame_header(FrameType type, std::uint32_t channel, std::size_t bytes, Bytes& out) {
  PEER_RELAY_ASSERT(channel <= channel_number_max && bytes <= frame_bytes_max);
  append_varint(std::uint64_t{channel} << 3 | static_cast<std::uint8_t>(type), out);
  append_varint(bytes, out);
}

void append_frame(FrameType type, std::uint32_t channel, BytesView payload, Bytes& out) {
  append_frame_header(type, channel, payload.size(), out);
  out.insert(out.end(), payload.begin(), payload.end());
}

}  // namespace peer_relay::exchange
