// SPDX-License-Identifier: MIT
#include "core/wire/hello.hpp"

#include "base/text.hpp"
#include "base/writer.hpp"
#include "core/wire/close_reason.hpp"
#include "core/wire/decode.hpp"
#include "peer_relay/address.hpp"
#include "peer_relay/limits.hpp"

namespace peer_relay {

using enum DecodeError;

Decoded<Hello> decode_hello(BytesView message) {
  Reader in{message};
  const auto magic = in.array<link_magic.size()>();
  Hello hello;
  hello.version = in.u8();
  if (!in.ok()) return std::unexpected(truncated);
  if (magic != link_magic) return std::unexpected(bad_value);
  if (hello.version != protocol_version) return hello;
  hello.network = in.array<sizeof(NetworkHash)>();
  hello.noise = in.rest();
  return whole(in, hello);
}

void encode_hello(const Hello& hello, Bytes& out) {
  Writer writer{out};
  writer.bytes(link_magic);
  writer.u8(hello.version);
  writer.bytes(hello.network);
  writer.bytes(hello.noise);
}

Decoded<HelloReply> reply_kind(BytesView message) {
  if (message.empty()) return std::unexpected(truncated);
  const HelloReply kind{message.front()};
  if (kind != HelloReply::accepted && kind != HelloReply::refused) return std::unexpected(unknown);
  return kind;
}

Decoded<Accepted> decode_accepted(BytesView message) {
  Reader in{message};
  const HelloReply kind{in.u8()};
  const Accepted accepted{.noise = in.rest()};
  if (!in.ok()) return std::unexpected(truncated);
  if (kind != HelloReply::accepted) return std::unexpected(unknown);
  return accepted;
}

Decoded<Refused> decode_refused(BytesView message) {
  Reader in{message};
  const HelloReply kind{in.u8()};
  if (in.ok() && kind != HelloReply::refused) return std::unexpected(unknown);
  Refused refused;
  refused.reason = travelled_reason(in.u8());
  refused.version = in.u8();
  refused.network = as_text(in.bytes_u8());
  if (refused.network.size() > limits::network_bytes_max) return std::unexpected(over_limit);
  const bool may_name = refused.reason == CloseReason::wrong_network;
  if (!may_name && !refused.network.empty()) return std::unexpected(bad_value);
  if (!is_plain_text(refused.network)) return std::unexpected(bad_value);
  return whole(in, refused);
}

void encode_accepted(BytesView noise, Bytes& out) {
  Writer writer{out};
  writer.u8(static_cast<std::uint8_t>(HelloReply::accepted));
  writer.bytes(noise);
}

void encode_refused(const Refused& refused, Bytes& out) {
  PEER_RELAY_ASSERT(travels(refused.reason));
  PEER_RELAY_ASSERT(refused.network.size() <= limits::network_bytes_max);
  Writer writer{out};
  writer.u8(static_cast<std::uint8_t>(HelloReply::refused));
  writer.u8(static_cast<std::uint8_t>(refused.reason));
  writer.u8(refused.version);
  writer.bytes_u8(as_bytes(refused.network));
}

Decoded<Introduction> decode_introduction(BytesView payload) {
  Reader in{payload};
  Introduction introduction;
  introduction.key = in.array<sizeof(PublicKey)>();
  introduction.features = in.u32();
  introduction.agent = as_text(in.bytes_u8());
  introduction.observed_host = as_text(in.bytes_u8());
  introduction.contact = in.bytes_u16();
  if (introduction.agent.size() > limits::agent_bytes_max) return std::unexpected(over_limit);
  if (introduction.contact.size() > limits::contact_bytes_max) return std::unexpected(over_limit);
  if (!is_plain_text(introduction.agent)) return std::unexpected(bad_value);
  if (!is_ip_address(introduction.observed_host)) introduction.observed_host = {};
  return whole(in, introduction);
}

void encode_introduction(const Introduction& introduction, Bytes& out) {
  PEER_RELAY_ASSERT(introduction.agent.size() <= limits::agent_bytes_max);
  PEER_RELAY_ASSERT(introduction.contact.size() <= limits::contact_bytes_max);
  Writer writer{out};
  writer.bytes(introduction.key);
  writer.u32(introduction.features);
  writer.bytes_u8(as_bytes(introduction.agent));
  writer.bytes_u8(as_bytes(introduction.observed_host));
  writer.bytes_u16(introduction.contact);
}

}  // namespace peer_relay
