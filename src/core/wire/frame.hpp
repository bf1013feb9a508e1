// SPDX-License-Identifier: MIT
//
// A batch, once opened, is a row of frames. One cannot be larger than the batch that carries it.
#pragma once

#include <cstdint>
#include <optional>

#include "core/wire/wire.hpp"
#include "peer_relay/limits.hpp"
#include "peer_relay/reasons.hpp"

namespace peer_relay {

enum class FrameKind : std::uint8_t {
  route = 0x01,             ///< an envelope: envelope.hpp
  ping = 0x02,              ///< 8B anything
  pong = 0x03,              ///< the same 8B
  contacts = 0x04,          ///< contacts the sender knows: overlay.hpp
  goodbye = 0x05,           ///< 1B CloseReason; the sender's last frame
  dial_back = 0x06,         ///< please try whether I can be dialed: overlay.hpp
  dial_back_result = 0x07,  ///< overlay.hpp
  legacy = 0x09,            ///< of the old network, between two that carry it: legacy.hpp
  stream_data = 0x10,       ///< bytes of a stream: stream.hpp
  stream_window = 0x11,     ///< what has come of one, and what more may come
  stream_reset = 0x12,      ///< it ends here and now
  // 0x08 (MULTI: one envelope to many) is set aside, and so are 0x13 and 0x14.
};

// 1B kind | len16 body
struct Frame {
  std::uint8_t kind = 0;  ///< FrameKind, or one of a later version
  MutableBytes body{};
};

inline constexpr std::size_t frame_header_bytes = 3;
inline constexpr std::size_t batch_tag_bytes = 16;
inline constexpr std::size_t batch_plain_bytes_max = limits::batch_bytes_max - batch_tag_bytes;

/// Walks over the frames of one batch, in place.
class FrameReader {
 public:
  explicit FrameReader(MutableBytes batch) : rest_(batch) {}

  /// The next frame; nothing at the end, or where the batch is broken: then is_broken().
  std::optional<Frame> next();
  bool is_broken() const { return broken_; }

 private:
  MutableBytes rest_;
  bool broken_ = false;
};

/// Appends header and body to a batch in the making.
void append_frame(FrameKind kind, BytesView body, Bytes& batch);

// Bodies of PING and PONG.
Decoded<std::uint64_t> decode_ping(BytesView body);
void append_ping(FrameKind ping_or_pong, std::uint64_t value, Bytes& batch);

// Body of GOODBYE. Reasons that never travel decode as protocol_error.
Decoded<CloseReason> decode_goodbye(BytesView body);
void append_goodbye(CloseReason reason, Bytes& batch);

}  // namespace peer_relay
