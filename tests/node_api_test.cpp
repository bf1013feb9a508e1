// SPDX-License-Identifier: MIT
//
// The C++ API, over real sockets on this machine.
#include <atomic>
#include <fstream>
#include <future>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "peer_relay/node.hpp"
#include "support/test_node.hpp"
#include "transport/websocket/testing.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;
using testing::Board;
using testing::CertificateAuthority;
using testing::eventually;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using testing::TemporaryDir;
using testing::TestNode;

NodeOptions listening(std::vector<std::string> bootstrap = {}) {
  NodeOptions options;
  options.port = 0;
  options.host = "127.0.0.1";
  options.bootstrap = std::move(bootstrap);
  return options;
}

/// A leaf.
NodeOptions guest(std::vector<std::string> bootstrap) {
  NodeOptions options;
  options.bootstrap = std::move(bootstrap);
  options.webrtc.enabled = false;
  return options;
}

/// Listens for TCP alone, or for WebSockets, too.
NodeOptions listening_on_tcp(std::vector<std::string> bootstrap = {}, bool also_websocket = false) {
  NodeOptions options = listening(std::move(bootstrap));
  options.tcp_port = 0;
  if (!also_websocket) options.port.reset();
  return options;
}

/// Nobody can dial it, but it makes data channels.
NodeOptions behind_a_nat(std::vector<std::string> bootstrap) {
  NodeOptions options;
  options.bootstrap = std::move(bootstrap);
  options.webrtc.interfaces = {"127.0.0.1"};
  return options;
}

NodeId nobody() { return NodeId::from_hex("00112233445566778899aabbccddeeff00112233").value(); }

StartError error_of(NodeOptions options) {
  auto node = Node::start(std::move(options));
  EXPECT_FALSE(node);
  return node ? StartError{} : node.error();
}

// ---- Messages -------------------------------------------------------------------------------

TEST(NodeApi, CarriesBytesAndJsonBetweenTwoNodes) {
  TestNode alice{listening()};
  TestNode bob{guest({alice->url()})};
  ASSERT_TRUE(bob.until_linked(alice.id()));
  ASSERT_TRUE(bob->send(alice.id(), Payload::of_text("hello")));
  ASSERT_TRUE(bob->send(alice.id(), Payload::of_json(R"({"n":1})")));
  ASSERT_TRUE(alice.until([&] { return alice.messages.size() == 2; }));
  // Best effort: in any order.
  std::ranges::sort(alice.messages, {}, [](const Message& each) { return each.payload.type; });
  EXPECT_EQ(alice.messages[0].payload.text(), "hello");
  EXPECT_EQ(alice.messages[0].payload.type, ContentType::bytes);
  EXPECT_EQ(alice.messages[0].from, bob.id());
  EXPECT_EQ(alice.messages[0].hops, 1);
  EXPECT_TRUE(alice.messages[0].authenticated);
  EXPECT_EQ(alice.messages[1].payload.type, ContentType::json);
  EXPECT_EQ(alice.messages[1].payload.text(), R"({"n":1})");

  ASSERT_TRUE(alice->send(bob.id(), Payload::of_text("welcome")));
  EXPECT_TRUE(bob.until([&] { return bob.messages.size() == 1; }));
}

TEST(NodeApi, TellsTheSenderThatAMessageArrived) {
  TestNode alice{listening()};
  TestNode bob{guest({alice->url()})};
  ASSERT_TRUE(bob.until_joined());
  const SendResult result = bob.send_and_wait(alice.id(), Payload::of_text("hello"));
  EXPECT_TRUE(result.delivered());
  EXPECT_EQ(result.hops, 1);
  EXPECT_EQ(result.attempts, 1);
  EXPECT_GT(result.round_trip, 0us);
  EXPECT_GE(result.elapsed, result.round_trip);
  EXPECT_TRUE(alice.until([&] { return alice.messages.size() == 1; }));
}

