// SPDX-License-Identifier: MIT
//
// How people write STUN and TURN servers: "host", "host:port", "[2001:db8::1]:3478", with or
// without the scheme of RFC 7064 and RFC 7065, and for TURN with user and secret before an "@" and
// "?transport=tcp" behind.
#pragma once

#include <string_view>

#include "peer_relay/node.hpp"
#include "transport/webrtc/webrtc_transport.hpp"

namespace peer_relay {

Result<IceServerName, StartError> parse_stun(std::string_view text);
Result<IceServerName, StartError> parse_turn(std::string_view text);

}  // namespace peer_relay
