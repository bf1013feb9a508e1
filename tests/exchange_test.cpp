// SPDX-License-Identifier: MIT
//
// Peer exchange, over real sockets on this machine.
#include "peer_relay/exchange.hpp"

#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/party.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = ExchangeError::Kind;

const TransportOptions any_port{.port = 0, .host = "127.0.0.1"};

enum class Wire : std::uint8_t { native, legacy };

ExchangeOptions local(Wire wire) {
  ExchangeOptions options;
  options.node.webrtc.interfaces = {"127.0.0.1"};
  options.timeout = 20s;
  options.legacy = wire == Wire::legacy;
  return options;
}

class Party : public testing::Party {
 public:
  explicit Party(Wire wire, const std::string& network = "net")
      : testing::Party(local(wire), network) {}

  std::uint16_t accept(const std::string& transport) {
    return testing::Party::accept(transport, any_port).value_or(1);
  }
  auto connect(const std::string& transport, std::uint16_t port, bool native = false) {
    return testing::Party::connect(transport, "127.0.0.1", {.port = port, .native = native});
  }
};

std::string read_text(ExchangePeer peer) {
  std::promise<std::string> text;
  peer.stream().read(1000, [&](const StreamRead& read) {
    text.set_value(read ? std::string{read->begin(), read->end()} : std::string{"broken"});
  });
  return text.get_future().get();
}

void write_text(ExchangePeer peer, std::string_view text) {
  peer.stream().write(Bytes{text.begin(), text.end()});
}

/// Among our own kind, sealed; and as nodes of npm peer-exchange.
class Exchanges : public ::testing::TestWithParam<Wire> {};

class ByTransport : public ::testing::TestWithParam<std::tuple<Wire, const char*>> {
 protected:
  Wire wire = std::get<0>(GetParam());
  const char* transport = std::get<1>(GetParam());
  NodeId id_of(Party& party) const { return wire == Wire::legacy ? NodeId{} : party->node_id(); }
};

TEST_P(ByTransport, ConnectsAndIsADuplexStream) {
  Party alice{wire}, bob{wire};
  const std::uint16_t port = alice.accept(transport);
  const auto peer = bob.connect(transport, port);
  ASSERT_TRUE(peer) << peer.error().message;
  ASSERT_TRUE(alice.until([&] { return alice.peers.size() == 1; }));
  EXPECT_EQ(peer->id(), id_of(alice));
  EXPECT_EQ(peer->is_legacy(), wire == Wire::legacy);
  EXPECT_EQ(peer->transport(), transport);
  EXPECT_EQ(peer->remote_address(), "127.0.0.1");
  EXPECT_FALSE(peer->is_incoming());
  EXPECT_TRUE(alice.peers[0].is_incoming());
  EXPECT_EQ(alice.peers[0].transport(), transport);
  EXPECT_THAT(bob->peers(), SizeIs(1));
  write_text(*peer, "hello");
  EXPECT_EQ(read_text(alice.peers[0]), "hello");
  write_text(alice.peers[0], "hello to you");
  EXPECT_EQ(read_text(*peer), "hello to you");
}

TEST_P(ByTransport, APeerThatIsDestroyedIsGoneOnBothSides) {
  Party alice{wire}, bob{wire};
  auto peer = bob.connect(transport, alice.accept(transport));
  ASSERT_TRUE(peer) << peer.error().message;
  ASSERT_TRUE(alice.until([&] { return alice.peers.size() == 1; }));
  peer->destroy();
  EXPECT_TRUE(bob.until([&] { return bob.gone.size() == 1; }));
  EXPECT_TRUE(alice.until([&] { return alice.gone.size() == 1; }));
  EXPECT_THAT(bob->peers(), IsEmpty());
  EXPECT_THAT(alice->peers(), IsEmpty());
}