TEST(NodeApi, CarriesTheLargestPayloadAndNoLarger) {
  TestNode alice{listening()};
  TestNode bob{guest({alice->url()})};
  ASSERT_TRUE(bob.until_joined());
  Bytes bytes(limits::payload_bytes_max);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * 7);
  EXPECT_TRUE(bob.send_and_wait(alice.id(), Payload::of_bytes(bytes)).delivered());
  ASSERT_TRUE(alice.until([&] { return alice.messages.size() == 1; }));
  EXPECT_EQ(alice.messages[0].payload.bytes, bytes);

  bytes.push_back(0);
  EXPECT_EQ(bob->send(alice.id(), Payload::of_bytes(bytes)).error(), Error::payload_too_large);
  const SendResult refused = bob.send_and_wait(alice.id(), Payload::of_bytes(bytes));
  EXPECT_EQ(refused.outcome, SendResult::Outcome::refused);
  EXPECT_EQ(refused.error, Error::payload_too_large);
}

TEST(NodeApi, RefusesToSendToItself) {
  TestNode alice{listening()};
  EXPECT_EQ(alice->send(alice.id(), Payload::of_text("me")).error(), Error::to_self);
  EXPECT_EQ(alice.send_and_wait(alice.id(), Payload::of_text("me")).error, Error::to_self);
}

TEST(NodeApi, SaysSoonThatAnIdIsNowhere) {
  TestNode alice{listening()};
  TestNode bob{guest({alice->url()})};
  ASSERT_TRUE(bob.until_joined());
  const SendResult result = bob.send_and_wait(nobody(), Payload::of_text("anybody?"));
  EXPECT_EQ(result.outcome, SendResult::Outcome::unreachable);
  EXPECT_EQ(result.reason, UnreachableReason::dead_end);
  EXPECT_LT(result.elapsed, 5s);
}

TEST(NodeApi, ProbesWithoutAMessage) {
  TestNode alice{listening()};
  TestNode bob{guest({alice->url()})};
  ASSERT_TRUE(bob.until_joined());
  EXPECT_TRUE(bob.send_and_wait(alice.id(), {}, {.timeout = 5s, .probe = true}).delivered());
  ASSERT_TRUE(bob.send_and_wait(alice.id(), Payload::of_text("a message")).delivered());
  // One by one through the same session, so a message of the probe would have come first.
  ASSERT_TRUE(alice.until([&] { return !alice.messages.empty(); }));
  EXPECT_EQ(alice.messages[0].payload.text(), "a message");
}

TEST(NodeApi, RelaysBetweenThoseWhoOnlyKnowTheRelay) {
  TestNode relay{listening()};
  TestNode alice{guest({relay->url()})};
  TestNode bob{guest({relay->url()})};
  ASSERT_TRUE(alice.until_joined());
  ASSERT_TRUE(bob.until_joined());
  const SendResult result = alice.send_and_wait(bob.id(), Payload::of_text("over you"));
  EXPECT_TRUE(result.delivered());
  EXPECT_EQ(result.hops, 2);
  ASSERT_TRUE(bob.until([&] { return bob.messages.size() == 1; }));
  EXPECT_EQ(bob.messages[0].from, alice.id());
  EXPECT_EQ(bob.messages[0].hops, 2);
  EXPECT_GT(relay->stats().envelopes_relayed, 0u);

  std::vector<TraceHop> hops;
  alice->trace(bob.id(),
               [&](const TraceHop& hop) { alice.board.change([&] { hops.push_back(hop); }); });
  ASSERT_TRUE(alice.until([&] { return !hops.empty() && hops.back().is_target; }));
  ASSERT_THAT(hops, SizeIs(2));
  EXPECT_EQ(hops[0].id, relay.id());
  EXPECT_EQ(hops[1].id, bob.id());
}

TEST(NodeApi, AHandlerMayAnswer) {
  std::unique_ptr<Node> echo;
  auto started = Node::start(listening(), {.message = [&](const Message& message) {
                               static_cast<void>(echo->send(message.from, message.payload));
                               EXPECT_FALSE(echo->peers().empty());
                               EXPECT_GT(echo->stats().messages_received, 0u);
                             }});
  ASSERT_TRUE(started);
  echo = std::make_unique<Node>(std::move(*started));
  TestNode alice{guest({echo->url()})};
  ASSERT_TRUE(alice.until_joined());
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(alice->send(echo->id(), Payload::of_text(std::to_string(i))));
  }
  EXPECT_TRUE(alice.until([&] { return alice.messages.size() == 10; }));
}

