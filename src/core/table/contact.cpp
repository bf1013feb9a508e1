// SPDX-License-Identifier: MIT
#include "core/table/contact.hpp"

#include <algorithm>
#include <chrono>

#include "peer_relay/limits.hpp"

namespace peer_relay {

bool Contact::is_local() const {
  return std::ranges::any_of(
      record.addresses, [](const Address& address) { return address.reach() == Reach::loopback; });
}

std::expected<ContactPtr, DropReason> prove_contact(BytesView encoded, const NetworkHash& network,
                                                    std::uint64_t unix_seconds, Crypto& crypto) {
  auto record = decode_contact(encoded);
  if (!record) return std::unexpected(DropReason::malformed);
  if (unix_seconds != 0) {
    constexpr auto lifetime =
        static_cast<std::uint64_t>(std::chrono::seconds{std::chrono::hours{24}}.count());
    static_assert(limits::contact_lifetime == std::chrono::hours{24});
    // Twice the lifetime leaves room for clocks that differ; beyond it somebody wants to be kept.
    if (record->expiry <= unix_seconds || record->expiry > unix_seconds + 2 * lifetime) {
      return std::unexpected(DropReason::contact_expired);
    }
  }
  const BytesView unsigned_part = encoded.first(encoded.size() - record->signature.size());
  const Bytes signed_bytes = contact_signed_bytes(network, unsigned_part);
  if (!crypto.verify(record->key, signed_bytes, record->signature)) {
    return std::unexpected(DropReason::contact_forged);
  }
  const NodeId id = node_id_of(record->key, crypto);
  return std::make_shared<const Contact>(
      Contact{.id = id, .record = std::move(*record), .encoded = {encoded.begin(), encoded.end()}});
}

Bytes sign_contact(const ContactRecord& record, const NetworkHash& network, const Identity& self,
                   Crypto& crypto) {
  Bytes encoded;
  encode_contact_unsigned(record, encoded);
  const Signature signature = crypto.sign(self.keys, contact_signed_bytes(network, encoded));
  encoded.insert(encoded.end(), signature.begin(), signature.end());
  return encoded;
}

}  // namespace peer_relay
