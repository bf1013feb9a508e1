// SPDX-License-Identifier: MIT
//
// One node's membership with nobody around it: the test is the host, the links and all peers.
#include "core/membership/membership.hpp"

#include <algorithm>
#include <deque>
#include <set>
#include <string>
#include <variant>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sodium/deterministic_crypto.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

constexpr std::uint64_t unix_seconds = 1'800'000'000;
constexpr NetworkHash network{7};

Address address(std::string_view text) { return Address::parse(text).value(); }

class Membering : public testing::Test {
 protected:
  struct Peer {
    Identity identity;
    LinkId link{};
    std::string host;
  };
  struct Ended {
    NodeId id{};
    std::optional<Error> error;
  };

  void start(Membership::Options options = {}) {
    options.network = network;
    options.unix_ms_at_zero = static_cast<std::int64_t>(unix_seconds * 1000);
    membership.emplace(self, table, crypto, Random{3}, std::move(options));
    membership->start(now, out);
    settle();
  }

  /// Grants what the engine would grant at once; keeps the rest for the test.
  void settle() {
    do {
      while (!out.empty()) {
        std::visit([this](auto&& wish) { keep(std::forward<decltype(wish)>(wish)); }, out.take());
      }
      membership->settle(now, out);
    } while (!out.empty());
  }

  void keep(DialWish wish) { dials.push_back(std::move(wish)); }
  void keep(FrameWish wish) { frames.push_back(std::move(wish)); }
  void keep(CloseWish wish) { closes.push_back(wish); }
  void keep(RouteWish wish) { routes.push_back(std::move(wish)); }
  void keep(NotifyWish wish) {
    if (const auto* const problem = std::get_if<Problem>(&wish.event)) {
      problems.push_back(*problem);
    } else if (const auto* const done = std::get_if<NotifyWish::ConnectDone>(&wish.event)) {
      connected.push_back({done->id, done->error});
    } else if (std::holds_alternative<NotifyWish::Joined>(wish.event)) {
      ++joined;
    }
  }
  template <class W>
  void keep(W&&) {
    ADD_FAILURE() << "not a wish of membership's";
  }

  /// Time passes; every dial that is wished for meanwhile fails at once, if so asked.
  void run_for(Duration duration, bool dials_fail = false) {
    const TimePoint end = now + duration;
    for (;;) {
      if (dials_fail) fail_dials();
      const TimePoint next = membership->next_wake();
      if (next > end) break;
      now = std::max(now, next);
      membership->wake(now, out);
      settle();
      ASSERT_GT(membership->next_wake(), now) << "it spins";
    }
    now = end;
  }

  void fail_dials() {
    while (dials.size() > failed) {
      dialed_at.push_back(now);
      membership->dial_failed(dials[failed++].dial, DialError::refused, now, out);
      settle();
    }
  }

  Bytes record(const Identity& of, std::vector<std::string> addresses, std::uint64_t sequence = 1,
               std::uint64_t expiry = unix_seconds + 3600) {
    ContactRecord contact{.key = of.keys.public_key, .sequence = sequence, .expiry = expiry};
    for (const std::string& each : addresses) contact.addresses.push_back(address(each));
    return sign_contact(contact, network, of, crypto);
  }

  Identity somebody() { return make_identity(crypto); }

  Peer up(const Identity& peer, const Bytes& contact, std::string host = "192.0.2.9",
          std::optional<DialId> dial = {}, std::string observed = "") {
    const LinkId link{++last_link};
    membership->handle(LinkUp{.link = link,
                              .dial = dial,
                              .id = peer.id,
                              .key = peer.keys.public_key,
                              .remote_host = host,
                              .observed_host = std::move(observed),
                              .contact = contact},
                       now, out);
    settle();
    return {peer, link, std::move(host)};
  }
  /// A relay, at an address of its own.
  Peer up() {
    const Identity peer = somebody();
    ++last_host;
    const std::string host =
        "10." + std::to_string(last_host / 200) + "." + std::to_string(last_host % 200) + ".1";
    return up(peer, record(peer, {"ws://" + host + ":80"}), host);
  }

  void down(const Peer& peer, CloseReason reason) {
    membership->handle(LinkDown{.link = peer.link,
                                .dial = {},
                                .last_of = peer.identity.id,
                                .met = peer.identity.id,
                                .reason = reason},
                       now, out);
    settle();
  }

  void hear(const Peer& from, const std::vector<Bytes>& records,
            ContactsPurpose purpose = ContactsPurpose::neighbours) {
    NeighbourContacts contacts{.purpose = purpose, .contacts = {records.begin(), records.end()}};
    const bool is_local = reach_of_host(from.host) == Reach::loopback;
    membership->handle(contacts, &from.identity.id, is_local, now, out);
    settle();
  }

  std::vector<std::string> dialed_addresses() const {
    std::vector<std::string> texts;
    for (const DialWish& dial : dials) texts.push_back(dial.address.to_string());
    return texts;
  }

  /// The records in the CONTACTS frames to a link.
  std::vector<ContactRecord> told(LinkId link) const {
    std::vector<ContactRecord> records;
    for (const FrameWish& frame : frames) {
      if (frame.link != link || frame.kind != FrameKind::contacts) continue;
      const auto contacts = decode_neighbour_contacts(frame.body).value();
      for (const BytesView view : contacts.contacts) {
        records.push_back(decode_contact(view).value());
      }
    }
    return records;
  }