TEST(NodeApi, MayBeCalledFromManyThreads) {
  constexpr int threads = 4, each = 500;
  TestNode alice{listening()};
  TestNode bob{guest({alice->url()})};
  ASSERT_TRUE(bob.until_joined());
  ASSERT_TRUE(bob.send_and_wait(alice.id(), Payload::of_text("first")).delivered());
  {
    std::vector<std::jthread> senders;
    for (int i = 0; i < threads; ++i) {
      senders.emplace_back([&] {
        for (int n = 0; n < each; ++n) {
          EXPECT_TRUE(bob->send(alice.id(), Payload::of_text("x")));
          if (n % 100 == 0) {
            EXPECT_EQ(bob->peers().size(), 1u);
            EXPECT_EQ(bob->stats().links, 1u);
          }
        }
      });
    }
  }
  EXPECT_TRUE(alice.until([&] { return alice.messages.size() == 1 + threads * each; }));
}

TEST(NodeApi, SaysWhenMoreWaitsThanItKeeps) {
  TestNode alice{listening()};
  std::promise<void> open_gate;
  std::shared_future<void> gate = open_gate.get_future().share();
  std::promise<void> inside;
  alice->trace(alice.id(), [&, once = std::make_shared<std::once_flag>()](const TraceHop&) {
    std::call_once(*once, [&] { inside.set_value(); });
    gate.wait();  // the node's thread does nothing else meanwhile
  });
  inside.get_future().wait();
  int taken = 0;
  Result<void> result;
  while ((result = alice->send(nobody(), Payload::of_text("x"))) && taken < 100'000) ++taken;
  EXPECT_EQ(taken, 65'536);
  EXPECT_EQ(result.error(), Error::queue_full);
  std::promise<SendResult> refused;
  alice->send(nobody(), Payload::of_text("x"), {},
              [&](const SendResult& outcome) { refused.set_value(outcome); });
  open_gate.set_value();
  EXPECT_EQ(refused.get_future().get().error, Error::queue_full);
  EXPECT_TRUE(alice->send(nobody(), Payload::of_text("x")));
}

// ---- Links ----------------------------------------------------------------------------------

TEST(NodeApi, TellsOfPeersThatComeAndGo) {
  TestNode alice{listening()};
  {
    TestNode bob{listening({alice->url()})};
    ASSERT_TRUE(bob.until_linked(alice.id()));
    ASSERT_TRUE(alice.until_linked(bob.id()));
    const Peer peer = bob->peers().at(0);
    EXPECT_EQ(peer.id, alice.id());
    EXPECT_TRUE(peer.dialed);
    EXPECT_EQ(peer.address, alice->url());
    EXPECT_EQ(peer.agent, "peer-relay/" + std::string(version()));
    EXPECT_FALSE(alice->peers().at(0).dialed);
    EXPECT_THAT(alice->peers().at(0).address, HasSubstr("127.0.0.1:"));
  }
  ASSERT_TRUE(alice.until([&] { return alice.lost.size() == 1; }));
  EXPECT_EQ(alice.lost[0].second, CloseReason::shutdown);
  EXPECT_TRUE(alice->peers().empty());
}

TEST(NodeApi, ConnectsToAnIdAndDisconnects) {
  TestNode relay{listening()};
  TestNode alice{listening({relay->url()})};
  TestNode bob{guest({relay->url()})};
  ASSERT_TRUE(alice.until_joined());
  ASSERT_TRUE(bob.until_joined());
  const Result<Peer> linked = bob.connect_and_wait(alice.id());
  ASSERT_TRUE(linked) << describe(linked.error());
  EXPECT_EQ(linked->id, alice.id());
  bob->disconnect(alice.id());
  ASSERT_TRUE(bob.until([&] { return !bob.lost.empty(); }));
  EXPECT_EQ(bob.lost[0].first, alice.id());
}

TEST(NodeApi, ConnectsByADataChannelToOneThatNobodyCanDial) {
  if (!has_webrtc()) GTEST_SKIP() << "this build makes no data channels";
  TestNode relay{listening()};
  TestNode alice{behind_a_nat({relay->url()})};
  TestNode bob{behind_a_nat({relay->url()})};
  ASSERT_TRUE(alice.until_joined());
  ASSERT_TRUE(bob.until_joined());
  const Result<Peer> linked = bob.connect_and_wait(alice.id());
  ASSERT_TRUE(linked) << describe(linked.error());
  EXPECT_THAT(linked->address, ::testing::StartsWith("webrtc:127.0.0.1:"));
  const SendResult result = bob.send_and_wait(alice.id(), Payload::of_text("directly"));
  EXPECT_TRUE(result.delivered());
  EXPECT_EQ(result.hops, 1);
}

TEST(NodeApi, CannotConnectToNobody) {
  TestNode alice{listening()};
  TestNode bob{guest({alice->url()})};
  ASSERT_TRUE(bob.until_joined());
  EXPECT_EQ(bob.connect_and_wait(nobody()).error(), Error::no_such_contact);
}

TEST(NodeApi, DialsAnAddress) {
  TestNode alice{listening()};
  TestNode bob{guest({})};
  ASSERT_TRUE(bob->connect(alice->url()));
  EXPECT_TRUE(bob.until_linked(alice.id()));
  EXPECT_EQ(bob->connect("http://example.org").error(), Error::address_invalid);
  EXPECT_EQ(bob->connect("tcp://127.0.0.1").error(), Error::address_invalid) << "no port";
}

TEST(NodeApi, SaysWhyADialFailed) {
  std::string url;
  {
    const TestNode gone{listening()};
    url = const_cast<TestNode&>(gone)->url();
  }
  TestNode bob{guest({url})};
  ASSERT_TRUE(bob.until([&] { return !bob.problems.empty(); }));
  EXPECT_EQ(bob.problems[0].kind, Problem::Kind::bootstrap_failed);
  EXPECT_EQ(bob.problems[0].where, url);
  EXPECT_THAT(bob.problems[0].detail, HasSubstr("refused"));
  EXPECT_GE(bob->stats().dials_failed, 1u);
}

TEST(NodeApi, SaysThatAPeerBelongsToAnotherNetwork) {
  NodeOptions options = listening();
  options.network = "elsewhere";
  TestNode alice{std::move(options)};
  TestNode bob{guest({alice->url()})};
  ASSERT_TRUE(bob.until([&] {
    return std::ranges::any_of(bob.problems, [](const Problem& problem) {
      return problem.kind == Problem::Kind::wrong_network && problem.detail.contains("elsewhere");
    });
  }));
  EXPECT_TRUE(bob->peers().empty());
}

TEST(NodeApi, LinksOverTls) {
  TemporaryDir dir;
  CertificateAuthority authority{dir.path().string()};
  const auto files = authority.issue("good", "IP:127.0.0.1");
  NodeOptions options = listening();
  options.tls = TlsFiles{files.certificate, files.key};
  TestNode alice{std::move(options)};
  EXPECT_TRUE(alice->url().starts_with("wss://127.0.0.1:"));
  NodeOptions trusting = guest({alice->url()});
  trusting.tls_ca_file = authority.ca_file();
  TestNode bob{std::move(trusting)};
  ASSERT_TRUE(bob.until_joined());
  EXPECT_TRUE(bob.send_and_wait(alice.id(), Payload::of_text("sealed twice")).delivered());

  TestNode wary{guest({alice->url()})};
  ASSERT_TRUE(wary.until([&] { return !wary.problems.empty(); }));
  EXPECT_THAT(wary.problems[0].detail, HasSubstr("not trusted"));
}

TEST(NodeApi, LinksOverTcp) {
  TestNode alice{listening_on_tcp()};
  TestNode bob{guest({alice->url()})};
  ASSERT_TRUE(bob.until_joined());
  EXPECT_EQ(bob->peers().at(0).address, alice->url());
  Bytes bytes(limits::payload_bytes_max);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * 7);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(bob.send_and_wait(alice.id(), Payload::of_bytes(bytes)).delivered());
  }
  ASSERT_TRUE(alice.until([&] { return alice.messages.size() == 20; }));
  EXPECT_TRUE(std::ranges::all_of(
      alice.messages, [&](const Message& each) { return each.payload.bytes == bytes; }));
  EXPECT_TRUE(alice.send_and_wait(bob.id(), Payload::of_text("back")).delivered());
}