TEST_P(ByTransport, AskingAPeerGivesANewOne) {
  Party middle{wire}, chosen{wire}, asker{wire};
  const std::uint16_t port = middle.accept("tcp");
  static_cast<void>(chosen.accept(transport));
  ASSERT_TRUE(chosen.connect("tcp", port));
  ASSERT_TRUE(middle.until([&] { return middle.peers.size() == 1; }));
  ASSERT_TRUE(asker.connect("tcp", port));
  auto fresh = asker.get_new_peer();
  ASSERT_TRUE(fresh) << fresh.error().message;
  EXPECT_EQ(fresh->id(), id_of(chosen));
  EXPECT_EQ(fresh->transport(), transport);
  ASSERT_TRUE(chosen.until([&] { return chosen.peers.size() == 2; }));
  write_text(*fresh, "nice to meet you");
  EXPECT_EQ(read_text(chosen.peers[1]), "nice to meet you");
  EXPECT_THAT(asker->peers(), SizeIs(2));
}

INSTANTIATE_TEST_SUITE_P(, ByTransport,
                         ::testing::Combine(::testing::Values(Wire::native, Wire::legacy),
                                            ::testing::Values("websocket", "tcp")),
                         [](const auto& each) {
                           return std::string{std::get<0>(each.param) == Wire::legacy ? "Legacy"
                                                                                      : "Native"} +
                                  "By" + std::get<1>(each.param);
                         });

TEST_P(Exchanges, MeetsByDataChannelsThoughNeitherHasAPort) {
  if (!has_webrtc()) GTEST_SKIP() << "this build makes no data channels";
  Party middle{GetParam()}, chosen{GetParam()}, asker{GetParam()};
  const std::uint16_t port = middle.accept("websocket");
  static_cast<void>(chosen.accept("webrtc"));
  ASSERT_TRUE(chosen.connect("websocket", port));
  ASSERT_TRUE(middle.until([&] { return middle.peers.size() == 1; }));
  ASSERT_TRUE(asker.connect("websocket", port));
  auto fresh = asker.get_new_peer();
  ASSERT_TRUE(fresh) << fresh.error().message;
  EXPECT_EQ(fresh->transport(), "webrtc");
  write_text(*fresh, "direct");
  ASSERT_TRUE(chosen.until([&] { return chosen.peers.size() == 2; }));
  EXPECT_EQ(read_text(chosen.peers[1]), "direct");
}

TEST_P(Exchanges, AsksThePeerThatWasNamed) {
  Party middle{GetParam()}, chosen{GetParam()}, asker{GetParam()};
  const std::uint16_t port = middle.accept("tcp");
  static_cast<void>(chosen.accept("tcp"));
  ASSERT_TRUE(chosen.connect("tcp", port));
  ASSERT_TRUE(middle.until([&] { return middle.peers.size() == 1; }));
  auto peer = asker.connect("tcp", port);
  ASSERT_TRUE(peer);
  const auto fresh = asker.wait_for([&](auto done) { peer->get_new_peer(std::move(done)); });
  ASSERT_TRUE(fresh) << fresh.error().message;
  EXPECT_TRUE(chosen.until([&] { return chosen.peers.size() == 2; }));
}

TEST_P(Exchanges, SaysWhatIsWrong) {
  Party alice{GetParam()}, bob{GetParam()}, other{GetParam(), "another net"};
  const std::uint16_t port = alice.accept("tcp");

  const auto nobody = bob.get_new_peer();
  EXPECT_EQ(nobody.error().kind, Kind::not_connected);
  EXPECT_EQ(nobody.error().message, "not connected to any peers");

  std::promise<ExchangeError> again;
  alice->accept("tcp", any_port, [&](const auto& result) { again.set_value(result.error()); });
  EXPECT_EQ(again.get_future().get().kind, Kind::already_accepting);

  EXPECT_EQ(bob.connect("pigeon", port).error().kind, Kind::unknown_transport);
  EXPECT_EQ(bob.connect("webrtc", port).error().kind, Kind::unknown_transport);
  EXPECT_EQ(bob.connect("tcp", 1).error().kind, Kind::connect_failed);

  const auto wrong = other.connect("tcp", port);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().kind, Kind::wrong_network);
  EXPECT_THAT(wrong.error().message, HasSubstr("'net'"));
  EXPECT_THAT(wrong.error().message, HasSubstr("'another net'"));

  // A middle with nobody else to name.
  ASSERT_TRUE(bob.connect("tcp", port));
  EXPECT_EQ(bob.get_new_peer().error().kind, Kind::no_new_peer);
}

