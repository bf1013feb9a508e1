// SPDX-License-Identifier: MIT
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "peer_relay/result.hpp"

namespace peer_relay {

enum class Scheme : std::uint8_t { ws, wss, tcp };

/// From where an address can be dialed.
enum class Reach : std::uint8_t {
  nowhere,     ///< unspecified, multicast, documentation, no address at all: no node is there
  loopback,    ///< this machine (127.0.0.0/8, ::1, localhost)
  link_local,  ///< this wire (169.254.0.0/16, fe80::/10)
  site,        ///< this site (RFC 1918, RFC 6598, RFC 4193)
  world,       ///< everywhere; names other than localhost count as this
};

/// Where a transport can dial a node: `ws://host:port/path`, `wss://...`, `tcp://host:port`.
struct Address {
  Scheme scheme = Scheme::ws;
  std::string host;  ///< a DNS name, an IPv4 or an IPv6 address without brackets; lower case
  std::uint16_t port = 0;
  std::string path = "/";

  auto operator<=>(const Address&) const = default;

  /// Strict: scheme, host, an optional port (80 for ws, 443 for wss, none for tcp) and an optional
  /// path (none for tcp). No user, query or fragment; at most limits::address_bytes_max bytes of
  /// printable ASCII. A host that resolvers would read as a number (`127.1`, `0x7f000001`) is none.
  static Result<Address> parse(std::string_view text);

  /// Without a default port and a bare `/`, so never longer than what was parsed.
  std::string to_string() const;
  Reach reach() const;
};

/// A port that is listened on, and how it is spoken to there.
struct ListenPort {
  Scheme scheme = Scheme::ws;
  std::uint16_t port = 0;
  auto operator<=>(const ListenPort&) const = default;
};

/// Whether this is an IPv4 address, or an IPv6 one without brackets and zone.
bool is_ip_address(std::string_view host);

/// The reach of an IP address in text, without brackets, or of a name.
Reach reach_of_host(std::string_view host);

/// The /24 of an IPv4 address or the /48 of an IPv6 one, as a number to compare: neighbours there
/// are likely one operator's. A name is hashed. IPv4-mapped IPv6 counts as IPv4.
std::uint64_t subnet_of_host(std::string_view host);

}  // namespace peer_relay