TEST(NodeApi, JoinsThoseOverTcpWithThoseOverWebSocket) {
  TestNode both{listening_on_tcp({}, true)};
  ASSERT_THAT(both->urls(), SizeIs(2));
  TestNode tcp{listening_on_tcp({both->urls()[1]})};
  TestNode websocket{listening({both->urls()[0]})};
  ASSERT_TRUE(tcp.until_joined());
  ASSERT_TRUE(websocket.until_joined());
  for (TestNode* from : {&both, &tcp, &websocket}) {
    for (TestNode* to : {&both, &tcp, &websocket}) {
      if (from == to) continue;
      EXPECT_TRUE(from->send_and_wait(to->id(), Payload::of_text("hello")).delivered());
    }
  }
  // Each record says how its node is dialed, and whoever listens for one dials the other, too.
  const Result<Peer> direct = tcp.connect_and_wait(websocket.id());
  EXPECT_TRUE(direct) << describe(direct.error());
}

TEST(NodeApi, SaysThatWhoListensOverTcpIsNoNode) {
  TestNode alice{listening()};
  TestNode bob{guest({"tcp://127.0.0.1:" + std::to_string(alice->port())})};
  ASSERT_TRUE(bob.until([&] { return !bob.problems.empty(); }));
  EXPECT_EQ(bob.problems[0].kind, Problem::Kind::bootstrap_failed);
  TestNode carol{listening_on_tcp()};
  TestNode dave{guest({"ws://127.0.0.1:" + std::to_string(carol->tcp_port())})};
  ASSERT_TRUE(dave.until([&] { return !dave.problems.empty(); }));
  EXPECT_EQ(dave.problems[0].kind, Problem::Kind::bootstrap_failed);
  EXPECT_TRUE(eventually([&] {
    return carol->stats().closed[static_cast<std::size_t>(CloseReason::protocol_error)] > 0;
  }));
}

