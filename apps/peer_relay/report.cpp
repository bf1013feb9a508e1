// SPDX-License-Identifier: MIT
#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "columns.hpp"
#include "command.hpp"
#include "output.hpp"
#include "text.hpp"

namespace peer_relay::app {
namespace {

constexpr std::size_t address_columns_max = 48;

std::uint64_t count_in(const Json& object, const char* key) {
  const double value = number_in(object, key);
  return value > 0 ? static_cast<std::uint64_t>(value) : 0;
}

Duration duration_in(const Json& object, const char* key) {
  return Duration{std::llround(number_in(object, key) * 1e3)};
}

std::string rtt_text(const Json& peer) {
  return member_of(peer, "rtt_ms").is_number() ? duration_text(duration_in(peer, "rtt_ms")) : "-";
}

/// "3 dead end, 1 hops spent", the most frequent first.
std::string reasons_text(const Json& counters) {
  std::vector<std::pair<std::uint64_t, std::string>> found;
  for (const auto& [name, count] : counters.items()) {
    if (count.is_number_unsigned()) found.emplace_back(count.get<std::uint64_t>(), in_words(name));
  }
  std::ranges::stable_sort(found, std::greater{}, [](const auto& entry) { return entry.first; });
  std::string text;
  for (const auto& [count, name] : found) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count_text(count), escaped(name));
  }
  return text.empty() ? "none" : text;
}

std::string facts_text(const Json& answer) {
  Columns facts{{{""}, {""}, {""}}};
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) facts.add({"", name, escaped(value)});
  };
  add("url", text_in(answer, "url"));
  for (const char* list : {"urls", "advertise"}) {
    for (const Json& url : list_in(answer, list)) {
      if (url.is_string() && url != text_in(answer, "url")) add("", url.get<std::string>());
    }
  }
  add("network", text_in(answer, "network"));
  add("state", home_shortened(text_in(answer, "state_dir")));
  add("up for", fmt::format("{} (pid {})", duration_text(duration_in(answer, "uptime_ms")),
                            count_in(answer, "pid")));
  add("joined", flag_in(answer, "joined") ? "yes" : "no: alone, or still looking for its place");
  return facts.text();
}

std::string links_text(const Json& answer) {
  const Json& list = list_in(answer, "peers");
  const auto links = static_cast<std::uint64_t>(list.size());
  const auto siblings =
      std::ranges::count_if(list, [](const Json& p) { return flag_in(p, "sibling"); });
  const auto dialed =
      std::ranges::count_if(list, [](const Json& p) { return flag_in(p, "dialed"); });
  if (links == 0) return "  none\n";
  std::string text = fmt::format("  {}: {} to siblings; {} we dialed, {} came in\n\n", links,
                                 siblings, dialed, links - static_cast<std::uint64_t>(dialed));
  Columns table{
      {{""}, {"bucket", Align::right}, {"links", Align::right}, {"siblings", Align::right}}};
  for (const Json& bucket : list_in(answer, "buckets")) {
    table.add({"", count_text(count_in(bucket, "bucket")), count_text(count_in(bucket, "links")),
               count_text(count_in(bucket, "siblings"))});
  }
  return text + table.text();
}

std::string traffic_text(const Json& answer) {
  const Json& stats = member_of(answer, "stats");
  const Json& rates = member_of(answer, "rates");
  Columns table{{{""}, {""}, {"since start", Align::right}, {"a second", Align::right}}};
  const auto add = [&](const char* name, const char* key) {
    table.add(
        {"", name, count_text(count_in(stats, key)), fmt::format("{:.0f}", number_in(rates, key))});
  };
  const auto add_bytes = [&](const char* name, const char* key) {
    table.add({"", name, bytes_text(count_in(stats, key)), bytes_text(count_in(rates, key))});
  };
  add("messages sent", "messages_sent");
  add("messages received", "messages_received");
  add("relayed for others", "envelopes_relayed");
  if (count_in(stats, "legacy_received") > 0) add("relayed for old nodes", "legacy_relayed");
  add_bytes("relayed bytes", "relayed_bytes");
  add_bytes("bytes in", "bytes_in");
  add_bytes("bytes out", "bytes_out");
  return table.text();
}

std::string held_text(const Json& stats) {
  return fmt::format(
      "  {}, {}, {}, {} waiting, {} queued\n", counted(count_in(stats, "contacts"), "contact"),
      counted(count_in(stats, "sessions"), "session"),
      counted(count_in(stats, "handshakes"), "handshake"),
      counted(count_in(stats, "waiting"), "message"), bytes_text(count_in(stats, "queued_bytes")));
}

std::string ends_text(const Json& stats) {
  Columns table{{{""}, {""}, {""}}};
  table.add({"", "dropped", reasons_text(member_of(stats, "dropped"))});
  table.add({"", "links closed", reasons_text(member_of(stats, "closed"))});
  table.add({"", "dials failed", reasons_text(member_of(stats, "dial_errors"))});
  table.add({"", "refused", counted(count_in(stats, "refused_connections"), "connection")});
  return table.text();
}

}  // namespace

std::string peers_text(const Json& answer, bool whole_ids) {
  std::vector<Json> peers;
  for (const Json& peer : list_in(answer, "peers")) peers.push_back(peer);
  if (peers.empty()) return "no links\n";
  std::ranges::stable_sort(peers, std::greater{},
                           [](const Json& p) { return number_in(p, "bucket"); });
  std::vector<Columns::Heading> headings{{"peer"},
                                         {"dialed"},
                                         {"bucket", Align::right},
                                         {""},
                                         {"rtt", Align::right},
                                         {"age", Align::right},
                                         {"in", Align::right},
                                         {"out", Align::right},
                                         {"address"}};
  if (whole_ids) headings.push_back({"agent"});
  Columns table{std::move(headings)};
  for (const Json& peer : peers) {
    const std::string id = escaped(text_in(peer, "id"));
    table.add({whole_ids ? id : id.substr(0, 8), flag_in(peer, "dialed") ? "by us" : "by it",
               count_text(count_in(peer, "bucket")),
               flag_in(peer, "legacy")    ? "old"
               : flag_in(peer, "sibling") ? "sibling"
                                          : "",
               rtt_text(peer), duration_text(duration_in(peer, "age_ms")),
               bytes_text(count_in(peer, "bytes_in")), bytes_text(count_in(peer, "bytes_out")),
               escaped(text_in(peer, "address"), address_columns_max),
               escaped(text_in(peer, "agent"), address_columns_max)});
  }
  return table.text();
}

std::string status_text(const Json& answer, bool colors) {
  const Json& stats = member_of(answer, "stats");
  std::string text = bold(escaped(text_in(answer, "id")), colors) +
                     fmt::format("  peer-relay {}\n", escaped(text_in(answer, "version")));
  text += facts_text(answer);
  text += "\n" + bold("Links", colors) + "\n" + links_text(answer);
  text += "\n" + bold("Traffic", colors) + "\n" + traffic_text(answer);
  text += "\n" + bold("Held", colors) + "\n" + held_text(stats);
  text += "\n" + bold("Ended", colors) + "\n" + ends_text(stats);
  return text;
}

}  // namespace peer_relay::app
