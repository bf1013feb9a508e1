// SPDX-License-Identifier: MIT
//
// Whole engines that speak npm peer-exchange to each other, joined in memory. What one transmits
// the others receive in pieces.
#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.hpp"
#include "core/engine/engine.hpp"
#include "sodium/deterministic_crypto.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using enum ExchangeTransport;

class ExchangeEngines : public ::testing::Test {
 protected:
  struct Node {
    Identity identity;
    std::unique_ptr<Engine> engine;
    std::vector<NotifyWish::ExchangePeerUp> up;
    std::vector<NotifyWish::ExchangePeerDown> down;
    std::vector<NotifyWish::ExchangeFailed> failed;
    std::vector<Problem> problems;
    std::map<ExchangePeerId, std::string> heard;
  };
  struct End {
    std::size_t node = 0;
    LinkId link{};
    ExchangeTransport by{};
    bool is_stream = false;  // as its node sees it
  };

  std::size_t add(std::string network = "net-1", bool old_exchange = true) {
    const auto number = static_cast<std::uint16_t>(nodes.size() + 1);
    EngineOptions options{.network = std::move(network)};
    options.unix_ms_at_zero = 1'800'000'000'000;
    options.listening = {{Scheme::tcp, number}};
    options.old_exchange = old_exchange;
    options.webrtc = true;
    Node& node = nodes.emplace_back();
    node.identity = make_identity(crypto);
    node.engine = std::make_unique<Engine>(std::move(options), node.identity, crypto, number, now);
    node.engine->start(now);
    if (old_exchange) {
      node.engine->exchange_accept(tcp, number, now);
    }
    run();
    return nodes.size() - 1;
  }

  Engine& engine(std::size_t node) { return *nodes[node].engine; }
  static Address address_of(std::size_t node) {
    return Address::parse("tcp://10.0.0." + std::to_string(node + 1) + ":" +
                          std::to_string(node + 1))
        .value();
  }

