// SPDX-License-Identifier: MIT
//
// Words of peer exchange that engine and host have in common.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace peer_relay {

/// A peer of an exchange, by the number that the engine gave it; never used twice. Nodes of npm
/// peer-exchange have no ids: two connections to one node are two peers.
enum class ExchangePeerId : std::uint64_t {};

/// Names one request of the application for a peer, from 1 upward.
using ExchangeRequest = std::uint64_t;

enum class ExchangeTransport : std::uint8_t { tcp, websocket, webrtc };
inline constexpr std::size_t exchange_transports = 3;

/// As it stands on the wire.
std::string_view name_of(ExchangeTransport transport);
std::optional<ExchangeTransport> exchange_transport_of(std::string_view name);

/// Why a request for a peer led to none.
enum class ExchangeFailure : std::uint8_t {
  no_peers,       ///< nobody to ask: there is no such peer, or none at all
  nobody,         ///< who was asked knows nobody to introduce
  no_answer,      ///< who was asked did not answer in time, or went away
  bad_answer,     ///< what was answered is nothing that we could or would dial
  dial_failed,    ///< nobody could be reached at that address; the dial's error says why
  wrong_network,  ///< who is there belongs to another network
  wrong_version,  ///< who is there speaks another version
  closed,         ///< the connection ended before it was ready; its reason says why
  limit,          ///< as many are under way as we keep
  shutdown,       ///< the node goes away
};
std::string_view name_of(ExchangeFailure failure);

}  // namespace peer_relay
