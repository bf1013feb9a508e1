// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

namespace peer_relay {

/// Brings memory nearer that is about to be read. Only a hint: nothing depends on it.
inline void prefetch(const void* at, std::size_t bytes) {
  constexpr std::size_t cache_line = 64;
  for (std::size_t i = 0; i < bytes; i += cache_line) {
    __builtin_prefetch(static_cast<const char*>(at) + i);
  }
}

/// The same of an object.
template <class T>
void prefetch(const T& object) {
  prefetch(&object, sizeof object);
}

}  // namespace peer_relay
