// SPDX-License-Identifier: MIT
//
// Two transports in one io_context, over 127.0.0.1; what one signals is handed to the other, whole,
// bent, late or not at all. The clock is the machine's, since libnice and usrsctp read it.
#include "transport/webrtc/webrtc_transport.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "peer_relay/limits.hpp"
#include "transport/webrtc/testing.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using webrtc::allocated_bytes;
using webrtc::open_files;
using webrtc::threads;

/// One side: a host that keeps what it hears. What it has to signal goes to `peer`, under the
/// number that it has itself, unless the test takes it away.
struct End final : LinkSink, NegotiationSink {
  struct Opened {
    std::unique_ptr<Link> link;
    LinkArrival arrival;
    std::size_t received = 0;
    int closed = 0;
    std::optional<CloseReason> reason;
  };
  struct Failure {
    NegotiationId id;
    DialError error;
    std::string detail;
  };

  void link_opened(LinkId id, std::unique_ptr<Link> link, LinkArrival arrival) override {
    EXPECT_FALSE(calls) << "from within a call";
    links[id] = {.link = std::move(link), .arrival = std::move(arrival)};
    last = id;
    ++opened;
    if (on_opened) on_opened(id);
  }
  void dial_failed(DialId, DialError, const std::string&) override { ADD_FAILURE(); }
  void link_received(LinkId id, MutableBytes message) override {
    ++links.at(id).received;
    ++received;
    if (on_received) on_received(id, message);
  }
  void link_received_text(LinkId, MutableBytes text) override {
    texts.emplace_back(text.begin(), text.end());
  }
  void link_received_stream(LinkId id, BytesView bytes, ExchangeTransport by) override {
    EXPECT_EQ(by, ExchangeTransport::webrtc);
    ++links.at(id).received;
    stream += as_text(bytes);
  }
  void text_too_long() override { ++overlong_texts; }
  void link_writable(LinkId id) override {
    if (on_writable) on_writable(id);
  }
  void link_closed(LinkId id, CloseReason reason) override {
    EXPECT_FALSE(calls) << "from within a call";
    Opened& link = links.at(id);
    ++link.closed;
    ++closed;
    link.reason = reason;
    if (frees_closed_links) links.erase(id);
  }
  void connection_refused() override { ADD_FAILURE(); }
  void connection_failed(CloseReason) override { ADD_FAILURE(); }
  LinkId next_link_id() override { return LinkId{++link_ids}; }
  void recycle(Bytes) override { ++recycled; }

  void negotiation_described(NegotiationId id, const std::string& sdp) override {
    EXPECT_FALSE(calls) << "from within a call";
    descriptions[id] = sdp;
    if (on_described && !on_described(id, sdp)) return;
    if (peer == nullptr) return;
    if (offers.contains(id)) {
      peer->answer(id, sdp);
    } else {
      peer->take_answer(id, sdp);
    }
  }
  void negotiation_candidate(NegotiationId id, const std::string& line) override {
    EXPECT_FALSE(calls) << "from within a call";
    candidates.push_back(line);
    if (on_candidate && !on_candidate(line)) return;
    if (peer != nullptr && peer->transport) peer->transport->take_candidate(id, line);
  }
  void negotiation_failed(NegotiationId id, DialError error, const std::string& detail) override {
    EXPECT_FALSE(calls) << "from within a call";
    failures.push_back({id, error, detail});
  }

  void offer(NegotiationId id) {
    offers.insert(id);
    calls = true;
    transport->offer(id, true, manner);
    calls = false;
  }
  void answer(NegotiationId id, std::string_view sdp) {
    calls = true;
    if (transport) transport->answer(id, sdp, true, manner);
    calls = false;
  }
  void take_answer(NegotiationId id, std::string_view sdp) {
    calls = true;
    if (transport) transport->take_answer(id, sdp);
    calls = false;
  }
  void close(LinkId id, CloseReason reason) {
    calls = true;
    links.at(id).link->close(reason);
    calls = false;
  }

  Link& link() { return *links.at(last).link; }

  std::unique_ptr<WebRtcTransport> transport;
  End* peer = nullptr;
  bool calls = false;  // a call to the transport is under way
  bool frees_closed_links = false;
  std::map<LinkId, Opened> links;
  LinkId last{};
  std::uint64_t link_ids = 0;
  std::size_t opened = 0, closed = 0, received = 0, recycled = 0, overlong_texts = 0;
  std::string stream;
  Manner manner = Manner::messages;
  std::vector<std::string> candidates, texts;
  std::map<NegotiationId, std::string> descriptions;
  std::set<NegotiationId> offers;
  std::vector<Failure> failures;
  std::function<bool(NegotiationId, const std::string&)> on_described;  // whether it passes
  std::function<bool(const std::string&)> on_candidate;
  std::function<void(LinkId)> on_opened, on_writable;
  std::function<void(LinkId, MutableBytes)> on_received;
};

