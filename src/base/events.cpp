// SPDX-License-Identifier: MIT
#include "peer_relay/events.hpp"

namespace peer_relay {

std::string_view name_of(Problem::Kind kind) {
  switch (kind) {
    case Problem::Kind::bootstrap_failed:
      return "bootstrap_failed";
    case Problem::Kind::wrong_network:
      return "wrong_network";
    case Problem::Kind::wrong_version:
      return "wrong_version";
    case Problem::Kind::dial_failed:
      return "dial_failed";
    case Problem::Kind::isolated:
      return "isolated";
    case Problem::Kind::listen_failed:
      return "listen_failed";
    case Problem::Kind::state_unwritable:
      return "state_unwritable";
  }
  return "unknown";
}

std::string_view name_of(SendResult::Outcome outcome) {
  switch (outcome) {
    case SendResult::Outcome::delivered:
      return "delivered";
    case SendResult::Outcome::unreachable:
      return "unreachable";
    case SendResult::Outcome::timed_out:
      return "timed_out";
    case SendResult::Outcome::refused:
      return "refused";
    case SendResult::Outcome::unconfirmed:
      return "unconfirmed";
  }
  return "unknown";
}

}  // namespace peer_relay
