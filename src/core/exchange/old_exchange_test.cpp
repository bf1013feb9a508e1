// SPDX-License-Identifier: MIT
//
// The room alone: the test is the host, the clock, and the other nodes, who speak by hand.
#include "core/exchange/old_exchange.hpp"

#include <algorithm>
#include <deque>
#include <set>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/exchange/multiplex.hpp"
#include "core/exchange/old_connection.hpp"
#include "core/old_signal.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;
using exchange::append_frame;
using exchange::FrameType;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using enum ExchangeTransport;

constexpr std::string_view hello =
    R"({"command":"hello","id":"net-1","version":0,"accepts":{},"transports":["tcp","websocket","webrtc"]})"
    "\n";
constexpr std::string_view helloack = "{\"command\":\"helloack\"}\n";

/// One other node, and what we told it.
struct Other {
  LinkId link{};
  exchange::MultiplexReader reader;
  struct Channel {
    std::string name;
    std::string bytes;
    bool is_ended = false;
  };
  std::map<std::uint32_t, Channel> ours;  // of us, as it sees them
  std::vector<std::pair<FrameType, std::uint32_t>> answers;
  std::vector<std::size_t> messages;  // their sizes
  std::optional<CloseReason> closed;
  std::size_t lines_read = 0;

  void hear(BytesView bytes) {
    messages.push_back(bytes.size());
    while (const auto piece = reader.next(bytes)) {
      switch (piece->type) {
        case FrameType::open:
          EXPECT_FALSE(ours.contains(piece->channel)) << "a number that is in use";
          ours[piece->channel] = {.name = std::string{as_text(piece->bytes)}};
          break;
        case FrameType::opener_data:
          EXPECT_TRUE(ours.contains(piece->channel));
          EXPECT_FALSE(ours[piece->channel].is_ended);
          ours[piece->channel].bytes += as_text(piece->bytes);
          break;
        case FrameType::opener_end:
          ours[piece->channel].is_ended = true;
          break;
        default:
          answers.emplace_back(piece->type, piece->channel);
      }
    }
    EXPECT_FALSE(reader.is_broken());
  }

  const Channel* channel(std::string_view name) const {
    for (const auto& [number, each] : ours) {
      if (each.name == name) return &each;
    }
    return nullptr;
  }
  std::string said_on(std::string_view name) const {
    const Channel* const found = channel(name);
    return found == nullptr ? "" : found->bytes;
  }
  std::vector<std::string> lines() const {
    std::vector<std::string> out;
    std::string all = said_on("pxp");
    for (std::size_t at = 0; (at = all.find('\n')) != std::string::npos; all.erase(0, at + 1)) {
      out.push_back(all.substr(0, at));
    }
    return out;
  }
};

class Exchange : public ::testing::Test {
 public:
  OldExchange room{Random{7}, {.network = "net-1", .makes_channels = true}};
  Outbox out;
  TimePoint now{1s};
  std::deque<Other> others;
  std::vector<DialWish> dials;
  std::vector<NegotiateWish> negotiations;
  std::vector<NotifyWish::ExchangePeerUp> up;
  std::vector<NotifyWish::ExchangePeerDown> down;
  std::vector<NotifyWish::ExchangeFailed> failed;
  std::vector<ExchangePeerId> writable;
  std::vector<ExchangePeerId> ended;
  std::vector<Problem> problems;
  std::map<ExchangePeerId, std::string> heard;

  void drain() {
    while (!out.empty()) {
      Wish wish = out.take();
      if (auto* const dial = std::get_if<DialWish>(&wish)) dials.push_back(std::move(*dial));
      if (auto* const each = std::get_if<NegotiateWish>(&wish)) negotiations.push_back(*each);
      if (auto* const notify = std::get_if<NotifyWish>(&wish)) take(*notify);
    }
    while (auto outgoing = room.next_outgoing(out)) {
      for (Other& other : others) {
        if (other.link != outgoing->link) continue;
        if (!outgoing->bytes.empty()) other.hear(outgoing->bytes);
        if (outgoing->then_close) other.closed = outgoing->then_close;
      }
      room.writable(outgoing->link);
      if (!out.empty()) drain();
    }
    for (Other& other : others) {
      if (other.closed && room.owns(other.link)) room.closed(other.link, *other.closed, out);
    }
    if (!out.empty()) drain();
  }

  void take(const NotifyWish& notify) {
    const auto& event = notify.event;
    if (const auto* e = std::get_if<NotifyWish::ExchangePeerUp>(&event)) up.push_back(*e);
    if (const auto* e = std::get_if<NotifyWish::ExchangePeerDown>(&event)) down.push_back(*e);
    if (const auto* e = std::get_if<NotifyWish::ExchangeFailed>(&event)) failed.push_back(*e);
    if (const auto* e = std::get_if<NotifyWish::ExchangeWritable>(&event)) {
      writable.push_back(e->peer);
    }
    if (const auto* e = std::get_if<NotifyWish::ExchangeEnded>(&event)) ended.push_back(e->peer);
    if (const auto* e = std::get_if<Problem>(&event)) problems.push_back(*e);
    if (const auto* e = std::get_if<NotifyWish::ExchangeBytes>(&event)) {
      heard[e->peer] += as_text(e->bytes);
    }
  }

  Other& arrive(OldExchange::LinkStart start = {.dial = std::nullopt,
                                                .transport = tcp,
                                                .remote = "10.0.0.9:4000",
                                                .remote_host = "10.0.0.9"}) {
    Other& other = others.emplace_back();
    other.link = LinkId{100 + others.size()};
    room.opened(other.link, std::move(start), now, out);
    drain();
    return other;
  }

  void say(Other& other, BytesView bytes) {
    if (room.owns(other.link)) room.received(other.link, bytes, now, out);
    drain();
  }
  void frame(Other& other, FrameType type, std::uint32_t channel, std::string_view payload = {}) {
    Bytes bytes;
    append_frame(type, channel, as_bytes(payload), bytes);
    say(other, bytes);
  }
  void line(Other& other, std::string_view text) {
    frame(other, FrameType::opener_data, 7, std::string{text} + "\n");
  }
  void greet(Other& other, std::string_view with = hello) {
    frame(other, FrameType::open, 7, "pxp");
    frame(other, FrameType::opener_data, 7, with);
    frame(other, FrameType::opener_data, 7, helloack);
  }
  Other& peer(std::string_view accepts = "{}", std::string host = "10.0.0.9") {
    Other& other = arrive(
        {.dial = std::nullopt, .transport = tcp, .remote = host + ":4000", .remote_host = host});
    greet(other, std::string{R"({"command":"hello","id":"net-1","version":0,"accepts":)"}
                     .append(accepts)
                     .append(R"(,"transports":["tcp","websocket","webrtc"]})"
                             "\n"));
    EXPECT_FALSE(other.closed);
    return other;
  }
  ExchangePeerId last_peer() const { return up.back().peer; }

