// SPDX-License-Identifier: MIT
#include "transport/webrtc/candidate.hpp"

#include <array>

#include <arpa/inet.h>
#include <fmt/format.h>

#include "peer_relay/limits.hpp"
#include "transport/webrtc/fields.hpp"

namespace peer_relay::webrtc {

namespace {

struct KindName {
  CandidateKind kind;
  std::string_view name;
};

constexpr std::array kind_names{
    KindName{CandidateKind::host, "host"}, KindName{CandidateKind::server_reflexive, "srflx"},
    KindName{CandidateKind::peer_reflexive, "prflx"}, KindName{CandidateKind::relayed, "relay"}};

/// An address that several spellings may mean, in the one that we keep; IPv4 inside IPv6 as IPv4,
/// so that it is judged as what it is.
std::string canonical_host(std::string_view host) {
  std::string text{host};
  in_addr v4{};
  if (::inet_pton(AF_INET, text.c_str(), &v4) == 1) return text;
  in6_addr v6{};
  if (::inet_pton(AF_INET6, text.c_str(), &v6) != 1) return {};
  std::array<char, INET6_ADDRSTRLEN> out{};
  const bool is_mapped = IN6_IS_ADDR_V4MAPPED(&v6);
  const void* const from = is_mapped ? static_cast<const void*>(&v6.s6_addr[12]) : &v6;
  ::inet_ntop(is_mapped ? AF_INET : AF_INET6, from, out.data(), out.size());
  return out.data();
}

}  // namespace

bool CandidatePolicy::allows(Reach reach) const {
  switch (reach) {
    case Reach::nowhere:
      return false;
    case Reach::loopback:
      return loopback;
    case Reach::link_local:
      return link_local;
    case Reach::site:
      return site;
    case Reach::world:
      return true;
  }
  return false;
}

std::expected<Candidate, CandidateError> parse_candidate(std::string_view line,
                                                         const CandidatePolicy& policy) {
  using enum CandidateError;
  if (line.size() > limits::candidate_bytes_max) return std::unexpected(too_long);
  if (!take_prefix(line, "candidate:")) return std::unexpected(malformed);

  Candidate out;
  const std::string_view foundation = take_word(line);
  const auto component = parse_number<std::uint16_t>(take_word(line));
  const std::string_view transport = take_word(line);
  const auto priority = parse_number<std::uint32_t>(take_word(line));
  const std::string_view host = take_word(line);
  const auto port = parse_number<std::uint16_t>(take_word(line));
  const bool is_typed = take_word(line) == "typ";
  const std::string_view kind = take_word(line);
  if (!is_ice_text(foundation, 1, 32) || !component || *component == 0 || *component > 256 ||
      transport.empty() || !priority || host.empty() || !port || !is_typed || kind.empty()) {
    return std::unexpected(malformed);
  }
  // The rest is pairs of a name and a value; none of them matters here.
  while (!line.empty()) {
    if (take_word(line).empty() || take_word(line).empty()) return std::unexpected(malformed);
  }

  if (!equals_ignoring_case(transport, "udp")) return std::unexpected(not_udp);
  if (*component != 1) return std::unexpected(not_ours);
  bool known = false;
  for (const KindName& each : kind_names) {
    if (each.name != kind) continue;
    out.kind = each.kind;
    known = true;
  }
  if (!known) return std::unexpected(malformed);

  out.host = canonical_host(host);
  if (out.host.empty()) return std::unexpected(no_address);
  if (*port == 0 || !policy.allows(reach_of_host(out.host))) return std::unexpected(forbidden);
  out.foundation = foundation;
  out.priority = *priority;
  out.port = *port;
  return out;
}

std::string to_string(const Candidate& candidate) {
  std::string out = fmt::format("candidate:{} 1 udp {} {} {} typ {}", candidate.foundation,
                                candidate.priority, candidate.host, candidate.port,
                                kind_names[static_cast<std::size_t>(candidate.kind)].name);
  // Grammar wants a related address for all but host candidates (RFC 8839 §5.1).
  if (candidate.kind != CandidateKind::host) {
    out += candidate.host.contains(':') ? " raddr :: rport 0" : " raddr 0.0.0.0 rport 0";
  }
  return out;
}

}  // namespace peer_relay::webrtc
