// SPDX-License-Identifier: MIT
//
// Links, and the way of messages. Whom to be linked to is in members.cpp.
#include "core/legacy/legacy.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "core/legacy/old_link.hpp"

namespace peer_relay {

using legacy::OldMessage;
using legacy::OldType;

Legacy::Legacy(const NodeId& self, Random random, Options options, Surroundings surroundings)
    : self_(self),
      random_(random),
      options_(options),
      surroundings_(surroundings),
      seen_(random_.next()),
      paths_(legacy::paths_max),
      candidates_(legacy::candidates_max),
      offered_(legacy::offers_max),
      speakers_(legacy::speakers_max),
      invited_(legacy::offers_max),
      answers_(legacy::answers_per_second, legacy::answers_per_second) {}

Legacy::~Legacy() = default;

bool Legacy::is_native(const NodeId& id) const {
  return surroundings_.is_native(surroundings_.context, id);
}

/// An old node whose table has no room for a link leaves it open and reads nothing from it. Who
/// uses it asks for neighbours at once.
bool Legacy::is_used(const Neighbour& neighbour, TimePoint now) const {
  return neighbour.is_proven || now - neighbour.heard_at < legacy::proof_timeout;
}

Legacy::OldLink* Legacy::find(LinkId link) {
  const auto at = links_.find(link);
  return at == links_.end() ? nullptr : at->second.get();
}

const Legacy::OldLink* Legacy::find(LinkId link) const {
  const auto at = links_.find(link);
  return at == links_.end() ? nullptr : at->second.get();
}

// ---- Links
// ----------------------------------------------------------------------------------------

void Legacy::opened(LinkId id, LinkStart start, TimePoint now, Outbox& out) {
  auto fresh = std::make_unique<OldLink>();
  OldLink& link = *fresh;
  link.dial = start.dial;
  link.remote = std::move(start.remote);
  link.remote_host = std::move(start.remote_host);
  link.opened_at = now;
  link.bytes = TokenBucket{options_.relay_bytes_per_second, options_.relay_bytes_per_second};
  link.texts = TokenBucket{options_.relay_frames_per_second, options_.relay_frames_per_second};
  const bool inserted = links_.emplace(id, std::move(fresh)).second;
  PEER_RELAY_ASSERT(inserted);
  if (link.dial) {
    if (Place* const place = place_of(*link.dial)) {
      place->dial.reset();
      place->link = id;
    }
  }
  if (is_shut_down_) end(id, link, CloseReason::shutdown, out);
  arm_tick(now);
}

void Legacy::received(LinkId id, std::string_view text, TimePoint now, Outbox& out) {
  OldLink* const link = find(id);
  if (link == nullptr || link->stage == OldLink::Stage::ended) return;
  ++link->texts_in;
  link->bytes_in += text.size();
  out.stats().bytes_in += text.size();
  if (!link->texts.take(1, now) || !link->bytes.take(text.size(), now)) {
    return out.drop(DropReason::rate_limited);
  }
  if (link->stage == OldLink::Stage::id_awaited) return greet(id, *link, text, now, out);
  Neighbour& neighbour = neighbours_.at(link->peer);
  neighbour.heard_at = now;
  neighbour.is_proven = true;
  arrived(link->peer, text, now, out);
}

// The other side shows its id first. A link that never showed one does no harm to an old node, so
// this is where those end that we can't have.
void Legacy::greet(LinkId id, OldLink& link, std::string_view text, TimePoint now, Outbox& out) {
  const auto peer = legacy::read_id(text);
  if (!peer) {
    out.drop(DropReason::malformed);
    return end(id, link, CloseReason::protocol_error, out);
  }
  link.peer = *peer;
  if (const auto reason = refusal(*peer, out)) {
    // Whom we are linked to already is who stands at that address.
    if (*reason == CloseReason::duplicate && link.dial) {
      for (Place& place : places_) {
        if (place.link == id) place.met = *peer;
      }
    }
    return end(id, link, *reason, out);
  }
  come_up(id, link, now, out);
}

std::optional<CloseReason> Legacy::refusal(const NodeId& peer, Outbox& out) const {
  if (peer == self_) return CloseReason::self;
  if (is_native(peer)) {
    out.drop(DropReason::forged_source);
    return CloseReason::protocol_error;
  }
  if (neighbours_.contains(peer)) return CloseReason::duplicate;
  if (neighbours_.size() - bridge_count_ >= legacy::links_max) {
    ++out.stats().refused_connections;
    return CloseReason::busy;
  }
  return std::nullopt;
}

void Legacy::come_up(LinkId id, OldLink& link, TimePoint now, Outbox& out) {
  link.stage = OldLink::Stage::up;
  neighbours_.emplace(link.peer, Neighbour{.link = id, .asked_at = now, .heard_at = now});
  neighbours_changed_ = true;
  ++out.stats().links_opened;
  for (Place& place : places_) {
    if (place.link != id) continue;
    place.met = link.peer;
    place.link.reset();
    place.pause = {};
    place.failures = 0;
  }
  offered_.erase(link.peer);
  note_candidate(link.peer, now);
  if (!link.is_channel) enqueue(id, link, legacy::id_text(self_), true);
  release_unsent(now, out);
  ask_around(link.peer, now, out);
  end_connect(link.peer, std::nullopt, out);
  out.notify(NotifyWish::PeerUp{link.peer});
  arm(std::min(populate_at_, now + std::chrono::milliseconds{100}));
  populate_at_ = std::min(populate_at_, now + std::chrono::milliseconds{100});
}

// From now on nothing is read or written, but what waits still leaves.
void Legacy::end(LinkId id, OldLink& link, CloseReason reason, Outbox& out) {
  if (link.stage == OldLink::Stage::ended) return;
  const bool was_up = link.stage == OldLink::Stage::up;
  link.stage = OldLink::Stage::ended;
  link.end_reason = reason;
  link.close_after_flush = reason;
  // What stalls will not leave; what is left for a neighbour that we send away may.
  if (reason == CloseReason::queue_stalled || reason == CloseReason::keepalive_timeout) {
    queued_bytes_ -= link.waiting_bytes;
    link.waiting_bytes = 0;
    link.waiting.clear();
  }
  touch(id, link);
  if (was_up) lose_neighbour(link.peer, reason, out);
}

void Legacy::closed(LinkId id, CloseReason reason, TimePoint now, Outbox& out) {
  const auto at = links_.find(id);
  if (at == links_.end()) return;
  OldLink& link = *at->second;
  const CloseReason truth = link.stage == OldLink::Stage::ended ? link.end_reason : reason;
  if (link.stage == OldLink::Stage::up) lose_neighbour(link.peer, truth, out);
  for (Place& place : places_) {
    if (place.link != id) continue;
    place.link.reset();
    if (!place.met) place_failed(place, now);
  }
  queued_bytes_ -= link.waiting_bytes;
  ++out.stats().links_closed;
  ++out.stats().closed[static_cast<std::size_t>(truth)];
  links_.erase(at);
  arm_tick(now);
}

void Legacy::lose_neighbour(const NodeId& id, CloseReason reason, Outbox& out) {
  neighbours_.erase(id);
  neighbours_changed_ = true;
  candidates_.erase(id);
  paths_.erase(id);
  for (Place& place : places_) {
    if (place.met == id) place.met.reset();
  }
  out.notify(NotifyWish::PeerLost{id, reason});
  tell_bridges(out);
}

void Legacy::writable(LinkId id) {
  OldLink* const link = find(id);
  if (link == nullptr) return;
  link->in_flight_bytes = 0;
  link->unwritable_since = never;
  if (!link->waiting.empty() || link->close_after_flush) touch(id, *link);
}

// The newest loses when a queue is full, and never our own small texts: they have the reserve.
bool Legacy::enqueue(LinkId id, OldLink& link, std::string_view text, bool is_own) {
  const std::size_t bound =
      limits::link_queue_bytes_max - (is_own ? 0 : limits::link_queue_reserve_bytes);
  if (link.stage != OldLink::Stage::up || link.waiting_bytes + text.size() > bound) return false;
  if (link.is_channel && text.size() > legacy::channel_text_bytes_max) return false;
  link.waiting.push(Bytes(text.begin(), text.end()));
  link.waiting_bytes += text.size();
  queued_bytes_ += text.size();
  touch(id, link);
  return true;
}

void Legacy::touch(LinkId id, OldLink& link) {
  if (link.is_dirty) return;
  link.is_dirty = true;
  dirty_.push(id);
}

std::optional<Legacy::Outgoing> Legacy::next_outgoing(TimePoint now) {
  while (!dirty_.empty()) {
    const LinkId id = dirty_.pop();
    OldLink* const link = find(id);
    if (link == nullptr) continue;
    link->is_dirty = false;
    Outgoing out{.link = id};
    if (!link->waiting.empty() && link->in_flight_bytes < legacy::in_flight_bytes_max) {
      out.text = link->waiting.pop();
      out.has_text = true;
      link->waiting_bytes -= out.text.size();
      queued_bytes_ -= out.text.size();
      link->in_flight_bytes += out.text.size();
      if (link->unwritable_since == never) link->unwritable_since = now;
      ++link->texts_out;
      link->bytes_out += out.text.size();
      if (!link->waiting.empty() || link->close_after_flush) touch(id, *link);
    }
    if (link->close_after_flush && link->waiting.empty()) {
      out.then_close = std::exchange(link->close_after_flush, std::nullopt);
    }
    if (out.has_text || out.then_close) return out;
  }
  return std::nullopt;
}

void Legacy::shut_down(Outbox& out) {
  is_shut_down_ = true;
  places_.clear();
  for (const auto& [id, channel] : std::exchange(channels_, {})) {
    out.wish(NegotiateWish{.negotiation = id, .step = NegotiateWish::Step::abandon});
  }
  std::vector<LinkId> all;
  for (const auto& [id, link] : links_) all.push_back(id);
  std::ranges::sort(all);  // in an order that can be repeated
  for (const LinkId id : all) end(id, *links_.at(id), CloseReason::shutdown, out);
  for (const Connecting& connecting : std::exchange(connects_, {})) {
    out.notify(NotifyWish::ConnectDone{connecting.to, Error::closed});
  }
}

// ---- Bridges
// --------------------------------------------------------------------------------------

void Legacy::peer_up(const NodeId& peer, bool is_bridge, TimePoint now, Outbox& out) {
  // An old link that claims this id was there before the proof of it.
  if (const auto claimed = neighbours_.find(peer); claimed != neighbours_.end()) {
    if (!claimed->second.link) return;
    const LinkId link = *claimed->second.link;
    out.drop(DropReason::forged_source);
    end(link, *find(link), CloseReason::protocol_error, out);
  }
  if (!is_bridge) return;
  neighbours_.emplace(peer, Neighbour{.asked_at = now, .heard_at = now, .is_proven = true});
  ++bridge_count_;
  candidates_.erase(peer);
  tell_bridge(peer, out);
  release_unsent(now, out);
  ask_around(peer, now, out);
  arm_tick(now);
}

void Legacy::peer_down(const NodeId& peer) {
  const auto at = neighbours_.find(peer);
  if (at == neighbours_.end() || at->second.link) return;
  neighbours_.erase(at);
  --bridge_count_;
}

void Legacy::handle(const NodeId& bridge, const LegacyFrame& frame, TimePoint now, Outbox& out) {
  const auto at = neighbours_.find(bridge);
  if (at == neighbours_.end() || at->second.link) return out.drop(DropReason::not_open);
  Neighbour& neighbour = at->second;
  neighbour.heard_at = now;
  if (const auto* const told = std::get_if<LegacyNeighbours>(&frame)) {
    neighbour.announced = told->ids;
    std::ranges::sort(neighbour.announced);
    for (const NodeId& id : neighbour.announced) note_candidate(id, now);
    release_unsent(now, out);
    return;
  }
  const auto& piece = std::get<LegacyPiece>(frame);
  if (neighbour.incoming.size() + piece.text.size() > legacy::text_bytes_max) {
    neighbour.is_overlong = true;
    neighbour.incoming = {};
  }
  if (!neighbour.is_overlong) {
    neighbour.incoming.insert(neighbour.incoming.end(), piece.text.begin(), piece.text.end());
  }
  if (!piece.is_last) return;
  const Bytes text = std::exchange(neighbour.incoming, {});
  if (std::exchange(neighbour.is_overlong, false)) return out.drop(DropReason::malformed);
  ++out.stats().legacy_bridged;
  arrived(bridge, as_text(text), now, out);
}

// ---- Messages
// -------------------------------------------------------------------------------------

void Legacy::arrived(const NodeId& by, std::string_view text, TimePoint now, Outbox& out) {
  ++out.stats().legacy_received;
  const auto message = legacy::read_message(text);
  if (!message) return out.drop(DropReason::malformed);
  if (!seen_.insert(message->nonce)) return out.drop(DropReason::duplicate);
  // Ours have been seen, so this is somebody's lie.
  if (message->from == self_) return out.drop(DropReason::forged_source);
  const bool was_here = std::ranges::find(message->path, self_) != message->path.end();
  if (was_here) return out.drop(DropReason::duplicate);
  if (message->from != by && !neighbours_.contains(message->from)) {
    paths_.insert(message->from, {.via = by, .learned_at = now});
  }
  const bool speaks = message->type == OldType::signal ||
                      (message->type == OldType::handshake_answer && message->wrtc);
  if (speaks) speakers_.insert(message->from, now);
  if (message->to == self_) return deliver(*message, by, now, out);
  relay(*message, by, now, out);
}

void Legacy::relay(const OldMessage& message, const NodeId& by, TimePoint now, Outbox& out) {
  if (message.path.size() >= legacy::path_max) return out.drop(DropReason::hops_spent);
  // A node that can't speak WebRTC dies of a signal, however far away it is.
  if (message.type == OldType::signal && speakers_.peek(message.to) == nullptr) {
    return out.drop(DropReason::dead_end);
  }
  const std::string text = legacy::relayed_text(message, self_);
  if (text.size() > legacy::text_bytes_max) return out.drop(DropReason::malformed);
  const std::vector<NodeId> hops = hops_to(message.to, message.path, &by, now);
  if (hops.empty()) return out.drop(DropReason::dead_end);
  if (transmit(hops, text, false, out) == 0) return out.drop(DropReason::queue_full);
  ++out.stats().legacy_relayed;
  if (const auto at = neighbours_.find(by); at != neighbours_.end() && at->second.link) {
    ++find(*at->second.link)->relayed;
  }
}

/// Where a message for `target` goes next: to the target itself, if we have a link to it, or to the
/// bridge that has one, and nowhere else. If not, where its answers came from, and to the two
/// closest; and over some bridges, for what is closest may be on the wrong island.
std::vector<NodeId> Legacy::hops_to(const NodeId& target, const std::vector<NodeId>& path,
                                    const NodeId* by, TimePoint now) const {
  const auto was_at = [&](const NodeId& id) {
    return (by != nullptr && *by == id) || std::ranges::find(path, id) != path.end();
  };
  if (was_at(target)) return {};
  if (neighbours_.contains(target)) return {target};
  if (const NodeId* const bridge = bridge_to(target); bridge != nullptr && !was_at(*bridge)) {
    return {*bridge};
  }
  std::vector<NodeId> hops;
  const Path* const learned = paths_.peek(target);
  if (learned != nullptr && now - learned->learned_at < legacy::path_age_max &&
      neighbours_.contains(learned->via) && !was_at(learned->via)) {
    hops.push_back(learned->via);
  }
  std::vector<std::pair<NodeId, bool>> others;  // and whether it is a bridge
  for (const auto& [id, neighbour] : neighbours_) {
    if (!is_used(neighbour, now) || was_at(id) || std::ranges::find(hops, id) != hops.end())
      continue;
    others.emplace_back(id, !neighbour.link);
  }
  std::ranges::sort(
      others, [&](const auto& a, const auto& b) { return is_closer(a.first, b.first, target); });
  const bool is_known = !hops.empty();
  std::size_t closest = 0;
  std::size_t bridges = 0;
  for (const auto& [id, is_bridge] : others) {
    if (closest < legacy::hops_wanted) {
      ++closest;
    } else if (is_known || !is_bridge || bridges == legacy::bridges_searched) {
      continue;
    } else {
      ++bridges;
    }
    hops.push_back(id);
  }
  return hops;
}

const NodeId* Legacy::bridge_to(const NodeId& target) const {
  for (const auto& [id, neighbour] : neighbours_) {
    if (std::ranges::binary_search(neighbour.announced, target)) return &id;
  }
  return nullptr;
}

/// How many of them took it.
std::size_t Legacy::transmit(const std::vector<NodeId>& hops, const std::string& text, bool is_own,
                             Outbox& out) {
  std::size_t taken = 0;
  for (const NodeId& hop : hops) {
    const Neighbour& neighbour = neighbours_.at(hop);
    if (!neighbour.link) {
      out.wish(BridgeWish{.to = hop, .text = Bytes(text.begin(), text.end())});
    } else if (!enqueue(*neighbour.link, *find(*neighbour.link), text, is_own)) {
      continue;
    }
    ++taken;
    ++out.stats().legacy_sent;
  }
  return taken;
}

void Legacy::deliver(const OldMessage& message, const NodeId& by, TimePoint now, Outbox& out) {
  switch (message.type) {
    case OldType::user:
      // Here it would pass for a node whose id is proven elsewhere.
      if (is_native(message.from)) return out.drop(DropReason::forged_source);
      ++out.stats().legacy_delivered;
      ++out.stats().messages_received;
      return out.notify(Message{.from = message.from,
                                .payload = legacy::payload_of(message.content),
                                .hops = static_cast<int>(message.path.size()),
                                .authenticated = false});
    case OldType::find_peers:
      return answer_find_peers(message, now, out);
    case OldType::found_peers:
      // Only those whom we ask have something to tell.
      if (message.from != by) return out.drop(DropReason::contact_unwanted);
      for (const NodeId& id : message.found) note_candidate(id, now);
      populate_at_ = std::min(populate_at_, now + std::chrono::milliseconds{20});
      return arm(populate_at_);
    case OldType::handshake_offer:
      return answer_offer(message, now, out);
    case OldType::handshake_answer:
      return take_answer(message, by, now, out);
    case OldType::signal:
      return take_signal(message, now, out);
    case OldType::other:
      return out.drop(DropReason::unknown_frame);
  }
}

void Legacy::originate(const NodeId& to, std::string_view data, TimePoint now, Outbox& out) {
  // Below 10^15: JavaScript makes them of a float.
  const std::string nonce = std::to_string(random_.below(1'000'000'000'000'000));
  seen_.insert(nonce);
  const std::string text = legacy::message_text(to, self_, nonce, data);
  if (text.size() > legacy::text_bytes_max) return out.drop(DropReason::malformed);
  const std::vector<NodeId> hops = hops_to(to, {}, nullptr, now);
  if (hops.empty()) return out.drop(DropReason::dead_end);
  const bool is_control = data.size() < limits::link_queue_reserve_bytes / 16;
  if (transmit(hops, text, is_control, out) == 0) out.drop(DropReason::queue_full);
}

// ---- The application
// ------------------------------------------------------------------------------

bool Legacy::knows(const NodeId& id, TimePoint now) const {
  if (neighbours_.contains(id) || bridge_to(id) != nullptr) return true;
  if (const Path* const path = paths_.peek(id)) {
    if (now - path->learned_at < legacy::path_age_max) return true;
  }
  const Candidate* const candidate = candidates_.peek(id);
  return candidate != nullptr && now - candidate->heard_at < legacy::candidate_age_max;
}

bool Legacy::is_linked(const NodeId& id) const {
  const auto at = neighbours_.find(id);
  return at != neighbours_.end() && at->second.link.has_value();
}

Result<void> Legacy::send(const NodeId& to, const Payload& payload, TimePoint now, Outbox& out) {
  if (payload.type == ContentType::json && !legacy::is_json(payload.text())) {
    return std::unexpected(Error::invalid_argument);
  }
  std::string data = legacy::user_data(payload);
  if (!neighbours_.empty()) {
    originate(to, data, now, out);
  } else {
    if (unsent_.size() >= legacy::unsent_max ||
        unsent_bytes_ + data.size() > legacy::unsent_bytes_max) {
      out.drop(DropReason::waiting_full);
      return std::unexpected(Error::queue_full);
    }
    unsent_bytes_ += data.size();
    unsent_.push_back({.to = to, .data = std::move(data), .expires = now + legacy::unsent_age_max});
    arm_tick(now);
  }
  ++out.stats().messages_sent;
  return {};
}

void Legacy::release_unsent(TimePoint now, Outbox& out) {
  unsent_bytes_ = 0;
  for (const Unsent& unsent : std::exchange(unsent_, {}))
    originate(unsent.to, unsent.data, now, out);
}

std::optional<NodeId> Legacy::way_to(const NodeId& id, TimePoint now) const {
  if (neighbours_.contains(id)) return id;
  if (const NodeId* const bridge = bridge_to(id)) return *bridge;
  const Path* const path = paths_.peek(id);
  if (path == nullptr || now - path->learned_at >= legacy::path_age_max) return std::nullopt;
  return neighbours_.contains(path->via) ? std::optional{path->via} : std::nullopt;
}

}  // namespace peer_relay
