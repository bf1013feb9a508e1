// SPDX-License-Identifier: MIT
//
// Session descriptions for data alone: what one side tells the other before they can connect (RFC
// 9429 §5.2.1 and §5.3.1, RFC 8841). Read are those of browsers and of the usual libraries, with
// whatever else they say of audio and video skipped; written is the least that all of them take.
// Departures from JSEP: one data section, no renegotiation, no ICE restart.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "peer_relay/bytes.hpp"
#include "transport/webrtc/candidate.hpp"

namespace peer_relay::webrtc {

inline constexpr std::size_t sections_max = 32;
inline constexpr std::size_t fingerprints_max = 8;

/// What RFC 8841 §6.1 has where nothing is said.
inline constexpr std::size_t message_bytes_unsaid = 65'536;

/// Who opens the DTLS association (RFC 8842 §5).
enum class Setup : std::uint8_t { actpass, active, passive };

enum class HashKind : std::uint8_t { sha256, sha384, sha512 };

/// Of the certificate that the other side will show (RFC 8122 §5).
struct Fingerprint {
  HashKind hash = HashKind::sha256;
  Bytes digest;

  bool operator==(const Fingerprint&) const = default;
};

/// A section of something that is no data: an answer says no to it.
struct OtherSection {
  std::string media;     ///< "audio"
  std::string protocol;  ///< "UDP/TLS/RTP/SAVPF"
  std::string format;    ///< the first of them
  std::string mid;       ///< may be empty

  bool operator==(const OtherSection&) const = default;
};

struct Description {
  std::string mid = "0";
  std::string ice_ufrag;
  std::string ice_pwd;
  bool trickles = false;
  std::vector<Fingerprint> fingerprints;  ///< one of them must match
  Setup setup = Setup::actpass;
  std::uint16_t sctp_port = 5000;
  std::size_t message_bytes_max = message_bytes_unsaid;  ///< 0: any
  std::vector<Candidate> candidates;
  bool has_all_candidates = false;

  /// The other sections, and how many of them stand before the one for data.
  std::vector<OtherSection> others;
  std::size_t others_before = 0;

  bool operator==(const Description&) const = default;
};

enum class SdpError : std::uint8_t {
  too_long,
  malformed,
  too_many_sections,
  no_data,         ///< no section for data channels, or one that was rejected
  no_credentials,  ///< of ICE
  no_fingerprint,  ///< none by a hash that we know
  bad_setup,
};

/// Candidates that can't be used, or are too many, are left out.
std::expected<Description, SdpError> parse_description(std::string_view text,
                                                       const CandidatePolicy& policy);

/// `session` tells one session of a node from another (RFC 8866 §5.2).
std::string print_description(const Description& description, std::uint64_t session);

/// "AB:CD:..."
std::string print_digest(BytesView digest);

std::string_view name_of(SdpError error);

}  // namespace peer_relay::webrtc
