// SPDX-License-Identifier: MIT
#pragma once

#include "core/engine/engine.hpp"

namespace peer_relay {

/// What every host does after every input: perform what the engine wants, then arm the timer.
/// `Host` has perform(Action&&) and wake_at(TimePoint). perform() must not call the engine's
/// inputs: what it learns it tells later.
template <class Host>
void drive(Engine& engine, Host& host) {
  while (auto action = engine.next_action()) host.perform(std::move(*action));
  host.wake_at(engine.next_wake());
}

}  // namespace peer_relay
