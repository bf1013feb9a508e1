// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "core/engine/engine.hpp"
#include "peer_relay/node.hpp"

namespace peer_relay {

/// What the engine needs to know of a node's options, or what is wrong with them. The ports
/// are filled in when they are known.
Result<EngineOptions, StartError> engine_options(const NodeOptions& options);

/// Whether who listens there is reached by 127.0.0.1 or ::1.
bool is_on_loopback(const std::string& host);

/// Where this machine reaches a node that listens on `host` and `port`.
std::string local_url(Scheme scheme, const std::string& host, std::uint16_t port);

}  // namespace peer_relay
