// SPDX-License-Identifier: MIT
//
// Two nodes that have nothing but links, back to back: what one transmits the other receives when
// the test says so. Time is moved by hand.
#include "core/link/links.hpp"

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <set>
#include <utility>
#include <variant>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.hpp"
#include "base/writer.hpp"
#include "sodium/deterministic_crypto.hpp"

namespace peer_relay {

void PrintTo(CloseReason reason, std::ostream* os) { *os << name_of(reason); }

namespace {

using namespace std::chrono_literals;
using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

NetworkHash hash_of(std::string_view network, Crypto& crypto) {
  NetworkHash hash{};
  const BytesView parts[] = {as_bytes(network)};
  crypto.hash(parts, hash);
  return hash;
}

struct Arrival {
  LinkId link{};
  FrameKind kind{};
  Bytes body;
};

class End {
 public:
  explicit End(std::uint64_t seed, std::string network = "test",
               std::uint64_t relay_bytes_per_second = 1 << 20,
               std::uint64_t relay_frames_per_second = 1000)
      : crypto(seed),
        identity(make_identity(crypto)),
        links(identity, crypto,
              {.network = network,
               .network_hash = hash_of(network, crypto),
               .agent = "test/" + std::to_string(seed),
               .relay_bytes_per_second = relay_bytes_per_second,
               .relay_frames_per_second = relay_frames_per_second}) {}

  const NodeId& id() const { return identity.id; }

  void receive(LinkId link, Bytes message, TimePoint now) {
    if (auto batch = links.received(link, message, now, out)) {
      while (const auto frame = batch->next()) {
        const FrameKind kind{frame->kind};
        if (kind == FrameKind::ping || kind == FrameKind::pong || kind == FrameKind::goodbye) {
          links.handle(link, *frame, now, out);
        } else {
          could_relay.push_back(links.may_relay(link, 1, now));
          frames.push_back({link, kind, {frame->body.begin(), frame->body.end()}});
        }
      }
      links.batch_done(link, batch->is_broken(), out);
    }
    take_wishes();
  }

  /// Checks that what is told of links makes sense together.
  void take_wishes() {
    while (!out.empty()) {
      Wish wish = out.take();
      if (auto* const up = std::get_if<LinkUp>(&wish)) {
        EXPECT_TRUE(told.emplace(up->id, up->link).second) << "up twice";
        if (up->dial) end_dial(*up->dial);
        ups.push_back(std::move(*up));
      } else if (auto* const moved = std::get_if<LinkMoved>(&wish)) {
        ASSERT_TRUE(told.contains(moved->id)) << "moved before it was up";
        EXPECT_NE(told[moved->id], moved->link);
        told[moved->id] = moved->link;
        moves.push_back(*moved);
      } else if (auto* const down = std::get_if<LinkDown>(&wish)) {
        if (down->last_of) {
          ASSERT_TRUE(told.contains(*down->last_of)) << "down before it was up";
          EXPECT_EQ(told[*down->last_of], down->link);
          told.erase(*down->last_of);
        }
        if (down->dial) end_dial(*down->dial);
        EXPECT_TRUE(down->last_of || down->dial) << "tells nothing";
        downs.push_back(*down);
      } else if (auto* const notify = std::get_if<NotifyWish>(&wish)) {
        problems.push_back(std::get<Problem>(notify->event));
      } else {
        ADD_FAILURE() << "a wish that is not for links to have";
      }
    }
  }

  void end_dial(DialId dial) { EXPECT_TRUE(ended_dials.insert(dial).second) << "ended twice"; }

  /// The links that ended for good, by reason.
  std::vector<CloseReason> lost() const {
    std::vector<CloseReason> reasons;
    for (const LinkDown& down : downs) {
      if (down.last_of) reasons.push_back(down.reason);
    }
    return reasons;
  }
  std::uint64_t closed_for(CloseReason reason) const {
    return out.stats().closed[static_cast<std::size_t>(reason)];
  }

  DeterministicCrypto crypto;
  Identity identity;
  Links links;
  Outbox out;
  std::vector<LinkUp> ups;
  std::vector<LinkMoved> moves;
  std::vector<LinkDown> downs;
  std::vector<Problem> problems;
  std::vector<Arrival> frames;  ///< those for other rooms
  std::vector<bool> could_relay;
  std::map<NodeId, LinkId> told;
  std::set<DialId> ended_dials;
};

/// Two ends, the one with the smaller id first, and as many channels between them as are opened. A
/// channel has one number at both ends.
class Wire {
 public:
  explicit Wire(std::uint64_t seed = 1, std::string_view network_of_larger = "test") {
    auto one = std::make_unique<End>(2 * seed);
    auto other = std::make_unique<End>(2 * seed + 1);
    const bool in_order = one->id() < other->id();
    const std::uint64_t larger_seed = in_order ? 2 * seed + 1 : 2 * seed;
    if (!in_order) std::swap(one, other);
    ends[0] = std::move(one);
    ends[1] = std::make_unique<End>(larger_seed, std::string{network_of_larger});
  }

  LinkId open(int dialer, LinkStart start = {}) {
    const LinkId link{++last_};
    channels[link] = {};
    start.remote = "ws://listener";
    start.remote_host = host_of(1 - dialer);
    start.dial = DialId{last_};
    LinkStart answer{.dial = {}, .remote = "dialer:1", .remote_host = host_of(dialer)};
    answer.channel_binding = start.channel_binding;
    ends[1 - dialer]->links.opened(link, std::move(answer), now, ends[1 - dialer]->out);
    ends[dialer]->links.opened(link, std::move(start), now, ends[dialer]->out);
    transmit();
    return link;
  }

  /// A link of the smaller end's dialing that is up.
  LinkId open_and_settle(int dialer = 0) {
    const LinkId link = open(dialer);
    settle();
    return link;
  }

  /// What can leave, leaves; what is to be closed is closed at its own end.
  void transmit() {
    for (int end = 0; end < 2; ++end) {
      Links& links = ends[end]->links;
      while (auto outgoing = links.next_outgoing(now, ends[end]->out)) {
        Channel& channel = channels.at(outgoing->link);
        if (outgoing->has_message) {
          EXPECT_LE(outgoing->message.size(), limits::batch_bytes_max);
          channel.toward[1 - end].push_back(std::move(outgoing->message));
        }
        if (outgoing->then_close) shut(end, outgoing->link, *outgoing->then_close);
      }
      ends[end]->take_wishes();
    }
  }

  bool has_mail(LinkId link, int to) {
    const Channel& channel = channels.at(link);
    return !channel.is_held && !channel.is_shut[to] &&
           (!channel.toward[to].empty() || channel.is_shut[1 - to]);
  }

  /// The next message, or the word that the channel is gone.
  void carry(LinkId link, int to) {
    Channel& channel = channels.at(link);
    if (channel.toward[to].empty()) return shut(to, link, CloseReason::transport_closed);
    Bytes message = std::move(channel.toward[to].front());
    channel.toward[to].pop_front();
    ends[to]->receive(link, std::move(message), now);
    ends[1 - to]->links.writable(link);
    transmit();
  }

  void settle() {
    transmit();
    for (bool moved = true; moved;) {
      moved = false;
      for (auto& [link, channel] : channels) {
        for (int to = 0; to < 2; ++to) {
          while (has_mail(link, to)) {
            carry(link, to);
            moved = true;
          }
        }
      }
    }
  }