class WebRtcTransports : public testing::Test, public webrtc::Loop {
 protected:
  static WebRtcOptions here() { return {.interfaces = {"127.0.0.1"}}; }

  void make(End& end, WebRtcOptions options = here()) {
    auto made = WebRtcTransport::make(io, end, end, std::move(options));
    ASSERT_TRUE(made) << made.error().detail;
    end.transport = std::move(*made);
  }

  void make_pair(const WebRtcOptions& options = here()) {
    make(alice, options);
    make(bob, options);
    alice.peer = &bob;
    bob.peer = &alice;
  }

  NegotiationId next() { return NegotiationId{++negotiations}; }

  bool connect(End& offerer, End& answerer) {
    const std::size_t before = offerer.opened;
    const std::size_t others = answerer.opened;
    offerer.offer(next());
    return run_until([&] { return offerer.opened > before && answerer.opened > others; });
  }

  std::uint64_t negotiations = 0;
  End alice, bob;
};

Bytes message_of(std::size_t size, std::uint32_t number) {
  Bytes out(size);
  std::uint32_t state = number * 2654435761u + 1;
  for (std::uint8_t& each : out) {
    each = static_cast<std::uint8_t>(state >> 24);
    state = state * 1664525 + 1013904223;
  }
  return out;
}

std::size_t resident_bytes() {
  std::size_t all = 0, resident = 0;
  std::ifstream{"/proc/self/statm"} >> all >> resident;
  return resident * 4096;
}

std::size_t from_environment(const char* name, std::size_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoul(text, nullptr, 10);
}

TEST_F(WebRtcTransports, OpenALinkAndTellBothWhoItIs) {
  make_pair();
  const NegotiationId id = next();
  alice.offer(id);
  EXPECT_EQ(alice.transport->negotiations(), 1u);
  ASSERT_TRUE(run_until([&] { return alice.opened == 1 && bob.opened == 1; }));
  for (End* end : {&alice, &bob}) {
    EXPECT_EQ(end->transport->negotiations(), 0u);
    const End::Opened& link = end->links.at(end->last);
    EXPECT_EQ(link.arrival.negotiation, id);
    EXPECT_FALSE(link.arrival.dial);
    EXPECT_EQ(link.arrival.remote_host, "127.0.0.1");
    EXPECT_THAT(link.arrival.channel_binding, SizeIs(64));
    EXPECT_THAT(link.link->remote(), testing::StartsWith("webrtc:127.0.0.1:"));
    EXPECT_FALSE(link.link->may_be_old());
    EXPECT_EQ(link.link->queued_bytes(), 0u);
    EXPECT_THAT(end->failures, IsEmpty());
  }
  EXPECT_EQ(alice.links.at(alice.last).arrival.channel_binding,
            bob.links.at(bob.last).arrival.channel_binding);
}

