// SPDX-License-Identifier: MIT
//
// Whether the relays that we are linked to pass on what they are given. A relay that swallows looks
// healthy on its own link: it answers pings, and whatever is for itself. So now and then each is
// handed an envelope for another peer of ours, whose answer comes back over our own link with that
// peer. To a relay it looks like any sealed content: SESSION_DATA of a session that the other end
// does not know, to be answered with SESSION_UNKNOWN.
//
// One that misses several in a row, each to another peer, is suspected, and passed over by the
// router as long as an unsuspected relay is closer to the goal too; one answer clears it. An honest
// relay whose own next hop swallows misses as well; as its neighbours do the same, its ways get
// better, and it is cleared. What is audited is one hop, so what is kept is a byte for each link.
//
// It is no proof against a liar that knows which of our peers are linked to us, and passes on to
// those alone.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/link_id.hpp"
#include "base/random.hpp"
#include "core/outbox.hpp"
#include "core/table/table.hpp"
#include "core/wire/envelope.hpp"
#include "peer_relay/limits.hpp"
#include "peer_relay/time.hpp"

namespace peer_relay {

class Auditor {
 public:
  /// Misses in a row before a relay is suspected. Where three nodes in ten swallow, an honest one
  /// still passes every other audit.
  static constexpr std::uint8_t misses_max = 3;

  /// `table` outlives it. Each relay is audited once in about `every`; Duration::max(): none is.
  Auditor(Table& table, Random random, Duration every);

  void start(TimePoint now);

  /// An envelope came by that link: true if it is the answer to one of our audits.
  bool answered(LinkId from, const Envelope& envelope, BytesView body);

  /// An audit of ours went no further. False if none had that tag.
  bool unreachable(std::uint32_t tag, TimePoint now);

  /// Something of ours that began by that relay was not answered: it is looked at soon.
  void doubt(const NodeId& relay, TimePoint now);

  void wake(TimePoint now, Outbox& out);
  TimePoint next_wake() const;

 private:
  struct Audit {
    NodeId relay{};
    NodeId target{};
    std::uint32_t tag = 0;
    std::uint32_t index = 0;
    TimePoint deadline{};
  };
  /// A relay that is not above suspicion: few, unless we are among liars; at most all our links.
  struct Doubt {
    NodeId relay{};
    std::uint8_t misses = 0;
    std::array<NodeId, misses_max> missed{};  ///< the targets, newest first
    TimePoint next{};
  };

  const LinkedPeer* next_relay();
  const NodeId* target_for(const LinkedPeer& relay, const Doubt* doubt);
  bool audit(const LinkedPeer& relay, TimePoint now, Outbox& out);
  void missed(const Audit& audit, TimePoint now);
  Doubt* find(const NodeId& relay);
  Duration pause(TimePoint now);

  Table& table_;
  Random random_;
  Duration every_;
  TimePoint next_ = never;
  TimePoint alarmed_until_ = TimePoint::min();
  NodeId cursor_{};            // who was audited last, in the order of ids
  std::vector<Audit> audits_;  // at most one for each relay
  std::vector<Doubt> doubts_;
};

}  // namespace peer_relay