  /// Time passes in steps as the timers want it, and nothing else happens but what they do.
  void run_for(Duration duration) {
    const TimePoint end = now + duration;
    for (;;) {
      const TimePoint next = std::min(ends[0]->links.next_wake(), ends[1]->links.next_wake());
      if (next > end) break;
      EXPECT_GE(next, now);
      now = std::max(now, next);
      for (auto& each : ends) {
        each->links.wake(now, each->out);
        EXPECT_GT(each->links.next_wake(), now) << "wakes for nothing";
      }
      settle();
    }
    now = end;
  }

  void break_channel(LinkId link) {
    for (int end = 0; end < 2; ++end) {
      channels.at(link).toward[end].clear();
      shut(end, link, CloseReason::transport_error);
    }
    transmit();
  }

  void put(int from, LinkId link, BytesView body, FrameKind kind = FrameKind::contacts) {
    ends[from]->links.send({.link = link, .kind = kind, .body = {body.begin(), body.end()}},
                           ends[from]->out);
  }

  void close(int end, LinkId link, CloseReason reason) {
    ends[end]->links.close({link, reason}, now, ends[end]->out);
    transmit();
  }

  static std::string host_of(int end) { return end == 0 ? "10.0.0.1" : "10.0.0.2"; }

  struct Channel {
    std::array<std::deque<Bytes>, 2> toward;
    std::array<bool, 2> is_shut{};
    bool is_held = false;  ///< still open, but nothing arrives and nothing can be written
  };
  std::array<std::unique_ptr<End>, 2> ends;
  std::map<LinkId, Channel> channels;
  TimePoint now{100s};

 private:
  void shut(int end, LinkId link, CloseReason reason) {
    Channel& channel = channels.at(link);
    if (std::exchange(channel.is_shut[end], true)) return;
    channel.toward[end].clear();
    ends[end]->links.closed(link, reason, ends[end]->out);
    ends[end]->take_wishes();
  }

  std::uint64_t last_ = 0;
};

void expect_nothing_left(const End& end) {
  EXPECT_EQ(end.links.size(), 0u);
  EXPECT_EQ(end.links.handshakes(), 0u);
  EXPECT_EQ(end.links.queued_bytes(), 0u);
  EXPECT_THAT(end.told, IsEmpty());
}

std::vector<Bytes> bodies(const End& end) {
  std::vector<Bytes> out;
  for (const Arrival& arrival : end.frames) out.push_back(arrival.body);
  return out;
}

Bytes numbered(std::uint64_t number, std::size_t size = 8) {
  Bytes body;
  Writer{body}.u64(number);
  body.resize(std::max(size, body.size()));
  return body;
}

// ---- Handshake ----

TEST(Links, EitherEndHearsOnceWhoTheOtherIs) {
  Wire wire;
  const auto present = [](const void* needed, const NodeId* peer, std::string_view host) {
    const bool is_needed =
        needed != nullptr && peer != nullptr && *peer == *static_cast<const NodeId*>(needed);
    return Links::Presentation{.contact = as_bytes(host), .is_needed = is_needed};
  };
  const NodeId listener = wire.ends[1]->id();
  wire.ends[0]->links.set_present(present, &listener);
  wire.ends[1]->links.set_present(present, nullptr);
  const LinkId link = wire.open_and_settle();
  ASSERT_THAT(wire.ends[0]->ups, SizeIs(1));
  ASSERT_THAT(wire.ends[1]->ups, SizeIs(1));
  const LinkUp& at_dialer = wire.ends[0]->ups.front();
  const LinkUp& at_listener = wire.ends[1]->ups.front();
  EXPECT_EQ(at_dialer.dial, DialId{1});
  EXPECT_EQ(at_dialer.id, wire.ends[1]->id());
  EXPECT_EQ(at_dialer.key, wire.ends[1]->identity.keys.public_key);
  EXPECT_EQ(at_dialer.remote_host, "10.0.0.2");
  EXPECT_EQ(at_dialer.observed_host, "10.0.0.1");
  EXPECT_EQ(as_text(at_dialer.contact), "10.0.0.1") << "the record that was made for this host";
  EXPECT_FALSE(at_listener.dial.has_value());
  EXPECT_EQ(at_listener.id, wire.ends[0]->id());
  EXPECT_EQ(at_listener.observed_host, "10.0.0.2");
  EXPECT_EQ(as_text(at_listener.contact), "10.0.0.2");
  EXPECT_TRUE(at_listener.is_needed);
  EXPECT_FALSE(at_dialer.is_needed);
  for (const auto& end : wire.ends) {
    EXPECT_EQ(end->links.handshakes(), 0u);
    EXPECT_EQ(end->links.queued_bytes(), 0u);
    ASSERT_TRUE(end->links.facts(link).has_value());
  }
  EXPECT_EQ(wire.ends[0]->links.facts(link)->remote, "ws://listener");
  EXPECT_TRUE(wire.ends[0]->links.facts(link)->dialed);
  EXPECT_EQ(wire.ends[1]->links.link_to(wire.ends[0]->id()), link);
}

TEST(Links, AnotherNetworkIsToldByItsName) {
  Wire wire{1, "elsewhere"};
  wire.open_and_settle();
  ASSERT_THAT(wire.ends[0]->problems, SizeIs(1));
  EXPECT_EQ(wire.ends[0]->problems.front().kind, Problem::Kind::wrong_network);
  EXPECT_EQ(wire.ends[0]->problems.front().detail, "elsewhere");
  EXPECT_EQ(wire.ends[0]->problems.front().where, "ws://listener");
  ASSERT_THAT(wire.ends[0]->downs, SizeIs(1));
  EXPECT_EQ(wire.ends[0]->downs.front().reason, CloseReason::wrong_network);
  EXPECT_FALSE(wire.ends[0]->downs.front().met.has_value());
  EXPECT_EQ(wire.ends[1]->closed_for(CloseReason::wrong_network), 1u);
  EXPECT_THAT(wire.ends[1]->downs, IsEmpty()) << "nobody waits for it there";
  for (const auto& end : wire.ends) expect_nothing_left(*end);
}

TEST(Links, AnotherVersionIsToldByItsNumber) {
  Wire wire;
  const LinkId link = wire.open(0);
  wire.channels[link].toward[1].front()[4] = 9;
  wire.settle();
  ASSERT_THAT(wire.ends[0]->problems, SizeIs(1));
  EXPECT_EQ(wire.ends[0]->problems.front().kind, Problem::Kind::wrong_version);
  EXPECT_EQ(wire.ends[0]->problems.front().detail, std::to_string(protocol_version));
  EXPECT_EQ(wire.ends[0]->downs.front().reason, CloseReason::wrong_version);
  EXPECT_EQ(wire.ends[1]->closed_for(CloseReason::wrong_version), 1u);
}

TEST(Links, ANodeThatReachesItselfSaysSo) {
  End alone{1};
  TimePoint now{100s};
  const LinkId dialed{1};
  const LinkId answered{2};
  alone.links.opened(answered, {.remote_host = "127.0.0.1"}, now, alone.out);
  alone.links.opened(dialed, {.dial = DialId{7}, .remote_host = "127.0.0.1"}, now, alone.out);
  std::vector<LinkId> closed;
  while (auto outgoing = alone.links.next_outgoing(now, alone.out)) {
    const LinkId other = outgoing->link == dialed ? answered : dialed;
    alone.links.writable(outgoing->link);
    if (outgoing->has_message) alone.receive(other, std::move(outgoing->message), now);
    if (!outgoing->then_close) continue;
    alone.links.closed(outgoing->link, *outgoing->then_close, alone.out);
    alone.links.closed(other, CloseReason::transport_closed, alone.out);
    alone.take_wishes();
  }
  EXPECT_THAT(alone.ups, IsEmpty());
  ASSERT_THAT(alone.downs, SizeIs(1));
  EXPECT_EQ(alone.downs.front().dial, DialId{7});
  EXPECT_EQ(alone.downs.front().reason, CloseReason::self);
  EXPECT_EQ(alone.downs.front().met, alone.id());
  expect_nothing_left(alone);
}

TEST(Links, AProbeSeesWhoAnswersAndGoes) {
  Wire wire;
  wire.open(0, {.probe = true});
  wire.settle();
  ASSERT_THAT(wire.ends[0]->downs, SizeIs(1));
  EXPECT_EQ(wire.ends[0]->downs.front().met, wire.ends[1]->id());
  EXPECT_EQ(wire.ends[0]->downs.front().reason, CloseReason::probe_done);
  for (const auto& end : wire.ends) {
    EXPECT_THAT(end->ups, IsEmpty());
    expect_nothing_left(*end);
  }
}

/// Dials with a key of its own, and says whatever the test has it say.
struct Stranger {
  Stranger(End& listener, LinkId link, TimePoint now)
      : crypto(99), identity(make_identity(crypto)), prologue(hello_start(listener)) {
    listener.links.opened(link, {.remote_host = "10.0.0.9"}, now, listener.out);
    noise.emplace(noise::HandshakeOptions{.pattern = noise::Pattern::xx,
                                          .role = noise::Role::initiator,
                                          .prologue = prologue,
                                          .own = identity.keys.agreement(),
                                          .remote_static = std::nullopt},
                  crypto);
    Bytes hello = prologue;
    EXPECT_TRUE(noise->write({}, hello).has_value());
    listener.receive(link, hello, now);
    while (const auto outgoing = listener.links.next_outgoing(now, listener.out)) {
      if (outgoing->link != link) continue;
      const auto accepted = decode_accepted(outgoing->message);
      EXPECT_TRUE(accepted.has_value() && noise->read(accepted->noise, introduction).has_value());
    }
    listener.links.writable(link);
  }