TEST(NodeApi, SaysWhichPortsItCannotHave) {
  TestNode alice{listening_on_tcp()};
  NodeOptions taken = listening_on_tcp();
  taken.tcp_port = alice->tcp_port();
  const StartError error = error_of(taken);
  EXPECT_EQ(error.error, Error::address_in_use);
  EXPECT_THAT(error.detail, HasSubstr(std::to_string(alice->tcp_port())));
  NodeOptions twice = listening_on_tcp();
  twice.port = twice.tcp_port = 4711;
  EXPECT_EQ(error_of(twice).error, Error::invalid_argument);
}

TEST(NodeApi, KnowsItsAddress) {
  TestNode alice{listening()};
  EXPECT_GT(alice->port(), 0);
  EXPECT_EQ(alice->url(), "ws://127.0.0.1:" + std::to_string(alice->port()));
  NodeOptions everywhere;
  everywhere.port = 0;
  TestNode bob{std::move(everywhere)};
  EXPECT_EQ(bob->url(), "ws://127.0.0.1:" + std::to_string(bob->port()));
  TestNode carol{guest({})};
  EXPECT_EQ(carol->port(), 0);
  EXPECT_EQ(carol->url(), "");
  TestNode dave{listening_on_tcp()};
  EXPECT_EQ(dave->port(), 0);
  EXPECT_EQ(dave->url(), "tcp://127.0.0.1:" + std::to_string(dave->tcp_port()));
}

// ---- The end --------------------------------------------------------------------------------

TEST(NodeApi, CallsBackOnceForEachDestroy) {
  TestNode alice{listening()};
  TestNode bob{guest({alice->url()})};
  ASSERT_TRUE(bob.until_joined());
  int calls = 0;
  const auto count = [&] { bob.board.change([&] { ++calls; }); };
  bob->destroy(count);
  bob->destroy(count);
  bob->destroy();
  ASSERT_TRUE(bob.until([&] { return calls == 2; }));
  bob->destroy(count);
  ASSERT_TRUE(bob.until([&] { return calls == 3; }));
  ASSERT_TRUE(alice.until([&] { return alice.lost.size() == 1; }));
  EXPECT_EQ(alice.lost[0].second, CloseReason::shutdown);
}

