// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

namespace peer_relay {

/// Whether a stranger's text may be shown to people as it is: well-formed UTF-8 (RFC 3629 §4) and
/// no control characters, which a terminal would obey.
bool is_plain_text(std::string_view text);

}  // namespace peer_relay
