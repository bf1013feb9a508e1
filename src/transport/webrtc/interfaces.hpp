// SPDX-License-Identifier: MIT
//
// Which of this machine's addresses data channels use. Interfaces come and go, so names are looked
// up anew for each connection.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "transport/webrtc/candidate.hpp"

namespace peer_relay::webrtc {

/// The IP addresses that a choice of names ("eth0") and IP addresses means at present; an empty one
/// means every interface but loopback.
std::vector<std::string> local_addresses(const std::vector<std::string>& chosen);

/// Why `interface` can't be chosen on this machine, for people; nothing if it can.
std::optional<std::string> complaint_about(const std::string& interface);

/// Others' candidates beyond the open Internet are taken where we have an address of that kind
/// ourselves: only then can they be neighbours, and not whatever a stranger wants us to knock at.
CandidatePolicy policy_for(const std::vector<std::string>& local_addresses);

}  // namespace peer_relay::webrtc
