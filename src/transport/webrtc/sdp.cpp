// SPDX-License-Identifier: MIT
#include "transport/webrtc/sdp.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>

#include "peer_relay/limits.hpp"
#include "transport/webrtc/fields.hpp"

namespace peer_relay::webrtc {

namespace {

constexpr std::size_t mid_bytes_max = 64;
constexpr std::size_t word_bytes_max = 64;

struct HashName {
  HashKind kind;
  std::string_view name;
  std::size_t bytes;
};

/// RFC 8122 §5 has weaker ones; a fingerprint by one of those counts for nothing.
constexpr std::array hash_names{HashName{HashKind::sha256, "sha-256", 32},
                                HashName{HashKind::sha384, "sha-384", 48},
                                HashName{HashKind::sha512, "sha-512", 64}};

/// Attributes that may stand in the section or for the whole session.
struct Shared {
  std::string_view ufrag, pwd;
  std::vector<Fingerprint> fingerprints;
  std::optional<Setup> setup;
  bool trickles = false;
};

struct Section {
  std::string_view media, port, protocol, format;
  std::string_view mid;
  bool is_bundle_only = false;
  Shared shared;
  std::optional<std::uint16_t> sctp_port;
  std::optional<std::size_t> message_bytes_max;
  std::vector<Candidate> candidates;
  bool has_all_candidates = false;

  bool is_for_data() const {
    return media == "application" && format == "webrtc-datachannel" &&
           (protocol == "UDP/DTLS/SCTP" || protocol == "TCP/DTLS/SCTP") &&
           (port != "0" || is_bundle_only);
  }
};

std::optional<std::uint8_t> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
  const char lower = to_lower(c);
  if (lower >= 'a' && lower <= 'f') return static_cast<std::uint8_t>(lower - 'a' + 10);
  return std::nullopt;
}

/// Nothing where it is no fingerprint at all; one without a digest where we don't know the hash.
std::optional<Fingerprint> parse_fingerprint(std::string_view value) {
  const std::string_view name = take_word(value);
  if (!is_token(name, word_bytes_max) || value.empty()) return std::nullopt;
  Fingerprint out;
  std::string_view digits = value;
  while (!digits.empty()) {
    if (digits.size() < 2 || out.digest.size() == 64) return std::nullopt;
    const auto high = hex_digit(digits[0]);
    const auto low = hex_digit(digits[1]);
    if (!high || !low) return std::nullopt;
    out.digest.push_back(static_cast<std::uint8_t>(*high << 4 | *low));
    digits.remove_prefix(2);
    if (!digits.empty() && (!take_prefix(digits, ":") || digits.empty())) return std::nullopt;
  }
  for (const HashName& each : hash_names) {
    if (!equals_ignoring_case(each.name, name)) continue;
    if (out.digest.size() != each.bytes) return std::nullopt;
    out.hash = each.kind;
    return out;
  }
  return Fingerprint{};
}

std::optional<Setup> parse_setup(std::string_view value) {
  if (value == "actpass") return Setup::actpass;
  if (value == "active") return Setup::active;
  if (value == "passive") return Setup::passive;
  return std::nullopt;
}

/// Reads one description from top to bottom; each method gives false where it must end.
class Parser {
 public:
  explicit Parser(const CandidatePolicy& policy) : policy_(policy) {}

  std::expected<Description, SdpError> parse(std::string_view text) {
    if (text.size() > limits::description_bytes_max) return std::unexpected(SdpError::too_long);
    bool is_first = true;
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      if (end == std::string_view::npos) return std::unexpected(SdpError::malformed);
      std::string_view line = text.substr(0, end);
      text.remove_prefix(end + 1);
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (is_first && line != "v=0") return std::unexpected(SdpError::malformed);
      is_first = false;
      if (!read_line(line)) return std::unexpected(error_);
    }
    return finish();
  }

 private:
  bool fail(SdpError error) {
    error_ = error;
    return false;
  }

