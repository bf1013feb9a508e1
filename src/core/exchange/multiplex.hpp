// SPDX-License-Identifier: MIT
//
// The frames of npm multiplex 6, in which nodes of npm peer-exchange 0.4.1 lay several channels on
// one byte stream:
//
//   varint channel * 8 + type | varint length | payload
//
// A varint has 7 bits in each byte, the least significant first, and the high bit on all bytes but
// the last. Each side numbers the channels that it opens; the type tells whose number is meant.
//
// Where we depart: numbers, lengths and names have bounds. A node allocates a table up to the
// number, and dies of a length above 2^32; a frame beyond our bounds breaks the stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "peer_relay/bytes.hpp"

namespace peer_relay::exchange {

/// What the receiver of a channel says names a channel of the other side's.
enum class FrameType : std::uint8_t {
  open = 0,  ///< the payload is the channel's name; empty: its number in decimal
  receiver_data = 1,
  opener_data = 2,
  receiver_end = 3,
  opener_end = 4,
  receiver_destroy = 5,  ///< the payload says why, in words
  opener_destroy = 6,
  nothing = 7,
};

/// Nodes count from 0 and take the lowest that is free; a third party's may be anything, but costs
/// a node 24 bytes up to it.
inline constexpr std::uint64_t channel_number_max = (1 << 20) - 1;
/// Payloads are passed on as they come, so their length costs nothing. A node writes what its
/// application wrote as one frame, and dies of more than this.
inline constexpr std::uint64_t frame_bytes_max = (std::uint64_t{1} << 32) - 1;
/// Of a channel; "relay:" and 32 digits are the longest that mean something.
inline constexpr std::size_t channel_name_bytes_max = 256;
/// 64 bits are ten bytes. A node reads a hundred.
inline constexpr std::size_t varint_bytes_max = 10;

/// One frame, or a part of one that carries data.
struct Piece {
  FrameType type = FrameType::nothing;
  std::uint32_t channel = 0;
  /// With data: what has come of it. With open: the whole name. Else empty: nobody reads why a
  /// channel was destroyed.
  BytesView bytes{};
  bool is_last = false;  ///< the frame ends here
};

/// Bytes in, cut anywhere; pieces out. Keeps nothing of a payload but names.
class MultiplexReader {
 public:
  /// The next piece, taken from the front of `bytes`, in which it may stand: valid until the next
  /// call. Nothing when all bytes are used up, or when the stream is broken.
  std::optional<Piece> next(BytesView& bytes);

  /// There was a frame beyond the bounds. It says nothing more.
  bool is_broken() const { return broken_; }

 private:
  enum class Stage : std::uint8_t { header, length, payload };

  bool take_varint(BytesView& bytes);
  void take_header();
  void take_length();
  std::optional<Piece> take_payload(BytesView& bytes);

  Stage stage_ = Stage::header;
  bool broken_ = false;
  std::uint8_t varint_bytes_ = 0;
  std::uint64_t varint_ = 0;
  FrameType type_ = FrameType::nothing;
  std::uint32_t channel_ = 0;
  std::uint64_t left_ = 0;  // of the payload
  Bytes name_;
};

/// What stands before a payload of so many bytes.
void append_frame_header(FrameType type, std::uint32_t channel, std::size_t bytes, Bytes& out);
void append_frame(FrameType type, std::uint32_t channel, BytesView payload, Bytes& out);

}  // namespace peer_relay::exchange