  /// Asks for a peer, and is named one to whom to offer a data channel.
  ExchangeRequest ask_for_a_channel(Other& middle) {
    const ExchangeRequest request = room.seek_peer(std::nullopt, now, out);
    drain();
    line(middle, R"({"command":")" + value_of("reqId", middle.lines().back()) +
                     R"(","transport":"webrtc","opts":true,"address":"10.0.0.7","nonce":"c80d"})");
    return request;
  }
  Other& channel_opened(NegotiationId id) {
    Other& found = others.emplace_back();
    found.link = LinkId{500};
    EXPECT_TRUE(room.channel_opened(id, found.link, {.remote_host = "10.0.0.7"}, now, out));
    drain();
    return found;
  }

  void pass(Duration duration) {
    const TimePoint end = now + duration;
    while (room.next_wake() <= end) {
      now = std::max(now, room.next_wake());
      room.wake(now, out);
      drain();
    }
    now = end;
  }

  /// What follows `"key":"` in that line.
  static std::string value_of(std::string_view key, std::string_view in) {
    const std::string start = "\"" + std::string{key} + "\":\"";
    const std::size_t at = in.find(start);
    if (at == std::string_view::npos) return {};
    const std::string_view rest = in.substr(at + start.size());
    return std::string{rest.substr(0, rest.find('"'))};
  }

  std::uint64_t dropped(DropReason reason) const { return out.stats().dropped_for(reason); }
};

// ---- Saying hello ---------------------------------------------------------------------------

TEST_F(Exchange, SaysHelloFirstAndAtOnce) {
  const Other& other = arrive();
  EXPECT_EQ(other.ours.at(0).name, "pxp");
  EXPECT_THAT(other.lines(),
              ElementsAre(R"({"command":"hello","id":"net-1","version":0,"accepts":{},)"
                          R"("transports":["tcp","websocket","webrtc"],)"
                          R"("receiverAddress":"10.0.0.9"})"));
  EXPECT_THAT(other.messages, SizeIs(1)) << "header and payload leave together";
}

TEST_F(Exchange, TellsNoAddressOverWebSocket) {
  const Other& other = arrive({.dial = std::nullopt,
                               .transport = websocket,
                               .remote = "10.0.0.9:4000",
                               .remote_host = "10.0.0.9"});
  EXPECT_EQ(other.lines()[0].find("receiverAddress"), std::string::npos);
}

TEST_F(Exchange, TellsWhatItAccepts) {
  room.accept(tcp, 23100, out);
  room.accept(webrtc, 0, out);
  const Other& other = arrive();
  EXPECT_THAT(other.lines()[0], HasSubstr(R"("accepts":{"tcp":{"port":23100},"webrtc":true})"));
}

TEST_F(Exchange, HasAPeerWhenBothHaveCome) {
  Other& other = arrive();
  frame(other, FrameType::open, 7, "pxp");
  frame(other, FrameType::opener_data, 7, hello);
  EXPECT_EQ(other.lines().back() + "\n", helloack);
  EXPECT_THAT(up, IsEmpty());
  frame(other, FrameType::opener_data, 7, helloack);
  ASSERT_THAT(up, SizeIs(1));
  EXPECT_EQ(up[0].transport, tcp);
  EXPECT_EQ(up[0].remote_host, "10.0.0.9");
  EXPECT_FALSE(up[0].request);
}

TEST_F(Exchange, TakesTheAnswerBeforeTheHello) {
  Other& other = arrive();
  frame(other, FrameType::open, 0, "pxp");
  frame(other, FrameType::opener_data, 0, helloack);
  EXPECT_THAT(up, IsEmpty());
  frame(other, FrameType::opener_data, 0, hello);
  EXPECT_THAT(up, SizeIs(1));
}

TEST_F(Exchange, LivesThroughTheDecodedSession) {
  // Appendix A of the wire notes.
  Bytes all;
  append_frame(FrameType::open, 7, as_bytes("pxp"), all);
  const std::string_view short_hello =
      R"({"command":"hello","id":"net-1","version":0,"accepts":{},"transports":[]})"
      "\n";
  append_frame(FrameType::opener_data, 7, as_bytes(short_hello), all);
  append_frame(FrameType::opener_data, 7, as_bytes(helloack), all);
  append_frame(FrameType::open, 300, as_bytes("data"), all);
  append_frame(FrameType::opener_data, 300, as_bytes("payload"), all);
  append_frame(FrameType::opener_end, 300, {}, all);
  append_frame(FrameType::opener_data, 7, as_bytes("{\"command\":\"getPeer\",\"reqId\":\"r1\"}\n"),
               all);
  append_frame(FrameType::receiver_destroy, 1, {}, all);
  for (std::size_t cut = 0; cut <= all.size(); ++cut) {
    Other& other = arrive();
    say(other, BytesView{all}.first(cut));
    say(other, BytesView{all}.subspan(cut));
    ASSERT_EQ(heard[last_peer()], "payload");
    EXPECT_EQ(ended.back(), last_peer());
    EXPECT_THAT(other.answers, ElementsAre(std::pair{FrameType::receiver_end, 300u}));
    EXPECT_EQ(other.lines().back(),
              R"({"command":"r1","transport":null,"opts":null,"address":null})");
    EXPECT_EQ(other.closed, CloseReason::transport_closed);
    EXPECT_EQ(down.back().peer, last_peer());
  }
}

TEST_F(Exchange, EndsWithANodeOfAnotherNetworkAndNamesIt) {
  Other& other = arrive();
  greet(other, R"({"command":"hello","id":"net-2","version":0,"accepts":{},"transports":[]})"
               "\n");
  EXPECT_EQ(other.closed, CloseReason::wrong_network);
  EXPECT_THAT(up, IsEmpty());
  ASSERT_THAT(problems, SizeIs(1));
  EXPECT_EQ(problems[0].kind, Problem::Kind::wrong_network);
  EXPECT_EQ(problems[0].detail, "net-2");
  EXPECT_THAT(other.lines(), SizeIs(1)) << "it learns of it from our hello; no helloack";
}

