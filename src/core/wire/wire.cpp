// SPDX-License-Identifier: MIT
#include "core/wire/wire.hpp"

namespace peer_relay {

std::string_view name_of(DecodeError error) {
  using enum DecodeError;
  switch (error) {
    case truncated:
      return "truncated";
    case trailing:
      return "trailing";
    case over_limit:
      return "over_limit";
    case unknown:
      return "unknown";
    case bad_value:
      return "bad_value";
  }
  return "unknown";
}

}  // namespace peer_relay
