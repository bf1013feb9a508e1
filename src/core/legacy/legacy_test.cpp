// SPDX-License-Identifier: MIT
//
// The room alone: the test is the host, the old nodes, and the clock. Whatever the room lets out is
// shown to the strict judge first.
#include "core/legacy/legacy.hpp"

#include <functional>
#include <set>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/legacy/old_link.hpp"
#include "core/legacy/old_message.hpp"
#include "core/legacy/undecided.hpp"
#include "core/old_signal.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;
using legacy::OldMessage;
using legacy::OldType;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

NodeId id_of(std::uint8_t first, std::uint8_t last = 0) {
  NodeId id;
  id.bytes.front() = first;
  id.bytes.back() = last;
  return id;
}

const NodeId self = id_of(0x40);

class Member : public ::testing::Test {
 public:
  Legacy room{self,
              Random{7},
              {.relay_bytes_per_second = 1 << 30,
               .relay_frames_per_second = 1 << 30,
               .makes_channels = true},
              {.is_native =
                   [](const void* of, const NodeId& id) {
                     return static_cast<const Member*>(of)->natives.contains(id);
                   },
               .own_url = [](const void* of) { return static_cast<const Member*>(of)->url; },
               .context = this}};
  Outbox out;
  TimePoint now{1s};
  std::set<NodeId> natives;
  std::string url = "ws://127.0.0.1:8000";

  struct Sent {
    LinkId link{};
    std::string text;
  };
  std::vector<Sent> sent;  // by old links
  std::vector<std::pair<LinkId, CloseReason>> closed;
  std::vector<BridgeWish> bridged;
  std::vector<PeerFrameWish> told;
  std::vector<DialWish> dials;
  std::vector<NegotiateWish> negotiations;
  std::vector<Message> messages;
  std::vector<NodeId> lost;
  std::vector<NotifyWish::ConnectDone> connected;

  /// Takes all out of the room.
  void drain() {
    while (!out.empty()) {
      Wish wish = out.take();
      if (auto* const text = std::get_if<BridgeWish>(&wish)) bridged.push_back(std::move(*text));
      if (auto* const frame = std::get_if<PeerFrameWish>(&wish)) told.push_back(std::move(*frame));
      if (auto* const dial = std::get_if<DialWish>(&wish)) dials.push_back(std::move(*dial));
      if (auto* const each = std::get_if<NegotiateWish>(&wish)) negotiations.push_back(*each);
      if (auto* const notify = std::get_if<NotifyWish>(&wish)) {
        if (auto* const message = std::get_if<Message>(&notify->event)) {
          messages.push_back(std::move(*message));
        } else if (auto* const gone = std::get_if<NotifyWish::PeerLost>(&notify->event)) {
          lost.push_back(gone->id);
        } else if (auto* const done = std::get_if<NotifyWish::ConnectDone>(&notify->event)) {
          connected.push_back(*done);
        }
      }
    }
    while (auto outgoing = room.next_outgoing(now)) {
      if (outgoing->has_text) {
        const std::string text{as_text(outgoing->text)};
        const bool is_first = greeted.insert(outgoing->link).second;
        const auto fault = legacy::fault_of(text, is_first);
        EXPECT_FALSE(fault.has_value()) << legacy::name_of(*fault) << ": " << text;
        if (!is_first) sent.push_back({outgoing->link, text});
        if (!stalled.contains(outgoing->link)) room.writable(outgoing->link);
      }
      if (outgoing->then_close) {
        closed.emplace_back(outgoing->link, *outgoing->then_close);
        room.closed(outgoing->link, *outgoing->then_close, now, out);
      }
    }
    if (!out.empty()) drain();
  }
  void forget() {
    sent.clear();
    bridged.clear();
    told.clear();
    messages.clear();
  }

  void run_for(Duration duration) {
    for (const TimePoint end = now + duration; now < end; now += 50ms) {
      if (room.next_wake() <= now) {
        room.wake(now, out);
        ASSERT_GT(room.next_wake(), now) << "due again at once";
      }
      drain();
    }
  }

  LinkId open(std::optional<DialId> dial = {}, std::string host = "127.0.0.1") {
    const LinkId link{++last_link};
    room.opened(link, {.dial = dial, .remote = "somewhere", .remote_host = std::move(host)}, now,
                out);
    drain();
    return link;
  }
  void hear(LinkId link, std::string_view text) {
    room.received(link, text, now, out);
    drain();
  }
  /// An old node's link, up and in use.
  LinkId join(const NodeId& id) {
    const LinkId link = open();
    hear(link, legacy::id_text(id));
    hear(link, said(id, self, legacy::find_peers_data(id)));
    forget();
    return link;
  }

