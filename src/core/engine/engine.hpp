// SPDX-License-Identifier: MIT
//
// The heart of a node, without sockets, threads or clocks. A host tells it what happened and what
// time it is, then takes its actions out until there are none and wakes it when it asks:
//
//   engine.link_received(link, batch, now);
//   while (auto action = engine.next_action()) host.perform(std::move(*action));
//   host.wake_at(engine.next_wake());
//
// (drive.hpp holds that loop.) One thread runs one engine. The same calls at the same times, with
// the same crypto port and seed, give the same actions: no decision depends on anything else.
//
// This room wires the others together: each input goes to the room that it concerns, each wish to
// the room or the host that can grant it. What should be done is decided in those rooms.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/exchange.hpp"
#include "core/crypto/crypto.hpp"
#include "core/crypto/identity.hpp"
#include "core/outbox.hpp"
#include "peer_relay/bytes.hpp"
#include "peer_relay/events.hpp"
#include "peer_relay/limits.hpp"
#include "peer_relay/time.hpp"

namespace peer_relay {

/// Contact records that the engines of one process hold in common; for hosts with many of them.
class ContactPool;
std::shared_ptr<ContactPool> make_contact_pool();

/// An application's send that wants to know.
struct AcknowledgedSend {
  Duration timeout = limits::acknowledged_timeout;
  bool probe = false;
};

struct EngineOptions {
  std::string network = "peer-relay";
  std::string agent = "peer-relay";
  std::vector<Address> bootstrap;
  std::vector<Address> advertise;     ///< as configured; empty: find out
  std::vector<ListenPort> listening;  ///< what others could dial; the first is everybody's
  bool listens_on_loopback = false;   ///< 127.0.0.1 or ::1 reaches those ports
  std::vector<Bytes>
      cached_contacts;  ///< what peer_cache() gave before; may be too old to be valid
  Limits limits;
  Duration handshake_timeout = limits::handshake_timeout;
  Duration ping_after = limits::ping_after;
  Duration link_dead_after = limits::link_dead_after;
  std::int64_t unix_ms_at_zero = 0;  ///< the wall clock, in ms since 1970, at TimePoint{}
  bool legacy = false;               ///< a member of networks of npm peer-relay 0.0.2, too
  /// Speaks npm peer-exchange 0.4.1, too: the network's name is its network id. Nodes of that kind
  /// are told apart by their first bytes; those that come are let in by transports that
  /// exchange_accept() names.
  bool old_exchange = false;
  bool webrtc = false;  ///< the host makes data channels: Negotiate comes
  std::shared_ptr<ContactPool> contact_pool = {};  ///< may be null
};

/// An envelope of others, as it passes by a node.
struct Passing {
  const NodeId& target;
  bool is_lookup = false;  ///< for whoever is closest to the target
  bool goes_on = false;    ///< honest nodes forward it; else its way ends here
};

/// What a liar makes of one.
enum class Lie : std::uint8_t {
  none,           ///< what honest nodes do
  swallow,        ///< it disappears, and nobody is told
  deny,           ///< the target is said to be unreachable
  send_anywhere,  ///< to any peer
  usurp,          ///< as if we were the one that it is for
};

/// For worlds with liars in them. No host of a real node sets one.
using Liar = std::function<Lie(const Passing&)>;
/// Whom a liar tells others of; nobody else, whatever it is asked.
using Accomplice = std::function<bool(const NodeId&)>;

/// How a link came to be.
struct LinkOrigin {
  std::optional<DialId> dial;  ///< ours, or the other side's if nothing
  std::string remote;          ///< URL dialed or "ip:port", for people
  std::string remote_host;     ///< the other side's IP address, in text
  Bytes channel_binding;       ///< for the handshake's prologue; empty but for WebRTC
  std::optional<NegotiationId> negotiation = {};  ///< of a data channel; then `dial` is nothing
  bool may_be_old = false;  ///< dialed by us, and whoever answered does not say it is one of us
};

// Actions.
struct Transmit {
  LinkId link{};
  Bytes batch;           ///< one whole message; the buffer may come back by recycle()
  bool is_text = false;  ///< for an old node
};
struct Dial {
  DialId dial{};
  Address address;
  /// The channel carries bytes without messages, and whoever answers need not be of our kind:
  /// what comes is told by link_received_stream.
  bool is_stream = false;
};
/// What the host's data channels have to do. A negotiation ends by link_opened, by
/// negotiation_failed, or with the step `abandon`, about which the host says nothing more.
struct Negotiate {
  NegotiationId negotiation{};
  NegotiateWish::Step step = NegotiateWish::Step::offer;
  std::string text;
  bool trickles = true;    ///< else candidates stand in our description, which waits for them
  bool is_stream = false;  ///< as with Dial; with the steps offer and answer
};
struct CloseLink {
  LinkId link{};
  CloseReason reason = CloseReason::shutdown;  ///< what is transmitted already still leaves
};
struct Notify {
  decltype(NotifyWish::event) event;
};
using Action = std::variant<Transmit, Dial, Negotiate, CloseLink, Notify>;

class Engine {
 public:
  Engine(EngineOptions options, const Identity& identity, Crypto& crypto, std::uint64_t seed,
         TimePoint now);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const NodeId& id() const;