  LookupAnswer answer_to(const Identity& asker, const NodeId& target, const Bytes& contact,
                         std::uint8_t wanted = 8) {
    routes.clear();
    const Envelope envelope{.kind = EnvelopeKind::lookup,
                            .closest = true,
                            .target = target,
                            .source = asker.id,
                            .home = home_of_asker};
    membership->handle(envelope, Lookup{.nonce = 5, .wanted = wanted, .contact = contact}, now,
                       out);
    settle();
    for (const RouteWish& route : routes) {
      if (route.kind != EnvelopeKind::contacts) continue;
      EXPECT_EQ(route.target, asker.id);
      EXPECT_EQ(route.via, home_of_asker);
      answers.push_back(route.body);
      return decode_lookup_answer(answers.back()).value();
    }
    return {};
  }

  std::uint64_t dropped(DropReason reason) const { return out.stats().dropped_for(reason); }

  DeterministicCrypto crypto{1};
  Identity self = make_identity(crypto);
  Table table{self.id};
  std::optional<Membership> membership;
  Outbox out;
  TimePoint now{100s};
  std::vector<DialWish> dials;
  std::vector<TimePoint> dialed_at;  // those that failed
  std::size_t failed = 0;
  std::vector<FrameWish> frames;
  std::vector<CloseWish> closes;
  std::vector<RouteWish> routes;
  std::vector<Problem> problems;
  std::vector<Ended> connected;
  std::deque<Bytes> answers;
  std::optional<NodeId> home_of_asker;
  int joined = 0;
  std::uint64_t last_link = 0;
  int last_host = 0;
};

// ---- Bootstrap ----

using MembershipBootstrap = Membering;

TEST_F(MembershipBootstrap, TheFirstOfANetworkIsWhereItShouldBe) {
  start();
  EXPECT_TRUE(membership->is_joined());
  EXPECT_EQ(joined, 1);
  run_for(1h);
  EXPECT_THAT(dials, IsEmpty());
}

TEST_F(MembershipBootstrap, FewAreDialedAtATimeAndEachOnceARound) {
  std::vector<Address> all;
  for (int i = 1; i <= 7; ++i) all.push_back(address("ws://10.0.0." + std::to_string(i) + ":80"));
  start({.bootstrap = all});
  EXPECT_THAT(dials, SizeIs(limits::bootstrap_dials_max));
  while (dials.size() < all.size()) {
    membership->dial_failed(dials[failed++].dial, DialError::timed_out, now, out);
    settle();
    ASSERT_EQ(dials.size() - failed, std::min(limits::bootstrap_dials_max, all.size() - failed));
  }
  std::set<std::string> distinct;
  for (const std::string& text : dialed_addresses()) distinct.insert(text);
  EXPECT_THAT(distinct, SizeIs(all.size()));
  EXPECT_THAT(problems, SizeIs(failed));
  EXPECT_EQ(problems.front().kind, Problem::Kind::bootstrap_failed);
  EXPECT_EQ(problems.front().detail, "timed_out");
}

TEST_F(MembershipBootstrap, IsToldOfThoseWhoListenAndAreNoNodes) {
  start({.bootstrap = {address("tcp://10.0.0.1:80")}});
  const auto ends = [&](std::optional<NodeId> met, CloseReason reason) {
    run_for(2min);
    membership->handle(LinkDown{.link = LinkId{77},
                                .dial = dials.back().dial,
                                .last_of = {},
                                .met = met,
                                .reason = reason},
                       now, out);
    settle();
  };
  ends({}, CloseReason::protocol_error);
  ASSERT_THAT(problems, SizeIs(1));
  EXPECT_EQ(problems[0].kind, Problem::Kind::bootstrap_failed);
  EXPECT_EQ(problems[0].where, "tcp://10.0.0.1:80");
  EXPECT_EQ(problems[0].detail, "protocol_error");
  ends({}, CloseReason::wrong_network);  // which is told as what it is
  ends(somebody().id, CloseReason::transport_closed);
  EXPECT_THAT(problems, SizeIs(1));
}

TEST_F(MembershipBootstrap, RoundsGoOnForEverWithGrowingPauses) {
  start({.bootstrap = {address("ws://10.0.0.1:80")}});
  run_for(1h, true);
  ASSERT_GT(dialed_at.size(), 60u) << "at least once a minute";
  EXPECT_LT(dialed_at.size(), 60u * 2 + 10);
  Duration backoff = limits::bootstrap_backoff_min;
  for (std::size_t i = 1; i < dialed_at.size(); ++i) {
    const Duration pause = dialed_at[i] - dialed_at[i - 1];
    EXPECT_GE(pause, backoff / 2) << "round " << i;
    EXPECT_LE(pause, backoff) << "round " << i;
    backoff = std::min(backoff * 2, limits::bootstrap_backoff_max);
  }
  EXPECT_FALSE(membership->is_joined());
}

