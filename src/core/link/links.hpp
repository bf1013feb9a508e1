// SPDX-License-Identifier: MIT
//
// The life of each link: hello and handshake, then sealed batches, keepalive and round-trip time,
// the queue of what waits for it, goodbye. And the rule for two links to one peer. Whom to be
// linked to is membership's question; what the frames mean is for the rooms that the engine hands
// them to.
//
// Frames that wait gather in one batch. A batch leaves when the link can be written and the engine
// asks (next_outgoing, after each input): so an idle link sends a frame at once, and a busy one
// shares the cost of a system call and a seal among all frames that came meanwhile.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/id_map.hpp"
#include "base/ring.hpp"
#include "base/token_bucket.hpp"
#include "core/crypto/crypto.hpp"
#include "core/crypto/identity.hpp"
#include "core/noise/handshake.hpp"
#include "core/outbox.hpp"
#include "core/wire/frame.hpp"
#include "core/wire/hello.hpp"
#include "peer_relay/limits.hpp"
#include "peer_relay/time.hpp"

namespace peer_relay {

/// How a channel came to be, as the host tells it.
struct LinkStart {
  std::optional<DialId> dial;  ///< ours, or the other side's if nothing
  bool probe = false;          ///< only to see who answers
  std::string remote;          ///< for people
  std::string remote_host;     ///< IP address; handshakes are counted by it
  Bytes channel_binding;
};

/// A batch or a handshake message that is ready for the channel.
struct Outgoing {
  LinkId link{};
  Bytes message;
  std::optional<CloseReason> then_close;
  bool has_message = true;
};

/// What a link can tell of itself.
struct LinkFacts {
  NodeId id{};
  bool dialed = false;
  std::string_view remote;
  std::string_view remote_host;
  std::string_view agent;
  Duration round_trip{};
  std::uint64_t batches_in = 0, batches_out = 0, bytes_in = 0, bytes_out = 0;
  std::uint64_t frames_relayed = 0;
};

class Links {
 public:
  struct Options {
    std::string network;
    NetworkHash network_hash{};
    std::string agent;
    Duration handshake_timeout = limits::handshake_timeout;
    Duration ping_after = limits::ping_after;
    Duration link_dead_after = limits::link_dead_after;
    std::uint64_t relay_bytes_per_second = 0;
    std::uint64_t relay_frames_per_second = 0;
    bool carries_legacy = false;  ///< said in handshakes
  };

  /// `self` and `crypto` outlive the links.
  Links(const Identity& self, Crypto& crypto, Options options);
  ~Links();

  /// What a handshake says of us.
  struct Presentation {
    BytesView contact{};     ///< our record; may be empty
    bool is_needed = false;  ///< no link to another peer would do
  };
  /// To a peer at `remote_host`; null for the peer while it has not said who it is. Set by the
  /// engine.
  using Present = Presentation (*)(const void* context, const NodeId* peer,
                                   std::string_view remote_host);
  void set_present(Present present, const void* context);

  /// Appends frames for a peer to a batch that is about to leave, at most so many bytes; whether
  /// there is more. Asked where want_to_fill() was called. Set by the engine.
  using Fill = bool (*)(void* context, const NodeId& peer, Bytes& batch, std::size_t bytes_max);
  void set_fill(Fill fill, void* context);

  // ---- From the host ----------------------------------------------------------------------------

  void opened(LinkId link, LinkStart start, TimePoint now, Outbox& out);

  /// Takes one message. An open link's batch comes back opened, to be walked over; each of its
  /// frames goes to handle() or elsewhere, and batch_done() ends it.
  std::optional<FrameReader> received(LinkId link, MutableBytes message, TimePoint now,
                                      Outbox& out);
  /// PING, PONG and GOODBYE.
  void handle(LinkId link, const Frame& frame, TimePoint now, Outbox& out);
  void batch_done(LinkId link, bool broken, Outbox& out);

  void writable(LinkId link);
  void closed(LinkId link, CloseReason reason, Outbox& out);

  /// A link that the other side dialed, and on which nothing was said yet: it is forgotten here, to
  /// be another room's. Nothing for any other link.
  std::optional<LinkStart> hand_over(LinkId link);

  // ---- From the engine ----------------------------------------------------------------------

  /// Whether `bytes` more may wait for this link; our own control traffic may use the reserve.
  bool has_room(LinkId link, std::size_t bytes, bool is_control) const;

  /// The batch in the making, for a frame of so many bytes; check has_room first. Null when the
  /// link takes no more frames.
  Bytes* batch_for(LinkId link, std::size_t frame_bytes);

  /// Whether the link may have this many bytes more forwarded now; counts them.
  bool may_relay(LinkId link, std::size_t bytes, TimePoint now);

