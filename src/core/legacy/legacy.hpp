// SPDX-License-Identifier: MIT
//
// Our node as a member of a network of npm peer-relay 0.0.2: the life of its links, where its
// messages go, whom of it to be linked to. The texts are old_message.hpp's.
//
// Old nodes choose their ids and prove nothing, so they live in tables of this room alone: none is
// a peer, a contact or a hop of our own overlay, none may carry the id of a node that we know there
// (or ours), and what comes from one reaches the application marked so.
//
// Where we depart from what an old node does:
// - ids go out as hex also when we relay, which gives our neighbours the return paths that their
//   own spelling denies them;
// - a message whose target we have a link to goes there and nowhere else;
// - links are asked for a sign of life, and closed without one; whom we have dialed is dialed
//   again; neighbours are sought on a timer, not only when somebody tells of some;
// - nonces, paths, candidates, offers and queues have bounds, and age.
//
// Bridges: peers of our own overlay that do the same. Old messages cross the links to them in
// frames of their own (wire/legacy.hpp), and they tell us which old nodes they are linked to; so
// islands of old nodes meet through us.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/lru_map.hpp"
#include "base/random.hpp"
#include "base/ring.hpp"
#include "base/token_bucket.hpp"
#include "core/early_candidates.hpp"
#include "core/legacy/old_message.hpp"
#include "core/legacy/seen_nonces.hpp"
#include "core/outbox.hpp"
#include "core/wire/legacy.hpp"
#include "peer_relay/limits.hpp"
#include "peer_relay/time.hpp"

namespace peer_relay {

class Legacy {
 public:
  struct Options {
    Duration ping_after = limits::ping_after;
    Duration link_dead_after = limits::link_dead_after;
    Duration handshake_timeout = limits::handshake_timeout;
    std::uint64_t relay_bytes_per_second = 0;
    std::uint64_t relay_frames_per_second = 0;
    bool makes_channels = false;  ///< WebRTC data channels
  };

  /// What the engine knows of our own overlay.
  struct Surroundings {
    /// Whether that id is a node's of our overlay: linked, or known by a signed contact.
    bool (*is_native)(const void* context, const NodeId& id) = nullptr;
    /// The URL at which others can dial us; empty without one.
    std::string (*own_url)(const void* context) = nullptr;
    const void* context = nullptr;
  };

  Legacy(const NodeId& self, Random random, Options options, Surroundings surroundings);
  ~Legacy();

  // ---- From the host ----------------------------------------------------------------------------

  struct LinkStart {
    std::optional<DialId> dial;  ///< ours, or the other side's if nothing
    std::string remote;          ///< for people
    std::string remote_host;     ///< the other side's IP address
  };

  /// A channel on which the other side's id is due. We show ours when we have seen it.
  void opened(LinkId link, LinkStart start, TimePoint now, Outbox& out);
  void received(LinkId link, std::string_view text, TimePoint now, Outbox& out);
  void writable(LinkId link);
  void closed(LinkId link, CloseReason reason, TimePoint now, Outbox& out);
  bool owns(LinkId link) const { return links_.contains(link); }

  /// Dials of this room have numbers that no other dials have.
  static bool owns(DialId dial);
  void dial_failed(DialId dial, DialError error, TimePoint now, Outbox& out);
  /// A node of our own overlay answered there. A bootstrap address comes back, for whom it is now.
  std::optional<Address> dial_met_native(DialId dial);

  // ---- Data channels (channels.cpp) ---------------------------------------------------------

  /// Negotiations of this room have numbers that no other negotiations have.
  static bool owns(NegotiationId id);
  /// Our offer or answer, with all candidates in it.
  void described(NegotiationId id, std::string_view sdp, TimePoint now, Outbox& out);
  void channel_failed(NegotiationId id, DialError error, Outbox& out);
  /// False if it is not wanted any more.
  bool channel_opened(NegotiationId id, LinkId link, LinkStart start, TimePoint now, Outbox& out);

  // ---- From the engine ----------------------------------------------------------------------

  /// An address at which an old node answered, to be looked after from now on.
  void adopt(const Address& address, bool is_bootstrap, LinkId link);

