// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <expected>
#include <memory>

#include "core/crypto/crypto.hpp"
#include "core/crypto/identity.hpp"
#include "core/wire/contact.hpp"
#include "peer_relay/bytes.hpp"
#include "peer_relay/node_id.hpp"
#include "peer_relay/reasons.hpp"

namespace peer_relay {

/// A contact record that has proven itself. Shared, for it never changes: a newer record of the
/// same node is another contact.
struct Contact {
  NodeId id{};
  ContactRecord record;
  Bytes encoded;  ///< as it came, to be passed on

  /// Whether others can link to it: by an address, or by signalling. Those who can't are leaves:
  /// reached by the links they make themselves, and no help to anybody else's envelopes.
  bool is_dialable() const {
    return !record.addresses.empty() || (record.transports & contact_webrtc) != 0;
  }

  /// Whether it names an address of its own machine.
  bool is_local() const;
};
using ContactPtr = std::shared_ptr<const Contact>;

/// Decodes, and checks id, signature and expiry; the price is one signature (about 0.1 ms).
/// `unix_seconds` 0 takes what is past its time too, as from one's own cache.
std::expected<ContactPtr, DropReason> prove_contact(BytesView encoded, const NetworkHash& network,
                                                    std::uint64_t unix_seconds, Crypto& crypto);

/// Signs a record of our own.
Bytes sign_contact(const ContactRecord& record, const NetworkHash& network, const Identity& self,
                   Crypto& crypto);

}  // namespace peer_relay