  Bytes finish(BytesView payload) {
    Bytes message;
    EXPECT_TRUE(noise->write(payload, message).has_value());
    return message;
  }

  static Bytes hello_start(End& listener) {
    Bytes hello;
    encode_hello(
        {.version = protocol_version, .network = hash_of("test", listener.crypto), .noise = {}},
        hello);
    return hello;
  }

  DeterministicCrypto crypto;
  Identity identity;
  Bytes prologue;
  std::optional<noise::Handshake> noise;
  Bytes introduction;
};

Bytes introduction_with(const PublicKey& key) {
  Bytes payload;
  encode_introduction({.key = key}, payload);
  return payload;
}

TEST(Links, WhoseKeyItIsNotIsNotLetIn) {
  Wire wire;
  End& listener = *wire.ends[1];
  Stranger honest{listener, LinkId{50}, wire.now};
  listener.receive(LinkId{50}, honest.finish(introduction_with(honest.identity.keys.public_key)),
                   wire.now);
  EXPECT_THAT(listener.ups, SizeIs(1)) << "or the rest of this test shows nothing";

  Stranger thief{listener, LinkId{51}, wire.now};
  const PublicKey& stolen = wire.ends[0]->identity.keys.public_key;
  listener.receive(LinkId{51}, thief.finish(introduction_with(stolen)), wire.now);
  Stranger mute{listener, LinkId{52}, wire.now};
  listener.receive(LinkId{52}, mute.finish({}), wire.now);
  EXPECT_THAT(listener.ups, SizeIs(1));
  EXPECT_EQ(listener.out.stats().dropped_for(DropReason::handshake_failed), 2u);
  EXPECT_EQ(listener.links.handshakes(), 0u);
  const auto closing = listener.links.next_outgoing(wire.now, listener.out);
  ASSERT_TRUE(closing.has_value() && closing->then_close.has_value());
  EXPECT_EQ(*closing->then_close, CloseReason::handshake_failed);
  EXPECT_FALSE(closing->has_message);
}

TEST(Links, AHandshakeHeardCannotBePlayedAgain) {
  Wire wire;
  std::vector<Bytes> heard;
  const LinkId link = wire.open(0);
  heard.push_back(wire.channels[link].toward[1].front());
  wire.carry(link, 1);
  wire.carry(link, 0);
  heard.push_back(wire.channels[link].toward[1].front());
  wire.settle();
  ASSERT_THAT(wire.ends[1]->ups, SizeIs(1));

  End& listener = *wire.ends[1];
  listener.links.opened(LinkId{50}, {.remote_host = "10.0.0.9"}, wire.now, listener.out);
  listener.receive(LinkId{50}, heard[0], wire.now);
  listener.receive(LinkId{50}, heard[1], wire.now);
  EXPECT_THAT(listener.ups, SizeIs(1));
  EXPECT_THAT(listener.moves, IsEmpty());
  EXPECT_EQ(listener.out.stats().dropped_for(DropReason::handshake_failed), 1u);
}

TEST(Links, EveryAlteredByteEndsAHandshake) {
  std::size_t tried = 0;
  for (std::size_t message = 0; message < 3; ++message) {
    std::size_t size = 1;
    for (std::size_t at = 0; at < size; ++at, ++tried) {
      Wire wire;
      const LinkId link = wire.open(0);
      const int to = message == 1 ? 0 : 1;
      for (std::size_t before = 0; before < message; ++before) {
        wire.carry(link, before == 1 ? 0 : 1);
      }
      Bytes& victim = wire.channels[link].toward[static_cast<std::size_t>(to)].front();
      size = victim.size();
      victim[at] ^= 1;
      wire.settle();
      wire.run_for(limits::handshake_timeout);
      for (const auto& end : wire.ends) {
        ASSERT_THAT(end->ups, IsEmpty()) << "message " << message << ", byte " << at;
        expect_nothing_left(*end);
      }
      ASSERT_THAT(wire.ends[0]->downs, SizeIs(1));
    }
  }
  EXPECT_GT(tried, 300u);
}

TEST(Links, ChannelsThatAreNotTheSameMakeNoLink) {
  Wire wire;
  const LinkId link = wire.open(0, {.channel_binding = {1, 2, 3}});
  wire.settle();
  EXPECT_TRUE(wire.ends[0]->links.facts(link).has_value());

  End& dialer = *wire.ends[0];
  End& listener = *wire.ends[1];
  const LinkId tapped{50};
  listener.links.opened(tapped, {.remote_host = "h", .channel_binding = {1}}, wire.now,
                        listener.out);
  dialer.links.opened(tapped, {.dial = DialId{50}, .remote_host = "h", .channel_binding = {2}},
                      wire.now, dialer.out);
  const auto hello = dialer.links.next_outgoing(wire.now, dialer.out);
  listener.receive(tapped, hello->message, wire.now);
  const auto accepted = listener.links.next_outgoing(wire.now, listener.out);
  dialer.receive(tapped, accepted->message, wire.now);
  EXPECT_EQ(dialer.out.stats().dropped_for(DropReason::handshake_failed), 1u);
}

TEST(Links, AHandshakeHasTenSecondsInEveryStage) {
  for (int messages = 0; messages < 4; ++messages) {  // carried before silence
    Wire wire;
    const LinkId link = wire.open(0);
    for (int i = 0; i < messages; ++i) wire.carry(link, i == 1 || i == 3 ? 0 : 1);
    wire.channels[link].is_held = true;
    wire.run_for(limits::handshake_timeout - 1us);
    EXPECT_EQ(wire.ends[0]->links.handshakes(), 1u) << messages;
    wire.run_for(1us);
    EXPECT_EQ(wire.ends[0]->links.handshakes(), 0u);
    EXPECT_EQ(wire.ends[1]->links.handshakes(), 0u);
    ASSERT_THAT(wire.ends[0]->downs, SizeIs(1));
    EXPECT_EQ(wire.ends[0]->downs.front().reason, CloseReason::handshake_timeout);
    EXPECT_EQ(wire.ends[0]->downs.front().dial, DialId{1});
  }
}

TEST(Links, OneHostHasOnlySoManyHandshakesUnderWay) {
  End listener{1};
  const TimePoint now{100s};
  std::uint64_t next = 0;
  const auto knock = [&](const std::string& host) {
    listener.links.opened(LinkId{++next}, {.remote_host = host}, now, listener.out);
    const auto answer = listener.links.next_outgoing(now, listener.out);
    if (!answer) return true;
    const auto refused = decode_refused(answer->message);
    EXPECT_TRUE(refused.has_value());
    EXPECT_EQ(refused->reason, CloseReason::too_many_handshakes);
    EXPECT_EQ(answer->then_close, CloseReason::too_many_handshakes);
    listener.links.closed(LinkId{next}, CloseReason::transport_closed, listener.out);
    return false;
  };
  for (std::size_t i = 0; i < limits::handshakes_per_host_max; ++i) EXPECT_TRUE(knock("10.0.0.1"));
  EXPECT_FALSE(knock("10.0.0.1"));
  EXPECT_TRUE(knock("10.0.0.2")) << "others do not suffer";
  listener.links.closed(LinkId{1}, CloseReason::transport_closed, listener.out);
  EXPECT_TRUE(knock("10.0.0.1")) << "there is room again";
  EXPECT_FALSE(knock("10.0.0.1"));
  while (listener.links.handshakes() < limits::handshakes_max) {
    ASSERT_TRUE(knock("10.1." + std::to_string(next / 60) + ".1"));
  }
  EXPECT_FALSE(knock("10.2.0.1")) << "and all hosts together have a bound";
  EXPECT_EQ(listener.out.stats().refused_connections, 3u);
  listener.links.wake(now + limits::handshake_timeout, listener.out);
  EXPECT_EQ(listener.links.handshakes(), 0u);
  while (const auto outgoing = listener.links.next_outgoing(now, listener.out)) {
    EXPECT_EQ(outgoing->then_close, CloseReason::handshake_timeout);
    listener.links.closed(outgoing->link, CloseReason::transport_closed, listener.out);
  }
  EXPECT_EQ(listener.links.size(), 0u);
}

// ---- Batches ----

TEST(Links, OneBatchIsOnItsWayAndTheRestGathers) {
  Wire wire;
  const LinkId link = wire.open_and_settle();
  End& from = *wire.ends[0];
  const std::uint64_t before = from.links.facts(link)->batches_out;
  std::vector<Bytes> sent;
  for (std::uint64_t i = 0; i < 100; ++i) {
    sent.push_back(numbered(i));
    wire.put(0, link, sent.back());
    wire.transmit();
    EXPECT_EQ(wire.channels[link].toward[1].size(), 1u);
  }
  EXPECT_EQ(from.links.queued_bytes(), 99 * (frame_header_bytes + 8));
  wire.settle();
  EXPECT_EQ(bodies(*wire.ends[1]), sent);
  EXPECT_EQ(from.links.facts(link)->batches_out - before, 2u) << "the first alone, then all others";
  EXPECT_EQ(from.links.queued_bytes(), 0u);
}

TEST(Links, WhatIsTooMuchForOneBatchGoesInTheNextInOrder) {
  Wire wire;
  const LinkId link = wire.open_and_settle();
  std::vector<Bytes> sent;
  Random random{5};
  wire.channels[link].is_held = true;
  const std::size_t largest = batch_plain_bytes_max - frame_header_bytes;
  for (std::uint64_t i = 0; i < 40; ++i) {
    const std::size_t size = i == 7 ? largest : 8 + random.below(20'000);
    sent.push_back(numbered(i, size));
    wire.put(0, link, sent.back());
  }
  wire.transmit();
  wire.channels[link].is_held = false;
  wire.settle();
  EXPECT_EQ(bodies(*wire.ends[1]), sent);
  EXPECT_EQ(wire.ends[0]->links.queued_bytes(), 0u);
}

TEST(Links, TheLastOfTheQueueIsForControlAlone) {
  Wire wire;
  const LinkId link = wire.open_and_settle();
  End& from = *wire.ends[0];
  wire.channels[link].is_held = true;
  wire.put(0, link, numbered(0));
  wire.transmit();  // in flight: from here on all waits
  constexpr std::size_t frame = 1000;
  constexpr std::size_t open_to_all =
      limits::link_queue_bytes_max - limits::link_queue_reserve_bytes;
  std::size_t taken = 0;
  for (; from.links.has_room(link, frame, false); ++taken) {
    append_frame(FrameKind::contacts, Bytes(frame - frame_header_bytes),
                 *from.links.batch_for(link, frame));
  }
  EXPECT_EQ(taken, open_to_all / frame);
  EXPECT_TRUE(from.links.has_room(link, frame, true));
  std::size_t control = 0;
  while (from.out.stats().dropped_for(DropReason::queue_full) == 0) {
    wire.put(0, link, Bytes(frame - frame_header_bytes));
    ++control;
    ASSERT_LE(control, 1000u);
  }
  EXPECT_EQ(taken + control - 1, limits::link_queue_bytes_max / frame);
  EXPECT_LE(from.links.queued_bytes(), limits::link_queue_bytes_max);
  wire.channels[link].is_held = false;
  wire.settle();
  EXPECT_THAT(wire.ends[1]->frames, SizeIs(1 + taken + control - 1));
  EXPECT_EQ(from.links.queued_bytes(), 0u);
  EXPECT_TRUE(from.links.has_room(link, frame, false));
}

TEST(Links, AFloodOfPingsIsNotAnsweredBeyondTheBound) {
  Wire wire;
  const LinkId link = wire.open_and_settle();
  wire.channels[link].is_held = true;
  End& from = *wire.ends[0];
  Bytes value;
  Writer{value}.u64(1);
  for (std::size_t i = 0; i < 200'000; ++i) {
    from.links.handle(link, Frame{static_cast<std::uint8_t>(FrameKind::ping), value}, wire.now,
                      from.out);
  }
  EXPECT_LE(from.links.queued_bytes(), limits::link_queue_bytes_max);
}

// ---- What fills batches ----

/// Something that always has frames to say, until it has said so many bytes of them.
struct Source {
  static bool fill(void* context, const NodeId& peer, Bytes& batch, std::size_t bytes_max) {
    Source& source = *static_cast<Source*>(context);
    ++source.calls;
    source.peer = peer;
    EXPECT_LE(batch.size() + bytes_max, batch_plain_bytes_max);
    const std::size_t end = batch.size() + bytes_max;
    while (source.left > 0) {
      const std::size_t body = std::min(source.left, source.piece);
      if (batch.size() + frame_header_bytes + body > end) return true;
      append_frame(FrameKind::stream_data, Bytes(body), batch);
      source.left -= body;
    }
    return false;
  }
  void attach(End& to) { to.links.set_fill(&Source::fill, this); }

  std::size_t left = 0;
  std::size_t piece = 10'000;
  int calls = 0;
  NodeId peer{};
};

std::size_t bytes_of(const End& end, FrameKind kind) {
  std::size_t bytes = 0;
  for (const Arrival& each : end.frames) bytes += each.kind == kind ? each.body.size() : 0;
  return bytes;
}

TEST(LinksFill, ABatchIsToppedUpWithWhatThereIsToSay) {
  Wire wire;
  const LinkId link = wire.open_and_settle();
  Source source{.left = 25'000};
  source.attach(*wire.ends[0]);
  const std::uint64_t before = wire.ends[0]->links.facts(link)->batches_out;
  wire.put(0, link, numbered(1));
  wire.ends[0]->links.want_to_fill(link);
  wire.settle();
  EXPECT_EQ(source.peer, wire.ends[1]->id());
  EXPECT_EQ(source.calls, 1) << "there was nothing more";
  EXPECT_EQ(wire.ends[0]->links.facts(link)->batches_out - before, 1u);
  ASSERT_THAT(wire.ends[1]->frames, SizeIs(4));
  EXPECT_EQ(wire.ends[1]->frames.front().body, numbered(1)) << "what waited goes first";
  EXPECT_EQ(bytes_of(*wire.ends[1], FrameKind::stream_data), 25'000u);
}

TEST(LinksFill, NothingIsAskedForWhileTheLinkCanNotBeWritten) {
  Wire wire;
  const LinkId link = wire.open_and_settle();
  Source source{.left = 1'000'000};
  source.attach(*wire.ends[0]);
  wire.channels[link].is_held = true;
  wire.ends[0]->links.want_to_fill(link);
  wire.transmit();
  EXPECT_EQ(source.calls, 1) << "one batch is on its way";
  wire.ends[0]->links.want_to_fill(link);
  wire.transmit();
  EXPECT_EQ(source.calls, 1);
  EXPECT_EQ(wire.ends[0]->links.queued_bytes(), 0u);
  wire.channels[link].is_held = false;
  wire.settle();
  EXPECT_EQ(bytes_of(*wire.ends[1], FrameKind::stream_data), 1'000'000u);
}

TEST(LinksFill, TakesTurnsWithAFullQueue) {
  Wire wire;
  const LinkId link = wire.open_and_settle();
  Source source{.left = 10'000'000};
  source.attach(*wire.ends[0]);
  wire.channels[link].is_held = true;
  for (std::uint64_t i = 0; i < 100; ++i) wire.put(0, link, numbered(i, 10'000));
  wire.ends[0]->links.want_to_fill(link);
  wire.transmit();
  wire.channels[link].is_held = false;
  std::size_t steps = 0;
  while (bytes_of(*wire.ends[1], FrameKind::contacts) < 1'000'000) {
    wire.carry(link, 1);
    ASSERT_LT(++steps, 100u);
  }
  const std::size_t filled = bytes_of(*wire.ends[1], FrameKind::stream_data);
  EXPECT_GT(filled, 700'000u) << "neither starves the other";
  EXPECT_LT(filled, 1'300'000u);
  wire.settle();
  EXPECT_EQ(bytes_of(*wire.ends[1], FrameKind::stream_data), 10'000'000u);
}

TEST(LinksFill, DelaysNoPingByMoreThanABatch) {
  Wire wire;
  const LinkId link = wire.open_and_settle();
  Source source{.left = 100'000'000};
  source.attach(*wire.ends[0]);
  wire.ends[0]->links.want_to_fill(link);
  wire.transmit();
  Bytes ping;
  append_ping(FrameKind::ping, 7, ping);
  wire.put(1, link, BytesView{ping}.subspan(frame_header_bytes), FrameKind::ping);
  const std::uint64_t before = wire.ends[0]->links.facts(link)->batches_out;
  wire.put(0, link, numbered(1));
  wire.transmit();
  wire.carry(link, 1);  // what was on its way
  wire.carry(link, 1);
  EXPECT_LE(wire.ends[0]->links.facts(link)->batches_out - before, 2u);
  EXPECT_THAT(bytes_of(*wire.ends[1], FrameKind::contacts), 8u);
}

TEST(LinksFill, WhatWasToFillMayBeNoMore) {
  Wire wire;
  const LinkId link = wire.open_and_settle();
  Source source;
  source.attach(*wire.ends[0]);
  const std::uint64_t before = wire.ends[0]->links.facts(link)->batches_out;
  wire.ends[0]->links.want_to_fill(link);
  wire.settle();
  EXPECT_EQ(source.calls, 1);
  EXPECT_EQ(wire.ends[0]->links.facts(link)->batches_out, before) << "no empty batch";
  source.left = 10;
  wire.ends[0]->links.want_to_fill(link);
  wire.settle();
  EXPECT_EQ(bytes_of(*wire.ends[1], FrameKind::stream_data), 10u);
}

TEST(LinksFill, ALinkThatLeavesIsNotFilled) {
  Wire wire;
  const LinkId link = wire.open_and_settle();
  Source source{.left = 1'000'000};
  source.attach(*wire.ends[0]);
  wire.channels[link].is_held = true;
  wire.ends[0]->links.want_to_fill(link);
  wire.transmit();
  const int calls = source.calls;
  wire.close(0, link, CloseReason::surplus);
  wire.ends[0]->links.want_to_fill(link);
  wire.channels[link].is_held = false;
  wire.settle();
  EXPECT_EQ(source.calls, calls);
  for (const auto& end : wire.ends) {
    EXPECT_EQ(end->closed_for(CloseReason::surplus), 1u);
    expect_nothing_left(*end);
  }
}

// Its end would be told to nobody, and what it carried would be said by no other.
TEST(LinksFill, ALinkInReserveIsNotFilled) {
  Wire wire;
  const LinkId first = wire.open_and_settle(0);
  Source source{.left = 10'000'000};
  End& listener = *wire.ends[1];
  source.attach(listener);
  listener.links.want_to_fill(first);
  wire.transmit();
  wire.channels[first].is_held = true;  // the dialer's goodbye there does not come
  const LinkId second = wire.open_and_settle(0);
  ASSERT_EQ(listener.links.link_to(wire.ends[0]->id()), second);
  const std::size_t left = source.left;
  listener.links.writable(first);
  wire.transmit();
  EXPECT_EQ(source.left, left);
  listener.links.want_to_fill(second);
  wire.settle();
  EXPECT_EQ(source.left, 0u);
}

TEST(LinksFill, LinksThatAreNotUpOrNotThereAreLeftAlone) {
  Wire wire;
  Source source{.left = 10};
  for (auto& end : wire.ends) source.attach(*end);
  const LinkId link = wire.open(0);
  for (auto& end : wire.ends) {
    end->links.want_to_fill(link);
    end->links.want_to_fill(LinkId{77});
  }
  wire.settle();
  EXPECT_EQ(source.calls, 0);
}

TEST(Links, ABufferThatCameBackIsUsedAgain) {
  Wire wire;
  const LinkId link = wire.open_and_settle();
  Links& links = wire.ends[0]->links;
  wire.put(0, link, Bytes(1000));
  auto first = links.next_outgoing(wire.now, wire.ends[0]->out);
  ASSERT_TRUE(first && first->has_message);
  const std::uint8_t* const memory = first->message.data();
  links.recycle(std::move(first->message));
  links.writable(link);
  wire.put(0, link, Bytes(900));
  const auto second = links.next_outgoing(wire.now, wire.ends[0]->out);
  ASSERT_TRUE(second && second->has_message);
  EXPECT_EQ(second->message.data(), memory);
  links.recycle(Bytes(10 * limits::batch_bytes_max));  // too large to be kept, and no harm done
}

TEST(Links, EachLinkRelaysItsShareAndNoMore) {
  Wire wire;  // 1 MiB and 1000 frames a second
  const LinkId link = wire.open_and_settle();
  Links& links = wire.ends[0]->links;
  int frames = 0;
  while (links.may_relay(link, 100, wire.now)) ++frames;
  EXPECT_EQ(frames, 1000);
  EXPECT_EQ(links.facts(link)->frames_relayed, 1000u);
  wire.now += 10ms;
  frames = 0;
  while (links.may_relay(link, 100, wire.now)) ++frames;
  EXPECT_EQ(frames, 10);
  wire.now += 10s;
  std::size_t bytes = 0;
  while (links.may_relay(link, 10'000, wire.now)) bytes += 10'000;
  EXPECT_EQ(bytes, (std::size_t{1} << 20) / 10'000 * 10'000);
  EXPECT_FALSE(links.may_relay(LinkId{77}, 1, wire.now));
}

TEST(Links, ABrokenSealOrBatchEndsTheLink) {
  using Change = std::function<void(Bytes&)>;
  const std::vector<Change> changes{
      [](Bytes& batch) { batch.front() ^= 1; },     [](Bytes& batch) { batch.back() ^= 1; },
      [](Bytes& batch) { batch.pop_back(); },       [](Bytes& batch) { batch.push_back(0); },
      [](Bytes& batch) { batch.clear(); },          [](Bytes& batch) { batch.resize(15); },
      [](Bytes& batch) { batch.assign(65'536, 0); }};
  for (std::size_t i = 0; i < changes.size(); ++i) {
    Wire wire;
    const LinkId link = wire.open_and_settle();
    wire.put(0, link, numbered(1));
    wire.transmit();
    changes[i](wire.channels[link].toward[1].front());
    wire.settle();
    EXPECT_THAT(wire.ends[1]->frames, IsEmpty());
    EXPECT_THAT(wire.ends[1]->lost(), ElementsAre(CloseReason::protocol_error)) << i;
    EXPECT_THAT(wire.ends[0]->lost(), ElementsAre(CloseReason::transport_closed));
    for (const auto& end : wire.ends) expect_nothing_left(*end);
  }
}

TEST(Links, ABatchHeardTwiceEndsTheLink) {
  Wire wire;
  const LinkId link = wire.open_and_settle();
  wire.put(0, link, numbered(1));
  wire.transmit();
  auto& mail = wire.channels[link].toward[1];
  mail.push_back(mail.front());
  wire.settle();
  EXPECT_THAT(wire.ends[1]->frames, SizeIs(1));
  EXPECT_EQ(wire.ends[1]->out.stats().dropped_for(DropReason::seal_broken), 1u);
  EXPECT_THAT(wire.ends[1]->lost(), ElementsAre(CloseReason::protocol_error));
}

TEST(Links, ABatchThatIsNoRowOfFramesEndsTheLinkAfterTheSoundOnes) {
  Wire wire;
  const LinkId link = wire.open_and_settle();
  wire.put(0, link, numbered(1));
  Bytes& batch = *wire.ends[0]->links.batch_for(link, 2);
  batch.push_back(1);
  batch.push_back(0);  // a length that is cut
  wire.settle();
  EXPECT_THAT(wire.ends[1]->frames, SizeIs(1));
  EXPECT_EQ(wire.ends[1]->out.stats().dropped_for(DropReason::malformed), 1u);
  EXPECT_THAT(wire.ends[1]->lost(), ElementsAre(CloseReason::protocol_error));
}

// The listener's first batch may hold more than its ping: what it had to say when the link came up.
TEST(Links, TheFirstBatchOfAListenerIsTakenWhole) {
  Wire wire;
  const LinkId link = wire.open(0);
  for (const int to : {1, 0}) wire.carry(link, to);
  Bytes finish = std::move(wire.channels[link].toward[1].front());
  wire.channels[link].toward[1].clear();
  wire.ends[1]->receive(link, std::move(finish), wire.now);
  wire.put(1, link, numbered(1), FrameKind::route);
  wire.now += 20ms;
  wire.ends[0]->links.writable(link);
  wire.settle();
  EXPECT_THAT(wire.ends[0]->frames, SizeIs(1));
  EXPECT_THAT(wire.ends[0]->could_relay, ElementsAre(true)) << "the link is up before its frames";
  EXPECT_EQ(wire.ends[1]->links.facts(link)->round_trip, 20ms) << "the dialer answers its ping";
}

// ---- Goodbye ----

TEST(Links, GoodbyeLeavesBehindAllThatWaits) {
  Wire wire;
  const LinkId link = wire.open_and_settle();
  std::vector<Bytes> sent;
  for (std::uint64_t i = 0; i < 60; ++i) {
    sent.push_back(numbered(i, 5000));
    wire.put(0, link, sent.back());
  }
  wire.close(0, link, CloseReason::surplus);
  EXPECT_THAT(wire.ends[0]->lost(), ElementsAre(CloseReason::surplus)) << "gone from now on";
  EXPECT_FALSE(wire.ends[0]->links.has_room(link, 1, true));
  EXPECT_EQ(wire.ends[0]->links.batch_for(link, 1), nullptr);
  wire.settle();
  EXPECT_EQ(bodies(*wire.ends[1]), sent);
  EXPECT_THAT(wire.ends[1]->lost(), ElementsAre(CloseReason::surplus));
  for (const auto& end : wire.ends) {
    EXPECT_EQ(end->closed_for(CloseReason::surplus), 1u);
    expect_nothing_left(*end);
  }
}

TEST(Links, WhatWasSentBeforeTheGoodbyeWasHeardStillArrives) {
  Wire wire;
  const LinkId link = wire.open_and_settle();
  std::vector<Bytes> sent;
  for (std::uint64_t i = 0; i < 60; ++i) {
    sent.push_back(numbered(i, 5000));
    wire.put(1, link, sent.back());
  }
  wire.transmit();
  wire.close(0, link, CloseReason::surplus);
  wire.settle();
  EXPECT_EQ(bodies(*wire.ends[0]), sent);
  for (const auto& end : wire.ends) expect_nothing_left(*end);
}

TEST(Links, CrossingGoodbyesEndInOneEnd) {
  Wire wire;
  const LinkId link = wire.open_and_settle();
  wire.close(0, link, CloseReason::surplus);
  wire.close(1, link, CloseReason::shutdown);
  wire.settle();
  EXPECT_THAT(wire.ends[0]->lost(), ElementsAre(CloseReason::surplus));
  EXPECT_THAT(wire.ends[1]->lost(), ElementsAre(CloseReason::shutdown));
  for (const auto& end : wire.ends) expect_nothing_left(*end);
}

TEST(Links, AGoodbyeThatNobodyAnswersEndsAfterFiveSeconds) {
  Wire wire;
  const LinkId link = wire.open_and_settle();
  wire.channels[link].is_held = true;
  wire.close(0, link, CloseReason::surplus);
  wire.run_for(limits::goodbye_timeout - 1us);
  EXPECT_EQ(wire.ends[0]->links.size(), 1u);
  wire.run_for(1us);
  EXPECT_EQ(wire.ends[0]->links.size(), 0u);
  EXPECT_EQ(wire.ends[0]->closed_for(CloseReason::surplus), 1u);
  EXPECT_THAT(wire.ends[0]->lost(), ElementsAre(CloseReason::surplus)) << "told once";
}

// A listener without room lets the link come up, names alternatives and says goodbye at once.
TEST(Links, ADialerThatIsTurnedAwayHearsWhyAndWasNeverUp) {
  Wire wire;
  const LinkId link = wire.open(0);
  for (const int to : {1, 0}) wire.carry(link, to);
  Bytes finish = std::move(wire.channels[link].toward[1].front());
  wire.channels[link].toward[1].clear();
  wire.ends[1]->receive(link, std::move(finish), wire.now);
  ASSERT_THAT(wire.ends[1]->ups, SizeIs(1));
  wire.put(1, link, as_bytes("alternatives"));
  wire.close(1, link, CloseReason::busy);
  wire.ends[0]->links.writable(link);
  wire.settle();
  EXPECT_THAT(wire.ends[0]->ups, IsEmpty());
  ASSERT_THAT(wire.ends[0]->downs, SizeIs(1));
  const LinkDown& down = wire.ends[0]->downs.front();
  EXPECT_EQ(down.reason, CloseReason::busy);
  EXPECT_EQ(down.dial, DialId{1});
  EXPECT_EQ(down.met, wire.ends[1]->id());
  EXPECT_FALSE(down.last_of.has_value());
  ASSERT_THAT(wire.ends[0]->frames, SizeIs(1));
  EXPECT_EQ(as_text(wire.ends[0]->frames.front().body), "alternatives");
  EXPECT_THAT(wire.ends[1]->lost(), ElementsAre(CloseReason::busy));
  for (const auto& end : wire.ends) expect_nothing_left(*end);
}

TEST(Links, ADialerMayLeaveBeforeTheFirstBatch) {
  Wire wire;
  const LinkId link = wire.open(0);
  for (const int to : {1, 0}) wire.carry(link, to);
  wire.close(0, link, CloseReason::disconnected);
  wire.settle();
  EXPECT_THAT(wire.ends[0]->ups, IsEmpty());
  ASSERT_THAT(wire.ends[0]->downs, SizeIs(1));
  EXPECT_EQ(wire.ends[0]->downs.front().reason, CloseReason::disconnected);
  EXPECT_THAT(wire.ends[1]->lost(), ElementsAre(CloseReason::disconnected));
  for (const auto& end : wire.ends) expect_nothing_left(*end);
}

TEST(Links, AllCanBeClosedInEveryStage) {
  for (int messages = 0; messages < 6; ++messages) {
    for (int closer = 0; closer < 2; ++closer) {
      Wire wire;
      const LinkId link = wire.open(0);
      for (int i = 0; i < messages; ++i) {
        const int to = i % 2 == 0 ? 1 : 0;
        if (wire.has_mail(link, to)) wire.carry(link, to);
      }
      wire.ends[static_cast<std::size_t>(closer)]->links.close_all(
          CloseReason::shutdown, wire.now, wire.ends[static_cast<std::size_t>(closer)]->out);
      wire.settle();
      for (const auto& end : wire.ends) expect_nothing_left(*end);
      EXPECT_THAT(wire.ends[0]->ended_dials, SizeIs(1)) << messages << ' ' << closer;
    }
  }
}

// ---- Keepalive ----

TEST(Links, SilenceIsBrokenByAPingEveryFifteenSeconds) {
  Wire wire;
  const LinkId link = wire.open_and_settle();
  wire.run_for(1s);
  const auto batches = [&] {
    return wire.ends[0]->links.facts(link)->batches_out +
           wire.ends[0]->links.facts(link)->batches_in;
  };
  const std::uint64_t before = batches();
  wire.run_for(limits::ping_after - 1s - 1us);
  EXPECT_EQ(batches(), before) << "not yet";
  wire.run_for(2us);
  EXPECT_GT(batches(), before);
  wire.run_for(10min);
  EXPECT_TRUE(wire.ends[0]->links.facts(link).has_value()) << "a silent link lives for ever";
  // The dialer's ping serves both: one batch out of it, and one in.
  EXPECT_LE(batches() - before, 2 * 41u);
  EXPECT_GE(batches() - before, 2 * 39u);
}

TEST(Links, SilencesOfOneSecondAreLookedAtTogether) {
  for (const Duration later : {0us, 1us, 400'000us, 999'999us}) {
    Wire wire;
    wire.now += later;
    wire.open_and_settle();
    wire.run_for(limits::handshake_timeout);  // the first timer was for the handshake
    for (const auto& end : wire.ends) {
      EXPECT_EQ(end->links.next_wake().time_since_epoch() % 1s, 0us);
    }
  }
}

TEST(Links, ALinkThatIsHeardOfNeedsNoPing) {
  Wire wire;
  const LinkId link = wire.open_and_settle();
  std::uint64_t sent = 0;
  const std::uint64_t before = wire.ends[0]->links.facts(link)->batches_out;
  for (; sent < 60; ++sent) {
    wire.put(0, link, numbered(sent));
    wire.put(1, link, numbered(sent));
    wire.settle();
    wire.run_for(1s);
  }
  EXPECT_EQ(wire.ends[0]->links.facts(link)->batches_out - before, sent);
}

TEST(Links, ADarkLinkIsDeadAfterFortyFiveSeconds) {
  Wire wire;
  const LinkId link = wire.open_and_settle();
  wire.channels[link].is_held = true;
  wire.run_for(limits::link_dead_after - 1us);
  EXPECT_THAT(wire.ends[0]->lost(), IsEmpty());
  EXPECT_THAT(wire.ends[1]->lost(), IsEmpty());
  wire.run_for(1us);
  EXPECT_THAT(wire.ends[0]->lost(), ElementsAre(CloseReason::keepalive_timeout));
  EXPECT_THAT(wire.ends[1]->lost(), ElementsAre(CloseReason::keepalive_timeout));
  EXPECT_EQ(wire.ends[0]->links.queued_bytes(), 0u) << "what waited went with it";
}

TEST(Links, ALinkThatHearsButCannotWriteIsDeadToo) {
  Wire wire;
  const LinkId link = wire.open_and_settle();
  wire.put(0, link, numbered(0));
  wire.transmit();
  wire.channels[link].toward[1].clear();  // written, and never taken
  for (int i = 0; i < 44; ++i) {
    wire.put(1, link, numbered(0));
    wire.transmit();
    while (!wire.channels[link].toward[0].empty()) {
      Bytes message = std::move(wire.channels[link].toward[0].front());
      wire.channels[link].toward[0].pop_front();
      wire.ends[0]->receive(link, std::move(message), wire.now);
      wire.ends[1]->links.writable(link);
    }
    wire.now += 1s;
    wire.ends[0]->links.wake(wire.now, wire.ends[0]->out);
    wire.transmit();
  }
  EXPECT_THAT(wire.ends[0]->lost(), IsEmpty());
  // Looked at when it next might have been silent for long.
  wire.now += limits::ping_after;
  wire.ends[0]->links.wake(wire.now, wire.ends[0]->out);
  wire.transmit();
  EXPECT_THAT(wire.ends[0]->lost(), ElementsAre(CloseReason::queue_stalled));
}

TEST(Links, TheRoundTripIsMeasuredByBothEnds) {
  Wire wire;
  const LinkId link = wire.open(0);
  const auto carry_slowly = [&] {
    for (bool moved = true; moved;) {
      moved = false;
      for (int to = 0; to < 2; ++to) {
        if (!wire.has_mail(link, to)) continue;
        wire.now += 15ms;
        wire.carry(link, to);
        moved = true;
      }
    }
  };
  carry_slowly();
  for (const auto& end : wire.ends) {
    ASSERT_TRUE(end->links.facts(link).has_value());
    EXPECT_GE(end->links.facts(link)->round_trip, 30ms);
    EXPECT_LE(end->links.facts(link)->round_trip, 60ms);
  }
}

// ---- Two links to one peer ----

TEST(Links, OfCrossingDialsTheSmallerIdsStays) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    Wire wire{1 + seed % 4};
    Random random{seed};
    const LinkId of_smaller = wire.open(0);
    const LinkId of_larger = wire.open(1);
    std::vector<Bytes> sent[2];
    for (int step = 0; step < 400; ++step) {  // in any order
      const LinkId link = random.below(2) == 0 ? of_smaller : of_larger;
      const int to = static_cast<int>(random.below(2));
      if (wire.has_mail(link, to)) wire.carry(link, to);
      const auto end = static_cast<int>(random.below(2));
      const auto by = wire.ends[end]->links.link_to(wire.ends[1 - end]->id());
      if (by && step < 300) {
        sent[end].push_back(numbered(sent[end].size()));
        wire.put(end, *by, sent[end].back());
        wire.transmit();
      }
    }
    wire.settle();
    for (int end = 0; end < 2; ++end) {
      End& each = *wire.ends[end];
      EXPECT_EQ(each.links.link_to(wire.ends[1 - end]->id()), of_smaller);
      EXPECT_EQ(each.links.size(), 1u);
      EXPECT_THAT(each.ups, SizeIs(1));
      EXPECT_LE(each.moves.size(), 1u);
      EXPECT_THAT(each.lost(), IsEmpty()) << "a change of links is no loss";
      EXPECT_THAT(each.ended_dials, SizeIs(1)) << "the dial ended, up or as the duplicate";
      EXPECT_EQ(each.links.handshakes(), 0u);
      EXPECT_EQ(each.links.queued_bytes(), 0u);
      // Across two links order is not promised, but nothing is lost or doubled.
      std::vector<Bytes> arrived = bodies(*wire.ends[1 - end]);
      std::ranges::sort(arrived);
      std::ranges::sort(sent[end]);
      EXPECT_EQ(arrived, sent[end]);
    }
  }
}

TEST(Links, OfTwoDialsOfOneTheLaterStays) {
  for (const int dialer : {0, 1}) {
    Wire wire;
    wire.open_and_settle(dialer);
    const LinkId later = wire.open_and_settle(dialer);
    for (int end = 0; end < 2; ++end) {
      End& each = *wire.ends[end];
      EXPECT_EQ(each.links.link_to(wire.ends[1 - end]->id()), later);
      EXPECT_EQ(each.links.size(), 1u);
      EXPECT_THAT(each.moves, SizeIs(1));
      EXPECT_THAT(each.lost(), IsEmpty());
    }
  }
}

TEST(Links, ALinkInReserveTakesOverWhenTheOtherBreaks) {
  Wire wire;
  const LinkId first = wire.open_and_settle(0);
  wire.channels[first].is_held = true;  // the dialer's goodbye there does not come
  const LinkId second = wire.open_and_settle(0);
  End& listener = *wire.ends[1];
  ASSERT_EQ(listener.links.link_to(wire.ends[0]->id()), second);
  wire.break_channel(second);
  EXPECT_EQ(listener.links.link_to(wire.ends[0]->id()), first);
  EXPECT_THAT(listener.moves, SizeIs(2));
  EXPECT_THAT(listener.lost(), IsEmpty());
  wire.break_channel(first);
  EXPECT_THAT(listener.lost(), ElementsAre(CloseReason::transport_error));
  expect_nothing_left(listener);
}

// An honest dialer ends the older one itself; the other kind does not grow us.
TEST(Links, OnePeerHoldsOnlyFewLinks) {
  Wire wire;
  for (int i = 0; i < 20; ++i) {
    const LinkId link = wire.open_and_settle(0);
    wire.channels[link].is_held = true;
  }
  std::size_t open = 0;
  for (const auto& [link, channel] : wire.channels) {
    if (wire.ends[1]->links.facts(link)) ++open;
  }
  EXPECT_LE(open, 4u);
  EXPECT_THAT(wire.ends[1]->ups, SizeIs(1));
  wire.run_for(limits::goodbye_timeout);
  EXPECT_LE(wire.ends[1]->links.size(), 4u);
  EXPECT_THAT(wire.ends[1]->lost(), IsEmpty());
}

// ---- Whatever happens ----

/// Opens, carries, breaks, writes, closes and lets time pass, in any order. What the ends tell is
/// checked where they tell it (End::take_wishes).
class Storm {
 public:
  Storm(std::uint64_t seed, bool breaks) : wire_(1 + seed % 8), random_(seed), breaks_(breaks) {}

  void run(int steps) {
    for (int step = 0; step < steps; ++step) act();
  }

  void end() {
    wire_.settle();
    for (const auto& end : wire_.ends) {
      EXPECT_EQ(end->links.handshakes(), 0u);
      EXPECT_EQ(end->links.queued_bytes(), 0u);
    }
    if (!breaks_) {
      for (std::size_t end = 0; end < 2; ++end) {
        std::vector<Bytes> arrived = bodies(*wire_.ends[1 - end]);
        std::ranges::sort(arrived);
        EXPECT_EQ(arrived, sent_[end]) << "all that was taken arrives, once";
      }
    }
    for (auto& end : wire_.ends) end->links.close_all(CloseReason::shutdown, wire_.now, end->out);
    wire_.settle();
    for (const auto& end : wire_.ends) expect_nothing_left(*end);
    EXPECT_EQ(wire_.ends[0]->ended_dials.size() + wire_.ends[1]->ended_dials.size(),
              wire_.channels.size())
        << "each dial ended once";
  }

 private:
  void act() {
    const auto end = static_cast<int>(random_.below(2));
    const std::uint64_t choice = random_.below(100);
    if (choice < 4 || wire_.channels.empty()) {
      if (wire_.channels.size() < 12) wire_.open(end);
    } else if (choice < 70) {
      const LinkId link = any();
      if (wire_.has_mail(link, end)) wire_.carry(link, end);
    } else if (choice < 90) {
      put(end);
    } else if (choice < 94) {
      wire_.now += Duration{static_cast<Duration::rep>(random_.below(1000))};
      for (auto& each : wire_.ends) each->links.wake(wire_.now, each->out);
      wire_.transmit();
    } else if (choice < 96) {
      wire_.ends[end]->links.writable(any());  // more often than it is true
      wire_.transmit();
    } else if (choice < 97) {
      wire_.close(end, any(), CloseReason::surplus);
    } else if (breaks_ && choice < 98) {
      wire_.break_channel(any());
    } else if (breaks_ && choice < 99) {
      wire_.now += Duration{random_.below(20) * 1s};
      for (auto& each : wire_.ends) each->links.wake(wire_.now, each->out);
      wire_.transmit();
    } else if (breaks_) {
      auto& mail = wire_.channels[any()].toward[static_cast<std::size_t>(end)];
      if (!mail.empty()) mail.front()[random_.below(mail.front().size())] ^= 1;
    }
  }

  LinkId any() { return LinkId{1 + random_.below(wire_.channels.size())}; }

  void put(int end) {
    End& from = *wire_.ends[end];
    const auto link = from.links.link_to(wire_.ends[1 - end]->id());
    if (!link) return;
    const Bytes body = numbered(sent_[end].size(), 8 + random_.below(3000));
    if (!from.links.has_room(*link, frame_header_bytes + body.size(), true)) return;
    wire_.put(end, *link, body);
    sent_[end].push_back(body);
    wire_.transmit();
  }

  Wire wire_;
  Random random_;
  bool breaks_;
  std::array<std::vector<Bytes>, 2> sent_;
};

TEST(LinksStorm, WhatIsTakenArrivesWhileNothingBreaks) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Storm storm{seed, false};
    storm.run(400);
    storm.end();
    if (testing::Test::HasFailure()) return;
  }
}

TEST(LinksStorm, EachPeerAndDialEndsOnceWhateverBreaks) {
  for (std::uint64_t seed = 1000; seed < 1120; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Storm storm{seed, true};
    storm.run(500);
    storm.end();
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace peer_relay
