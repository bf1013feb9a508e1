// SPDX-License-Identifier: MIT
//
// A whole engine, a friend of the same make, and two strangers who have keys of their own and say
// anything: raw bytes, and after a good handshake any frame, envelopes under false names, records
// true and altered, what others sent through them once more. The host does as hosts do, in any
// order. Whatever happens: the engine takes it, spins never, holds its bounds, and shuts down.
#include "core/engine/engine.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "../sim/modelled_crypto.hpp"
#include "base/assert.hpp"
#include "base/reader.hpp"
#include "core/link/links.hpp"
#include "core/table/contact.hpp"
#include "core/wire/overlay.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t unix_seconds = 1'800'000'000;
constexpr std::size_t engines = 2;  // the nodes before the strangers
constexpr std::size_t nodes = 4;
constexpr std::size_t channels_max = 40;
constexpr std::size_t kept_frames_max = 16;
// One input empties at most the queues of all links into one batch each, and tells of what is
// bounded by what the input holds.
constexpr int actions_per_input_max = 2000;

Address address_of(std::size_t node) {
  return Address::parse("ws://10.0.0." + std::to_string(node + 1) + ":80").value();
}

struct Stranger {
  Stranger(Crypto& crypto, const NetworkHash& network)
      : identity(make_identity(crypto)),
        links(identity, crypto,
              {.network = "fuzz",
               .network_hash = network,
               .agent = "stranger",
               .relay_bytes_per_second = 1 << 30,
               .relay_frames_per_second = 1 << 30}) {}

  Identity identity;
  Links links;
  Outbox out;
  std::deque<Bytes> heard;  // envelopes that came to it, newest at the back
};

class World {
 public:
  explicit World(BytesView input) : in_(input) {
    const BytesView parts[] = {as_bytes("fuzz")};
    crypto_.hash(parts, network_);
    const std::uint8_t shape = in_.u8();
    for (std::size_t node = 0; node < engines; ++node) {
      identities_[node] = make_identity(crypto_);
      EngineOptions options{.network = "fuzz", .webrtc = true};
      options.unix_ms_at_zero = static_cast<std::int64_t>(unix_seconds * 1000);
      options.limits = {.links_max = 4,
                        .links_hard_max = 6,
                        .leaves_max = 3,
                        .sessions_max = 3,
                        .relay_bytes_per_second = 1 << 16,
                        .relay_frames_per_second = 50};
      if ((shape >> node & 1) != 0) {
        options.listening = {{Scheme::ws, 80}};
        if ((shape >> 7 & 1) != 0) options.listening.push_back({Scheme::tcp, 81});
        if ((shape >> 2 & 1) != 0) options.advertise = {address_of(node)};
        options.listens_on_loopback = (shape >> 3 & 1) != 0;
      }
      if (node == 1 || (shape >> 4 & 1) != 0) options.bootstrap = {address_of(1 - node)};
      if ((shape >> 5 & 1) != 0) options.bootstrap.push_back(address_of(2));
      engines_[node] =
          std::make_unique<Engine>(std::move(options), identities_[node], crypto_, node + 1, now_);
    }
    for (auto& stranger : strangers_) stranger = std::make_unique<Stranger>(crypto_, network_);
    is_on_loopback_ = (shape >> 6 & 1) != 0;
    for (std::size_t node = 0; node < engines; ++node) {
      engines_[node]->start(now_);
      drain(node);
    }
  }

  void run() {
    while (in_.left() > 0 && ++steps_ < 400) {
      step();
      check();
    }
    finish();
  }

 private:
  struct Channel {
    std::array<std::size_t, 2> node{};  // the dialer first
    std::array<std::deque<Bytes>, 2> toward;
    std::array<bool, 2> is_shut{};
  };
  struct PendingDial {
    std::size_t node = 0;
    DialId dial{};
    Address address;
  };

  // ---- What the fuzzer chooses ------------------------------------------------------------------

