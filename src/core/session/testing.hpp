// SPDX-License-Identifier: MIT
//
// For tests and fuzzers alone: some nodes that have nothing but sessions, and a wire between them
// that loses, repeats, delays and alters what it is told to. Time is moved by hand.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/crypto/identity.hpp"
#include "core/outbox.hpp"
#include "core/session/sessions.hpp"
#include "sodium/deterministic_crypto.hpp"

namespace peer_relay::testing {

using namespace std::chrono_literals;

/// An envelope on its way.
struct Flight {
  NodeId source{};
  RouteWish wish;
  std::optional<NodeId> home{};
  std::size_t number = 0;  ///< counts what was sent, from 0
};

class SessionNode {
 public:
  SessionNode(std::uint64_t seed, Sessions::Options options)
      : seed_(seed), options_(options), crypto_(seed), identity_(make_identity(crypto_)) {
    restart(options.started);
  }

  /// All but the key is forgotten.
  void restart(TimePoint now) {
    options_.started = now;
    sessions_.emplace(identity_, crypto_, Random{++seed_}, options_);
    out_ = {};
  }

  const NodeId& id() const { return identity_.id; }
  const Identity& identity() const { return identity_; }
  DeterministicCrypto& crypto() { return crypto_; }
  Sessions& sessions() { return *sessions_; }
  Outbox& out() { return out_; }
  std::uint64_t dropped(DropReason reason) const { return out_.stats().dropped_for(reason); }

  std::map<NodeId, PublicKey> contacts;  ///< keys it knows without a handshake
  std::optional<NodeId> home;            ///< named in what it sends
  std::vector<std::string> inbox;
  std::vector<NodeId> inbox_from;
  std::vector<ContentLeft> left;
  std::vector<ContentFailed> failed;

 private:
  std::uint64_t seed_;
  Sessions::Options options_;
  DeterministicCrypto crypto_;
  Identity identity_;
  std::optional<Sessions> sessions_;
  Outbox out_;
};

class SessionWorld {
 public:
  /// The times after which copies of an envelope arrive; none: it is lost. May alter it.
  using Fate = std::function<std::vector<Duration>(Flight&)>;

  static constexpr Duration latency = 20ms;

  SessionNode& add(Sessions::Options options = {}) {
    options.unix_ms_at_zero += 1'700'000'000'000;
    options.started = now - 1s;  // so that early data is taken at once
    nodes_.push_back(std::make_unique<SessionNode>(1000 * (nodes_.size() + 1), options));
    return *nodes_.back();
  }

  /// Two nodes, the one with the smaller id first.
  std::pair<SessionNode&, SessionNode&> pair(Sessions::Options options = {}) {
    SessionNode& one = add(options);
    SessionNode& other = add(options);
    return one.id() < other.id() ? std::pair<SessionNode&, SessionNode&>{one, other}
                                 : std::pair<SessionNode&, SessionNode&>{other, one};
  }

  static void introduce(SessionNode& to, const SessionNode& whom) {
    to.contacts[whom.id()] = whom.identity().keys.public_key;
  }

  void send(SessionNode& from, const NodeId& to, std::string_view text, std::uint64_t token = 0) {
    SealWish wish{.to = to, .content = Bytes(session_data_header_bytes), .token = token};
    const BytesView bytes = as_bytes(text);
    wish.content.insert(wish.content.end(), bytes.begin(), bytes.end());
    const auto contact = from.contacts.find(to);
    const auto key =
        contact == from.contacts.end() ? std::nullopt : std::optional<PublicKey>{contact->second};
    from.sessions().seal(std::move(wish), key, now, from.out());
    grant(from);
  }

  /// Puts an envelope on the wire, as whoever it says.
  void post(Flight flight) {
    flight.number = flights++;
    for (const Duration after : fate(flight))
      arrivals_.emplace(std::pair{now + after, order_++}, flight);
  }

  /// Hands an envelope to a node at once.
  void deliver(const Flight& flight, SessionNode& node) {
    Bytes body = flight.wish.body;
    const Envelope envelope{.kind = flight.wish.kind,
                            .hops_left = static_cast<std::uint8_t>(limits::hops_max - 2),
                            .tag = flight.wish.tag,
                            .target = flight.wish.target,
                            .source = flight.source,
                            .home = flight.home,
                            .body = body};
    const auto opened = node.sessions().handle(envelope, body, now, node.out());
    if (opened) {
      for (const BytesView content : opened->contents) {
        node.inbox.emplace_back(as_text(content));
        node.inbox_from.push_back(opened->from);
      }
    }
    grant(node);
  }

  void run_for(Duration duration) { run_until(now + duration); }

  void run_until(TimePoint end) {
    for (;;) {
      TimePoint next = arrivals_.empty() ? never : arrivals_.begin()->first.first;
      for (const auto& node : nodes_) next = std::min(next, node->sessions().next_wake());
      if (next > end) break;
      now = std::max(now, next);
      step();
    }
    now = end;
  }

  SessionNode* find(const NodeId& id) {
    for (const auto& node : nodes_) {
      if (node->id() == id) return node.get();
    }
    return nullptr;
  }

  TimePoint now{10s};
  std::size_t flights = 0;
  Fate fate = [](Flight&) { return std::vector<Duration>{latency}; };
  /// Sees every envelope that arrives or finds no target.
  std::function<void(const Flight&)> watch = [](const Flight&) {};

  void grant(SessionNode& node) {
    while (!node.out().empty()) {
      Wish wish = node.out().take();
      if (auto* const route = std::get_if<RouteWish>(&wish)) {
        post({.source = node.id(), .wish = std::move(*route), .home = node.home});
      } else if (auto* const left = std::get_if<ContentLeft>(&wish)) {
        node.left.push_back(*left);
      } else if (auto* const failed = std::get_if<ContentFailed>(&wish)) {
        node.failed.push_back(*failed);
      }
    }
  }

 private:
  void step() {
    while (!arrivals_.empty() && arrivals_.begin()->first.first <= now) {
      const Flight flight = std::move(arrivals_.begin()->second);
      arrivals_.erase(arrivals_.begin());
      watch(flight);
      if (SessionNode* const node = find(flight.wish.target)) deliver(flight, *node);
    }
    for (const auto& node : nodes_) {
      node->sessions().wake(now, node->out());
      grant(*node);
    }
  }

  std::vector<std::unique_ptr<SessionNode>> nodes_;
  std::map<std::pair<TimePoint, std::uint64_t>, Flight> arrivals_;
  std::uint64_t order_ = 0;
};

}  // namespace peer_relay::testing
