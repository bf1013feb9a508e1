// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "peer_relay/reasons.hpp"

namespace peer_relay {

/// Whether a reason may stand in a GOODBYE or REFUSED.
constexpr bool travels(CloseReason reason) { return reason <= CloseReason::too_many_handshakes; }

/// A reason as it came. One that does not travel, or that we do not know yet, tells no more than
/// that the other side was displeased.
constexpr CloseReason travelled_reason(std::uint8_t number) {
  const CloseReason reason{number};
  return travels(reason) ? reason : CloseReason::protocol_error;
}

}  // namespace peer_relay
