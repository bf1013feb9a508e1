// SPDX-License-Identifier: MIT
//
// One engine, and strangers who have nothing but links to it and say what they like on them. (Whole
// nodes among each other: sim/.)
#include "core/engine/engine.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/link/links.hpp"
#include "core/table/contact.hpp"
#include "core/wire/overlay.hpp"
#include "sodium/deterministic_crypto.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::int64_t unix_ms_at_zero = 1'800'000'000'000;

NetworkHash network_of(std::string_view name, Crypto& crypto) {
  NetworkHash hash{};
  const BytesView parts[] = {as_bytes(name)};
  crypto.hash(parts, hash);
  return hash;
}

class EngineTest : public testing::Test {
 protected:
  struct Stranger {
    Stranger(Crypto& crypto, LinkId id, std::string record_address)
        : identity(make_identity(crypto)),
          network(network_of("peer-relay", crypto)),
          link(id),
          links(identity, crypto,
                {.network = "peer-relay", .network_hash = network, .agent = "stranger"}) {
      if (record_address.empty()) return;
      record = sign_contact({.key = identity.keys.public_key,
                             .transports = 0,
                             .sequence = 1,
                             .expiry = unix_ms_at_zero / 1000 + 3600,
                             .addresses = {Address::parse(record_address).value()}},
                            network, identity, crypto);
      links.set_present(
          [](const void* self, const NodeId*, std::string_view) {
            return Links::Presentation{.contact = static_cast<const Stranger*>(self)->record};
          },
          this);
    }

    const NodeId& id() const { return identity.id; }
    std::vector<Bytes> envelopes() const { return of_kind(FrameKind::route); }
    std::vector<Bytes> of_kind(FrameKind kind) const {
      std::vector<Bytes> bodies;
      for (const auto& [each, body] : heard) {
        if (each == kind) bodies.push_back(body);
      }
      return bodies;
    }

    Identity identity;
    NetworkHash network;
    LinkId link;
    Links links;
    Outbox out;
    Bytes record;
    std::vector<std::pair<FrameKind, Bytes>> heard;
    std::optional<CloseReason> closed;
    bool is_deaf = false;  ///< takes nothing, so that the engine's link is never writable again
  };

  void start(EngineOptions options = {}) {
    options.unix_ms_at_zero = unix_ms_at_zero;
    options.listening = {{Scheme::ws, 80}};
    options.advertise = {Address::parse("ws://192.0.2.1").value()};
    engine = std::make_unique<Engine>(std::move(options), self, crypto, 1, now);
    engine->start(now);
    pump();
  }

  /// Linked to the engine; a relay if it has an address.
  Stranger& stranger(std::string address = {}) {
    const LinkId link{strangers.size() + 1};
    strangers.push_back(std::make_unique<Stranger>(crypto, link, std::move(address)));
    Stranger& fresh = *strangers.back();
    const std::string host = "10.0." + std::to_string(strangers.size()) + ".1";
    engine->link_opened(
        link, {.dial = {}, .remote = host + ":1", .remote_host = host, .channel_binding = {}}, now);
    fresh.links.opened(link,
                       {.dial = DialId{1},
                        .probe = false,
                        .remote = "engine",
                        .remote_host = "192.0.2.1",
                        .channel_binding = {}},
                       now, fresh.out);
    pump();
    EXPECT_TRUE(engine->peer(fresh.id(), now).has_value());
    fresh.heard.clear();
    return fresh;
  }

  /// Carries everything, until nobody has anything to say.
  void pump() {
    for (bool moved = true; moved;) {
      moved = false;
      while (auto action = engine->next_action()) {
        moved = true;
        act(std::move(*action));
      }
      for (const LinkId link : std::exchange(closing, {})) {
        engine->link_closed(link, CloseReason::transport_closed, now);
        moved = true;
      }
      for (const auto& each : strangers) moved = speak(*each) || moved;
    }
  }