  /// As an old node writes it; with what its path was before it, through whom it came.
  std::string said(const NodeId& from, const NodeId& to, std::string_view data,
                   const std::vector<NodeId>& path = {}) {
    std::string ids;
    ids += '"' + from.to_hex() + '"';
    for (const NodeId& id : path) ids += ",\"" + id.to_hex() + '"';
    return "{\"to\":\"" + to.to_hex() + "\",\"from\":\"" + from.to_hex() + "\",\"path\":[" + ids +
           "],\"nonce\":\"" + std::to_string(++last_nonce) + "\",\"data\":" + std::string{data} +
           "}";
  }
  std::string user(const NodeId& from, const NodeId& to, const std::vector<NodeId>& path = {}) {
    return said(from, to, R"({"type":"user","data":"hi"})", path);
  }

  /// Of what was sent: to whom, if of that type.
  std::vector<LinkId> carried(OldType type) const {
    std::vector<LinkId> links;
    for (const Sent& one : sent) {
      if (legacy::read_message(one.text)->type == type) links.push_back(one.link);
    }
    return links;
  }
  std::uint64_t dropped(DropReason reason) const { return out.stats().dropped_for(reason); }

  std::set<LinkId> greeted;
  std::set<LinkId> stalled;
  std::uint64_t last_link = 0;
  std::uint64_t last_nonce = 0;
};

// ---- Links ----

TEST_F(Member, ShowsItsIdWhenItHasSeenTheOther) {
  const LinkId link = open();
  EXPECT_THAT(greeted, IsEmpty());
  hear(link, legacy::id_text(id_of(1)));
  EXPECT_THAT(greeted, ElementsAre(link));
  EXPECT_THAT(carried(OldType::find_peers), ElementsAre(link));
  EXPECT_TRUE(room.is_linked(id_of(1)));
}

TEST_F(Member, EndsALinkThatOpensWithAnythingElse) {
  const LinkId link = open();
  hear(link, "{}");
  EXPECT_THAT(closed, ElementsAre(std::pair{link, CloseReason::protocol_error}));
  EXPECT_THAT(greeted, IsEmpty());
  EXPECT_EQ(dropped(DropReason::malformed), 1u);
}

TEST_F(Member, RefusesIdsThatAreProvenElsewhereAndItsOwn) {
  natives.insert(id_of(9));
  const LinkId liar = open();
  hear(liar, legacy::id_text(id_of(9)));
  const LinkId mirror = open();
  hear(mirror, legacy::id_text(self));
  EXPECT_THAT(closed, ElementsAre(std::pair{liar, CloseReason::protocol_error},
                                  std::pair{mirror, CloseReason::self}));
  EXPECT_THAT(greeted, IsEmpty());
  EXPECT_EQ(dropped(DropReason::forged_source), 1u);
}

TEST_F(Member, AClaimEndsWhenTheIdIsProven) {
  const LinkId liar = join(id_of(9));
  natives.insert(id_of(9));
  room.peer_up(id_of(9), false, now, out);
  drain();
  EXPECT_THAT(closed, ElementsAre(std::pair{liar, CloseReason::protocol_error}));
}

TEST_F(Member, ASecondLinkOfAnIdEndsBeforeItHasShownOurs) {
  join(id_of(1));
  const LinkId second = open();
  hear(second, legacy::id_text(id_of(1)));
  EXPECT_THAT(closed, ElementsAre(std::pair{second, CloseReason::duplicate}));
  EXPECT_FALSE(greeted.contains(second));
  EXPECT_TRUE(room.is_linked(id_of(1)));
}

TEST_F(Member, NoticesALinkThatHasDied) {
  const LinkId dead = join(id_of(1));
  const LinkId alive = join(id_of(2));
  for (int i = 0; i < 10; ++i) {
    run_for(5s);
    hear(alive, said(id_of(2), self, legacy::found_peers_data({})));
  }
  EXPECT_THAT(closed, ElementsAre(std::pair{dead, CloseReason::keepalive_timeout}));
  EXPECT_THAT(lost, ElementsAre(id_of(1)));
  EXPECT_TRUE(room.is_linked(id_of(2)));
}

TEST_F(Member, AsksASilentLinkForASignOfLife) {
  const LinkId link = join(id_of(1));
  run_for(16s);
  EXPECT_THAT(carried(OldType::find_peers), ElementsAre(link));
}

