// SPDX-License-Identifier: MIT
//
// What nodes tell each other about the overlay: bodies of envelopes (LOOKUP, its answer,
// UNREACHABLE) and of frames between neighbours (CONTACTS, DIAL_BACK). None of it is secret;
// contact records prove themselves; everything else is a hint.
#pragma once

#include <cstdint>
#include <vector>

#include "core/wire/envelope.hpp"
#include "core/wire/wire.hpp"
#include "peer_relay/address.hpp"
#include "peer_relay/reasons.hpp"

namespace peer_relay {

/// Contact records in a row, each len16 and its bytes; not looked into, but none is empty. At most
/// limits::contacts_per_frame_max of at most limits::contact_bytes_max.
using ContactViews = std::vector<BytesView>;

// LOOKUP, in an envelope with flag closest (or, to ask one node, without); the envelope's target is
// what is looked for.
// 8B nonce | 1B wanted | len16 the asker's own contact record (may be empty)
struct Lookup {
  std::uint64_t nonce = 0;  ///< random; the answer repeats it
  std::uint8_t wanted = 8;  ///< contacts, 1 to limits::contacts_per_frame_max
  BytesView contact{};
};
Decoded<Lookup> decode_lookup(BytesView body);
void encode_lookup(const Lookup& lookup, Bytes& out);

// CONTACTS in an envelope: the answer. The answerer's own record first, then those it knows closest
// to the target.
// 8B nonce | 1B count | that many: len16 record
struct LookupAnswer {
  std::uint64_t nonce = 0;
  ContactViews contacts{};
};
Decoded<LookupAnswer> decode_lookup_answer(BytesView body);
void encode_lookup_answer(const LookupAnswer& answer, Bytes& out);

// UNREACHABLE in an envelope whose source is the node where the way ended.
// 1B reason (UnreachableReason) | 1B kind of the dropped envelope | 4B its tag | 20B its target
struct Unreachable {
  UnreachableReason reason = UnreachableReason::dead_end;
  EnvelopeKind kind = EnvelopeKind::session_data;
  std::uint32_t tag = 0;
  NodeId target{};
};
Decoded<Unreachable> decode_unreachable(BytesView body);
void encode_unreachable(const Unreachable& notice, Bytes& out);

enum class ContactsPurpose : std::uint8_t {
  neighbours = 1,    ///< those I know closest to you (sent when a link opens, and every 30 s)
  alternatives = 2,  ///< I am busy: try these (a GOODBYE follows)
  own = 3,           ///< my own record has changed
};

// CONTACTS as a frame between neighbours.
// 1B purpose | 1B count | that many: len16 record
struct NeighbourContacts {
  ContactsPurpose purpose = ContactsPurpose::neighbours;
  ContactViews contacts{};
};
Decoded<NeighbourContacts> decode_neighbour_contacts(BytesView body);
void encode_neighbour_contacts(const NeighbourContacts& contacts, Bytes& out);

// DIAL_BACK: does the address at which you see me, with this port, lead to me? The receiver dials
// no other host than the one it sees, so nobody can be made to knock at a third one's door. 4B
// token | 1B scheme (0 ws, 1 wss, 2 tcp) | 2B port
struct DialBack {
  std::uint32_t token = 0;
  Scheme scheme = Scheme::ws;
  std::uint16_t port = 0;
};
Decoded<DialBack> decode_dial_back(BytesView body);
void encode_dial_back(const DialBack& request, Bytes& out);

// 4B token | 1B 1 if the dial reached the asker, else 0
struct DialBackResult {
  std::uint32_t token = 0;
  bool reached = false;
};
Decoded<DialBackResult> decode_dial_back_result(BytesView body);
void encode_dial_back_result(const DialBackResult& result, Bytes& out);

}  // namespace peer_relay