  void send(const FrameWish& frame, Outbox& out);

  /// There is something to fill this link's batches with. What waits in the queue and what fills
  /// take turns, where there is more of both than one batch.
  void want_to_fill(LinkId link);

  void close(const CloseWish& wish, TimePoint now, Outbox& out);
  void close_all(CloseReason reason, TimePoint now, Outbox& out);

  /// What can leave now, until there is nothing.
  std::optional<Outgoing> next_outgoing(TimePoint now, Outbox& out);

  void wake(TimePoint now, Outbox& out);
  TimePoint next_wake() const { return next_wake_; }

  void recycle(Bytes buffer);

  /// An input will come by this link (Engine::foresee).
  void foresee(LinkId link, bool is_next) const;

  // ---- What there is ------------------------------------------------------------------------

  /// The link to use for a peer.
  std::optional<LinkId> link_to(const NodeId& peer) const;
  /// The IP address at its other end, at any stage; empty if there is no such link.
  std::string_view remote_host(LinkId link) const;
  std::optional<LinkFacts> facts(LinkId link) const;
  std::size_t size() const { return links_.size(); }
  std::size_t handshakes() const { return handshakes_; }
  std::size_t queued_bytes() const { return queued_bytes_; }

 private:
  struct Opening;
  struct Queue;
  struct PeerLink;

  PeerLink* find(LinkId link);
  const PeerLink* find(LinkId link) const;
  std::optional<FrameReader> open_batch(PeerLink& link, MutableBytes message, TimePoint now,
                                        Outbox& out);
  void begin_handshake(PeerLink& link, noise::Role role, BytesView hello);
  void handle_hello(PeerLink& link, BytesView message, Outbox& out);
  void handle_reply(PeerLink& link, BytesView message, TimePoint now, Outbox& out);
  void handle_finish(PeerLink& link, BytesView message, TimePoint now, Outbox& out);
  bool accept_introduction(PeerLink& link, BytesView payload);
  Bytes introduction(const PeerLink& link) const;
  bool finish_handshake(PeerLink& link);
  void come_up(PeerLink& link, TimePoint now, Outbox& out);
  void settle_duplicate(PeerLink& older, PeerLink& newer, TimePoint now, Outbox& out);
  PeerLink* sender_to(const NodeId& peer) const;
  void send_by(PeerLink& link);
  void come_up_instead_of(const PeerLink& leaver, TimePoint now, Outbox& out);
  void refuse(PeerLink& link, CloseReason reason);
  void leave(PeerLink& link, CloseReason reason, TimePoint now, Outbox& out);
  void abort(PeerLink& link, CloseReason reason, Outbox& out);
  void tell_gone(PeerLink& link, Outbox& out);
  Duration patience_with(const PeerLink& link) const;
  void keep_alive(PeerLink& link, TimePoint now, Outbox& out);
  void ping(PeerLink& link, TimePoint now, Outbox& out);
  TimePoint due_at(const PeerLink& link) const;
  void arm(const PeerLink& link);
  void touch(PeerLink& link);
  void end_handshake(PeerLink& link);
  void forget_handshake_of(const std::string& host);
  Bytes fresh_buffer();
  std::unique_ptr<Queue> fresh_queue();
  void recycle(std::unique_ptr<Queue> queue);
  void give_back();
  Bytes& append_target(PeerLink& link, std::size_t frame_bytes);
  Bytes next_batch(PeerLink& link);
  bool seal(PeerLink& link, Bytes& batch);

  const Identity& self_;
  Crypto& crypto_;
  Options options_;
  Present present_ = nullptr;
  const void* present_context_ = nullptr;
  Fill fill_ = nullptr;
  void* fill_context_ = nullptr;

  TokenRate relay_bytes_;
  TokenRate relay_frames_;

  IdMap<LinkId, PeerLink> links_;   // a note: the second when it is due, at the earliest
  std::vector<PeerLink*> senders_;  // the link to send by for each peer, sorted by the peer's id
  std::unordered_map<std::string, std::size_t> handshakes_by_host_;
  std::size_t handshakes_ = 0;
  std::size_t queued_bytes_ = 0;
  Ring<LinkId> dirty_;           // links with something to send or to close; each once
  std::vector<LinkId> surplus_;  // up, but not the one to send by; few at any time
  std::vector<std::unique_ptr<Queue>> queues_;  // for the next links with something to send
  std::vector<Bytes> pool_;  // empty buffers for the next batches, at most buffers_kept
  // No link is due before this. Links are looked at together, once a second at most, and are
  // dozens: a row of timers would weigh more than it saves.
  TimePoint next_wake_ = never;
};

}  // namespace peer_relay