TEST_F(Member, LeavesALinkThatTheOtherSideDoesNotUse) {
  room.adopt({.scheme = Scheme::ws, .host = "192.0.2.1", .port = 80}, true, LinkId{1});
  const LinkId link = open(DialId{5});
  hear(link, legacy::id_text(id_of(1)));
  run_for(11s);
  EXPECT_THAT(closed, ElementsAre(std::pair{link, CloseReason::busy}));
}

TEST_F(Member, GivesUpOnSilenceInPlaceOfAnId) {
  const LinkId link = open(DialId{5});
  run_for(11s);
  EXPECT_THAT(closed, ElementsAre(std::pair{link, CloseReason::handshake_timeout}));
}

TEST_F(Member, QueuesStopAtTheirBound) {
  const LinkId from = join(id_of(1));
  const LinkId slow = join(id_of(2));
  stalled.insert(slow);
  const std::string data = "{\"type\":\"user\",\"data\":\"" + std::string(100'000, 'x') + "\"}";
  for (int i = 0; i < 50; ++i) hear(from, said(id_of(1), id_of(2), data));
  EXPECT_LE(room.queued_bytes(), limits::link_queue_bytes_max);
  EXPECT_GT(dropped(DropReason::queue_full), 30u);
  run_for(50s);
  EXPECT_THAT(closed, ::testing::Contains(std::pair{slow, CloseReason::queue_stalled}));
  EXPECT_EQ(room.queued_bytes(), 0u);
}

TEST_F(Member, TakesNoMoreLinksThanItsBound) {
  for (std::uint8_t i = 0; i < legacy::links_max; ++i) join(id_of(i, 1));
  const LinkId last = open();
  hear(last, legacy::id_text(id_of(200)));
  EXPECT_THAT(closed, ElementsAre(std::pair{last, CloseReason::busy}));
}

// ---- Messages ----

TEST_F(Member, GivesAMessageToTheTargetItIsLinkedToAndNobodyElse) {
  const LinkId a = join(id_of(1));
  const LinkId b = join(id_of(2));
  join(id_of(3));
  hear(a, user(id_of(1), id_of(2)));
  EXPECT_THAT(carried(OldType::user), ElementsAre(b));
}

TEST_F(Member, RelaysToTheTwoClosestThatHaveNotSeenIt) {
  const LinkId from = join(id_of(0x81));
  const LinkId near = join(id_of(0x84));
  const LinkId second = join(id_of(0x88));
  join(id_of(0x83));  // closest, but in the path
  join(id_of(0x10));
  hear(from, user(id_of(0x99), id_of(0x85), {id_of(0x83), id_of(0x81)}));
  EXPECT_THAT(carried(OldType::user), ElementsAre(near, second));
}

TEST_F(Member, WritesHexAndItselfIntoThePath) {
  const LinkId a = join(id_of(1));
  join(id_of(2));
  hear(a, user(id_of(1), id_of(2)));
  ASSERT_THAT(sent, SizeIs(1));
  const auto relayed = legacy::read_message(sent.front().text);
  EXPECT_THAT(relayed->path, ElementsAre(id_of(1), self));
  EXPECT_NE(sent.front().text.find("\"to\":\"" + id_of(2).to_hex()), std::string::npos);
}

TEST_F(Member, SendsAnswersTheWayTheQuestionCame) {
  const LinkId behind = join(id_of(0x10));
  const LinkId from = join(id_of(0x20));
  for (std::uint8_t i = 0; i < 6; ++i) join(id_of(0x80, i));
  const NodeId far = id_of(0x80, 0x77);
  hear(behind, user(far, id_of(0x20), {id_of(0x10)}));
  forget();
  hear(from, user(id_of(0x20), far));
  EXPECT_EQ(carried(OldType::user).front(), behind);
  EXPECT_THAT(carried(OldType::user), SizeIs(3));
}

TEST_F(Member, TakesAMessageOnce) {
  const LinkId a = join(id_of(1));
  const LinkId b = join(id_of(2));
  const std::string text = user(id_of(3), self, {id_of(1)});
  hear(a, text);
  hear(b, text);
  EXPECT_THAT(messages, SizeIs(1));
  EXPECT_FALSE(messages.front().authenticated);
  EXPECT_EQ(messages.front().hops, 2);
  EXPECT_EQ(dropped(DropReason::duplicate), 1u);
}

TEST_F(Member, ForgetsOldNoncesAndSoDoesNotGrow) {
  legacy::SeenNonces seen{3};
  EXPECT_TRUE(seen.insert("first"));
  for (std::size_t i = 0; i < legacy::SeenNonces::generation; ++i) {
    EXPECT_TRUE(seen.insert(std::to_string(i)));
  }
  EXPECT_FALSE(seen.insert("first"));
  for (std::size_t i = 0; i < legacy::SeenNonces::generation; ++i) {
    seen.insert("x" + std::to_string(i));
  }
  EXPECT_TRUE(seen.insert("first"));
}

TEST_F(Member, DropsWhatHasGoneFarEnough) {
  const LinkId a = join(id_of(1));
  join(id_of(2));
  std::vector<NodeId> path;
  for (std::uint8_t i = 0; i < 18; ++i) path.push_back(id_of(0x90, i));
  hear(a, user(id_of(3), id_of(2), path));  // 19 in the path
  EXPECT_THAT(sent, SizeIs(1));
  path.push_back(id_of(0x91));
  hear(a, user(id_of(3), id_of(2), path));
  EXPECT_THAT(sent, SizeIs(1));
  EXPECT_EQ(dropped(DropReason::hops_spent), 1u);
  hear(a, user(id_of(3), self, path));  // at its target nobody counts
  EXPECT_THAT(messages, SizeIs(1));
}

TEST_F(Member, NobodySpeaksInOurNameOrInThatOfOnesWeKnow) {
  natives.insert(id_of(9));
  const LinkId a = join(id_of(1));
  hear(a, user(self, self));
  hear(a, user(id_of(9), self));
  EXPECT_THAT(messages, IsEmpty());
  EXPECT_EQ(dropped(DropReason::forged_source), 2u);
  join(id_of(2));
  hear(a, user(id_of(9), id_of(2)));  // it may have sent this into the old network itself
  EXPECT_THAT(carried(OldType::user), SizeIs(1));
}

TEST_F(Member, ASignalGoesOnlyToOneThatSpeaksWebRtc) {
  const LinkId a = join(id_of(1));
  const LinkId b = join(id_of(2));
  const char* const signal = R"({"type":"signal","data":{"sdp":"v=0"}})";
  hear(a, said(id_of(1), id_of(2), signal));
  EXPECT_THAT(carried(OldType::signal), IsEmpty());
  hear(b,
       said(id_of(2), id_of(1), R"({"type":"handshake-answer","data":{"ws":null,"wrtc":true}})"));
  hear(a, said(id_of(1), id_of(2), signal));
  EXPECT_THAT(carried(OldType::signal), ElementsAre(b));
}

// ---- Data channels ------------------------------------------------------------------------------

/// We and one old node, that cannot dial each other, linked to a third.
struct ByChannel : Member {
  ByChannel() {
    url.clear();
    hub = join(id_of(1));
  }
  const NodeId peer = id_of(2);
  LinkId hub{};

  void hear_from_peer(std::string_view data) { hear(hub, said(peer, self, data, {id_of(1)})); }
  void hear_answer() {
    hear_from_peer(R"({"type":"handshake-answer","data":{"ws":null,"wrtc":true}})");
  }
  /// What we have told the peer of that type, latest last.
  std::vector<OldMessage> told_peer(OldType type) {
    std::vector<OldMessage> all;
    for (const Sent& each : sent) {
      auto message = legacy::read_message(each.text);
      if (message && message->type == type && message->to == peer) all.push_back(*message);
    }
    return all;
  }
  using Step = NegotiateWish::Step;
  std::vector<Step> steps() const {
    std::vector<Step> all;
    for (const auto& each : negotiations) all.push_back(each.step);
    return all;
  }
  void open_channel() {
    const LinkId link{++last_link};
    channel = link;
    EXPECT_TRUE(room.channel_opened(negotiations.back().negotiation, link,
                                    {.dial = {}, .remote = "webrtc:", .remote_host = "10.0.0.2"},
                                    now, out));
    greeted.insert(link);  // nobody shows an id there
    drain();
  }
  LinkId channel{};
};

TEST_F(ByChannel, WhoAsksOffers) {
  room.connect(peer, now, out);
  drain();
  hear_answer();
  ASSERT_THAT(steps(), ElementsAre(Step::offer));
  EXPECT_FALSE(negotiations.back().trickles) << "a late candidate begins another connection there";
  EXPECT_TRUE(Legacy::owns(negotiations.back().negotiation));
  room.described(negotiations.back().negotiation, "v=0\r\na=\"x\"\r\n", now, out);
  drain();
  ASSERT_THAT(told_peer(OldType::signal), SizeIs(1));
  const auto signal = read_signal(told_peer(OldType::signal)[0].content);
  ASSERT_TRUE(signal);
  EXPECT_EQ(signal->step, OldSignal::Step::offer);
  EXPECT_EQ(signal->text, "v=0\r\na=\"x\"\r\n");
  hear_from_peer(R"({"type":"signal","data":{"type":"answer","sdp":"v=0"}})");
  hear_from_peer(
      R"({"type":"signal","data":{"candidate":{"candidate":"candidate:1","sdpMid":"0"}}})");
  ASSERT_THAT(steps(), ElementsAre(Step::offer, Step::take, Step::candidate));
  EXPECT_EQ(negotiations.back().text, "candidate:1");
  forget();
  open_channel();
  EXPECT_TRUE(room.is_linked(peer));
  EXPECT_THAT(connected, SizeIs(1));
  EXPECT_THAT(carried(OldType::find_peers), ElementsAre(channel));
  room.closed(channel, CloseReason::keepalive_timeout, now, out);
  drain();
  EXPECT_THAT(lost, ElementsAre(peer));
}

TEST_F(ByChannel, WhoIsAskedAnswers) {
  hear_from_peer(R"({"type":"handshake-offer"})");
  ASSERT_THAT(told_peer(OldType::handshake_answer), SizeIs(1));
  EXPECT_TRUE(told_peer(OldType::handshake_answer)[0].wrtc);
  hear_from_peer(R"({"type":"signal","data":{"candidate":{"candidate":"candidate:1"}}})");
  hear_from_peer(R"({"type":"signal","data":{"type":"offer","sdp":"v=0"}})");
  ASSERT_THAT(steps(), ElementsAre(Step::answer, Step::candidate)) << "which was early";
  EXPECT_EQ(negotiations.front().text, "v=0");
  room.described(negotiations.front().negotiation, "v=1", now, out);
  drain();
  ASSERT_THAT(told_peer(OldType::signal), SizeIs(1));
  open_channel();
  EXPECT_TRUE(room.is_linked(peer));
}

TEST_F(ByChannel, WhoCanBeDialedAsksForNoChannel) {
  url = "ws://10.0.0.1:8000";
  hear_from_peer(R"({"type":"handshake-offer"})");
  ASSERT_THAT(told_peer(OldType::handshake_answer), SizeIs(1));
  EXPECT_FALSE(told_peer(OldType::handshake_answer)[0].wrtc);
}

TEST_F(ByChannel, AnOfferThatNobodyInvitedIsRefused) {
  hear_from_peer(R"({"type":"signal","data":{"type":"offer","sdp":"v=0"}})");
  EXPECT_THAT(negotiations, IsEmpty());
  EXPECT_EQ(dropped(DropReason::contact_unwanted), 1u);
  hear_from_peer(R"({"type":"handshake-offer"})");
  run_for(legacy::invitation_lasts + 1s);
  hear_from_peer(R"({"type":"signal","data":{"type":"offer","sdp":"v=0"}})");
  EXPECT_THAT(negotiations, IsEmpty()) << "too late";
}

TEST_F(ByChannel, SignalsOfNoShapeAreCounted) {
  hear_from_peer(R"({"type":"handshake-offer"})");
  const char* const odd[] = {R"({})",
                             R"({"type":"offer"})",
                             R"({"type":1,"sdp":"v=0"})",
                             R"({"type":"rollback","sdp":"v=0"})",
                             R"({"candidate":null})",
                             R"({"candidate":{"candidate":1}})",
                             R"({"candidate":{}})",
                             R"({"renegotiate":true})"};
  for (const char* const data : odd) {
    hear_from_peer(R"({"type":"signal","data":)" + std::string{data} + "}");
  }
  hear_from_peer(R"({"type":"signal","data":{"type":"offer","sdp":")" +
                 std::string(limits::description_bytes_max + 1, 'x') + "\"}}");
  EXPECT_THAT(negotiations, IsEmpty());
  EXPECT_EQ(dropped(DropReason::malformed), std::size(odd) + 1);
}