  void step() {
    const std::uint8_t choice = in_.u8();
    const std::size_t engine = choice & 1;
    const std::size_t stranger = choice & 1;
    switch (choice >> 1 & 31) {
      case 0:
      case 1:
        return open(engines + stranger, in_.u8() & 1, {});
      case 2:
        return raw(engine);
      case 3:
      case 4:
        return carry(pick(), choice & 1);
      case 5:
      case 6:
      case 7:
        return carry_all(20);
      case 8:
        return alter(pick(), choice & 1);
      case 9:
        return end_dial(true);
      case 10:
        return end_dial(false);
      case 11:
        return say_frame(stranger);
      case 12:
      case 13:
      case 14:
        return say_envelope(stranger);
      case 15:
        return say_contacts(stranger);
      case 16:
        return say_again(stranger);
      case 17:
        return say_answer(stranger);
      case 18:
        return say_dial_back(stranger);
      case 19:
        return end_link(stranger);
      case 20:
        return writable(pick(), choice & 1);
      case 21:
        return break_channel(pick());
      case 22:
        return pass(std::chrono::milliseconds{in_.u8()});
      case 23:
        return pass(std::chrono::milliseconds{in_.u16()});
      case 24:
        return pass(std::chrono::seconds{in_.u8()});
      case 25:
        return jump(std::chrono::minutes{in_.u8()});
      case 26:
      case 27:
        return send(engine);
      case 28:
        return connect(engine);
      case 29:
        engines_[engine]->disconnect(any_id(), now_);
        return drain(engine);
      case 30:
        engines_[engine]->trace(any_id(), now_);
        return drain(engine);
      default:
        if (in_.u8() >= 16) return;
        engines_[engine]->shut_down(now_);
        return drain(engine);
    }
  }

  NodeId any_id() {
    const std::uint8_t choice = in_.u8();
    switch (choice & 7) {
      case 0:
      case 1:
        return identities_[0].id;
      case 2:
      case 3:
        return identities_[1].id;
      case 4:
        return strangers_[0]->identity.id;
      case 5:
        return strangers_[1]->identity.id;
      case 6:
        return Random{choice}.id();
      default: {  // beside one of the engines
        NodeId id = identities_[choice >> 3 & 1].id;
        id.bytes[choice >> 4] ^= in_.u8();
        return id;
      }
    }
  }

  LinkId pick() { return LinkId{1 + in_.u8() % std::max<std::uint64_t>(channels_.size(), 1)}; }

  void raw(std::size_t engine) {
    const LinkId link = pick();
    const BytesView bytes = in_.bytes_u8();
    const auto at = channels_.find(link);
    if (at == channels_.end()) return;
    for (std::size_t side = 0; side < 2; ++side) {
      if (at->second.node[side] != engine || at->second.is_shut[side]) continue;
      Bytes message(bytes.begin(), bytes.end());
      engines_[engine]->link_received(link, message, now_);
      return drain(engine);
    }
  }

  void alter(LinkId link, std::size_t side) {
    const std::uint16_t where = in_.u16();
    const std::uint8_t value = in_.u8();
    const auto at = channels_.find(link);
    if (at == channels_.end() || at->second.toward[side].empty()) return;
    Bytes& message = at->second.toward[side].front();
    message[where % message.size()] ^= value;
  }

  void send(std::size_t engine) {
    const NodeId to = any_id();
    const std::uint8_t how = in_.u8();
    const std::uint8_t size = in_.u8();
    Payload payload;
    payload.bytes.resize(size < 250 ? size : std::size_t{size} * 255);
    if ((how & 1) != 0) {
      static_cast<void>(engines_[engine]->send(to, std::move(payload), now_));
    } else {
      const AcknowledgedSend promise{.timeout = 100ms * (how >> 2), .probe = (how & 2) != 0};
      static_cast<void>(engines_[engine]->send(to, std::move(payload), promise, now_));
    }
    drain(engine);
  }

  void connect(std::size_t engine) {
    const std::uint8_t how = in_.u8();
    if (how < 128) {
      engines_[engine]->connect(any_id(), now_);
    } else {
      engines_[engine]->connect(address_of(how & 3), now_);
    }
    drain(engine);
  }

  // ---- What strangers say ----

  void say(std::size_t stranger, FrameKind kind, BytesView body) {
    const LinkId link = pick();
    Stranger& speaker = *strangers_[stranger];
    speaker.links.send({.link = link, .kind = kind, .body = {body.begin(), body.end()}},
                       speaker.out);
    drain(engines + stranger);
  }

  void say_frame(std::size_t stranger) {
    const FrameKind kind{in_.u8()};
    const BytesView body = in_.bytes_u8();
    say(stranger, kind, body);
  }

