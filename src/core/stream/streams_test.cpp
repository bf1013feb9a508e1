// SPDX-License-Identifier: MIT
//
// The room alone: two of it, or one and a peer that does what it likes. What a room wishes the test
// carries over, loses or keeps back. Time is moved by hand.
#include "core/stream/streams.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <variant>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/reader.hpp"
#include "core/wire/sealed.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint64_t seed = 75;
constexpr std::size_t budget = 256u << 20;

NodeId id_of(std::uint8_t first) {
  NodeId id;
  id.bytes[0] = first;
  return id;
}

Bytes bytes_from(std::uint64_t from, std::size_t count) {
  Bytes out(count);
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = static_cast<std::uint8_t>(((from + i) * 0x9e3779b97f4a7c15) >> 56);
  }
  return out;
}

/// What an application knows of a stream.
struct Page {
  std::string label;
  Bytes bytes;
  int accepted = 0;
  int finished = 0;
  int writable = 0;
  std::optional<StreamEnd> end;
  std::uint32_t code = 0;
};

/// A node that has nothing but streams.
struct End {
  End(NodeId self, std::uint64_t chance, std::size_t bytes_max)
      : id(self),
        streams(Random{chance}, {.bytes_max = bytes_max},
                {.is_linked =
                     [](const void* context, const NodeId& peer) {
                       return static_cast<const End*>(context)->linked.contains(peer);
                     },
                 .context = this}) {}

  std::uint64_t dropped(DropReason reason) const {
    return out.stats().dropped[static_cast<std::size_t>(reason)];
  }
  /// The only one that the other side opened.
  StreamId incoming() const {
    for (const auto& [stream, page] : pages) {
      if (page.accepted == 0 && !ours.contains(stream)) return stream;
    }
    return 0;
  }

  NodeId id;
  std::set<NodeId> linked;
  Streams streams;
  Outbox out;
  std::map<StreamId, Page> pages;
  std::set<StreamId> ours;
  bool reads = true;
  bool is_filling = false;
  int links_wanted = 0;
  std::uint64_t last_token = 0;
};

class StreamsAlone : public testing::Test {
 protected:
  void SetUp() override { start(alice, 1, budget); }

  void start(std::unique_ptr<End>& end, std::uint8_t first, std::size_t bytes_max) {
    end = std::make_unique<End>(id_of(first), seed + first, bytes_max);
  }

  /// What a node wishes, done.
  void grant(End& end) {
    while (!end.out.empty()) {
      Wish wish = end.out.take();
      if (auto* const seal = std::get_if<SealWish>(&wish)) {
        EXPECT_LE(seal->content.size(), session_data_header_bytes + stream_packet_header_bytes +
                                            limits::stream_turn_bytes_max);
        if (seal->token != 0) end.last_token = seal->token;
        seal->content.erase(seal->content.begin(),
                            seal->content.begin() + session_data_header_bytes);
        if (is_lost && is_lost(end, seal->content)) continue;
        Flight flight{end.id, seal->to, std::move(seal->content)};
        (is_held && is_held(end, flight.content) ? held : flights).push_back(std::move(flight));
      } else if (std::holds_alternative<StreamsWaiting>(wish)) {
        EXPECT_THAT(end.linked, testing::Contains(std::get<StreamsWaiting>(wish).peer));
        end.is_filling = true;
      } else if (auto* const frame = std::get_if<PeerFrameWish>(&wish)) {
        Bytes batch;
        append_frame(frame->kind, frame->body, batch);
        link.push_back({end.id, frame->to, std::move(batch)});
      } else if (std::holds_alternative<LinkWanted>(wish)) {
        ++end.links_wanted;
      } else if (auto* const notify = std::get_if<NotifyWish>(&wish)) {
        std::visit([&](auto& event) { take(end, event); }, notify->event);
      } else {
        ADD_FAILURE() << "a wish that is not for streams to have";
      }
    }
  }
  void take(End& end, NotifyWish::StreamOpened& opened) {
    EXPECT_TRUE(end.pages.emplace(opened.stream, Page{.label = opened.label}).second);
  }
  void take(End& end, const NotifyWish::StreamAccepted& accepted) {
    EXPECT_THAT(end.ours, testing::Contains(accepted.stream));
    EXPECT_EQ(++end.pages.at(accepted.stream).accepted, 1);
  }
  void take(End& end, const NotifyWish::StreamBytes& arrived) {
    Page& page = end.pages.at(arrived.stream);
    EXPECT_FALSE(page.finished || page.end);
    page.bytes.insert(page.bytes.end(), arrived.bytes.begin(), arrived.bytes.end());
    if (end.reads) end.streams.consumed(arrived.stream, arrived.bytes.size(), now, end.out);
  }
  void take(End& end, const NotifyWish::StreamFinished& finished) {
    EXPECT_EQ(++end.pages.at(finished.stream).finished, 1);
  }
  void take(End& end, const NotifyWish::StreamWritable& writable) {
    ++end.pages.at(writable.stream).writable;
  }
  void take(End& end, const NotifyWish::StreamClosed& closed) {
    Page& page = end.pages.at(closed.stream);
    EXPECT_FALSE(page.end) << "ends twice";
    page.end = closed.end;
    page.code = closed.code;
  }
  template <class T>
  void take(End&, const T&) {
    ADD_FAILURE() << "streams do not tell such a thing";
  }

  // ---- An application ----

  StreamId open(End& end, const NodeId& to, StreamOpening opening = {}) {
    const auto stream = end.streams.open(to, std::move(opening), now, end.out);
    if (!stream) return 0;
    end.ours.insert(*stream);
    end.pages[*stream] = {};
    return *stream;
  }
  bool write(End& end, StreamId stream, Bytes bytes) {
    return end.streams.write(stream, std::move(bytes), now, end.out);
  }
  void finish(End& end, StreamId stream) { end.streams.finish(stream, now, end.out); }
  void reset(End& end, StreamId stream, std::uint32_t code = 7) {
    end.streams.reset(stream, StreamEnd::reset, code, now, end.out);
  }

