// SPDX-License-Identifier: MIT
#include "core/link/links.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <iterator>
#include <utility>

#include "base/assert.hpp"
#include "base/gentle_growth.hpp"

namespace peer_relay {

namespace {

// Enough for the links that are busy at one time; the rest allocate.
constexpr std::size_t buffers_kept = 16;
constexpr std::size_t buffer_kept_bytes_max = 2 * limits::batch_bytes_max;

// Links that fall silent within the same second are looked at together: a node with a hundred idle
// links wakes once a second, not ten times.
constexpr Duration look_together = std::chrono::seconds{1};

TimePoint rounded_up(TimePoint at) {
  const Duration since = at.time_since_epoch() + look_together - Duration{1};
  return TimePoint{since - since % look_together};
}

// A link's note; the last one stands for never.
using Second = std::chrono::duration<std::uint32_t>;

std::uint32_t note_of(TimePoint at) {
  if (at.time_since_epoch() >= Second::max()) return Second::max().count();
  return std::chrono::duration_cast<Second>(at.time_since_epoch()).count();
}

TimePoint time_of(std::uint32_t note) {
  return Second{note} == Second::max() ? never : TimePoint{Second{note}};
}

// Queues of links that have nothing to send just now, for those that have.
constexpr std::size_t queues_kept = 64;
constexpr std::size_t queues_kept_idle = 2;

// Below it, headers of what fills a batch weigh too much.
constexpr std::size_t fill_bytes_min = 1024;

// Links to one peer beside the one to send by. An honest dialer soon ends those that it does not
// want; the other kind can't make us hold more.
constexpr std::size_t surplus_per_peer_max = 2;

enum class Stage : std::uint8_t {
  hello_sent,           // dialer, awaits ACCEPTED or REFUSED
  hello_awaited,        // listener
  finish_awaited,       // listener
  first_batch_awaited,  // dialer: the listener's first batch shows that it took our FINISH
  up,
  leaving,  // our GOODBYE is queued or sent; we still listen for the other's
  ended,    // closed by us, or about to be; nothing more is read or written
};

/// Whether a listener's first batch is sound and lets us in: one without room for us says goodbye
/// in it.
bool is_welcome(MutableBytes batch) {
  FrameReader frames{batch};
  while (const auto frame = frames.next()) {
    if (FrameKind{frame->kind} == FrameKind::goodbye) return false;
  }
  return !frames.is_broken();
}

/// What a link is called by people, in one piece of memory behind its measures: there are many
/// links, and nobody asks often.
class Names {
 public:
  void set(std::string_view remote, std::string_view host, std::string_view agent) {
    // "ws://192.0.2.1:8000/" has the host in it.
    const std::size_t found = remote.find(host);
    const bool is_within = found != std::string_view::npos;
    const std::string_view apart = is_within ? std::string_view{} : host;
    const Measures measures{
        .remote = static_cast<std::uint16_t>(remote.size()),
        .host_at = static_cast<std::uint16_t>(is_within ? found : remote.size()),
        .host = static_cast<std::uint8_t>(host.size()),
        .agent = static_cast<std::uint8_t>(agent.size())};
    auto piece = std::make_unique_for_overwrite<char[]>(sizeof measures + measures.agent_at() +
                                                        agent.size());
    std::memcpy(piece.get(), &measures, sizeof measures);
    char* const text = piece.get() + sizeof measures;
    std::ranges::copy(agent, std::ranges::copy(apart, std::ranges::copy(remote, text).out).out);
    piece_ = std::move(piece);
  }

  std::string_view remote() const { return text(0, measures().remote); }
  std::string_view host() const { return text(measures().host_at, measures().host); }
  std::string_view agent() const { return text(measures().agent_at(), measures().agent); }

 private:
  struct Measures {
    std::uint16_t remote = 0, host_at = 0;
    std::uint8_t host = 0, agent = 0;

    std::size_t agent_at() const { return std::max<std::size_t>(remote, host_at + host); }
  };

  Measures measures() const {
    Measures out;
    std::memcpy(&out, piece_.get(), sizeof out);
    return out;
  }
  std::string_view text(std::size_t at, std::size_t size) const {
    return {piece_.get() + sizeof(Measures) + at, size};
  }

  std::unique_ptr<char[]> piece_;
};

/// Longer ones are cut: no address is, of a host that may have a name or has none.
constexpr std::size_t remote_bytes_max = 512;
constexpr std::size_t host_bytes_max = 255;
static_assert(limits::agent_bytes_max <= 255);

}  // namespace

/// What there is of a link until it is up.
struct Links::Opening {
  std::optional<DialId> dial;
  bool probe = false;
  TimePoint started{};
  Bytes channel_binding;
  Bytes message;  ///< of the handshake; leaves before any batch
  std::optional<noise::Handshake> noise;
  PublicKey key{};
  Bytes contact;
  std::string observed_host;
  bool is_needed = false;  ///< by the other side
  bool carries_legacy = false;
};

/// Batches in the making, plain: the last, and the full ones before it.
struct Links::Queue {
  Bytes filling;
  Ring<Bytes> full;
  std::size_t waiting_bytes = 0;  // in all of them

