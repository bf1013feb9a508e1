// SPDX-License-Identifier: MIT
//
// A text of a stranger on a legacy link. What we would relay of it, and what we would make of its
// content, must leave an old node alive: looked at here with a tree and rules of its own, apart
// from those of the room.
#include <cstddef>
#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

#include "base/assert.hpp"
#include "core/legacy/old_message.hpp"

namespace {

using namespace peer_relay;
using Json = nlohmann::json;

const NodeId self = *NodeId::from_hex("0123456789abcdef0123456789abcdef01234567");

bool is_hex_id(const Json& value) {
  return value.is_string() && NodeId::from_hex(value.get<std::string>()).has_value();
}

/// What an old node needs of a message that it relays or takes, to live on.
bool is_survivable(const std::string& text) {
  const Json message = Json::parse(text, nullptr, false);
  if (!message.is_object()) return false;
  for (const char* key : {"to", "from"}) {
    if (!message.contains(key) || !is_hex_id(message[key])) return false;
  }
  if (!message.contains("nonce") || !message["nonce"].is_string()) return false;
  if (!message.contains("path") || !message["path"].is_array() || message["path"].empty()) {
    return false;
  }
  for (const Json& id : message["path"]) {
    if (!is_hex_id(id)) return false;
  }
  if (!message.contains("data") || !message["data"].is_object()) return false;
  const Json& data = message["data"];
  const Json type = data.value("type", Json{});
  const Json content = data.value("data", Json{});
  if (type == "findPeers") return content.is_string();
  if (type == "foundPeers") {
    if (!content.is_array()) return false;
    for (const Json& id : content) {
      if (!id.is_string()) return false;
    }
    return true;
  }
  if (type == "handshake-answer" && !content.is_null()) {
    if (!content.is_object()) return false;
    const Json ws = content.value("ws", Json{});
    if (ws.is_null()) return true;
    return ws.is_string() && (ws.get<std::string>().starts_with("ws://") ||
                              ws.get<std::string>().starts_with("wss://"));
  }
  return type != "signal" || content.is_object();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text({data, size});
  if (const auto id = legacy::read_id(text)) {
    PEER_RELAY_ASSERT(legacy::fault_of(legacy::id_text(*id), true) == std::nullopt);
  }
  if (legacy::is_json(text)) {
    const std::string own = legacy::message_text(
        self, self, "1", legacy::user_data({ContentType::json, Bytes(text.begin(), text.end())}));
    PEER_RELAY_ASSERT(is_survivable(own));
  }
  const auto message = legacy::read_message(text);
  if (!message) return 0;
  static_cast<void>(legacy::payload_of(message->content));
  const std::string relayed = legacy::relayed_text(*message, self);
  PEER_RELAY_ASSERT(is_survivable(relayed));
  const auto again = legacy::read_message(relayed);
  PEER_RELAY_ASSERT(again.has_value() || again.error() == legacy::Fault::bad_path ||
                    again.error() == legacy::Fault::too_large);
  if (!again) return 0;
  PEER_RELAY_ASSERT(again->to == message->to && again->from == message->from);
  PEER_RELAY_ASSERT(again->nonce == message->nonce && again->data == message->data);
  PEER_RELAY_ASSERT(again->type == message->type && again->content == message->content);
  PEER_RELAY_ASSERT(again->extra.size() == message->extra.size());
  return 0;
}
