// SPDX-License-Identifier: MIT
//
// What of the other side's SCTP packets usrsctp gets to see. It is C of 2021, in which this room's
// fuzzer found a loop without end; here the lengths by which it walks are checked first, and what
// data channels have no use for is left out.
#pragma once

#include "peer_relay/bytes.hpp"

namespace peer_relay::webrtc {

/// Whether the chunks of a packet (RFC 9260 §3.2), and the parameters and causes in them (§3.2.1,
/// §3.3.10), lie within their bounds, and none is of an extension that we have not announced.
bool is_sound_packet(BytesView packet);

}  // namespace peer_relay::webrtc