TEST_P(Exchanges, LetsNobodyInByWhatItNoLongerAccepts) {
  Party alice{GetParam()}, bob{GetParam()}, carol{GetParam()};
  const std::uint16_t port = alice.accept("tcp");
  ASSERT_TRUE(bob.connect("tcp", port));
  alice->unaccept("tcp");
  static_cast<void>(alice->node()->peers());  // comes after it
  EXPECT_EQ(carol.connect("tcp", port).error().kind, Kind::connect_failed);
  EXPECT_THAT(bob->peers(), SizeIs(1));  // who is in stays
  const std::uint16_t another = alice.accept("tcp");
  EXPECT_TRUE(carol.connect("tcp", another));
}

TEST_P(Exchanges, ClosesAllPeersAndThenCallsBack) {
  Party alice{GetParam()}, bob{GetParam()};
  ASSERT_TRUE(bob.connect("tcp", alice.accept("tcp")));
  ASSERT_TRUE(alice.until([&] { return alice.peers.size() == 1; }));
  std::promise<void> closed;
  bob->close([&] { closed.set_value(); });
  closed.get_future().get();
  EXPECT_THAT(bob->peers(), IsEmpty());
  EXPECT_TRUE(alice.until([&] { return alice.gone.size() == 1; }));
}

TEST_P(Exchanges, TwoConnectionsAreTwoPeers) {
  Party alice{GetParam()}, bob{GetParam()};
  const std::uint16_t port = alice.accept("tcp");
  auto one = bob.connect("tcp", port);
  auto two = bob.connect("tcp", port);
  ASSERT_TRUE(one && two);
  ASSERT_TRUE(alice.until([&] { return alice.peers.size() == 2; }));
  write_text(*two, "second");
  EXPECT_EQ(read_text(alice.peers[1]), "second");
  one->destroy();
  EXPECT_TRUE(alice.until([&] { return alice.gone.size() == 1; }));
  EXPECT_THAT(alice->peers(), SizeIs(1));
}

INSTANTIATE_TEST_SUITE_P(, Exchanges, ::testing::Values(Wire::native, Wire::legacy),
                         [](const auto& each) {
                           return each.param == Wire::legacy ? "Legacy" : "Native";
                         });

// One exchange in both networks, by one port.
TEST(LegacyExchange, HasPeersOfBothKinds) {
  Party both{Wire::legacy}, old{Wire::legacy}, ours{Wire::native};
  const std::uint16_t port = both.accept("tcp");
  const auto by_old = old.connect("tcp", port);
  const auto by_ours = ours.connect("tcp", port);
  ASSERT_TRUE(by_old && by_ours);
  ASSERT_TRUE(both.until([&] { return both.peers.size() == 2; }));
  EXPECT_TRUE(both.peers[0].is_legacy());
  EXPECT_FALSE(both.peers[1].is_legacy());
  write_text(*by_old, "old");
  write_text(*by_ours, "ours");
  EXPECT_EQ(read_text(both.peers[0]), "old");
  EXPECT_EQ(read_text(both.peers[1]), "ours");

  // Neither kind could dial the other, so nobody names them to each other.
  EXPECT_EQ(old.get_new_peer().error().kind, Kind::no_new_peer);
  EXPECT_EQ(ours.get_new_peer().error().kind, Kind::no_new_peer);

  // Who knows that ours is there says so.
  const auto native = old.connect("tcp", port, true);
  ASSERT_TRUE(native) << native.error().message;
  EXPECT_EQ(native->id(), both->node_id());
}

TEST(LegacyExchange, FindsNobodyWhereOnlyOurWireIsSpoken) {
  Party old{Wire::legacy}, ours{Wire::native};
  const auto peer = old.connect("tcp", ours.accept("tcp"));
  ASSERT_FALSE(peer);
  EXPECT_EQ(peer.error().kind, Kind::connect_failed);
  EXPECT_THAT(peer.error().message, HasSubstr("npm peer-exchange"));
}

}  // namespace
}  // namespace peer_relay