  // ---- Between the two ----

  struct Flight {
    NodeId from;
    NodeId to;
    Bytes content;
  };
  std::vector<End*> ends() {
    std::vector<End*> all{alice.get()};
    if (bob) all.push_back(bob.get());
    return all;
  }
  End* find(const NodeId& id) {
    for (End* const end : ends()) {
      if (end->id == id) return end;
    }
    return nullptr;
  }

  /// All that is on its way arrives, and what that leads to.
  void settle() {
    for (;;) {
      for (End* const end : ends()) {
        grant(*end);
        if (!std::exchange(end->is_filling, false)) continue;
        for (const NodeId& peer : end->linked) {
          Bytes batch;
          while (end->streams.fill(peer, batch, batch_bytes, end->out)) {
            EXPECT_LE(batch.size(), batch_bytes);
            EXPECT_FALSE(batch.empty());
            link.push_back({end->id, peer, std::exchange(batch, {})});
          }
          if (!batch.empty()) link.push_back({end->id, peer, std::move(batch)});
        }
        grant(*end);
      }
      if (!link.empty()) {
        deliver_batch();
      } else if (!flights.empty()) {
        deliver_packet(flights);
      } else {
        return;
      }
    }
  }
  void deliver_batch() {
    Flight flight = std::move(link.front());
    link.pop_front();
    End* const end = find(flight.to);
    if (end == nullptr) return;
    FrameReader frames{flight.content};
    while (const auto frame = frames.next()) {
      end->streams.handle(flight.from, {FrameKind{frame->kind}, frame->body}, now, end->out);
    }
    EXPECT_FALSE(frames.is_broken());
  }
  void deliver_packet(std::deque<Flight>& from) {
    const Flight flight = std::move(from.front());
    from.pop_front();
    End* const end = find(flight.to);
    if (end != nullptr) end->streams.handle(flight.from, flight.content, now, end->out);
  }
  void release_held() {
    is_held = nullptr;
    for (Flight& flight : held) flights.push_back(std::move(flight));
    held.clear();
    settle();
  }

  /// Time passes as the timers want it.
  void run_for(Duration duration) {
    settle();
    const TimePoint until = now + duration;
    for (;;) {
      TimePoint next = never;
      for (End* const end : ends()) next = std::min(next, end->streams.next_wake());
      if (next > until) break;
      now = std::max(now, next);
      for (End* const end : ends()) {
        end->streams.wake(now, end->out);
        EXPECT_GT(end->streams.next_wake(), now) << "wakes for nothing";
      }
      settle();
    }
    now = until;
  }

  void set_linked(bool is_linked) {
    for (End* const end : ends()) {
      grant(*end);
      for (End* const other : ends()) {
        if (end == other) continue;
        if (is_linked) {
          end->linked.insert(other->id);
        } else {
          end->linked.erase(other->id);
        }
      }
    }
    if (!is_linked) link.clear();
    for (End* const end : ends()) {
      for (End* const other : ends()) {
        if (end != other) end->streams.link_changed(other->id, now, end->out);
      }
    }
  }
  void meet_bob(bool is_linked) {
    start(bob, 2, budget);
    set_linked(is_linked);
  }
  void forget_bob() {
    bob.reset();
    link.clear();
    flights.clear();
    held.clear();
    alice->linked.clear();
  }

  /// Everything written to one side of a new stream, and the other.
  void exchange(std::size_t there, std::size_t back) {
    const StreamId out_stream = open(*alice, bob->id, {.label = "both ways"});
    write(*alice, out_stream, bytes_from(0, there));
    finish(*alice, out_stream);
    settle();
    const StreamId in = bob->incoming();
    ASSERT_NE(in, 0u);
    EXPECT_EQ(bob->pages.at(in).label, "both ways");
    write(*bob, in, bytes_from(9, back));
    finish(*bob, in);
    run_for(5s);
    EXPECT_TRUE(bob->pages.at(in).bytes == bytes_from(0, there));
    EXPECT_TRUE(alice->pages.at(out_stream).bytes == bytes_from(9, back));
    EXPECT_EQ(alice->pages.at(out_stream).end, StreamEnd::finished);
    EXPECT_EQ(bob->pages.at(in).end, StreamEnd::finished);
    EXPECT_EQ(alice->pages.at(out_stream).accepted, 1);
  }
  void expect_all_forgotten() {
    run_for(40s);
    for (End* const end : ends()) {
      EXPECT_EQ(end->streams.size(), 0u);
      EXPECT_EQ(end->streams.conversations(), 0u);
      EXPECT_EQ(end->streams.next_wake(), never);
    }
  }

  // ---- A peer that does what it likes, linked to alice ----

