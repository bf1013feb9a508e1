// SPDX-License-Identifier: MIT
//
// For tests and benches alone: a relay and its leaves, joined in memory. What one transmits the
// other receives at once. Time is moved by hand.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "base/assert.hpp"
#include "core/engine/engine.hpp"

namespace peer_relay::testing {

class Star {
 public:
  static constexpr std::size_t relay = 0;  ///< the leaves are 1 and up

  /// Settled: every leaf is linked to the relay and has joined. `crypto` outlives it.
  Star(Crypto& crypto, std::size_t leaves, Limits limits = {}) : crypto_(crypto), limits_(limits) {
    for (std::size_t node = 0; node <= leaves; ++node) add();
    run_for(std::chrono::seconds{20});
    for (std::size_t leaf = 1; leaf <= leaves; ++leaf) {
      PEER_RELAY_ASSERT(engine(leaf).is_joined() && nodes_[leaf].link != LinkId{});
    }
  }

  Engine& engine(std::size_t node) { return *nodes_[node].engine; }
  const NodeId& id(std::size_t node) const { return nodes_[node].engine->id(); }

  /// The one link between the relay and a leaf, as the leaf numbers it and as the relay does.
  LinkId link_of(std::size_t leaf) const { return nodes_[leaf].link; }
  LinkId link_to(std::size_t leaf) const { return nodes_[leaf].link_at_relay; }

  std::size_t received(std::size_t node) const { return nodes_[node].received; }
  TimePoint now() const { return now_; }

  /// Everything that is sent arrives, and everything that falls due is done.
  void run_for(Duration duration) {
    const TimePoint end = now_ + duration;
    for (;;) {
      carry_all();
      TimePoint due = never;
      for (const Node& node : nodes_) due = std::min(due, node.engine->next_wake());
      if (due > end) break;
      now_ = std::max(now_, due);
      for (std::size_t node = 0; node < nodes_.size(); ++node) {
        if (engine(node).next_wake() > now_) continue;
        engine(node).wake(now_);
        drain(node);
      }
    }
    now_ = end;
  }

  /// Messages of a leaf to another, until the other has got one: then there is a session.
  void introduce(std::size_t leaf, std::size_t other) {
    const std::size_t before = received(other);
    static_cast<void>(engine(leaf).send(id(other), Payload::of_text("hello"), now_));
    drain(leaf);
    run_for(std::chrono::seconds{1});
    PEER_RELAY_ASSERT(received(other) > before);
  }

  /// What a leaf makes of so many sends, as its one link would carry them. Not delivered: that is
  /// for the caller to do, in order.
  std::vector<Bytes> transmissions(std::size_t leaf, std::size_t to, std::size_t messages,
                                   const Payload& payload) {
    for (std::size_t i = 0; i < messages; ++i) {
      const auto sent = engine(leaf).send(id(to), payload, now_);
      PEER_RELAY_ASSERT(sent.has_value());
    }
    std::vector<Bytes> batches;
    for (;;) {
      auto action = engine(leaf).next_action();
      if (!action) break;
      auto* const transmit = std::get_if<Transmit>(&*action);
      PEER_RELAY_ASSERT(transmit != nullptr);
      batches.push_back(std::move(transmit->batch));
      engine(leaf).link_writable(transmit->link, now_);
    }
    return batches;
  }

 private:
  struct Node {
    Identity identity;
    std::unique_ptr<Engine> engine;
    LinkId link{};
    LinkId link_at_relay{};
    std::size_t received = 0;
  };
  struct Flight {
    std::size_t from;
    LinkId from_link;
    Bytes message;
  };

  void add() {
    const bool is_relay = nodes_.empty();
    EngineOptions options{.limits = limits_};
    options.unix_ms_at_zero = 1'800'000'000'000;
    const Address address = Address::parse("ws://10.0.0.1:8000").value();
    if (is_relay) {
      options.listening = {{address.scheme, address.port}};
      options.advertise = {address};
    } else {
      options.bootstrap = {address};
    }
    Node& node = nodes_.emplace_back();
    node.identity = make_identity(crypto_);
    node.engine =
        std::make_unique<Engine>(std::move(options), node.identity, crypto_, nodes_.size(), now_);
    node.engine->start(now_);
    drain(nodes_.size() - 1);
  }

  void drain(std::size_t node) {
    while (auto action = engine(node).next_action()) {
      std::visit([&](auto&& each) { act(node, std::forward<decltype(each)>(each)); },
                 std::move(*action));
    }
  }

  void carry_all() {
    while (!flights_.empty()) {
      Flight flight = std::move(flights_.front());
      flights_.pop_front();
      engine(flight.from).link_writable(flight.from_link, now_);
      drain(flight.from);
      const auto [to, link] = other_end(flight.from, flight.from_link);
      engine(to).link_received(link, flight.message, now_);
      drain(to);
    }
  }

  std::pair<std::size_t, LinkId> other_end(std::size_t from, LinkId link) const {
    if (from != relay) return {relay, nodes_[from].link_at_relay};
    for (std::size_t leaf = 1; leaf < nodes_.size(); ++leaf) {
      if (nodes_[leaf].link_at_relay == link) return {leaf, nodes_[leaf].link};
    }
    PEER_RELAY_ASSERT(!"a link of nobody");
    return {};
  }

  void act(std::size_t node, Transmit transmit) {
    flights_.push_back({node, transmit.link, std::move(transmit.batch)});
  }
  void act(std::size_t node, const Dial& dial) {
    PEER_RELAY_ASSERT(node != relay);
    nodes_[node].link = LinkId{++last_link_};
    nodes_[node].link_at_relay = LinkId{++last_link_};
    engine(relay).link_opened(
        nodes_[node].link_at_relay,
        {.dial = {}, .remote = "10.0.1.1:40000", .remote_host = "10.0.1.1", .channel_binding = {}},
        now_);
    engine(node).link_opened(nodes_[node].link,
                             {.dial = dial.dial,
                              .remote = dial.address.to_string(),
                              .remote_host = dial.address.host,
                              .channel_binding = {}},
                             now_);
  }
  void act(std::size_t, const Negotiate&) { PEER_RELAY_ASSERT(!"all have addresses"); }
  void act(std::size_t, const CloseLink&) { PEER_RELAY_ASSERT(!"a star that loses a ray"); }
  void act(std::size_t node, const Notify& notify) {
    if (std::holds_alternative<Message>(notify.event)) ++nodes_[node].received;
  }

  Crypto& crypto_;
  Limits limits_;
  TimePoint now_{std::chrono::seconds{1}};
  std::deque<Node> nodes_;
  std::deque<Flight> flights_;
  std::uint64_t last_link_ = 0;
};

}  // namespace peer_relay::testing
