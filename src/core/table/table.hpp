// SPDX-License-Identifier: MIT
//
// Whom we know: the peers we are linked to, and the contacts we could link to, by XOR distance.
// This room answers who is closest; whom to link to is membership's question, and where an envelope
// goes is route's.
//
// Unlike Kademlia (Maymounkov and Mazières 2002, §2.2) our buckets hold two things apart: links,
// which are what routes, and contacts, whom we could dial. Hearsay never evicts experience.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <ranges>
#include <span>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "core/outbox.hpp"
#include "core/table/contact.hpp"
#include "peer_relay/limits.hpp"
#include "peer_relay/node_id.hpp"
#include "peer_relay/time.hpp"

namespace peer_relay {

/// A peer that we are linked to.
struct LinkedPeer {
  NodeId id{};
  bool relays : 1 = false;     ///< others can link to it: it has a place of its own in the overlay
  bool dialed : 1 = false;     ///< by us
  bool kept : 1 = false;       ///< the application asked for this link
  bool is_local : 1 = false;   ///< on this machine
  bool is_needed : 1 = false;  ///< it dialed us, and said that no other would do
  bool suspect : 1 = false;    ///< seems to pass on nothing (route/auditor.hpp)
  bool is_kin : 1 = false;     ///< carries old messages as we do
  LinkId link{};
  TimePoint since{};
  ContactPtr contact;  ///< may be null
};

/// Common prefixes, ranges and nearest neighbours by XOR in a sorted row of ids: the row is a trie
/// without the pointers.
class IdIndex {
 public:
  /// The place of the id closest to `target`; the row is not empty. O(log² n), allocates nothing.
  template <class Row>
  static std::size_t closest(const Row& sorted, const NodeId& target);

  /// The range of ids that share exactly `bits` leading bits with `self`.
  template <class Row = std::span<const NodeId>>
  static std::pair<std::size_t, std::size_t> bucket(const Row& sorted, const NodeId& self,
                                                    int bits);
};

// Each turn halves the trie: all of [low, high) share their first bits, so the first bit in which
// they differ decides, and those that agree there with the target are closer than all others.
template <class Row>
std::size_t IdIndex::closest(const Row& sorted, const NodeId& target) {
  PEER_RELAY_ASSERT(!std::ranges::empty(sorted));
  std::ptrdiff_t low = 0;
  std::ptrdiff_t high = std::ranges::ssize(sorted);
  while (high - low > 1) {
    const int bit = common_prefix_bits(sorted.begin()[low], sorted.begin()[high - 1]);
    const auto first_set =
        std::ranges::partition_point(sorted.begin() + low, sorted.begin() + high,
                                     [bit](const NodeId& id) { return !id.bit(bit); });
    (target.bit(bit) ? low : high) = first_set - sorted.begin();
  }
  return static_cast<std::size_t>(low);
}

template <class Row>
std::pair<std::size_t, std::size_t> IdIndex::bucket(const Row& sorted, const NodeId& self,
                                                    int bits) {
  if (bits >= id_bits) return {0, 0};
  // The ids of one bucket are a subtree: the same first bits as ours, then the other one.
  NodeId inside = self;
  inside.bytes[static_cast<std::size_t>(bits / 8)] ^= static_cast<std::uint8_t>(0x80 >> bits % 8);
  const auto is_before = [&](const NodeId& id) {
    return id < inside && common_prefix_bits(id, inside) <= bits;
  };
  const auto is_not_behind = [&](const NodeId& id) {
    return id < inside || common_prefix_bits(id, inside) > bits;
  };
  const auto low = std::ranges::partition_point(sorted, is_before);
  const auto high = std::ranges::partition_point(low, sorted.end(), is_not_behind);
  return {static_cast<std::size_t>(low - sorted.begin()),
          static_cast<std::size_t>(high - sorted.begin())};
}

class Table {
  using Place = std::uint32_t;  // in peers_

  auto ids_of(std::span<const Place> places) const {
    return std::views::transform(
        places, [peers = peers_.data()](Place place) -> const NodeId& { return peers[place].id; });
  }

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
  auto relay_ids() const { return ids_of(relays_); }  ///< sorted
  std::size_t relays() const { return relays_.size(); }
  std::size_t leaves() const { return peers_.size() - relays_.size(); }

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
  auto relay_ids_in_bucket(int bucket) const {
    const auto [low, high] = IdIndex::bucket(relay_ids(), self_, bucket);
    return ids_of(std::span{relays_}.subspan(low, high - low));
  }
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
  std::size_t contacts() const { return contacts_.size(); }
  std::span<const ContactPtr> contacts_in_bucket(int bucket) const;

  /// Dialable contacts and peers with their records, closest to `target` first. With
  /// `only_linked`: only such as we know to be alive.
  std::vector<ContactPtr> closest_contacts(const NodeId& target, std::size_t count,
                                           bool only_linked) const;

  /// The deepest bucket with a contact, and one more; 0 without any.
  int buckets() const { return static_cast<int>(bucket_ends_.size()); }

 private:
  std::size_t place_of(const NodeId& peer) const;
  void insert_relay(std::size_t place);
  std::size_t bucket_begin(std::size_t index) const;

  NodeId self_;
  std::vector<LinkedPeer> peers_;  // sorted by id
  std::vector<Place> relays_;      // sorted; those of peers_ that relay

  // Of those not linked, by common prefix, bucket behind bucket, and where each ends: a peer's
  // record is with the peer. The bound is limits::contacts_per_bucket each; deep buckets are empty,
  // for ids are uniform: about log2 of the network's size have any.
  std::vector<ContactPtr> contacts_;
  std::vector<std::uint16_t> bucket_ends_;
  static_assert(limits::contacts_per_bucket * id_bits <= UINT16_MAX);
};

}  // namespace peer_relay