  /// The oldest; empty without any.
  Bytes take() {
    Bytes oldest = full.empty() ? std::exchange(filling, {}) : full.pop();
    waiting_bytes -= oldest.size();
    return oldest;
  }
};

// Each link of each node has one of these for as long as it lives, so it is kept small.
struct Links::PeerLink {
  LinkId id{};
  NodeId peer{};
  std::chrono::duration<std::uint32_t> unwritable_since{};  // unless writable; rounded up
  std::uint32_t round_trip_us = 0;                          // smoothed; 0: not measured yet
  CloseReason end_reason = CloseReason::transport_closed;
  CloseReason close_reason{};  // with closes_after_flush
  Stage stage : 3 = Stage::hello_awaited;
  bool closes_after_flush : 1 = false;
  bool dialed : 1 = false;
  bool told_up : 1 = false;  // LinkUp was wished for this link, and no LinkDown yet
  bool writable : 1 = true;
  bool is_dirty : 1 = false;
  bool goodbye_received : 1 = false;
  bool knows_peer : 1 = false;
  bool awaits_pong : 1 = false;
  bool wants_fill : 1 = false;  // streams have something to say
  bool fill_is_next : 1 = false;

  TimePoint last_heard{};
  TimePoint mark{};  // while it is up: of the last ping; else the deadline, of handshake or goodbye

  std::unique_ptr<Opening> opening;  // until it is up
  std::unique_ptr<Queue> queue;      // only while something waits
  Names names;
  noise::Ciphers ciphers;
  Tokens relay_bytes;
  Tokens relay_frames;
  std::uint64_t bytes_in = 0, bytes_out = 0, frames_relayed = 0;