  /// A peer of our own overlay is linked, and perhaps carries old messages, too; or no longer.
  void peer_up(const NodeId& peer, bool is_bridge, TimePoint now, Outbox& out);
  void peer_down(const NodeId& peer);
  void handle(const NodeId& bridge, const LegacyFrame& frame, TimePoint now, Outbox& out);

  /// A text or an end that can leave now.
  struct Outgoing {
    LinkId link{};
    Bytes text;
    std::optional<CloseReason> then_close;
    bool has_text = false;
  };
  std::optional<Outgoing> next_outgoing(TimePoint now);

  void wake(TimePoint now, Outbox& out);
  TimePoint next_wake() const { return wake_at_; }

  /// Closes all links. Nothing is opened after it.
  void shut_down(Outbox& out);

  // ---- From the application -----------------------------------------------------------------

  /// Whether the old network has shown us that id, and lately.
  bool knows(const NodeId& id, TimePoint now) const;
  bool is_linked(const NodeId& id) const;
  bool has_neighbours() const { return !neighbours_.empty(); }

  /// Best effort; waits for a first neighbour, if there is none. JSON that is none is refused.
  Result<void> send(const NodeId& to, const Payload& payload, TimePoint now, Outbox& out);

  /// NotifyWish::ConnectDone follows exactly once.
  void connect(const NodeId& to, TimePoint now, Outbox& out);
  /// False if there is no such link.
  bool disconnect(const NodeId& peer, Outbox& out);

  // ---- What there is ------------------------------------------------------------------------

  std::size_t links() const { return links_.size(); }
  std::size_t bridges() const { return bridge_count_; }
  std::size_t queued_bytes() const { return queued_bytes_; }
  std::size_t waiting() const { return unsent_.size(); }
  std::vector<Peer> peers(TimePoint now) const;
  std::optional<Peer> peer(const NodeId& id, TimePoint now) const;
  /// Over whom a message for that id would go: a neighbour that knows it, if any does.
  std::optional<NodeId> way_to(const NodeId& id, TimePoint now) const;

 private:
  struct OldLink;
  struct Neighbour {
    std::optional<LinkId> link;  // or a bridge
    TimePoint asked_at{};        // for the nodes around us
    TimePoint heard_at{};
    bool is_proven = false;         // something came by it, so the other side uses it
    std::vector<NodeId> announced;  // by a bridge
    Bytes incoming;                 // pieces of a bridge's text
    bool is_overlong = false;       // the rest of that text is dropped
  };
  struct Candidate {
    TimePoint heard_at{};
    TimePoint offer_at{};  // not before
    Duration pause{};
  };
  struct Path {
    NodeId via{};
    TimePoint learned_at{};
  };
  struct Place {  // an address at which an old node was found
    Address address;
    bool is_bootstrap = false;
    std::optional<NodeId> met;   // a neighbour by now
    std::optional<LinkId> link;  // that is not up yet
    std::optional<DialId> dial;  // under way
    TimePoint dial_at{};
    Duration pause{};
    int failures = 0;
  };
  struct Channel {  // that is being negotiated
    NodeId peer{};
    bool is_ours = false;  // the offer
    bool is_answered = false;
    std::size_t candidates = 0;  // of theirs
    TimePoint deadline{};
  };
  struct Unsent {
    NodeId to{};
    std::string data;
    TimePoint expires{};
  };
  struct Connecting {
    NodeId to{};
    TimePoint deadline{};
  };

  bool is_native(const NodeId& id) const;
  bool is_used(const Neighbour& neighbour, TimePoint now) const;

  // Links.
  OldLink* find(LinkId link);
  const OldLink* find(LinkId link) const;
  void greet(LinkId id, OldLink& link, std::string_view text, TimePoint now, Outbox& out);
  std::optional<CloseReason> refusal(const NodeId& peer, Outbox& out) const;
  void come_up(LinkId id, OldLink& link, TimePoint now, Outbox& out);
  void end(LinkId id, OldLink& link, CloseReason reason, Outbox& out);
  void lose_neighbour(const NodeId& id, CloseReason reason, Outbox& out);
  bool enqueue(LinkId id, OldLink& link, std::string_view text, bool is_own);
  void touch(LinkId id, OldLink& link);