  void say_envelope(std::size_t stranger) {
    const std::uint8_t kind = in_.u8();
    const std::uint8_t how = in_.u8();
    Envelope envelope{.kind = EnvelopeKind{kind},
                      .closest = (how & 1) != 0,
                      .careful = (how & 0x80) != 0,
                      .hops_left = static_cast<std::uint8_t>(how >> 3),
                      .tag = in_.u8(),
                      .target = any_id(),
                      .source = (how & 2) != 0 ? any_id() : strangers_[stranger]->identity.id};
    if ((how & 4) != 0) envelope.via = any_id();
    if ((kind & 0x80) != 0) {
      envelope.kind = EnvelopeKind{static_cast<std::uint8_t>(kind & 0x7f)};
      envelope.home = any_id();
    }
    Bytes body;
    switch (envelope.kind) {
      case EnvelopeKind::lookup:
        encode_lookup({.nonce = in_.u8(),
                       .wanted = static_cast<std::uint8_t>(1 + (how >> 4)),
                       .contact = (how & 8) != 0 ? record(stranger) : BytesView{}},
                      body);
        break;
      case EnvelopeKind::unreachable:
        encode_unreachable({.reason = UnreachableReason{static_cast<std::uint8_t>(1 + how % 4)},
                            .kind = EnvelopeKind{in_.u8()},
                            .tag = in_.u8(),
                            .target = any_id()},
                           body);
        break;
      default: {
        const BytesView bytes = in_.bytes_u8();
        body.assign(bytes.begin(), bytes.end());
      }
    }
    envelope.body = body;
    Bytes frame;
    append_route_frame(envelope, frame);
    say(stranger, FrameKind::route, BytesView{frame}.subspan(frame_header_bytes));
  }

  /// A record of a stranger's, with addresses good and bad; now and then altered, or of the friend.
  BytesView record(std::size_t stranger) {
    const std::uint8_t how = in_.u8();
    const Identity& signer =
        (how & 1) != 0 ? strangers_[stranger]->identity : identities_[how >> 1 & 1];
    ContactRecord contact{.key = signer.keys.public_key,
                          .transports = static_cast<std::uint8_t>(how >> 7),
                          .sequence = in_.u8(),
                          .expiry = static_cast<std::uint64_t>(unix_seconds + 60 * in_.u8()),
                          .addresses = {}};
    if ((how & 4) != 0) contact.addresses.push_back(address_of(how >> 3 & 3));
    if ((how & 8) != 0) contact.addresses.push_back(Address::parse("ws://127.0.0.1:9").value());
    if ((how & 16) != 0) contact.addresses.push_back(Address::parse("tcp://8.8.8.8:9").value());
    records_.push_back(sign_contact(contact, network_, signer, crypto_));
    Bytes& encoded = records_.back();
    if ((how & 0x60) == 0x60) encoded[in_.u8() % encoded.size()] ^= in_.u8();
    return encoded;
  }

  /// A record of somebody new: a peer may know many that nobody else knows.
  BytesView invented_record() {
    const Identity somebody = make_identity(crypto_);
    ContactRecord contact{.key = somebody.keys.public_key,
                          .transports = 0,
                          .sequence = 1,
                          .expiry = unix_seconds + 80'000,
                          .addresses = {address_of(in_.u8() & 7)}};
    records_.push_back(sign_contact(contact, network_, somebody, crypto_));
    return records_.back();
  }

  void say_contacts(std::size_t stranger) {
    records_.clear();
    NeighbourContacts contacts{.purpose =
                                   ContactsPurpose{static_cast<std::uint8_t>(1 + in_.u8() % 3)}};
    const std::uint8_t count = in_.u8();
    for (int i = 0; i < count % 17; ++i) {
      contacts.contacts.push_back(count < 128 ? record(stranger) : invented_record());
    }
    Bytes body;
    encode_neighbour_contacts(contacts, body);
    say(stranger, FrameKind::contacts, body);
  }

  /// What it was given to pass on, on any link and altered a little.
  void say_again(std::size_t stranger) {
    auto& heard = strangers_[stranger]->heard;
    const std::uint8_t which = in_.u8();
    const std::uint8_t where = in_.u8();
    const std::uint8_t value = in_.u8();
    if (heard.empty()) return;
    Bytes body = heard[which % heard.size()];
    if ((which & 0x80) != 0) body[where % body.size()] ^= value;
    say(stranger, FrameKind::route, body);
  }

