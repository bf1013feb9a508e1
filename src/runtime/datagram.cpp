// SPDX-License-Identifier: MIT
#include "runtime/datagram.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace peer_relay {

namespace {

using Json = nlohmann::json;

/// What Buffer(value) makes of it in JavaScript, for the values that a datagram may have.
std::optional<Bytes> bytes_of(const Json& value) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    return Bytes(text.begin(), text.end());
  }
  const Json* numbers = &value;
  if (value.is_object()) {
    const auto type = value.find("type");
    const auto data = value.find("data");
    if (type == value.end() || *type != "Buffer" || data == value.end()) return std::nullopt;
    numbers = &*data;
  }
  if (!numbers->is_array()) return std::nullopt;
  Bytes bytes;
  bytes.reserve(numbers->size());
  for (const Json& number : *numbers) {
    if (!number.is_number_unsigned() || number.get<std::uint64_t>() > 255) return std::nullopt;
    bytes.push_back(static_cast<std::uint8_t>(number.get<std::uint64_t>()));
  }
  return bytes;
}

}  // namespace

Payload payload_of_datagram(BytesView bytes, const NodeId& self, std::uint16_t port) {
  const std::string text =
      fmt::format(R"({{"buffer":{{"type":"Buffer","data":[{}]}},"address":"{}","port":{}}})",
                  fmt::join(bytes, ","), self.to_hex(), port);
  return Payload::of_json(text);
}

std::optional<Datagram> datagram_of(const Payload& payload) {
  const std::string_view text = payload.text();
  // Most messages are none, and are not parsed for it.
  if (payload.type != ContentType::json || !text.contains("buffer")) return std::nullopt;
  const Json message = Json::parse(text, nullptr, false);
  if (!message.is_object()) return std::nullopt;
  const auto buffer = message.find("buffer");
  const auto port = message.find("port");
  if (buffer == message.end() || port == message.end() || !port->is_number_unsigned() ||
      port->get<std::uint64_t>() > 65'535) {
    return std::nullopt;
  }
  auto bytes = bytes_of(*buffer);
  if (!bytes) return std::nullopt;
  return Datagram{.bytes = std::move(*bytes),
                  .port = static_cast<std::uint16_t>(port->get<std::uint64_t>())};
}

}  // namespace peer_relay