  // Messages.
  void arrived(const NodeId& by, std::string_view text, TimePoint now, Outbox& out);
  void relay(const legacy::OldMessage& message, const NodeId& by, TimePoint now, Outbox& out);
  void deliver(const legacy::OldMessage& message, const NodeId& by, TimePoint now, Outbox& out);
  std::vector<NodeId> hops_to(const NodeId& target, const std::vector<NodeId>& path,
                              const NodeId* by, TimePoint now) const;
  const NodeId* bridge_to(const NodeId& target) const;
  std::size_t transmit(const std::vector<NodeId>& hops, const std::string& text, bool is_own,
                       Outbox& out);
  void originate(const NodeId& to, std::string_view data, TimePoint now, Outbox& out);
  void release_unsent(TimePoint now, Outbox& out);

  // Members.
  void note_candidate(const NodeId& id, TimePoint now);
  void answer_find_peers(const legacy::OldMessage& message, TimePoint now, Outbox& out);
  void answer_offer(const legacy::OldMessage& message, TimePoint now, Outbox& out);
  void take_answer(const legacy::OldMessage& message, const NodeId& by, TimePoint now, Outbox& out);
  void take_signal(const legacy::OldMessage& message, TimePoint now, Outbox& out);
  void begin_channel(const NodeId& peer, bool is_ours, std::string offer, TimePoint now,
                     Outbox& out);
  void pass_candidate(std::map<NegotiationId, Channel>::iterator at, std::string line, Outbox& out);
  std::map<NegotiationId, Channel>::iterator channel_of(const NodeId& peer);
  void watch_channels(TimePoint now, Outbox& out);
  void ask_around(const NodeId& neighbour, TimePoint now, Outbox& out);
  void populate(TimePoint now, Outbox& out);
  void offer(const NodeId& to, TimePoint now, Outbox& out);
  void tell_bridges(Outbox& out);
  void tell_bridge(const NodeId& bridge, Outbox& out) const;

  // Upkeep.
  void watch_links(TimePoint now, Outbox& out);
  void visit_places(TimePoint now, Outbox& out);
  void place_failed(Place& place, TimePoint now);
  Place* place_of(DialId dial);
  void end_connect(const NodeId& to, std::optional<Error> error, Outbox& out);
  Peer describe(const NodeId& id, const Neighbour& neighbour, TimePoint now) const;
  void arm(TimePoint at);
  void arm_tick(TimePoint now);

  const NodeId self_;
  Random random_;
  Options options_;
  Surroundings surroundings_;
  bool is_shut_down_ = false;

  std::unordered_map<LinkId, std::unique_ptr<OldLink>> links_;
  std::map<NodeId, Neighbour> neighbours_;  // links that are up, and bridges
  std::size_t bridge_count_ = 0;
  std::size_t queued_bytes_ = 0;
  Ring<LinkId> dirty_;  // links with something to send or to close; each once

  legacy::SeenNonces seen_;
  LruMap<NodeId, Path> paths_;
  LruMap<NodeId, Candidate> candidates_;
  LruMap<NodeId, TimePoint> offered_;          // by us, and not answered yet
  LruMap<NodeId, TimePoint> speakers_;         // of WebRTC: only they are told signals
  LruMap<NodeId, TimePoint> invited_;          // told that they may offer us a channel
  std::map<NegotiationId, Channel> channels_;  // at most legacy::channels_max
  EarlyCandidates early_;
  std::uint64_t last_negotiation_ = 0;
  TokenBucket answers_;

  std::vector<Unsent> unsent_;
  std::size_t unsent_bytes_ = 0;
  std::vector<Connecting> connects_;
  std::vector<Place> places_;
  std::uint64_t last_dial_ = 0;

  bool neighbours_changed_ = false;
  TimePoint populate_at_ = never;
  TimePoint tick_at_ = never;
  TimePoint wake_at_ = never;
};

}  // namespace peer_relay
