// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "peer_relay/bytes.hpp"
#include "transport/read_buffers.hpp"

namespace peer_relay::tcp {

/// Before each message stands its length: 4 bytes, big-endian, 1 to limits::batch_bytes_max.
inline constexpr std::size_t length_bytes = 4;
using LengthField = std::array<std::uint8_t, length_bytes>;
LengthField length_field(std::size_t message_bytes);

/// Bytes in, whole messages out. A message that came whole is given out where it stands; of one
/// that did not, what there is moves to a buffer, into whose rest the next bytes can be read
/// directly. Between messages it holds nothing.
class Deframer {
 public:
  /// `buffers` outlives it.
  explicit Deframer(ReadBuffers& buffers) : buffers_(buffers) {}
  ~Deframer() { clear(); }
  Deframer(const Deframer&) = delete;
  Deframer& operator=(const Deframer&) = delete;

  /// Where bytes of the unfinished message may be put, which come before all others; empty if there
  /// is none.
  MutableBytes room();
  /// So many bytes were put there.
  void filled(std::size_t bytes);

  /// The next message, taken from the front of `bytes`, where it may stand: valid until either is
  /// touched again. Nothing when all bytes are used up, or when it is broken.
  std::optional<MutableBytes> next(MutableBytes& bytes);

  /// There was a length that no message has. It says nothing more.
  bool is_broken() const { return broken_; }

  /// Forgets the unfinished message.
  void clear();

 private:
  void take_length(MutableBytes& bytes);
  void keep(MutableBytes& bytes);

  ReadBuffers& buffers_;
  LengthField length_field_{};
  std::size_t length_have_ = 0;  // bytes of the length field
  std::size_t length_ = 0;       // of the message; 0 until it is known
  std::size_t have_ = 0;         // bytes of the message in `partial_`
  Bytes partial_;                // as long as a small piece, then one of `buffers_`
  bool given_ = false;           // `partial_` was whole, and next() gave it out
  bool broken_ = false;
};

}  // namespace peer_relay::tcp