TEST_F(MembershipBootstrap, WhoLosesTheLastLinkBeginsAgainAtOnce) {
  start({.bootstrap = {address("ws://10.0.0.1:80")}});
  const Identity hub = somebody();
  const Peer peer = up(hub, record(hub, {"ws://10.0.0.1:80"}), "10.0.0.1", dials.back().dial);
  const std::size_t before = dials.size();
  down(peer, CloseReason::transport_error);
  ASSERT_THAT(problems, SizeIs(1));
  EXPECT_EQ(problems.back().kind, Problem::Kind::isolated);
  EXPECT_GT(dials.size(), before);
  EXPECT_FALSE(membership->is_joined());
}

TEST_F(MembershipBootstrap, TheCacheIsDialedBehindWhatWasToldToUse) {
  const Identity cached = somebody();
  start({.bootstrap = {address("ws://10.0.0.1:80")},
         .cached_contacts = {record(cached, {"ws://10.0.0.2:80"}, 1, unix_seconds - 99'999),
                             Bytes(50)}});
  EXPECT_THAT(dialed_addresses(), ElementsAre("ws://10.0.0.1", "ws://10.0.0.2"))
      << "even when its record is too old to be passed on";
}

TEST_F(MembershipBootstrap, WhoIsStoppedDialsNobodyAndTakesNoLink) {
  start({.bootstrap = {address("ws://10.0.0.1:80")}});
  membership->stop();
  dials.clear();
  run_for(10min);
  EXPECT_THAT(dials, IsEmpty());
  const Peer late = up();
  EXPECT_THAT(closes,
              ElementsAre(testing::AllOf(Field(&CloseWish::link, late.link),
                                         Field(&CloseWish::reason, CloseReason::shutdown))));
  EXPECT_EQ(table.peers().size(), 0u);
}

// ---- Contacts ----

using MembershipContacts = Membering;

TEST_F(MembershipContacts, ASiblingHeardOfIsDialedByEachOfItsAddressesAndThenShunned) {
  start();
  const Peer peer = up();
  const Identity other = somebody();
  const Bytes encoded = record(other, {"ws://10.9.0.1:80", "ws://10.9.0.2:80"});
  hear(peer, {encoded});
  ASSERT_THAT(dials, SizeIs(1));
  fail_dials();
  EXPECT_THAT(dialed_addresses(), testing::UnorderedElementsAre("ws://10.9.0.1", "ws://10.9.0.2"));
  EXPECT_EQ(table.contact(other.id), nullptr);
  hear(peer, {encoded});
  EXPECT_THAT(dials, SizeIs(2)) << "not again so soon";
  run_for(limits::failed_contact_shunned_for);
  hear(peer, {encoded});
  EXPECT_THAT(dials, SizeIs(3));
}

TEST_F(MembershipContacts, WhoIsBusyIsLeftAloneAndItsAlternativesAreTried) {
  start();
  const Peer peer = up();
  const Identity busy = somebody();
  hear(peer, {record(busy, {"ws://10.9.0.1:80"})});
  ASSERT_THAT(dials, SizeIs(1));
  const Identity alternative = somebody();
  hear({busy, LinkId{77}, "10.9.0.1"}, {record(alternative, {"ws://10.9.0.2:80"})},
       ContactsPurpose::alternatives);
  membership->handle(LinkDown{.link = LinkId{77},
                              .dial = dials.front().dial,
                              .last_of = {},
                              .met = busy.id,
                              .reason = CloseReason::busy},
                     now, out);
  settle();
  EXPECT_THAT(dialed_addresses(), ElementsAre("ws://10.9.0.1", "ws://10.9.0.2"));
  run_for(limits::failed_contact_shunned_for - 1s);
  EXPECT_THAT(dialed_addresses(), testing::UnorderedElementsAre("ws://10.9.0.1", "ws://10.9.0.2"));
}

TEST_F(MembershipContacts, WhoeverAnswersInsteadIsNotTheContact) {
  start();
  const Peer peer = up();
  const Identity wanted = somebody();
  hear(peer, {record(wanted, {"ws://10.9.0.1:80"})});
  membership->handle(LinkDown{.link = LinkId{77},
                              .dial = dials.front().dial,
                              .last_of = {},
                              .met = somebody().id,
                              .reason = CloseReason::duplicate},
                     now, out);
  settle();
  EXPECT_EQ(table.contact(wanted.id), nullptr) << "forgotten: it lives there no more";
}

TEST_F(MembershipContacts, BadRecordsAreCountedAndDialNobody) {
  start();
  const Peer peer = up();
  const Identity other = somebody();
  Bytes forged = record(other, {"ws://10.9.0.1:80"});
  forged[40] ^= 1;
  hear(peer, {forged});
  EXPECT_EQ(dropped(DropReason::contact_forged), 1u);
  hear(peer, {record(other, {"ws://10.9.0.1:80"}, 1, unix_seconds)});
  hear(peer, {record(other, {"ws://10.9.0.1:80"}, 1, unix_seconds + 1'000'000)});
  EXPECT_EQ(dropped(DropReason::contact_expired), 2u);
  hear(peer, {Bytes(10)});
  EXPECT_EQ(dropped(DropReason::malformed), 1u);
  hear(peer, {record(other, {"ws://10.9.0.1:80"})}, ContactsPurpose::own);
  EXPECT_EQ(dropped(DropReason::contact_forged), 2u) << "one's own is of oneself";
  EXPECT_THAT(dials, IsEmpty());
}

TEST_F(MembershipContacts, SignaturesAreCheckedOnlySoOften) {
  start();
  const Peer peer = up();
  Bytes forged = record(somebody(), {"ws://10.9.0.1:80"});
  for (std::size_t i = 0; i < limits::proofs_per_second + 100; ++i) {
    forged[60] = static_cast<std::uint8_t>(i);
    hear(peer, {forged});
  }
  EXPECT_GE(dropped(DropReason::rate_limited), 90u) << "of a hundred, but those it knows by now";
}

TEST_F(MembershipContacts, WhoSaysGoodbyeForGoodIsForgottenAndOthersAreDialedAgain) {
  start();
  const Peer teller = up();
  const auto dialed = [&](std::string host) {
    const Identity other = somebody();
    const Bytes encoded = record(other, {"ws://" + host + ":80"});
    hear(teller, {encoded});
    return up(other, encoded, host, dials.back().dial);
  };
  const Peer gone = dialed("10.9.0.1");
  const Peer cut = dialed("10.9.0.2");
  dials.clear();
  down(gone, CloseReason::shutdown);
  down(cut, CloseReason::keepalive_timeout);
  EXPECT_EQ(table.contact(gone.identity.id), nullptr);
  EXPECT_THAT(dialed_addresses(), ElementsAre("ws://" + cut.host));
}

// ---- Loopback ----

using MembershipLoopback = Membering;

TEST_F(MembershipLoopback, AddressesOfThisMachineStayOnIt) {
  start({.advertise = {address("ws://192.0.2.1:80")},
         .listening = {{Scheme::ws, 80}},
         .listens_on_loopback = true});
  const auto names_loopback = [](const ContactRecord& contact) {
    return std::ranges::any_of(contact.addresses,
                               [](const Address& each) { return each.reach() == Reach::loopback; });
  };
  EXPECT_TRUE(names_loopback(*decode_contact(membership->own_contact("127.0.0.1"))));
  EXPECT_FALSE(names_loopback(*decode_contact(membership->own_contact("192.0.2.7"))));

  const Identity near = somebody();
  const Identity far = somebody();
  const Bytes near_record = record(near, {"ws://127.0.0.1:81"});
  const Peer local = up(near, near_record, "127.0.0.1");
  const Peer remote = up(far, record(far, {"ws://192.0.2.7:80"}), "192.0.2.7");
  const Identity later = somebody();
  const Peer other_local = up(later, record(later, {"ws://127.0.0.1:82"}), "::1");
  run_for(5min);  // exchanges of siblings
  EXPECT_THAT(told(other_local.link), Contains(testing::Truly(names_loopback)));
  EXPECT_THAT(told(remote.link), Not(Contains(testing::Truly(names_loopback))));

  for (const Bytes& contact : {record(far, {"ws://192.0.2.7:80"}), Bytes{}}) {
    const LookupAnswer answer = answer_to(far, somebody().id, contact, 16);
    ASSERT_FALSE(answer.contacts.empty());
    EXPECT_FALSE(names_loopback(*decode_contact(answer.contacts.front())))
        << "a stranger could not use it, and would not take it";
  }
  for (const RouteWish& route : routes) {
    if (route.kind != EnvelopeKind::lookup) continue;
    EXPECT_FALSE(names_loopback(*decode_contact(decode_lookup(route.body)->contact)));
  }
}

TEST_F(MembershipLoopback, NobodyElseMakesUsDialThisMachine) {
  start();
  const Peer remote = up();
  hear(remote, {record(somebody(), {"ws://127.0.0.1:9"}), record(somebody(), {"ws://[::1]:9"}),
                record(somebody(), {"ws://localhost:9"}),
                record(somebody(), {"ws://192.0.2.3:80", "ws://127.9.9.9:9"})});
  EXPECT_THAT(dials, IsEmpty());
  EXPECT_EQ(dropped(DropReason::contact_unwanted), 4u);

  const Identity near = somebody();
  const Peer local = up(near, record(near, {"ws://127.0.0.1:81"}), "127.0.0.1");
  hear(local, {record(somebody(), {"ws://127.0.0.1:82"})});
  EXPECT_THAT(dialed_addresses(), ElementsAre("ws://127.0.0.1:82"));
}

// ---- Lookups ----

using MembershipLookups = Membering;

TEST_F(MembershipLookups, TheAnswererComesFirstThenThoseItKnowsClosest) {
  start({.advertise = {address("ws://192.0.2.1:80")}, .listening = {{Scheme::ws, 80}}});
  std::vector<NodeId> ids;
  for (int i = 0; i < 12; ++i) ids.push_back(up().identity.id);
  const Identity asker = somebody();
  home_of_asker = ids[3];
  const NodeId target = somebody().id;
  const LookupAnswer answer = answer_to(asker, target, record(asker, {"ws://192.0.2.7:80"}), 5);
  std::vector<NodeId> answered;
  for (const BytesView view : answer.contacts) {
    answered.push_back(node_id_of(decode_contact(view)->key, crypto));
  }
  std::ranges::sort(ids, [&](const NodeId& a, const NodeId& b) { return is_closer(a, b, target); });
  ids.resize(4);
  ids.insert(ids.begin(), self.id);
  EXPECT_EQ(answered, ids);
  EXPECT_EQ(answer.nonce, 5u);
  EXPECT_NE(table.contact(asker.id), nullptr) << "who asks is learned of";
}

TEST_F(MembershipLookups, WhoeverIsHiddenBehindAnotherNamesAHome) {
  start({.advertise = {address("ws://192.0.2.1:80")}, .listening = {{Scheme::ws, 80}}});
  const Peer oldest = up();
  run_for(1s);
  for (int i = 0; i < 5; ++i) up();
  EXPECT_EQ(membership->home(), std::nullopt);

  const auto nearest = [&] { return table.closest_relay(self.id)->id; };
  Identity neighbour = somebody();
  while (!is_closer(neighbour.id, nearest(), self.id)) neighbour = somebody();
  Identity farther = somebody();
  while (is_closer(farther.id, nearest(), self.id)) farther = somebody();
  const Bytes its_record = record(neighbour, {"ws://192.0.2.8:80"});
  hear(oldest, {record(farther, {"ws://192.0.2.6:80"})});
  EXPECT_EQ(membership->home(), std::nullopt);
  hear(oldest, {its_record});
  EXPECT_EQ(membership->home(), oldest.identity.id) << "what is for us ends at the neighbour";
  up(neighbour, its_record, "192.0.2.8");
  EXPECT_EQ(membership->home(), std::nullopt);
}

TEST_F(MembershipLookups, WhoAsksUnderAnotherNameGetsNoAnswer) {
  start();
  up();
  const Identity asker = somebody();
  const LookupAnswer answer = answer_to(asker, self.id, record(somebody(), {"ws://192.0.2.7:80"}));
  EXPECT_THAT(answer.contacts, IsEmpty());
  EXPECT_EQ(dropped(DropReason::contact_forged), 1u);
}

TEST_F(MembershipLookups, AnswersAreGivenOnlySoOften) {
  start();
  const Identity asker = somebody();
  std::size_t answered = 0;
  for (std::size_t i = 0; i < limits::lookup_answers_per_second + 50; ++i) {
    if (!answer_to(asker, self.id, {}).contacts.empty()) ++answered;
  }
  EXPECT_EQ(answered, limits::lookup_answers_per_second);
}

TEST_F(MembershipLookups, AnAnswerThatNobodyAskedForIsNone) {
  start();
  up();
  EXPECT_FALSE(membership->handle(LookupAnswer{.nonce = 42, .contacts = {}}, now, out));
}

// ---- Connect ----

class MembershipConnect : public Membering {
 protected:
  void connect(const NodeId& to) {
    membership->connect(to, now, out);
    settle();
  }
  std::optional<std::uint64_t> asked_for(const NodeId& id) const {
    std::optional<std::uint64_t> nonce;
    for (const RouteWish& route : routes) {
      if (route.target == id) nonce = decode_lookup(route.body)->nonce;
    }
    return nonce;
  }
};

TEST_F(MembershipConnect, ToWhomWeAreLinkedIsDoneAtOnce) {
  start();
  const Peer peer = up();
  connect(peer.identity.id);
  ASSERT_THAT(connected, SizeIs(1));
  EXPECT_FALSE(connected.front().error.has_value());
  EXPECT_TRUE(table.find(peer.identity.id)->kept);
}

TEST_F(MembershipConnect, ToOurselvesIsAnError) {
  start();
  connect(self.id);
  ASSERT_THAT(connected, SizeIs(1));
  EXPECT_EQ(connected.front().error, Error::to_self);
}

TEST_F(MembershipConnect, AnUnknownIdIsLookedUpDialedAndLinked) {
  start();
  up();
  const Identity wanted = somebody();
  connect(wanted.id);
  const auto nonce = asked_for(wanted.id);
  ASSERT_TRUE(nonce.has_value());
  const Bytes encoded = record(wanted, {"ws://10.9.0.1:80"});
  EXPECT_TRUE(membership->handle(LookupAnswer{.nonce = *nonce, .contacts = {encoded}}, now, out));
  settle();
  ASSERT_THAT(dialed_addresses(), Contains("ws://10.9.0.1"));
  EXPECT_THAT(connected, IsEmpty());
  up(wanted, encoded, "10.9.0.1", dials.back().dial);
  ASSERT_THAT(connected, SizeIs(1));
  EXPECT_EQ(connected.front().id, wanted.id);
  EXPECT_FALSE(connected.front().error.has_value());
}

TEST_F(MembershipConnect, AnIdThatNobodyKnowsIsSaidToBeUnknown) {
  start();
  up();
  const NodeId answered = somebody().id;
  connect(answered);
  membership->handle(LookupAnswer{.nonce = asked_for(answered).value(), .contacts = {}}, now, out);
  settle();
  ASSERT_THAT(connected, SizeIs(1));
  EXPECT_EQ(connected.front().error, Error::no_such_contact);

  const NodeId silent = somebody().id;
  connect(silent);
  run_for(limits::lookup_timeout - 1us);
  EXPECT_THAT(connected, SizeIs(1));
  run_for(1us);
  ASSERT_THAT(connected, SizeIs(2));
  EXPECT_EQ(connected.back().error, Error::no_such_contact);
}

TEST_F(MembershipConnect, WhereNobodyAnswersTheDialItFails) {
  start();
  const Peer peer = up();
  const Identity wanted = somebody();
  hear(peer, {record(wanted, {"ws://10.9.0.1:80", "ws://10.9.0.2:80"})});
  connect(wanted.id);
  fail_dials();
  ASSERT_THAT(connected, SizeIs(1));
  EXPECT_EQ(connected.front().error, Error::dial_failed);
}

TEST_F(MembershipConnect, ADialThatIsNeverAnsweredEndsInTime) {
  start();
  const Peer peer = up();
  const Identity wanted = somebody();
  hear(peer, {record(wanted, {"ws://10.9.0.1:80"})});
  connect(wanted.id);
  run_for(limits::dial_timeout + limits::lookup_timeout);
  ASSERT_THAT(connected, SizeIs(1));
  EXPECT_EQ(connected.front().error, Error::dial_failed);
}

TEST_F(MembershipConnect, AskedTwiceItIsLookedUpOnceAndEndsOnce) {
  start();
  up();
  const NodeId wanted = somebody().id;
  routes.clear();
  for (int i = 0; i < 10; ++i) connect(wanted);
  EXPECT_EQ(std::ranges::count(routes, wanted, &RouteWish::target), 1);
  run_for(1min);
  EXPECT_THAT(connected, SizeIs(1));
}

TEST_F(MembershipConnect, OnlySoManyAreUnderWay) {
  start();
  up();
  for (std::size_t i = 0; i < limits::connects_max; ++i) connect(Random{i}.id());
  EXPECT_THAT(connected, IsEmpty());
  connect(Random{9999}.id());
  ASSERT_THAT(connected, SizeIs(1));
  EXPECT_EQ(connected.front().error, Error::queue_full);
}

// ---- Our own address, and others' ----

using MembershipAddress = Membering;

TEST_F(MembershipAddress, TwoUnrelatedPeersAndADialBackMakeItOurs) {
  start({.listening = {{Scheme::ws, 8000}}});
  EXPECT_FALSE(membership->relays());
  const auto asked = [&]() -> std::optional<DialBack> {
    std::optional<DialBack> request;
    for (const FrameWish& frame : frames) {
      if (frame.kind == FrameKind::dial_back) request = decode_dial_back(frame.body).value();
    }
    return request;
  };
  up(somebody(), {}, "8.8.8.1", {}, "9.9.9.9");
  EXPECT_FALSE(asked().has_value()) << "one voice is not enough";
  up(somebody(), {}, "8.8.8.2", {}, "9.9.9.9");
  EXPECT_FALSE(asked().has_value()) << "of one operator";
  up(somebody(), {}, "7.7.7.7", {}, "5.5.5.5");
  EXPECT_FALSE(asked().has_value()) << "they do not agree";
  const Peer judge = up(somebody(), {}, "6.6.6.6", {}, "9.9.9.9");
  ASSERT_TRUE(asked().has_value());
  EXPECT_EQ(asked()->port, 8000);
  membership->handle(DialBackResult{.token = asked()->token + 1, .reached = true},
                     judge.identity.id, now, out);
  EXPECT_EQ(dropped(DropReason::contact_unwanted), 1u);
  EXPECT_FALSE(membership->relays());
}

TEST_F(MembershipAddress, AConfirmedAddressIsToldToAll) {
  start({.listening = {{Scheme::ws, 8000}}});
  const Peer first = up(somebody(), {}, "8.8.8.1", {}, "9.9.9.9");
  const Peer judge = up(somebody(), {}, "6.6.6.6", {}, "9.9.9.9");
  std::optional<DialBack> request;
  for (const FrameWish& frame : frames) {
    if (frame.kind == FrameKind::dial_back) request = decode_dial_back(frame.body).value();
  }
  ASSERT_TRUE(request.has_value());
  frames.clear();
  membership->handle(DialBackResult{.token = request->token, .reached = true}, judge.identity.id,
                     now, out);
  settle();
  EXPECT_TRUE(membership->relays());
  for (const LinkId link : {first.link, judge.link}) {
    const auto records = told(link);
    ASSERT_THAT(records, Not(IsEmpty()));
    EXPECT_THAT(records.front().addresses, ElementsAre(address("ws://9.9.9.9:8000")));
  }
  membership->handle(DialBackResult{.token = request->token, .reached = true}, judge.identity.id,
                     now, out);
  EXPECT_EQ(dropped(DropReason::contact_unwanted), 1u) << "asked once, answered once";
}

TEST_F(MembershipAddress, EachPortThatIsListenedOnIsAskedAbout) {
  start({.listening = {{Scheme::ws, 8000}, {Scheme::tcp, 9000}}});
  const auto asked = [&]() -> std::vector<DialBack> {
    std::vector<DialBack> requests;
    for (const FrameWish& frame : frames) {
      if (frame.kind == FrameKind::dial_back) {
        requests.push_back(decode_dial_back(frame.body).value());
      }
    }
    return requests;
  };
  const auto answer = [&](const Peer& judge, bool reached) {
    membership->handle(DialBackResult{.token = asked().back().token, .reached = reached},
                       judge.identity.id, now, out);
    settle();
  };
  up(somebody(), {}, "8.8.8.1", {}, "9.9.9.9");
  const Peer judge = up(somebody(), {}, "6.6.6.6", {}, "9.9.9.9");
  ASSERT_THAT(asked(), SizeIs(1));
  EXPECT_EQ(asked()[0].scheme, Scheme::ws);
  answer(judge, false);
  ASSERT_THAT(asked(), SizeIs(2)) << "the other port may be open";
  EXPECT_EQ(asked()[1].scheme, Scheme::tcp);
  EXPECT_EQ(asked()[1].port, 9000);
  answer(judge, true);
  EXPECT_THAT(told(judge.link).back().addresses, ElementsAre(address("tcp://9.9.9.9:9000")));
  EXPECT_THAT(asked(), SizeIs(2));

  run_for(2min);
  const Peer later = up(somebody(), {}, "7.7.7.7", {}, "9.9.9.9");
  ASSERT_THAT(asked(), SizeIs(3)) << "what was closed may be open now";
  EXPECT_EQ(asked()[2].scheme, Scheme::ws);
  answer(later, true);
  EXPECT_THAT(told(later.link).back().addresses,
              ElementsAre(address("ws://9.9.9.9:8000"), address("tcp://9.9.9.9:9000")));
}

TEST_F(MembershipAddress, ADialBackGoesToTheAskersOwnHostAndSaysWhoAnswered) {
  start();
  const Peer asker = up();
  const auto ask = [&](const Peer& who, std::uint16_t port) {
    membership->handle(DialBack{.token = 99, .scheme = Scheme::ws, .port = port}, who.identity.id,
                       who.host, now, out);
    settle();
  };
  const auto results = [&] {
    std::vector<bool> reached;
    for (const FrameWish& frame : frames) {
      if (frame.kind != FrameKind::dial_back_result) continue;
      const auto result = decode_dial_back_result(frame.body).value();
      EXPECT_EQ(result.token, 99u);
      EXPECT_EQ(frame.link, asker.link);
      reached.push_back(result.reached);
    }
    return reached;
  };
  const auto probe_ends = [&](const NodeId& met) {
    membership->handle(LinkDown{.link = LinkId{500},
                                .dial = dials.back().dial,
                                .last_of = {},
                                .met = met,
                                .reason = CloseReason::probe_done},
                       now, out);
    settle();
  };
  ask(asker, 4444);
  ASSERT_THAT(dials, SizeIs(1));
  EXPECT_TRUE(dials.back().probe);
  EXPECT_EQ(dials.back().address.host, asker.host);
  EXPECT_EQ(dials.back().address.port, 4444);
  ask(asker, 4445);
  EXPECT_THAT(dials, SizeIs(1)) << "one at a time for each asker";
  ask(asker, 0);
  EXPECT_EQ(dropped(DropReason::rate_limited), 2u);
  probe_ends(asker.identity.id);
  EXPECT_THAT(results(), ElementsAre(true));
  ask(asker, 4446);
  probe_ends(somebody().id);
  EXPECT_THAT(results(), ElementsAre(true, false)) << "another node is no proof";
  ask(asker, 4447);
  membership->dial_failed(dials.back().dial, DialError::refused, now, out);
  settle();
  EXPECT_THAT(results(), ElementsAre(true, false, false));

  const std::size_t before = dials.size();
  for (std::size_t i = 0; i < limits::probes_max + 3; ++i) ask(up(), 80);
  EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(dials, true, &DialWish::probe)),
            before + limits::probes_max);
}