  void meet_mallory() {
    alice->linked.insert(mallory);
    alice->streams.link_changed(mallory, now, alice->out);
  }
  void hear(FrameKind kind, const Bytes& frame) {
    alice->streams.handle(mallory, {kind, BytesView{frame}.subspan(frame_header_bytes)}, now,
                          alice->out);
    listen();
  }
  void hear(StreamData data, const Bytes& bytes = {}) {
    data.bytes = bytes;
    Bytes frame;
    append_stream_data_header(data, bytes.size(), frame);
    frame.insert(frame.end(), bytes.begin(), bytes.end());
    hear(FrameKind::stream_data, frame);
  }
  void hear(const StreamWindow& window) {
    Bytes frame;
    append_stream_window(window, frame);
    hear(FrameKind::stream_window, frame);
  }
  void hear(const StreamReset& each) {
    Bytes frame;
    append_stream_reset(each, frame);
    hear(FrameKind::stream_reset, frame);
  }
  void hear_content(const Bytes& content) {
    alice->streams.handle(mallory, content, now, alice->out);
    grant(*alice);
  }
  /// What alice says to mallory by their link.
  void listen() {
    grant(*alice);
    Bytes batch;
    for (bool has_more = true; has_more;) {
      batch.clear();
      has_more = alice->streams.fill(mallory, batch, batch_bytes, alice->out);
      FrameReader frames{batch};
      while (const auto frame = frames.next()) {
        switch (FrameKind{frame->kind}) {
          case FrameKind::stream_data: {
            const auto data = decode_stream_data(frame->body).value();
            said_bytes[data.number] =
                std::max(said_bytes[data.number], data.offset + data.bytes.size());
            last_number = data.number;
            break;
          }
          case FrameKind::stream_window:
            said_windows.push_back(decode_stream_window(frame->body).value());
            break;
          default:
            said_resets.push_back(decode_stream_reset(frame->body).value());
        }
      }
    }
    grant(*alice);
  }
  /// A stream of alice's that mallory has accepted.
  std::pair<StreamId, StreamNumber> open_to_mallory() {
    const StreamId stream = open(*alice, mallory);
    listen();
    hear(StreamWindow{.number = last_number, .limit = limits::stream_window_initial});
    return {stream, last_number};
  }
  /// One that mallory has opened.
  StreamId accept_from_mallory(StreamNumber number) {
    hear(StreamData{.number = number, .opens = true});
    return alice->pages.rbegin()->first;
  }
  /// Whatever was done to another, this one goes on.
  void expect_others_go_on() {
    const StreamNumber number = 1'000'000 + said_windows.size() + said_resets.size();
    const StreamId stream = accept_from_mallory(number);
    hear(StreamData{.number = number, .finish = true}, bytes_from(0, 100));
    EXPECT_EQ(alice->pages.at(stream).bytes, bytes_from(0, 100));
    EXPECT_EQ(alice->pages.at(stream).finished, 1);
    finish(*alice, stream);
    listen();
    hear(StreamWindow{.number = number, .received = 1, .limit = 1 << 16});
    EXPECT_EQ(alice->pages.at(stream).end, StreamEnd::finished);
  }

  static constexpr std::size_t batch_bytes = 65'519;
  const NodeId mallory = id_of(0xee);
  TimePoint now{100s};
  std::unique_ptr<End> alice;
  std::unique_ptr<End> bob;
  std::deque<Flight> flights;  ///< sealed contents
  std::deque<Flight> held;     ///< late ones
  std::deque<Flight> link;     ///< batches
  bool (*is_lost)(const End& from, const Bytes& content) = nullptr;
  bool (*is_held)(const End& from, const Bytes& content) = nullptr;
  std::map<StreamNumber, std::uint64_t> said_bytes;
  std::vector<StreamWindow> said_windows;
  std::vector<StreamReset> said_resets;
  StreamNumber last_number = 0;
};

bool is_packet(const Bytes& content) {
  return ContentKind{content[0]} == ContentKind::stream_packet;
}
bool has_frame(const Bytes& content, FrameKind kind) {
  const auto packet = decode_stream_packet(content);
  if (!packet) return false;
  Reader frames{packet->frames};
  while (const auto frame = next_stream_frame(frames)) {
    if (frame->kind == kind) return true;
  }
  return false;
}

// ---- Two who are honest ----

TEST_F(StreamsAlone, CarryBytesBothWays) {
  for (const bool is_linked : {true, false}) {
    SCOPED_TRACE(is_linked);
    meet_bob(is_linked);
    exchange(500'000, 200'000);
    EXPECT_EQ(alice->out.stats().stream_packets == 0, is_linked);
    expect_all_forgotten();
    alice->pages.clear();
    forget_bob();
  }
}

TEST_F(StreamsAlone, AnEmptyStreamIsOneToo) {
  meet_bob(false);
  exchange(0, 0);
}

TEST_F(StreamsAlone, AskForALinkOnceTheOtherWasHeardOf) {
  meet_bob(false);
  const StreamId stream = open(*alice, bob->id, {.seeks_link = false});
  settle();
  EXPECT_EQ(alice->links_wanted, 0);
  open(*alice, bob->id);
  EXPECT_EQ(alice->links_wanted, 0);
  settle();
  EXPECT_EQ(alice->links_wanted, 1);
  run_for(10s);
  EXPECT_EQ(alice->links_wanted, 1);
  reset(*alice, stream);
}

