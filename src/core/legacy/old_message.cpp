// SPDX-License-Identifier: MIT
#include "core/legacy/old_message.hpp"

#include <algorithm>
#include <charconv>

#include "base/assert.hpp"
#include "core/json_outline.hpp"
#include "peer_relay/address.hpp"

namespace peer_relay::legacy {

namespace {

constexpr std::string_view names_of_types[] = {
    "user", "findPeers", "foundPeers", "handshake-offer", "handshake-answer", "signal"};

std::unexpected<Fault> fault(Fault what) { return std::unexpected(what); }

std::optional<NodeId> id_of_bytes(std::string_view array) {
  const auto bytes = byte_numbers(array);
  if (!bytes || bytes->size() != NodeId::size) return std::nullopt;
  NodeId id;
  std::ranges::copy(*bytes, id.bytes.begin());
  return id;
}

/// The array in {"type":"Buffer","data":[...]}, if `text` is that and nothing more.
std::optional<std::string> buffer_numbers(std::string_view text) {
  const JsonOutline outline = outline_of(text, 2);
  if (!outline.is_json || outline.members.size() != 2) return std::nullopt;
  const JsonMember* const type = outline.find("type");
  const JsonMember* const data = outline.find("data");
  if (type == nullptr || data == nullptr || type->kind != JsonKind::string ||
      type->string != "Buffer" || data->kind != JsonKind::array) {
    return std::nullopt;
  }
  return std::string{data->text};
}

std::optional<NodeId> id_of(JsonKind kind, std::string_view text, std::string_view string) {
  switch (kind) {
    case JsonKind::string:
      return NodeId::from_hex(string);
    case JsonKind::array:
      return id_of_bytes(text);
    case JsonKind::object:
      if (const auto numbers = buffer_numbers(text)) return id_of_bytes(*numbers);
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

std::optional<NodeId> id_of(const JsonMember* member) {
  if (member == nullptr) return std::nullopt;
  return id_of(member->kind, member->text, member->string);
}

std::optional<std::vector<NodeId>> ids_of(std::string_view array) {
  const auto texts = plain_strings(array);
  if (!texts) return std::nullopt;
  std::vector<NodeId> ids;
  ids.reserve(texts->size());
  for (const std::string_view text : *texts) {
    const auto id = NodeId::from_hex(text);
    if (!id) return std::nullopt;
    ids.push_back(*id);
  }
  return ids;
}

OldType type_of(std::string_view name) {
  const auto at = std::ranges::find(names_of_types, name);
  return at == std::end(names_of_types) ? OldType::other
                                        : static_cast<OldType>(at - std::begin(names_of_types));
}

/// An old node dials whatever text stands there, and dies of one that is no URL with a host, or of
/// a port that is none.
bool read_answer(std::string_view content, OldMessage& out) {
  const JsonOutline answer = outline_of(content, depth_max);
  if (answer.kind != JsonKind::object || JsonOutline::has_repeated(answer.members)) return false;
  if (const JsonMember* const wrtc = answer.find("wrtc")) {
    if (wrtc->kind != JsonKind::boolean) return false;
    out.wrtc = wrtc->text == "true";
  }
  const JsonMember* const ws = answer.find("ws");
  if (ws == nullptr || ws->kind == JsonKind::null) return true;
  if (ws->kind != JsonKind::string) return false;
  const auto address = Address::parse(ws->string);
  if (!address || address->scheme == Scheme::tcp || address->port == 0) return false;
  out.ws = ws->string;
  return true;
}

/// What the target of such a message needs to live on.
bool read_content(const JsonMember* content, OldMessage& out) {
  const bool has_content = content != nullptr;
  switch (out.type) {
    case OldType::user:
    case OldType::handshake_offer:
    case OldType::other:
      return true;
    case OldType::find_peers:
      if (!has_content || content->kind != JsonKind::string) return false;
      out.sought = NodeId::from_hex(content->string);
      return out.sought.has_value();
    case OldType::found_peers: {
      if (!has_content || content->kind != JsonKind::array) return false;
      auto found = ids_of(content->text);
      if (!found) return false;
      out.found = std::move(*found);
      if (out.found.size() > found_max) out.found.resize(found_max);
      return true;
    }
    case OldType::handshake_answer:
      if (!has_content || content->kind == JsonKind::null) return true;
      return read_answer(content->text, out);
    case OldType::signal:
      return has_content && content->kind == JsonKind::object;
  }
  return false;
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  out += text;
  out += '"';
}

void append_path(std::string& out, const std::vector<NodeId>& path, const NodeId& self) {
  out += "\"path\":[";
  for (const NodeId& id : path) {
    append_quoted(out, id.to_hex());
    out += ',';
  }
  append_quoted(out, self.to_hex());
  out += ']';
}

void append_numbers(std::string& out, BytesView bytes) {
  out += '[';
  char digits[4];
  bool is_first = true;
  for (const std::uint8_t byte : bytes) {
    if (!is_first) out += ',';
    is_first = false;
    out.append(digits, std::to_chars(digits, digits + sizeof digits, byte).ptr);
  }
  out += ']';
}

std::string data_of(OldType type, std::string_view content = {}) {
  std::string out = "{\"type\":";
  append_quoted(out, names_of_types[static_cast<std::size_t>(type)]);
  if (!content.empty()) {
    out += ",\"data\":";
    out += content;
  }
  out += '}';
  return out;
}

bool is_quoted_hex(std::string_view text) {
  return text.size() == 2 + 2 * NodeId::size && text.front() == '"';
}

}  // namespace

std::expected<NodeId, Fault> read_id(std::string_view text) {
  if (text.size() > text_bytes_max) return fault(Fault::too_large);
  // A string at the top is no member, so what it says is not noted: it has no escapes, or is none.
  const JsonOutline outline = outline_of(text, 2);
  if (!outline.is_json) return fault(outline.is_too_deep ? Fault::too_deep : Fault::no_json);
  while (!text.empty() && text.back() <= ' ') text.remove_suffix(1);
  while (!text.empty() && text.front() <= ' ') text.remove_prefix(1);
  const bool is_string = outline.kind == JsonKind::string;
  const auto id =
      id_of(outline.kind, text, is_string ? text.substr(1, text.size() - 2) : std::string_view{});
  if (!id) return fault(Fault::no_id);
  return *id;
}

std::expected<OldMessage, Fault> read_message(std::string_view text) {
  if (text.size() > text_bytes_max) return fault(Fault::too_large);
  JsonOutline outline = outline_of(text, depth_max);
  if (outline.is_too_deep) return fault(Fault::too_deep);
  if (outline.is_too_wide) return fault(Fault::many_fields);
  if (!outline.is_json) return fault(Fault::no_json);
  if (outline.kind != JsonKind::object || JsonOutline::has_repeated(outline.members)) {
    return fault(Fault::no_message);
  }
  OldMessage out;
  const auto to = id_of(outline.find("to"));
  if (!to) return fault(Fault::bad_target);
  out.to = *to;
  const auto from = id_of(outline.find("from"));
  if (!from) return fault(Fault::bad_source);
  out.from = *from;

  const JsonMember* const path = outline.find("path");
  if (path == nullptr || path->kind != JsonKind::array) return fault(Fault::bad_path);
  auto ids = ids_of(path->text);
  if (!ids || ids->size() > path_read_max) return fault(Fault::bad_path);
  out.path = std::move(*ids);

  const auto nonce = std::ranges::find(outline.members, "nonce", &JsonMember::key);
  if (nonce == outline.members.end() || nonce->kind != JsonKind::string ||
      nonce->string.size() > nonce_bytes_max) {
    return fault(Fault::bad_nonce);
  }
  out.nonce = std::move(nonce->string);
  out.nonce_text = nonce->text;

  const JsonMember* const data = outline.find("data");
  if (data == nullptr || data->kind != JsonKind::object ||
      JsonOutline::has_repeated(outline.inner)) {
    return fault(Fault::bad_data);
  }
  out.data = data->text;
  const auto inner = [&](std::string_view key) -> const JsonMember* {
    const auto at = std::ranges::find(outline.inner, key, &JsonMember::key);
    return at == outline.inner.end() ? nullptr : &*at;
  };
  const JsonMember* const type = inner("type");
  const JsonMember* const content = inner("data");
  if (type != nullptr && type->kind == JsonKind::string) out.type = type_of(type->string);
  if (content != nullptr) out.content = content->text;
  if (!read_content(content, out)) return fault(Fault::bad_data);

  for (const JsonMember& member : outline.members) {
    if (member.key == "to" || member.key == "from" || member.key == "path" ||
        member.key == "nonce" || member.key == "data") {
      continue;
    }
    if (out.extra.size() == extra_fields_max) return fault(Fault::many_fields);
    out.extra.push_back({member.key_text, member.text});
  }
  return out;
}

bool is_json(std::string_view text) {
  return text.size() <= text_bytes_max && outline_of(text, depth_max - 2).is_json;
}

Payload payload_of(std::string_view content) {
  if (content.empty()) return Payload::of_json("null");
  if (content.front() == '{') {
    if (const auto numbers = buffer_numbers(content)) {
      if (auto bytes = byte_numbers(*numbers)) return {ContentType::bytes, std::move(*bytes)};
    }
  }
  return Payload::of_json(content);
}

std::string id_text(const NodeId& id) { return buffer_json(id.bytes); }

std::string relayed_text(const OldMessage& message, const NodeId& self) {
  std::string out;
  out.reserve(message.data.size() + 44 * message.path.size() + 256);
  out += "{\"to\":";
  append_quoted(out, message.to.to_hex());
  out += ",\"from\":";
  append_quoted(out, message.from.to_hex());
  out += ',';
  append_path(out, message.path, self);
  out += ",\"nonce\":";
  out += message.nonce_text;
  out += ",\"data\":";
  out += message.data;
  for (const OldMessage::Field& field : message.extra) {
    out += ',';
    out += field.key;
    out += ':';
    out += field.value;
  }
  out += '}';
  return out;
}

std::string message_text(const NodeId& to, const NodeId& self, std::string_view nonce,
                         std::string_view data) {
  std::string out;
  out.reserve(data.size() + 256);
  out += "{\"to\":";
  append_quoted(out, to.to_hex());
  out += ",\"from\":";
  append_quoted(out, self.to_hex());
  out += ',';
  append_path(out, {}, self);
  out += ",\"nonce\":";
  append_quoted(out, nonce);
  out += ",\"data\":";
  out += data;
  out += '}';
  return out;
}

std::string buffer_json(BytesView bytes) {
  std::string out;
  out.reserve(bytes.size() * 4 + 32);
  out += "{\"type\":\"Buffer\",\"data\":";
  append_numbers(out, bytes);
  out += '}';
  return out;
}

std::string user_data(const Payload& payload) {
  if (payload.type == ContentType::json) return data_of(OldType::user, payload.text());
  return data_of(OldType::user, buffer_json(payload.bytes));
}

std::string find_peers_data(const NodeId& sought) {
  std::string content;
  append_quoted(content, sought.to_hex());
  return data_of(OldType::find_peers, content);
}

std::string found_peers_data(const std::vector<NodeId>& found) {
  PEER_RELAY_ASSERT(found.size() <= found_max);
  std::string content = "[";
  for (const NodeId& id : found) {
    if (content.size() > 1) content += ',';
    append_quoted(content, id.to_hex());
  }
  content += ']';
  return data_of(OldType::found_peers, content);
}

std::string handshake_offer_data() { return data_of(OldType::handshake_offer); }

std::string handshake_answer_data(std::string_view ws, bool wrtc) {
  std::string content = "{\"ws\":";
  if (ws.empty()) {
    content += "null";
  } else {
    append_quoted(content, ws);
  }
  content += wrtc ? ",\"wrtc\":true}" : ",\"wrtc\":false}";
  return data_of(OldType::handshake_answer, content);
}

std::optional<Fault> fault_of(std::string_view text, bool is_first) {
  if (is_first) {
    const auto id = read_id(text);
    if (!id) return id.error();
    if (text != id_text(*id)) return Fault::not_as_we_do;
    return std::nullopt;
  }
  const auto message = read_message(text);
  if (!message) return message.error();
  if (message->path.empty() || message->path.size() > path_max) return Fault::bad_path;
  const JsonOutline outline = outline_of(text, depth_max);
  if (!is_quoted_hex(outline.find("to")->text) || !is_quoted_hex(outline.find("from")->text)) {
    return Fault::not_as_we_do;
  }
  return std::nullopt;
}

std::string_view name_of(Fault what) {
  switch (what) {
    case Fault::too_large:
      return "too_large";
    case Fault::too_deep:
      return "too_deep";
    case Fault::no_json:
      return "no_json";
    case Fault::no_id:
      return "no_id";
    case Fault::no_message:
      return "no_message";
    case Fault::bad_target:
      return "bad_target";
    case Fault::bad_source:
      return "bad_source";
    case Fault::bad_path:
      return "bad_path";
    case Fault::bad_nonce:
      return "bad_nonce";
    case Fault::bad_data:
      return "bad_data";
    case Fault::many_fields:
      return "many_fields";
    case Fault::not_as_we_do:
      return "not_as_we_do";
  }
  return "unknown";
}

}  // namespace peer_relay::legacy
