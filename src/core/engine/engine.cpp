// SPDX-License-Identifier: MIT
#include "core/engine/engine.hpp"

#include <map>
#include <set>
#include <utility>

#include "base/assert.hpp"
#include "base/prefetch.hpp"
#include "core/delivery/delivery.hpp"
#include "core/exchange/old_exchange.hpp"
#include "core/legacy/legacy.hpp"
#include "core/legacy/undecided.hpp"
#include "core/link/links.hpp"
#include "core/membership/membership.hpp"
#include "core/route/auditor.hpp"
#include "core/route/router.hpp"
#include "core/route/tracer.hpp"
#include "core/session/sessions.hpp"
#include "core/signalling/signalling.hpp"
#include "core/stream/streams.hpp"
#include "core/table/table.hpp"
#include "core/wire/envelope.hpp"
#include "core/wire/legacy.hpp"
#include "core/wire/overlay.hpp"
#include "core/wire/stream.hpp"

namespace peer_relay {

namespace {

NetworkHash hash_of_network(const std::string& name, Crypto& crypto) {
  NetworkHash hash{};
  const BytesView parts[] = {as_bytes(name)};
  crypto.hash(parts, hash);
  return hash;
}

std::uint32_t random_epoch(Crypto& crypto) {
  std::array<std::uint8_t, 4> bytes{};
  crypto.random(bytes);
  return static_cast<std::uint32_t>(bytes[0] | bytes[1] << 8 | bytes[2] << 16) |
         static_cast<std::uint32_t>(bytes[3]) << 24;
}

/// Messages that `delivery` has not numbered: those for old nodes, and those that are undecided.
constexpr MessageId foreign_message = MessageId{1} << 63;

bool is_of_streams(BytesView content) {
  if (content.empty()) return false;
  const auto kind = ContentKind{content.front()};
  return kind == ContentKind::stream_packet || kind == ContentKind::stream_ack;
}

bool is_of_session(EnvelopeKind kind) {
  return kind >= EnvelopeKind::session_open && kind <= EnvelopeKind::session_unknown;
}

}  // namespace

struct Engine::Rooms {
  Rooms(EngineOptions options, const Identity& identity, Crypto& port, std::uint64_t seed,
        TimePoint at);

  // What arrives.
  void frame(LinkId from, const Frame& frame);
  void route(LinkId from, MutableBytes body);
  bool lie(const Envelope& envelope, Step& step);
  void forward(LinkId from, const Envelope& envelope, const Step& step, MutableBytes body);
  void arrived(LinkId from, const Envelope& envelope, MutableBytes body);
  void unreachable(const NodeId& where, const Unreachable& notice);

  // The old network.
  enum class Via : std::uint8_t { ours, old, undecided };
  Via network_of(const NodeId& to) const;
  Result<MessageId> send(const NodeId& to, Payload payload, std::optional<AcknowledgedSend> how,
                         std::optional<MessageId> given);
  Result<MessageId> send_ours(const NodeId& to, Payload payload,
                              std::optional<AcknowledgedSend> how, std::optional<MessageId> given);
  Result<MessageId> send_old(const NodeId& to, const Payload& payload, bool is_acknowledged,
                             std::optional<MessageId> given);
  void decide();
  ExchangeRequest refuse_exchange();
  void old_link_opened(LinkId link, LinkOrigin origin);
  bool exchange_link_opened(LinkId link, const LinkOrigin& origin);

  // What is wished.
  void grant_all();
  void grant(std::monostate) {}
  void grant(RouteWish wish);
  void grant(SealWish wish);
  void grant(const ContentLeft& left) {
    if (!Streams::owns(left.token)) delivery.handle(left, now, out);
  }
  void grant(const ContentFailed& failed) {
    if (Streams::owns(failed.token)) return streams.handle(failed, now, out);
    delivery.handle(failed, now, out);
  }
  void grant(const LinkUp& up);
  void grant(const LinkMoved& moved) {
    membership.handle(moved);
    streams.link_changed(moved.id, now, out);
  }
  void grant(const LinkDown& down);
  void grant(const FrameWish& frame) { links.send(frame, out); }
  void grant(const BridgeWish& wish);
  void grant(PeerFrameWish wish);
  void grant(const CloseWish& wish) { links.close(wish, now, out); }
  void grant(const DialWish& wish);
  void grant(const OfferWish& wish);
  void grant(const OfferFailed& failed) {
    membership.dial_failed(failed.dial, failed.error, now, out);
  }
  void grant(const SignalWish& wish) { delivery.send(wish, now, out); }
  void grant(const SignalDone& done) {
    if (signalling) signalling->handle(done, out);
  }
  void grant(const SignalArrived& arrived);
  void grant(NegotiateWish wish) {
    actions.push(Negotiate{wish.negotiation, wish.step, std::move(wish.text), wish.trickles,
                           wish.is_stream});
  }
  void grant(const StreamsWaiting& wish) {
    if (const LinkedPeer* const peer = table.find(wish.peer)) links.want_to_fill(peer->link);
  }
  void grant(const LinkWanted& wish) { membership.connect(wish.peer, now, out); }
  void grant(NotifyWish wish);

  void drop(const Envelope& envelope, DropReason reason);
  bool transmit(LinkId link, const Envelope& envelope);
  Peer describe(const LinkedPeer& peer) const;

