// SPDX-License-Identifier: MIT
//
// ICE candidates (RFC 8445 §5.1, written as RFC 8839 §5.1 has them): places at which a node may be
// reached. A stranger's candidates make us send packets to where they say, so what is read here is
// a literal address for UDP at which a peer can be, and nothing else.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "peer_relay/address.hpp"

namespace peer_relay::webrtc {

enum class CandidateKind : std::uint8_t { host, server_reflexive, peer_reflexive, relayed };

enum class CandidateError : std::uint8_t {
  too_long,
  malformed,
  not_udp,     ///< ICE over TCP, which we do not speak
  not_ours,    ///< another component than the first: RTCP's
  no_address,  ///< a name, as browsers' mDNS ones; its owner is found by its own checks
  forbidden,   ///< an address at which no peer is, or which the policy leaves out
};

/// Where a stranger's candidates may lead beside the open Internet. A host allows what it has an
/// interface in.
struct CandidatePolicy {
  bool loopback = false;
  bool link_local = false;
  bool site = false;

  bool allows(Reach reach) const;
};

struct Candidate {
  std::string foundation;  ///< 1 to 32 ice-chars
  std::uint32_t priority = 0;
  std::string host;  ///< an IP address in text
  std::uint16_t port = 0;
  CandidateKind kind = CandidateKind::host;

  bool operator==(const Candidate&) const = default;
};

/// `line` is the value of the attribute, "candidate:..." without "a=".
std::expected<Candidate, CandidateError> parse_candidate(std::string_view line,
                                                         const CandidatePolicy& policy);

/// As an attribute's value. The related address (that of the base) is left out of sight: it helps
/// nobody to connect and tells our own addresses.
std::string to_string(const Candidate& candidate);

}  // namespace peer_relay::webrtc
