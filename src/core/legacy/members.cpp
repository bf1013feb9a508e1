// SPDX-License-Identifier: MIT
//
// Whom of the old network we are linked to: who there is, offers and answers, addresses to dial
// again, links that have died.
#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "core/legacy/legacy.hpp"
#include "core/legacy/old_link.hpp"

namespace peer_relay {

using legacy::OldMessage;
using namespace std::chrono_literals;

namespace {

/// Dials of other rooms count from 1.
constexpr std::uint64_t dial_bit = std::uint64_t{1} << 63;

constexpr std::string_view old_agent = "npm peer-relay 0.0.x";

}  // namespace

// ---- Who there is
// ---------------------------------------------------------------------------------

void Legacy::note_candidate(const NodeId& id, TimePoint now) {
  if (id == self_) return;
  if (Candidate* const known = candidates_.find(id)) {
    known->heard_at = now;
  } else {
    candidates_.insert(id, {.heard_at = now, .offer_at = now});
  }
}

void Legacy::ask_around(const NodeId& neighbour, TimePoint now, Outbox& out) {
  neighbours_.at(neighbour).asked_at = now;
  originate(neighbour, legacy::find_peers_data(self_), now, out);
}

/// Only such as can be reached: who is linked to us or to a bridge, and who was heard of late.
void Legacy::answer_find_peers(const OldMessage& message, TimePoint now, Outbox& out) {
  if (!answers_.take(1, now)) return out.drop(DropReason::rate_limited);
  std::vector<NodeId> found;
  for (const auto& [id, neighbour] : neighbours_) {
    if (neighbour.is_proven) found.push_back(id);
    found.insert(found.end(), neighbour.announced.begin(), neighbour.announced.end());
  }
  for (const auto& [id, path] : paths_) {
    if (now - path.learned_at < legacy::path_fresh) found.push_back(id);
  }
  found.push_back(self_);
  std::erase(found, message.from);
  std::ranges::sort(
      found, [&](const NodeId& a, const NodeId& b) { return is_closer(a, b, *message.sought); });
  const auto repeated = std::ranges::unique(found);
  found.erase(repeated.begin(), repeated.end());
  if (found.size() > legacy::found_max) found.resize(legacy::found_max);
  originate(message.from, legacy::found_peers_data(found), now, out);
}

// ---- Offers and answers
// ---------------------------------------------------------------------------

void Legacy::offer(const NodeId& to, TimePoint now, Outbox& out) {
  offered_.insert(to, now);
  originate(to, legacy::handshake_offer_data(), now, out);
}

/// When both offer at once, the lower id's offer stands, and its side dials.
void Legacy::answer_offer(const OldMessage& message, TimePoint now, Outbox& out) {
  if (neighbours_.contains(message.from) || is_native(message.from)) return;
  const TimePoint* const offered = offered_.peek(message.from);
  const bool is_ours_pending = offered != nullptr && now - *offered < legacy::offer_timeout;
  if (is_ours_pending && self_ < message.from) return;
  if (!answers_.take(1, now)) return out.drop(DropReason::rate_limited);
  const bool has_room = neighbours_.size() - bridge_count_ < legacy::links_max;
  const std::string url = has_room ? surroundings_.own_url(surroundings_.context) : std::string{};
  // An old node prefers a channel, and never notices its end: only where it can't dial us.
  const bool may_signal = has_room && url.empty() && options_.makes_channels && !is_shut_down_;
  if (may_signal) invited_.insert(message.from, now);
  originate(message.from, legacy::handshake_answer_data(url, may_signal), now, out);
}

/// An old node's answer makes others dial whatever it says. We dial only whom we have asked, and
/// this machine only where the word came from this machine.
void Legacy::take_answer(const OldMessage& message, const NodeId& by, TimePoint now, Outbox& out) {
  const TimePoint* const offered = offered_.peek(message.from);
  if (offered == nullptr) return out.drop(DropReason::contact_unwanted);
  offered_.erase(message.from);
  if (neighbours_.contains(message.from) || is_shut_down_) return;
  if (message.ws.empty()) {
    const bool may_signal = message.wrtc && options_.makes_channels &&
                            channel_of(message.from) == channels_.end() &&
                            neighbours_.size() - bridge_count_ < legacy::links_max;
    if (may_signal) begin_channel(message.from, true, {}, now, out);
    return;
  }
  const auto address = Address::parse(message.ws);
  PEER_RELAY_ASSERT(address.has_value());
  const auto neighbour = neighbours_.find(by);
  const OldLink* const link = neighbour != neighbours_.end() && neighbour->second.link
                                  ? find(*neighbour->second.link)
                                  : nullptr;
  const bool is_local = link != nullptr && reach_of_host(link->remote_host) == Reach::loopback;
  if (address->reach() == Reach::loopback && !is_local) {
    return out.drop(DropReason::contact_unwanted);
  }
  const auto known = std::ranges::find(places_, *address, &Place::address);
  if (known != places_.end()) {
    known->dial_at = std::min(known->dial_at, now);
  } else {
    if (places_.size() >= legacy::places_max) {
      const auto spare = std::ranges::find_if(places_, [](const Place& place) {
        return !place.is_bootstrap && !place.met && !place.dial && !place.link;
      });
      if (spare == places_.end()) return out.drop(DropReason::contact_limit);
      places_.erase(spare);
    }
    places_.push_back({.address = *address, .dial_at = now});
  }
  visit_places(now, out);
  arm_tick(now);
}

void Legacy::populate(TimePoint now, Outbox& out) {
  populate_at_ = never;
  if (neighbours_.empty() || is_shut_down_) return;
  populate_at_ = now + random_.between(legacy::populate_every / 2, legacy::populate_every);
  arm(populate_at_);
  std::vector<NodeId> quiet;
  for (const auto& [id, neighbour] : neighbours_) {
    if (now - neighbour.asked_at >= legacy::ask_every) quiet.push_back(id);
  }
  for (const NodeId& id : quiet) ask_around(id, now, out);

  std::vector<std::pair<NodeId, Candidate*>> open;
  for (auto& [id, candidate] : candidates_) {
    const bool is_due = now >= candidate.offer_at &&
                        now - candidate.heard_at < legacy::candidate_age_max &&
                        offered_.peek(id) == nullptr;
    if (is_due && !neighbours_.contains(id) && !is_native(id)) open.emplace_back(id, &candidate);
  }
  std::ranges::sort(
      open, [this](const auto& a, const auto& b) { return is_closer(a.first, b.first, self_); });
  const std::size_t have = neighbours_.size() - bridge_count_ + offered_.size();
  std::size_t wanted = have < legacy::links_wanted ? legacy::links_wanted - have : 0;
  wanted = std::min(wanted, legacy::offers_per_round);
  for (std::size_t i = 0; i < open.size() && i < wanted; ++i) {
    // The closest, as all do, and one from anywhere, as none of the old ones does.
    if (i + 1 == wanted) std::swap(open[i], open[i + random_.below(open.size() - i)]);
    Candidate& candidate = *open[i].second;
    candidate.pause =
        std::clamp(candidate.pause * 2, legacy::offer_pause_min, legacy::offer_pause_max);
    candidate.offer_at = now + random_.between(candidate.pause / 2, candidate.pause);
    offer(open[i].first, now, out);
  }
}

void Legacy::connect(const NodeId& to, TimePoint now, Outbox& out) {
  if (neighbours_.contains(to)) return out.notify(NotifyWish::ConnectDone{to});
  if (connects_.size() >= legacy::connects_max) {
    return out.notify(NotifyWish::ConnectDone{to, Error::queue_full});
  }
  if (std::ranges::find(connects_, to, &Connecting::to) != connects_.end()) return;
  connects_.push_back({.to = to, .deadline = now + limits::dial_timeout});
  offer(to, now, out);
  arm_tick(now);
}

void Legacy::end_connect(const NodeId& to, std::optional<Error> error, Outbox& out) {
  const auto at = std::ranges::find(connects_, to, &Connecting::to);
  if (at == connects_.end()) return;
  connects_.erase(at);
  out.notify(NotifyWish::ConnectDone{to, error});
}

bool Legacy::disconnect(const NodeId& peer, Outbox& out) {
  const auto at = neighbours_.find(peer);
  if (at == neighbours_.end() || !at->second.link) return false;
  std::erase_if(places_, [&](const Place& place) { return place.met == peer; });
  const LinkId link = *at->second.link;
  end(link, *find(link), CloseReason::disconnected, out);
  return true;
}

// ---- Bridges hear of our neighbours
// ---------------------------------------------------------------

void Legacy::tell_bridges(Outbox& out) {
  if (!std::exchange(neighbours_changed_, false)) return;
  for (const auto& [id, neighbour] : neighbours_) {
    if (!neighbour.link) tell_bridge(id, out);
  }
}

void Legacy::tell_bridge(const NodeId& bridge, Outbox& out) const {
  LegacyNeighbours news;
  for (const auto& [id, neighbour] : neighbours_) {
    if (neighbour.link && news.ids.size() < legacy_neighbours_max) news.ids.push_back(id);
  }
  Bytes body;
  encode_legacy(news, body);
  out.wish(PeerFrameWish{.to = bridge, .kind = FrameKind::legacy, .body = std::move(body)});
}

// ---- Addresses
// ------------------------------------------------------------------------------------

bool Legacy::owns(DialId dial) { return (static_cast<std::uint64_t>(dial) & dial_bit) != 0; }

Legacy::Place* Legacy::place_of(DialId dial) {
  const auto at = std::ranges::find(places_, std::optional{dial}, &Place::dial);
  return at == places_.end() ? nullptr : &*at;
}

void Legacy::adopt(const Address& address, bool is_bootstrap, LinkId link) {
  const auto known = std::ranges::find(places_, address, &Place::address);
  if (known != places_.end()) {
    known->is_bootstrap = known->is_bootstrap || is_bootstrap;
    if (!known->met && !known->link) known->link = link;
    return;
  }
  // Those of the options always have a place; nobody else can name one.
  if (!is_bootstrap && places_.size() >= legacy::places_max) return;
  places_.push_back({.address = address, .is_bootstrap = is_bootstrap, .link = link});
}

void Legacy::dial_failed(DialId dial, DialError error, TimePoint now, Outbox& out) {
  ++out.stats().dials_failed;
  ++out.stats().dial_errors[static_cast<std::size_t>(error)];
  Place* const place = place_of(dial);
  if (place == nullptr) return;
  place->dial.reset();
  if (place->is_bootstrap && place->failures == 0) {
    out.notify(Problem{Problem::Kind::bootstrap_failed, place->address.to_string(),
                       std::string{name_of(error)}});
  }
  place_failed(*place, now);
  arm_tick(now);
}

std::optional<Address> Legacy::dial_met_native(DialId dial) {
  Place* const place = place_of(dial);
  if (place == nullptr) return std::nullopt;
  const std::optional<Address> bootstrap =
      place->is_bootstrap ? std::optional{place->address} : std::nullopt;
  places_.erase(places_.begin() + (place - places_.data()));
  return bootstrap;
}

void Legacy::place_failed(Place& place, TimePoint now) {
  ++place.failures;
  place.pause = std::clamp(place.pause * 2, legacy::place_pause_min, legacy::place_pause_max);
  place.dial_at = now + random_.between(place.pause / 2, place.pause);
}

void Legacy::visit_places(TimePoint now, Outbox& out) {
  std::erase_if(places_, [](const Place& place) {
    return !place.is_bootstrap && place.failures >= legacy::place_failures_max;
  });
  for (Place& place : places_) {
    if (place.met || place.link || place.dial || now < place.dial_at) continue;
    place.dial = DialId{dial_bit | ++last_dial_};
    ++out.stats().dials;
    out.wish(DialWish{.dial = *place.dial, .address = place.address});
  }
}

// ---- Time
// -----------------------------------------------------------------------------------------

void Legacy::arm(TimePoint at) { wake_at_ = std::min(wake_at_, at); }

void Legacy::arm_tick(TimePoint now) {
  const bool is_idle = links_.empty() && places_.empty() && unsent_.empty() && connects_.empty() &&
                       channels_.empty();
  if (is_idle || tick_at_ != never) return;
  tick_at_ = now + legacy::tick_every;
  arm(tick_at_);
}

void Legacy::wake(TimePoint now, Outbox& out) {
  if (now < wake_at_) return;
  wake_at_ = never;
  if (now >= tick_at_) {
    tick_at_ = never;
    watch_links(now, out);
    visit_places(now, out);
    watch_channels(now, out);
    tell_bridges(out);
    std::erase_if(unsent_, [&](const Unsent& unsent) {
      if (now < unsent.expires) return false;
      unsent_bytes_ -= unsent.data.size();
      out.drop(DropReason::expired);
      return true;
    });
    std::vector<NodeId> overdue;
    for (const Connecting& connecting : connects_) {
      if (now >= connecting.deadline) overdue.push_back(connecting.to);
    }
    for (const NodeId& to : overdue) end_connect(to, Error::no_such_contact, out);
  }
  if (now >= populate_at_) populate(now, out);
  arm(populate_at_);
  arm(tick_at_);
  arm_tick(now);
}

/// An old node says nothing of itself, and answers a question: silence after one is the end.
void Legacy::watch_links(TimePoint now, Outbox& out) {
  std::vector<LinkId> all;
  for (const auto& [id, link] : links_) all.push_back(id);
  std::ranges::sort(all);
  for (const LinkId id : all) {
    OldLink& link = *links_.at(id);
    const Duration stall =
        link.unwritable_since == never ? Duration{} : now - link.unwritable_since;
    if (link.stage == OldLink::Stage::ended) {
      if (link.waiting.empty() || stall < limits::goodbye_timeout) continue;
      queued_bytes_ -= link.waiting_bytes;
      link.waiting_bytes = 0;
      link.waiting.clear();
      touch(id, link);
      continue;
    }
    if (link.stage == OldLink::Stage::id_awaited) {
      if (now - link.opened_at >= options_.handshake_timeout) {
        end(id, link, CloseReason::handshake_timeout, out);
      }
      continue;
    }
    if (stall >= options_.link_dead_after) {
      end(id, link, CloseReason::queue_stalled, out);
      continue;
    }
    const Neighbour& neighbour = neighbours_.at(link.peer);
    const Duration silence = now - neighbour.heard_at;
    if (silence >= options_.link_dead_after) {
      end(id, link, CloseReason::keepalive_timeout, out);
    } else if (link.dial && !is_used(neighbour, now)) {
      end(id, link, CloseReason::busy, out);  // another has room for us
    } else if (silence >= options_.ping_after && now - neighbour.asked_at >= options_.ping_after) {
      ask_around(link.peer, now, out);
    }
  }
  std::vector<NodeId> stale;
  for (const auto& [id, at] : offered_) {
    if (now - at >= legacy::offer_timeout) stale.push_back(id);
  }
  for (const NodeId& id : stale) offered_.erase(id);
}

// ---- What there is
// --------------------------------------------------------------------------------

Peer Legacy::describe(const NodeId& id, const Neighbour& neighbour, TimePoint now) const {
  const OldLink& link = *find(*neighbour.link);
  return {.id = id,
          .dialed = link.dial.has_value(),
          .address = link.remote,
          .agent = std::string{old_agent},
          .bucket = common_prefix_bits(self_, id),
          .legacy = true,
          .age = now - link.opened_at,
          .batches_in = link.texts_in,
          .batches_out = link.texts_out,
          .bytes_in = link.bytes_in,
          .bytes_out = link.bytes_out,
          .frames_relayed = link.relayed};
}

std::vector<Peer> Legacy::peers(TimePoint now) const {
  std::vector<Peer> out;
  for (const auto& [id, neighbour] : neighbours_) {
    if (neighbour.link) out.push_back(describe(id, neighbour, now));
  }
  return out;
}

std::optional<Peer> Legacy::peer(const NodeId& id, TimePoint now) const {
  const auto at = neighbours_.find(id);
  if (at == neighbours_.end() || !at->second.link) return std::nullopt;
  return describe(id, at->second, now);
}

}  // namespace peer_relay
