// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <ostream>

#include "core/wire/wire.hpp"

namespace peer_relay {

/// Why a decoder said no; nothing if it said yes.
template <class T>
std::optional<DecodeError> error_of(const Decoded<T>& decoded) {
  if (decoded) return std::nullopt;
  return decoded.error();
}

/// For the messages of tests that fail.
inline void PrintTo(DecodeError error, std::ostream* out) { *out << name_of(error); }

}  // namespace peer_relay
