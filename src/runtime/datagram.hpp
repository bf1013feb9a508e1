// SPDX-License-Identifier: MIT
//
// A datagram as PeerRelay.Socket of npm peer-relay 0.0.2 writes it, in a message of JSON:
//   {"buffer":{"type":"Buffer","data":[1,2,3]},"address":"<id of the sender>","port":22}
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "peer_relay/bytes.hpp"
#include "peer_relay/events.hpp"
#include "peer_relay/node_id.hpp"

namespace peer_relay {

struct Datagram {
  Bytes bytes;
  std::uint16_t port = 0;  ///< the sender's
};

Payload payload_of_datagram(BytesView bytes, const NodeId& self, std::uint16_t port);

/// Nothing for a message that is no datagram.
std::optional<Datagram> datagram_of(const Payload& payload);

}  // namespace peer_relay
