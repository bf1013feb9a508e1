// SPDX-License-Identifier: MIT
//
// What the library reports by names, as sentences for people.
#pragma once

#include <string>

#include "peer_relay/events.hpp"
#include "peer_relay/reasons.hpp"
#include "peer_relay/stream.hpp"

namespace peer_relay::app {

/// "no node of that id is in the network", and for some reasons where the way ended.
std::string sentence_of(UnreachableReason reason, const NodeId& where);

/// How a send ended, if it was not delivered.
std::string sentence_of(const SendResult& result);

/// A problem, without its place.
std::string sentence_of(const Problem& problem);

/// Why a link ended, as `peer ... lost: ...` goes on.
std::string sentence_of(CloseReason reason);

/// Why a stream ended before both sides had finished.
std::string sentence_of(const StreamError& error);

/// "2 hops, 1.3 ms"
std::string delivery_text(const SendResult& result);

}  // namespace peer_relay::app