  // ---- What happened ---------------------------------------------------------------------------

  /// Begins to join. Call it once, when the host listens.
  void start(TimePoint now);
  void link_opened(LinkId link, LinkOrigin origin, TimePoint now);
  /// One that the application has made to somebody by means of its own, instead of
  /// connect(address). NotifyWish::AddressDone follows exactly once, with `name` for an address.
  void link_adopted(LinkId link, LinkOrigin origin, std::string name, TimePoint now);
  /// One message of the link; opened in place, not kept.
  void link_received(LinkId link, MutableBytes message, TimePoint now);
  /// The same of a text message, which is what old nodes send.
  void link_received_text(LinkId link, std::string_view text, TimePoint now);
  /// The next bytes of a channel without messages: one that was dialed or negotiated so, or one
  /// whose dialer began with something else than a node of ours would.
  void link_received_stream(LinkId link, BytesView bytes, ExchangeTransport by, TimePoint now);
  /// All that was transmitted on the link has been taken by the operating system.
  void link_writable(LinkId link, TimePoint now);
  /// Also follows a CloseLink. Unknown links are ignored.
  void link_closed(LinkId link, CloseReason reason, TimePoint now);
  void dial_failed(DialId dial, DialError error, TimePoint now);
  /// Our offer or answer, and then candidates, empty after the last (RFC 8838).
  void negotiation_described(NegotiationId id, std::string_view sdp, TimePoint now);
  void negotiation_candidate(NegotiationId id, std::string_view line, TimePoint now);
  void negotiation_failed(NegotiationId id, DialError error, TimePoint now);
  void wake(TimePoint now);

  void set_liar(Liar liar);
  void set_accomplices(Accomplice accomplices);

  // ---- What the application asks ------------------------------------------------------------

  Result<MessageId> send(const NodeId& to, Payload payload, TimePoint now);
  Result<MessageId> send(const NodeId& to, Payload payload, AcknowledgedSend how, TimePoint now);
  /// NotifyWish::ConnectDone follows exactly once.
  void connect(const NodeId& to, TimePoint now);
  /// NotifyWish::AddressDone follows exactly once.
  void connect(const Address& address, TimePoint now);
  /// On these ports from now on, in place of those of the options.
  void listens(std::vector<ListenPort> ports, bool on_loopback, TimePoint now);
  void disconnect(const NodeId& peer, TimePoint now);
  /// NotifyWish::Traced follows for each hop, under the number returned.
  std::uint64_t trace(const NodeId& to, TimePoint now);