  Crypto& crypto;
  TimePoint now;
  NetworkHash network;
  Random random;
  Outbox out;
  Table table;
  Links links;
  Router router;
  Tracer tracer;
  Membership membership;
  Sessions sessions;
  Delivery delivery;
  Auditor auditor;
  Streams streams;
  std::unique_ptr<Legacy> legacy;
  std::unique_ptr<OldExchange> exchange;
  ExchangeRequest refused_exchanges = 0;   // without it
  std::unique_ptr<Signalling> signalling;  // null without data channels
  Undecided undecided;
  MessageId last_foreign = foreign_message;
  std::map<MessageId, MessageId> given;  // by delivery's; bounded as its acknowledged sends are
  Liar liar;
  std::set<DialId> probes;  // dials that only look who answers; bounded by limits::probes_max
  Ring<Action> actions;
};

Engine::Rooms::Rooms(EngineOptions options, const Identity& identity, Crypto& port,
                     std::uint64_t seed, TimePoint at)
    : crypto(port),
      now(at),
      network(hash_of_network(options.network, port)),
      random(seed),
      table(identity.id),
      links(identity, port,
            {.network = options.network,
             .network_hash = network,
             .agent = options.agent,
             .handshake_timeout = options.handshake_timeout,
             .ping_after = options.ping_after,
             .link_dead_after = options.link_dead_after,
             .relay_bytes_per_second = options.limits.relay_bytes_per_second,
             .relay_frames_per_second = options.limits.relay_frames_per_second,
             .carries_legacy = options.legacy}),
      router(table, random.split(), options.limits.notices_per_second),
      tracer(random.split()),
      membership(identity, table, port, random.split(),
                 {.network = network,
                  .bootstrap = std::move(options.bootstrap),
                  .advertise = std::move(options.advertise),
                  .listening = std::move(options.listening),
                  .listens_on_loopback = options.listens_on_loopback,
                  .cached_contacts = std::move(options.cached_contacts),
                  .limits = options.limits,
                  .unix_ms_at_zero = options.unix_ms_at_zero,
                  .carries_legacy = options.legacy,
                  .makes_channels = options.webrtc,
                  .pool = std::move(options.contact_pool)}),
      sessions(identity, port, random.split(),
               {.network = network,
                .sessions_max = options.limits.sessions_max,
                .unix_ms_at_zero = options.unix_ms_at_zero,
                .started = at}),
      delivery(random.split(), random_epoch(port)),
      auditor(table, random.split(), options.limits.audit_every),
      streams(random.split(),
              {.bytes_max = options.limits.stream_bytes_max,
               .ping_after = options.ping_after,
               // A relay that fell silent is found out first, and then another is taken.
               .dead_after = options.link_dead_after * 4 / 3},
              {.is_linked =
                   [](const void* context, const NodeId& peer) {
                     return static_cast<const Table*>(context)->find(peer) != nullptr;
                   },
               .context = &table}) {
  links.set_fill(
      [](void* context, const NodeId& peer, Bytes& batch, std::size_t bytes_max) {
        auto& rooms = *static_cast<Rooms*>(context);
        return rooms.streams.fill(peer, batch, bytes_max, rooms.out);
      },
      this);
  links.set_present(
      [](const void* context, const NodeId* peer, std::string_view remote_host) {
        const auto& of = *static_cast<const Membership*>(context);
        return Links::Presentation{.contact = of.own_contact(remote_host),
                                   .is_needed = peer != nullptr && of.needs_link_to(*peer)};
      },
      &membership);
  if (options.webrtc) {
    signalling = std::make_unique<Signalling>(
        identity.id, random.split(),
        [](const void* context, const NodeId& peer, bool is_needed) {
          return static_cast<const Membership*>(context)->has_place_for_relay(peer, is_needed);
        },
        &membership);
  }
  if (options.old_exchange) {
    exchange = std::make_unique<OldExchange>(
        random.split(),
        OldExchange::Options{.network = options.network,
                             .makes_channels = options.webrtc,
                             .handshake_timeout = options.handshake_timeout,
                             .unread_bytes_max = options.limits.exchange_unread_bytes_max});
  }
  if (!options.legacy) return;
  legacy = std::make_unique<Legacy>(
      identity.id, random.split(),
      Legacy::Options{.ping_after = options.ping_after,
                      .link_dead_after = options.link_dead_after,
                      .handshake_timeout = options.handshake_timeout,
                      .relay_bytes_per_second = options.limits.relay_bytes_per_second,
                      .relay_frames_per_second = options.limits.relay_frames_per_second,
                      .makes_channels = options.webrtc},
      Legacy::Surroundings{.is_native =
                               [](const void* context, const NodeId& id) {
                                 const auto& of = *static_cast<const Rooms*>(context);
                                 return id == of.table.self() || of.table.find(id) != nullptr ||
                                        of.table.contact(id) != nullptr;
                               },
                           .own_url =
                               [](const void* context) {
                                 return static_cast<const Rooms*>(context)->membership.own_url();
                               },
                           .context = this});
}

std::shared_ptr<ContactPool> make_contact_pool() { return std::make_shared<ContactPool>(); }

Engine::Engine(EngineOptions options, const Identity& identity, Crypto& crypto, std::uint64_t seed,
               TimePoint now)
    : rooms_(std::make_unique<Rooms>(std::move(options), identity, crypto, seed, now)) {}

Engine::~Engine() = default;

const NodeId& Engine::id() const { return rooms_->table.self(); }

// ---- What happened ----

void Engine::set_liar(Liar liar) { rooms_->liar = std::move(liar); }

void Engine::set_accomplices(Accomplice accomplices) {
  rooms_->membership.tell_only_of(std::move(accomplices));
}

void Engine::start(TimePoint now) {
  rooms_->now = now;
  rooms_->membership.start(now, rooms_->out);
  rooms_->auditor.start(now);
}

void Engine::link_opened(LinkId link, LinkOrigin origin, TimePoint now) {
  Rooms& r = *rooms_;
  r.now = now;
  if (r.exchange && r.exchange_link_opened(link, origin)) return;
  if (r.legacy && origin.negotiation && Legacy::owns(*origin.negotiation)) {
    const bool is_wanted = r.legacy->channel_opened(*origin.negotiation, link,
                                                    {.dial = std::nullopt,
                                                     .remote = std::move(origin.remote),
                                                     .remote_host = std::move(origin.remote_host)},
                                                    now, r.out);
    if (!is_wanted) r.actions.push(CloseLink{link, CloseReason::surplus});
    return;
  }
  if (origin.negotiation) {
    const auto opened = r.signalling->opened(*origin.negotiation, link);
    if (!opened) {
      r.actions.push(CloseLink{link, CloseReason::surplus});
      return;
    }
    origin.dial = opened->dial;
    r.membership.note_channel(true, now, r.out);
  }
  const bool is_probe = origin.dial && r.probes.erase(*origin.dial) > 0;
  if (r.legacy && origin.may_be_old) return r.old_link_opened(link, std::move(origin));
  if (r.legacy && origin.dial && Legacy::owns(*origin.dial)) {
    if (const auto address = r.legacy->dial_met_native(*origin.dial)) {
      r.membership.add_bootstrap(*address);
    }
  }
  r.links.opened(link,
                 {.dial = origin.dial,
                  .probe = is_probe,
                  .remote = std::move(origin.remote),
                  .remote_host = std::move(origin.remote_host),
                  .channel_binding = std::move(origin.channel_binding)},
                 now, r.out);
}

void Engine::link_adopted(LinkId link, LinkOrigin origin, std::string name, TimePoint now) {
  origin.dial = rooms_->membership.adopt(std::move(name));
  link_opened(link, std::move(origin), now);
}

void Engine::link_received(LinkId link, MutableBytes message, TimePoint now) {
  Rooms& r = *rooms_;
  r.now = now;
  // Old nodes send text, and take the same in binary messages.
  if (r.legacy && r.legacy->owns(link)) {
    return r.legacy->received(link, as_text(message), now, r.out);
  }
  auto batch = r.links.received(link, message, now, r.out);
  if (!batch) return;
  while (const auto frame = batch->next()) r.frame(link, *frame);
  r.links.batch_done(link, batch->is_broken(), r.out);
}

// The first message tells which kind of node has dialed us.
void Engine::link_received_text(LinkId link, std::string_view text, TimePoint now) {
  Rooms& r = *rooms_;
  r.now = now;
  if (!r.legacy || !r.legacy->owns(link)) {
    auto start = r.legacy ? r.links.hand_over(link) : std::nullopt;
    if (!start) {
      r.out.drop(DropReason::malformed);
      return r.links.close({.link = link, .reason = CloseReason::protocol_error}, now, r.out);
    }
    r.legacy->opened(link,
                     {.dial = std::nullopt,
                      .remote = std::move(start->remote),
                      .remote_host = std::move(start->remote_host)},
                     now, r.out);
  }
  r.legacy->received(link, text, now, r.out);
}

// True if it is one to a node of npm peer-exchange.
bool Engine::Rooms::exchange_link_opened(LinkId link, const LinkOrigin& origin) {
  const bool is_dialed = origin.dial && OldExchange::owns(*origin.dial);
  const bool is_channel = origin.negotiation && OldExchange::owns(*origin.negotiation);
  if (!is_dialed && !is_channel) return false;
  OldExchange::LinkStart start{
      .dial = origin.dial, .remote = origin.remote, .remote_host = origin.remote_host};
  if (is_dialed) {
    exchange->opened(link, std::move(start), now, out);
  } else if (!exchange->channel_opened(*origin.negotiation, link, std::move(start), now, out)) {
    actions.push(CloseLink{link, CloseReason::surplus});
  }
  return true;
}

// The first bytes tell which kind of node has dialed us.
void Engine::link_received_stream(LinkId link, BytesView bytes, ExchangeTransport by,
                                  TimePoint now) {
  Rooms& r = *rooms_;
  r.now = now;
  if (!r.exchange || !r.exchange->owns(link)) {
    const bool is_welcome = r.exchange && r.exchange->accepts(by);
    auto start = is_welcome ? r.links.hand_over(link) : std::nullopt;
    if (!start) {
      r.out.drop(DropReason::malformed);
      return r.links.close({.link = link, .reason = CloseReason::protocol_error}, now, r.out);
    }
    r.exchange->opened(link,
                       {.dial = std::nullopt,
                        .transport = by,
                        .remote = std::move(start->remote),
                        .remote_host = std::move(start->remote_host)},
                       now, r.out);
  }
  r.exchange->received(link, bytes, now, r.out);
}

// An old node shows its id first; we wait for it, for a hello of ours would end it.
void Engine::Rooms::old_link_opened(LinkId link, LinkOrigin origin) {
  PEER_RELAY_ASSERT(origin.dial.has_value());
  if (!Legacy::owns(*origin.dial)) {
    const auto over = membership.hand_over(*origin.dial, now, out);
    if (!over) {
      actions.push(CloseLink{link, CloseReason::protocol_error});
      return;
    }
    legacy->adopt(over->address, over->is_bootstrap, link);
  }
  legacy->opened(link,
                 {.dial = origin.dial,
                  .remote = std::move(origin.remote),
                  .remote_host = std::move(origin.remote_host)},
                 now, out);
}

void Engine::link_writable(LinkId link, TimePoint now) {
  rooms_->now = now;
  rooms_->links.writable(link);
  if (rooms_->legacy) rooms_->legacy->writable(link);
  if (rooms_->exchange) rooms_->exchange->writable(link);
}

void Engine::link_closed(LinkId link, CloseReason reason, TimePoint now) {
  Rooms& r = *rooms_;
  r.now = now;
  if (r.legacy && r.legacy->owns(link)) return r.legacy->closed(link, reason, now, r.out);
  if (r.exchange && r.exchange->owns(link)) return r.exchange->closed(link, reason, r.out);
  r.links.closed(link, reason, r.out);
  if (r.signalling) r.signalling->link_settled(link, r.out);
}

void Engine::dial_failed(DialId dial, DialError error, TimePoint now) {
  rooms_->now = now;
  rooms_->probes.erase(dial);
  if (rooms_->exchange && OldExchange::owns(dial)) {
    return rooms_->exchange->dial_failed(dial, error, rooms_->out);
  }
  if (rooms_->legacy && Legacy::owns(dial)) {
    return rooms_->legacy->dial_failed(dial, error, now, rooms_->out);
  }
  rooms_->membership.dial_failed(dial, error, now, rooms_->out);
}

void Engine::negotiation_described(NegotiationId id, std::string_view sdp, TimePoint now) {
  rooms_->now = now;
  if (rooms_->exchange && OldExchange::owns(id)) {
    return rooms_->exchange->described(id, sdp, rooms_->out);
  }
  if (rooms_->legacy && Legacy::owns(id)) {
    return rooms_->legacy->described(id, sdp, now, rooms_->out);
  }
  rooms_->signalling->described(id, sdp, now, rooms_->out);
}

void Engine::negotiation_candidate(NegotiationId id, std::string_view line, TimePoint now) {
  rooms_->now = now;
  if (rooms_->exchange && OldExchange::owns(id)) return;  // they stand in the description
  if (rooms_->legacy && Legacy::owns(id)) return;         // likewise
  rooms_->signalling->candidate(id, line, rooms_->out);
}

void Engine::negotiation_failed(NegotiationId id, DialError error, TimePoint now) {
  rooms_->now = now;
  if (rooms_->exchange && OldExchange::owns(id)) {
    return rooms_->exchange->channel_failed(id, error, rooms_->out);
  }
  if (rooms_->legacy && Legacy::owns(id)) {
    return rooms_->legacy->channel_failed(id, error, rooms_->out);
  }
  rooms_->signalling->failed(id, error, rooms_->out);
  if (error == DialError::ice_failed) rooms_->membership.note_channel(false, now, rooms_->out);
}

void Engine::wake(TimePoint now) {
  Rooms& r = *rooms_;
  r.now = now;
  r.out.trim();
  r.actions.trim();
  r.links.wake(now, r.out);
  r.tracer.wake(now, r.out);
  r.membership.wake(now, r.out);
  r.sessions.wake(now, r.out);
  r.delivery.wake(now, r.out);
  r.auditor.wake(now, r.out);
  r.streams.wake(now, r.out);
  if (r.signalling) r.signalling->wake(now, r.out);
  if (r.exchange) r.exchange->wake(now, r.out);
  if (!r.legacy) return;
  r.legacy->wake(now, r.out);
  r.undecided.wake(now, r.out);
}

void Engine::Rooms::frame(LinkId from, const Frame& frame) {
  ++out.stats().frames_in;
  switch (FrameKind{frame.kind}) {
    case FrameKind::route:
      return route(from, frame.body);
    case FrameKind::ping:
    case FrameKind::pong:
    case FrameKind::goodbye:
      return links.handle(from, frame, now, out);
    case FrameKind::contacts: {
      const auto contacts = decode_neighbour_contacts(frame.body);
      if (!contacts) return out.drop(DropReason::malformed);
      const auto facts = links.facts(from);
      const bool is_local = reach_of_host(links.remote_host(from)) == Reach::loopback;
      return membership.handle(*contacts, facts ? &facts->id : nullptr, is_local, now, out);
    }
    case FrameKind::dial_back: {
      const auto request = decode_dial_back(frame.body);
      const auto facts = links.facts(from);
      if (!request) return out.drop(DropReason::malformed);
      if (!facts) return out.drop(DropReason::not_open);
      return membership.handle(*request, facts->id, facts->remote_host, now, out);
    }
    case FrameKind::dial_back_result: {
      const auto result = decode_dial_back_result(frame.body);
      const auto facts = links.facts(from);
      if (!result) return out.drop(DropReason::malformed);
      if (!facts) return out.drop(DropReason::not_open);
      return membership.handle(*result, facts->id, now, out);
    }
    case FrameKind::stream_data:
    case FrameKind::stream_window:
    case FrameKind::stream_reset: {
      const auto facts = links.facts(from);
      if (!facts) return out.drop(DropReason::not_open);
      return streams.handle(facts->id, {FrameKind{frame.kind}, frame.body}, now, out);
    }
    case FrameKind::legacy: {
      if (!legacy) break;
      const auto old = decode_legacy(frame.body);
      const auto facts = links.facts(from);
      if (!old) return out.drop(DropReason::malformed);
      if (!facts) return out.drop(DropReason::not_open);
      return legacy->handle(facts->id, *old, now, out);
    }
  }
  out.drop(DropReason::unknown_frame);
}

void Engine::Rooms::route(LinkId from, MutableBytes body) {
  const auto envelope = decode_envelope(body);
  if (!envelope) return out.drop(DropReason::malformed);
  // Ours, back by a way around, which tells nothing of its target; or somebody's lie.
  if (envelope->source == table.self()) return out.drop(DropReason::forged_source);
  Step step = router.step(*envelope);
  if (liar && !lie(*envelope, step)) return;
  switch (step.act) {
    case Step::Act::deliver:
      return arrived(from, *envelope, body);
    case Step::Act::forward:
      return forward(from, *envelope, step, body);
    case Step::Act::drop:
      return drop(*envelope, step.reason);
  }
}

// False if the envelope is swallowed.
bool Engine::Rooms::lie(const Envelope& envelope, Step& step) {
  const Passing passing{.target = envelope.target,
                        .is_lookup = envelope.closest,
                        .goes_on = step.act == Step::Act::forward};
  switch (liar(passing)) {
    case Lie::none:
      break;
    case Lie::swallow:
      return false;
    case Lie::deny:
      step = {.act = Step::Act::drop, .reason = DropReason::dead_end};
      break;
    case Lie::send_anywhere:
      step = {.act = Step::Act::forward,
              .link = table.peers()[random.below(table.peers().size())].link};
      break;
    case Lie::usurp:
      step = {.act = Step::Act::deliver};
      break;
  }
  return true;
}

// Most of what a relay does: one byte is written, and the rest copied once.
void Engine::Rooms::forward(LinkId from, const Envelope& envelope, const Step& step,
                            MutableBytes body) {
  const std::size_t arrived = frame_header_bytes + body.size();
  const std::size_t bytes = step.drop_via ? arrived - NodeId::size : arrived;
  if (!links.may_relay(from, bytes, now)) return drop(envelope, DropReason::rate_limited);
  if (!links.has_room(step.link, bytes, false)) return drop(envelope, DropReason::queue_full);
  Bytes& batch = *links.batch_for(step.link, bytes);
  if (step.drop_via) {
    Envelope onward = envelope;
    onward.via.reset();
    onward.hops_left = static_cast<std::uint8_t>(envelope.hops_left - 1);
    append_route_frame(onward, batch);
  } else {
    body[envelope_hops_at] = static_cast<std::uint8_t>(envelope.hops_left - 1);
    append_frame(FrameKind::route, body, batch);
  }
  ++out.stats().frames_out;
  ++out.stats().transmissions;
  ++out.stats().envelopes_relayed;
  out.stats().relayed_bytes += bytes;
}

void Engine::Rooms::drop(const Envelope& envelope, DropReason reason) {
  out.drop(reason);
  router.give_notice(envelope, reason, now, out);
}

void Engine::Rooms::arrived(LinkId from, const Envelope& envelope, MutableBytes frame_body) {
  ++out.stats().envelopes_arrived;
  out.stats().hops_arrived += static_cast<std::uint64_t>(hops_crossed(envelope.hops_left));
  const MutableBytes body = frame_body.last(envelope.body.size());
  switch (envelope.kind) {
    case EnvelopeKind::lookup: {
      const auto lookup = decode_lookup(body);
      if (!lookup) return out.drop(DropReason::malformed);
      return membership.handle(envelope, *lookup, now, out);
    }
    case EnvelopeKind::contacts: {
      const auto answer = decode_lookup_answer(body);
      if (!answer) return out.drop(DropReason::malformed);
      if (tracer.answered(envelope.source, answer->nonce, now, out)) return;
      if (!membership.handle(*answer, now, out)) out.drop(DropReason::contact_unwanted);
      return;
    }
    case EnvelopeKind::unreachable: {
      const auto notice = decode_unreachable(body);
      if (!notice) return out.drop(DropReason::malformed);
      return unreachable(envelope.source, *notice);
    }
    case EnvelopeKind::session_open:
    case EnvelopeKind::session_answer:
    case EnvelopeKind::session_finish:
    case EnvelopeKind::session_data:
    case EnvelopeKind::session_unknown: {
      if (auditor.answered(from, envelope, body)) return;
      const auto opened = sessions.handle(envelope, body, now, out);
      if (!opened) return;
      for (const BytesView content : opened->contents) {
        if (is_of_streams(content)) {
          streams.handle(opened->from, content, now, out);
        } else {
          delivery.handle(opened->from, opened->hops_left, content, now, out);
        }
      }
      return;
    }
  }
  out.drop(DropReason::unknown_frame);
}

void Engine::Rooms::unreachable(const NodeId& where, const Unreachable& notice) {
  if (notice.kind == EnvelopeKind::lookup) {
    tracer.unreachable(where, notice, now, out);
    return;
  }
  if (!is_of_session(notice.kind) || auditor.unreachable(notice.tag, now)) return;
  if (sessions.unreachable(notice.tag, notice.reason, where, now, out)) return;
  const bool plausible = membership.is_calm(now) && router.is_plausible_end(where, notice.target);
  if (delivery.unreachable(notice.tag, notice.reason, where, plausible, now, out)) return;
  out.drop(DropReason::notice_unasked);
}

// ---- What the application asks ----

Result<MessageId> Engine::send(const NodeId& to, Payload payload, TimePoint now) {
  rooms_->now = now;
  return rooms_->send(to, std::move(payload), std::nullopt, std::nullopt);
}

Result<MessageId> Engine::send(const NodeId& to, Payload payload, AcknowledgedSend how,
                               TimePoint now) {
  rooms_->now = now;
  return rooms_->send(to, std::move(payload), how, std::nullopt);
}

// What our own overlay knows is its; what only the old network knows goes there.
Engine::Rooms::Via Engine::Rooms::network_of(const NodeId& to) const {
  if (!legacy || table.find(to) != nullptr || table.contact(to) != nullptr) return Via::ours;
  if (legacy->knows(to, now)) return Via::old;
  if (!table.peers().empty()) return Via::ours;
  return legacy->has_neighbours() ? Via::old : Via::undecided;
}

Result<MessageId> Engine::Rooms::send(const NodeId& to, Payload payload,
                                      std::optional<AcknowledgedSend> how,
                                      std::optional<MessageId> as) {
  if (to == table.self()) return std::unexpected(Error::to_self);
  if (payload.bytes.size() > limits::payload_bytes_max) {
    return std::unexpected(Error::payload_too_large);
  }
  switch (network_of(to)) {
    case Via::ours:
      return send_ours(to, std::move(payload), how, as);
    case Via::old:
      // A probe is for nodes that answer one.
      if (how && how->probe) return send_ours(to, std::move(payload), how, as);
      return send_old(to, payload, how.has_value(), as);
    case Via::undecided:
      break;
  }
  Undecided::Held held{.message = ++last_foreign,
                       .to = to,
                       .payload = std::move(payload),
                       .acknowledged = std::nullopt,
                       .expires = now + (how ? how->timeout : limits::acknowledged_timeout)};
  if (how) held.acknowledged = {.timeout = how->timeout, .is_probe = how->probe};
  if (!undecided.hold(std::move(held))) {
    out.drop(DropReason::waiting_full);
    return std::unexpected(Error::queue_full);
  }
  return last_foreign;
}

Result<MessageId> Engine::Rooms::send_ours(const NodeId& to, Payload payload,
                                           std::optional<AcknowledgedSend> how,
                                           std::optional<MessageId> as) {
  if (how) {
    const MessageId message = delivery.send(
        to, std::move(payload), {.timeout = how->timeout, .probe = how->probe}, now, out);
    if (as) given.emplace(message, *as);
    return as.value_or(message);
  }
  const MessageId message = delivery.send(to, std::move(payload), now, out);
  if (message == 0) return std::unexpected(Error::queue_full);
  return as.value_or(message);
}

Result<MessageId> Engine::Rooms::send_old(const NodeId& to, const Payload& payload,
                                          bool is_acknowledged, std::optional<MessageId> as) {
  const auto sent = legacy->send(to, payload, now, out);
  if (!sent && !as) return std::unexpected(sent.error());
  const MessageId message = as ? *as : ++last_foreign;
  if (is_acknowledged) {
    SendResult result{.outcome = SendResult::Outcome::unconfirmed};
    if (!sent) result = {.outcome = SendResult::Outcome::refused, .error = sent.error()};
    out.notify(NotifyWish::SendDone{.message = message, .result = result});
  }
  return message;
}

// Somebody is there: by which network the held ones go is known now.
void Engine::Rooms::decide() {
  if (undecided.empty() || (table.peers().empty() && !legacy->has_neighbours())) return;
  for (Undecided::Held& held : undecided.take_all()) {
    std::optional<AcknowledgedSend> how;
    if (held.acknowledged) {
      how = {.timeout = held.acknowledged->timeout, .probe = held.acknowledged->is_probe};
    }
    static_cast<void>(send(held.to, std::move(held.payload), how, held.message));
  }
}

void Engine::connect(const NodeId& to, TimePoint now) {
  Rooms& r = *rooms_;
  r.now = now;
  if (r.network_of(to) == Rooms::Via::old) return r.legacy->connect(to, now, r.out);
  r.membership.connect(to, now, r.out);
}

void Engine::connect(const Address& address, TimePoint now) {
  rooms_->now = now;
  rooms_->membership.connect(address, now, rooms_->out);
}

void Engine::listens(std::vector<ListenPort> ports, bool on_loopback, TimePoint now) {
  rooms_->now = now;
  rooms_->membership.listens(std::move(ports), on_loopback, now, rooms_->out);
}

void Engine::disconnect(const NodeId& peer, TimePoint now) {
  rooms_->now = now;
  if (rooms_->legacy && rooms_->legacy->disconnect(peer, rooms_->out)) return;
  rooms_->membership.disconnect(peer, now, rooms_->out);
}

std::uint64_t Engine::trace(const NodeId& to, TimePoint now) {
  Rooms& r = *rooms_;
  r.now = now;
  if (r.network_of(to) != Rooms::Via::old) return r.tracer.start(to, now, r.out);
  // Nobody there answers a trace; whom it would be given to is all that there is to tell.
  const std::uint64_t trace = ++r.last_foreign;
  const auto next = r.legacy->way_to(to, now);
  if (next) {
    const TraceHop hop{.hop = 1, .id = *next, .is_target = *next == to, .legacy = true};
    r.out.notify(NotifyWish::Traced{.trace = trace, .hop = hop});
  }
  if (next != to) {
    const TraceHop end{.hop = next ? 2 : 1, .lost = true, .legacy = true};
    r.out.notify(NotifyWish::Traced{.trace = trace, .hop = end});
  }
  return trace;
}

Result<StreamId> Engine::open_stream(const NodeId& to, StreamOptions how, TimePoint now) {
  Rooms& r = *rooms_;
  r.now = now;
  if (to == id()) return std::unexpected(Error::to_self);
  return r.streams.open(
      to, {.label = std::move(how.label), .seeks_link = how.seeks_link, .timeout = how.timeout},
      now, r.out);
}

bool Engine::stream_write(StreamId stream, Bytes bytes, TimePoint now) {
  rooms_->now = now;
  return rooms_->streams.write(stream, std::move(bytes), now, rooms_->out);
}

bool Engine::stream_has_room(StreamId stream) { return rooms_->streams.has_room(stream); }

void Engine::stream_finish(StreamId stream, TimePoint now) {
  rooms_->now = now;
  rooms_->streams.finish(stream, now, rooms_->out);
}

void Engine::stream_reset(StreamId stream, StreamEnd end, std::uint32_t code, TimePoint now) {
  rooms_->now = now;
  rooms_->streams.reset(stream, end, code, now, rooms_->out);
}

void Engine::stream_consumed(StreamId stream, std::size_t bytes, TimePoint now) {
  rooms_->now = now;
  rooms_->streams.consumed(stream, bytes, now, rooms_->out);
}

ExchangeRequest Engine::exchange_connect(const Address& address, TimePoint now) {
  rooms_->now = now;
  if (!rooms_->exchange) return rooms_->refuse_exchange();
  return rooms_->exchange->connect(address, rooms_->out);
}

ExchangeRequest Engine::exchange_get_new_peer(std::optional<ExchangePeerId> from, TimePoint now) {
  rooms_->now = now;
  if (!rooms_->exchange) return rooms_->refuse_exchange();
  return rooms_->exchange->seek_peer(from, now, rooms_->out);
}

ExchangeRequest Engine::Rooms::refuse_exchange() {
  const ExchangeRequest request = ++refused_exchanges;
  out.notify(NotifyWish::ExchangeFailed{.request = request, .why = ExchangeFailure::no_peers});
  return request;
}

bool Engine::exchange_write(ExchangePeerId peer, Bytes bytes, TimePoint now) {
  rooms_->now = now;
  return rooms_->exchange && rooms_->exchange->write(peer, std::move(bytes));
}

bool Engine::exchange_has_room(ExchangePeerId peer) const {
  return rooms_->exchange && rooms_->exchange->has_room(peer);
}

void Engine::exchange_close(ExchangePeerId peer, TimePoint now) {
  rooms_->now = now;
  if (rooms_->exchange) rooms_->exchange->close(peer, now, rooms_->out);
}

void Engine::exchange_consumed(ExchangePeerId peer, std::size_t bytes, TimePoint now) {
  rooms_->now = now;
  if (rooms_->exchange) rooms_->exchange->consumed(peer, bytes);
}

void Engine::exchange_accept(ExchangeTransport transport, std::uint16_t port, TimePoint now) {
  rooms_->now = now;
  if (rooms_->exchange) rooms_->exchange->accept(transport, port, rooms_->out);
}

void Engine::exchange_unaccept(ExchangeTransport transport, TimePoint now) {
  rooms_->now = now;
  if (rooms_->exchange) rooms_->exchange->unaccept(transport, rooms_->out);
}

void Engine::shut_down(TimePoint now) {
  Rooms& r = *rooms_;
  r.now = now;
  r.membership.stop();
  if (r.signalling) r.signalling->stop(r.out);
  r.delivery.abandon_all(now, r.out);
  r.streams.stop(now, r.out);
  r.grant_all();  // what was being said is said before the goodbye
  r.links.close_all(CloseReason::shutdown, now, r.out);
  if (r.legacy) r.legacy->shut_down(r.out);
  if (r.exchange) r.exchange->shut_down(now, r.out);
}

bool Engine::is_shut_down() const {
  return rooms_->links.size() == 0 && (!rooms_->legacy || rooms_->legacy->links() == 0) &&
         (!rooms_->exchange || rooms_->exchange->links() == 0);
}

// ---- What is wished ----

void Engine::Rooms::grant_all() {
  do {
    while (!out.empty()) {
      std::visit([this](auto&& wish) { grant(std::forward<decltype(wish)>(wish)); }, out.take());
    }
    membership.settle(now, out);
    delivery.set_connected(membership.is_joined() && !table.peers().empty(), now, out);
    if (legacy) decide();
  } while (!out.empty());
}

void Engine::Rooms::grant(RouteWish wish) {
  const Envelope envelope{.kind = wish.kind,
                          .closest = wish.closest,
                          .careful = wish.careful,
                          .hops_left = wish.hops_left,
                          .tag = wish.tag,
                          .target = wish.target,
                          .source = table.self(),
                          .via = wish.via,
                          .home = membership.home(),
                          .body = wish.body};
  ++out.stats().envelopes_originated;
  const Step step = wish.first_hop
                        ? router.step_by(*wish.first_hop)
                        : router.first_step(envelope, wish.attempt, membership.has_address());
  // A notice would have told; that there is none may be the first hop's doing.
  if (step.before && !wish.careful) auditor.doubt(*step.before, now);
  if (step.act == Step::Act::forward) {
    Envelope onward = envelope;
    if (step.drop_via) onward.via.reset();
    if (step.set_via) onward.via = step.set_via;
    if (transmit(step.link, onward)) return;
    out.drop(DropReason::queue_full);
  } else if (step.act == Step::Act::deliver) {
    // A lookup for which nobody is closer than ourselves: there is nobody to learn of.
    ++out.stats().envelopes_arrived;
    const auto lookup = decode_lookup(wish.body);
    if (lookup) membership.handle(LookupAnswer{.nonce = lookup->nonce, .contacts = {}}, now, out);
    return;
  } else {
    out.drop(step.reason);
  }
  const auto reason = step.act == Step::Act::forward ? UnreachableReason::queue_full
                      : table.peers().empty()        ? UnreachableReason::no_links
                                                     : UnreachableReason::dead_end;
  unreachable(table.self(),
              {.reason = reason, .kind = wish.kind, .tag = wish.tag, .target = wish.target});
}

bool Engine::Rooms::transmit(LinkId link, const Envelope& envelope) {
  const std::size_t bytes = route_frame_bytes(envelope);
  if (!links.has_room(link, bytes, !is_of_session(envelope.kind))) return false;
  append_route_frame(envelope, *links.batch_for(link, bytes));
  ++out.stats().frames_out;
  ++out.stats().transmissions;
  return true;
}

void Engine::Rooms::grant(SealWish wish) {
  std::optional<PublicKey> key;
  if (const ContactPtr contact = table.contact(wish.to)) key = contact->key();
  sessions.seal(std::move(wish), key, now, out);
}

void Engine::Rooms::grant(const LinkUp& up) {
  membership.handle(up, now, out);
  if (signalling) signalling->link_settled(up.link, out);
  // Not if it was turned away.
  if (table.find(up.id) == nullptr) return;
  streams.link_changed(up.id, now, out);
  if (legacy) legacy->peer_up(up.id, up.carries_legacy, now, out);
}

void Engine::Rooms::grant(const LinkDown& down) {
  membership.handle(down, now, out);
  if (down.last_of) streams.link_changed(*down.last_of, now, out);
  if (legacy && down.last_of) legacy->peer_down(*down.last_of);
}

// All of it or nothing: half a text is worse than none.
void Engine::Rooms::grant(const BridgeWish& wish) {
  const LinkedPeer* const peer = table.find(wish.to);
  if (peer == nullptr) return out.drop(DropReason::not_open);
  const std::size_t pieces = wish.text.size() / legacy_piece_bytes(wish.text.size()) + 1;
  const std::size_t bytes = wish.text.size() + pieces * (frame_header_bytes + 1);
  if (!links.has_room(peer->link, bytes, false)) return out.drop(DropReason::queue_full);
  Bytes body;
  for (BytesView rest = wish.text; !rest.empty();) {
    const std::size_t size = legacy_piece_bytes(rest.size());
    body.clear();
    encode_legacy(LegacyPiece{.is_last = size == rest.size(), .text = rest.first(size)}, body);
    append_frame(FrameKind::legacy, body,
                 *links.batch_for(peer->link, frame_header_bytes + body.size()));
    ++out.stats().frames_out;
    rest = rest.subspan(size);
  }
}

void Engine::Rooms::grant(PeerFrameWish wish) {
  const LinkedPeer* const peer = table.find(wish.to);
  if (peer == nullptr) return out.drop(DropReason::not_open);
  links.send(FrameWish{peer->link, wish.kind, std::move(wish.body)}, out);
}

void Engine::Rooms::grant(NotifyWish wish) {
  if (auto* const done = std::get_if<NotifyWish::SendDone>(&wish.event); done && !given.empty()) {
    if (const auto as = given.extract(done->message)) done->message = as.mapped();
  }
  actions.push(Notify{std::move(wish.event)});
}

void Engine::Rooms::grant(const DialWish& wish) {
  if (wish.probe) probes.insert(wish.dial);
  actions.push(Dial{.dial = wish.dial, .address = wish.address, .is_stream = wish.is_stream});
}

void Engine::Rooms::grant(const OfferWish& wish) {
  if (signalling) return signalling->handle(wish, now, out);
  out.wish(OfferFailed{.dial = wish.dial, .error = DialError::unsupported});
}

void Engine::Rooms::grant(const SignalArrived& arrived) {
  if (!signalling) return out.drop(DropReason::contact_unwanted);
  signalling->handle(arrived, now, out);
}

// ---- What to do ----

std::optional<Action> Engine::next_action() {
  Rooms& r = *rooms_;
  if (r.actions.empty()) r.grant_all();
  if (r.actions.empty()) {
    if (auto outgoing = r.links.next_outgoing(r.now, r.out)) {
      if (outgoing->has_message) {
        r.actions.push(Transmit{outgoing->link, std::move(outgoing->message)});
      }
      if (outgoing->then_close) r.actions.push(CloseLink{outgoing->link, *outgoing->then_close});
    }
  }
  if (r.actions.empty() && r.legacy) {
    if (auto outgoing = r.legacy->next_outgoing(r.now)) {
      if (outgoing->has_text) {
        r.out.stats().bytes_out += outgoing->text.size();
        r.actions.push(Transmit{outgoing->link, std::move(outgoing->text), true});
      }
      if (outgoing->then_close) r.actions.push(CloseLink{outgoing->link, *outgoing->then_close});
    }
  }
  if (r.actions.empty() && r.exchange) {
    if (auto outgoing = r.exchange->next_outgoing(r.out)) {
      if (!outgoing->bytes.empty()) {
        r.actions.push(Transmit{outgoing->link, std::move(outgoing->bytes)});
      }
      if (outgoing->then_close) r.actions.push(CloseLink{outgoing->link, *outgoing->then_close});
    }
  }
  if (r.actions.empty()) return std::nullopt;
  return r.actions.pop();
}

TimePoint Engine::next_wake() const {
  const Rooms& r = *rooms_;
  TimePoint next = std::min({r.links.next_wake(), r.tracer.next_wake(), r.membership.next_wake(),
                             r.sessions.next_wake(), r.delivery.next_wake(), r.auditor.next_wake(),
                             r.streams.next_wake()});
  if (r.signalling) next = std::min(next, r.signalling->next_wake());
  if (r.exchange) next = std::min(next, r.exchange->next_wake());
  return r.legacy ? std::min({next, r.legacy->next_wake(), r.undecided.next_wake()}) : next;
}

// ---- What there is ----

Peer Engine::Rooms::describe(const LinkedPeer& peer) const {
  Peer out_peer{.id = peer.id,
                .dialed = peer.dialed,
                .address = {},
                .agent = {},
                .bucket = common_prefix_bits(table.self(), peer.id),
                .sibling = peer.relays && table.is_sibling(peer.id),
                .age = now - peer.since};
  if (const auto facts = links.facts(peer.link)) {
    out_peer.address = facts->remote;
    out_peer.agent = facts->agent;
    out_peer.round_trip = facts->round_trip;
    out_peer.batches_in = facts->batches_in;
    out_peer.batches_out = facts->batches_out;
    out_peer.bytes_in = facts->bytes_in;
    out_peer.bytes_out = facts->bytes_out;
    out_peer.frames_relayed = facts->frames_relayed;
  }
  return out_peer;
}

std::vector<Peer> Engine::peers(TimePoint now) const {
  rooms_->now = now;
  std::vector<Peer> peers;
  for (const LinkedPeer& peer : rooms_->table.peers()) peers.push_back(rooms_->describe(peer));
  if (rooms_->legacy) {
    for (Peer& peer : rooms_->legacy->peers(now)) peers.push_back(std::move(peer));
  }
  return peers;
}

std::optional<Peer> Engine::peer(const NodeId& id, TimePoint now) const {
  rooms_->now = now;
  const LinkedPeer* const peer = rooms_->table.find(id);
  if (peer == nullptr) return rooms_->legacy ? rooms_->legacy->peer(id, now) : std::nullopt;
  return rooms_->describe(*peer);
}

Stats Engine::stats() const {
  const Rooms& r = *rooms_;
  Stats stats = r.out.stats();
  stats.links = r.table.peers().size();
  stats.handshakes = r.links.handshakes();
  stats.contacts = r.table.contacts();
  stats.sessions = r.sessions.size();
  stats.queued_bytes = r.links.queued_bytes();
  stats.waiting = r.delivery.waiting() + r.sessions.waiting();
  stats.streams = r.streams.size();
  stats.joined = r.membership.is_joined();
  if (r.exchange) stats.queued_bytes += r.exchange->queued_bytes();
  if (r.legacy) {
    stats.legacy_links = r.legacy->links();
    stats.legacy_bridges = r.legacy->bridges();
    stats.queued_bytes += r.legacy->queued_bytes();
    stats.waiting += r.legacy->waiting() + r.undecided.size();
  }
  return stats;
}

std::vector<Bytes> Engine::peer_cache() const { return rooms_->membership.peer_cache(); }

std::uint64_t Engine::peer_cache_version() const { return rooms_->membership.peer_cache_version(); }

bool Engine::is_joined() const { return rooms_->membership.is_joined(); }

void Engine::foresee() const { prefetch(*rooms_); }

void Engine::foresee(LinkId link, bool is_next) const { rooms_->links.foresee(link, is_next); }

void Engine::recycle(Bytes buffer) { rooms_->links.recycle(std::move(buffer)); }

}  // namespace peer_relay
