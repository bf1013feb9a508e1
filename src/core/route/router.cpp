// SPDX-License-Identifier: MIT
#include "core/route/router.hpp"

#include <algorithm>
#include <array>
#include <tuple>
#include <vector>

namespace peer_relay {

namespace {

// Sources that notices went to lately: forgetting one lets it have a second's worth again.
constexpr std::size_t noticed_sources_max = 1024;

// How many bits less than our own siblings share with us a dead end may share with its target: ids
// are uniform, and three bits short happens to one in a thousand.
constexpr int plausible_slack_bits = 3;

// A node's neighbourhood, for careful steps: twice as many nodes as it has siblings.
constexpr int neighbourhood_bits = 1;

UnreachableReason told_reason(DropReason reason) {
  switch (reason) {
    case DropReason::hops_spent:
      return UnreachableReason::hops_spent;
    case DropReason::queue_full:
      return UnreachableReason::queue_full;
    case DropReason::rate_limited:
      return UnreachableReason::rate_limited;
    default:
      return UnreachableReason::dead_end;
  }
}

}  // namespace

Router::Router(const Table& table, Random random, std::uint64_t notices_per_second)
    : table_(table),
      random_(random),
      notices_per_second_(notices_per_second),
      notices_(noticed_sources_max) {}

// The linked peer that is closest to the goal, if it may be the next hop. The source never is: a
// lookup asks for others, and what comes by a way around has left the source's best way for a
// reason.
const LinkedPeer* Router::next_to(const NodeId& goal, const Envelope& envelope,
                                  bool must_be_closer) const {
  if (!envelope.closest) {
    if (const LinkedPeer* const direct = table_.find(goal)) return direct;
  }
  if (envelope.careful) return small_step_to(goal, std::array{envelope.source}, must_be_closer);
  const LinkedPeer* best = table_.closest_relay(goal);
  if (best != nullptr && best->id == envelope.source) {
    best = table_.closest_relay(goal, std::array{envelope.source});
  }
  if (best == nullptr || !best->suspect) return best;
  const LinkedPeer* const other = unsuspected(goal, std::array{envelope.source}, must_be_closer);
  return other != nullptr ? other : best;
}

// The closest to the goal of those above suspicion; null if none is (closer than we are).
const LinkedPeer* Router::unsuspected(const NodeId& goal, std::span<const NodeId> avoided,
                                      bool must_be_closer) const {
  const LinkedPeer* best = nullptr;
  for (const LinkedPeer& peer : table_.peers()) {
    if (!peer.relays || peer.suspect) continue;
    if (best != nullptr && !is_closer(peer.id, best->id, goal)) continue;
    if (std::ranges::find(avoided, peer.id) == avoided.end()) best = &peer;
  }
  const bool will_do =
      best != nullptr && (!must_be_closer || is_closer(best->id, table_.self(), goal));
  return will_do ? best : nullptr;
}

// At most to the edge of the goal's neighbourhood, or one bit farther than we are; where no link is
// so short, the shortest. Suspects last. Null if none is (closer than we are).
const LinkedPeer* Router::small_step_to(const NodeId& goal, std::span<const NodeId> avoided,
                                        bool must_be_closer) const {
  const NodeId& self = table_.self();
  const int far_enough =
      std::max(common_prefix_bits(self, goal) + 1, table_.sibling_depth() - neighbourhood_bits);
  const auto rank = [&](const LinkedPeer& peer) {
    const int bits = common_prefix_bits(peer.id, goal);
    return std::tuple{peer.suspect, std::max(0, bits - far_enough), -bits};
  };
  const LinkedPeer* best = nullptr;
  for (const LinkedPeer& peer : table_.peers()) {
    if (!peer.relays || (must_be_closer && !is_closer(peer.id, self, goal))) continue;
    if (std::ranges::find(avoided, peer.id) != avoided.end()) continue;
    if (best == nullptr || rank(peer) < rank(*best)) best = &peer;
  }
  return best;
}

// A leaf's relays are neighbours of each other, and mostly share the same bits with the goal. By
// distance alone the one that stands apart would be the closest to half of all goals, and carry
// the half of what all leaves around it say.
const LinkedPeer* Router::one_like(const LinkedPeer* best, const NodeId& goal) const {
  if (best->id == goal) return best;
  const int bits = common_prefix_bits(best->id, goal);
  std::vector<const LinkedPeer*> alike;
  for (const LinkedPeer& peer : table_.peers()) {
    const bool is_alike =
        peer.relays && peer.suspect == best->suspect && common_prefix_bits(peer.id, goal) == bits;
    if (is_alike) alike.push_back(&peer);
  }
  return alike[std::hash<NodeId>{}(goal) % alike.size()];
}

Step Router::step_by(const NodeId& first_hop) const {
  const LinkedPeer* const peer = table_.find(first_hop);
  if (peer == nullptr) return {.act = Step::Act::drop, .reason = DropReason::dead_end};
  return {.act = Step::Act::forward, .link = peer->link};
}

Step Router::step(const Envelope& envelope) const {
  const NodeId& self = table_.self();
  bool drop_via = false;
  const LinkedPeer* next = nullptr;
  if (envelope.via) {
    if (*envelope.via != self) next = next_to(*envelope.via, envelope, true);
    if (next == nullptr || !is_closer(next->id, self, *envelope.via)) drop_via = true;
  }
  if (!envelope.via || drop_via) {
    if (envelope.target == self && !envelope.closest) return {.act = Step::Act::deliver};
    next = next_to(envelope.target, envelope, true);
    if (next == nullptr || !is_closer(next->id, self, envelope.target)) {
      return envelope.closest ? Step{.act = Step::Act::deliver, .drop_via = drop_via}
                              : Step{.act = Step::Act::drop, .reason = DropReason::dead_end};
    }
  }
  if (envelope.hops_left == 0) return {.act = Step::Act::drop, .reason = DropReason::hops_spent};
  return {.act = Step::Act::forward, .link = next->link, .drop_via = drop_via};
}

Step Router::first_step(const Envelope& envelope, std::uint8_t attempt, bool we_relay) {
  const NodeId& self = table_.self();
  // Where a linked peer was new when it last spoke, what is for it needs no detour any more.
  if (envelope.via && !envelope.closest && attempt == 0) {
    if (const LinkedPeer* const direct = table_.find(envelope.target)) {
      return {.act = Step::Act::forward, .link = direct->link, .drop_via = true};
    }
  }
  if (envelope.via && *envelope.via != self) {
    const LinkedPeer* const next = next_to(*envelope.via, envelope, we_relay);
    if (next != nullptr && (!we_relay || is_closer(next->id, self, *envelope.via))) {
      return {.act = Step::Act::forward, .link = next->link};
    }
  }
  const NodeId& goal = envelope.target;
  const LinkedPeer* best = next_to(goal, envelope, we_relay);
  if (best == nullptr) best = table_.closest_relay(goal, std::array{envelope.source});
  if (best == nullptr) return {.act = Step::Act::drop, .reason = DropReason::dead_end};
  if (!we_relay && !envelope.careful) best = one_like(best, goal);
  const bool drop_via = envelope.via.has_value();  // we are there already
  const auto forward = [drop_via](const LinkedPeer& next) {
    return Step{.act = Step::Act::forward, .link = next.link, .drop_via = drop_via};
  };
  const bool best_will_do = !we_relay || is_closer(best->id, self, goal);
  if (attempt == 0) {
    if (best_will_do) return forward(*best);
    return envelope.closest ? Step{.act = Step::Act::deliver}
                            : Step{.act = Step::Act::drop, .reason = DropReason::dead_end};
  }
  // Another first hop than the tries before: the next closest, while they are closer than we are;
  // then any relay, as a via, for from there greedy begins anew.
  std::vector<NodeId> avoided{envelope.source};
  const LinkedPeer* other = best;
  for (int i = envelope.careful ? 1 : 0; i < attempt && other != nullptr; ++i) {
    avoided.push_back(other->id);
    if (envelope.careful) {
      other = small_step_to(goal, avoided, we_relay);
      continue;
    }
    const LinkedPeer* const trusted = unsuspected(goal, avoided, we_relay);
    other = trusted != nullptr ? trusted : table_.closest_relay(goal, avoided);
  }
  const auto before =
      avoided.size() > 1 && best_will_do ? std::optional{avoided.back()} : std::nullopt;
  if (other != nullptr && (!we_relay || is_closer(other->id, self, goal))) {
    Step step = forward(*other);
    step.before = before;
    return step;
  }
  // All that were not tried are worth a try; the best was not, where it is farther than we are.
  avoided = {envelope.source};
  if (best_will_do) avoided.push_back(best->id);
  std::vector<const LinkedPeer*> others;
  std::size_t trusted = 0;  // come first
  for (const LinkedPeer& peer : table_.peers()) {
    if (!peer.relays || std::ranges::find(avoided, peer.id) != avoided.end()) continue;
    others.push_back(&peer);
    if (!peer.suspect) std::swap(others[trusted++], others.back());
  }
  if (trusted > 0) others.resize(trusted);
  if (!others.empty()) {
    const LinkedPeer& via = *others[random_.below(others.size())];
    return {.act = Step::Act::forward, .link = via.link, .set_via = via.id, .before = before};
  }
  if (best_will_do) return forward(*best);
  return {.act = Step::Act::drop, .reason = DropReason::dead_end};
}

bool Router::is_plausible_end(const NodeId& where, const NodeId& target) const {
  return common_prefix_bits(where, target) + plausible_slack_bits >= table_.sibling_depth();
}

void Router::give_notice(const Envelope& envelope, DropReason reason, TimePoint now, Outbox& out) {
  // No notices of notices, nor of what nobody waits for.
  if (envelope.kind == EnvelopeKind::unreachable || envelope.source == table_.self()) return;
  TokenBucket* allowed = notices_.find(envelope.source);
  if (allowed == nullptr) {
    allowed =
        &notices_.insert(envelope.source, TokenBucket{notices_per_second_, 2 * notices_per_second_})
             .value;
  }
  if (!allowed->take(1, now)) return;
  Bytes body;
  encode_unreachable({.reason = told_reason(reason),
                      .kind = envelope.kind,
                      .tag = envelope.tag,
                      .target = envelope.target},
                     body);
  out.wish(RouteWish{.kind = EnvelopeKind::unreachable,
                     .tag = static_cast<std::uint32_t>(random_.next()),
                     .target = envelope.source,
                     .via = envelope.home,
                     .body = std::move(body)});
}

}  // namespace peer_relay