  // Byte streams (core/stream). Each verb ignores a stream that is no more; of each that was
  // opened, by us or as NotifyWish::StreamOpened says, NotifyWish::StreamClosed is the last word.
  Result<StreamId> open_stream(const NodeId& to, StreamOptions how, TimePoint now);
  /// All or nothing: false where limits::stream_unsent_bytes_max wait already. Then, and after the
  /// write that filled it, NotifyWish::StreamWritable follows.
  bool stream_write(StreamId stream, Bytes bytes, TimePoint now);
  bool stream_has_room(StreamId stream);
  void stream_finish(StreamId stream, TimePoint now);
  void stream_reset(StreamId stream, StreamEnd end, std::uint32_t code, TimePoint now);
  /// So many bytes of NotifyWish::StreamBytes are done with: as many more may come.
  void stream_consumed(StreamId stream, std::size_t bytes, TimePoint now);

  // Peers of npm peer-exchange (core/exchange); without EngineOptions::old_exchange each request
  // fails and the other verbs do nothing. NotifyWish::ExchangePeerUp tells of each peer, also of
  // those who come by themselves, and NotifyWish::ExchangePeerDown is the last that is heard of it.

  /// Dials a node of that kind. ExchangePeerUp or NotifyWish::ExchangeFailed follows under the
  /// number returned, exactly once.
  ExchangeRequest exchange_connect(const Address& address, TimePoint now);
  /// Asks that peer, or any, for another one, and connects to it; the same follows.
  ExchangeRequest exchange_get_new_peer(std::optional<ExchangePeerId> from, TimePoint now);
  /// All or nothing: false where limits::stream_unsent_bytes_max wait already, and for a peer that
  /// is no more. In the first case, and after the write that filled it, NotifyWish::
  /// ExchangeWritable follows.
  bool exchange_write(ExchangePeerId peer, Bytes bytes, TimePoint now);
  bool exchange_has_room(ExchangePeerId peer) const;
  /// What was written leaves before, as far as it does so within seconds. ExchangePeerDown follows
  /// at once.
  void exchange_close(ExchangePeerId peer, TimePoint now);
  /// So many bytes of NotifyWish::ExchangeBytes are done with. That wire has no credit, so a peer
  /// of which more than Limits::exchange_unread_bytes_max wait for us is lost
  /// (CloseReason::unread).
  void exchange_consumed(ExchangePeerId peer, std::size_t bytes, TimePoint now);
  /// Lets nodes in by this transport, and has peers tell others so. `port` is where the host
  /// listens, and means nothing with webrtc, which takes EngineOptions::webrtc.
  void exchange_accept(ExchangeTransport transport, std::uint16_t port, TimePoint now);
  void exchange_unaccept(ExchangeTransport transport, TimePoint now);

  /// Says goodbye everywhere. When is_shut_down() turns true nothing is left to be said.
  void shut_down(TimePoint now);
  bool is_shut_down() const;

  // ---- What to do -------------------------------------------------------------------------------

  std::optional<Action> next_action();
  /// never, if nothing is due.
  TimePoint next_wake() const;

  // ---- What there is ------------------------------------------------------------------------

  std::vector<Peer> peers(TimePoint now) const;
  std::optional<Peer> peer(const NodeId& id, TimePoint now) const;
  Stats stats() const;
  /// The contacts to start from next time, best first; at most limits::peer_cache_max.
  std::vector<Bytes> peer_cache() const;
  /// Grows whenever peer_cache() would give something new.
  std::uint64_t peer_cache_version() const;
  bool is_joined() const;

  /// Gives a transmitted buffer back, so that a busy link allocates nothing.
  void recycle(Bytes buffer);

  /// For hosts of so many engines that their memory is far away: an input will come soon; then, by
  /// which link; then, that it is the next. Changes nothing but the time that the input takes.
  void foresee() const;
  void foresee(LinkId link, bool is_next) const;

 private:
  struct Rooms;
  std::unique_ptr<Rooms> rooms_;
};

}  // namespace peer_relay