TEST_F(ByChannel, CandidatesByTheThousandAreBounded) {
  const char* const candidate =
      R"({"type":"signal","data":{"candidate":{"candidate":"candidate:1"}}})";
  for (int i = 0; i < 1000; ++i) hear_from_peer(candidate);
  hear_from_peer(R"({"type":"handshake-offer"})");
  hear_from_peer(R"({"type":"signal","data":{"type":"offer","sdp":"v=0"}})");
  for (int i = 0; i < 1000; ++i) hear_from_peer(candidate);
  EXPECT_EQ(negotiations.size(), 1 + limits::candidates_max);
}

TEST_F(ByChannel, NegotiationsAreBoundedAndEnd) {
  for (std::uint8_t i = 0; i < 100; ++i) {
    const NodeId id = id_of(0x80, i);
    hear(hub, said(id, self, R"({"type":"handshake-offer"})", {id_of(1)}));
    hear(hub,
         said(id, self, R"({"type":"signal","data":{"type":"offer","sdp":"v=0"}})", {id_of(1)}));
  }
  EXPECT_EQ(negotiations.size(), legacy::channels_max);
  run_for(limits::negotiation_timeout + 1s);
  EXPECT_EQ(std::ranges::count(steps(), Step::abandon),
            static_cast<std::ptrdiff_t>(legacy::channels_max));
}