  void run() {
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t node = 0; node < nodes.size(); ++node) {
        while (auto action = engine(node).next_action()) {
          moved = true;
          std::visit([&](auto& each) { act(node, std::move(each)); }, *action);
        }
      }
      while (!later.empty()) {
        moved = true;
        auto task = std::move(later.front());
        later.pop_front();
        task();
      }
    }
  }

  End* other_end(LinkId link) {
    const auto at = others.find(link);
    return at == others.end() ? nullptr : &at->second;
  }

  void act(std::size_t node, Transmit&& transmit) {
    later.push_back([this, node, transmit = std::move(transmit)]() mutable {
      engine(node).link_writable(transmit.link, now);
      const End* const to = other_end(transmit.link);
      if (to == nullptr) return;
      if (!to->is_stream) return engine(to->node).link_received(to->link, transmit.batch, now);
      // In two pieces, cut anywhere.
      const BytesView all{transmit.batch};
      const std::size_t cut = random.below(all.size() + 1);
      engine(to->node).link_received_stream(to->link, all.first(cut), to->by, now);
      engine(to->node).link_received_stream(to->link, all.subspan(cut), to->by, now);
    });
  }
  void act(std::size_t node, Dial&& dial) {
    later.push_back([this, node, dial = std::move(dial)] {
      const std::size_t to = dial.address.port - 1u;
      if (to >= nodes.size()) return engine(node).dial_failed(dial.dial, DialError::refused, now);
      join(node, {.dial = dial.dial}, to, {}, tcp, dial.is_stream);
    });
  }
  void join(std::size_t from, LinkOrigin ours, std::size_t to, LinkOrigin theirs,
            ExchangeTransport by, bool is_stream) {
    const LinkId here{++last_link};
    const LinkId there{++last_link};
    others[here] = {.node = to, .link = there, .by = by, .is_stream = is_stream};
    others[there] = {.node = from, .link = here, .by = by, .is_stream = is_stream};
    ours.remote_host = address_of(to).host;
    theirs.remote_host = address_of(from).host;
    engine(to).link_opened(there, std::move(theirs), now);
    engine(from).link_opened(here, std::move(ours), now);
  }
  // A description names who made it and under which number.
  void act(std::size_t node, Negotiate&& negotiate) {
    const auto me = std::to_string(node) + " " +
                    std::to_string(static_cast<std::uint64_t>(negotiate.negotiation));
    EXPECT_TRUE(negotiate.is_stream || negotiate.step == NegotiateWish::Step::take);
    later.push_back([this, node, me, negotiate] {
      using enum NegotiateWish::Step;
      if (negotiate.step == offer || negotiate.step == answer) {
        if (negotiate.step == answer) offers[me] = negotiate.text;
        return engine(node).negotiation_described(negotiate.negotiation, me, now);
      }
      if (negotiate.step != take) return;
      const std::size_t space = negotiate.text.find(' ');
      const std::size_t to = std::stoul(negotiate.text);
      const NegotiationId theirs{std::stoull(negotiate.text.substr(space))};
      EXPECT_EQ(offers[negotiate.text], me);
      join(node, {.negotiation = negotiate.negotiation}, to, {.negotiation = theirs}, webrtc, true);
    });
  }
  void act(std::size_t node, CloseLink&& close) {
    later.push_back([this, node, close] {
      if (const End* const to = other_end(close.link)) {
        engine(to->node).link_closed(to->link, CloseReason::transport_closed, now);
        others.erase(to->link);
      }
      others.erase(close.link);
      engine(node).link_closed(close.link, close.reason, now);
    });
  }
  void act(std::size_t number, Notify&& notify) {
    Node& node = nodes[number];
    auto& event = notify.event;
    if (auto* e = std::get_if<NotifyWish::ExchangePeerUp>(&event)) node.up.push_back(*e);
    if (auto* e = std::get_if<NotifyWish::ExchangePeerDown>(&event)) node.down.push_back(*e);
    if (auto* e = std::get_if<NotifyWish::ExchangeFailed>(&event)) node.failed.push_back(*e);
    if (auto* e = std::get_if<Problem>(&event)) node.problems.push_back(*e);
    if (auto* e = std::get_if<NotifyWish::ExchangeBytes>(&event)) {
      node.heard[e->peer] += as_text(e->bytes);
      node.engine->exchange_consumed(e->peer, e->bytes.size(), now);
    }
  }

  /// Bytes both ways between the newest peers of two.
  void talk(std::size_t a, std::size_t b) {
    const ExchangePeerId to_b = nodes[a].up.back().peer;
    const ExchangePeerId to_a = nodes[b].up.back().peer;
    EXPECT_TRUE(engine(a).exchange_write(to_b, Bytes(100'000, 'x'), now));
    EXPECT_TRUE(engine(b).exchange_write(to_a, Bytes(200'000, 'y'), now));
    run();
    EXPECT_EQ(nodes[b].heard[to_a], std::string(100'000, 'x'));
    EXPECT_EQ(nodes[a].heard[to_b], std::string(200'000, 'y'));
  }

  DeterministicCrypto crypto{1};
  TimePoint now{1s};
  Random random{3};
  std::deque<Node> nodes;
  std::map<LinkId, End> others;
  std::map<std::string, std::string> offers;
  std::deque<std::function<void()>> later;
  std::uint64_t last_link = 0;
};

TEST_F(ExchangeEngines, TwoConnectAndTalk) {
  const auto a = add(), b = add();
  const auto request = engine(a).exchange_connect(address_of(b), now);
  run();
  ASSERT_THAT(nodes[a].up, SizeIs(1));
  ASSERT_THAT(nodes[b].up, SizeIs(1));
  EXPECT_EQ(nodes[a].up[0].request, request);
  EXPECT_FALSE(nodes[b].up[0].request);
  EXPECT_EQ(nodes[b].up[0].transport, tcp);
  talk(a, b);
  engine(a).exchange_close(nodes[a].up[0].peer, now);
  run();
  EXPECT_THAT(nodes[a].down, SizeIs(1));
  ASSERT_THAT(nodes[b].down, SizeIs(1));
  EXPECT_EQ(nodes[b].down[0].reason, CloseReason::transport_closed);
  EXPECT_EQ(engine(a).stats().links, 0u) << "none of them is a peer of our overlay";
}

TEST_F(ExchangeEngines, AThirdIsIntroduced) {
  const auto middle = add(), asker = add(), named = add();
  engine(asker).exchange_connect(address_of(middle), now);
  engine(named).exchange_connect(address_of(middle), now);
  run();
  const auto request = engine(asker).exchange_get_new_peer(std::nullopt, now);
  run();
  ASSERT_THAT(nodes[asker].up, SizeIs(2));
  EXPECT_EQ(nodes[asker].up[1].request, request);
  EXPECT_EQ(nodes[asker].up[1].remote_host, address_of(named).host);
  talk(asker, named);
}

TEST_F(ExchangeEngines, AThirdIsIntroducedByADataChannel) {
  const auto middle = add(), asker = add(), named = add();
  engine(named).exchange_unaccept(tcp, now);
  engine(named).exchange_accept(webrtc, 0, now);
  engine(asker).exchange_connect(address_of(middle), now);
  engine(named).exchange_connect(address_of(middle), now);
  run();
  engine(asker).exchange_get_new_peer(nodes[asker].up[0].peer, now);
  run();
  ASSERT_THAT(nodes[asker].up, SizeIs(2));
  ASSERT_THAT(nodes[named].up, SizeIs(2));
  EXPECT_EQ(nodes[asker].up[1].transport, webrtc);
  EXPECT_EQ(nodes[named].up[1].transport, webrtc);
  talk(asker, named);
}

TEST_F(ExchangeEngines, OfTwoNetworksDoNotMeet) {
  const auto a = add("net-1"), b = add("net-2");
  engine(a).exchange_connect(address_of(b), now);
  run();
  EXPECT_THAT(nodes[a].up, IsEmpty());
  ASSERT_THAT(nodes[a].failed, SizeIs(1));
  EXPECT_EQ(nodes[a].failed[0].why, ExchangeFailure::wrong_network);
  EXPECT_EQ(nodes[a].failed[0].network, "net-2");
  ASSERT_THAT(nodes[b].problems, SizeIs(1));
  EXPECT_EQ(nodes[b].problems[0].detail, "net-1");
}

TEST_F(ExchangeEngines, NobodyIsLetInWhereThatIsNotAsked) {
  const auto a = add(), without = add("net-1", false), silent = add();
  engine(silent).exchange_unaccept(tcp, now);
  for (const auto other : {without, silent}) {
    engine(a).exchange_connect(address_of(other), now);
    run();
    EXPECT_EQ(nodes[a].failed.back().why, ExchangeFailure::closed);
    EXPECT_GT(engine(other).stats().dropped_for(DropReason::malformed), 0u);
  }
  EXPECT_THAT(nodes[a].up, IsEmpty());
}

TEST_F(ExchangeEngines, WithoutItEachRequestFails) {
  const auto a = add("net-1", false);
  const auto request = engine(a).exchange_connect(address_of(0), now);
  EXPECT_EQ(engine(a).exchange_get_new_peer(std::nullopt, now), request + 1);
  EXPECT_FALSE(engine(a).exchange_write(ExchangePeerId{1}, Bytes(1), now));
  run();
  EXPECT_THAT(nodes[a].failed, SizeIs(2));
}

TEST_F(ExchangeEngines, ADialThatFailsIsTold) {
  const auto a = add();
  engine(a).exchange_connect(address_of(77), now);
  run();
  ASSERT_THAT(nodes[a].failed, SizeIs(1));
  EXPECT_EQ(nodes[a].failed[0].dial_error, DialError::refused);
}

TEST_F(ExchangeEngines, ShutsDown) {
  const auto a = add(), b = add();
  engine(a).exchange_connect(address_of(b), now);
  run();
  EXPECT_TRUE(engine(a).exchange_write(nodes[a].up[0].peer, Bytes(100'000, 'x'), now));
  engine(a).shut_down(now);
  EXPECT_FALSE(engine(a).is_shut_down());
  run();
  EXPECT_TRUE(engine(a).is_shut_down());
  EXPECT_EQ(nodes[b].heard[nodes[b].up[0].peer].size(), 100'000u);
  EXPECT_THAT(nodes[b].down, SizeIs(1));
}

}  // namespace
}  // namespace peer_relay
