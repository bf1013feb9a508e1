// SPDX-License-Identifier: MIT
//
// Where an envelope goes next: to the linked relay closest to its target, and only if that is
// strictly closer than we are. The distance falls at every hop, so there are no loops, no set of
// envelopes seen and no list of nodes passed. This room decides; the engine does what it says.
//
// Four departures from plain greedy routing by XOR:
//  - Leaves (nodes that nobody can dial) are next hops only of what is for them. They have no place
//    of their own in the overlay, so an envelope would be stuck there; and as sources they may
//    begin with a relay that is farther from the target than they are.
//  - `via`: an envelope may name a point to visit first, so that a second try goes another way.
//  - Suspects (relays that seem to swallow what they are given: auditor.hpp) are passed over while
//    another linked relay is strictly closer to the goal too.
//  - `careful`: an envelope goes to the edge of its target's neighbourhood, and on from there by
//    the least progress there is. Sybils packed round a node attract what jumps to the closest; its
//    old neighbours, which have links with it, stand around them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/lru_map.hpp"
#include "base/random.hpp"
#include "base/token_bucket.hpp"
#include "core/outbox.hpp"
#include "core/table/table.hpp"
#include "core/wire/envelope.hpp"
#include "core/wire/overlay.hpp"
#include "peer_relay/limits.hpp"
#include "peer_relay/time.hpp"

namespace peer_relay {

/// What to do with an envelope.
struct Step {
  enum class Act : std::uint8_t { deliver, forward, drop };
  Act act = Act::drop;
  LinkId link{};                             ///< with forward
  bool drop_via = false;                     ///< its via is reached: goes on without
  std::optional<NodeId> set_via = {};        ///< only for our own: goes by there
  std::optional<NodeId> before = {};         ///< only for our own: where the try before began
  DropReason reason = DropReason::dead_end;  ///< with drop
};

class Router {
 public:
  /// `table` outlives the router.
  Router(const Table& table, Random random, std::uint64_t notices_per_second);

  /// For an envelope that came by a link. Allocates nothing.
  Step step(const Envelope& envelope) const;

  /// For an envelope of our own; `attempt` counts the tries before this one. `we_relay`: whether we
  /// have a place in the overlay ourselves.
  Step first_step(const Envelope& envelope, std::uint8_t attempt, bool we_relay);

  /// For one of our own that begins there, whatever is best.
  Step step_by(const NodeId& first_hop) const;

  /// Whether an end of the way at `where` can be the truth: it is about as close to the target as
  /// nodes are to each other (the density test of Castro et al. 2002, §4.2).
  bool is_plausible_end(const NodeId& where, const NodeId& target) const;

  /// A notice for an envelope that ended here, unless its source has had enough of them.
  void give_notice(const Envelope& envelope, DropReason reason, TimePoint now, Outbox& out);

 private:
  const LinkedPeer* next_to(const NodeId& goal, const Envelope& envelope,
                            bool must_be_closer) const;
  const LinkedPeer* one_like(const LinkedPeer* best, const NodeId& goal) const;
  const LinkedPeer* small_step_to(const NodeId& goal, std::span<const NodeId> avoided,
                                  bool must_be_closer) const;
  const LinkedPeer* unsuspected(const NodeId& goal, std::span<const NodeId> avoided,
                                bool must_be_closer) const;

  const Table& table_;
  Random random_;
  std::uint64_t notices_per_second_;
  LruMap<NodeId, TokenBucket> notices_;
};

}  // namespace peer_relay
