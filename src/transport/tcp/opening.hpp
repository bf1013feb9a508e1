// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "peer_relay/bytes.hpp"

namespace peer_relay::tcp {

/// Who speaks on a connection that came in, told by its first bytes: a port may have to do with
/// more than one kind of stranger, and their bytes mean nothing as a length.
enum class Opening : std::uint8_t {
  undecided,  ///< so far it could be a node of ours
  ours,       ///< a length, and the magic of HELLO (protocol §4)
  exchange,   ///< a node of npm peer-exchange, who begins with a frame that opens a channel
  strange,
};

/// Decided by then at the latest, and for strangers as soon as they differ.
inline constexpr std::size_t opening_bytes = 8;

Opening opening_of(BytesView first);

}  // namespace peer_relay::tcp