// ---- Room ----

using MembershipRoom = Membering;

TEST_F(MembershipRoom, LeavesHaveTheirBoundAndHearOfOthersToAsk) {
  start({.limits = {.leaves_max = 3}});
  const Peer relay = up();
  for (int i = 0; i < 3; ++i) up(somebody(), {});
  EXPECT_THAT(closes, IsEmpty());
  const Peer surplus = up(somebody(), {});
  ASSERT_THAT(closes, SizeIs(1));
  EXPECT_EQ(closes.front().link, surplus.link);
  EXPECT_EQ(closes.front().reason, CloseReason::busy);
  EXPECT_EQ(table.find(surplus.identity.id), nullptr);
  const auto alternatives = told(surplus.link);
  ASSERT_THAT(alternatives, SizeIs(1));
  EXPECT_EQ(alternatives.front().key, relay.identity.keys.public_key);
  down(surplus, CloseReason::busy);  // it was never let in: nothing happens
  EXPECT_EQ(table.peers().size(), 4u);
}

// Else a stranger would hold as many links as he has keys: each first a leaf, then a relay.
TEST_F(MembershipRoom, ALeafThatTurnsRelayNeedsARelaysPlace) {
  start({.limits = {.links_max = 12, .links_hard_max = 14, .leaves_max = 4}});
  std::size_t open = 0;
  for (int i = 0; i < 100; ++i) {
    const Identity peer = somebody();
    const Peer leaf = up(peer, {}, "8.8.8.8");
    if (table.find(peer.id) == nullptr) continue;
    hear(leaf, {record(peer, {"ws://8.8.8.8:" + std::to_string(1000 + i)})}, ContactsPurpose::own);
    while (!closes.empty()) {  // as links would do it
      const auto of = std::ranges::find(table.peers(), closes.back().link, &LinkedPeer::link);
      const CloseWish wish = closes.back();
      closes.pop_back();
      if (of == table.peers().end()) continue;
      down({Identity{.keys = {}, .id = of->id}, of->link, ""}, wish.reason);
    }
    open = std::max(open, table.peers().size());
    ASSERT_LE(table.relays(), 15u);
  }
  EXPECT_LE(open, 14u + 4u + 1u);
  EXPECT_GE(table.relays(), 12u);
}

