// SPDX-License-Identifier: MIT
#include "core/wire/contact.hpp"

#include <string>

#include "base/writer.hpp"
#include "core/wire/decode.hpp"
#include "peer_relay/limits.hpp"

namespace peer_relay {
namespace {

constexpr std::uint8_t record_version = 1;
constexpr std::string_view signing_label = "peer-relay contact 1";

/// As they go out: those that fit, and no more than may be.
std::vector<std::string> texts_of(const std::vector<Address>& addresses) {
  std::vector<std::string> texts;
  for (const Address& address : addresses) {
    if (texts.size() == limits::contact_addresses_max) break;
    std::string text = address.to_string();
    if (text.size() <= limits::address_bytes_max) texts.push_back(std::move(text));
  }
  return texts;
}

}  // namespace

Decoded<ContactRecord> decode_contact(BytesView bytes) {
  using enum DecodeError;
  if (bytes.size() > limits::contact_bytes_max) return std::unexpected(over_limit);
  Reader in{bytes};
  const std::uint8_t version = in.u8();
  if (in.ok() && version != record_version) return std::unexpected(unknown);
  ContactRecord record;
  record.key = in.array<sizeof(PublicKey)>();
  record.transports = in.u8();
  record.sequence = in.u64();
  record.expiry = in.u64();
  const std::size_t count = in.u8();
  if (count > limits::contact_addresses_max) return std::unexpected(over_limit);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string_view text = as_text(in.bytes_u8());
    if (text.size() > limits::address_bytes_max) return std::unexpected(over_limit);
    if (auto address = Address::parse(text)) record.addresses.push_back(*std::move(address));
  }
  record.signature = in.array<contact_signature_bytes>();
  return whole(in, std::move(record));
}

void encode_contact_unsigned(const ContactRecord& record, Bytes& out) {
  const std::vector<std::string> texts = texts_of(record.addresses);
  Writer writer{out};
  writer.u8(record_version);
  writer.bytes(record.key);
  writer.u8(record.transports);
  writer.u64(record.sequence);
  writer.u64(record.expiry);
  writer.u8(static_cast<std::uint8_t>(texts.size()));
  for (const std::string& text : texts) writer.bytes_u8(as_bytes(text));
}

Bytes contact_signed_bytes(const NetworkHash& network, BytesView record_without_signature) {
  Bytes out;
  out.reserve(signing_label.size() + network.size() + record_without_signature.size());
  Writer writer{out};
  writer.bytes(as_bytes(signing_label));
  writer.bytes(network);
  writer.bytes(record_without_signature);
  return out;
}

}  // namespace peer_relay