  bool read_line(std::string_view line) {
    const bool is_plain = std::ranges::all_of(
        line, [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != 127; });
    if (line.size() < 2 || line[1] != '=' || line[0] < 'a' || line[0] > 'z' || !is_plain) {
      return fail(SdpError::malformed);
    }
    const char kind = line[0];
    line.remove_prefix(2);
    if (kind == 'm') return read_section(line);
    if (kind == 'a') return read_attribute(line);
    return true;
  }

  bool read_section(std::string_view value) {
    if (sections_.size() == sections_max) return fail(SdpError::too_many_sections);
    Section section;
    section.media = take_word(value);
    section.port = take_word(value);
    section.protocol = take_word(value);
    section.format = take_word(value);
    const bool is_sound = is_token(section.media, word_bytes_max) &&
                          parse_number<std::uint16_t>(section.port) &&
                          section.protocol.size() <= word_bytes_max && !section.protocol.empty() &&
                          !section.format.empty() && section.format.size() <= word_bytes_max;
    if (!is_sound) return fail(SdpError::malformed);
    sections_.push_back(std::move(section));
    return true;
  }

  bool read_attribute(std::string_view line) {
    const std::size_t colon = std::min(line.find(':'), line.size());
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = line.substr(std::min(colon + 1, line.size()));
    if (!read_shared(name, value, sections_.empty() ? session_ : sections_.back().shared)) {
      return false;
    }
    if (sections_.empty()) return true;
    Section& section = sections_.back();
    if (name == "candidate") return read_candidate(line, section);
    if (name == "end-of-candidates") section.has_all_candidates = true;
    if (name == "bundle-only") section.is_bundle_only = true;
    if (name == "mid") {
      if (!is_token(value, mid_bytes_max)) return fail(SdpError::malformed);
      section.mid = value;
    }
    if (name == "sctp-port") {
      section.sctp_port = parse_number<std::uint16_t>(value);
      if (!section.sctp_port || *section.sctp_port == 0) return fail(SdpError::malformed);
    }
    if (name == "max-message-size") {
      section.message_bytes_max = parse_number<std::size_t>(value);
      if (!section.message_bytes_max) return fail(SdpError::malformed);
    }
    return true;
  }

  bool read_shared(std::string_view name, std::string_view value, Shared& to) {
    if (name == "ice-ufrag") {
      // RFC 8839 §5.4.
      if (!is_ice_text(value, 4, 256)) return fail(SdpError::no_credentials);
      to.ufrag = value;
    } else if (name == "ice-pwd") {
      if (!is_ice_text(value, 22, 256)) return fail(SdpError::no_credentials);
      to.pwd = value;
    } else if (name == "ice-options") {
      std::string_view rest = value;
      while (!rest.empty()) to.trickles |= take_word(rest) == "trickle";
    } else if (name == "setup") {
      to.setup = parse_setup(value);
      if (!to.setup) return fail(SdpError::bad_setup);
    } else if (name == "fingerprint") {
      auto fingerprint = parse_fingerprint(value);
      if (!fingerprint) return fail(SdpError::malformed);
      if (!fingerprint->digest.empty() && to.fingerprints.size() < fingerprints_max) {
        to.fingerprints.push_back(std::move(*fingerprint));
      }
    }
    return true;
  }

  bool read_candidate(std::string_view line, Section& section) {
    if (section.candidates.size() == limits::candidates_max) return true;
    auto candidate = parse_candidate(line, policy_);
    if (candidate) section.candidates.push_back(std::move(*candidate));
    return true;
  }

