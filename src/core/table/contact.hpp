// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <utility>
#include <vector>

#include "core/crypto/crypto.hpp"
#include "core/crypto/identity.hpp"
#include "core/wire/contact.hpp"
#include "peer_relay/bytes.hpp"
#include "peer_relay/node_id.hpp"
#include "peer_relay/reasons.hpp"

namespace peer_relay {

class ContactPtr;

/// A contact record that has proven itself. Shared, for it never changes: a newer record of the
/// same node is another contact. Of the record it keeps what is asked for often; the rest is read
/// from its bytes when it is wanted.
struct Contact {
  /// `encoded` is the whole record, decoded as `record`.
  Contact(const NodeId& of, const ContactRecord& record, BytesView encoded);

  NodeId id{};
  bool has_addresses = false;
  bool names_this_machine = false;
  std::uint8_t transports = 0;
  std::uint64_t sequence = 0;  ///< the larger of two is the newer record
  std::uint64_t expiry = 0;    ///< Unix time in seconds
  /// The /24 or /48 of its first address that all can dial.
  std::optional<std::uint64_t> subnet;
  Bytes encoded;  ///< as it came, to be passed on

  /// Whether others can link to it: by an address, or by signalling. Those who can't are leaves:
  /// reached by the links they make themselves, and no help to anybody else's envelopes.
  bool is_dialable() const { return has_addresses || (transports & contact_webrtc) != 0; }

  /// Whether it names an address of its own machine.
  bool is_local() const { return names_this_machine; }

  PublicKey key() const;
  std::vector<Address> addresses() const;

 private:
  friend class ContactPtr;
  mutable std::uint32_t holders_ = 0;
};

/// A share in a contact, or none: what std::shared_ptr<const Contact> is, in one word, for each
/// node holds a hundred or two. It counts without locks: engines of several threads share none.
class ContactPtr {
 public:
  ContactPtr() = default;
  ContactPtr(std::nullptr_t) {}  // NOLINT(google-explicit-constructor): as with any pointer
  explicit ContactPtr(const Contact* fresh) : contact_(fresh) { hold(); }
  ContactPtr(const ContactPtr& other) : contact_(other.contact_) { hold(); }
  ContactPtr(ContactPtr&& other) noexcept : contact_(std::exchange(other.contact_, nullptr)) {}
  ContactPtr& operator=(ContactPtr other) noexcept {
    std::swap(contact_, other.contact_);
    return *this;
  }
  ~ContactPtr() {
    if (contact_ != nullptr && --contact_->holders_ == 0) delete contact_;
  }

  const Contact& operator*() const { return *contact_; }
  const Contact* operator->() const { return contact_; }
  bool operator==(const ContactPtr&) const = default;
  explicit operator bool() const { return contact_ != nullptr; }
  /// Whether nobody else has a share.
  bool is_last() const { return contact_ != nullptr && contact_->holders_ == 1; }

 private:
  void hold() const {
    if (contact_ != nullptr) ++contact_->holders_;
  }

  const Contact* contact_ = nullptr;
};

template <class... Args>
ContactPtr make_contact(Args&&... args) {
  return ContactPtr{new Contact(std::forward<Args>(args)...)};
}

/// Contacts that the nodes of one process share, where there are many of them: each record is
/// proven and held once. It holds what any table holds, and no more.
class ContactPool {
 public:
  ContactPtr find(const NetworkHash& network, BytesView encoded) const;
  void keep(const NetworkHash& network, const ContactPtr& contact);
  /// Those that nobody holds any more, and are not swept out yet, among them.
  std::size_t size() const { return size_; }

 private:
  struct Slot {
    std::uint64_t hash = 0;  // 0: free
    NetworkHash network{};
    ContactPtr contact;
  };
  static std::uint64_t hash_of(BytesView encoded);
  void put(Slot slot);
  void sweep();

  // Open addressing, a power of two of them, never more than half full.
  std::vector<Slot> slots_ = std::vector<Slot>(2048);
  std::size_t size_ = 0;
};

/// Decodes, and checks id, signature and expiry; the price is one signature (about 0.1 ms).
/// `unix_seconds` 0 takes what is past its time too, as from one's own cache.
std::expected<ContactPtr, DropReason> prove_contact(BytesView encoded, const NetworkHash& network,
                                                    std::uint64_t unix_seconds, Crypto& crypto);

/// Whether a record with that expiry may be taken now.
bool is_timely(std::uint64_t expiry, std::uint64_t unix_seconds);

/// Signs a record of our own.
Bytes sign_contact(const ContactRecord& record, const NetworkHash& network, const Identity& self,
                   Crypto& crypto);

}  // namespace peer_relay
