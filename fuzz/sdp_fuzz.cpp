// SPDX-License-Identifier: MIT
//
// What strangers signal: descriptions, candidates, and the openings of channels. The first byte
// says which; any other than two small numbers is that of a description.
#include "transport/webrtc/sdp.hpp"

#include <cstddef>
#include <cstdint>

#include "base/assert.hpp"
#include "peer_relay/limits.hpp"
#include "transport/webrtc/dcep.hpp"

namespace {

using namespace peer_relay;
using namespace peer_relay::webrtc;

constexpr CandidatePolicy anywhere{.loopback = true, .link_local = true, .site = true};

void try_candidate(std::string_view line) {
  const auto candidate = parse_candidate(line, anywhere);
  if (!candidate) return;
  const std::string again = to_string(*candidate);
  PEER_RELAY_ASSERT(again.size() <= limits::candidate_bytes_max);
  PEER_RELAY_ASSERT(parse_candidate(again, anywhere) == *candidate);
  PEER_RELAY_ASSERT(is_ip_address(candidate->host));
  PEER_RELAY_ASSERT(reach_of_host(candidate->host) != Reach::nowhere);
  const auto strict = parse_candidate(line, {});
  PEER_RELAY_ASSERT(strict.has_value() == (reach_of_host(candidate->host) == Reach::world));
}

void try_dcep(BytesView message) {
  const auto decoded = decode_dcep(message);
  if (!decoded) return;
  if (const auto* open = std::get_if<ChannelOpen>(&*decoded)) {
    PEER_RELAY_ASSERT(open->label.size() <= channel_name_bytes_max);
    if (open->is_ordered_and_reliable) PEER_RELAY_ASSERT(decode_dcep(encode(*open)) == *decoded);
  }
}

void try_description(std::string_view text) {
  const auto parsed = parse_description(text, anywhere);
  if (!parsed) return;
  PEER_RELAY_ASSERT(text.size() <= limits::description_bytes_max);
  PEER_RELAY_ASSERT(parsed->candidates.size() <= limits::candidates_max);
  PEER_RELAY_ASSERT(!parsed->fingerprints.empty());
  PEER_RELAY_ASSERT(parsed->others.size() < sections_max);
  // What we print of it is read as the same; it may be longer, by the answers to other sections.
  const std::string again = print_description(*parsed, 1);
  if (again.size() > limits::description_bytes_max) return;
  PEER_RELAY_ASSERT(parse_description(again, anywhere) == *parsed);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView input{data, size};
  if (!input.empty() && input[0] == 1) {
    try_candidate(as_text(input.subspan(1)));
  } else if (!input.empty() && input[0] == 2) {
    try_dcep(input.subspan(1));
  } else {
    try_description(as_text(input));
  }
  return 0;
}