  std::expected<Description, SdpError> finish() {
    const auto data = std::ranges::find_if(sections_, &Section::is_for_data);
    if (data == sections_.end()) return std::unexpected(SdpError::no_data);
    Shared& own = data->shared;

    Description out;
    out.mid = data->mid;
    out.ice_ufrag = own.ufrag.empty() ? session_.ufrag : own.ufrag;
    out.ice_pwd = own.pwd.empty() ? session_.pwd : own.pwd;
    if (out.ice_ufrag.empty() || out.ice_pwd.empty()) {
      return std::unexpected(SdpError::no_credentials);
    }
    out.trickles = own.trickles || session_.trickles;
    out.fingerprints =
        std::move(own.fingerprints.empty() ? session_.fingerprints : own.fingerprints);
    if (out.fingerprints.empty()) return std::unexpected(SdpError::no_fingerprint);
    const auto setup = own.setup ? own.setup : session_.setup;
    if (!setup) return std::unexpected(SdpError::bad_setup);
    out.setup = *setup;
    out.sctp_port = data->sctp_port.value_or(5000);
    out.message_bytes_max = data->message_bytes_max.value_or(message_bytes_unsaid);
    out.candidates = std::move(data->candidates);
    out.has_all_candidates = data->has_all_candidates;

    out.others_before = static_cast<std::size_t>(data - sections_.begin());
    for (auto each = sections_.begin(); each != sections_.end(); ++each) {
      if (each == data) continue;
      out.others.push_back({.media = std::string{each->media},
                            .protocol = std::string{each->protocol},
                            .format = std::string{each->format},
                            .mid = std::string{each->mid}});
    }
    return out;
  }

  const CandidatePolicy& policy_;
  Shared session_;
  std::vector<Section> sections_;
  SdpError error_ = SdpError::malformed;
};

std::string_view name_of(Setup setup) {
  switch (setup) {
    case Setup::actpass:
      return "actpass";
    case Setup::active:
      return "active";
    case Setup::passive:
      return "passive";
  }
  return {};
}

void print_other(const OtherSection& section, std::string& out) {
  auto to = std::back_inserter(out);
  fmt::format_to(to, "m={} 0 {} {}\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n", section.media,
                 section.protocol, section.format);
  if (!section.mid.empty()) fmt::format_to(to, "a=mid:{}\r\n", section.mid);
}

}  // namespace

std::expected<Description, SdpError> parse_description(std::string_view text,
                                                       const CandidatePolicy& policy) {
  return Parser{policy}.parse(text);
}

std::string print_digest(BytesView digest) {
  return fmt::format("{:02X}", fmt::join(digest.begin(), digest.end(), ":"));
}

std::string print_description(const Description& description, std::uint64_t session) {
  std::string out;
  auto to = std::back_inserter(out);
  // RFC 9429 §5.2.1: the number fits in 63 bits.
  fmt::format_to(to, "v=0\r\no=- {} 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", session >> 1);
  if (!description.mid.empty()) fmt::format_to(to, "a=group:BUNDLE {}\r\n", description.mid);
  for (std::size_t i = 0; i < description.others_before; ++i) {
    print_other(description.others[i], out);
  }
  out += "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n";
  if (!description.mid.empty()) fmt::format_to(to, "a=mid:{}\r\n", description.mid);
  fmt::format_to(to, "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", description.ice_ufrag,
                 description.ice_pwd);
  if (description.trickles) out += "a=ice-options:trickle\r\n";
  for (const Fingerprint& each : description.fingerprints) {
    fmt::format_to(to, "a=fingerprint:{} {}\r\n",
                   hash_names[static_cast<std::size_t>(each.hash)].name, print_digest(each.digest));
  }
  fmt::format_to(to, "a=setup:{}\r\na=sctp-port:{}\r\na=max-message-size:{}\r\n",
                 name_of(description.setup), description.sctp_port, description.message_bytes_max);
  for (const Candidate& each : description.candidates) {
    fmt::format_to(to, "a={}\r\n", to_string(each));
  }
  if (description.has_all_candidates) out += "a=end-of-candidates\r\n";
  for (std::size_t i = description.others_before; i < description.others.size(); ++i) {
    print_other(description.others[i], out);
  }
  return out;
}

std::string_view name_of(SdpError error) {
  switch (error) {
    case SdpError::too_long:
      return "too long";
    case SdpError::malformed:
      return "malformed";
    case SdpError::too_many_sections:
      return "too many sections";
    case SdpError::no_data:
      return "nothing for data channels";
    case SdpError::no_credentials:
      return "no credentials for ICE";
    case SdpError::no_fingerprint:
      return "no fingerprint";
    case SdpError::bad_setup:
      return "no role for DTLS";
  }
  return {};
}

}  // namespace peer_relay::webrtc
