// SPDX-License-Identifier: MIT
#include "json.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "text.hpp"

namespace peer_relay::app {
namespace {

/// Brackets open at once, not counting those in strings.
int depth_of(std::string_view json) {
  int depth = 0, deepest = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (quoted && c == '\\') ++i;
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == '[' || c == '{') deepest = std::max(deepest, ++depth);
    if (c == ']' || c == '}') --depth;
  }
  return deepest;
}

/// JSON may be broken into lines only between its words, so a space is as good.
std::string on_one_line(std::string_view json) {
  std::string text{json};
  for (char& c : text) c = c == '\n' || c == '\r' ? ' ' : c;
  return text;
}

std::string body_of(const Payload& payload) {
  const std::string_view text = payload.text();
  if (payload.type == ContentType::json && is_sane_json(text)) {
    return fmt::format("\"msg\":{},\"json\":true", on_one_line(text));
  }
  if (is_utf8(text)) return fmt::format("\"msg\":{}", Json(text).dump());
  return fmt::format("\"bytes\":\"{}\"", base64(payload.bytes));
}

template <class Reason, std::size_t count>
Json reasons(const std::uint64_t (&counters)[count]) {
  Json object = Json::object();
  for (std::size_t i = 0; i < count; ++i) {
    if (counters[i] != 0) object[std::string{name_of(static_cast<Reason>(i))}] = counters[i];
  }
  return object;
}

}  // namespace

std::string line_of(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

double milliseconds(Duration duration) { return static_cast<double>(duration.count()) / 1e3; }

const Json& member_of(const Json& object, const char* key) {
  static const Json null;
  if (!object.is_object()) return null;
  const auto member = object.find(key);
  return member == object.end() ? null : *member;
}

const Json& list_in(const Json& object, const char* key) {
  static const Json none = Json::array();
  const Json& member = member_of(object, key);
  return member.is_array() ? member : none;
}

std::string text_in(const Json& object, const char* key, std::string otherwise) {
  const Json& member = member_of(object, key);
  return member.is_string() ? member.get<std::string>() : std::move(otherwise);
}

double number_in(const Json& object, const char* key, double otherwise) {
  const Json& member = member_of(object, key);
  return member.is_number() ? member.get<double>() : otherwise;
}

bool flag_in(const Json& object, const char* key) {
  const Json& member = member_of(object, key);
  return member.is_boolean() && member.get<bool>();
}

Json facts_of(const Peer& peer) {
  Json object = {{"id", peer.id.to_hex()}, {"dialed", peer.dialed}, {"address", peer.address}};
  if (!peer.agent.empty()) object["agent"] = peer.agent;
  object["bucket"] = peer.bucket;
  object["sibling"] = peer.sibling;
  if (peer.legacy) object["legacy"] = true;
  return object;
}

Json json_of(const Peer& peer) {
  Json object = facts_of(peer);
  if (peer.round_trip > Duration{}) object["rtt_ms"] = milliseconds(peer.round_trip);
  object["age_ms"] = milliseconds(peer.age);
  object["batches_in"] = peer.batches_in;
  object["batches_out"] = peer.batches_out;
  object["bytes_in"] = peer.bytes_in;
  object["bytes_out"] = peer.bytes_out;
  object["frames_relayed"] = peer.frames_relayed;
  return object;
}

Json json_of(const Problem& problem) {
  Json object = {{"kind", name_of(problem.kind)}};
  if (!problem.where.empty()) object["where"] = problem.where;
  if (!problem.detail.empty()) object["detail"] = problem.detail;
  return object;
}

Json json_of(const SendResult& result) {
  using enum SendResult::Outcome;
  Json object = {{"outcome", name_of(result.outcome)}};
  if (result.outcome == delivered) {
    object["hops"] = result.hops;
    object["rtt_ms"] = milliseconds(result.round_trip);
  }
  if (result.outcome == unreachable) {
    object["reason"] = name_of(result.reason);
    if (result.where != NodeId{}) object["where"] = result.where.to_hex();
  }
  if (result.outcome == refused) object["error"] = describe(result.error);
  object["elapsed_ms"] = milliseconds(result.elapsed);
  object["attempts"] = result.attempts;
  return object;
}

Json json_of(const TraceHop& hop) {
  Json object = {{"hop", hop.hop}};
  if (hop.legacy) object["legacy"] = true;
  if (hop.lost) {
    object["lost"] = true;
    return object;
  }
  object["id"] = hop.id.to_hex();
  object["rtt_ms"] = milliseconds(hop.round_trip);
  object["target"] = hop.is_target;
  if (hop.reason != UnreachableReason::none) object["reason"] = name_of(hop.reason);
  return object;
}

Json json_of(const Stats& stats) {
  return {
      {"links", stats.links},
      {"handshakes", stats.handshakes},
      {"contacts", stats.contacts},
      {"sessions", stats.sessions},
      {"queued_bytes", stats.queued_bytes},
      {"waiting", stats.waiting},
      {"joined", stats.joined},
      {"messages_sent", stats.messages_sent},
      {"messages_received", stats.messages_received},
      {"acknowledged", stats.acknowledged},
      {"unreachable", stats.unreachable},
      {"timed_out", stats.timed_out},
      {"resent", stats.resent},
      {"envelopes_originated", stats.envelopes_originated},
      {"envelopes_arrived", stats.envelopes_arrived},
      {"envelopes_relayed", stats.envelopes_relayed},
      {"transmissions", stats.transmissions},
      {"relayed_bytes", stats.relayed_bytes},
      {"links_opened", stats.links_opened},
      {"links_closed", stats.links_closed},
      {"dials", stats.dials},
      {"dials_failed", stats.dials_failed},
      {"batches_in", stats.batches_in},
      {"batches_out", stats.batches_out},
      {"frames_in", stats.frames_in},
      {"frames_out", stats.frames_out},
      {"bytes_in", stats.bytes_in},
      {"bytes_out", stats.bytes_out},
      {"legacy_links", stats.legacy_links},
      {"legacy_bridges", stats.legacy_bridges},
      {"legacy_received", stats.legacy_received},
      {"legacy_sent", stats.legacy_sent},
      {"legacy_relayed", stats.legacy_relayed},
      {"legacy_delivered", stats.legacy_delivered},
      {"legacy_bridged", stats.legacy_bridged},
      {"lookups", stats.lookups},
      {"lookups_answered", stats.lookups_answered},
      {"refused_connections", stats.refused_connections},
      {"dropped", reasons<DropReason>(stats.dropped)},
      {"closed", reasons<CloseReason>(stats.closed)},
      {"dial_errors", reasons<DialError>(stats.dial_errors)},
  };
}

std::string message_line(std::string_view first, const Message& message) {
  return fmt::format("{{{}{},\"from\":\"{}\",\"hops\":{}{}}}", first, body_of(message.payload),
                     message.from.to_hex(), message.hops,
                     message.authenticated ? "" : ",\"authenticated\":false");
}

bool is_sane_json(std::string_view text) {
  // The parser below takes NUL for the end and skips a byte order mark; RFC 8259 knows neither.
  if (text.find('\0') != std::string_view::npos || text.starts_with("\xef\xbb\xbf")) return false;
  return depth_of(text) <= json_depth_max && nlohmann::json::accept(text);
}

}  // namespace peer_relay::app
