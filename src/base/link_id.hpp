// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace peer_relay {

/// A link, by the number that its host gave it; never used twice.
enum class LinkId : std::uint64_t {};

/// An attempt to make a link, by the number that the engine gave it; never used twice.
enum class DialId : std::uint64_t {};

/// An offer of a data channel and what follows it, on either side, by the number that our engine
/// gave it; never used twice.
enum class NegotiationId : std::uint64_t {};

}  // namespace peer_relay