TEST_F(WebRtcTransports, CarryBatchesOfEverySizeBothWaysInOrder) {
  constexpr std::uint32_t count = 2000;
  const auto size_of = [](std::uint32_t number) {
    constexpr std::array<std::size_t, 8> odd{1, 2, 1142, 1143, 1144, 16'384, 65'534, 65'535};
    return number % 20 == 0 ? odd[number / 20 % odd.size()] : std::size_t{1} + number * 37 % 1500;
  };
  make_pair();
  ASSERT_TRUE(connect(alice, bob));
  std::uint32_t sent[2] = {0, 0};
  std::uint32_t heard[2] = {0, 0};
  End* const ends[2] = {&alice, &bob};
  const auto pump = [&](int i) {
    while (sent[i] < count && ends[i]->link().queued_bytes() == 0) {
      ends[i]->link().send(message_of(size_of(sent[i]), sent[i]));
      ++sent[i];
    }
  };
  for (int i = 0; i < 2; ++i) {
    ends[i]->on_writable = [&, i](LinkId) { pump(i); };
    ends[i]->on_received = [&, i](LinkId, MutableBytes message) {
      const std::uint32_t number = heard[i]++;
      ASSERT_TRUE(std::ranges::equal(message, message_of(size_of(number), number))) << number;
    };
    pump(i);
  }
  EXPECT_TRUE(run_until([&] { return heard[0] == count && heard[1] == count; }, 60s))
      << heard[0] << " and " << heard[1];
  EXPECT_GE(alice.recycled, count) << "buffers come back";
}

TEST_F(WebRtcTransports, ClosingLetsWhatIsQueuedLeaveAndIsSeenByBothOnce) {
  make_pair();
  for (const bool offerer_closes : {true, false}) {
    ASSERT_TRUE(connect(alice, bob));
    End& closing = offerer_closes ? alice : bob;
    End& other = offerer_closes ? bob : alice;
    const LinkId here_id = closing.last;
    const LinkId there_id = other.last;
    for (std::uint32_t i = 0; i < 20; ++i) closing.link().send(message_of(65'535, i));
    closing.close(here_id, CloseReason::surplus);
    closing.close(here_id, CloseReason::busy);
    closing.link().send(Bytes{1});
    ASSERT_TRUE(run_until(
        [&] { return closing.links.at(here_id).reason && other.links.at(there_id).reason; }, 3s));
    run_for(20ms);
    EXPECT_EQ(other.links.at(there_id).received, 20u);
    EXPECT_EQ(closing.links.at(here_id).reason, CloseReason::surplus);
    EXPECT_EQ(other.links.at(there_id).reason, CloseReason::transport_closed);
    EXPECT_EQ(closing.links.at(here_id).closed, 1);
    EXPECT_EQ(other.links.at(there_id).closed, 1);
  }
}

TEST_F(WebRtcTransports, ADestroyedLinkEndsWithoutAWordHere) {
  make_pair();
  ASSERT_TRUE(connect(alice, bob));
  alice.links.at(alice.last).link.reset();
  ASSERT_TRUE(run_until([&] { return bob.closed == 1; }, 3s));
  EXPECT_EQ(bob.links.at(bob.last).reason, CloseReason::transport_closed);
  EXPECT_EQ(alice.closed, 0u);
}

TEST_F(WebRtcTransports, LinksMayBeDestroyedAsSoonAsTheyAreTold) {
  make_pair();
  alice.on_opened = [&](LinkId id) { alice.links.at(id).link.reset(); };
  bob.frees_closed_links = true;
  alice.offer(next());
  EXPECT_TRUE(run_until([&] { return alice.opened == 1 && bob.transport->negotiations() == 0; }));
  EXPECT_TRUE(run_until([&] { return bob.closed == bob.opened; }, 3s));
}

TEST_F(WebRtcTransports, LinksOutliveTheTransportInSilence) {
  make_pair();
  ASSERT_TRUE(connect(alice, bob));
  alice.transport.reset();
  alice.link().send(message_of(1000, 1));
  ASSERT_TRUE(run_until([&] { return bob.received == 1; }));
  bob.link().send(message_of(1000, 1));
  bob.close(bob.last, CloseReason::shutdown);
  ASSERT_TRUE(run_until([&] { return bob.closed == 1; }, 3s));
  run_for(20ms);
  EXPECT_EQ(alice.received, 0u);
  EXPECT_EQ(alice.closed, 0u);
}

TEST_F(WebRtcTransports, TextsAndMessagesThatAreNoBatchEndALink) {
  for (const bool is_text : {true, false}) {
    make_pair();
    ASSERT_TRUE(connect(alice, bob));
    if (is_text) {
      alice.link().send_text(Bytes{'h', 'i'});
    } else {
      alice.link().send(Bytes(65'536));  // what the description allows, and a batch does not
    }
    ASSERT_TRUE(run_until(
        [&] { return bob.links.at(bob.last).reason && alice.links.at(alice.last).reason; }, 3s));
    EXPECT_EQ(bob.links.at(bob.last).reason, CloseReason::protocol_error);
    EXPECT_EQ(bob.received, 0u);
    EXPECT_THAT(bob.texts, IsEmpty());
  }
}

TEST_F(WebRtcTransports, TakeTextsWhereToldTo) {
  make(alice);
  auto with_texts = here();
  with_texts.old_text_bytes_max = 200'000;
  make(bob, with_texts);
  alice.peer = &bob;
  bob.peer = &alice;
  ASSERT_TRUE(connect(alice, bob));
  alice.link().send_text(Bytes{'h', 'i'});
  alice.link().send_text(Bytes(200'000, 'x'));
  alice.link().send(Bytes{1});
  ASSERT_TRUE(run_until([&] { return bob.received == 1; }));
  EXPECT_THAT(bob.texts, ElementsAre("hi", SizeIs(200'000)));
}

TEST_F(WebRtcTransports, ABatchThatTheOtherSideDoesNotTakeEndsTheLink) {
  make_pair();
  bob.on_described = [&](NegotiationId id, std::string sdp) {
    const std::string size = "a=max-message-size:65536";
    sdp.replace(sdp.find(size), size.size(), "a=max-message-size:1000");
    alice.take_answer(id, sdp);
    return false;
  };
  ASSERT_TRUE(connect(alice, bob));
  alice.link().send(Bytes(1000));
  alice.link().send(Bytes(1001));
  ASSERT_TRUE(run_until([&] { return alice.closed == 1 && bob.closed == 1; }, 3s));
  EXPECT_EQ(alice.links.at(alice.last).reason, CloseReason::protocol_error);
  EXPECT_EQ(bob.received, 1u);
}

TEST_F(WebRtcTransports, RefuseAnotherCertificateThanWasSignalled) {
  make_pair();
  const auto lie = [](std::string sdp) {
    const std::size_t at = sdp.find("a=fingerprint:sha-256 ") + 22;
    sdp[at] = sdp[at] == '0' ? '1' : '0';
    return sdp;
  };
  alice.on_described = [&](NegotiationId id, const std::string& sdp) {
    bob.answer(id, lie(sdp));
    return false;
  };
  alice.offer(next());
  ASSERT_TRUE(run_until([&] { return !bob.failures.empty() && !alice.failures.empty(); }));
  EXPECT_EQ(bob.failures.front().error, DialError::fingerprint_mismatch);
  EXPECT_EQ(alice.failures.front().error, DialError::dtls_failed);

  alice.on_described = {};
  bob.on_described = [&](NegotiationId id, const std::string& sdp) {
    alice.take_answer(id, lie(sdp));
    return false;
  };
  alice.offer(next());
  ASSERT_TRUE(run_until([&] { return bob.failures.size() == 2 && alice.failures.size() == 2; }));
  EXPECT_EQ(alice.failures.back().error, DialError::fingerprint_mismatch);
  EXPECT_EQ(alice.opened + bob.opened, 0u);
}

TEST_F(WebRtcTransports, TellHowFarItCame) {
  auto soon = here();
  soon.timeout = 1s;  // in which descriptions pass on a busy machine, too
  make_pair(soon);
  alice.on_described = [](NegotiationId, const std::string&) { return false; };
  const NegotiationId id = next();
  alice.offer(id);
  ASSERT_TRUE(run_until([&] { return !alice.failures.empty(); }));
  EXPECT_EQ(alice.failures.back().id, id);
  EXPECT_EQ(alice.failures.back().error, DialError::no_answer);
  EXPECT_THAT(alice.failures.back().detail, HasSubstr("within 1 s"));

  // Descriptions pass, and no candidate does.
  alice.on_described = {};
  alice.on_candidate = bob.on_candidate = [](const std::string&) { return false; };
  alice.offer(next());
  ASSERT_TRUE(run_until([&] { return alice.failures.size() == 2 && bob.failures.size() == 1; }));
  EXPECT_EQ(alice.failures.back().error, DialError::ice_failed);
  EXPECT_EQ(bob.failures.back().error, DialError::ice_failed);
  EXPECT_THAT(alice.failures.back().detail, HasSubstr("the other side 0"));
  EXPECT_EQ(alice.transport->negotiations() + bob.transport->negotiations(), 0u);
}

TEST_F(WebRtcTransports, RefuseWhatIsNoDescription) {
  make_pair();
  const std::vector<std::string> garbage{
      "", "v=0\r\n", std::string(1000, '\0'), std::string(100'000, 'a'),
      "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n"};
  const std::size_t files = open_files();
  for (const std::string& each : garbage) {
    bob.answer(next(), each);
    EXPECT_EQ(open_files(), files) << "nothing is spent on it";
  }
  ASSERT_TRUE(run_until([&] { return bob.failures.size() == garbage.size(); }));
  alice.on_described = [](NegotiationId, const std::string&) { return false; };
  for (const std::string& each : garbage) {
    const NegotiationId id = next();
    alice.offer(id);
    alice.take_answer(id, each);
  }
  // An offer is no answer.
  const NegotiationId id = next();
  alice.offer(id);
  ASSERT_TRUE(run_until([&] { return alice.descriptions.contains(id); }));
  alice.take_answer(id, alice.descriptions[id]);
  ASSERT_TRUE(run_until([&] { return alice.failures.size() == garbage.size() + 1; }));
  for (End* end : {&alice, &bob}) {
    for (const End::Failure& each : end->failures) {
      EXPECT_EQ(each.error, DialError::bad_description);
      EXPECT_FALSE(each.detail.empty());
    }
    EXPECT_EQ(end->transport->negotiations(), 0u);
  }
}

TEST_F(WebRtcTransports, OutliveCandidatesByTheThousand) {
  make_pair();
  std::size_t knocks = 0;
  boost::asio::ip::udp::socket stranger{io, {boost::asio::ip::make_address("127.0.0.1"), 0}};
  stranger.async_wait(boost::asio::ip::udp::socket::wait_read,
                      [&](boost::system::error_code error) { knocks += error ? 0 : 1; });
  const auto pester = [&](NegotiationId id) {
    for (int i = 0; i < 2000; ++i) {
      bob.transport->take_candidate(id, "candidate:1 1 tcp 1 127.0.0.1 9 typ host");
      bob.transport->take_candidate(id, "candidate:1 1 udp 1 name.local 9 typ host");
      bob.transport->take_candidate(id, "candidate:1 1 udp 1 0.0.0.0 9 typ host");
      bob.transport->take_candidate(id, "candidate:1 1 udp 1 224.0.0.1 9 typ host");
      bob.transport->take_candidate(id, "candidate:1 1 udp 1 10.1.2.3 9 typ host");
      bob.transport->take_candidate(id, std::string(1, static_cast<char>(i)));
      bob.transport->take_candidate(id, "candidate:" + std::string(300, '1'));
    }
    // Beyond the bound this one is not looked at.
    const std::string fine = "candidate:1 1 udp 1 127.0.0.1 9 typ host";
    for (std::size_t i = 0; i < limits::candidates_max; ++i) {
      bob.transport->take_candidate(id, fine);
    }
    bob.transport->take_candidate(id, "candidate:2 1 udp 1 127.0.0.1 " +
                                          std::to_string(stranger.local_endpoint().port()) +
                                          " typ host");
  };
  alice.on_described = [&](NegotiationId id, const std::string& sdp) {
    bob.answer(id, sdp);
    pester(id);
    return false;
  };
  // Alice's own are not heard any more; hers are the checks by which it opens all the same.
  EXPECT_TRUE(connect(alice, bob));
  run_for(100ms);
  EXPECT_EQ(knocks, 0u);
  stranger.close();
  run_for(1ms);
}

TEST_F(WebRtcTransports, KnockOnLoopbackOnlyFromLoopback) {
  make(alice);
  make(bob, {});
  alice.peer = &bob;
  boost::asio::ip::udp::socket service{io, {boost::asio::ip::make_address("127.0.0.1"), 0}};
  std::size_t knocks = 0;
  service.async_wait(boost::asio::ip::udp::socket::wait_read,
                     [&](boost::system::error_code error) { knocks += error ? 0 : 1; });
  const NegotiationId id = next();
  alice.offer(id);
  ASSERT_TRUE(run_until([&] { return alice.descriptions.contains(id); }));
  bob.transport->take_candidate(id, "candidate:1 1 udp 1 127.0.0.1 " +
                                        std::to_string(service.local_endpoint().port()) +
                                        " typ host");
  bob.transport->take_candidate(id, "candidate:1 1 udp 1 ::1 9 typ host");
  run_for(100ms);
  EXPECT_EQ(knocks, 0u);
  service.close();
  run_for(1ms);
}

TEST_F(WebRtcTransports, HearOneAnswerOnly) {
  make_pair();
  bob.on_described = [&](NegotiationId id, const std::string& sdp) {
    for (int i = 0; i < 3; ++i) alice.take_answer(id, sdp);
    alice.take_answer(id, "no description at all");
    return false;
  };
  ASSERT_TRUE(connect(alice, bob));
  const NegotiationId id = *alice.offers.begin();
  alice.take_answer(id, bob.descriptions[id]);
  bob.take_answer(id, alice.descriptions[id]);  // who answered gets none
  alice.transport->take_candidate(id, "candidate:1 1 udp 1 127.0.0.1 9 typ host");
  alice.transport->abandon(id);
  alice.link().send(Bytes{1});
  ASSERT_TRUE(run_until([&] { return bob.received == 1; }));
  EXPECT_THAT(alice.failures, IsEmpty());

  // An offer that is replayed is another negotiation, whose other end nobody holds.
  auto briefly = here();
  briefly.timeout = 300ms;
  End carol;
  make(carol, briefly);
  carol.answer(next(), alice.descriptions[id]);
  ASSERT_TRUE(run_until([&] { return !carol.failures.empty(); }, 3s));
  EXPECT_EQ(carol.failures.front().error, DialError::ice_failed);
  EXPECT_EQ(alice.closed, 0u);
}

TEST_F(WebRtcTransports, AbandonIsSilent) {
  auto soon = here();
  soon.timeout = 50ms;
  soon.negotiations_max = 2;
  make_pair(soon);
  alice.on_described = [](NegotiationId, const std::string&) { return false; };
  for (int i = 0; i < 4; ++i) {  // two of them are refused, in a turn that is still to come
    const NegotiationId id = next();
    alice.offer(id);
  }
  for (std::uint64_t id = 0; id < 10; ++id) alice.transport->abandon(NegotiationId{id});
  EXPECT_EQ(alice.transport->negotiations(), 0u);
  run_for(150ms);
  EXPECT_THAT(alice.failures, IsEmpty());
  EXPECT_THAT(alice.descriptions, IsEmpty());

  // And it may be done when one is told of it.
  alice.on_described = [&](NegotiationId id, const std::string&) {
    alice.transport->abandon(id);
    return false;
  };
  alice.offer(next());
  ASSERT_TRUE(run_until([&] { return alice.descriptions.size() == 1; }));
  EXPECT_EQ(alice.transport->negotiations(), 0u);
}

TEST_F(WebRtcTransports, FailThoseBeyondTheLimit) {
  auto narrow = here();
  narrow.negotiations_max = 3;
  make_pair(narrow);
  alice.on_described = [](NegotiationId, const std::string&) { return false; };
  for (int i = 0; i < 5; ++i) alice.offer(next());
  EXPECT_EQ(alice.transport->negotiations(), 3u);
  ASSERT_TRUE(run_until([&] { return alice.failures.size() == 2; }));
  for (const End::Failure& each : alice.failures) {
    EXPECT_EQ(each.error, DialError::limit);
    EXPECT_GT(each.id, NegotiationId{3});
  }
  alice.transport->abandon(NegotiationId{1});
  alice.on_described = {};
  EXPECT_TRUE(connect(alice, bob));
}

TEST_F(WebRtcTransports, ShutDownFailsWhatIsUnderWayAndKeepsLinks) {
  make_pair();
  ASSERT_TRUE(connect(alice, bob));
  const LinkId open = alice.last;
  alice.on_described = [](NegotiationId, const std::string&) { return false; };
  alice.offer(next());
  alice.offer(next());
  alice.calls = true;
  alice.transport->shut_down();
  alice.calls = false;
  EXPECT_EQ(alice.transport->negotiations(), 0u);
  alice.offer(next());
  alice.answer(next(), "v=0\r\n");
  ASSERT_TRUE(run_until([&] { return alice.failures.size() == 4; }));
  for (const End::Failure& each : alice.failures) EXPECT_EQ(each.error, DialError::cancelled);
  alice.links.at(open).link->send(Bytes{1});
  EXPECT_TRUE(run_until([&] { return bob.received == 1; }));
}

TEST_F(WebRtcTransports, EndSilentlyWithTheTransport) {
  make_pair();
  alice.offer(next());
  alice.transport.reset();
  run_for(20ms);
  EXPECT_THAT(alice.failures, IsEmpty());
  EXPECT_THAT(alice.descriptions, IsEmpty());
}

TEST_F(WebRtcTransports, AreNotMadeOfBadOptions) {
  const auto complaint = [&](const WebRtcOptions& options) {
    auto made = WebRtcTransport::make(io, alice, alice, options);
    return made ? std::string{} : made.error().detail;
  };
  EXPECT_THAT(complaint({.interfaces = {"no-such-if0"}}), HasSubstr("no-such-if0"));
  EXPECT_THAT(complaint({.interfaces = {"198.51.100.7"}}), HasSubstr("198.51.100.7"));
  EXPECT_THAT(complaint({.interfaces = {"0.0.0.0"}}), HasSubstr("0.0.0.0"));
  EXPECT_THAT(complaint({.interfaces = {"127.0.0.300"}}), HasSubstr("127.0.0.300"));
  EXPECT_THAT(complaint({.interfaces = {""}}), HasSubstr("''"));
  EXPECT_THAT(complaint({.port_min = 5000, .port_max = 4999}), HasSubstr("5000-4999"));
  EXPECT_THAT(complaint({.port_max = 4999}), HasSubstr("0-4999"));
  EXPECT_THAT(complaint({.servers = {{.host = ""}}}), HasSubstr("server"));
  EXPECT_EQ(complaint({.interfaces = {"lo", "127.0.0.1", "127.0.0.2"}}), "");
}

TEST_F(WebRtcTransports, MeetOnAnInterfaceByItsName) {
  make_pair({.interfaces = {"lo"}, .port_min = 47'100, .port_max = 47'199});
  ASSERT_TRUE(connect(alice, bob));
  EXPECT_THAT(alice.candidates, testing::Contains(HasSubstr(" 127.0.0.1 471")));
  EXPECT_THAT(alice.candidates, testing::Each(testing::Not(HasSubstr(" 0.0.0.0 "))));
}

TEST_F(WebRtcTransports, MeetOverIpv6) {
  const WebRtcOptions options{.interfaces = {"::1"}};
  if (!WebRtcTransport::make(io, alice, alice, options)) GTEST_SKIP() << "this machine has none";
  make_pair(options);
  ASSERT_TRUE(connect(alice, bob));
  EXPECT_THAT(alice.link().remote(), testing::StartsWith("webrtc:[::1]:"));
  EXPECT_EQ(alice.links.at(alice.last).arrival.remote_host, "::1");
}

TEST_F(WebRtcTransports, NameAddressesThatMeanSomethingToOthers) {
  make(alice, {});
  alice.offer(next());
  ASSERT_TRUE(run_until([&] {
    return !alice.failures.empty() ||
           (!alice.candidates.empty() && alice.candidates.back().empty());
  }));
  for (const std::string& each : alice.candidates) {
    EXPECT_THAT(each, testing::Not(HasSubstr(" 127.")));
    EXPECT_THAT(each, testing::Not(HasSubstr(" fe80:"))) << "of one wire, and without its scope";
  }
}

TEST_F(WebRtcTransports, AskTheStunServerBehindAName) {
  boost::asio::ip::udp::socket server{io, {boost::asio::ip::make_address("127.0.0.1"), 0}};
  std::array<std::uint8_t, 100> request{};
  std::size_t request_bytes = 0;
  server.async_receive(
      boost::asio::buffer(request),
      [&](boost::system::error_code, std::size_t bytes) { request_bytes = bytes; });
  auto options = here();
  options.servers = {{.host = "localhost", .port = server.local_endpoint().port()},
                     {.host = "a..name..that..can..not..be"}};
  options.timeout = 1s;
  make(alice, options);
  const auto found = [&] {  // names are looked up in their own time
    alice.offer(next());
    run_until([&] { return request_bytes > 0 || !alice.failures.empty(); }, 200ms);
    return request_bytes > 0;
  };
  bool is_found = false;
  for (int i = 0; i < 25 && !is_found; ++i) is_found = found();
  ASSERT_TRUE(is_found);
  EXPECT_EQ(request[0], 0);
  EXPECT_EQ(request[1], 1) << "a STUN binding request";

  // What can't be resolved is told where it may have been the cause.
  alice.failures.clear();
  End carol;
  make(carol);
  alice.peer = &carol;
  carol.peer = &alice;
  alice.on_candidate = carol.on_candidate = [](const std::string&) { return false; };
  alice.offer(next());
  ASSERT_TRUE(run_until([&] {
    return std::ranges::find(alice.failures, DialError::ice_failed, &End::Failure::error) !=
           alice.failures.end();
  }));
  EXPECT_THAT(alice.failures.back().detail, HasSubstr("a..name..that..can..not..be"));
}

// GLib ends the process where it gets no descriptor for a context, so it must not be asked then.
TEST_F(WebRtcTransports, FailWithoutDescriptors) {
  auto soon = here();
  soon.timeout = 200ms;
  make_pair(soon);
  ASSERT_TRUE(connect(alice, bob));
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &usual), 0);
  std::size_t ended = 0;
  for (rlim_t spare = 0; spare < 9; ++spare) {
    const int first_free = ::dup(0);
    ::close(first_free);
    const rlimit scarce{.rlim_cur = static_cast<rlim_t>(first_free) + spare,
                        .rlim_max = usual.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &scarce), 0);
    const std::size_t opened = alice.opened;
    alice.offer(next());
    run_until([&] { return alice.failures.size() > ended || alice.opened > opened; }, 2s);
    ::setrlimit(RLIMIT_NOFILE, &usual);
    EXPECT_TRUE(alice.failures.size() > ended || alice.opened > opened) << spare;
    ended = alice.failures.size();
    run_for(50ms);
  }
  EXPECT_GE(ended, 3u);
  EXPECT_EQ(alice.failures.front().error, DialError::limit);
  alice.link().send(Bytes{1});
  EXPECT_TRUE(run_until([&] { return bob.received == 1; }));
}

// As many as the environment says, or 500.
TEST_F(WebRtcTransports, HundredsOpenOnOneThread) {
  const std::size_t pairs = from_environment("PEER_RELAY_WEBRTC_PAIRS", 500);
  auto wide = here();
  wide.timeout = 120s;
  const std::size_t threads_before = threads();
  make_pair(wide);
  const auto began = std::chrono::steady_clock::now();
  const std::size_t resident = resident_bytes();
  ASSERT_TRUE(connect(alice, bob));
  const std::size_t threads_first = threads();
  EXPECT_LE(threads_first, threads_before + 2);  // an idle one of usrsctp and of GLib each
  while (alice.opened < pairs) {
    while (alice.transport->negotiations() < limits::negotiations_max &&
           alice.offers.size() < pairs) {
      alice.offer(next());
    }
    const std::size_t before = alice.opened;
    ASSERT_TRUE(run_until([&] { return alice.opened > before || !alice.failures.empty(); }));
    ASSERT_THAT(alice.failures, IsEmpty());
  }
  ASSERT_TRUE(run_until([&] { return bob.opened == pairs; }));
  for (auto& [id, each] : alice.links) each.link->send(message_of(1000, 1));
  ASSERT_TRUE(run_until([&] { return bob.received == pairs; }, 60s));
  for (const auto& [id, each] : bob.links) EXPECT_EQ(each.received, 1u);
  EXPECT_LE(threads(), threads_first);
  EXPECT_LT(open_files(), 20'000u);
  std::printf("%zu links: %.1f s, %zu threads, %zu descriptors, %zu KB for both ends of one\n",
              pairs,
              std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(),
              threads(), open_files(), (resident_bytes() - resident) / pairs / 1024);
}

// As many cycles as the environment says, or 200.
TEST_F(WebRtcTransports, ConnectAndDisconnectLeaveNothingBehind) {
  const std::size_t cycles = from_environment("PEER_RELAY_WEBRTC_CYCLES", 200);
  constexpr std::size_t at_once = 20;
  make_pair();
  alice.frees_closed_links = bob.frees_closed_links = true;
  std::size_t files = 0, allocated = 0, threads_first = 0;
  for (std::size_t done = 0; done < cycles; done += at_once) {
    for (std::size_t i = 0; i < at_once; ++i) alice.offer(next());
    const std::size_t all = done + at_once;
    ASSERT_TRUE(run_until([&] { return alice.opened == all && bob.opened == all; }));
    for (auto& [id, each] : alice.links) each.link->send(message_of(5000, 1));
    ASSERT_TRUE(run_until([&] { return bob.received == all; }));
    for (auto& [id, each] : (done / at_once % 2 == 0 ? alice : bob).links) {
      each.link->close(CloseReason::shutdown);
    }
    ASSERT_TRUE(run_until([&] { return alice.closed == all && bob.closed == all; }, 5s));
    alice.offers.clear();
    for (End* end : {&alice, &bob}) {
      end->candidates = {};
      end->descriptions.clear();
    }
    // The first rounds fill caches.
    const bool is_settled = done + at_once == std::max(cycles / 2, at_once);
    if (is_settled) {
      run_for(50ms);
      files = open_files();
      threads_first = threads();
      allocated = allocated_bytes();
    }
    if (is_settled || all >= cycles || all % 1000 == 0) {
      std::printf("after %zu: %zu KB allocated, %zu KB resident, %zu descriptors, %zu threads\n",
                  all, allocated_bytes() / 1024, resident_bytes() / 1024, open_files(), threads());
    }
  }
  run_for(50ms);
  EXPECT_EQ(open_files(), files);
  EXPECT_LE(threads(), threads_first);
  EXPECT_LT(static_cast<double>(allocated_bytes()), static_cast<double>(allocated) + (128 << 10));
}

TEST_F(WebRtcTransports, CarryBytesForNodesOfNpmPeerExchange) {
  make_pair();
  alice.manner = bob.manner = Manner::bytes;
  ASSERT_TRUE(connect(alice, bob));
  std::string expected;
  for (const std::size_t size : {2u, 3u, 60'000u, 65'536u}) {
    const Bytes message = message_of(size, 1);
    alice.link().send(message);
    expected += as_text(message);
  }
  ASSERT_TRUE(run_until([&] { return bob.stream.size() == expected.size(); }));
  EXPECT_TRUE(bob.stream == expected);
}

}  // namespace
}  // namespace peer_relay
