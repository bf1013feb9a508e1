// SPDX-License-Identifier: MIT
//
// How a data channel is opened (RFC 8832 §5) and what kinds of messages pass on it (RFC 8831 §8).
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <variant>

#include "peer_relay/bytes.hpp"

namespace peer_relay::webrtc {

/// Payload protocol identifiers of SCTP. SCTP has no empty message, so those carry a byte that does
/// not count and say so.
enum class Ppid : std::uint32_t {
  dcep = 50,
  text = 51,
  binary = 53,
  empty_text = 56,
  empty_binary = 57,
};

/// Names of channels and of what they carry; ours are shorter, and so are everybody's.
inline constexpr std::size_t channel_name_bytes_max = 256;

struct ChannelOpen {
  bool is_ordered_and_reliable = true;
  std::uint16_t priority = 256;  ///< RFC 8831 §6.4: normal
  std::string label;
  std::string protocol;

  bool operator==(const ChannelOpen&) const = default;
};

struct ChannelAck {
  bool operator==(const ChannelAck&) const = default;
};

using DcepMessage = std::variant<ChannelOpen, ChannelAck>;

enum class DcepError : std::uint8_t { malformed, too_long, unknown };

std::expected<DcepMessage, DcepError> decode_dcep(BytesView message);

/// Only ordered and reliable ones are ever opened by us.
Bytes encode(const ChannelOpen& open);
Bytes encode(const ChannelAck& ack);

}  // namespace peer_relay::webrtc
