// SPDX-License-Identifier: MIT
//
// What happens to us: links that come and go, contacts we hear of, questions of others.
// upkeep.cpp has what we do about it, own_address.cpp what we say of ourselves.
#include "core/membership/membership.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "core/wire/legacy.hpp"

namespace peer_relay {

// A gap is mended within a second or two, by who knows of it; those who sit in the dark learn of it
// after limits::link_dead_after.
namespace {
constexpr Duration calm_after = std::chrono::seconds{30};
}

Membership::Membership(const Identity& self, Table& table, Crypto& crypto, Random random,
                       Options options)
    : self_(self),
      table_(table),
      crypto_(crypto),
      random_(random),
      options_(std::move(options)),
      kin_(limits::legacy_kin_max) {
  for (const Bytes& encoded : options_.cached_contacts) {
    // Expired records will do: whoever answers there proves himself.
    if (auto contact = prove_contact(encoded, options_.network, 0, crypto_)) {
      cached_.push_back(std::move(*contact));
    }
    if (cached_.size() == limits::peer_cache_max) break;
  }
}

void Membership::start(TimePoint now, Outbox& out) {
  running_ = true;
  dirty_ = true;
  for (const Address& address : options_.advertise) {
    if (address.reach() != Reach::loopback) public_addresses_.push_back(address);
  }
  note_local_addresses();
  sign_records(now);
  bootstrap_at_ = now;
  if (!options_.bootstrap.empty()) recheck_at_ = now + limits::bootstrap_backoff_max;
  // The first of a network has nobody to ask: it is where it should be.
  if (options_.bootstrap.empty() && cached_.empty()) {
    joined_ = true;
    out.notify(NotifyWish::Joined{});
  }
}

void Membership::stop() {
  if (!std::exchange(running_, false)) return;
  // Before the goodbyes: those who are left behind are the ones to come back to.
  last_cache_ = peer_cache();
}

std::uint64_t Membership::unix_ms(TimePoint now) const {
  const auto since_zero =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  return static_cast<std::uint64_t>(options_.unix_ms_at_zero + since_zero);
}

// ---- Links ----

void Membership::handle(const LinkUp& up, TimePoint now, Outbox& out) {
  if (!running_) return out.wish(CloseWish{up.link, CloseReason::shutdown});
  const bool is_local = reach_of_host(up.remote_host) == Reach::loopback;
  const ContactPtr contact = up.contact.empty() ? nullptr : prove(up.contact, now, out);
  const bool is_own_record = contact != nullptr && contact->id == up.id;
  if (contact != nullptr && !is_own_record) out.drop(DropReason::contact_forged);
  // Whom we have dialed can be dialed.
  const bool relays = up.dial.has_value() || (is_own_record && contact->is_dialable());

  if (!up.dial && !has_place_for(up.id, relays, up.is_needed)) return turn_away(up, out);
  const bool was_full = table_.relays() >= options_.limits.links_max;
  const bool added = table_.add({.id = up.id,
                                 .relays = relays,
                                 .dialed = up.dial.has_value(),
                                 .is_local = is_local,
                                 .is_needed = up.is_needed,
                                 .is_kin = options_.carries_legacy && up.carries_legacy &&
                                           linked_kin() < limits::legacy_kin_links,
                                 .link = up.link,
                                 .since = now,
                                 .contact = is_own_record ? contact : nullptr});
  PEER_RELAY_ASSERT(added);
  if (is_own_record && contact->is_dialable()) table_.learn(contact, true);
  shunned_.erase(up.id);
  ++peer_cache_version_;
  // One more leaf changes nothing that we should want.
  if (relays || !joined_) dirty_ = true;
  out.notify(NotifyWish::PeerUp{up.id});
  // Both sides tell each other whom they know near the other: a newcomer hears of its siblings.
  send_contacts(*table_.find(up.id), ContactsPurpose::neighbours, out);
  if (is_own_record && contact->is_dialable()) announce(*contact, out);
  if (up.dial) dial_ended(*up.dial, up.id, true, now, out);
  end_connect(up.id, std::nullopt, out);
  consider_observed(up, now, out);
  bootstrap_backoff_ = limits::bootstrap_backoff_min;
  if (join_deadline_ == never && !joined_) join_deadline_ = now + limits::join_timeout;
  if (was_full && relays) make_room(up.id, now, out);
}

void Membership::handle(const LinkMoved& moved) {
  if (LinkedPeer* const peer = table_.find(moved.id)) {
    peer->link = moved.link;
    peer->dialed = moved.dialed;
  }
}

void Membership::handle(const LinkDown& down, TimePoint now, Outbox& out) {
  if (down.dial) {
    // Over TCP it shows only now that who listens there does not speak as we do.
    const auto at = dials_.find(*down.dial);
    const bool is_stranger = !down.met && (down.reason == CloseReason::transport_closed ||
                                           down.reason == CloseReason::transport_error ||
                                           down.reason == CloseReason::handshake_timeout ||
                                           down.reason == CloseReason::protocol_error);
    if (is_stranger && at != dials_.end()) complain_of(at->second, name_of(down.reason), out);
    dial_ended(*down.dial, down.met, down.reason == CloseReason::duplicate, now, out);
  }
  if (!down.last_of) return;
  const LinkedPeer* const peer = table_.find(*down.last_of);
  if (peer == nullptr) return;  // turned away before it was ever let in
  const bool was_sibling = peer->relays && table_.is_sibling(peer->id);
  table_.remove(*down.last_of);
  ++peer_cache_version_;
  dirty_ = true;
  out.notify(NotifyWish::PeerLost{*down.last_of, down.reason});
  switch (down.reason) {
    case CloseReason::shutdown:
      table_.forget(*down.last_of);
      shun(*down.last_of, now);
      break;
    case CloseReason::surplus:
    case CloseReason::busy:
    case CloseReason::disconnected:
    case CloseReason::protocol_error:
      shun(*down.last_of, now);
      break;
    default:  // the network's doing: dialing it again is worth a try
      calm_from_ = now + calm_after;
      break;
  }
  if (!running_) return;
  if (was_sibling) {
    using namespace std::chrono_literals;
    exchange_at_ = std::min(exchange_at_, now + random_.between(50ms, 300ms));
    self_lookup_at_ = std::min(self_lookup_at_, now + random_.between(100ms, 500ms));
  }
  if (table_.peers().empty()) {
    if (!options_.bootstrap.empty() || !cached_.empty() || table_.contacts() > 0) {
      joined_ = false;
      self_looked_up_ = false;
      join_deadline_ = never;
    }
    bootstrap_at_ = now;
    to_bootstrap_ = {};
    out.notify(Problem{Problem::Kind::isolated, {}, {}});
  }
}

std::string Membership::where(const Dialing& dialing) {
  return dialing.adopted.empty() ? dialing.address.to_string() : dialing.adopted;
}

// Who named an address learns why no link came of it.
void Membership::complain_of(const Dialing& dialing, std::string_view why, Outbox& out) {
  const bool is_bootstrap = dialing.purpose == Purpose::bootstrap;
  if (!is_bootstrap && dialing.purpose != Purpose::asked) return;
  out.notify(Problem{is_bootstrap ? Problem::Kind::bootstrap_failed : Problem::Kind::dial_failed,
                     where(dialing), std::string{why}});
}

void Membership::dial_failed(DialId dial, DialError error, TimePoint now, Outbox& out) {
  const auto at = dials_.find(dial);
  const bool is_linked = at != dials_.end() && table_.find(at->second.expected) != nullptr;
  if (error == DialError::superseded && is_linked) {
    dials_.erase(at);
    dirty_ = true;
    return;
  }
  ++out.stats().dials_failed;
  ++out.stats().dial_errors[static_cast<std::size_t>(error)];
  if (at == dials_.end()) return;
  Dialing& failed = at->second;
  // Somebody answers there, but not the node: it is gone, and no channel leads to it. Who asks for
  // it has this tried, too.
  if (error == DialError::refused && !is_asked_for(failed.expected)) failed.may_signal = false;
  complain_of(failed, name_of(error), out);
  if (failed.by_signal && is_asked_for(failed.expected)) {
    out.notify(
        Problem{Problem::Kind::dial_failed, failed.expected.to_hex(), std::string{name_of(error)}});
  }
  dial_ended(dial, std::nullopt, false, now, out);
}

void Membership::dial_ended(DialId id, std::optional<NodeId> met, bool dialed_well, TimePoint now,
                            Outbox& out) {
  const auto at = dials_.find(id);
  if (at == dials_.end()) return;
  Dialing ended = std::move(at->second);
  dials_.erase(at);
  dirty_ = true;
  switch (ended.purpose) {
    case Purpose::bootstrap:
      if (met && std::ranges::find(options_.bootstrap, ended.address) != options_.bootstrap.end()) {
        bootstrap_ids_[ended.address] = *met;
      }
      // It may stand in another overlay of the same network, torn off from ours or never met: ask
      // there who our neighbours are.
      if (met && joined_ && table_.find(*met) != nullptr) {
        look_up(Question::self, self_.id, now, out, met);
      }
      return;
    case Purpose::asked: {
      const bool is_there = met && *met != self_.id && dialed_well;
      return out.notify(
          NotifyWish::AddressDone{.address = where(ended), .id = is_there ? met : std::nullopt});
    }
    case Purpose::probe:
      if (const LinkedPeer* const asker = table_.find(ended.asker)) {
        Bytes body;
        encode_dial_back_result({.token = ended.token, .reached = met == ended.expected}, body);
        out.wish(FrameWish{asker->link, FrameKind::dial_back_result, std::move(body)});
      }
      return;
    case Purpose::contact:
      break;
  }
  if (met == ended.expected) {
    // It lives; that it has no room for us is said by the reason, and then it is not asked soon
    // again.
    if (!dialed_well) {
      shun(ended.expected, now);
      end_connect(ended.expected, Error::dial_failed, out);
    }
    return;
  }
  if (!ended.rest.empty() || ended.may_signal) return dial_next(std::move(ended), out);
  table_.forget(ended.expected);
  shun(ended.expected, now);
  end_connect(ended.expected, Error::dial_failed, out);
}

// Whether a link that another asks for is worth having.
bool Membership::has_place_for(const NodeId& id, bool relays, bool is_needed) const {
  if (!relays) return table_.leaves() < options_.limits.leaves_max;
  if (table_.relays() < options_.limits.links_max) return true;
  if (table_.relays() < options_.limits.links_hard_max) return is_needed || improves(id);
  return (is_needed || are_siblings(id)) && least_missed(id) != nullptr;
}

// Whether a relay belongs beside us, or we beside it, as far as we can see. These links are what
// delivery stands on: the way to a node ends at those closest to it.
bool Membership::are_siblings(const NodeId& id) const {
  return table_.is_sibling(id) || table_.is_among_closest(self_.id, id, limits::siblings);
}

bool Membership::improves(const NodeId& id) const {
  return are_siblings(id) ||
         table_.relays_in_bucket(common_prefix_bits(self_.id, id)) < limits::fingers_per_bucket;
}

// Of those that are nobody's siblings, not the last of our bucket and not the first of theirs: of
// the fullest bucket the newest, for who has been there long will stay long (Kademlia §2.1). From
// the little that we see, we belong beside many that have closer ones: at the hard bound they give
// way to our own siblings.
const LinkedPeer* Membership::least_missed(const NodeId& newcomer) const {
  const LinkedPeer* const least = newest_of_fullest_bucket(
      newcomer,
      [this](const LinkedPeer& peer) { return !peer.is_needed && !are_siblings(peer.id); });
  if (least != nullptr || table_.relays() < options_.limits.links_hard_max ||
      !table_.is_sibling(newcomer)) {
    return least;
  }
  return newest_of_fullest_bucket(
      newcomer, [this](const LinkedPeer& peer) { return !table_.is_sibling(peer.id); });
}

template <class MayGo>
const LinkedPeer* Membership::newest_of_fullest_bucket(const NodeId& newcomer, MayGo may_go) const {
  const LinkedPeer* least = nullptr;
  std::size_t fullest = 1;
  for (const LinkedPeer& peer : table_.peers()) {
    if (!peer.relays || peer.kept || peer.is_kin || peer.id == newcomer) continue;
    const std::size_t in_bucket = table_.relays_in_bucket(common_prefix_bits(self_.id, peer.id));
    if (in_bucket < std::max<std::size_t>(fullest, 2) || !may_go(peer)) continue;
    if (least == nullptr || in_bucket > fullest || peer.since > least->since) {
      fullest = in_bucket;
      least = &peer;
    }
  }
  return least;
}

// Over the budget, the peer that is missed least leaves. If all are needed, the hard bound keeps
// further ones away.
void Membership::make_room(const NodeId& newcomer, TimePoint now, Outbox& out) {
  const LinkedPeer* const least = least_missed(newcomer);
  if (least == nullptr) return;
  shun(least->id, now);
  out.wish(CloseWish{least->link, CloseReason::surplus});
}

// With alternatives that have an address: it may have no other link by which to signal.
void Membership::turn_away(const LinkUp& up, Outbox& out) {
  std::vector<ContactPtr> keep;
  const bool is_local = reach_of_host(up.remote_host) == Reach::loopback;
  Bytes body;
  encode_neighbour_contacts(
      {.purpose = ContactsPurpose::alternatives,
       .contacts = views_for(up.id, up.id, is_local, limits::siblings, keep, true)},
      body);
  out.wish(FrameWish{up.link, FrameKind::contacts, std::move(body)});
  out.wish(CloseWish{up.link, CloseReason::busy});
}

void Membership::shun(const NodeId& id, TimePoint now) {
  forgive(now);
  shunned_.insert(id, now + limits::failed_contact_shunned_for);
}

// The oldest are last, and all are shunned for the same time.
void Membership::forgive(TimePoint now) {
  while (!shunned_.empty() && std::prev(shunned_.end())->second <= now) {
    shunned_.erase(NodeId{std::prev(shunned_.end())->first});
  }
}

bool Membership::is_shunned(const NodeId& id, TimePoint now) const {
  const TimePoint* const until = shunned_.peek(id);
  return until != nullptr && now < *until;
}

// ---- Contacts ----

// A record that we hold already costs no signature.
ContactPtr Membership::prove(BytesView encoded, TimePoint now, Outbox& out) {
  ContactPool* const pool = options_.pool.get();
  ContactPtr proven = pool == nullptr ? nullptr : pool->find(options_.network, encoded);
  NodeId id;
  if (proven != nullptr) {
    id = proven->id;
  } else if (const auto record = decode_contact(encoded)) {
    id = node_id_of(record->key, crypto_);
  } else {
    out.drop(DropReason::malformed);
    return nullptr;
  }
  if (ContactPtr known = table_.contact(id);
      known != nullptr && std::ranges::equal(known->encoded, encoded)) {
    note_kin(known);
    return known;
  }
  if (!proofs_.take(1, now)) {
    out.drop(DropReason::rate_limited);
    return nullptr;
  }
  const std::uint64_t unix_seconds = unix_ms(now) / 1000;
  if (proven != nullptr) {
    if (is_timely(proven->expiry, unix_seconds)) {
      note_kin(proven);
      return proven;
    }
    out.drop(DropReason::contact_expired);
    return nullptr;
  }
  auto contact = prove_contact(encoded, options_.network, unix_seconds, crypto_);
  if (contact) {
    note_kin(*contact);
    if (pool != nullptr) pool->keep(options_.network, *contact);
    return std::move(*contact);
  }
  out.drop(contact.error());
  return nullptr;
}

void Membership::learn(BytesView encoded, bool from_local, TimePoint now, Outbox& out) {
  const ContactPtr contact = prove(encoded, now, out);
  if (contact == nullptr || contact->id == self_.id || !contact->is_dialable()) return;
  const ContactPtr known = table_.contact(contact->id);
  if (known == contact) return;  // most are
  // Nobody but this machine's own nodes makes us dial this machine.
  if (contact->is_local() && !from_local) return out.drop(DropReason::contact_unwanted);
  if (known == nullptr && is_shunned(contact->id, now)) return;
  const std::size_t before = table_.contacts();
  const bool was_known = known != nullptr || table_.find(contact->id) != nullptr;
  if (table_.learn(contact, false)) dirty_ = true;
  // It, or one that it displaced.
  if (!was_known && table_.contacts() == before) out.drop(DropReason::contact_limit);
}

bool Membership::is_local_network() const {
  return std::ranges::any_of(table_.peers(), [](const LinkedPeer& peer) { return peer.is_local; });
}

void Membership::handle(const NeighbourContacts& contacts, const NodeId* from, bool is_local,
                        TimePoint now, Outbox& out) {
  if (contacts.purpose == ContactsPurpose::own) {
    LinkedPeer* const peer = from == nullptr ? nullptr : table_.find(*from);
    if (peer == nullptr || contacts.contacts.size() != 1) return;
    const ContactPtr contact = prove(contacts.contacts.front(), now, out);
    if (contact == nullptr) return;
    if (contact->id != *from) return out.drop(DropReason::contact_forged);
    peer->contact = contact;
    if (!contact->is_dialable()) return;
    table_.learn(contact, true);
    if (!peer->relays) {
      // A leaf that turns relay asks for a relay's place.
      if (!has_place_for(*from, true, false))
        return out.wish(CloseWish{peer->link, CloseReason::busy});
      const bool was_full = table_.relays() >= options_.limits.links_max;
      table_.set_relays(*from, true);
      announce(*contact, out);
      if (was_full) make_room(*from, now, out);
    }
    dirty_ = true;
    return;
  }
  for (const BytesView encoded : contacts.contacts) learn(encoded, is_local, now, out);
  if (contacts.purpose == ContactsPurpose::alternatives) follow_referral(contacts, now, out);
}

// A bootstrap node that we looked after is too busy for us, but not those that it names.
void Membership::follow_referral(const NeighbourContacts& contacts, TimePoint now, Outbox& out) {
  if (!joined_ || referrals_left_ == 0 || dialing(Purpose::bootstrap) == 0) return;
  for (const BytesView encoded : contacts.contacts) {
    const ContactPtr contact = prove(encoded, now, out);
    if (contact == nullptr || !contact->has_addresses || table_.find(contact->id) != nullptr ||
        (contact->is_local() && !is_local_network())) {
      continue;
    }
    --referrals_left_;
    dial({.purpose = Purpose::bootstrap, .address = contact->addresses().front(), .rest = {}}, out);
    return;
  }
}

// The records that a reader may see, those closest to the target first. Loopback addresses stay on
// their machine.
ContactViews Membership::views_for(const NodeId& target, const NodeId& reader, bool reader_is_local,
                                   std::size_t count, std::vector<ContactPtr>& keep,
                                   bool only_addressed) const {
  const bool all = only_addressed || accomplices_ != nullptr;
  keep = table_.closest_contacts(target, all ? table_.peers().size() : count + 1, true);
  if (only_addressed) {
    std::erase_if(keep, [](const ContactPtr& contact) { return !contact->has_addresses; });
  }
  if (accomplices_) {
    std::erase_if(keep, [this](const ContactPtr& contact) { return !accomplices_(contact->id); });
  }
  // Where they all ask for each other, they hear of each other.
  if (target == legacy_meeting_place) {
    for (const auto& [id, contact] : kin_) {
      std::erase(keep, contact);
      keep.insert(keep.begin(), contact);
    }
  }
  ContactViews views;
  for (const ContactPtr& contact : keep) {
    if (views.size() == count) break;
    if (contact->id == reader || (contact->is_local() && !reader_is_local)) continue;
    views.push_back(contact->encoded);
  }
  return views;
}

void Membership::send_contacts(const LinkedPeer& to, ContactsPurpose purpose, Outbox& out) const {
  std::vector<ContactPtr> keep;
  Bytes body;
  encode_neighbour_contacts(
      {.purpose = purpose,
       .contacts = views_for(to.id, to.id, to.is_local, limits::siblings, keep)},
      body);
  out.wish(FrameWish{to.link, FrameKind::contacts, std::move(body)});
}

// Tells of a new relay all those peers for whom it is one of the closest: they may lack it.
void Membership::announce(const Contact& newcomer, Outbox& out) const {
  Bytes body;
  encode_neighbour_contacts(
      {.purpose = ContactsPurpose::neighbours, .contacts = {newcomer.encoded}}, body);
  for (const LinkedPeer& peer : table_.peers()) {
    if (peer.id == newcomer.id || (newcomer.is_local() && !peer.is_local)) continue;
    const std::size_t wanted = peer.relays ? limits::siblings : limits::leaf_links;
    if (!table_.is_among_closest(newcomer.id, peer.id, wanted)) continue;
    out.wish(FrameWish{peer.link, FrameKind::contacts, body});
  }
}

void Membership::exchange(Outbox& out) const {
  for (const NodeId& sibling : table_.siblings()) {
    send_contacts(*table_.find(sibling), ContactsPurpose::neighbours, out);
  }
}

// ---- Lookups of others, and answers to ours ----

void Membership::handle(const Envelope& envelope, const Lookup& lookup, TimePoint now,
                        Outbox& out) {
  if (!answers_.take(1, now)) return out.drop(DropReason::rate_limited);
  ContactPtr asker;
  if (!lookup.contact.empty()) {
    asker = prove(lookup.contact, now, out);
    if (asker != nullptr && asker->id != envelope.source) {
      return out.drop(DropReason::contact_forged);
    }
  }
  // A relay's record tells whether it is of this machine; a leaf's, or none, tells nothing.
  const bool is_known_local = is_local_network() && asker != nullptr && asker->is_local();
  const bool asker_is_local =
      is_known_local || (is_local_network() && (asker == nullptr || !asker->is_dialable()));
  if (asker != nullptr && asker->is_dialable() && (!asker->is_local() || is_local_network()) &&
      !is_shunned(asker->id, now) && table_.learn(asker, false)) {
    dirty_ = true;
  }
  std::vector<ContactPtr> keep;
  LookupAnswer answer{.nonce = lookup.nonce, .contacts = {}};
  answer.contacts.push_back(is_known_local ? local_record_ : record_for_strangers());
  const std::size_t wanted =
      std::clamp<std::size_t>(lookup.wanted, 1, limits::contacts_per_frame_max);
  for (const BytesView view :
       views_for(envelope.target, envelope.source, asker_is_local, wanted - 1, keep)) {
    answer.contacts.push_back(view);
  }
  Bytes body;
  encode_lookup_answer(answer, body);
  out.wish(RouteWish{.kind = EnvelopeKind::contacts,
                     .tag = static_cast<std::uint32_t>(random_.next()),
                     .target = envelope.source,
                     .via = envelope.home,
                     .body = std::move(body)});
}

bool Membership::handle(const LookupAnswer& answer, TimePoint now, Outbox& out) {
  const auto at = lookups_.find(answer.nonce);
  if (at == lookups_.end()) return false;
  const Asking asked = at->second;
  lookups_.erase(at);
  ++out.stats().lookups_answered;
  dirty_ = true;
  const std::size_t before = table_.contacts();
  for (const BytesView encoded : answer.contacts) learn(encoded, is_local_network(), now, out);
  switch (asked.question) {
    case Question::self:
      self_looked_up_ = true;
      break;
    case Question::bucket: {
      const auto bucket = static_cast<std::size_t>(common_prefix_bits(self_.id, asked.target));
      // Something new: the next may bring more.
      if (bucket < cares_.size() && table_.contacts() > before) cares_[bucket].pause = {};
      break;
    }
    case Question::connect:
      connect_as_answered(asked.target, answer, now, out);
      break;
    case Question::kin:
      break;
  }
  return true;
}

// The table may have no room for the one that was asked for; the application still wants it.
void Membership::connect_as_answered(const NodeId& to, const LookupAnswer& answer, TimePoint now,
                                     Outbox& out) {
  const auto connecting = std::ranges::find(connects_, to, &Connecting::to);
  if (connecting == connects_.end()) return;
  for (const BytesView encoded : answer.contacts) {
    const ContactPtr contact = prove(encoded, now, out);
    if (contact == nullptr || contact->id != to || !contact->is_dialable()) continue;
    connecting->is_dialing = connecting->is_dialing || is_dialing(to) || dial(*contact, now, out);
    return;
  }
  end_connect(to, Error::no_such_contact, out);
}

// ---- The application ----

void Membership::connect(const NodeId& to, TimePoint now, Outbox& out) {
  if (LinkedPeer* const peer = table_.find(to)) {
    peer->kept = true;
    return out.notify(NotifyWish::ConnectDone{to});
  }
  if (to == self_.id) return out.notify(NotifyWish::ConnectDone{to, Error::to_self});
  if (connects_.size() >= limits::connects_max) {
    return out.notify(NotifyWish::ConnectDone{to, Error::queue_full});
  }
  if (is_asked_for(to)) return;
  connects_.push_back({.to = to, .deadline = now + limits::dial_timeout + limits::lookup_timeout});
  shunned_.erase(to);
  const ContactPtr contact = table_.contact(to);
  if (contact == nullptr || !contact->is_dialable()) look_up(Question::connect, to, now, out);
  dirty_ = true;
}

void Membership::connect(const Address& address, TimePoint now, Outbox& out) {
  static_cast<void>(now);
  dial({.purpose = Purpose::asked, .address = address, .rest = {}}, out);
}

DialId Membership::adopt(std::string name) {
  const DialId id{++last_dial_};
  dials_.emplace(id, Dialing{.purpose = Purpose::asked, .address = {}, .adopted = std::move(name)});
  return id;
}

void Membership::disconnect(const NodeId& peer, TimePoint now, Outbox& out) {
  LinkedPeer* const found = table_.find(peer);
  if (found == nullptr) return;
  found->kept = false;
  shun(peer, now);
  out.wish(CloseWish{found->link, CloseReason::disconnected});
}

bool Membership::is_asked_for(const NodeId& id) const {
  return std::ranges::find(connects_, id, &Connecting::to) != connects_.end();
}

void Membership::end_connect(const NodeId& to, std::optional<Error> error, Outbox& out) {
  const auto at = std::ranges::find(connects_, to, &Connecting::to);
  if (at == connects_.end()) return;
  connects_.erase(at);
  if (LinkedPeer* const peer = table_.find(to)) peer->kept = true;
  out.notify(NotifyWish::ConnectDone{to, error});
}

// ---- What there is ----

bool Membership::needs_link_to(const NodeId& id) const {
  const bool would_be_first = relays() && table_.relays() > 0 &&
                              table_.relays_in_bucket(common_prefix_bits(self_.id, id)) == 0;
  return would_be_first || is_asked_for(id) || is_wanted_kin(id);
}

// Whether envelopes to us end at somebody whom we know, and are not linked to.
bool Membership::is_hidden() const {
  const LinkedPeer* const nearest = table_.closest_relay(self_.id);
  if (nearest == nullptr) return false;
  for (int bucket = common_prefix_bits(self_.id, nearest->id); bucket < table_.buckets();
       ++bucket) {
    for (const ContactPtr& contact : table_.contacts_in_bucket(bucket)) {
      if (contact->is_dialable() && is_closer(contact->id, nearest->id, self_.id)) return true;
    }
  }
  return false;
}

std::optional<NodeId> Membership::home() const {
  if (joined_ && !is_hidden()) return std::nullopt;
  const LinkedPeer* oldest = nullptr;
  for (const LinkedPeer& peer : table_.peers()) {
    if (peer.relays && (oldest == nullptr || peer.since < oldest->since)) oldest = &peer;
  }
  return oldest == nullptr ? std::nullopt : std::optional{oldest->id};
}

std::vector<Bytes> Membership::peer_cache() const {
  if (last_cache_) return *last_cache_;
  std::vector<const LinkedPeer*> oldest_first;
  for (const LinkedPeer& peer : table_.peers()) {
    if (peer.contact != nullptr && peer.contact->is_dialable()) oldest_first.push_back(&peer);
  }
  std::ranges::sort(oldest_first, {},
                    [](const LinkedPeer* p) { return std::pair{p->since, p->id}; });
  std::vector<Bytes> cache;
  for (const LinkedPeer* peer : oldest_first) cache.push_back(peer->contact->encoded);
  for (int bucket = 0; bucket < table_.buckets(); ++bucket) {
    for (const ContactPtr& contact : table_.contacts_in_bucket(bucket)) {
      cache.push_back(contact->encoded);
    }
  }
  // Alone, what we started from is the best there is.
  if (cache.empty()) {
    for (const ContactPtr& contact : cached_) cache.push_back(contact->encoded);
  }
  if (cache.size() > limits::peer_cache_max) cache.resize(limits::peer_cache_max);
  return cache;
}

}  // namespace peer_relay