  /// An answer to a question that was put to it.
  void say_answer(std::size_t stranger) {
    records_.clear();
    const std::uint8_t count = in_.u8();
    for (const Bytes& heard : strangers_[stranger]->heard) {
      const auto asked = decode_envelope(heard);
      if (!asked || asked->kind != EnvelopeKind::lookup) continue;
      const auto lookup = decode_lookup(asked->body);
      if (!lookup) continue;
      LookupAnswer answer{.nonce = lookup->nonce, .contacts = {}};
      for (int i = 0; i < count % 17; ++i) {
        answer.contacts.push_back(count < 128 ? record(stranger) : invented_record());
      }
      Bytes body;
      encode_lookup_answer(answer, body);
      Bytes frame;
      append_route_frame({.kind = EnvelopeKind::contacts,
                          .target = asked->source,
                          .source = strangers_[stranger]->identity.id,
                          .body = body},
                         frame);
      return say(stranger, FrameKind::route, BytesView{frame}.subspan(frame_header_bytes));
    }
  }

  void say_dial_back(std::size_t stranger) {
    Bytes body;
    const std::uint8_t how = in_.u8();
    if ((how & 1) != 0) {
      encode_dial_back({.token = how,
                        .scheme = Scheme{static_cast<std::uint8_t>(how >> 1 & 1)},
                        .port = in_.u8()},
                       body);
      return say(stranger, FrameKind::dial_back, body);
    }
    encode_dial_back_result({.token = how, .reached = (how & 2) != 0}, body);
    say(stranger, FrameKind::dial_back_result, body);
  }

  void end_link(std::size_t stranger) {
    const LinkId link = pick();
    const CloseReason reason{static_cast<std::uint8_t>(in_.u8() % 12)};
    strangers_[stranger]->links.close({link, reason}, now_, strangers_[stranger]->out);
    drain(engines + stranger);
  }

  // ---- The host ----

  std::string host_of(std::size_t node) const {
    return is_on_loopback_ ? "127.0.0.1" : address_of(node).host;
  }

  void open(std::size_t dialer, std::size_t listener, std::optional<DialId> dial) {
    if (channels_.size() == channels_max) {
      if (dial) fail(dialer, *dial);
      return;
    }
    const LinkId link{channels_.size() + 1};
    channels_[link] = {.node = {dialer, listener}, .toward = {}, .is_shut = {}};
    opened(listener, link, {}, dialer);
    opened(dialer, link, dial ? dial : std::optional{DialId{1000 + channels_.size()}}, listener);
    drain(listener);
    drain(dialer);
  }

  void opened(std::size_t node, LinkId link, std::optional<DialId> dial, std::size_t other) {
    if (node < engines) {
      engines_[node]->link_opened(link,
                                  {.dial = dial,
                                   .remote = "somewhere",
                                   .remote_host = host_of(other),
                                   .channel_binding = {}},
                                  now_);
    } else {
      Stranger& stranger = *strangers_[node - engines];
      stranger.links.opened(link,
                            {.dial = dial,
                             .remote = "somewhere",
                             .remote_host = host_of(other),
                             .channel_binding = {}},
                            now_, stranger.out);
    }
  }

  void end_dial(bool well) {
    const std::uint8_t which = in_.u8();
    if (dials_.empty()) return;
    const auto at = dials_.begin() + static_cast<std::ptrdiff_t>(which % dials_.size());
    const PendingDial pending = *at;
    dials_.erase(at);
    for (std::size_t node = 0; well && node < nodes; ++node) {
      if (node != pending.node && pending.address == address_of(node)) {
        return open(pending.node, node, pending.dial);
      }
    }
    fail(pending.node, pending.dial);
  }

  void fail(std::size_t node, DialId dial) {
    if (node >= engines) return;
    engines_[node]->dial_failed(dial, DialError::refused, now_);
    drain(node);
  }

  void drain(std::size_t node) {
    if (node < engines) {
      drain_engine(node);
    } else {
      drain_stranger(node);
    }
    // What the host learns while it acts it tells later.
    while (!closing_.empty()) {
      const auto [side_node, link, reason] = closing_.front();
      closing_.pop_front();
      shut(side_node, link, reason);
    }
  }