TEST(NodeApi, DoesNothingMoreOnceDestroyed) {
  TestNode alice{listening()};
  TestNode bob{guest({alice->url()})};
  ASSERT_TRUE(bob.until_joined());
  std::promise<void> done;
  bob->destroy([&] { done.set_value(); });
  done.get_future().wait();
  EXPECT_TRUE(bob->peers().empty());
  EXPECT_EQ(bob->stats().links, 0u);
  EXPECT_EQ(bob.send_and_wait(alice.id(), Payload::of_text("late")).error, Error::closed);
  EXPECT_EQ(bob.connect_and_wait(alice.id()).error(), Error::closed);
  std::promise<TraceHop> traced;
  bob->trace(alice.id(), [&](const TraceHop& hop) { traced.set_value(hop); });
  EXPECT_TRUE(traced.get_future().get().lost);
  bob->disconnect(alice.id());
  EXPECT_TRUE(bob->connect(alice->url()));
  static_cast<void>(bob->send(alice.id(), Payload::of_text("later")));
  EXPECT_TRUE(alice.messages.empty());
}

TEST(NodeApi, GivesUpWhatWaitsForAnAnswer) {
  TestNode alice{guest({})};
  std::promise<SendResult> sent;
  alice->send(nobody(), Payload::of_text("?"), {.timeout = 60s},
              [&](const SendResult& result) { sent.set_value(result); });
  alice->destroy();
  EXPECT_FALSE(sent.get_future().get().delivered());
}

TEST(NodeApi, ASilentPeerDoesNotHoldUpTheEnd) {
  auto alice = std::make_unique<TestNode>(listening());
  std::vector<testing::Stranger> strangers;
  for (int i = 0; i < 20; ++i) {
    strangers.emplace_back((*alice)->port());
    if (i % 2 == 0) strangers.back().say(testing::upgrade_request);
  }
  const auto started = std::chrono::steady_clock::now();
  alice = nullptr;
  EXPECT_LT(std::chrono::steady_clock::now() - started, 5s);
}

TEST(NodeApi, MayBeDestroyedByItsOwnHandler) {
  TestNode bob{listening()};
  Board board;
  bool is_gone = false;
  std::unique_ptr<Node> alice;
  std::promise<void> ready;
  const std::shared_future<void> is_ready = ready.get_future().share();
  auto started = Node::start(guest({bob->url()}), {.peer = [&](const Peer&) {
                               is_ready.wait();
                               alice->destroy([&] { board.change([&] { is_gone = true; }); });
                               alice = nullptr;
                             }});
  ASSERT_TRUE(started);
  alice = std::make_unique<Node>(std::move(*started));
  ready.set_value();
  EXPECT_TRUE(board.until([&] { return is_gone; }));
  EXPECT_TRUE(bob.until([&] { return bob.lost.size() == 1; }));
}

TEST(NodeApi, MayBeMoved) {
  auto first = Node::start(listening());
  auto second = Node::start(listening());
  ASSERT_TRUE(first && second);
  const NodeId id = second->id();
  Node node = std::move(*first);
  node = std::move(*second);
  EXPECT_EQ(node.id(), id);
}

// ---- Starting -------------------------------------------------------------------------------

TEST(NodeStart, SaysWhatIsWrong) {
  TestNode other{listening()};
  NodeOptions options = listening();
  options.port = other->port();
  EXPECT_EQ(error_of(options).error, Error::address_in_use);
  EXPECT_THAT(error_of(options).detail, HasSubstr(std::to_string(other->port())));

  options = listening();
  options.host = "192.0.2.1";
  EXPECT_EQ(error_of(options).error, Error::address_unavailable);
  options.host = "localhost";
  EXPECT_EQ(error_of(options).error, Error::invalid_argument);

  EXPECT_EQ(error_of(guest({"example.org:80"})).error, Error::address_invalid);
  EXPECT_THAT(error_of(guest({"example.org:80"})).detail, HasSubstr("example.org:80"));

  options = guest({});
  options.network = std::string(65, 'n');
  EXPECT_EQ(error_of(options).error, Error::invalid_argument);
  options = guest({});
  options.ping_after = 0s;
  EXPECT_EQ(error_of(options).error, Error::invalid_argument);
  options = guest({});
  options.limits.links_max = 0;
  EXPECT_EQ(error_of(options).error, Error::invalid_argument);
  options = guest({});
  options.advertise = {"ws://"};
  EXPECT_EQ(error_of(options).error, Error::address_invalid);
  options = listening();
  options.tls = TlsFiles{"/no/such/file", "/no/such/key"};
  EXPECT_EQ(error_of(options).error, Error::file_unreadable);
  options = guest({});
  options.state_dir = "/proc/no";
  EXPECT_EQ(error_of(options).error, Error::file_unwritable);
}

