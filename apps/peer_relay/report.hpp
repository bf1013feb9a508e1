// SPDX-License-Identifier: MIT
//
// The answers of a running node (control.hpp) as tables for people. The node may be of another
// version than we are: what is missing is shown as nothing.
#pragma once

#include <string>

#include "json.hpp"

namespace peer_relay::app {

/// One line a link, the closest ids first.
std::string peers_text(const Json& answer, bool whole_ids);

std::string status_text(const Json& answer, bool colors);

}  // namespace peer_relay::app