  void drain_engine(std::size_t node) {
    Engine& engine = *engines_[node];
    int actions = 0;
    while (auto action = engine.next_action()) {
      PEER_RELAY_ASSERT(++actions < actions_per_input_max);
      if (auto* const transmit = std::get_if<Transmit>(&*action)) {
        put(node, transmit->link, std::move(transmit->batch));
      } else if (const auto* const dial = std::get_if<Dial>(&*action)) {
        PEER_RELAY_ASSERT(dial->address.reach() != Reach::nowhere);
        dials_.push_back({node, dial->dial, dial->address});
      } else if (const auto* const what = std::get_if<Negotiate>(&*action)) {
        PEER_RELAY_ASSERT(what->text.size() <= limits::description_bytes_max);
        // Some hosts describe themselves, some fail, some never say another word.
        const auto id = static_cast<std::uint64_t>(what->negotiation);
        const bool asks =
            what->step == NegotiateWish::Step::offer || what->step == NegotiateWish::Step::answer;
        if (asks && id % 3 == 0) engine.negotiation_described(what->negotiation, "v=0", now_);
        if (asks && id % 3 == 0) engine.negotiation_candidate(what->negotiation, "", now_);
        if (asks && id % 3 == 1) {
          engine.negotiation_failed(what->negotiation, DialError::bad_description, now_);
        }
        if (what->step == NegotiateWish::Step::take) {
          engine.negotiation_failed(what->negotiation, DialError::ice_failed, now_);
        }
      } else if (const auto* const close = std::get_if<CloseLink>(&*action)) {
        closing_.emplace_back(node, close->link, close->reason);
      }
    }
  }

  void drain_stranger(std::size_t node) {
    Stranger& stranger = *strangers_[node - engines];
    while (auto outgoing = stranger.links.next_outgoing(now_, stranger.out)) {
      if (outgoing->has_message) put(node, outgoing->link, std::move(outgoing->message));
      if (outgoing->then_close) {
        closing_.emplace_back(node, outgoing->link, *outgoing->then_close);
      }
    }
    while (!stranger.out.empty()) static_cast<void>(stranger.out.take());
  }

  void put(std::size_t from, LinkId link, Bytes message) {
    Channel& channel = channels_.at(link);
    const std::size_t side = channel.node[0] == from ? 1 : 0;
    PEER_RELAY_ASSERT(message.size() <= limits::batch_bytes_max && !message.empty());
    channel.toward[side].push_back(std::move(message));
  }

  void shut(std::size_t node, LinkId link, CloseReason reason) {
    Channel& channel = channels_.at(link);
    const std::size_t side = channel.node[0] == node ? 0 : 1;
    if (std::exchange(channel.is_shut[side], true)) return;
    channel.toward[side].clear();
    if (node < engines) {
      engines_[node]->link_closed(link, reason, now_);
    } else {
      strangers_[node - engines]->links.closed(link, reason, strangers_[node - engines]->out);
    }
    drain(node);
  }

  void carry(LinkId link, std::size_t side) {
    const auto at = channels_.find(link);
    if (at == channels_.end() || at->second.is_shut[side]) return;
    Channel& channel = at->second;
    const std::size_t node = channel.node[side];
    if (channel.toward[side].empty()) {
      if (channel.is_shut[1 - side]) shut(node, link, CloseReason::transport_closed);
      return;
    }
    Bytes message = std::move(channel.toward[side].front());
    channel.toward[side].pop_front();
    receive(node, link, message);
    const std::size_t other = channel.node[1 - side];
    if (other < engines) engines_[other]->recycle(std::move(message));
    writable(link, 1 - side);
  }

  void receive(std::size_t node, LinkId link, Bytes& message) {
    if (node < engines) {
      engines_[node]->link_received(link, message, now_);
      return drain(node);
    }
    Stranger& stranger = *strangers_[node - engines];
    if (auto batch = stranger.links.received(link, message, now_, stranger.out)) {
      while (const auto frame = batch->next()) {
        const FrameKind kind{frame->kind};
        if (kind == FrameKind::ping || kind == FrameKind::pong || kind == FrameKind::goodbye) {
          stranger.links.handle(link, *frame, now_, stranger.out);
        } else if (kind == FrameKind::route && !frame->body.empty()) {
          if (stranger.heard.size() == kept_frames_max) stranger.heard.pop_front();
          stranger.heard.emplace_back(frame->body.begin(), frame->body.end());
        }
      }
      stranger.links.batch_done(link, batch->is_broken(), stranger.out);
    }
    drain(node);
  }