TEST_F(ByChannel, AFailureIsCountedAndForgotten) {
  hear_from_peer(R"({"type":"handshake-offer"})");
  hear_from_peer(R"({"type":"signal","data":{"type":"offer","sdp":"v=0"}})");
  const NegotiationId id = negotiations.back().negotiation;
  room.channel_failed(id, DialError::ice_failed, out);
  EXPECT_EQ(out.stats().dial_errors[static_cast<std::size_t>(DialError::ice_failed)], 1u);
  EXPECT_FALSE(room.channel_opened(id, LinkId{99}, {}, now, out));
}

TEST_F(ByChannel, WhatAChannelCanNotCarryStaysAway) {
  hear_from_peer(R"({"type":"handshake-offer"})");
  hear_from_peer(R"({"type":"signal","data":{"type":"offer","sdp":"v=0"}})");
  open_channel();
  forget();
  const std::string long_text = "\"" + std::string(legacy::channel_text_bytes_max, 'x') + "\"";
  EXPECT_TRUE(room.send(peer, Payload::of_json(long_text), now, out));
  drain();
  EXPECT_THAT(carried(OldType::user), IsEmpty());
  EXPECT_EQ(dropped(DropReason::queue_full), 1u);
}

TEST_F(Member, HoldsWhatIsSentBeforeThereIsANeighbour) {
  EXPECT_TRUE(room.send(id_of(2), Payload::of_json("1"), now, out));
  EXPECT_FALSE(room.send(id_of(2), Payload::of_json("nonsense"), now, out));
  const LinkId link = open();
  hear(link, legacy::id_text(id_of(1)));
  EXPECT_THAT(carried(OldType::user), ElementsAre(link));
}