TEST_F(MembershipRoom, WhoImprovesUsTakesThePlaceOfTheLeastMissed) {
  start({.limits = {.links_max = 20, .links_hard_max = 24}});
  std::vector<Peer> peers;
  std::size_t most = 0;
  for (int i = 0; i < 300; ++i) {
    peers.push_back(up());
    while (!closes.empty()) {
      const CloseWish wish = closes.back();
      closes.pop_back();
      const auto of = std::ranges::find(peers, wish.link, &Peer::link);
      down(*of, wish.reason);
    }
    most = std::max(most, table.relays());
  }
  EXPECT_LE(most, 25u);
  // Of all that knocked, the closest are there.
  std::ranges::sort(peers, [&](const Peer& a, const Peer& b) {
    return is_closer(a.identity.id, b.identity.id, self.id);
  });
  for (std::size_t i = 0; i < limits::siblings; ++i) {
    EXPECT_NE(table.find(peers[i].identity.id), nullptr) << "sibling " << i;
  }
}

TEST_F(MembershipRoom, WhoHasNobodyElseTakesThePlaceOfALuxury) {
  start({.limits = {.links_max = 20, .links_hard_max = 24}});
  std::vector<Peer> peers;
  for (int i = 0; i < 300; ++i) peers.push_back(up());
  closes.clear();
  const auto far_relay = [&] {  // nobody's sibling
    for (;;) {
      const Identity relay = somebody();
      if (common_prefix_bits(self.id, relay.id) == 0 &&
          !table.is_among_closest(self.id, relay.id, limits::siblings))
        return relay;
    }
  };
  const auto knock = [&](const Identity& relay, bool is_needed) {
    const LinkId link{++last_link};
    membership->handle(LinkUp{.link = link,
                              .id = relay.id,
                              .key = relay.keys.public_key,
                              .remote_host = "10.9.9.9",
                              .contact = record(relay, {"ws://10.9.9.9:80"}),
                              .is_needed = is_needed},
                       now, out);
    settle();
  };
  const Identity other = far_relay();
  knock(other, false);
  ASSERT_THAT(closes, SizeIs(1));
  EXPECT_EQ(closes.back().reason, CloseReason::busy);
  const Identity needy = far_relay();
  knock(needy, true);
  ASSERT_THAT(closes, SizeIs(2));
  EXPECT_EQ(closes.back().reason, CloseReason::surplus);
  EXPECT_NE(table.find(needy.id), nullptr);
  EXPECT_NE(closes.back().link, table.find(needy.id)->link);
}