  void act(Action action) {
    if (auto* const transmit = std::get_if<Transmit>(&action)) {
      Stranger& to = of(transmit->link);
      if (to.is_deaf) return;
      hear(to, transmit->batch);
      engine->link_writable(transmit->link, now);
    } else if (const auto* const close = std::get_if<CloseLink>(&action)) {
      of(close->link).closed = close->reason;
      closing.push_back(close->link);
    } else if (auto* const notify = std::get_if<Notify>(&action)) {
      notes.push_back(std::move(notify->event));
    } else {
      dials.push_back(std::get<Dial>(action));
    }
  }

  void hear(Stranger& to, Bytes& message) {
    if (auto batch = to.links.received(to.link, message, now, to.out)) {
      while (const auto frame = batch->next()) {
        const FrameKind kind{frame->kind};
        if (kind == FrameKind::ping || kind == FrameKind::pong || kind == FrameKind::goodbye) {
          to.links.handle(to.link, *frame, now, to.out);
        } else {
          to.heard.emplace_back(kind, Bytes{frame->body.begin(), frame->body.end()});
        }
      }
      to.links.batch_done(to.link, batch->is_broken(), to.out);
    }
    while (!to.out.empty()) static_cast<void>(to.out.take());
  }

  bool speak(Stranger& from) {
    bool moved = false;
    while (auto outgoing = from.links.next_outgoing(now, from.out)) {
      moved = true;
      if (outgoing->has_message) {
        engine->link_received(from.link, outgoing->message, now);
        from.links.writable(from.link);
      }
      if (outgoing->then_close) {
        from.links.closed(from.link, *outgoing->then_close, from.out);
        engine->link_closed(from.link, CloseReason::transport_closed, now);
      }
    }
    return moved;
  }

  void say(Stranger& from, FrameKind kind, BytesView body) {
    from.links.send({.link = from.link, .kind = kind, .body = {body.begin(), body.end()}},
                    from.out);
    pump();
  }

  static Bytes encoded(const Envelope& envelope) {
    Bytes frame;
    append_route_frame(envelope, frame);
    frame.erase(frame.begin(), frame.begin() + frame_header_bytes);
    return frame;
  }
  void say(Stranger& from, const Envelope& envelope) {
    say(from, FrameKind::route, encoded(envelope));
  }

  void wake_at(TimePoint at) {
    now = at;
    engine->wake(now);
    pump();
    EXPECT_GT(engine->next_wake(), now);
  }

  Stranger& of(LinkId link) { return *strangers.at(static_cast<std::size_t>(link) - 1); }
  std::uint64_t dropped(DropReason reason) { return engine->stats().dropped_for(reason); }

  DeterministicCrypto crypto{1};
  Identity self = make_identity(crypto);
  TimePoint now{100s};
  std::unique_ptr<Engine> engine;
  std::vector<std::unique_ptr<Stranger>> strangers;
  std::vector<LinkId> closing;
  std::vector<decltype(Notify::event)> notes;
  std::vector<Dial> dials;
};

Unreachable notice_in(const Bytes& body) {
  const auto envelope = decode_envelope(body);
  EXPECT_TRUE(envelope.has_value());
  EXPECT_EQ(envelope->kind, EnvelopeKind::unreachable);
  return decode_unreachable(envelope->body).value();
}

// ---- Lies and nonsense ----

TEST_F(EngineTest, AnEnvelopeUnderOurOwnNameIsCountedAndGoesNowhere) {
  start();
  Stranger& liar = stranger();
  Stranger& victim = stranger();
  say(liar, Envelope{.target = victim.id(), .source = engine->id()});
  EXPECT_EQ(dropped(DropReason::forged_source), 1u);
  EXPECT_THAT(victim.envelopes(), IsEmpty());
}

TEST_F(EngineTest, ANoticeForNothingThatWeSentIsCounted) {
  start();
  Stranger& liar = stranger();
  Bytes body;
  encode_unreachable({.kind = EnvelopeKind::session_data, .tag = 7, .target = liar.id()}, body);
  say(liar, Envelope{.kind = EnvelopeKind::unreachable,
                     .target = engine->id(),
                     .source = liar.id(),
                     .body = body});
  EXPECT_EQ(dropped(DropReason::notice_unasked), 1u);
}

