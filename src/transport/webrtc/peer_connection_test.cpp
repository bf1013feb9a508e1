// SPDX-License-Identifier: MIT
//
// Two connections in one io_context, over 127.0.0.1: what one signals is handed to the other. The
// clock is the machine's, since libnice and usrsctp read it; nothing here waits for a time to pass
// but where that is what is tested.
#include "transport/webrtc/peer_connection.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <deque>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "transport/webrtc/sdp.hpp"
#include "transport/webrtc/testing.hpp"

namespace peer_relay::webrtc {
namespace {

using namespace std::chrono_literals;
using testing::SizeIs;

constexpr CandidatePolicy anywhere{.loopback = true, .link_local = true, .site = true};

/// One side: an application that keeps what it hears.
struct Side final : PeerConnectionSink {
  void connection_described(const std::string& sdp) override {
    description = sdp;
    if (on_described) on_described(sdp);
  }
  void connection_candidate(const std::string& line) override {
    candidates.push_back(line);
    if (on_candidate) on_candidate(line);
  }
  void connection_opened() override {
    is_open = true;
    if (on_opened) on_opened();
  }
  void connection_received(MutableBytes message, bool is_text) override {
    ++received;
    received_bytes += message.size();
    if (on_received) on_received(message, is_text);
  }
  void connection_taken(Bytes) override {}
  void connection_writable() override {
    if (on_writable) on_writable();
  }
  void connection_closed(PeerConnectionEnd how) override {
    end = how;
    ++ends;
    if (on_closed) on_closed();
  }

  std::unique_ptr<PeerConnection> connection;
  std::string description;
  std::vector<std::string> candidates;
  bool is_open = false;
  std::size_t received = 0;
  std::size_t received_bytes = 0;
  std::optional<PeerConnectionEnd> end;
  int ends = 0;
  std::function<void(const std::string&)> on_described, on_candidate;
  std::function<void()> on_opened, on_writable, on_closed;
  std::function<void(MutableBytes, bool)> on_received;
};

class PeerConnections : public testing::Test, public Loop {
 protected:
  PeerConnections() : certificate(Certificate::make()), stack(std::make_shared<SctpStack>(io)) {}

  PeerConnectionOptions options(bool offers) const {
    return {.offers = offers, .ice = {.local_addresses = {"127.0.0.1"}}, .policy = anywhere};
  }

  void make(Side& side, PeerConnectionOptions with) {
    side.connection =
        std::make_unique<PeerConnection>(io, side, certificate, stack, std::move(with));
  }

  /// Each hears what the other says.
  static void introduce(Side& a, Side& b) {
    for (auto [from, to] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
      from->on_described = [other = to](const std::string& sdp) {
        if (other->connection) other->connection->set_remote(sdp);
      };
      from->on_candidate = [other = to](const std::string& line) {
        if (other->connection) other->connection->add_candidate(line);
      };
    }
  }

  void begin(Side& offerer, Side& answerer) {
    make(offerer, options(true));
    make(answerer, options(false));
    introduce(offerer, answerer);
    offerer.connection->start();
  }

  bool connect(Side& offerer, Side& answerer) {
    begin(offerer, answerer);
    return run_until([&] { return offerer.is_open && answerer.is_open; });
  }