TEST_F(Member, ButNotForEver) {
  for (std::size_t i = 0; i <= legacy::unsent_max; ++i) {
    EXPECT_EQ(room.send(id_of(2), Payload::of_json("1"), now, out).has_value(),
              i < legacy::unsent_max);
  }
  run_for(legacy::unsent_age_max + 1s);
  EXPECT_EQ(dropped(DropReason::expired), legacy::unsent_max);
  EXPECT_EQ(room.waiting(), 0u);
}

// ---- Members ----

TEST_F(Member, AnswersWithThoseWhoCanBeReached) {
  const LinkId a = join(id_of(1));
  join(id_of(2));
  hear(a, said(id_of(1), self, legacy::found_peers_data({id_of(0x77)})));  // hearsay
  hear(a, user(id_of(5), self, {id_of(1)}));                               // was heard just now
  forget();
  hear(a, said(id_of(1), self, legacy::find_peers_data(id_of(1))));
  ASSERT_THAT(carried(OldType::found_peers), ElementsAre(a));
  EXPECT_THAT(legacy::read_message(sent.back().text)->found,
              UnorderedElementsAre(id_of(2), id_of(5), self));
}

TEST_F(Member, OffersItselfToThoseItHearsOf) {
  const LinkId a = join(id_of(1));
  natives.insert(id_of(9));
  hear(a, said(id_of(1), self, legacy::found_peers_data({id_of(2), id_of(9), self, id_of(1)})));
  run_for(1s);
  ASSERT_THAT(carried(OldType::handshake_offer), SizeIs(1));
  EXPECT_EQ(legacy::read_message(sent.back().text)->to, id_of(2));
  hear(a, said(id_of(2), self, legacy::handshake_answer_data("ws://localhost:7777"), {id_of(1)}));
  ASSERT_THAT(dials, SizeIs(1));
  EXPECT_EQ(dials.front().address.to_string(), "ws://localhost:7777");
  EXPECT_TRUE(Legacy::owns(dials.front().dial));
}

TEST_F(Member, DialsNobodyWhomItHasNotAsked) {
  const LinkId a = join(id_of(1));
  hear(a, said(id_of(2), self, legacy::handshake_answer_data("ws://192.0.2.1:1"), {id_of(1)}));
  EXPECT_THAT(dials, IsEmpty());
  EXPECT_EQ(dropped(DropReason::contact_unwanted), 1u);
}

