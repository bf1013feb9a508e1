// SPDX-License-Identifier: MIT
//
// What a run of a scenario found, as numbers; and its three forms, for a terminal, for a program
// and for a reader.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace peer_relay::sim {

/// One line of the summary.
struct Finding {
  std::string name;            ///< as "acknowledged sends from the instant on"
  std::string value;           ///< as "99.8 %"
  std::string aim;             ///< as ">= 99 %"; empty: there is none
  std::optional<bool> passed;  ///< nothing: there is no aim
};

/// Messages that were sent in one second of virtual time, and how many of them arrived, ever.
struct DeliveryPoint {
  double second = 0;
  std::uint64_t sent = 0;
  std::uint64_t delivered = 0;
};

/// When the storm was, in seconds of virtual time. A single blow has from = to.
struct Storm {
  double from = 0;
  double to = 0;
  std::string what;  ///< as "half of the nodes killed"
};

struct Report {
  std::string scenario;
  std::string about;  ///< one sentence
  std::uint64_t nodes = 0;
  std::uint64_t seed = 0;
  std::string command;  ///< that repeats it
  std::uint64_t event_hash = 0;
  double virtual_seconds = 0;
  std::vector<Finding> findings;

  std::vector<std::uint64_t> hops;  ///< [h]: messages that crossed h links
  std::vector<DeliveryPoint> delivery;
  std::vector<Storm> storms;
  std::vector<std::uint32_t> links;           ///< of each living node at the end
  std::vector<double> control_bytes;          ///< a second, of each: all but envelopes of others
  std::vector<double> relayed_bytes;          ///< a second, of each: envelopes of others
  std::vector<std::uint32_t> join_envelopes;  ///< sent for each join, all told
  std::vector<std::pair<std::string, std::uint64_t>> dropped;  ///< by reason, most first

  // Of this machine: not part of what the same seed repeats.
  double wall_seconds = 0;
  std::size_t threads = 1;
  double memory_per_node = 0;  ///< bytes; 0: not measured

  bool passed() const {
    for (const Finding& finding : findings) {
      if (finding.passed == false) return false;
    }
    return true;
  }
};

/// The summary, some 80 columns wide.
std::string text_of(const Report& report);
/// One object in one line; everything in it but the machine's part is the same for the same seed.
std::string json_of(const Report& report);
/// One self-contained page, with the reports of one or more scenarios and their plots.
std::string html_of(const std::vector<Report>& reports);

}  // namespace peer_relay::sim