  std::shared_ptr<const Certificate> certificate;
  std::shared_ptr<SctpStack> stack;
  Side alice, bob;
};

Bytes message_of(std::size_t size, std::uint32_t number) {
  Bytes out(size);
  std::uint32_t state = number * 2654435761u + 1;
  for (std::size_t i = 0; i < size; ++i) {
    out[i] = static_cast<std::uint8_t>(state >> 24);
    state = state * 1664525 + 1013904223;
  }
  return out;
}

TEST_F(PeerConnections, OpensAndTellsBothWhoTheyAre) {
  ASSERT_TRUE(connect(alice, bob));
  EXPECT_THAT(alice.connection->channel_binding(), SizeIs(64));
  EXPECT_EQ(alice.connection->channel_binding(), bob.connection->channel_binding());
  EXPECT_EQ(alice.connection->remote_host(), "127.0.0.1");
  EXPECT_FALSE(alice.connection->is_relayed());
  EXPECT_EQ(bob.connection->send_bytes_max(), 65'536u);
}

TEST_F(PeerConnections, BindsTheChannelToBothCertificates) {
  ASSERT_TRUE(connect(alice, bob));
  const Bytes before = alice.connection->channel_binding();
  const std::shared_ptr<const Certificate> other = Certificate::make();
  Side carol, dave;
  make(carol, options(true));
  dave.connection = std::make_unique<PeerConnection>(io, dave, other, stack, options(false));
  introduce(carol, dave);
  carol.connection->start();
  ASSERT_TRUE(run_until([&] { return carol.is_open && dave.is_open; }));
  const Bytes binding = carol.connection->channel_binding();
  EXPECT_EQ(binding, dave.connection->channel_binding());
  EXPECT_TRUE(std::ranges::equal(BytesView{binding}.first(32), certificate->digest()));
  EXPECT_TRUE(std::ranges::equal(BytesView{binding}.last(32), other->digest()));
  EXPECT_NE(binding, before);
}

TEST_F(PeerConnections, CarriesEverySizeBothWays) {
  ASSERT_TRUE(connect(alice, bob));
  std::vector<std::size_t> sizes{0, 1, 2, 1142, 1143, 1144, 1145, 1146, 16384, 65535, 65536};
  for (auto [from, to] : {std::pair{&alice, &bob}, std::pair{&bob, &alice}}) {
    std::vector<Bytes> heard;
    std::vector<bool> texts;
    to->on_received = [&](MutableBytes message, bool is_text) {
      heard.emplace_back(message.begin(), message.end());
      texts.push_back(is_text);
    };
    for (const std::size_t size : sizes) {
      EXPECT_TRUE(from->connection->send(message_of(size, 7), size % 2 == 0));
    }
    ASSERT_TRUE(run_until([&] { return heard.size() == sizes.size(); }));
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      EXPECT_EQ(heard[i], message_of(sizes[i], 7)) << sizes[i];
      EXPECT_EQ(texts[i], sizes[i] % 2 == 0) << sizes[i];
    }
    EXPECT_FALSE(from->connection->send(Bytes(65537))) << "more than the other side takes";
    to->on_received = {};
  }
}

// Sizes from 1 B to 64 KiB, mostly small; both directions at once, each as fast as the other takes.
TEST_F(PeerConnections, CarriesTenThousandMessagesBothWaysInOrder) {
  constexpr std::uint32_t count = 10'000;
  const auto size_of = [](std::uint32_t number) {
    if (number % 100 == 0) return std::size_t{65'536};
    return std::size_t{1} + number * 37 % (number % 10 == 0 ? 16'384 : 500);
  };
  ASSERT_TRUE(connect(alice, bob));
  std::uint32_t sent[2] = {0, 0};
  std::uint32_t heard[2] = {0, 0};
  Side* const sides[2] = {&alice, &bob};
  const auto pump = [&](int i) {
    while (sent[i] < count && sides[i]->connection->queued_bytes() == 0) {
      ASSERT_TRUE(sides[i]->connection->send(message_of(size_of(sent[i]), sent[i])));
      ++sent[i];
    }
  };
  for (int i = 0; i < 2; ++i) {
    sides[i]->on_writable = [&, i] { pump(i); };
    sides[i]->on_received = [&, i](MutableBytes message, bool) {
      const std::uint32_t number = heard[i]++;
      ASSERT_EQ(message.size(), size_of(number));
      const Bytes expected = message_of(size_of(number), number);
      ASSERT_TRUE(std::ranges::equal(message, expected)) << number;
    };
    pump(i);
  }
  EXPECT_TRUE(run_until([&] { return heard[0] == count && heard[1] == count; }, 120s))
      << heard[0] << " and " << heard[1];
}

TEST_F(PeerConnections, ClosesBehindWhatWasSent) {
  for (const bool offerer_closes : {true, false}) {
    Side offerer, answerer;
    ASSERT_TRUE(connect(offerer, answerer));
    Side& closing = offerer_closes ? offerer : answerer;
    Side& other = offerer_closes ? answerer : offerer;
    for (std::uint32_t i = 0; i < 20; ++i) closing.connection->send(message_of(65'535, i));
    closing.connection->close();
    EXPECT_FALSE(closing.connection->send(Bytes{1}));
    ASSERT_TRUE(run_until([&] { return closing.end && other.end; }, 3s));
    EXPECT_EQ(other.received, 20u);
    EXPECT_EQ(closing.end, PeerConnectionEnd::closed_here);
    EXPECT_EQ(other.end, PeerConnectionEnd::closed_by_peer);
    run_for(50ms);
    EXPECT_EQ(closing.ends, 1);
    EXPECT_EQ(other.ends, 1);
  }
}

TEST_F(PeerConnections, DestructionIsSeenByTheOther) {
  ASSERT_TRUE(connect(alice, bob));
  alice.connection.reset();
  ASSERT_TRUE(run_until([&] { return bob.end.has_value(); }, 3s));
  EXPECT_EQ(bob.end, PeerConnectionEnd::closed_by_peer);
  EXPECT_FALSE(alice.end);
}

TEST_F(PeerConnections, MayBeDestroyedInEachOfItsEvents) {
  for (int event = 0; event < 5; ++event) {
    Side offerer, answerer;
    begin(offerer, answerer);
    const auto destroy = [&] { offerer.connection.reset(); };
    if (event == 0) offerer.on_described = [&](const std::string&) { destroy(); };
    if (event == 1) offerer.on_candidate = [&](const std::string&) { destroy(); };
    if (event == 2) offerer.on_opened = destroy;
    if (event == 3) {
      answerer.on_opened = [&] { answerer.connection->send(Bytes(3000)); };
      offerer.on_received = [&](MutableBytes, bool) { destroy(); };
    }
    if (event == 4) {
      answerer.on_opened = [&] { answerer.connection->close(); };
      offerer.on_closed = destroy;
    }
    EXPECT_TRUE(run_until([&] { return !offerer.connection; }, 5s)) << event;
    run_for(20ms);
  }
}

TEST_F(PeerConnections, WorksWithoutTrickle) {
  auto offering = options(true), answering = options(false);
  offering.trickles = answering.trickles = false;
  make(alice, offering);
  make(bob, answering);
  introduce(alice, bob);
  alice.connection->start();
  ASSERT_TRUE(run_until([&] { return alice.is_open && bob.is_open; }));
  EXPECT_THAT(alice.candidates, SizeIs(0));
  EXPECT_THAT(alice.description, testing::HasSubstr("a=end-of-candidates"));
}

TEST_F(PeerConnections, TakesCandidatesBeforeTheDescription) {
  make(alice, options(true));
  make(bob, options(false));
  std::vector<std::string> early;
  alice.on_candidate = [&](const std::string& line) { bob.connection->add_candidate(line); };
  bob.on_described = [&](const std::string& sdp) { alice.connection->set_remote(sdp); };
  bob.on_candidate = [&](const std::string& line) { alice.connection->add_candidate(line); };
  alice.connection->start();
  ASSERT_TRUE(run_until([&] { return !alice.candidates.empty(); }));
  bob.connection->set_remote(alice.description);
  EXPECT_TRUE(run_until([&] { return alice.is_open && bob.is_open; }));
}

TEST_F(PeerConnections, ListensToOneDescriptionOnly) {
  begin(alice, bob);
  alice.on_described = [&](const std::string& sdp) {
    bob.connection->set_remote(sdp);
    bob.connection->set_remote(sdp);
    bob.connection->set_remote("no description at all");
  };
  EXPECT_TRUE(run_until([&] { return alice.is_open && bob.is_open; }));
  alice.connection->set_remote(bob.description);
  alice.connection->add_candidate("candidate:1 1 udp 1 127.0.0.1 9 typ host");
  run_for(50ms);
  EXPECT_FALSE(alice.end);
}

TEST_F(PeerConnections, RefusesAnotherCertificateThanWasAnnounced) {
  const std::shared_ptr<const Certificate> other = Certificate::make();
  const std::string right = print_digest(certificate->digest());
  for (const bool offer_lies : {true, false}) {
    Side offerer, answerer;
    begin(offerer, answerer);
    const auto lie = [&](std::string sdp) {
      const std::size_t at = sdp.find(right);
      EXPECT_NE(at, std::string::npos);
      return sdp.replace(at, right.size(), print_digest(other->digest()));
    };
    // What is changed on the way is what somebody in the middle would change.
    if (offer_lies) {
      offerer.on_described = [&](const std::string& sdp) {
        answerer.connection->set_remote(lie(sdp));
      };
    } else {
      answerer.on_described = [&](const std::string& sdp) {
        offerer.connection->set_remote(lie(sdp));
      };
    }
    Side& wary = offer_lies ? answerer : offerer;
    Side& rejected = offer_lies ? offerer : answerer;
    ASSERT_TRUE(run_until([&] { return wary.end && rejected.end; }, 5s));
    EXPECT_EQ(wary.end, PeerConnectionEnd::fingerprint_mismatch);
    EXPECT_FALSE(wary.is_open);
    EXPECT_FALSE(rejected.is_open);
  }
}

TEST_F(PeerConnections, TellsHowFarItCame) {
  auto soon = options(true);
  soon.timeout = 1s;  // in which descriptions pass on a busy machine, too
  make(alice, soon);
  alice.connection->start();
  ASSERT_TRUE(run_until([&] { return alice.end.has_value(); }));
  EXPECT_EQ(alice.end, PeerConnectionEnd::no_answer);

  // Candidates never arrive.
  Side carol, dave;
  make(carol, soon);
  make(dave, options(false));
  carol.on_described = [&](const std::string& sdp) { dave.connection->set_remote(sdp); };
  dave.on_described = [&](const std::string& sdp) { carol.connection->set_remote(sdp); };
  carol.connection->start();
  ASSERT_TRUE(run_until([&] { return carol.end.has_value(); }));
  EXPECT_EQ(carol.end, PeerConnectionEnd::ice_failed);

  make(bob, options(false));
  bob.connection->set_remote("v=0\r\n");
  ASSERT_TRUE(run_until([&] { return bob.end.has_value(); }, 2s));
  EXPECT_EQ(bob.end, PeerConnectionEnd::bad_description);
}

TEST_F(PeerConnections, HidesItsAddresses) {
  auto hiding = options(true);
  hiding.shows_host_candidates = false;
  make(alice, hiding);
  make(bob, options(false));
  introduce(alice, bob);
  alice.connection->start();
  // The other side learns of us by our own checks.
  EXPECT_TRUE(run_until([&] { return alice.is_open && bob.is_open; }));
  EXPECT_THAT(alice.candidates, testing::Each(std::string{}));
  EXPECT_THAT(alice.description, testing::Not(testing::HasSubstr("candidate:")));
}

TEST_F(PeerConnections, KeepsToItsPorts) {
  auto narrow = options(true);
  narrow.ice.port_min = 47'000;
  narrow.ice.port_max = 47'019;
  make(alice, narrow);
  make(bob, options(false));
  introduce(alice, bob);
  alice.connection->start();
  ASSERT_TRUE(run_until([&] { return alice.is_open && bob.is_open; }));
  const auto candidate = parse_candidate(alice.candidates.front(), anywhere);
  ASSERT_TRUE(candidate);
  EXPECT_GE(candidate->port, 47'000);
  EXPECT_LE(candidate->port, 47'019);
}

// Candidates by the thousand, descriptions cut off and bent: nothing opens, nothing breaks.
TEST_F(PeerConnections, OutlivesHostileSignalling) {
  make(alice, options(true));
  alice.connection->start();
  ASSERT_TRUE(run_until([&] { return !alice.description.empty(); }));
  const std::string offer = alice.description;
  for (std::uint32_t i = 0; i < 300; ++i) {
    Side victim;
    auto briefly = options(false);
    briefly.timeout = 50ms;
    make(victim, briefly);
    std::string bent = offer;
    for (std::uint32_t j = 0; j <= i % 4; ++j) {
      const std::uint32_t at = (i * 7919 + j * 104729) % static_cast<std::uint32_t>(bent.size());
      if (i % 3 == 0) bent.resize(at);
      if (i % 3 == 1) bent[at] = static_cast<char>(i * 31 + j);
      if (i % 3 == 2) bent.insert(at, bent.substr(at / 2, 100));
      if (bent.empty()) break;
    }
    victim.connection->set_remote(bent);
    for (std::uint32_t j = 0; j < 100; ++j) {
      victim.connection->add_candidate("candidate:1 1 udp 1 127.0.0.1 " +
                                       std::to_string(1 + (i * 100 + j) % 9) + " typ host");
      victim.connection->add_candidate(bent.substr(0, j * 8));
    }
    if (i % 10 == 0) run_for(5ms);
    EXPECT_FALSE(victim.is_open);
  }
}

TEST_F(PeerConnections, HundredsAtOnceOnOneThread) {
  constexpr std::size_t pairs = 50;
  const std::size_t threads_before = threads();  // usrsctp's idle one is among them
  std::deque<Side> sides(2 * pairs);
  for (std::size_t i = 0; i < pairs; ++i) begin(sides[2 * i], sides[2 * i + 1]);
  ASSERT_TRUE(run_until([&] { return std::ranges::all_of(sides, &Side::is_open); }, 60s));
  EXPECT_LE(threads(), threads_before);
  for (Side& each : sides) each.connection->send(Bytes(1000));
  EXPECT_TRUE(run_until(
      [&] { return std::ranges::all_of(sides, [](const Side& s) { return s.received == 1; }); },
      30s));
  EXPECT_LE(threads(), threads_before);
}

// usrsctp is one for the whole process: what it wants while one thread calls it may be for another.
TEST_F(PeerConnections, NodesOfTwoThreadsDoNotMeetInTheStack) {
  std::vector<std::jthread> nodes;
  std::atomic<int> done = 0;
  for (int node = 0; node < 2; ++node) {
    nodes.emplace_back([this, &done] {
      boost::asio::io_context own;
      const auto own_stack = std::make_shared<SctpStack>(own);
      for (int i = 0; i < 5; ++i) {
        Side offerer, answerer;
        for (Side* each : {&offerer, &answerer}) {
          each->connection = std::make_unique<PeerConnection>(own, *each, Certificate::make(),
                                                              own_stack, options(each == &offerer));
        }
        introduce(offerer, answerer);
        offerer.on_opened = [&] { offerer.connection->send(Bytes(60'000)); };
        answerer.on_received = [&](MutableBytes, bool) { answerer.connection->close(); };
        offerer.connection->start();
        own.restart();
        own.run_for(20s);  // ends when both are closed
        if (offerer.end && answerer.end && answerer.received == 1) ++done;
      }
    });
  }
  nodes.clear();
  EXPECT_EQ(done, 10);
}

TEST_F(PeerConnections, ThreeHundredTimesLeavesNothingBehind) {
  constexpr int rounds = 10;
  constexpr int per_round = 30;
  std::size_t files = 0, allocated = 0, threads_first = 0;
  for (int round = 0; round < rounds; ++round) {
    for (int i = 0; i < per_round; ++i) {
      Side offerer, answerer;
      ASSERT_TRUE(connect(offerer, answerer)) << round << ", " << i;
      offerer.connection->send(Bytes(5000));
      ASSERT_TRUE(run_until([&] { return answerer.received == 1; }));
      (i % 2 == 0 ? offerer : answerer).connection->close();
      ASSERT_TRUE(run_until([&] { return offerer.end && answerer.end; }, 5s));
    }
    run_for(50ms);
    std::printf("after %d: %zu bytes\n", (round + 1) * per_round, allocated_bytes());
    if (round == 3) {
      files = open_files();
      allocated = allocated_bytes();
      threads_first = threads();
    }
  }
  EXPECT_EQ(open_files(), files);
  EXPECT_EQ(threads(), threads_first);
  const auto grown =
      static_cast<std::ptrdiff_t>(allocated_bytes()) - static_cast<std::ptrdiff_t>(allocated);
  std::printf("%d connections grew memory by %td bytes\n", (rounds - 4) * per_round, grown);
  EXPECT_LT(grown, 64 << 10);
}

}  // namespace
}  // namespace peer_relay::webrtc