TEST_F(Member, DialsThisMachineOnlyOnThisMachinesWord) {
  const LinkId far = open({}, "192.0.2.9");
  hear(far, legacy::id_text(id_of(1)));
  hear(far, said(id_of(1), self, legacy::found_peers_data({id_of(2)})));
  run_for(1s);
  hear(far, said(id_of(2), self, legacy::handshake_answer_data("ws://localhost:22"), {id_of(1)}));
  EXPECT_THAT(dials, IsEmpty());
}

TEST_F(Member, AnswersOffersWithItsAddress) {
  const LinkId a = join(id_of(1));
  hear(a, said(id_of(2), self, legacy::handshake_offer_data(), {id_of(1)}));
  ASSERT_THAT(carried(OldType::handshake_answer), ElementsAre(a));
  EXPECT_EQ(legacy::read_message(sent.back().text)->ws, url);
  url.clear();
  hear(a, said(id_of(3), self, legacy::handshake_offer_data(), {id_of(1)}));
  EXPECT_EQ(legacy::read_message(sent.back().text)->ws, "");
}

TEST_F(Member, OfTwoOffersTheLowerIdsStands) {
  const LinkId a = join(id_of(1));
  const NodeId lower = id_of(0x20);
  const NodeId higher = id_of(0x60);
  hear(a, said(id_of(1), self, legacy::found_peers_data({lower, higher})));
  run_for(1s);
  ASSERT_THAT(carried(OldType::handshake_offer), SizeIs(2));
  hear(a, said(higher, self, legacy::handshake_offer_data(), {id_of(1)}));
  EXPECT_THAT(carried(OldType::handshake_answer), IsEmpty());
  hear(a, said(lower, self, legacy::handshake_offer_data(), {id_of(1)}));
  EXPECT_THAT(carried(OldType::handshake_answer), SizeIs(1));
}

TEST_F(Member, DialsABootstrapAddressForEverAndOthersForAWhile) {
  const auto dial_all = [&](Duration time) {
    std::size_t count = 0;
    for (const TimePoint end = now + time; now < end;) {
      run_for(100ms);
      for (const DialWish& dial : std::exchange(dials, {})) {
        ++count;
        room.dial_failed(dial.dial, DialError::refused, now, out);
      }
    }
    return count;
  };
  const LinkId first = open(DialId{1});
  room.adopt({.scheme = Scheme::ws, .host = "192.0.2.1", .port = 80}, true, first);
  hear(first, legacy::id_text(id_of(1)));
  hear(first, said(id_of(1), self, legacy::find_peers_data(id_of(1))));
  EXPECT_EQ(dial_all(5s), 0u);
  room.closed(first, CloseReason::transport_closed, now, out);
  const std::size_t early = dial_all(15s);
  EXPECT_GE(early, 3u);
  dial_all(600s);
  EXPECT_GE(dial_all(60s), 5u);

  const LinkId second = open(DialId{2});
  room.adopt({.scheme = Scheme::ws, .host = "192.0.2.2", .port = 80}, false, second);
  hear(second, "nonsense");
  dial_all(300s);
  const std::size_t both = dial_all(60s);
  EXPECT_LE(both, 13u);
}

TEST_F(Member, HandsABootstrapAddressBackWhenOursAnswersThere) {
  const Address address{.scheme = Scheme::ws, .host = "192.0.2.1", .port = 80};
  const LinkId first = open(DialId{1});
  room.adopt(address, true, first);
  room.closed(first, CloseReason::transport_closed, now, out);
  run_for(2s);
  ASSERT_FALSE(dials.empty());
  EXPECT_EQ(room.dial_met_native(dials.front().dial), address);
  dials.clear();
  run_for(30s);
  EXPECT_THAT(dials, IsEmpty());
}

TEST_F(Member, ConnectsToOneThatItHasHeardOf) {
  const LinkId a = join(id_of(1));
  room.connect(id_of(2), now, out);
  room.connect(id_of(1), now, out);
  drain();
  ASSERT_THAT(connected, SizeIs(1));
  EXPECT_EQ(connected.front().id, id_of(1));
  hear(a, said(id_of(2), self, legacy::handshake_answer_data("ws://localhost:7"), {id_of(1)}));
  ASSERT_THAT(dials, SizeIs(1));
  const LinkId link = open(dials.front().dial);
  hear(link, legacy::id_text(id_of(2)));
  ASSERT_THAT(connected, SizeIs(2));
  EXPECT_EQ(connected.back().error, std::nullopt);
  room.connect(id_of(3), now, out);
  run_for(limits::dial_timeout + 1s);
  ASSERT_THAT(connected, SizeIs(3));
  EXPECT_EQ(connected.back().error, Error::no_such_contact);
}

