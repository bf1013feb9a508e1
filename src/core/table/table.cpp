// SPDX-License-Identifier: MIT
#include "core/table/table.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/assert.hpp"
#include "base/gentle_growth.hpp"

namespace peer_relay {

namespace {

// Whether one operator's network would fill more than its share of a bucket. Addresses that only
// this machine or site can dial are under its own control, and don't count.
bool crowds(std::span<const ContactPtr> bucket, const Contact& contact) {
  if (!contact.subnet) return false;
  const auto neighbours = std::ranges::count_if(
      bucket, [&](const ContactPtr& other) { return other->subnet == contact.subnet; });
  return static_cast<std::size_t>(neighbours) >= limits::contacts_per_subnet;
}

}  // namespace

// ---- Links ----

std::size_t Table::place_of(const NodeId& peer) const {
  return static_cast<std::size_t>(std::ranges::lower_bound(peers_, peer, {}, &LinkedPeer::id) -
                                  peers_.begin());
}

bool Table::add(LinkedPeer peer) {
  const std::size_t at = place_of(peer.id);
  if (at < peers_.size() && peers_[at].id == peer.id) return false;
  const ContactPtr heard = contact(peer.id);
  if (heard != nullptr && (peer.contact == nullptr || peer.contact->sequence < heard->sequence)) {
    peer.contact = heard;
  }
  forget(peer.id);
  const bool relays = peer.relays;
  grow_gently(peers_);
  peers_.insert(peers_.begin() + static_cast<std::ptrdiff_t>(at), std::move(peer));
  for (Place& place : relays_) place += place >= at ? 1 : 0;
  if (relays) insert_relay(at);
  return true;
}

bool Table::remove(const NodeId& peer) {
  const std::size_t at = place_of(peer);
  if (at == peers_.size() || peers_[at].id != peer) return false;
  set_relays(peer, false);
  const ContactPtr contact = std::move(peers_[at].contact);
  peers_.erase(peers_.begin() + static_cast<std::ptrdiff_t>(at));
  for (Place& place : relays_) place -= place > at ? 1 : 0;
  // Whoever dialed whom, it was there, and may be again.
  if (contact != nullptr && contact->is_dialable()) learn(contact, true);
  return true;
}

LinkedPeer* Table::find(const NodeId& peer) {
  return const_cast<LinkedPeer*>(std::as_const(*this).find(peer));
}

const LinkedPeer* Table::find(const NodeId& peer) const {
  const std::size_t at = place_of(peer);
  return at < peers_.size() && peers_[at].id == peer ? &peers_[at] : nullptr;
}

void Table::set_relays(const NodeId& peer, bool relays) {
  LinkedPeer* const found = find(peer);
  if (found == nullptr || found->relays == relays) return;
  found->relays = relays;
  const std::size_t place = place_of(peer);
  if (relays) {
    insert_relay(place);
  } else {
    relays_.erase(std::ranges::lower_bound(relays_, place));
  }
}

void Table::insert_relay(std::size_t place) {
  grow_gently(relays_);
  relays_.insert(std::ranges::lower_bound(relays_, place), static_cast<Place>(place));
}

const LinkedPeer* Table::closest_relay(const NodeId& target) const {
  if (relays_.empty()) return nullptr;
  return &peers_[relays_[IdIndex::closest(relay_ids(), target)]];
}

const LinkedPeer* Table::closest_relay(const NodeId& target,
                                       std::span<const NodeId> avoided) const {
  const LinkedPeer* best = nullptr;
  for (const Place place : relays_) {
    const LinkedPeer& relay = peers_[place];
    if (std::ranges::find(avoided, relay.id) != avoided.end()) continue;
    if (best == nullptr || is_closer(relay.id, best->id, target)) best = &relay;
  }
  return best;
}

std::vector<NodeId> Table::siblings() const {
  std::vector<NodeId> closest(std::min(relays_.size(), limits::siblings));
  std::ranges::partial_sort_copy(relay_ids(), closest, [this](const NodeId& a, const NodeId& b) {
    return is_closer(a, b, self_);
  });
  return closest;
}

bool Table::is_sibling(const NodeId& peer) const {
  return is_among_closest(peer, self_, limits::siblings);
}

bool Table::is_among_closest(const NodeId& id, const NodeId& target, std::size_t count) const {
  std::size_t closer = 0;
  for (const NodeId& other : relay_ids()) {
    if (!is_closer(other, id, target) || other == target) continue;
    if (++closer == count) return false;
  }
  return closer < count;
}

std::size_t Table::relays_in_bucket(int bucket) const {
  const auto [low, high] = IdIndex::bucket(relay_ids(), self_, bucket);
  return high - low;
}

// Either way from our own place in the row, the common prefixes only get shorter.
int Table::sibling_depth() const {
  const auto ids = relay_ids();
  if (ids.size() < limits::siblings) return 0;
  const auto own_place = std::ranges::lower_bound(ids, self_);
  auto before = own_place;
  auto behind = own_place;
  int bits = 0;
  for (std::size_t i = 0; i < limits::siblings; ++i) {
    const int bits_before =
        before == ids.begin() ? -1 : common_prefix_bits(self_, *std::prev(before));
    const int bits_behind = behind == ids.end() ? -1 : common_prefix_bits(self_, *behind);
    bits = std::max(bits_before, bits_behind);
    if (bits == bits_before) {
      --before;
    } else {
      ++behind;
    }
  }
  return bits;
}

std::vector<std::size_t> Table::relays_by_bucket(int buckets) const {
  std::vector<std::size_t> counts(static_cast<std::size_t>(buckets));
  for (const NodeId& id : relay_ids()) {
    const auto bucket = static_cast<std::size_t>(common_prefix_bits(self_, id));
    if (bucket < counts.size()) ++counts[bucket];
  }
  return counts;
}

// ---- Contacts ----

bool Table::learn(const ContactPtr& contact, bool from_experience) {
  if (contact->id == self_) return false;
  const auto is_newer_than = [&contact](const ContactPtr& old) {
    return old == nullptr || old->sequence < contact->sequence;
  };
  if (LinkedPeer* const peer = find(contact->id)) {
    if (!is_newer_than(peer->contact)) return false;
    peer->contact = contact;
    return true;
  }
  const auto index = static_cast<std::size_t>(common_prefix_bits(self_, contact->id));
  if (index >= bucket_ends_.size()) {
    bucket_ends_.resize(index + 1, static_cast<std::uint16_t>(contacts_.size()));
  }
  const std::size_t begin = bucket_begin(index);
  const std::size_t end = bucket_ends_[index];
  const std::span<ContactPtr> bucket = std::span{contacts_}.subspan(begin, end - begin);
  const auto known =
      std::ranges::find(bucket, contact->id, [](const ContactPtr& c) { return c->id; });
  if (known != bucket.end()) {
    if (!is_newer_than(*known)) return false;
    *known = contact;
    return true;
  }
  if (!from_experience && crowds(bucket, *contact)) return false;
  if (bucket.size() < limits::contacts_per_bucket) {
    grow_gently(contacts_);
    contacts_.insert(contacts_.begin() + static_cast<std::ptrdiff_t>(end), contact);
    for (std::size_t i = index; i < bucket_ends_.size(); ++i) ++bucket_ends_[i];
    return true;
  }
  // One that we have met, or that belongs beside us, takes the place of the one farthest from us.
  if (!from_experience && !is_sibling(contact->id)) return false;
  const auto farthest = std::ranges::max_element(
      bucket,
      [this](const ContactPtr& a, const ContactPtr& b) { return is_closer(a->id, b->id, self_); });
  if (!from_experience && !is_closer(contact->id, (*farthest)->id, self_)) return false;
  *farthest = contact;
  return true;
}

void Table::forget(const NodeId& id) {
  const auto index = static_cast<std::size_t>(common_prefix_bits(self_, id));
  if (index >= bucket_ends_.size()) return;
  const auto bucket = contacts_in_bucket(static_cast<int>(index));
  const auto known =
      std::ranges::find(bucket, id, [](const ContactPtr& contact) { return contact->id; });
  if (known == bucket.end()) return;
  contacts_.erase(contacts_.begin() + (&*known - contacts_.data()));
  for (std::size_t i = index; i < bucket_ends_.size(); ++i) --bucket_ends_[i];
}

ContactPtr Table::contact(const NodeId& id) const {
  if (const LinkedPeer* const peer = find(id); peer != nullptr && peer->contact != nullptr) {
    return peer->contact;
  }
  for (const ContactPtr& contact : contacts_in_bucket(common_prefix_bits(self_, id))) {
    if (contact->id == id) return contact;
  }
  return nullptr;
}

std::size_t Table::bucket_begin(std::size_t index) const {
  return index == 0 ? 0 : bucket_ends_[index - 1];
}

std::span<const ContactPtr> Table::contacts_in_bucket(int bucket) const {
  const auto index = static_cast<std::size_t>(bucket);
  if (index >= bucket_ends_.size()) return {};
  const std::size_t begin = bucket_begin(index);
  return std::span{contacts_}.subspan(begin, bucket_ends_[index] - begin);
}

namespace {

/// Somebody to be ranked, without a look at the contact itself: most are never wanted.
struct Candidate {
  NodeId id;
  const ContactPtr* contact;
};

/// Moves the dialable ones into `found`, closest first, until there are `count`.
void take_closest(std::vector<Candidate>& candidates, const NodeId& target, std::size_t count,
                  std::vector<ContactPtr>& found) {
  const auto farther = [&](const Candidate& a, const Candidate& b) {
    return is_closer(b.id, a.id, target);
  };
  std::ranges::make_heap(candidates, farther);
  while (found.size() < count && !candidates.empty()) {
    std::ranges::pop_heap(candidates, farther);
    const ContactPtr& contact = *candidates.back().contact;
    candidates.pop_back();
    if (contact->is_dialable()) found.push_back(contact);
  }
}

}  // namespace

std::vector<ContactPtr> Table::closest_contacts(const NodeId& target, std::size_t count,
                                                bool only_linked) const {
  std::vector<ContactPtr> found;
  std::vector<Candidate> candidates;
  if (target != self_ || only_linked) {
    for (const LinkedPeer& peer : peers_) {
      if (peer.contact != nullptr) candidates.push_back({peer.id, &peer.contact});
    }
    for (const ContactPtr& contact : contacts_) {
      if (only_linked) break;
      candidates.push_back({contact->id, &contact});
    }
    take_closest(candidates, target, count, found);
    return found;
  }
  // Around ourselves all of one bucket are closer than all of the next farther one. Its peers stand
  // side by side in the row: before our own place or behind it, next to those of the closer ones.
  std::size_t before = place_of(self_);
  std::size_t behind = before;
  const auto bits_of = [this](std::size_t place) {
    return common_prefix_bits(self_, peers_[place].id);
  };
  int bucket = buckets();
  if (before > 0) bucket = std::max(bucket, bits_of(before - 1) + 1);
  if (behind < peers_.size()) bucket = std::max(bucket, bits_of(behind) + 1);
  const auto take_peer = [&candidates, this](std::size_t place) {
    const LinkedPeer& peer = peers_[place];
    if (peer.contact != nullptr) candidates.push_back({peer.id, &peer.contact});
  };
  while (bucket-- > 0 && found.size() < count) {
    candidates.clear();
    while (before > 0 && bits_of(before - 1) == bucket) take_peer(--before);
    while (behind < peers_.size() && bits_of(behind) == bucket) take_peer(behind++);
    for (const ContactPtr& contact : contacts_in_bucket(bucket)) {
      candidates.push_back({contact->id, &contact});
    }
    take_closest(candidates, target, count, found);
  }
  return found;
}

}  // namespace peer_relay