TEST_F(MembershipRoom, SaysThatItNeedsALinkIntoAnEmptyBucket) {
  start({.advertise = {address("ws://10.0.0.9:80")}});
  const Identity first = somebody();
  EXPECT_FALSE(membership->needs_link_to(first.id)) << "any will do as the first of all";
  up(first, record(first, {"ws://10.0.0.1:80"}));
  const int taken = common_prefix_bits(self.id, first.id);
  for (int i = 0; i < 20; ++i) {
    const NodeId id = somebody().id;
    EXPECT_EQ(membership->needs_link_to(id), common_prefix_bits(self.id, id) != taken);
  }
  NodeId beside = first.id;
  beside.bytes.back() ^= 1;
  EXPECT_FALSE(membership->needs_link_to(beside));
  membership->connect(beside, now, out);
  EXPECT_TRUE(membership->needs_link_to(beside)) << "the application wants this one";
}

TEST_F(MembershipRoom, TheCacheHasTheOldestFirstAndItsBound) {
  const Identity old = somebody();
  const Bytes old_record = record(old, {"ws://10.77.0.1:80"});
  start({.cached_contacts = {old_record}});
  EXPECT_THAT(membership->peer_cache(), ElementsAre(old_record)) << "nothing better yet";
  const std::uint64_t version = membership->peer_cache_version();
  std::vector<NodeId> ids;
  for (int i = 0; i < 10; ++i) {
    ids.push_back(up().identity.id);
    now += 1s;
  }
  up(somebody(), {});  // a leaf is no use to anybody
  EXPECT_GT(membership->peer_cache_version(), version);
  std::vector<NodeId> cached;
  for (const Bytes& encoded : membership->peer_cache()) {
    cached.push_back(node_id_of(decode_contact(encoded)->key, crypto));
  }
  EXPECT_EQ(cached, ids);
  const Peer teller = up();
  for (int i = 0; i < 100; ++i) {
    hear(teller, {record(somebody(), {"ws://10.55.0.1:80"})});
  }
  EXPECT_LE(membership->peer_cache().size(), limits::peer_cache_max);
}

}  // namespace
}  // namespace peer_relay