// ---- Bridges ----

TEST_F(Member, CarriesAMessageToTheBridgeThatHasTheTarget) {
  const NodeId bridge = id_of(0xa0);
  natives.insert(bridge);
  const LinkId a = join(id_of(1));
  join(id_of(2));
  room.peer_up(bridge, true, now, out);
  drain();
  ASSERT_THAT(told, SizeIs(1)) << "whom we are linked to";
  room.handle(bridge, LegacyNeighbours{.ids = {id_of(0x33)}}, now, out);
  drain();
  forget();
  hear(a, user(id_of(1), id_of(0x33)));
  EXPECT_THAT(carried(OldType::user), IsEmpty());
  ASSERT_THAT(bridged, SizeIs(1));
  EXPECT_EQ(bridged.front().to, bridge);
  EXPECT_FALSE(legacy::fault_of(as_text(bridged.front().text), false));
}

TEST_F(Member, SearchesBridgesForATargetThatNobodyKnows) {
  std::vector<NodeId> bridges;
  for (std::uint8_t i = 0; i < 6; ++i) bridges.push_back(id_of(0xa0, i));
  const LinkId a = join(id_of(1));
  const LinkId b = join(id_of(2));
  const LinkId c = join(id_of(3));
  for (const NodeId& bridge : bridges) room.peer_up(bridge, true, now, out);
  drain();
  forget();
  hear(a, user(id_of(1), id_of(0x04)));
  EXPECT_THAT(carried(OldType::user), UnorderedElementsAre(b, c));
  EXPECT_THAT(bridged, SizeIs(legacy::bridges_searched));
}

TEST_F(Member, PutsPiecesOfABridgesTextTogether) {
  const NodeId bridge = id_of(0xa0);
  room.peer_up(bridge, true, now, out);
  drain();
  const std::string text = user(id_of(1), self, {bridge});
  const BytesView bytes = as_bytes(text);
  room.handle(bridge, LegacyPiece{.is_last = false, .text = bytes.first(10)}, now, out);
  room.handle(bridge, LegacyPiece{.is_last = true, .text = bytes.subspan(10)}, now, out);
  drain();
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_FALSE(messages.front().authenticated);
  const Bytes part(30'000, 'x');
  for (int i = 0; i < 100; ++i) {
    room.handle(bridge, LegacyPiece{.is_last = false, .text = part}, now, out);
  }
  room.handle(bridge, LegacyPiece{.is_last = true, .text = part}, now, out);
  EXPECT_EQ(dropped(DropReason::malformed), 1u);
  room.handle(id_of(0xb0), LegacyPiece{.is_last = true, .text = part}, now, out);
  EXPECT_EQ(dropped(DropReason::not_open), 1u);
}

TEST_F(Member, TellsBridgesOfNeighboursThatComeAndGo) {
  const NodeId bridge = id_of(0xa0);
  room.peer_up(bridge, true, now, out);
  drain();
  forget();
  const LinkId a = join(id_of(1));
  run_for(1s);
  const auto ids = [&] { return std::get<LegacyNeighbours>(*decode_legacy(told.back().body)).ids; };
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_THAT(ids(), ElementsAre(id_of(1)));
  room.closed(a, CloseReason::transport_closed, now, out);
  drain();
  ASSERT_THAT(told, SizeIs(2));
  EXPECT_THAT(ids(), IsEmpty());
}

TEST_F(Member, SaysGoodbyeToAll) {
  join(id_of(1));
  join(id_of(2));
  room.shut_down(out);
  drain();
  EXPECT_THAT(closed, SizeIs(2));
  EXPECT_EQ(room.links(), 0u);
}

TEST(UndecidedMessages, ExpireWithAWord) {
  Undecided held;
  Outbox out;
  EXPECT_TRUE(held.hold({.message = 1,
                         .to = id_of(1),
                         .payload = Payload::of_text("x"),
                         .acknowledged = Undecided::Acknowledged{.timeout = 5s},
                         .expires = TimePoint{5s}}));
  EXPECT_EQ(held.next_wake(), TimePoint{5s});
  held.wake(TimePoint{4s}, out);
  EXPECT_FALSE(held.empty());
  held.wake(TimePoint{5s}, out);
  EXPECT_TRUE(held.empty());
  ASSERT_FALSE(out.empty());
  const Wish wish = out.take();
  const auto& done = std::get<NotifyWish::SendDone>(std::get<NotifyWish>(wish).event);
  EXPECT_EQ(done.result.reason, UnreachableReason::no_links);
}

}  // namespace
}  // namespace peer_relay