TEST_F(EngineTest, WhatALaterVersionMaySayIsCountedAndEndsNothing) {
  start();
  Stranger& later = stranger();
  std::uint64_t said = 0;
  for (int kind = 0; kind < 256; ++kind) {
    if ((kind >= 0x01 && kind <= 0x07) || (kind >= 0x10 && kind <= 0x12)) continue;
    say(later, FrameKind{static_cast<std::uint8_t>(kind)}, Bytes(3));
    EXPECT_EQ(dropped(DropReason::unknown_frame), ++said);
  }
  say(later, Envelope{.kind = EnvelopeKind{0x7f}, .target = engine->id(), .source = later.id()});
  EXPECT_EQ(dropped(DropReason::unknown_frame), ++said);
  EXPECT_TRUE(engine->peer(later.id(), now).has_value());
}

TEST_F(EngineTest, WhatIsNoFrameOfOursIsCountedAndEndsNothing) {
  start();
  Stranger& babbler = stranger();
  const auto kinds = {FrameKind::route,    FrameKind::ping,      FrameKind::pong,
                      FrameKind::contacts, FrameKind::dial_back, FrameKind::dial_back_result};
  std::uint64_t said = 0;
  for (const FrameKind kind : kinds) {
    for (const std::size_t size : {0u, 1u, 3u}) {
      if (kind == FrameKind::contacts && size == 3) continue;
      say(babbler, kind, Bytes(size, 0xff));
      EXPECT_EQ(dropped(DropReason::malformed), ++said) << static_cast<int>(kind) << ' ' << size;
    }
  }
  Bytes envelope = encoded({.target = engine->id(), .source = babbler.id()});
  envelope[1] = 0x80;  // a flag that nobody has
  say(babbler, FrameKind::route, envelope);
  EXPECT_EQ(dropped(DropReason::malformed), ++said);
  envelope[1] = 0;
  envelope[2] = limits::hops_max + 1;
  say(babbler, FrameKind::route, envelope);
  EXPECT_EQ(dropped(DropReason::malformed), ++said);
  for (const EnvelopeKind kind :
       {EnvelopeKind::lookup, EnvelopeKind::contacts, EnvelopeKind::unreachable}) {
    say(babbler, Envelope{.kind = kind, .target = engine->id(), .source = babbler.id()});
    EXPECT_EQ(dropped(DropReason::malformed), ++said);
  }
  EXPECT_TRUE(engine->peer(babbler.id(), now).has_value());
}

TEST_F(EngineTest, AnAnswerThatNobodyAskedForIsCounted) {
  start();
  Stranger& liar = stranger();
  Bytes body;
  encode_lookup_answer({.nonce = 9, .contacts = {}}, body);
  say(liar, Envelope{.kind = EnvelopeKind::contacts,
                     .target = engine->id(),
                     .source = liar.id(),
                     .body = body});
  EXPECT_EQ(dropped(DropReason::contact_unwanted), 1u);
}

// ---- The way through ----

TEST_F(EngineTest, APassedEnvelopeHasOneHopLessAndIsElseTheSame) {
  start();
  Stranger& from = stranger();
  Stranger& to = stranger();
  Bytes content(1000);
  crypto.random(content);
  Envelope envelope{.kind = EnvelopeKind{0x55},  // relays need not know it
                    .tag = 0xdeadbeef,
                    .target = to.id(),
                    .source = make_identity(crypto).id,
                    .home = from.id(),
                    .body = content};
  for (const std::uint8_t hops : {std::uint8_t{32}, std::uint8_t{1}}) {
    to.heard.clear();
    envelope.hops_left = hops;
    say(from, envelope);
    Bytes expected = encoded(envelope);
    --expected[envelope_hops_at];
    EXPECT_THAT(to.envelopes(), ElementsAre(expected));
  }
  EXPECT_EQ(engine->stats().envelopes_relayed, 2u);
  EXPECT_EQ(engine->peer(from.id(), now)->frames_relayed, 2u);
}