TEST_F(StreamsAlone, AReaderThatStopsStopsItsWriter) {
  meet_bob(true);
  bob->reads = false;
  const StreamId stream = open(*alice, bob->id);
  std::size_t taken = 0;
  while (write(*alice, stream, bytes_from(taken, 10'000))) {
    taken += 10'000;
    settle();
    ASSERT_LT(taken, 1'000'000u);
  }
  const StreamId in = bob->incoming();
  EXPECT_EQ(bob->pages.at(in).bytes.size(), limits::stream_window_initial);
  EXPECT_EQ(alice->pages.at(stream).writable, 0);
  bob->reads = true;
  bob->streams.consumed(in, bob->pages.at(in).bytes.size(), now, bob->out);
  settle();
  EXPECT_EQ(alice->pages.at(stream).writable, 1);
  EXPECT_TRUE(bob->pages.at(in).bytes == bytes_from(0, taken));
}

TEST_F(StreamsAlone, WhatIsUnconfirmedIsSaidAgainByAnotherWay) {
  meet_bob(true);
  const StreamId stream = open(*alice, bob->id);
  settle();
  write(*alice, stream, bytes_from(0, 100'000));
  grant(*alice);
  Bytes batch;
  alice->streams.fill(bob->id, batch, batch_bytes, alice->out);  // is lost with the link
  EXPECT_GT(batch.size(), 10'000u);
  set_linked(false);
  run_for(1s);
  const StreamId in = bob->incoming();
  EXPECT_TRUE(bob->pages.at(in).bytes == bytes_from(0, 100'000));
  set_linked(true);
  write(*alice, stream, bytes_from(100'000, 100'000));
  finish(*alice, stream);
  settle();
  EXPECT_TRUE(bob->pages.at(in).bytes == bytes_from(0, 200'000));
  EXPECT_GT(alice->out.stats().stream_bytes_resent, 0u);
}

TEST_F(StreamsAlone, AStreamThatNobodyAcceptsTimesOut) {
  const StreamId stream = open(*alice, id_of(9), {.timeout = 3s});
  run_for(2999ms);
  EXPECT_FALSE(alice->pages.at(stream).end);
  run_for(1ms);
  EXPECT_EQ(alice->pages.at(stream).end, StreamEnd::timed_out);
  run_for(3min);
  EXPECT_EQ(alice->streams.conversations(), 0u);
}

TEST_F(StreamsAlone, NobodyIsThereIsHeardFromSession) {
  const StreamId stream = open(*alice, id_of(9));
  grant(*alice);
  ASSERT_TRUE(Streams::owns(alice->last_token));
  alice->streams.handle(
      ContentFailed{.token = alice->last_token, .outcome = SendResult::Outcome::unreachable}, now,
      alice->out);
  grant(*alice);
  EXPECT_EQ(alice->pages.at(stream).end, StreamEnd::unreachable);
}

TEST_F(StreamsAlone, WhoWasThereAMomentAgoIsAskedAgain) {
  meet_bob(false);
  const StreamId stream = open(*alice, bob->id);
  settle();
  alice->streams.handle(ContentFailed{.token = alice->last_token}, now, alice->out);
  settle();
  EXPECT_FALSE(alice->pages.at(stream).end);
  const NodeId there = bob->id;
  forget_bob();
  run_for(5min);
  EXPECT_EQ(alice->pages.at(stream).end, StreamEnd::timed_out);
  EXPECT_EQ(alice->streams.conversations(), 0u) << there.to_hex();
}

TEST_F(StreamsAlone, AnIdleStreamStaysAndItsEndIsNoticed) {
  meet_bob(false);
  const StreamId stream = open(*alice, bob->id);
  run_for(10min);
  EXPECT_FALSE(alice->pages.at(stream).end);
  EXPECT_FALSE(bob->pages.at(bob->incoming()).end);
  EXPECT_LT(alice->out.stats().stream_packets, 100u);
}

// It acknowledges packets, for it is there, and knows nothing of the stream.
TEST_F(StreamsAlone, AReaderHearsThatItsWriterWasStartedAnew) {
  meet_bob(false);
  const StreamId stream = open(*alice, bob->id);
  run_for(1s);
  start(bob, 2, budget);
  run_for(limits::ping_after + 1s);
  EXPECT_EQ(alice->pages.at(stream).end, StreamEnd::unknown);
}

TEST_F(StreamsAlone, GoingAwayIsSaid) {
  for (const bool is_linked : {true, false}) {
    SCOPED_TRACE(is_linked);
    meet_bob(is_linked);
    const StreamId stream = open(*alice, bob->id);
    settle();
    bob->streams.stop(now, bob->out);
    settle();
    EXPECT_EQ(alice->pages.at(stream).end, StreamEnd::shutdown);
    EXPECT_EQ(bob->streams.size(), 0u);
    forget_bob();
  }
}

TEST_F(StreamsAlone, AResetEndsBothSidesInEveryState) {
  for (const bool is_linked : {true, false}) {
    // Unheard of; accepted; with bytes under way; finished by one, by the other.
    for (int state = 0; state < 5; ++state) {
      for (const bool by_opener : {true, false}) {
        SCOPED_TRACE(testing::Message() << is_linked << ' ' << state << ' ' << by_opener);
        alice->pages.clear();
        alice->ours.clear();
        meet_bob(is_linked);
        const StreamId stream = open(*alice, bob->id);
        if (state >= 1 || !by_opener) settle();
        const StreamId in = bob->incoming();
        if (state == 2) write(*alice, stream, bytes_from(0, 300'000));
        if (state == 3) finish(*alice, stream);
        if (state == 4) finish(*bob, in);
        if (state >= 3) settle();
        reset(by_opener ? *alice : *bob, by_opener ? stream : in, 42);
        run_for(3s);
        EXPECT_EQ(alice->pages.at(stream).end, StreamEnd::reset);
        EXPECT_EQ(alice->pages.at(stream).code, 42u);
        if (bob->incoming() != 0) {
          EXPECT_EQ(bob->pages.at(bob->incoming()).end, StreamEnd::reset);
          EXPECT_EQ(bob->pages.at(bob->incoming()).code, 42u);
        }
        EXPECT_EQ(bob->streams.size(), 0u);
        expect_all_forgotten();
        forget_bob();
      }
    }
  }
}

TEST_F(StreamsAlone, ThousandsOfResetsAtOnceAllArrive) {
  meet_bob(false);
  std::vector<StreamId> streams;
  for (int i = 0; i < 2'000; ++i) streams.push_back(open(*alice, bob->id));
  run_for(5s);
  EXPECT_EQ(bob->streams.size(), 2'000u);
  for (const StreamId each : streams) reset(*alice, each);
  run_for(10s);
  EXPECT_EQ(bob->streams.size(), 0u);
}

TEST_F(StreamsAlone, AResetThatDiedWithItsLinkIsSaidAgain) {
  meet_bob(true);
  const StreamId stream = open(*alice, bob->id);
  settle();
  reset(*alice, stream);
  grant(*alice);
  Bytes batch;
  alice->streams.fill(bob->id, batch, batch_bytes, alice->out);  // is lost with the link
  set_linked(false);
  run_for(1s);
  EXPECT_EQ(bob->pages.at(bob->incoming()).end, StreamEnd::reset);
}

TEST_F(StreamsAlone, AResetMayOvertakeWhatOpenedTheStream) {
  meet_bob(false);
  is_held = [](const End&, const Bytes& content) { return is_packet(content); };
  const StreamId stream = open(*alice, bob->id);
  grant(*alice);
  is_held = nullptr;
  reset(*alice, stream);
  settle();
  release_held();
  run_for(1s);
  EXPECT_EQ(bob->streams.size(), 0u);
}

// An acknowledged packet is not sent again, so nobody but its reader can say that the end has come.
TEST_F(StreamsAlone, TheLastWindowIsSaidAgainWhereItWasLost) {
  meet_bob(false);
  const StreamId stream = open(*alice, bob->id);
  write(*alice, stream, bytes_from(0, 10));
  settle();
  const StreamId in = bob->incoming();
  finish(*bob, in);
  run_for(1s);
  is_lost = [](const End& from, const Bytes& content) {
    return from.id == id_of(2) && is_packet(content);
  };
  finish(*alice, stream);
  settle();
  EXPECT_EQ(bob->pages.at(in).end, StreamEnd::finished);
  is_lost = nullptr;
  run_for(5s);
  EXPECT_EQ(alice->pages.at(stream).end, StreamEnd::finished);
}

TEST_F(StreamsAlone, AWindowThatWasLostIsSaidAgainThoughItsStreamHasEnded) {
  meet_bob(false);
  const StreamId stream = open(*alice, bob->id);
  run_for(1s);
  const StreamId in = bob->incoming();
  is_lost = [](const End& from, const Bytes& content) {
    return from.id == id_of(2) && has_frame(content, FrameKind::stream_window);
  };
  finish(*alice, stream);
  settle();
  finish(*bob, in);
  settle();
  is_lost = nullptr;
  EXPECT_EQ(bob->pages.at(in).end, StreamEnd::finished);
  EXPECT_FALSE(alice->pages.at(stream).end);
  run_for(5s);
  EXPECT_EQ(alice->pages.at(stream).end, StreamEnd::finished);
}

TEST_F(StreamsAlone, AnOlderWindowDoesNotTakeTheEndBack) {
  meet_mallory();
  const auto [stream, number] = open_to_mallory();
  write(*alice, stream, bytes_from(0, 10));
  finish(*alice, stream);
  listen();
  hear(StreamWindow{.number = number, .received = 11, .limit = 1 << 16});
  hear(StreamWindow{.number = number, .received = 10, .limit = 1 << 16});  // left before
  hear(StreamData{.number = number, .finish = true});
  EXPECT_EQ(alice->pages.at(stream).end, StreamEnd::finished);
}

TEST_F(StreamsAlone, SmallWritesBehindALossDoNotEndAStream) {
  meet_bob(false);
  const StreamId stream = open(*alice, bob->id);
  settle();
  is_held = [](const End& from, const Bytes& content) {
    return from.id == id_of(1) && has_frame(content, FrameKind::stream_data);
  };
  write(*alice, stream, bytes_from(0, 10));
  grant(*alice);
  is_held = nullptr;
  // Packet by packet, before the loss is noticed at the sender.
  std::size_t written = 10;
  is_lost = [](const End& from, const Bytes&) { return from.id == id_of(2); };
  for (int i = 0; i < 1'000; ++i, written += 10) {
    write(*alice, stream, bytes_from(written, 10));
    settle();
  }
  is_lost = nullptr;
  run_for(10s);
  EXPECT_TRUE(bob->pages.at(bob->incoming()).bytes == bytes_from(0, written));
}

TEST_F(StreamsAlone, LostPacketsAreCounted) {
  meet_bob(false);
  const StreamId stream = open(*alice, bob->id);
  run_for(1s);
  is_lost = [](const End& from, const Bytes& content) {
    return from.id == id_of(1) && is_packet(content);
  };
  write(*alice, stream, bytes_from(0, 10));
  settle();
  is_lost = nullptr;
  run_for(5s);
  EXPECT_EQ(bob->pages.at(bob->incoming()).bytes, bytes_from(0, 10));
  EXPECT_EQ(alice->out.stats().stream_packets_lost, 1u);
  EXPECT_EQ(alice->out.stats().stream_bytes_resent, 10u);
}

TEST_F(StreamsAlone, TimeThatPassesInSmallStepsLeavesNoTimersBehind) {
  meet_bob(false);
  const StreamId stream = open(*alice, bob->id);
  for (int i = 0; i < 2'000; ++i) {
    write(*alice, stream, bytes_from(0, 10));
    run_for(15ms);
  }
  EXPECT_LT(alice->streams.timers(), 20u);
  EXPECT_LT(bob->streams.timers(), 20u);
}

TEST_F(StreamsAlone, StreamsTakeTurns) {
  meet_mallory();
  const auto [large, large_number] = open_to_mallory();
  const auto [small, small_number] = open_to_mallory();
  ASSERT_TRUE(write(*alice, large, bytes_from(0, 60'000)));
  ASSERT_TRUE(write(*alice, small, bytes_from(0, 100)));
  grant(*alice);
  Bytes batch;
  EXPECT_TRUE(alice->streams.fill(mallory, batch, 20'000, alice->out));
  FrameReader frames{batch};
  std::vector<StreamNumber> order;
  while (const auto frame = frames.next()) {
    order.push_back(decode_stream_data(frame->body)->number);
  }
  EXPECT_THAT(order, ElementsAre(large_number, small_number, large_number));
}

// Whatever is lost, late or doubled, and whichever way there is.
TEST_F(StreamsAlone, NoByteIsLostDoubledOrOutOfOrder) {
  for (std::uint64_t run = 0; run < 20; ++run) {
    SCOPED_TRACE("seed " + std::to_string(seed + run));
    alice->pages.clear();
    alice->ours.clear();
    meet_bob(false);
    Random random{seed + run};
    const StreamId stream = open(*alice, bob->id, {.timeout = 60s});
    std::size_t there = 0;
    std::size_t back = 0;
    bool is_linked = false;
    for (int step = 0; step < 800; ++step) {
      const std::size_t count = 1 + random.below(20'000);
      const StreamId in = bob->incoming();
      if (random.below(2) == 0) {
        if (write(*alice, stream, bytes_from(there, count))) there += count;
      } else if (in != 0 && write(*bob, in, bytes_from(back, count))) {
        back += count;
      }
      if (random.below(50) == 0) set_linked(is_linked = !is_linked);
      grant(*alice);
      grant(*bob);
      while (!flights.empty() && random.below(20) != 0) {
        const std::size_t at = random.below(std::min<std::size_t>(flights.size(), 8));
        std::swap(flights.front(), flights[at]);
        if (random.below(10) == 0) flights.push_back(flights.front());
        if (random.below(8) == 0) {
          flights.pop_front();
        } else {
          deliver_packet(flights);
        }
        grant(*alice);
        grant(*bob);
      }
      if (is_linked) settle();
      now += random.between(1ms, 50ms);
      for (End* const end : ends()) end->streams.wake(now, end->out);
    }
    run_for(20s);
    const StreamId in = bob->incoming();
    ASSERT_NE(in, 0u);
    finish(*alice, stream);
    finish(*bob, in);
    run_for(60s);
    EXPECT_TRUE(bob->pages.at(in).bytes == bytes_from(0, there)) << there;
    EXPECT_TRUE(alice->pages.at(stream).bytes == bytes_from(0, back)) << back;
    EXPECT_EQ(alice->pages.at(stream).end, StreamEnd::finished);
    EXPECT_EQ(bob->pages.at(in).end, StreamEnd::finished);
    EXPECT_GT(there + back, 100'000u);
    set_linked(false);
    expect_all_forgotten();
    forget_bob();
  }
}

// ---- One who is not ----

TEST_F(StreamsAlone, BytesBeyondTheCreditEndTheStream) {
  meet_mallory();
  alice->reads = false;
  const StreamId stream = accept_from_mallory(5);
  hear(StreamData{.number = 5}, bytes_from(0, 65'000));
  hear(StreamData{.number = 5, .offset = 65'000}, bytes_from(65'000, 536));
  EXPECT_FALSE(alice->pages.at(stream).end) << "all that was granted";
  hear(StreamData{.number = 5, .offset = 65'536}, Bytes(1));
  EXPECT_EQ(alice->pages.at(stream).end, StreamEnd::protocol_error);
  EXPECT_EQ(said_resets.back().end, StreamEnd::protocol_error);
  EXPECT_EQ(alice->dropped(DropReason::malformed), 1u);
  expect_others_go_on();
}

TEST_F(StreamsAlone, AnEndThatMovesEndsTheStream) {
  const std::vector<std::pair<std::uint64_t, bool>> moved{
      {90, true}, {110, true}, {101, false}, {0, true}};
  meet_mallory();
  std::uint64_t number = 5;
  for (const auto& [end, finishes] : moved) {
    const StreamId stream = accept_from_mallory(++number);
    hear(StreamData{.number = number, .offset = 50, .finish = true}, Bytes(50));
    EXPECT_FALSE(alice->pages.at(stream).end);
    hear(
        StreamData{
            .number = number, .offset = end - std::min<std::uint64_t>(end, 1), .finish = finishes},
        Bytes(std::min<std::uint64_t>(end, 1)));
    EXPECT_EQ(alice->pages.at(stream).end, StreamEnd::protocol_error) << end;
  }
  EXPECT_EQ(alice->dropped(DropReason::malformed), moved.size());
  expect_others_go_on();
}

TEST_F(StreamsAlone, AnEndBeforeWhatHasComeEndsTheStream) {
  meet_mallory();
  const StreamId stream = accept_from_mallory(5);
  hear(StreamData{.number = 5, .offset = 50}, Bytes(50));
  hear(StreamData{.number = 5, .offset = 50, .finish = true}, Bytes(49));
  EXPECT_EQ(alice->pages.at(stream).end, StreamEnd::protocol_error);
  expect_others_go_on();
}

TEST_F(StreamsAlone, ConfirmingWhatWasNotSentEndsTheStream) {
  meet_mallory();
  const auto [stream, number] = open_to_mallory();
  write(*alice, stream, bytes_from(0, 100));
  listen();
  hear(StreamWindow{.number = number, .received = 100, .limit = 1 << 16});
  EXPECT_FALSE(alice->pages.at(stream).end);
  hear(StreamWindow{.number = number, .received = 101, .limit = 1 << 16});
  EXPECT_EQ(alice->pages.at(stream).end, StreamEnd::protocol_error);
  EXPECT_EQ(alice->dropped(DropReason::malformed), 1u);
  expect_others_go_on();
}

TEST_F(StreamsAlone, CreditNeverFalls) {
  meet_mallory();
  const auto [stream, number] = open_to_mallory();
  hear(StreamWindow{.number = number, .limit = 10});
  write(*alice, stream, bytes_from(0, 100));
  listen();
  EXPECT_EQ(said_bytes[number], 100u);
}

TEST_F(StreamsAlone, CreditWithoutConfirmationMakesNobodyHoldEverything) {
  meet_mallory();
  const auto [stream, number] = open_to_mallory();
  hear(StreamWindow{.number = number, .limit = stream_bytes_max});
  std::size_t taken = 0;
  while (taken < (64u << 20) && write(*alice, stream, Bytes(100'000))) {
    taken += 100'000;
    listen();
  }
  EXPECT_EQ(said_bytes[number], limits::stream_window_max);
  hear(StreamWindow{.number = number, .received = 1'000'000, .limit = stream_bytes_max});
  EXPECT_EQ(said_bytes[number], std::min(taken, limits::stream_window_max + 1'000'000));
}

TEST_F(StreamsAlone, WhatIsSaidOfUnknownStreamsIsAnsweredOnce) {
  meet_mallory();
  hear(StreamData{.number = 5}, Bytes(3));
  ASSERT_THAT(said_resets, SizeIs(1));
  EXPECT_EQ(said_resets.back().end, StreamEnd::unknown);
  EXPECT_EQ(said_resets.back().number, 5u);
  hear(StreamWindow{.number = 6});
  ASSERT_THAT(said_resets, SizeIs(2));
  hear(StreamReset{.number = 7});
  EXPECT_THAT(said_resets, SizeIs(2)) << "an answer would go back and forth";
  EXPECT_EQ(alice->dropped(DropReason::stream_unknown), 3u);
  EXPECT_EQ(alice->streams.size(), 0u);
  expect_others_go_on();
}

TEST_F(StreamsAlone, AStreamThatHasEndedIsNotOpenedAgain) {
  meet_mallory();
  const StreamId stream = accept_from_mallory(5);
  hear(StreamData{.number = 5, .opens = true, .finish = true}, bytes_from(0, 10));
  finish(*alice, stream);
  listen();
  hear(StreamWindow{.number = 5, .received = 1, .limit = 1 << 16});
  EXPECT_EQ(alice->pages.at(stream).end, StreamEnd::finished);
  const std::size_t pages = alice->pages.size();
  said_windows.clear();
  hear(StreamData{.number = 5, .opens = true, .finish = true}, bytes_from(0, 10));
  EXPECT_THAT(alice->pages, SizeIs(pages));
  ASSERT_THAT(said_windows, SizeIs(1));
  EXPECT_EQ(said_windows.back().received, 11u) << "all of it, and the end";
  hear(StreamWindow{.number = 5, .received = 0, .limit = 1 << 16});
  EXPECT_THAT(said_resets, IsEmpty());
}

TEST_F(StreamsAlone, BrokenFramesAreCountedAndHarmNobody) {
  meet_mallory();
  const StreamId stream = accept_from_mallory(5);
  for (const FrameKind kind :
       {FrameKind::stream_data, FrameKind::stream_window, FrameKind::stream_reset}) {
    hear(kind, Bytes(frame_header_bytes + 5));
  }
  std::string label(limits::stream_label_bytes_max + 1, 'x');
  hear(StreamData{.number = 6, .opens = true, .label = label});
  EXPECT_EQ(alice->dropped(DropReason::malformed), 4u);
  hear(FrameKind::ping, Bytes(frame_header_bytes + 8));
  EXPECT_EQ(alice->dropped(DropReason::unknown_frame), 1u);
  EXPECT_FALSE(alice->pages.at(stream).end);
  EXPECT_EQ(alice->streams.size(), 1u);
  expect_others_go_on();
}

TEST_F(StreamsAlone, OnePeerHasOnlySoManyStreams) {
  start(alice, 1, 2 * limits::streams_per_peer_max * limits::stream_window_initial);
  meet_mallory();
  for (StreamNumber number = 1; number <= limits::streams_per_peer_max + 10; ++number) {
    hear(StreamData{.number = number, .opens = true});
  }
  EXPECT_EQ(alice->streams.size(), limits::streams_per_peer_max);
  EXPECT_EQ(alice->dropped(DropReason::stream_limit), 10u);
  ASSERT_THAT(said_resets, SizeIs(10));
  EXPECT_EQ(said_resets.back().end, StreamEnd::limit);
  EXPECT_EQ(open(*alice, mallory), 0u);
  EXPECT_NE(open(*alice, id_of(9)), 0u) << "others have room";
  hear(StreamReset{.number = 1});
  expect_others_go_on();
}

TEST_F(StreamsAlone, MoreIsNotPromisedThanThereIs) {
  start(alice, 1, 10 * limits::stream_window_initial);
  meet_mallory();
  for (StreamNumber number = 1; number <= 12; ++number) {
    hear(StreamData{.number = number, .opens = true});
  }
  EXPECT_EQ(alice->streams.size(), 10u);
  EXPECT_EQ(alice->dropped(DropReason::stream_limit), 2u);
  // Nobody becomes a conversation for a stream that can't be.
  EXPECT_EQ(open(*alice, id_of(9)), 0u);
  EXPECT_EQ(alice->streams.conversations(), 1u);
  // Nor does a window grow beyond what is left, however fast one reads.
  const StreamId stream = alice->pages.begin()->first;
  for (std::uint64_t at = 0; at < 640'000; at += 32'000) {
    hear(StreamData{.number = 1, .offset = at}, bytes_from(at, 32'000));
  }
  EXPECT_FALSE(alice->pages.at(stream).end);
  EXPECT_EQ(said_windows.back().limit - said_windows.back().received,
            limits::stream_window_initial);
  hear(StreamReset{.number = 2});
  expect_others_go_on();
}

TEST_F(StreamsAlone, AReaderThatKeepsUpGrantsMore) {
  meet_mallory();
  accept_from_mallory(1);
  for (std::uint64_t at = 0; at < 40'000'000; at += 32'000) {
    hear(StreamData{.number = 1, .offset = at}, bytes_from(at, 32'000));
  }
  EXPECT_EQ(said_windows.back().limit - said_windows.back().received, limits::stream_window_max);
}

TEST_F(StreamsAlone, TooManyEarlyPiecesEndTheStream) {
  meet_mallory();
  const StreamId stream = accept_from_mallory(5);
  for (std::size_t i = 0; i <= limits::stream_early_pieces_max; ++i) {
    hear(StreamData{.number = 5, .offset = 1 + 2 * i}, Bytes(1));
  }
  EXPECT_EQ(alice->pages.at(stream).end, StreamEnd::limit);
  EXPECT_EQ(alice->dropped(DropReason::stream_limit), 1u);
  expect_others_go_on();
}

TEST_F(StreamsAlone, OpeningAndResettingForEverHoldsNothing) {
  meet_mallory();
  // Nothing is read of what alice says.
  for (StreamNumber number = 1; number <= 20'000; ++number) {
    Bytes opening;
    append_stream_data_header({.number = number, .opens = true}, 0, opening);
    Bytes ending;
    append_stream_reset({.number = number}, ending);
    for (const auto& [kind, frame] : {std::pair{FrameKind::stream_data, &opening},
                                      std::pair{FrameKind::stream_reset, &ending}}) {
      alice->streams.handle(mallory, {kind, BytesView{*frame}.subspan(frame_header_bytes)}, now,
                            alice->out);
      while (!alice->out.empty()) static_cast<void>(alice->out.take());
    }
  }
  EXPECT_EQ(alice->streams.size(), 0u);
  EXPECT_LT(alice->streams.waiting(mallory), 100u);
}

TEST_F(StreamsAlone, AnswersThatNobodyReadsAreBounded) {
  meet_mallory();
  for (StreamNumber number = 1; number <= 20'000; ++number) {
    Bytes frame;
    append_stream_data_header({.number = number}, 0, frame);
    alice->streams.handle(mallory,
                          {FrameKind::stream_data, BytesView{frame}.subspan(frame_header_bytes)},
                          now, alice->out);
  }
  EXPECT_EQ(alice->dropped(DropReason::stream_unknown), 20'000u);
  EXPECT_EQ(alice->streams.waiting(mallory), Streams::answers_max);
}

TEST_F(StreamsAlone, ContentsThatMeanNothingLeaveNothingBehind) {
  for (int i = 0; i < 5'000; ++i) {
    NodeId stranger = id_of(0xdd);
    stranger.bytes[1] = static_cast<std::uint8_t>(i);
    stranger.bytes[2] = static_cast<std::uint8_t>(i >> 8);
    for (const Bytes& content : {Bytes{}, Bytes{0x20, 1, 2}, Bytes(17, 0x21), Bytes{0x7f}}) {
      alice->streams.handle(stranger, content, now, alice->out);
    }
  }
  EXPECT_EQ(alice->streams.conversations(), 0u);
  EXPECT_EQ(alice->dropped(DropReason::malformed), 15'000u);
  EXPECT_EQ(alice->dropped(DropReason::stream_unknown), 5'000u);
}

TEST_F(StreamsAlone, ConversationsAreBoundedAndEnd) {
  Random random{seed};
  Bytes packet;
  encode_stream_packet_header({.epoch = 1, .number = 0}, packet);
  for (std::size_t i = 0; i < Streams::conversations_max + 5; ++i) {
    alice->streams.handle(random.id(), packet, now, alice->out);
    while (!alice->out.empty()) static_cast<void>(alice->out.take());
  }
  EXPECT_EQ(alice->streams.conversations(), Streams::conversations_max);
  EXPECT_EQ(alice->dropped(DropReason::stream_limit), 5u);
  EXPECT_EQ(open(*alice, mallory), 0u);
  run_for(Streams::forgotten_after + 2s);
  EXPECT_EQ(alice->streams.conversations(), 0u);
}

TEST_F(StreamsAlone, HostileAcknowledgementsEndNothing) {
  const StreamId stream = open(*alice, mallory, {.seeks_link = false});
  grant(*alice);
  ASSERT_THAT(flights, SizeIs(1));
  const auto packet = decode_stream_packet(flights.front().content).value();
  Random random{seed};
  SCOPED_TRACE("seed " + std::to_string(seed));
  for (int i = 0; i < 2'000; ++i) {
    Bytes content;
    encode_stream_ack({.epoch = packet.epoch,
                       .largest = static_cast<std::uint32_t>(random.next() >> random.below(64)),
                       .before = random.next()},
                      content);
    hear_content(content);
    write(*alice, stream, Bytes(10));
    grant(*alice);
    now += 1ms;
    alice->streams.wake(now, alice->out);
    ASSERT_GT(alice->streams.next_wake(), now);
  }
  EXPECT_FALSE(alice->pages.at(stream).end);
}

TEST_F(StreamsAlone, AnAcknowledgementIsNotAcknowledged) {
  meet_bob(false);
  const StreamId stream = open(*alice, bob->id);
  run_for(1s);
  const std::uint64_t before = alice->out.stats().stream_packets;
  run_for(5s);
  EXPECT_EQ(alice->out.stats().stream_packets, before);
  EXPECT_FALSE(alice->pages.at(stream).end);
}

TEST_F(StreamsAlone, ALabelThatIsTooLongIsNotSent) {
  std::string label(limits::stream_label_bytes_max, 'x');
  EXPECT_NE(open(*alice, mallory, {.label = label}), 0u);
  EXPECT_EQ(open(*alice, mallory, {.label = label + 'x'}), 0u);
}

TEST_F(StreamsAlone, VerbsForWhatIsNoMoreAreIgnored) {
  EXPECT_TRUE(write(*alice, 77, Bytes(10)));
  finish(*alice, 77);
  reset(*alice, 77);
  alice->streams.consumed(77, 10, now, alice->out);
  EXPECT_TRUE(alice->out.empty());
}

}  // namespace
}  // namespace peer_relay
