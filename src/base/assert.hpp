// SPDX-License-Identifier: MIT
#pragma once

namespace peer_relay {

/// Says where the belief was wrong, on standard error, and aborts.
[[noreturn]] void assertion_failed(const char* belief, const char* file, int line);

}  // namespace peer_relay

/// What the programmer believes, checked in every build. Nothing that a peer can write may ever
/// reach one: a stranger's mistake is a value, ours is a stop.
#define PEER_RELAY_ASSERT(belief) \
  ((belief) ? static_cast<void>(0) : ::peer_relay::assertion_failed(#belief, __FILE__, __LINE__))