TEST_F(EngineTest, AtTheViaTheFieldIsTakenAwayAndNothingStaysBehind) {
  start();
  Stranger& from = stranger();
  Stranger& to = stranger();
  const Bytes content(100, 3);
  Envelope envelope{.target = to.id(), .source = from.id(), .via = engine->id(), .body = content};
  for (int i = 0; i < 10; ++i) say(from, envelope);
  envelope.via.reset();
  envelope.hops_left = limits::hops_max - 1;
  EXPECT_EQ(to.envelopes(), std::vector<Bytes>(10, encoded(envelope)));
  EXPECT_EQ(engine->stats().queued_bytes, 0u) << "as much was counted out as in";
}

TEST_F(EngineTest, TheSourceHearsWhereAndWhyTheWayEnded) {
  start();
  Stranger& from = stranger();
  Envelope envelope{.tag = 77, .target = make_identity(crypto).id, .source = from.id()};
  say(from, envelope);
  ASSERT_THAT(from.envelopes(), SizeIs(1));
  EXPECT_EQ(decode_envelope(from.envelopes().front())->source, engine->id());
  EXPECT_EQ(notice_in(from.envelopes().front()).reason, UnreachableReason::dead_end);
  EXPECT_EQ(notice_in(from.envelopes().front()).tag, 77u);

  envelope.target = stranger().id();
  envelope.hops_left = 0;
  from.heard.clear();
  say(from, envelope);
  ASSERT_THAT(from.envelopes(), SizeIs(1));
  EXPECT_EQ(notice_in(from.envelopes().front()).reason, UnreachableReason::hops_spent);
  EXPECT_EQ(dropped(DropReason::dead_end), 1u);
  EXPECT_EQ(dropped(DropReason::hops_spent), 1u);
}

TEST_F(EngineTest, WhoSendsMoreThanItsShareIsHeldToIt) {
  EngineOptions options;
  options.limits.relay_frames_per_second = 5;
  start(std::move(options));
  Stranger& from = stranger();
  Stranger& to = stranger();
  for (int i = 0; i < 8; ++i) say(from, Envelope{.target = to.id(), .source = from.id()});
  EXPECT_THAT(to.envelopes(), SizeIs(5));
  EXPECT_EQ(dropped(DropReason::rate_limited), 3u);
  ASSERT_FALSE(from.envelopes().empty());
  EXPECT_EQ(notice_in(from.envelopes().front()).reason, UnreachableReason::rate_limited);
  now += 1s;
  say(from, Envelope{.target = to.id(), .source = from.id()});
  EXPECT_THAT(to.envelopes(), SizeIs(6));
}

