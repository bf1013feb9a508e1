// SPDX-License-Identifier: MIT
#include "core/wire/overlay.hpp"

#include "base/writer.hpp"
#include "core/wire/decode.hpp"
#include "peer_relay/limits.hpp"

namespace peer_relay {

using enum DecodeError;

namespace {

/// 1B count | that many: len16 record
Decoded<ContactViews> read_contacts(Reader& in) {
  const std::size_t count = in.u8();
  if (count > limits::contacts_per_frame_max) return std::unexpected(over_limit);
  ContactViews contacts;
  contacts.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const BytesView record = in.bytes_u16();
    if (!in.ok()) return std::unexpected(truncated);
    if (record.empty()) return std::unexpected(bad_value);
    if (record.size() > limits::contact_bytes_max) return std::unexpected(over_limit);
    contacts.push_back(record);
  }
  return contacts;
}

void write_contacts(const ContactViews& contacts, Writer& out) {
  PEER_RELAY_ASSERT(contacts.size() <= limits::contacts_per_frame_max);
  out.u8(static_cast<std::uint8_t>(contacts.size()));
  for (const BytesView record : contacts) {
    PEER_RELAY_ASSERT(!record.empty() && record.size() <= limits::contact_bytes_max);
    out.bytes_u16(record);
  }
}

/// Reasons above these are found by the sender itself and never travel.
bool travels(UnreachableReason reason) {
  return reason > UnreachableReason::none && reason < UnreachableReason::no_links;
}

}  // namespace

Decoded<Lookup> decode_lookup(BytesView body) {
  Reader in{body};
  Lookup lookup;
  lookup.nonce = in.u64();
  lookup.wanted = in.u8();
  lookup.contact = in.bytes_u16();
  if (!in.ok()) return std::unexpected(truncated);
  if (lookup.wanted == 0) return std::unexpected(bad_value);
  if (lookup.wanted > limits::contacts_per_frame_max) return std::unexpected(over_limit);
  if (lookup.contact.size() > limits::contact_bytes_max) return std::unexpected(over_limit);
  return whole(in, lookup);
}

void encode_lookup(const Lookup& lookup, Bytes& out) {
  PEER_RELAY_ASSERT(lookup.contact.size() <= limits::contact_bytes_max);
  Writer writer{out};
  writer.u64(lookup.nonce);
  writer.u8(lookup.wanted);
  writer.bytes_u16(lookup.contact);
}

Decoded<LookupAnswer> decode_lookup_answer(BytesView body) {
  Reader in{body};
  const std::uint64_t nonce = in.u64();
  auto contacts = read_contacts(in);
  if (!contacts) return std::unexpected(contacts.error());
  return whole(in, LookupAnswer{nonce, *std::move(contacts)});
}

void encode_lookup_answer(const LookupAnswer& answer, Bytes& out) {
  Writer writer{out};
  writer.u64(answer.nonce);
  write_contacts(answer.contacts, writer);
}

Decoded<Unreachable> decode_unreachable(BytesView body) {
  Reader in{body};
  Unreachable notice;
  notice.reason = UnreachableReason{in.u8()};
  notice.kind = EnvelopeKind{in.u8()};
  notice.tag = in.u32();
  notice.target = in.id();
  if (!in.ok()) return std::unexpected(truncated);
  if (!travels(notice.reason)) return std::unexpected(bad_value);
  if (notice.reason > UnreachableReason::rate_limited) return std::unexpected(unknown);
  return whole(in, notice);
}

void encode_unreachable(const Unreachable& notice, Bytes& out) {
  PEER_RELAY_ASSERT(travels(notice.reason));
  Writer writer{out};
  writer.u8(static_cast<std::uint8_t>(notice.reason));
  writer.u8(static_cast<std::uint8_t>(notice.kind));
  writer.u32(notice.tag);
  writer.id(notice.target);
}

Decoded<NeighbourContacts> decode_neighbour_contacts(BytesView body) {
  Reader in{body};
  const ContactsPurpose purpose{in.u8()};
  if (!in.ok()) return std::unexpected(truncated);
  if (purpose < ContactsPurpose::neighbours || purpose > ContactsPurpose::own) {
    return std::unexpected(unknown);
  }
  auto contacts = read_contacts(in);
  if (!contacts) return std::unexpected(contacts.error());
  return whole(in, NeighbourContacts{purpose, *std::move(contacts)});
}

void encode_neighbour_contacts(const NeighbourContacts& contacts, Bytes& out) {
  Writer writer{out};
  writer.u8(static_cast<std::uint8_t>(contacts.purpose));
  write_contacts(contacts.contacts, writer);
}

Decoded<DialBack> decode_dial_back(BytesView body) {
  Reader in{body};
  DialBack request;
  request.token = in.u32();
  request.scheme = Scheme{in.u8()};
  request.port = in.u16();
  if (!in.ok()) return std::unexpected(truncated);
  if (request.scheme > Scheme::tcp) return std::unexpected(unknown);
  if (request.port == 0) return std::unexpected(bad_value);
  return whole(in, request);
}

void encode_dial_back(const DialBack& request, Bytes& out) {
  Writer writer{out};
  writer.u32(request.token);
  writer.u8(static_cast<std::uint8_t>(request.scheme));
  writer.u16(request.port);
}

Decoded<DialBackResult> decode_dial_back_result(BytesView body) {
  Reader in{body};
  DialBackResult result;
  result.token = in.u32();
  const std::uint8_t reached = in.u8();
  result.reached = reached == 1;
  if (reached > 1) return std::unexpected(bad_value);
  return whole(in, result);
}

void encode_dial_back_result(const DialBackResult& result, Bytes& out) {
  Writer writer{out};
  writer.u32(result.token);
  writer.u8(result.reached ? 1 : 0);
}

}  // namespace peer_relay
