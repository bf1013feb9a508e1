// SPDX-License-Identifier: MIT
#include "core/table/contact.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <functional>
#include <string_view>
#include <utility>

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

std::uint64_t ContactPool::hash_of(BytesView encoded) {
  return std::hash<std::string_view>{}(as_text(encoded)) | 1;
}

ContactPtr ContactPool::find(const NetworkHash& network, BytesView encoded) const {
  const std::uint64_t hash = hash_of(encoded);
  for (std::size_t at = hash >> 1 & (slots_.size() - 1); slots_[at].hash != 0;
       at = (at + 1) & (slots_.size() - 1)) {
    if (slots_[at].hash != hash || slots_[at].network != network) continue;
    const ContactPtr& contact = slots_[at].contact;
    if (!contact.is_last() && std::ranges::equal(contact->encoded, encoded)) return contact;
  }
  return nullptr;
}

void ContactPool::keep(const NetworkHash& network, const ContactPtr& contact) {
  if (2 * size_ >= slots_.size()) sweep();
  put({.hash = hash_of(contact->encoded), .network = network, .contact = contact});
}

void ContactPool::put(Slot slot) {
  std::size_t at = slot.hash >> 1 & (slots_.size() - 1);
  while (slots_[at].hash != 0) at = (at + 1) & (slots_.size() - 1);
  slots_[at] = std::move(slot);
  ++size_;
}

// Drops what nobody holds any more, and grows if that was little.
void ContactPool::sweep() {
  std::vector<Slot> old = std::exchange(slots_, {});
  std::erase_if(old, [](const Slot& slot) { return slot.hash == 0 || slot.contact.is_last(); });
  slots_.resize(std::max<std::size_t>(2048, std::bit_ceil(4 * old.size())));
  size_ = 0;
  for (Slot& slot : old) put(std::move(slot));
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
  return make_contact(node_id_of(record->key, crypto), *record, encoded);
}

Bytes sign_contact(const ContactRecord& record, const NetworkHash& network, const Identity& self,
                   Crypto& crypto) {
  Bytes encoded;
  encoded.reserve(limits::contact_bytes_max);
  encode_contact_unsigned(record, encoded);
  const Signature signature = crypto.sign(self.keys, contact_signed_bytes(network, encoded));
  encoded.insert(encoded.end(), signature.begin(), signature.end());
  // As long as it is, for it is kept for a day. To shrink it would do nothing: libstdc++ does not
  // without exceptions.
  return Bytes(encoded.begin(), encoded.end());
}

}  // namespace peer_relay