  bool is_opening() const {
    return stage == Stage::hello_sent || stage == Stage::hello_awaited ||
           stage == Stage::finish_awaited || stage == Stage::first_batch_awaited;
  }
  bool has_message() const { return opening != nullptr && !opening->message.empty(); }
  bool has_work() const { return has_message() || has_batch() || closes_after_flush; }
  std::size_t waiting_bytes() const { return queue == nullptr ? 0 : queue->waiting_bytes; }
  void close_after_flush(CloseReason reason) {
    closes_after_flush = true;
    close_reason = reason;
  }
  bool has_batch() const { return queue != nullptr || (wants_fill && stage == Stage::up); }
  void note_round_trip(Duration sample) {
    const auto us = static_cast<std::uint64_t>(sample.count());
    const std::uint64_t smoothed =
        round_trip_us == 0 ? us : (std::uint64_t{round_trip_us} * 7 + us) / 8;
    round_trip_us = static_cast<std::uint32_t>(std::min<std::uint64_t>(smoothed, UINT32_MAX));
  }
  /// Names this ping, in the pong that answers it.
  std::uint64_t ping_value() const {
    return static_cast<std::uint64_t>(mark.time_since_epoch().count());
  }
};

Links::Links(const Identity& self, Crypto& crypto, Options options)
    : self_(self),
      crypto_(crypto),
      options_(std::move(options)),
      // A second's worth may come at once.
      relay_bytes_{options_.relay_bytes_per_second, options_.relay_bytes_per_second},
      relay_frames_{options_.relay_frames_per_second, options_.relay_frames_per_second} {}

Links::~Links() = default;

void Links::set_present(Present present, const void* context) {
  present_ = present;
  present_context_ = context;
}

Links::PeerLink* Links::find(LinkId link) { return links_.find(link); }

const Links::PeerLink* Links::find(LinkId link) const { return links_.find(link); }

// ---- Opening ------------------------------------------------------------------------------------

void Links::opened(LinkId id, LinkStart start, TimePoint now, Outbox& out) {
  PeerLink& link = links_.add(id);
  link.dialed = start.dial.has_value();
  link.names.set(std::string_view{start.remote}.substr(0, remote_bytes_max),
                 std::string_view{start.remote_host}.substr(0, host_bytes_max), {});
  link.opening = std::make_unique<Opening>();
  link.opening->dial = start.dial;
  link.opening->probe = start.probe;
  link.opening->started = link.last_heard = now;
  link.opening->channel_binding = std::move(start.channel_binding);
  link.mark = now + options_.handshake_timeout;
  arm(link);
  ++handshakes_;
  if (link.dialed) {
    link.stage = Stage::hello_sent;
    Bytes message;
    encode_hello({.version = protocol_version, .network = options_.network_hash, .noise = {}},
                 message);
    begin_handshake(link, noise::Role::initiator, message);
    const auto written = link.opening->noise->write({}, message);
    PEER_RELAY_ASSERT(written.has_value());
    link.opening->message = std::move(message);
    touch(link);
    return;
  }
  link.stage = Stage::hello_awaited;
  const std::size_t of_host = ++handshakes_by_host_[std::string{link.names.host()}];
  if (handshakes_ > limits::handshakes_max || of_host > limits::handshakes_per_host_max) {
    ++out.stats().refused_connections;
    refuse(link, CloseReason::too_many_handshakes);
  }
}

void Links::begin_handshake(PeerLink& link, noise::Role role, BytesView hello) {
  const BytesView binding = link.opening->channel_binding;
  Bytes prologue(hello.begin(), hello.begin() + Hello::prologue_bytes);
  prologue.insert(prologue.end(), binding.begin(), binding.end());
  link.opening->noise.emplace(noise::HandshakeOptions{.pattern = noise::Pattern::xx,
                                                      .role = role,
                                                      .prologue = prologue,
                                                      .own = self_.keys.agreement(),
                                                      .remote_static = std::nullopt},
                              crypto_);
}

void Links::handle_hello(PeerLink& link, BytesView message, Outbox& out) {
  const auto hello = decode_hello(message);
  if (!hello) {
    out.drop(DropReason::malformed);
    return abort(link, CloseReason::protocol_error, out);
  }
  if (hello->version != protocol_version) return refuse(link, CloseReason::wrong_version);
  if (hello->network != options_.network_hash) return refuse(link, CloseReason::wrong_network);
  begin_handshake(link, noise::Role::responder, message);
  Bytes payload;
  Bytes noise_message;
  if (!link.opening->noise->read(hello->noise, payload) ||
      !link.opening->noise->write(introduction(link), noise_message)) {
    out.drop(DropReason::handshake_failed);
    return abort(link, CloseReason::handshake_failed, out);
  }
  encode_accepted(noise_message, link.opening->message);
  link.stage = Stage::finish_awaited;
  touch(link);
}

void Links::handle_reply(PeerLink& link, BytesView message, TimePoint now, Outbox& out) {
  const auto kind = reply_kind(message);
  if (kind && *kind == HelloReply::refused) {
    const auto refused = decode_refused(message);
    const CloseReason reason = refused ? refused->reason : CloseReason::protocol_error;
    if (reason == CloseReason::wrong_network) {
      out.notify(Problem{Problem::Kind::wrong_network, std::string{link.names.remote()},
                         std::string{refused->network}});
    } else if (reason == CloseReason::wrong_version) {
      out.notify(Problem{Problem::Kind::wrong_version, std::string{link.names.remote()},
                         std::to_string(refused->version)});
    }
    return abort(link, reason, out);
  }
  const auto accepted = decode_accepted(message);
  if (!accepted) {
    out.drop(DropReason::malformed);
    return abort(link, CloseReason::protocol_error, out);
  }
  Bytes payload;
  if (!link.opening->noise->read(accepted->noise, payload) || !accept_introduction(link, payload)) {
    out.drop(DropReason::handshake_failed);
    return abort(link, CloseReason::handshake_failed, out);
  }
  if (link.opening->probe) return abort(link, CloseReason::probe_done, out);
  if (link.peer == self_.id) return abort(link, CloseReason::self, out);
  if (!link.opening->noise->write(introduction(link), link.opening->message) ||
      !finish_handshake(link)) {
    out.drop(DropReason::handshake_failed);
    return abort(link, CloseReason::handshake_failed, out);
  }
  link.stage = Stage::first_batch_awaited;
  link.note_round_trip(now - link.opening->started);
  touch(link);
}

void Links::handle_finish(PeerLink& link, BytesView message, TimePoint now, Outbox& out) {
  Bytes payload;
  if (!link.opening->noise->read(message, payload) || !accept_introduction(link, payload) ||
      !finish_handshake(link)) {
    out.drop(DropReason::handshake_failed);
    return abort(link, CloseReason::handshake_failed, out);
  }
  if (link.peer == self_.id) return abort(link, CloseReason::self, out);
  come_up(link, now, out);
}

bool Links::accept_introduction(PeerLink& link, BytesView payload) {
  const auto introduction = decode_introduction(payload);
  if (!introduction) return false;
  AgreementKey agreement{};
  if (!crypto_.to_agreement(introduction->key, agreement)) return false;
  if (link.opening->noise->remote_static() != agreement) return false;
  link.peer = node_id_of(introduction->key, crypto_);
  link.knows_peer = true;
  const std::string remote{link.names.remote()};
  const std::string host{link.names.host()};
  link.names.set(remote, host, introduction->agent);
  link.opening->key = introduction->key;
  link.opening->is_needed = (introduction->features & feature_needs_link) != 0;
  link.opening->carries_legacy = (introduction->features & feature_legacy) != 0;
  link.opening->observed_host = introduction->observed_host;
  link.opening->contact.assign(introduction->contact.begin(), introduction->contact.end());
  return true;
}

Bytes Links::introduction(const PeerLink& link) const {
  const NodeId* const peer = link.knows_peer ? &link.peer : nullptr;
  const Presentation own =
      present_ != nullptr ? present_(present_context_, peer, link.names.host()) : Presentation{};
  Bytes payload;
  encode_introduction({.key = self_.keys.public_key,
                       .features = feature_relays | (own.is_needed ? feature_needs_link : 0u) |
                                   (options_.carries_legacy ? feature_legacy : 0u),
                       .agent = options_.agent,
                       .observed_host = link.names.host(),
                       .contact = own.contact},
                      payload);
  return payload;
}

bool Links::finish_handshake(PeerLink& link) {
  auto ciphers = link.opening->noise->split();
  if (!ciphers) return false;
  link.ciphers = std::move(*ciphers);
  return true;
}

void Links::come_up(PeerLink& link, TimePoint now, Outbox& out) {
  link.stage = Stage::up;
  end_handshake(link);
  ++out.stats().links_opened;
  // The first frame of either side. The listener's tells the dialer that the link is up, and the
  // answer to it is the first measure of the round trip.
  ping(link, now, out);
  arm(link);

  if (PeerLink* const older = sender_to(link.peer)) {
    PEER_RELAY_ASSERT(older->stage == Stage::up);
    settle_duplicate(*older, link, now, out);
  } else {
    link.told_up = true;
    send_by(link);
    Opening& opening = *link.opening;
    out.wish(LinkUp{.link = link.id,
                    .dial = std::exchange(opening.dial, std::nullopt),
                    .id = link.peer,
                    .key = opening.key,
                    .remote_host = std::string{link.names.host()},
                    .observed_host = std::move(opening.observed_host),
                    .contact = std::move(opening.contact),
                    .is_needed = opening.is_needed,
                    .carries_legacy = opening.carries_legacy});
  }
  // Our last message may still wait for the channel.
  if (!link.has_message()) link.opening.reset();
}

// ---- The link to send by, of each peer ----

Links::PeerLink* Links::sender_to(const NodeId& peer) const {
  const auto at = std::ranges::lower_bound(senders_, peer, {}, &PeerLink::peer);
  return at != senders_.end() && (*at)->peer == peer ? *at : nullptr;
}

void Links::send_by(PeerLink& link) {
  grow_gently(senders_);
  const auto at = std::ranges::lower_bound(senders_, link.peer, {}, &PeerLink::peer);
  if (at != senders_.end() && (*at)->peer == link.peer) {
    *at = &link;
  } else {
    senders_.insert(at, &link);
  }
}

// Both ends must come to the same choice without a word: of two dialers the smaller id's link
// stays. Where one dialer has dialed twice, it alone knows which was the later, and ends the other;
// the listener sends by the newer and waits.
void Links::settle_duplicate(PeerLink& older, PeerLink& newer, TimePoint now, Outbox& out) {
  const bool same_dialer = older.dialed == newer.dialed;
  const bool we_are_smaller = self_.id < newer.peer;
  const bool newer_stays = same_dialer || newer.dialed == we_are_smaller;
  PeerLink& stays = newer_stays ? newer : older;
  PeerLink& goes = newer_stays ? older : newer;
  if (newer_stays) {
    older.told_up = false;
    older.wants_fill = false;  // its end would be told to nobody
    newer.told_up = true;
    surplus_.push_back(older.id);
    send_by(newer);
    out.wish(LinkMoved{.id = newer.peer, .link = newer.id, .dialed = newer.dialed});
  }
  // The dial that made the newer one, if it was ours, has come to its end either way.
  if (newer.opening->dial) {
    out.wish(LinkDown{.link = newer.id,
                      .dial = std::exchange(newer.opening->dial, std::nullopt),
                      .last_of = std::nullopt,
                      .met = newer.peer,
                      .reason = CloseReason::duplicate});
  }
  if (!same_dialer || stays.dialed) return leave(goes, CloseReason::duplicate, now, out);
  const auto is_of_peer = [&](LinkId id) { return find(id)->peer == newer.peer; };
  if (static_cast<std::size_t>(std::ranges::count_if(surplus_, is_of_peer)) >
      surplus_per_peer_max) {
    leave(*find(*std::ranges::find_if(surplus_, is_of_peer)), CloseReason::duplicate, now, out);
  }
}

// The other side says goodbye for the sake of a link that we have dialed, and its first batch there
// is still on its way: that link is up at the other end, so it is here.
void Links::come_up_instead_of(const PeerLink& leaver, TimePoint now, Outbox& out) {
  PeerLink* successor = nullptr;
  for (const auto& link : links_) {
    if (link->stage != Stage::first_batch_awaited || link->peer != leaver.peer) continue;
    if (successor == nullptr || link->id > successor->id) successor = link.get();
  }
  if (successor != nullptr) come_up(*successor, now, out);
}

void Links::end_handshake(PeerLink& link) {
  PEER_RELAY_ASSERT(handshakes_ > 0);
  --handshakes_;
  if (!link.dialed) forget_handshake_of(std::string{link.names.host()});
}

void Links::forget_handshake_of(const std::string& host) {
  const auto at = handshakes_by_host_.find(host);
  PEER_RELAY_ASSERT(at != handshakes_by_host_.end());
  if (--at->second == 0) handshakes_by_host_.erase(at);
  if (handshakes_by_host_.empty()) handshakes_by_host_ = {};  // the memory of a crowd, too
}

// ---- Receiving ----

std::optional<FrameReader> Links::received(LinkId id, MutableBytes message, TimePoint now,
                                           Outbox& out) {
  PeerLink* const link = find(id);
  if (link == nullptr) return std::nullopt;  // closed while these bytes were on their way
  if (message.size() > limits::batch_bytes_max) {
    out.drop(DropReason::malformed);
    abort(*link, CloseReason::protocol_error, out);
    return std::nullopt;
  }
  link->bytes_in += message.size();
  out.stats().bytes_in += message.size();
  switch (link->stage) {
    case Stage::hello_awaited:
      handle_hello(*link, message, out);
      return std::nullopt;
    case Stage::hello_sent:
      handle_reply(*link, message, now, out);
      return std::nullopt;
    case Stage::finish_awaited:
      handle_finish(*link, message, now, out);
      return std::nullopt;
    case Stage::first_batch_awaited:
    case Stage::up:
    case Stage::leaving:
      return open_batch(*link, message, now, out);
    case Stage::ended:
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<FrameReader> Links::open_batch(PeerLink& link, MutableBytes message, TimePoint now,
                                             Outbox& out) {
  if (link.goodbye_received) return std::nullopt;
  const auto opened = link.ciphers.receive.open({}, message, message, crypto_);
  if (!opened) {
    out.drop(DropReason::seal_broken);
    abort(link, CloseReason::protocol_error, out);
    return std::nullopt;
  }
  link.last_heard = now;
  ++out.stats().batches_in;
  // Up before its frames are walked over: they are as good as later ones.
  if (link.stage == Stage::first_batch_awaited && is_welcome(*opened)) come_up(link, now, out);
  return FrameReader{*opened};
}

void Links::handle(LinkId id, const Frame& frame, TimePoint now, Outbox& out) {
  PeerLink* const link = find(id);
  if (link == nullptr || link->stage == Stage::ended) return;
  switch (FrameKind{frame.kind}) {
    case FrameKind::ping: {
      const auto value = decode_ping(frame.body);
      if (!value) return out.drop(DropReason::malformed);
      // A flood of pings must not grow us: what does not fit the reserve is not answered.
      if (Bytes* const batch = has_room(id, frame_header_bytes + 8, true)
                                   ? batch_for(id, frame_header_bytes + 8)
                                   : nullptr) {
        append_ping(FrameKind::pong, *value, *batch);
        ++out.stats().frames_out;
      }
      return;
    }
    case FrameKind::pong: {
      const auto value = decode_ping(frame.body);
      if (!value) return out.drop(DropReason::malformed);
      if (!link->awaits_pong || *value != link->ping_value()) return;
      link->awaits_pong = false;
      link->note_round_trip(now - link->mark);
      return;
    }
    case FrameKind::goodbye: {
      const auto reason = decode_goodbye(frame.body);
      if (!reason) return out.drop(DropReason::malformed);
      link->goodbye_received = true;
      if (*reason == CloseReason::duplicate && link->told_up) come_up_instead_of(*link, now, out);
      if (link->stage != Stage::leaving) {
        link->end_reason = *reason;
        leave(*link, *reason, now, out);
      }
      link->close_after_flush(link->end_reason);
      touch(*link);
      return;
    }
    default:
      PEER_RELAY_ASSERT(!"a frame for another room");
  }
}

void Links::batch_done(LinkId id, bool broken, Outbox& out) {
  PeerLink* const link = find(id);
  if (link == nullptr || !broken) return;
  out.drop(DropReason::malformed);
  abort(*link, CloseReason::protocol_error, out);
}

void Links::writable(LinkId id) {
  PeerLink* const link = find(id);
  if (link == nullptr) return;
  link->writable = true;
  if (link->has_work()) touch(*link);
}

void Links::closed(LinkId id, CloseReason reason, Outbox& out) {
  PeerLink* const found = links_.find(id);
  if (found == nullptr) return;
  PeerLink& link = *found;
  if (link.is_opening()) end_handshake(link);
  // A channel that the other side closed after its goodbye, or after ours, ended for that reason.
  const bool ended_by_us = link.stage == Stage::ended || link.stage == Stage::leaving;
  const CloseReason truth = ended_by_us ? link.end_reason : reason;
  queued_bytes_ -= link.waiting_bytes();
  link.end_reason = truth;
  tell_gone(link, out);
  ++out.stats().links_closed;
  ++out.stats().closed[static_cast<std::size_t>(truth)];
  if (link.opening != nullptr && link.opening->dial) {  // ours, and it never came up
    out.wish(LinkDown{.link = id,
                      .dial = link.opening->dial,
                      .last_of = std::nullopt,
                      .met = link.knows_peer ? std::optional{link.peer} : std::nullopt,
                      .reason = truth});
  }
  links_.erase(id);
}

std::optional<LinkStart> Links::hand_over(LinkId id) {
  PeerLink* const found = links_.find(id);
  if (found == nullptr || found->stage != Stage::hello_awaited) return std::nullopt;
  PeerLink& link = *found;
  end_handshake(link);
  LinkStart start{.dial = std::nullopt,
                  .remote = std::string{link.names.remote()},
                  .remote_host = std::string{link.names.host()},
                  .channel_binding = {}};
  links_.erase(id);
  return start;
}

// ---- Leaving ----

void Links::close(const CloseWish& wish, TimePoint now, Outbox& out) {
  if (PeerLink* const link = find(wish.link)) {
    link->end_reason = wish.reason;
    if (link->stage == Stage::up || link->stage == Stage::first_batch_awaited) {
      leave(*link, wish.reason, now, out);
    } else if (link->stage != Stage::leaving) {
      abort(*link, wish.reason, out);
    }
  }
}

void Links::close_all(CloseReason reason, TimePoint now, Outbox& out) {
  std::vector<LinkId> all;
  for (const auto& link : links_) all.push_back(link->id);
  std::ranges::sort(all);  // goodbyes in an order that can be repeated
  for (const LinkId id : all) close({.link = id, .reason = reason}, now, out);
}

// Says goodbye behind all that waits, and goes on listening: what the other side has sent before it
// hears of it still arrives.
void Links::leave(PeerLink& link, CloseReason reason, TimePoint now, Outbox& out) {
  if (link.stage == Stage::leaving || link.stage == Stage::ended) return;
  if (link.is_opening()) {  // a dialer that hears goodbye in the first batch
    end_handshake(link);
    link.opening->noise.reset();
  }
  link.stage = Stage::leaving;
  link.end_reason = reason;
  link.awaits_pong = false;
  link.mark = now + limits::goodbye_timeout;
  arm(link);
  append_goodbye(reason, append_target(link, frame_header_bytes + 1));
  tell_gone(link, out);
}

void Links::refuse(PeerLink& link, CloseReason reason) {
  encode_refused(
      {.reason = reason,
       .version = protocol_version,
       .network = reason == CloseReason::wrong_network ? std::string_view{options_.network}
                                                       : std::string_view{}},
      link.opening->message);
  link.close_after_flush(reason);
  link.end_reason = reason;
  end_handshake(link);
  link.stage = Stage::ended;
  link.opening->noise.reset();
  touch(link);
}

// Ends at once; what waits is lost.
void Links::abort(PeerLink& link, CloseReason reason, Outbox& out) {
  if (link.stage == Stage::ended) return;
  if (link.is_opening()) end_handshake(link);
  if (link.stage != Stage::leaving || reason != CloseReason::goodbye_timeout) {
    link.end_reason = reason;
  }
  link.stage = Stage::ended;
  queued_bytes_ -= link.waiting_bytes();
  link.queue.reset();
  link.wants_fill = false;
  if (link.opening != nullptr) {
    link.opening->message.clear();
    link.opening->noise.reset();
  }
  link.close_after_flush(link.end_reason);
  tell_gone(link, out);
  touch(link);
}

// From now on nothing is sent by this link. Its peer is lost unless there is another to it.
void Links::tell_gone(PeerLink& link, Outbox& out) {
  std::erase(surplus_, link.id);
  if (!link.told_up) return;
  link.told_up = false;
  senders_.erase(std::ranges::lower_bound(senders_, link.peer, {}, &PeerLink::peer));
  for (const LinkId id : surplus_) {
    PeerLink* const other = find(id);
    if (other->peer != link.peer) continue;
    std::erase(surplus_, id);
    other->told_up = true;
    send_by(*other);
    return out.wish(LinkMoved{.id = other->peer, .link = id, .dialed = other->dialed});
  }
  out.wish(LinkDown{.link = link.id,
                    .dial = std::nullopt,
                    .last_of = link.peer,
                    .met = link.peer,
                    .reason = link.end_reason});
}

// ---- Sending ----

bool Links::has_room(LinkId id, std::size_t bytes, bool is_control) const {
  const PeerLink* const link = find(id);
  if (link == nullptr || link->stage != Stage::up) return false;
  const std::size_t bound =
      limits::link_queue_bytes_max - (is_control ? 0 : limits::link_queue_reserve_bytes);
  return link->waiting_bytes() + bytes <= bound;
}

Bytes* Links::batch_for(LinkId id, std::size_t frame_bytes) {
  PeerLink* const link = find(id);
  if (link == nullptr || link->stage != Stage::up) return nullptr;
  return &append_target(*link, frame_bytes);
}

Bytes& Links::append_target(PeerLink& link, std::size_t frame_bytes) {
  PEER_RELAY_ASSERT(frame_bytes <= batch_plain_bytes_max);
  if (link.queue == nullptr) {
    link.queue = fresh_queue();
    link.queue->filling = fresh_buffer();
  } else if (link.queue->filling.size() + frame_bytes > batch_plain_bytes_max) {
    link.queue->full.push(std::exchange(link.queue->filling, fresh_buffer()));
  }
  link.queue->waiting_bytes += frame_bytes;
  queued_bytes_ += frame_bytes;
  touch(link);
  return link.queue->filling;
}

bool Links::may_relay(LinkId id, std::size_t bytes, TimePoint now) {
  PeerLink* const link = find(id);
  if (link == nullptr) return false;
  if (!link->relay_frames.take(1, relay_frames_, now)) return false;
  if (!link->relay_bytes.take(bytes, relay_bytes_, now)) return false;
  ++link->frames_relayed;
  return true;
}

void Links::send(const FrameWish& frame, Outbox& out) {
  const std::size_t bytes = frame_header_bytes + frame.body.size();
  if (!has_room(frame.link, bytes, true)) return out.drop(DropReason::queue_full);
  append_frame(frame.kind, frame.body, *batch_for(frame.link, bytes));
  ++out.stats().frames_out;
}

std::optional<Outgoing> Links::next_outgoing(TimePoint now, Outbox& out) {
  while (!dirty_.empty()) {
    PeerLink* const link = find(dirty_.pop());
    if (link == nullptr) continue;
    link->is_dirty = false;
    Outgoing outgoing{.link = link->id, .message = {}, .then_close = {}, .has_message = false};
    if (link->writable && link->has_message()) {
      outgoing.message = std::exchange(link->opening->message, {});
      outgoing.has_message = true;
      if (!link->is_opening() && !link->opening->dial) link->opening.reset();
    } else if (link->writable && link->has_batch()) {
      outgoing.message = next_batch(*link);
      if (outgoing.message.empty()) {  // what was to fill it is no more
        recycle(std::move(outgoing.message));
        continue;
      }
      if (!seal(*link, outgoing.message)) {
        abort(*link, CloseReason::protocol_error, out);  // 2^64 batches: not in this universe
        continue;
      }
      outgoing.has_message = true;
      ++out.stats().batches_out;
    }
    if (outgoing.has_message) {
      link->bytes_out += outgoing.message.size();
      out.stats().bytes_out += outgoing.message.size();
      link->writable = false;
      link->unwritable_since =
          std::chrono::ceil<decltype(link->unwritable_since)>(now.time_since_epoch());
    }
    if (link->closes_after_flush && !link->has_message() && link->queue == nullptr) {
      link->closes_after_flush = false;
      outgoing.then_close = link->close_reason;
      link->stage = Stage::ended;
    }
    if (outgoing.has_message || outgoing.then_close) return outgoing;
  }
  return std::nullopt;
}

// From the queue, and topped up with what fills.
Bytes Links::next_batch(PeerLink& link) {
  const bool fills = link.wants_fill && link.stage == Stage::up;
  const bool is_crowded = link.queue != nullptr && !link.queue->full.empty();
  Bytes batch;
  if (link.queue != nullptr && !(fills && is_crowded && link.fill_is_next)) {
    batch = link.queue->take();
    if (link.queue->filling.empty()) recycle(std::move(link.queue));
    queued_bytes_ -= batch.size();
    link.fill_is_next = true;
  } else {
    batch = fresh_buffer();
    link.fill_is_next = false;
  }
  const std::size_t room = batch_plain_bytes_max - batch.size();
  if (fills && room >= fill_bytes_min) {
    link.wants_fill = fill_(fill_context_, link.peer, batch, room);
  }
  return batch;
}

void Links::want_to_fill(LinkId id) {
  PeerLink* const link = find(id);
  if (link == nullptr || link->stage != Stage::up || link->wants_fill) return;
  link->wants_fill = true;
  touch(*link);
}

void Links::set_fill(Fill fill, void* context) {
  fill_ = fill;
  fill_context_ = context;
}

bool Links::seal(PeerLink& link, Bytes& batch) {
  const std::size_t plain = batch.size();
  batch.resize(plain + tag_bytes);
  return link.ciphers.send.seal({}, BytesView{batch}.first(plain), batch, crypto_).has_value();
}

void Links::touch(PeerLink& link) {
  if (link.is_dirty) return;
  link.is_dirty = true;
  dirty_.push(link.id);
}

Bytes Links::fresh_buffer() {
  if (pool_.empty()) return {};
  Bytes buffer = std::move(pool_.back());
  pool_.pop_back();
  return buffer;
}

std::unique_ptr<Links::Queue> Links::fresh_queue() {
  if (queues_.empty()) return std::make_unique<Queue>();
  std::unique_ptr<Queue> queue = std::move(queues_.back());
  queues_.pop_back();
  return queue;
}

void Links::recycle(std::unique_ptr<Queue> queue) {
  PEER_RELAY_ASSERT(queue->waiting_bytes == 0);
  if (queues_.size() < queues_kept) queues_.push_back(std::move(queue));
}

void Links::foresee(LinkId id, bool is_next) const {
  if (is_next) {
    links_.foresee_value(id);
  } else {
    links_.foresee(id);
  }
}

void Links::recycle(Bytes buffer) {
  if (pool_.size() >= buffers_kept || buffer.capacity() > buffer_kept_bytes_max) return;
  buffer.clear();
  pool_.push_back(std::move(buffer));
}

// ---- Time ----

void Links::wake(TimePoint now, Outbox& out) {
  give_back();
  if (now < next_wake_) return;
  next_wake_ = never;
  std::vector<std::pair<TimePoint, LinkId>> due;
  auto note = links_.notes().begin();
  for (const auto& link : links_) {
    TimePoint at = time_of(*note);
    if (at <= now) {
      at = due_at(*link);
      *note = note_of(at);
    }
    if (at <= now) {
      due.emplace_back(at, link->id);
    } else {
      next_wake_ = std::min(next_wake_, at);
    }
    ++note;
  }
  std::ranges::sort(due);  // in an order that can be repeated
  for (const auto& [at, id] : due) {
    PeerLink& link = *find(id);
    if (link.stage == Stage::up) {
      keep_alive(link, now, out);
    } else {
      abort(link, link.is_opening() ? CloseReason::handshake_timeout : CloseReason::goodbye_timeout,
            out);
    }
    arm(link);
  }
}

// What a moment with much to send took.
void Links::give_back() {
  if (queues_.size() > queues_kept_idle) {
    queues_.resize(queues_kept_idle);
    queues_ = std::vector(std::make_move_iterator(queues_.begin()),
                          std::make_move_iterator(queues_.end()));
  }
  if (dirty_.empty()) dirty_.trim();
}

// Looks at a link that was silent for long, or can't be written to.
void Links::keep_alive(PeerLink& link, TimePoint now, Outbox& out) {
  const bool is_stalled =
      !link.writable && now - TimePoint{link.unwritable_since} >= options_.link_dead_after;
  if (is_stalled) return abort(link, CloseReason::queue_stalled, out);
  if (now - link.last_heard >= options_.link_dead_after) {
    return abort(link, CloseReason::keepalive_timeout, out);
  }
  ping(link, now, out);
}

// One ping serves both sides. The dialer's comes first, and the listener's only if it does not.
Duration Links::patience_with(const PeerLink& link) const {
  return link.dialed ? options_.ping_after : options_.ping_after * 5 / 4;
}

void Links::ping(PeerLink& link, TimePoint now, Outbox& out) {
  link.mark = now;
  link.awaits_pong = true;
  append_ping(FrameKind::ping, link.ping_value(), append_target(link, frame_header_bytes + 8));
  ++out.stats().frames_out;
}

// When a link must be looked at, if nothing happens to it until then.
TimePoint Links::due_at(const PeerLink& link) const {
  if (link.stage == Stage::ended) return never;
  if (link.stage != Stage::up) return link.mark;
  const Duration dead_after = options_.link_dead_after;
  const TimePoint silent = std::max(link.last_heard, link.mark) + patience_with(link);
  const TimePoint dead = link.last_heard + dead_after;
  const TimePoint stalled = link.writable ? never : TimePoint{link.unwritable_since} + dead_after;
  return rounded_up(std::min({silent, dead, stalled}));
}

// For each link at its new stage. What happens to it then only puts its time off.
void Links::arm(const PeerLink& link) {
  const TimePoint at = due_at(link);
  links_.note(link.id) = note_of(at);
  next_wake_ = std::min(next_wake_, at);
}

// ---- What there is ----

std::optional<LinkId> Links::link_to(const NodeId& peer) const {
  const PeerLink* const link = sender_to(peer);
  return link == nullptr ? std::nullopt : std::optional{link->id};
}

std::string_view Links::remote_host(LinkId id) const {
  const PeerLink* const link = find(id);
  return link == nullptr ? std::string_view{} : link->names.host();
}

std::optional<LinkFacts> Links::facts(LinkId id) const {
  const PeerLink* const link = find(id);
  if (link == nullptr || link->stage != Stage::up) return std::nullopt;
  return LinkFacts{.id = link->peer,
                   .dialed = link->dialed,
                   .remote = link->names.remote(),
                   .remote_host = link->names.host(),
                   .agent = link->names.agent(),
                   .round_trip = Duration{link->round_trip_us},
                   .batches_in = link->ciphers.receive.counter(),
                   .batches_out = link->ciphers.send.counter(),
                   .bytes_in = link->bytes_in,
                   .bytes_out = link->bytes_out,
                   .frames_relayed = link->frames_relayed};
}

}  // namespace peer_relay
