// SPDX-License-Identifier: MIT
#include "core/table/contact.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <string_view>

#include "peer_relay/limits.hpp"

namespace peer_relay {

Contact::Contact(const NodeId& of, const ContactRecord& record, BytesView bytes)
    : id(of),
      has_addresses(!record.addresses.empty()),
      names_this_machine(std::ranges::any_of(
          record.addresses,
          [](const Address& address) { return address.reach() == Reach::loopback; })),
      transports(record.transports),
      sequence(record.sequence),
      expiry(record.expiry),
      encoded(bytes.begin(), bytes.end()) {
  for (const Address& address : record.addresses) {
    if (address.reach() != Reach::world) continue;
    subnet = subnet_of_host(address.host);
    break;
  }
}

PublicKey Contact::key() const { return decode_contact(encoded)->key; }

std::vector<Address> Contact::addresses() const { return decode_contact(encoded)->addresses; }

std::size_t ContactPool::hash_of(BytesView encoded) {
  return std::hash<std::string_view>{}(as_text(encoded));
}

ContactPtr ContactPool::find(const NetworkHash& network, BytesView encoded) const {
  const auto [first, last] = entries_.equal_range(hash_of(encoded));
  for (auto at = first; at != last; ++at) {
    ContactPtr contact = at->second.contact.lock();
    if (contact != nullptr && at->second.network == network &&
        std::ranges::equal(contact->encoded, encoded)) {
      return contact;
    }
  }
  return nullptr;
}

void ContactPool::keep(const NetworkHash& network, const ContactPtr& contact) {
  if (entries_.size() >= sweep_at_) {
    std::erase_if(entries_, [](const auto& entry) { return entry.second.contact.expired(); });
    sweep_at_ = std::max(sweep_at_, 2 * entries_.size());
  }
  entries_.emplace(hash_of(contact->encoded), Entry{network, contact});
}

bool is_timely(std::uint64_t expiry, std::uint64_t unix_seconds) {
  if (unix_seconds == 0) return true;
  constexpr auto lifetime = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(limits::contact_lifetime).count());
  // Twice the lifetime leaves room for clocks that differ; beyond it somebody wants to be kept.
  return expiry > unix_seconds && expiry <= unix_seconds + 2 * lifetime;
}

std::expected<ContactPtr, DropReason> prove_contact(BytesView encoded, const NetworkHash& network,
                                                    std::uint64_t unix_seconds, Crypto& crypto) {
  const auto record = decode_contact(encoded);
  if (!record) return std::unexpected(DropReason::malformed);
  if (!is_timely(record->expiry, unix_seconds)) {
    return std::unexpected(DropReason::contact_expired);
  }
  const BytesView unsigned_part = encoded.first(encoded.size() - record->signature.size());
  const Bytes signed_bytes = contact_signed_bytes(network, unsigned_part);
  if (!crypto.verify(record->key, signed_bytes, record->signature)) {
    return std::unexpected(DropReason::contact_forged);
  }
  return std::make_shared<const Contact>(node_id_of(record->key, crypto), *record, encoded);
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