  void writable(LinkId link, std::size_t side) {
    const auto at = channels_.find(link);
    if (at == channels_.end() || at->second.is_shut[side]) return;
    const std::size_t node = at->second.node[side];
    if (node < engines) {
      engines_[node]->link_writable(link, now_);
    } else {
      strangers_[node - engines]->links.writable(link);
    }
    drain(node);
  }

  void carry_all(int rounds) {
    for (int round = 0; round < rounds; ++round) {
      bool moved = false;
      for (std::uint64_t link = 1; link <= channels_.size(); ++link) {
        for (std::size_t side = 0; side < 2; ++side) {
          moved = moved || !channels_.at(LinkId{link}).toward[side].empty();
          carry(LinkId{link}, side);
        }
      }
      if (!moved) return;
    }
  }

  void break_channel(LinkId link) {
    const auto at = channels_.find(link);
    if (at == channels_.end()) return;
    for (const std::size_t node : at->second.node) shut(node, link, CloseReason::transport_error);
  }

  // ---- Time ----

  void pass(Duration duration) {
    const TimePoint end = now_ + duration;
    for (;;) {
      TimePoint next = never;
      for (const auto& engine : engines_) next = std::min(next, engine->next_wake());
      if (next > end) break;
      now_ = std::max(now_, next);
      wake();
    }
    now_ = end;
  }

  /// As after a machine's sleep: all that was due is due at once.
  void jump(Duration duration) {
    now_ += duration;
    wake();
  }

  void wake() {
    for (std::size_t node = 0; node < engines; ++node) {
      engines_[node]->wake(now_);
      drain(node);
      PEER_RELAY_ASSERT(engines_[node]->next_wake() > now_);  // else it spins
    }
    for (std::size_t node = engines; node < nodes; ++node) {
      strangers_[node - engines]->links.wake(now_, strangers_[node - engines]->out);
      drain(node);
    }
  }

  // ---- What must hold ----

  void check() {
    for (std::size_t node = 0; node < engines; ++node) {
      const Stats stats = engines_[node]->stats();
      PEER_RELAY_ASSERT(stats.queued_bytes <=
                        channels_.size() * (limits::link_queue_bytes_max + 1024));
      PEER_RELAY_ASSERT(stats.links <= 6 + 3 && stats.sessions <= 3);
      PEER_RELAY_ASSERT(stats.handshakes <= channels_.size());
      PEER_RELAY_ASSERT(engines_[node]->peers(now_).size() == stats.links);
      PEER_RELAY_ASSERT(engines_[node]->peer_cache().size() <= limits::peer_cache_max);
    }
    PEER_RELAY_ASSERT(dials_.size() <= 1000);
  }

  void finish() {
    while (!dials_.empty()) {
      const PendingDial pending = dials_.back();
      dials_.pop_back();
      fail(pending.node, pending.dial);
      if (++steps_ > 2000) break;  // each failure may bring the next
    }
    for (std::size_t node = 0; node < engines; ++node) {
      engines_[node]->shut_down(now_);
      drain(node);
    }
    pass(60s);
    for (std::size_t node = 0; node < engines; ++node) {
      PEER_RELAY_ASSERT(engines_[node]->is_shut_down());
      const Stats stats = engines_[node]->stats();
      PEER_RELAY_ASSERT(stats.queued_bytes == 0 && stats.handshakes == 0 && stats.links == 0);
    }
  }

  Reader in_;
  sim::Entropy entropy_{1};
  sim::ModelledCrypto crypto_{entropy_};
  NetworkHash network_{};
  TimePoint now_{100s};
  std::array<Identity, engines> identities_;
  std::array<std::unique_ptr<Engine>, engines> engines_;
  std::array<std::unique_ptr<Stranger>, nodes - engines> strangers_;
  std::map<LinkId, Channel> channels_;
  std::deque<PendingDial> dials_;
  std::deque<std::tuple<std::size_t, LinkId, CloseReason>> closing_;
  std::deque<Bytes> records_;  // those that views of the frame in the making look into
  bool is_on_loopback_ = false;
  int steps_ = 0;
};

}  // namespace
}  // namespace peer_relay

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  peer_relay::World{{data, size}}.run();
  return 0;
}
