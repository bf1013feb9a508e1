// SPDX-License-Identifier: MIT
//
// Whom we know: the peers we are linked to, and the contacts we could link to, by XOR distance.
// This room answers who is closest; whom to link to is membership's question, and where an envelope
// goes is route's.
//
// Unlike Kademlia (Maymounkov and Mazières 2002, §2.2) our buckets hold two things apart: links,
// which are what routes, and contacts, whom we could dial. Hearsay never evicts experience.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/outbox.hpp"
#include "core/table/contact.hpp"
#include "peer_relay/limits.hpp"
#include "peer_relay/node_id.hpp"
#include "peer_relay/time.hpp"

namespace peer_relay {

/// A peer that we are linked to.
struct LinkedPeer {
  NodeId id{};
  LinkId link{};
  bool relays = false;     ///< others can link to it, so it has a place of its own in the overlay
  bool dialed = false;     ///< by us
  bool kept = false;       ///< the application asked for this link
  bool is_local = false;   ///< on this machine
  bool is_needed = false;  ///< it dialed us, and said that no other would do
  bool suspect = false;    ///< seems to pass on nothing (route/auditor.hpp)
  bool is_kin = false;     ///< carries old messages as we do
  TimePoint since{};
  ContactPtr contact;  ///< may be null
};

/// Common prefixes, ranges and nearest neighbours by XOR in a sorted row of ids: the row is a trie
/// without the pointers.
class IdIndex {
 public:
  /// The place of the id closest to `target`; the row is not empty. O(log² n), allocates nothing.
  static std::size_t closest(std::span<const NodeId> sorted, const NodeId& target);

  /// The range of ids that share exactly `bits` leading bits with `self`.
  static std::pair<std::size_t, std::size_t> bucket(std::span<const NodeId> sorted,
                                                    const NodeId& self, int bits);
};

class Table {
 public:
  explicit Table(const NodeId& self) : self_(self) {}

  const NodeId& self() const { return self_; }

  // ---- Links --------------------------------------------------------------------------------

  /// False if the peer is there already.
  bool add(LinkedPeer peer);
  /// It stays known as a contact, if it can be dialed.
  bool remove(const NodeId& peer);
  LinkedPeer* find(const NodeId& peer);
  const LinkedPeer* find(const NodeId& peer) const;
  std::span<const LinkedPeer> peers() const { return peers_; }
  std::span<const NodeId> relay_ids() const { return relay_ids_; }  ///< sorted
  std::size_t relays() const { return relay_ids_.size(); }
  std::size_t leaves() const { return peers_.size() - relay_ids_.size(); }

  /// A peer turned from leaf to relay, or back.
  void set_relays(const NodeId& peer, bool relays);

  /// The relay closest to `target`; null without any. Allocates nothing.
  const LinkedPeer* closest_relay(const NodeId& target) const;

  /// The same, but none of `avoided`. O(n); for what is rare.
  const LinkedPeer* closest_relay(const NodeId& target, std::span<const NodeId> avoided) const;

  /// The relays closest to us: at most limits::siblings, closest first.
  std::vector<NodeId> siblings() const;
  bool is_sibling(const NodeId& peer) const;

  /// Whether fewer than `count` linked relays are closer to `target` than `id` is; neither of the
  /// two is counted.
  bool is_among_closest(const NodeId& id, const NodeId& target, std::size_t count) const;

  /// How many relays we are linked to in a bucket, and which.
  std::size_t relays_in_bucket(int bucket) const;
  std::span<const NodeId> relay_ids_in_bucket(int bucket) const;
  /// How many in each of the farthest `buckets`.
  std::vector<std::size_t> relays_by_bucket(int buckets) const;

  /// The bucket in which the last of our siblings is: farther buckets are for fingers, from here on
  /// the siblings fill everything. 0 while there are fewer than limits::siblings.
  int sibling_depth() const;

  // ---- Contacts -----------------------------------------------------------------------------

  /// Takes a contact in, or a newer record of one. False where there is no room for it, or nothing
  /// new in it.
  bool learn(const ContactPtr& contact, bool from_experience);
  void forget(const NodeId& id);
  /// The newest record, of peers and contacts alike; null if unknown.
  ContactPtr contact(const NodeId& id) const;
  /// Of those not linked.
  std::size_t contacts() const { return contact_count_; }
  std::span<const ContactPtr> contacts_in_bucket(int bucket) const;

  /// Dialable contacts and peers with their records, closest to `target` first. With
  /// `only_linked`: only such as we know to be alive.
  std::vector<ContactPtr> closest_contacts(const NodeId& target, std::size_t count,
                                           bool only_linked) const;

  /// The deepest bucket with a contact, and one more; 0 without any.
  int buckets() const { return static_cast<int>(buckets_.size()); }

 private:
  std::size_t place_of(const NodeId& peer) const;
  void insert_relay(const NodeId& peer);

  NodeId self_;
  std::vector<LinkedPeer> peers_;  // sorted by id
  std::vector<NodeId> relay_ids_;  // sorted; those of peers_ that relay

  // Of those not linked, by common prefix: a peer's record is with the peer. The bound is
  // limits::contacts_per_bucket each; deep buckets are empty, for ids are uniform: about log2 of
  // the network's size have any.
  std::vector<std::vector<ContactPtr>> buckets_;
  std::size_t contact_count_ = 0;
};

}  // namespace peer_relay