TEST_F(EngineTest, ForOneWhoDoesNotReadOnlySoMuchIsHeld) {
  start();
  Stranger& from = stranger();
  Stranger& deaf = stranger();
  deaf.is_deaf = true;
  const Bytes content(10'000);
  for (int i = 0; i < 200; ++i) {
    say(from, Envelope{.target = deaf.id(), .source = from.id(), .body = content});
  }
  const Stats stats = engine->stats();
  EXPECT_LE(stats.queued_bytes, limits::link_queue_bytes_max - limits::link_queue_reserve_bytes);
  EXPECT_GT(stats.queued_bytes, limits::link_queue_bytes_max / 2);
  EXPECT_GT(stats.dropped_for(DropReason::queue_full), 50u);
  EXPECT_EQ(notice_in(from.envelopes().front()).reason, UnreachableReason::queue_full);
}

// ---- The application ----

TEST_F(EngineTest, WhatNoNodeCanSendIsRefusedAtOnce) {
  start();
  EXPECT_EQ(engine->send(engine->id(), Payload::of_text("me"), now).error(), Error::to_self);
  Payload large;
  large.bytes.resize(limits::payload_bytes_max + 1);
  const NodeId other = make_identity(crypto).id;
  EXPECT_EQ(engine->send(other, large, now).error(), Error::payload_too_large);
  EXPECT_EQ(engine->send(other, large, AcknowledgedSend{}, now).error(), Error::payload_too_large);
}

TEST_F(EngineTest, TheLargestPayloadFitsWhateverItsHeaders) {
  start();
  Stranger& peer = stranger();
  Payload payload;
  payload.bytes.resize(limits::payload_bytes_max);
  ASSERT_TRUE(engine->send(peer.id(), std::move(payload), now).has_value());
  pump();
  EXPECT_THAT(peer.envelopes(), testing::Not(IsEmpty())) << "a session is asked for";
}

TEST_F(EngineTest, ItSaysGoodbyeToAllAndEnds) {
  start();
  stranger();
  stranger("ws://10.0.2.1");
  EXPECT_THAT(engine->peers(now), SizeIs(2));
  engine->shut_down(now);
  pump();
  EXPECT_TRUE(engine->is_shut_down());
  const Stats stats = engine->stats();
  EXPECT_EQ(stats.closed[static_cast<std::size_t>(CloseReason::shutdown)], 2u);
  EXPECT_EQ(stats.links, 0u);
  EXPECT_EQ(stats.queued_bytes, 0u);
  for (const auto& each : strangers) EXPECT_EQ(each->links.size(), 0u);
}

TEST_F(EngineTest, ItDoesNotWaitForeverForWhoDoesNotAnswerItsGoodbye) {
  start();
  stranger().is_deaf = true;
  engine->shut_down(now);
  pump();
  EXPECT_FALSE(engine->is_shut_down());
  wake_at(now + limits::goodbye_timeout);
  EXPECT_TRUE(engine->is_shut_down());
}

TEST_F(EngineTest, AfterTheEndALinkThatComesLateIsClosed) {
  start();
  engine->shut_down(now);
  pump();
  ASSERT_TRUE(engine->is_shut_down());
  const LinkId link{strangers.size() + 1};
  strangers.push_back(std::make_unique<Stranger>(crypto, link, ""));
  engine->link_opened(
      link, {.dial = {}, .remote = "", .remote_host = "10.0.9.1", .channel_binding = {}}, now);
  wake_at(now + limits::handshake_timeout);
  EXPECT_TRUE(engine->is_shut_down());
  EXPECT_EQ(strangers.back()->closed, CloseReason::handshake_timeout);
}

// The same calls at the same times with the same seeds give the same bytes.
TEST(Engine, IsAFunctionOfItsInputs) {
  const auto run = [] {
    DeterministicCrypto crypto{5};
    const Identity self = make_identity(crypto);
    EngineOptions options;
    options.bootstrap = {Address::parse("ws://192.0.2.1").value(),
                         Address::parse("ws://192.0.2.2").value(),
                         Address::parse("ws://192.0.2.3").value()};
    TimePoint now{10s};
    Engine engine{std::move(options), self, crypto, 9, now};
    engine.start(now);
    std::vector<std::string> log;
    for (int turn = 0; turn < 50; ++turn) {
      while (const auto action = engine.next_action()) {
        if (const auto* const dial = std::get_if<Dial>(&*action)) {
          log.push_back(dial->address.to_string());
          if (turn % 3 == 0) {
            engine.link_opened(
                LinkId{log.size()},
                {.dial = dial->dial, .remote = {}, .remote_host = {}, .channel_binding = {}}, now);
          } else {
            engine.dial_failed(dial->dial, DialError::refused, now);
          }
        } else if (const auto* const transmit = std::get_if<Transmit>(&*action)) {
          log.emplace_back(as_text(transmit->batch));
        } else if (const auto* const close = std::get_if<CloseLink>(&*action)) {
          engine.link_closed(close->link, close->reason, now);
        }
      }
      if (engine.next_wake() == never) break;
      now = engine.next_wake();
      log.push_back(std::to_string(now.time_since_epoch().count()));
      engine.wake(now);
    }
    return log;
  };
  const auto first = run();
  EXPECT_GT(first.size(), 20u);
  EXPECT_EQ(first, run());
}

}  // namespace
}  // namespace peer_relay
