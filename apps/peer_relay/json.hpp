// SPDX-License-Identifier: MIT
//
// The library's words as JSON objects. Times are milliseconds with a fraction (`rtt_ms`), ids are
// 40 hex digits, reasons are the names of `name_of`. What is unknown or empty is left out.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "peer_relay/events.hpp"
#include "peer_relay/node.hpp"

namespace peer_relay::app {

using Json = nlohmann::ordered_json;

/// One line without "\n". Bytes of strangers that are no UTF-8 become U+FFFD.
std::string line_of(const Json& value);

double milliseconds(Duration duration);

/// A member of an object, or what to take if it is missing or of another type.
std::string text_in(const Json& object, const char* key, std::string otherwise = "");
double number_in(const Json& object, const char* key, double otherwise = 0);
bool flag_in(const Json& object, const char* key);
/// The member, or null; one that is a list, or an empty one.
const Json& member_of(const Json& object, const char* key);
const Json& list_in(const Json& object, const char* key);

/// Who it is, without what it has sent so far: for events.
Json facts_of(const Peer& peer);
Json json_of(const Peer& peer);
Json json_of(const Problem& problem);
Json json_of(const SendResult& result);
Json json_of(const TraceHop& hop);
/// Of `dropped`, `closed` and `dial_errors` only the reasons that occurred.
Json json_of(const Stats& stats);

/// A whole line: `first` (members, as `"event":"message",`, or nothing), then the message:
///   "msg": a JSON payload as it is, or bytes that are UTF-8 as a string
///   "json": true, if it is the former
///   "bytes": instead of msg, base64 of what is no UTF-8
///   "from", "hops", and "authenticated": false if it is not
/// A payload that says it is JSON and is not, or is nested deeper than `json_depth_max`, counts as
/// bytes.
std::string message_line(std::string_view first, const Message& message);

/// Parsers that recurse are common, and strangers know that.
inline constexpr int json_depth_max = 128;

/// Whether a text is one JSON value that others can be asked to parse.
bool is_sane_json(std::string_view text);

}  // namespace peer_relay::app