TEST(NodeStart, TakesTheIdentityItIsGiven) {
  NodeOptions options = guest({});
  options.identity = SigningSeed{1, 2, 3};
  const TestNode one{options};
  const TestNode two{options};
  EXPECT_EQ(one.id(), two.id());
  const TestNode three{guest({})};
  const TestNode four{guest({})};
  EXPECT_NE(three.id(), four.id());
}

class NodeState : public ::testing::Test {
 protected:
  NodeOptions with_state(NodeOptions options) const {
    options.state_dir = state;
    return options;
  }
  std::string cache() const {
    std::ifstream file{state + "/peers.cache"};
    return {std::istreambuf_iterator<char>{file}, {}};
  }
  static unsigned mode_of(const std::string& path) {
    struct stat status{};
    return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 0777u : 0u;
  }

  TemporaryDir dir;
  std::string state = dir.file("some/where");
};

TEST_F(NodeState, KeepsTheIdentity) {
  NodeId id;
  {
    const TestNode node{with_state(guest({}))};
    id = node.id();
  }
  const TestNode again{with_state(guest({}))};
  EXPECT_EQ(again.id(), id);
  EXPECT_EQ(mode_of(state), 0700u);
  EXPECT_EQ(mode_of(state + "/identity.pem"), 0600u);
}

TEST_F(NodeState, IsOneNodesAtATime) {
  {
    const TestNode node{with_state(guest({}))};
    const StartError error = error_of(with_state(guest({})));
    EXPECT_EQ(error.error, Error::state_in_use);
    EXPECT_THAT(error.detail, HasSubstr(state));
  }
  const TestNode again{with_state(guest({}))};
}

TEST_F(NodeState, ABrokenIdentityIsNotReplaced) {
  std::filesystem::create_directories(state);
  std::ofstream{state + "/identity.pem"} << "not a key\n";
  EXPECT_EQ(error_of(with_state(guest({}))).error, Error::key_invalid);
  NodeOptions options = guest({});
  options.identity_file = state + "/identity.pem";
  EXPECT_EQ(error_of(options).error, Error::key_invalid);
}

TEST_F(NodeState, RejoinsThroughItsCache) {
  TestNode alice{listening()};
  {
    TestNode bob{with_state(guest({alice->url()}))};
    ASSERT_TRUE(bob.until_joined());
    ASSERT_TRUE(eventually([&] { return bob->stats().contacts > 0 || bob->stats().joined; }));
  }
  EXPECT_THAT(cache(), HasSubstr("peer-relay contacts 1\n"));
  EXPECT_EQ(mode_of(state + "/peers.cache"), 0600u);
  TestNode bob{with_state(guest({}))};
  EXPECT_TRUE(bob.until_linked(alice.id())) << cache();
}

TEST_F(NodeState, SkipsWhatItCannotReadInItsCache) {
  TestNode alice{listening()};
  {
    TestNode bob{with_state(guest({alice->url()}))};
    ASSERT_TRUE(bob.until_joined());
  }
  std::string text = cache();
  text.insert(text.find('\n') + 1, "zz\n\n0\n00ff\n" + std::string(4000, 'a') + "\n");
  std::ofstream{state + "/peers.cache"} << text;
  {
    TestNode bob{with_state(guest({}))};
    EXPECT_TRUE(bob.until_linked(alice.id()));
  }
  std::ofstream{state + "/peers.cache", std::ios::binary} << std::string(100'000, '\0');
  TestNode bob{with_state(guest({alice->url()}))};
  EXPECT_TRUE(bob.until_linked(alice.id()));
}

}  // namespace
}  // namespace peer_relay
