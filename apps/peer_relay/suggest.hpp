// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace peer_relay::app {

/// How many letters must be put in, taken out, changed or swapped with their neighbour to make one
/// word of the other (optimal string alignment).
std::size_t typing_distance(std::string_view a, std::string_view b);

/// The word that was probably meant, if any is near enough: a third of its letters may be wrong.
std::optional<std::string> meant(std::string_view typed, std::span<const std::string> words);

/// " (did you mean 'serve'?)", or nothing.
std::string did_you_mean(std::string_view typed, std::span<const std::string> words);

}  // namespace peer_relay::app
