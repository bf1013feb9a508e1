// SPDX-License-Identifier: MIT
#include "base/exchange.hpp"

namespace peer_relay {

std::string_view name_of(ExchangeTransport transport) {
  switch (transport) {
    case ExchangeTransport::tcp:
      return "tcp";
    case ExchangeTransport::websocket:
      return "websocket";
    case ExchangeTransport::webrtc:
      return "webrtc";
  }
  return "unknown";
}

std::optional<ExchangeTransport> exchange_transport_of(std::string_view name) {
  for (std::uint8_t i = 0; i < exchange_transports; ++i) {
    if (name == name_of(ExchangeTransport{i})) return ExchangeTransport{i};
  }
  return std::nullopt;
}

std::string_view name_of(ExchangeFailure failure) {
  switch (failure) {
    using enum ExchangeFailure;
    case no_peers:
      return "no_peers";
    case nobody:
      return "nobody";
    case no_answer:
      return "no_answer";
    case bad_answer:
      return "bad_answer";
    case dial_failed:
      return "dial_failed";
    case wrong_network:
      return "wrong_network";
    case wrong_version:
      return "wrong_version";
    case closed:
      return "closed";
    case limit:
      return "limit";
    case shutdown:
      return "shutdown";
  }
  return "unknown";
}

}  // namespace peer_relay