TEST_F(Exchange, EndsWithANodeOfAnotherVersion) {
  for (const char* version : {"1", "\"0\""}) {
    Other& other = arrive();
    greet(other, std::string{R"({"command":"hello","id":"net-1","version":)"} + version +
                     R"(,"accepts":{},"transports":[]})" + "\n");
    EXPECT_EQ(other.closed, CloseReason::wrong_version);
  }
  EXPECT_EQ(problems.at(0).kind, Problem::Kind::wrong_version);
}

TEST_F(Exchange, WaitsOnlySoLongForAHello) {
  Other& other = arrive();
  pass(limits::handshake_timeout);
  EXPECT_EQ(other.closed, CloseReason::handshake_timeout);
  EXPECT_EQ(room.links(), 0u);
}

TEST_F(Exchange, ASilentPeerStays) {
  const Other& other = peer();
  pass(24h);
  EXPECT_FALSE(other.closed);
}

// ---- What hostile nodes say (section 7 of the wire notes) --------------------------------------

TEST_F(Exchange, EndsOnlyThatConnection) {
  Other& bystander = peer();
  const auto it = last_peer();
  const auto ends = [&](auto say_so, CloseReason reason) {
    Other& other = peer();
    say_so(other);
    EXPECT_EQ(other.closed, reason);
    EXPECT_EQ(down.back().peer, last_peer());
  };
  constexpr auto error = CloseReason::protocol_error;
  ends([&](Other& o) { line(o, "no JSON"); }, error);
  ends([&](Other& o) { line(o, "null"); }, error);
  ends([&](Other& o) { line(o, hello.substr(0, hello.size() - 1)); }, error);
  ends([&](Other& o) { line(o, helloack.substr(0, helloack.size() - 1)); }, error);
  ends([&](Other& o) { say(o, Bytes(200, 0xff)); }, error);
  ends([&](Other& o) { say(o, Bytes{0x0a, 0x80, 0x80, 0x80, 0x80, 0x10}); }, error);
  ends([&](Other& o) { frame(o, FrameType::opener_data, 7, std::string(70'000, 'x')); }, error);
  ends([&](Other& o) { line(o, std::string(60'000, '[')); }, error);
  ends(
      [&](Other& o) {
        frame(o, FrameType::opener_end, 7);
        line(o, "{}");
      },
      error);
  ends([&](Other& o) { frame(o, FrameType::opener_destroy, 7, "why"); },
       CloseReason::transport_closed);
  ends([&](Other& o) { frame(o, FrameType::receiver_destroy, 0); }, CloseReason::transport_closed);
  EXPECT_FALSE(bystander.closed);
  frame(bystander, FrameType::open, 1, "data");
  frame(bystander, FrameType::opener_data, 1, "still here");
  EXPECT_EQ(heard[it], "still here");
}

TEST_F(Exchange, PassesOverWhatMeansNothing) {
  Other& other = peer();
  for (const char* text :
       {"1", "\"x\"", "[]", "{}", "true", R"({"command":"fly"})", R"({"command":1})",
        R"({"command":"accept","transport":"toString"})",
        R"({"command":"accept","transport":"__proto__","opts":{"port":1}})",
        R"({"command":"unaccept","transport":"toString"})",
        R"({"command":"incoming","nonce":"a1","transport":"tcp"})",
        R"({"command":"incoming","nonce":"a1","transport":"webrtc"})", R"({"command":"getPeer"})",
        R"({"command":"getPeer","reqId":"__proto__"})",
        R"({"command":"getPeer","reqId":"hello"})"}) {
    line(other, text);
    EXPECT_FALSE(other.closed) << text;
  }
  const std::size_t lines = other.lines().size();
  frame(other, FrameType::opener_data, 99, "of no channel");
  frame(other, FrameType::receiver_data, 0, "on ours");
  frame(other, FrameType::nothing, 3, "nothing");
  frame(other, FrameType::opener_end, 98);
  frame(other, FrameType::opener_destroy, 97);
  frame(other, FrameType::receiver_end, 96);
  frame(other, FrameType::receiver_destroy, 95);
  frame(other, FrameType::open, 1000, "__proto__");
  frame(other, FrameType::open, 1001, "toString");
  frame(other, FrameType::open, 1002, "");
  frame(other, FrameType::open, 1003, "pxp");
  frame(other, FrameType::opener_data, 1003, "no JSON, on a channel that is unknown");
  EXPECT_FALSE(other.closed);
  EXPECT_THAT(negotiations, IsEmpty());
  EXPECT_EQ(other.lines().size(), lines);
  line(other, R"({"command":"getPeer","reqId":"r1"})");
  EXPECT_EQ(other.lines().size(), lines + 1);
}

TEST_F(Exchange, CommandsBeforeItIsReadyAreLost) {
  Other& other = arrive();
  frame(other, FrameType::open, 7, "pxp");
  line(other, R"({"command":"getPeer","reqId":"r1"})");
  frame(other, FrameType::opener_data, 7, hello);
  line(other, R"({"command":"getPeer","reqId":"r2"})");
  EXPECT_THAT(other.lines(), SizeIs(2));
  EXPECT_EQ(dropped(DropReason::not_open), 2u);
}

TEST_F(Exchange, AnUnreadChannelNeverBlocksAnother) {
  Other& other = peer();
  frame(other, FrameType::open, 2, "of no known name");
  frame(other, FrameType::opener_data, 2, std::string(3 << 20, 'x'));
  frame(other, FrameType::receiver_data, 0, std::string(3 << 20, 'x'));
  line(other, R"({"command":"getPeer","reqId":"r1"})");
  EXPECT_THAT(other.lines().back(), HasSubstr("r1"));
  EXPECT_GT(dropped(DropReason::stream_unknown), 1u);
}

TEST_F(Exchange, AHundredThousandChannelsCostNothing) {
  Other& other = peer();
  Bytes all;
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    append_frame(FrameType::open, i + 8, as_bytes("relay:1"), all);
  }
  say(other, all);
  EXPECT_FALSE(other.closed);
  EXPECT_EQ(dropped(DropReason::stream_unknown), 100'000u);
}

TEST_F(Exchange, WhoAsksOnWithoutReadingLosesTheConnection) {
  Other& other = peer();
  std::string lines;
  for (int i = 0; i < 10'000; ++i) lines += "{\"command\":\"getPeer\",\"reqId\":\"r1\"}\n";
  Bytes all;
  append_frame(FrameType::opener_data, 7, as_bytes(lines), all);
  say(other, all);
  EXPECT_EQ(other.closed, CloseReason::queue_stalled);
}

TEST_F(Exchange, KeepsSoManyConnectionsAndNoMore) {
  for (std::size_t i = 0; i < exchange::links_max; ++i) {
    room.opened(LinkId{10'000 + i},
                {.transport = tcp, .remote_host = "10.0.1." + std::to_string(i / 64)}, now, out);
  }
  drain();
  EXPECT_EQ(arrive().closed, CloseReason::busy);
}

TEST_F(Exchange, KeepsFewStrangersOfOneHost) {
  for (std::size_t i = 0; i < limits::handshakes_per_host_max; ++i) {
    room.opened(LinkId{10'000 + i}, {.transport = tcp, .remote_host = "10.0.0.9"}, now, out);
  }
  drain();
  EXPECT_EQ(arrive().closed, CloseReason::busy);
  EXPECT_FALSE(peer("{}", "10.0.0.8").closed);
}

// ---- Data -----------------------------------------------------------------------------------

TEST_F(Exchange, CarriesBytesBothWays) {
  Other& other = peer();
  frame(other, FrameType::open, 300, "data");
  frame(other, FrameType::opener_data, 300, "hello ");
  frame(other, FrameType::opener_data, 300, "peer");
  EXPECT_EQ(heard[last_peer()], "hello peer");
  EXPECT_EQ(other.channel("data"), nullptr) << "no open frame before the first write";
  EXPECT_TRUE(room.write(last_peer(), Bytes{'a', 'b'}));
  EXPECT_TRUE(room.write(last_peer(), Bytes{'c'}));
  drain();
  EXPECT_EQ(other.ours.at(1).name, "data");
  EXPECT_EQ(other.said_on("data"), "abc");
}

TEST_F(Exchange, SendsNoMessageThatADataChannelCouldNotTake) {
  Other& other = peer();
  Bytes large(200'000);
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<std::uint8_t>(i * 7);
  EXPECT_TRUE(room.write(last_peer(), large));
  drain();
  EXPECT_EQ(other.said_on("data"), as_text(large));
  EXPECT_LE(*std::ranges::max_element(other.messages), exchange::message_bytes_max);
}

TEST_F(Exchange, CommandsDoNotWaitForData) {
  Other& other = peer();
  EXPECT_TRUE(room.write(last_peer(), Bytes(200'000, 1)));
  line(other, R"({"command":"getPeer","reqId":"r1"})");
  // The answer came in a whole frame, or the reader would have found nonsense.
  EXPECT_THAT(other.lines().back(), HasSubstr("r1"));
  EXPECT_EQ(other.said_on("data").size(), 200'000u);
}

TEST_F(Exchange, HoldsAWriterBackAndTellsItWhenThereIsRoom) {
  Other& other = peer();
  const auto to = last_peer();
  EXPECT_TRUE(room.has_room(to));
  EXPECT_TRUE(room.write(to, Bytes(limits::stream_unsent_bytes_max, 1)));
  EXPECT_FALSE(room.has_room(to));
  EXPECT_FALSE(room.write(to, Bytes(1)));
  EXPECT_THAT(writable, IsEmpty());
  drain();
  EXPECT_THAT(writable, ElementsAre(to));
  EXPECT_TRUE(room.has_room(to));
  EXPECT_EQ(other.said_on("data").size(), limits::stream_unsent_bytes_max);
}

TEST_F(Exchange, GivesAHostNoMoreThanItTakes) {
  Other& other = peer();
  room.writable(other.link);
  std::size_t taken = 0;
  for (int i = 0; i < 100; ++i) {
    static_cast<void>(room.write(last_peer(), Bytes(100'000, 1)));
    while (const auto outgoing = room.next_outgoing(out)) taken += outgoing->bytes.size();
  }
  EXPECT_LE(taken, exchange::in_flight_bytes_max + exchange::message_bytes_max);
  EXPECT_LE(room.queued_bytes(), limits::stream_unsent_bytes_max + 100'000);
}

TEST_F(Exchange, EndsAConnectionWhoseBytesNobodyReads) {
  Other& other = peer();
  const auto from = last_peer();
  frame(other, FrameType::open, 1, "data");
  for (int i = 0; i < 64; ++i) {
    frame(other, FrameType::opener_data, 1, std::string(1 << 20, 'x'));
    room.consumed(from, 1 << 20);
  }
  EXPECT_FALSE(other.closed) << "what is done with does not count";
  frame(other, FrameType::opener_data, 1, std::string(Limits{}.exchange_unread_bytes_max, 'x'));
  EXPECT_FALSE(other.closed);
  frame(other, FrameType::opener_data, 1, "x");
  EXPECT_EQ(other.closed, CloseReason::unread);
  ASSERT_THAT(down, SizeIs(1));
  EXPECT_EQ(down[0].reason, CloseReason::unread);
}

TEST_F(Exchange, AThirdPartysEndIsTheEndOfItsDataAlone) {
  Other& other = peer();
  frame(other, FrameType::open, 1, "data");
  frame(other, FrameType::opener_end, 1);
  EXPECT_THAT(ended, ElementsAre(last_peer()));
  EXPECT_THAT(other.answers, ElementsAre(std::pair{FrameType::receiver_end, 1u}));
  EXPECT_TRUE(room.write(last_peer(), Bytes{'x'}));
  line(other, R"({"command":"getPeer","reqId":"r1"})");
  EXPECT_EQ(other.said_on("data"), "x");
  EXPECT_FALSE(other.closed);
}

TEST_F(Exchange, KeepsALittleOfWhatComesTooEarly) {
  Other& other = arrive();
  frame(other, FrameType::open, 1, "data");
  frame(other, FrameType::opener_data, 1, "early");
  frame(other, FrameType::opener_end, 1);
  EXPECT_THAT(heard, IsEmpty());
  greet(other);
  EXPECT_EQ(heard[last_peer()], "early");
  EXPECT_THAT(ended, SizeIs(1));
  Other& another = arrive();
  frame(another, FrameType::open, 1, "data");
  frame(another, FrameType::opener_data, 1, std::string(exchange::early_bytes_max + 1, 'x'));
  EXPECT_EQ(another.closed, CloseReason::protocol_error);
}

TEST_F(Exchange, ClosesWhenWhatWasWrittenHasLeft) {
  Other& other = peer();
  EXPECT_TRUE(room.write(last_peer(), Bytes(200'000, 1)));
  room.close(last_peer(), now, out);
  EXPECT_FALSE(room.write(last_peer(), Bytes(1)));
  drain();
  EXPECT_EQ(other.said_on("data").size(), 200'000u);
  EXPECT_EQ(other.closed, CloseReason::disconnected);
  EXPECT_THAT(down, SizeIs(1));
  EXPECT_EQ(room.links(), 0u);
}

TEST_F(Exchange, DoesNotWaitForEverForWhatItLeavesUnsaid) {
  Other& other = peer();
  EXPECT_TRUE(room.write(last_peer(), Bytes(250'000, 1)));
  EXPECT_TRUE(room.write(last_peer(), Bytes(250'000, 1)));
  // The host takes what it gets, and never says that it is gone.
  while (room.next_outgoing(out)) {
  }
  room.close(last_peer(), now, out);
  EXPECT_FALSE(room.next_outgoing(out));
  pass(exchange::flush_timeout);
  EXPECT_EQ(other.closed, CloseReason::disconnected);
}

// ---- Asking for a peer ----------------------------------------------------------------------

TEST_F(Exchange, AsksARandomPeerAndDialsWhoIsNamed) {
  Other& middle = peer();
  const auto request = room.seek_peer(std::nullopt, now, out);
  drain();
  const std::string question = value_of("reqId", middle.lines().back());
  EXPECT_THAT(question, SizeIs(32));
  line(middle, R"({"command":")" + question +
                   R"(","transport":"tcp","opts":{"port":23385},"address":"::ffff:10.0.0.7",)"
                   R"("nonce":"f1"})");
  ASSERT_THAT(dials, SizeIs(1));
  EXPECT_EQ(dials[0].address.to_string(), "tcp://10.0.0.7:23385");
  EXPECT_TRUE(dials[0].is_stream);
  EXPECT_TRUE(OldExchange::owns(dials[0].dial));
  Other& found = arrive({.dial = dials[0].dial,
                         .transport = tcp,
                         .remote = "tcp://10.0.0.7:23385",
                         .remote_host = "10.0.0.7"});
  greet(found);
  EXPECT_EQ(up.back().request, request);
  EXPECT_THAT(failed, IsEmpty());
}

TEST_F(Exchange, FailsWithoutAPeerToAsk) {
  const auto request = room.seek_peer(std::nullopt, now, out);
  drain();
  ASSERT_THAT(failed, SizeIs(1));
  EXPECT_EQ(failed[0].request, request);
  EXPECT_EQ(failed[0].why, ExchangeFailure::no_peers);
  room.seek_peer(ExchangePeerId{77}, now, out);
  drain();
  EXPECT_EQ(failed.back().why, ExchangeFailure::no_peers);
}

TEST_F(Exchange, FailsWhereNobodyIsNamedOrSomeplaceElse) {
  Other& middle = peer();
  const auto answered = [&](std::string_view rest) {
    room.seek_peer(last_peer(), now, out);
    drain();
    const std::string question = value_of("reqId", middle.lines().back());
    line(middle, "{\"command\":\"" + question + "\"," + std::string{rest} + "}");
    return failed.back().why;
  };
  using enum ExchangeFailure;
  EXPECT_EQ(answered(R"("transport":null,"opts":null,"address":null)"), nobody);
  EXPECT_EQ(answered(R"("transport":"tcp","opts":{"port":1})"), nobody);
  EXPECT_EQ(answered(R"("transport":"pigeon","opts":{"port":1},"address":"10.0.0.1")"), nobody);
  for (const char* address : {"example.com", "localhost", "127.0.0.1", "::1", "0.0.0.0", "x\\ny"}) {
    EXPECT_EQ(answered(std::string{R"("transport":"tcp","opts":{"port":1},"nonce":"1","address":")"}
                           .append(address)
                           .append("\"")),
              bad_answer)
        << address;
  }
  EXPECT_EQ(answered(R"("transport":"tcp","opts":{"port":0},"address":"10.0.0.1")"), bad_answer);
  EXPECT_EQ(answered(R"("transport":"tcp","opts":true,"address":"10.0.0.1")"), bad_answer);
  EXPECT_EQ(
      answered(R"("transport":"webrtc","opts":true,"address":"10.0.0.1","nonce":"__proto__")"),
      bad_answer);
  EXPECT_FALSE(middle.closed);
  EXPECT_THAT(dials, IsEmpty());
}

TEST_F(Exchange, DialsItsOwnMachineOnItsOwnMachinesWord) {
  Other& middle = peer("{}", "127.0.0.1");
  room.seek_peer(std::nullopt, now, out);
  drain();
  line(middle, R"({"command":")" + value_of("reqId", middle.lines().back()) +
                   R"(","transport":"websocket","opts":{"port":80},"address":"::ffff:127.0.0.1",)"
                   R"("nonce":"f1"})");
  ASSERT_THAT(dials, SizeIs(1));
  EXPECT_EQ(dials[0].address.to_string(), "ws://127.0.0.1");
}

TEST_F(Exchange, TakesAnAnswerFromNobodyElse) {
  Other& middle = peer();
  const auto asked = last_peer();
  Other& liar = peer();
  room.seek_peer(asked, now, out);
  drain();
  const std::string answer =
      R"({"command":")" + value_of("reqId", middle.lines().back()) +
      R"(","transport":"tcp","opts":{"port":1},"address":"10.0.0.7","nonce":"1"})";
  line(liar, answer);
  EXPECT_THAT(dials, IsEmpty());
  line(middle, answer);
  EXPECT_THAT(dials, SizeIs(1));
  line(middle, answer);
  EXPECT_THAT(dials, SizeIs(1)) << "once";
}

TEST_F(Exchange, AQuestionHasATimeOutAndEndsWithItsConnection) {
  Other& middle = peer();
  room.seek_peer(last_peer(), now, out);
  pass(exchange::answer_timeout);
  ASSERT_THAT(failed, SizeIs(1));
  EXPECT_EQ(failed[0].why, ExchangeFailure::no_answer);
  room.seek_peer(last_peer(), now, out);
  drain();
  room.closed(middle.link, CloseReason::transport_closed, out);
  drain();
  EXPECT_THAT(failed, SizeIs(2));
}

TEST_F(Exchange, ConnectsAndTellsWhyNot) {
  const Address address = Address::parse("ws://10.0.0.7:80").value();
  const auto refused = room.connect(address, out);
  drain();
  room.dial_failed(dials.back().dial, DialError::refused, out);
  drain();
  ASSERT_THAT(failed, SizeIs(1));
  EXPECT_EQ(failed[0].request, refused);
  EXPECT_EQ(failed[0].why, ExchangeFailure::dial_failed);
  EXPECT_EQ(failed[0].dial_error, DialError::refused);

  room.connect(address, out);
  drain();
  Other& stranger = arrive({.dial = dials.back().dial,
                            .transport = tcp,
                            .remote = "ws://10.0.0.7",
                            .remote_host = "10.0.0.7"});
  greet(stranger, R"({"command":"hello","id":"net-2","version":0,"accepts":{},"transports":[]})"
                  "\n");
  ASSERT_THAT(failed, SizeIs(2));
  EXPECT_EQ(failed[1].why, ExchangeFailure::wrong_network);
  EXPECT_EQ(failed[1].network, "net-2");

  room.connect(address, out);
  drain();
  Other& silent = arrive({.dial = dials.back().dial,
                          .transport = tcp,
                          .remote = "ws://10.0.0.7",
                          .remote_host = "10.0.0.7"});
  room.closed(silent.link, CloseReason::transport_closed, out);
  drain();
  ASSERT_THAT(failed, SizeIs(3));
  EXPECT_EQ(failed[2].why, ExchangeFailure::closed);
}

// ---- Introducing others ---------------------------------------------------------------------

TEST_F(Exchange, NamesNobodyWhereNobodyAccepts) {
  peer();
  Other& asker = peer(R"({"tcp":{"port":23100}})");
  line(asker, R"({"command":"getPeer","reqId":"r1"})");
  EXPECT_EQ(asker.lines().back(),
            R"({"command":"r1","transport":null,"opts":null,"address":null})");
}

TEST_F(Exchange, NamesAPeerByTheAddressThatItIsSeenAt) {
  Other& chosen = peer(R"({"tcp":{"port":23100}})", "10.0.0.3");
  Other& asker = peer();
  line(asker, R"({"command":"getPeer","reqId":"r1"})");
  EXPECT_THAT(asker.lines().back(),
              HasSubstr(R"({"command":"r1","transport":"tcp","opts":{"port":23100},)"
                        R"("address":"10.0.0.3","nonce":")"));
  EXPECT_THAT(chosen.lines(), SizeIs(2)) << "it is told nothing";
}

TEST_F(Exchange, NamesWhatTheAskerCanDialAndChoosesAtRandom) {
  peer(R"({"tcp":{"port":1},"websocket":{"port":2}})", "10.0.0.3");
  peer(R"({"tcp":{"port":3}})", "10.0.0.4");
  Other& asker = arrive();
  greet(asker, R"({"command":"hello","id":"net-1","version":0,"accepts":{},"transports":["tcp"]})"
               "\n");
  std::set<std::string> named;
  for (int i = 0; i < 100; ++i) {
    line(asker, R"({"command":"getPeer","reqId":"r1"})");
    const std::string answer = asker.lines().back();
    EXPECT_EQ(value_of("transport", answer), "tcp");
    named.insert(value_of("address", answer));
  }
  EXPECT_THAT(named, ElementsAre("10.0.0.3", "10.0.0.4"));
}

TEST_F(Exchange, KeepsUpWithWhatPeersAccept) {
  Other& chosen = peer("{}", "10.0.0.3");
  Other& asker = peer();
  line(chosen, R"({"command":"accept","transport":"tcp","opts":{"port":23102}})");
  line(asker, R"({"command":"getPeer","reqId":"r1"})");
  EXPECT_EQ(value_of("address", asker.lines().back()), "10.0.0.3");
  line(chosen, R"({"command":"unaccept","transport":"tcp"})");
  line(asker, R"({"command":"getPeer","reqId":"r2"})");
  EXPECT_THAT(asker.lines().back(), HasSubstr("null"));
}

TEST_F(Exchange, TellsPeersWhatChanges) {
  Other& other = peer();
  room.accept(tcp, 23102, out);
  drain();
  EXPECT_EQ(other.lines().back(),
            R"({"command":"accept","transport":"tcp","opts":{"port":23102}})");
  room.unaccept(tcp, out);
  drain();
  EXPECT_EQ(other.lines().back(), R"({"command":"unaccept","transport":"tcp"})");
  const std::size_t lines = other.lines().size();
  room.unaccept(tcp, out);
  drain();
  EXPECT_EQ(other.lines().size(), lines);
}

TEST_F(Exchange, TellsWhatChangedBeforeAPeerWasReady) {
  Other& other = arrive();
  room.accept(tcp, 23102, out);
  drain();
  EXPECT_THAT(other.lines(), SizeIs(1));
  greet(other);
  EXPECT_EQ(other.lines().back(),
            R"({"command":"accept","transport":"tcp","opts":{"port":23102}})");
}

TEST_F(Exchange, LendsTwoAChannelForThirtySeconds) {
  Other& chosen = peer(R"({"webrtc":true})", "10.0.0.3");
  Other& asker = peer("{}", "10.0.0.4");
  line(asker, R"({"command":"getPeer","reqId":"r1"})");
  const std::string nonce = value_of("nonce", asker.lines().back());
  EXPECT_THAT(asker.lines().back(),
              HasSubstr(R"("transport":"webrtc","opts":true,"address":"10.0.0.3")"));
  EXPECT_EQ(chosen.lines().back(),
            R"({"command":"incoming","nonce":")" + nonce + R"(","transport":"webrtc"})");
  const std::string name = "relay:" + nonce;
  EXPECT_EQ(chosen.channel(name), nullptr) << "opened before the first write";
  frame(asker, FrameType::open, 2, name);
  frame(asker, FrameType::opener_data, 2, "{\"type\":\"of");
  frame(asker, FrameType::opener_data, 2, "fer\"}\n");
  EXPECT_EQ(chosen.said_on(name), "{\"type\":\"offer\"}\n");
  frame(chosen, FrameType::open, 9, name);
  frame(chosen, FrameType::opener_data, 9, "answer\n");
  EXPECT_EQ(asker.said_on(name), "answer\n");
  EXPECT_EQ(asker.ours.at(2).name, name);
  pass(exchange::introduction_lasts - 1ms);
  EXPECT_FALSE(asker.channel(name)->is_ended);
  pass(1ms);
  EXPECT_TRUE(asker.channel(name)->is_ended);
  EXPECT_TRUE(chosen.channel(name)->is_ended);
  EXPECT_FALSE(asker.closed || chosen.closed);
  frame(asker, FrameType::opener_data, 2, "late");
  EXPECT_EQ(chosen.said_on(name), "{\"type\":\"offer\"}\n");
}

TEST_F(Exchange, EndsAChannelBetweenTwoWhenOneLeaves) {
  Other& chosen = peer(R"({"webrtc":true})", "10.0.0.3");
  Other& asker = peer("{}", "10.0.0.4");
  line(asker, R"({"command":"getPeer","reqId":"r1"})");
  const std::string name = "relay:" + value_of("nonce", asker.lines().back());
  frame(asker, FrameType::open, 2, name);
  frame(asker, FrameType::opener_data, 2, "x");
  room.closed(asker.link, CloseReason::transport_closed, out);
  drain();
  EXPECT_TRUE(chosen.channel(name)->is_ended);
  EXPECT_FALSE(chosen.closed);
}

TEST_F(Exchange, AChannelBetweenTwoHoldsSoMuchAndHurtsNobodyBeyond) {
  Other& chosen = peer(R"({"webrtc":true})", "10.0.0.3");
  Other& asker = peer("{}", "10.0.0.4");
  line(asker, R"({"command":"getPeer","reqId":"r1"})");
  const std::string name = "relay:" + value_of("nonce", asker.lines().back());
  frame(asker, FrameType::open, 2, name);
  frame(asker, FrameType::opener_data, 2, std::string(exchange::relay_bytes_max, 'x'));
  EXPECT_FALSE(chosen.channel(name)->is_ended);
  frame(asker, FrameType::opener_data, 2, "x");
  EXPECT_TRUE(chosen.channel(name)->is_ended);
  EXPECT_FALSE(asker.closed || chosen.closed);
}

TEST_F(Exchange, LendsOneSoManyChannelsAtATime) {
  peer(R"({"webrtc":true})", "10.0.0.3");
  Other& asker = peer("{}", "10.0.0.4");
  for (std::size_t i = 0; i < exchange::relays_per_link_max; ++i) {
    line(asker, R"({"command":"getPeer","reqId":"r1"})");
    EXPECT_THAT(asker.lines().back(), HasSubstr("webrtc"));
  }
  line(asker, R"({"command":"getPeer","reqId":"r1"})");
  EXPECT_THAT(asker.lines().back(), HasSubstr("null"));
  pass(exchange::introduction_lasts);
  line(asker, R"({"command":"getPeer","reqId":"r1"})");
  EXPECT_THAT(asker.lines().back(), HasSubstr("webrtc"));
}

TEST_F(Exchange, AskersAndChosenReuseNumbersWhoseEndWasRead) {
  Other& chosen = peer(R"({"webrtc":true})", "10.0.0.3");
  Other& asker = peer("{}", "10.0.0.4");
  for (int i = 0; i < 200; ++i) {
    line(asker, R"({"command":"getPeer","reqId":"r1"})");
    const std::string name = "relay:" + value_of("nonce", asker.lines().back());
    frame(asker, FrameType::open, 2, name);
    frame(asker, FrameType::opener_data, 2, "x");
    ASSERT_EQ(chosen.ours.at(2).name, name);
    frame(asker, FrameType::opener_end, 2);
    ASSERT_TRUE(chosen.ours.at(2).is_ended);
    chosen.ours.erase(2);
    frame(chosen, FrameType::receiver_end, 2);
  }
}

// ---- Data channels --------------------------------------------------------------------------

using Step = NegotiateWish::Step;

TEST_F(Exchange, OffersAChannelToWhomItIsNamed) {
  Other& middle = peer();
  const auto request = ask_for_a_channel(middle);
  ASSERT_THAT(negotiations, SizeIs(1));
  const NegotiationId id = negotiations[0].negotiation;
  EXPECT_TRUE(OldExchange::owns(id));
  EXPECT_EQ(negotiations[0].step, Step::offer);
  EXPECT_FALSE(negotiations[0].trickles);
  EXPECT_TRUE(negotiations[0].is_stream);
  room.described(id, "v=0\r\n", out);
  drain();
  EXPECT_EQ(middle.said_on("relay:c80d"), "{\"type\":\"offer\",\"sdp\":\"v=0\\r\\n\"}\n");
  frame(middle, FrameType::open, 2, "relay:c80d");
  frame(middle, FrameType::opener_data, 2,
        "{\"type\":\"answer\",\"sdp\":\"v=1\"}\n{\"candidate\":{\"candidate\":\"candidate:1\","
        "\"sdpMLineIndex\":0,\"sdpMid\":\"0\"}}\n");
  ASSERT_THAT(negotiations, SizeIs(3));
  EXPECT_EQ(negotiations[1].step, Step::take);
  EXPECT_EQ(negotiations[1].text, "v=1");
  EXPECT_EQ(negotiations[2].step, Step::candidate);
  EXPECT_EQ(negotiations[2].text, "candidate:1");
  Other& found = channel_opened(id);
  EXPECT_EQ(found.channel("pxp"), nullptr) << "who answered begins";
  greet(found);
  EXPECT_THAT(found.lines(), SizeIs(2)) << "hello and helloack";
  EXPECT_EQ(up.back().request, request);
  EXPECT_EQ(up.back().transport, webrtc);
  // Candidates that are late are read and go nowhere; the relay dies by itself.
  frame(middle, FrameType::opener_data, 2, "{\"candidate\":{\"candidate\":\"candidate:2\"}}\n");
  EXPECT_THAT(negotiations, SizeIs(3));
  EXPECT_FALSE(middle.channel("relay:c80d")->is_ended);
  frame(middle, FrameType::opener_end, 2);
  EXPECT_TRUE(middle.channel("relay:c80d")->is_ended);
  EXPECT_FALSE(middle.closed || found.closed);
}

TEST_F(Exchange, AnswersAnOfferWhenItIsChosen) {
  room.accept(webrtc, 0, out);
  Other& middle = peer();
  line(middle, R"({"command":"incoming","nonce":"c80d","transport":"webrtc"})");
  EXPECT_THAT(negotiations, IsEmpty()) << "the asker begins";
  frame(middle, FrameType::open, 2, "relay:c80d");
  frame(middle, FrameType::opener_data, 2, "{\"type\":\"offer\",\"sdp\":\"v=0\"}\n");
  ASSERT_THAT(negotiations, SizeIs(1));
  EXPECT_EQ(negotiations[0].step, Step::answer);
  EXPECT_EQ(negotiations[0].text, "v=0");
  EXPECT_TRUE(negotiations[0].is_stream);
  const NegotiationId id = negotiations[0].negotiation;
  room.described(id, "v=1", out);
  drain();
  EXPECT_EQ(middle.said_on("relay:c80d"), "{\"type\":\"answer\",\"sdp\":\"v=1\"}\n");
  Other& found = channel_opened(id);
  EXPECT_THAT(found.lines(), SizeIs(1)) << "who answered begins";
  greet(found);
  EXPECT_FALSE(up.back().request) << "it came to us";
}

TEST_F(Exchange, WhoOfferedBeginsIfNobodyDoes) {
  Other& middle = peer();
  ask_for_a_channel(middle);
  Other& found = channel_opened(negotiations[0].negotiation);
  EXPECT_EQ(found.channel("pxp"), nullptr);
  pass(1s);
  EXPECT_THAT(found.lines(), SizeIs(1));
  pass(1min);
  EXPECT_EQ(found.closed, CloseReason::handshake_timeout);
}

TEST_F(Exchange, ABadSignalEndsTheNegotiationAndNothingElse) {
  room.accept(webrtc, 0, out);
  Other& middle = peer();
  int nonce = 0;
  for (const char* signal : {"no JSON", "{}", "null", R"({"type":"answer","sdp":"v=0"})",
                             R"({"type":"offer","sdp":1})", R"({"candidate":7})"}) {
    const std::string name = std::to_string(++nonce);
    line(middle, R"({"command":"incoming","nonce":")" + name + R"(","transport":"webrtc"})");
    frame(middle, FrameType::open, static_cast<std::uint32_t>(20 + nonce), "relay:" + name);
    frame(middle, FrameType::opener_data, static_cast<std::uint32_t>(20 + nonce),
          std::string{signal} + "\n");
    EXPECT_FALSE(middle.closed) << signal;
  }
  EXPECT_THAT(negotiations, IsEmpty());
}

TEST_F(Exchange, TakesANonceOnceAndSoManyNegotiations) {
  room.accept(webrtc, 0, out);
  Other& middle = peer();
  for (int i = 0; i < 100; ++i) {
    line(middle, R"({"command":"incoming","nonce":"c80d","transport":"webrtc"})");
  }
  EXPECT_EQ(dropped(DropReason::stream_limit), 99u);
  for (int i = 0; i < 100; ++i) {
    line(middle,
         R"({"command":"incoming","nonce":")" + std::to_string(i) + R"(","transport":"webrtc"})");
  }
  EXPECT_EQ(dropped(DropReason::stream_limit), 99u + 100 - 15);
  EXPECT_FALSE(middle.closed);
}

TEST_F(Exchange, ANegotiationHasATimeOut) {
  Other& middle = peer();
  ask_for_a_channel(middle);
  pass(limits::negotiation_timeout);
  EXPECT_EQ(negotiations.back().step, Step::abandon);
  ASSERT_THAT(failed, SizeIs(1));
  EXPECT_EQ(failed[0].why, ExchangeFailure::no_answer);
  pass(10min);
  EXPECT_EQ(room.next_wake(), never);
}

TEST_F(Exchange, ANegotiationThatFailsIsTold) {
  Other& middle = peer();
  ask_for_a_channel(middle);
  room.channel_failed(negotiations[0].negotiation, DialError::ice_failed, out);
  drain();
  ASSERT_THAT(failed, SizeIs(1));
  EXPECT_EQ(failed[0].why, ExchangeFailure::dial_failed);
  EXPECT_EQ(failed[0].dial_error, DialError::ice_failed);
  EXPECT_THAT(negotiations, SizeIs(1)) << "the host knows";
}

TEST_F(Exchange, WithoutDataChannelsNobodyIsToldOfThem) {
  OldExchange plain{Random{1}, {.network = "net-1"}};
  plain.accept(webrtc, 0, out);
  EXPECT_FALSE(plain.accepts(webrtc));
  Other other;
  plain.opened(LinkId{1}, {.transport = tcp, .remote_host = "10.0.0.1"}, now, out);
  while (const auto outgoing = plain.next_outgoing(out)) other.hear(outgoing->bytes);
  EXPECT_EQ(other.lines()[0].find("webrtc"), std::string::npos);
}

// ---- The end --------------------------------------------------------------------------------

TEST_F(Exchange, ShutsDownAndTellsEverybody) {
  Other& other = peer();
  room.seek_peer(std::nullopt, now, out);
  room.connect(Address::parse("tcp://10.0.0.7:1").value(), out);
  drain();
  room.shut_down(now, out);
  drain();
  EXPECT_EQ(other.closed, CloseReason::shutdown);
  EXPECT_THAT(failed, SizeIs(2));
  EXPECT_THAT(down, SizeIs(1));
  room.connect(Address::parse("tcp://10.0.0.7:1").value(), out);
  drain();
  EXPECT_EQ(failed.back().why, ExchangeFailure::shutdown);
  EXPECT_EQ(room.links(), 0u);
}

TEST_F(Exchange, TwoOfUsMeetInEveryCut) {
  OldExchange far{Random{8}, {.network = "net-1"}};
  Other& near = arrive();
  Outbox far_out;
  far.opened(LinkId{1}, {.transport = tcp, .remote_host = "10.0.0.1"}, now, far_out);
  // What we said first.
  Bytes said;
  append_frame(FrameType::open, 0, as_bytes("pxp"), said);
  append_frame(FrameType::opener_data, 0, as_bytes(near.lines()[0] + "\n"), said);
  for (const std::uint8_t byte : said) far.received(LinkId{1}, {&byte, 1}, now, far_out);
  while (const auto outgoing = far.next_outgoing(far_out)) {
    for (const std::uint8_t byte : outgoing->bytes) say(near, {&byte, 1});
  }
  EXPECT_THAT(problems, IsEmpty());
  EXPECT_EQ(near.lines().back() + "\n", helloack);
  ASSERT_THAT(up, SizeIs(1));
}

}  // namespace
}  // namespace peer_relay
