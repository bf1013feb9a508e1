// SPDX-License-Identifier: MIT
//
// How the decoders of this room end.
#pragma once

#include <utility>

#include "base/reader.hpp"
#include "core/wire/wire.hpp"

namespace peer_relay {

/// The struct, if its bytes were read to the end and none was missing.
template <class T>
Decoded<T> whole(const Reader& in, T value) {
  if (!in.ok()) return std::unexpected(DecodeError::truncated);
  if (in.left() != 0) return std::unexpected(DecodeError::trailing);
  return value;
}

}  // namespace peer_relay
