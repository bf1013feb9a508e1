// SPDX-License-Identifier: MIT
//
// Two nodes talk, and whoever carries their envelopes loses, copies, delays, alters and invents
// what he likes, restarts them and moves the clock. Whatever he does: nothing is given that was not
// sent, nothing twice, each acknowledged message ends once, and once he leaves them alone the two
// understand each other.
#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/assert.hpp"
#include "base/reader.hpp"
#include "base/writer.hpp"
#include "core/delivery/delivery.hpp"
#include "core/session/sessions.hpp"
#include "sodium/deterministic_crypto.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;

struct Flight {
  EnvelopeKind kind{};
  std::uint32_t tag = 0;
  NodeId target{};
  NodeId source{};
  std::optional<NodeId> home;
  Bytes body;
};

struct Node {
  Node(std::uint64_t seed, TimePoint now)
      : crypto(seed), identity(make_identity(crypto)), random(seed) {
    restart(now);
  }

  void restart(TimePoint now) {
    sessions.emplace(
        identity, crypto, random.split(),
        Sessions::Options{
            .sessions_max = 2, .unix_ms_at_zero = 0, .started = now, .messages_max = 8});
    delivery.emplace(random.split(), static_cast<std::uint32_t>(random.next()));
    delivery->set_connected(true, now, out);
    given.clear();
    unfinished.clear();
  }

  DeterministicCrypto crypto;
  Identity identity;
  Random random;
  std::optional<Sessions> sessions;
  std::optional<Delivery> delivery;
  Outbox out;
  bool knows_other = false;

  std::set<std::uint64_t> given;                  // since the last start
  std::map<MessageId, std::uint64_t> unfinished;  // acknowledged sends and their payloads
};

class World {
 public:
  explicit World(BytesView input) : in_(input) {}

  void run() {
    for (auto& node : nodes_) node->knows_other = (in_.u8() & 1) != 0;
    while (in_.left() > 0 && ++steps_ < 400) step();
    make_peace();
  }

 private:
  void step() {
    const std::uint8_t choice = in_.u8();
    Node& node = *nodes_[choice & 1];
    switch (choice >> 1 & 15) {
      case 0:
        return send(node, false);
      case 1:
        return send(node, true);
      case 2:
      case 3:
      case 4:
        return arrive(pick(), false);
      case 5:
        return arrive(pick(), true);
      case 6:
        if (!flights_.empty()) flights_.erase(flights_.begin() + pick());
        return;
      case 7:
        if (!flights_.empty()) alter(flights_[static_cast<std::size_t>(pick())]);
        return;
      case 8:
        return pass(std::chrono::milliseconds{in_.u8()});
      case 9:
        return pass(std::chrono::milliseconds{in_.u16()});
      case 10:
        if (in_.u8() < 32) node.restart(now_);
        return;
      case 11:
        return turn_back(node);
      case 12:
        return invent(node);
      case 13:
        node.delivery->set_connected((in_.u8() & 1) != 0, now_, node.out);
        return grant(node);
      case 14:
        return pass(std::chrono::seconds{in_.u8()});
      default:
        for (int i = 0; i < 8; ++i) arrive(0, false);
    }
  }

  std::ptrdiff_t pick() {
    const std::uint8_t at = in_.u8();
    return flights_.empty() ? 0 : static_cast<std::ptrdiff_t>(at % flights_.size());
  }

  Node& other(const Node& node) { return &node == nodes_[0].get() ? *nodes_[1] : *nodes_[0]; }

  /// A payload of some length that says which it is.
  void send(Node& node, bool is_acknowledged) {
    const std::uint64_t number = sent_.size();
    sent_.push_back(&node);
    Payload payload;
    Writer{payload.bytes}.u64(number);
    const std::uint8_t size = in_.u8();
    payload.bytes.resize(
        payload.bytes.size() +
        (size < 250 ? size : limits::payload_bytes_max - payload.bytes.size() - (255u - size)));
    const NodeId& to = other(node).identity.id;
    if (is_acknowledged) {
      const Promise promise{.timeout = 100ms * in_.u8()};
      const auto message = node.delivery->send(to, std::move(payload), promise, now_, node.out);
      node.unfinished[message] = number;
    } else {
      node.delivery->send(to, std::move(payload), now_, node.out);
    }
    grant(node);
  }

  void arrive(std::ptrdiff_t at, bool again) {
    if (flights_.empty()) return;
    const Flight flight = flights_[static_cast<std::size_t>(at)];
    if (!again) flights_.erase(flights_.begin() + at);
    for (auto& node : nodes_) {
      if (node->identity.id == flight.target) deliver(flight, *node);
    }
  }

  void deliver(Flight flight, Node& node) {
    const Envelope envelope{.kind = flight.kind,
                            .hops_left = 30,
                            .tag = flight.tag,
                            .target = flight.target,
                            .source = flight.source,
                            .via = std::nullopt,
                            .home = flight.home,
                            .body = flight.body};
    const auto opened = node.sessions->handle(envelope, flight.body, now_, node.out);
    if (opened) {
      PEER_RELAY_ASSERT(opened->from == other(node).identity.id);
      for (const BytesView content : opened->contents) {
        node.delivery->handle(opened->from, opened->hops_left, content, now_, node.out);
      }
    }
    grant(node);
  }

  void alter(Flight& flight) {
    const std::uint8_t how = in_.u8();
    const std::uint8_t value = in_.u8();
    if (how < 128 && !flight.body.empty()) {
      flight.body[how % flight.body.size()] ^= value;
    } else if (how < 160) {
      flight.body.resize(std::min<std::size_t>(flight.body.size(), value));
    } else if (how < 192) {
      flight.body.resize(flight.body.size() + value);
    } else if (how < 208) {
      flight.kind = EnvelopeKind{static_cast<std::uint8_t>(0x10 + value % 5)};
    } else if (how < 224) {
      flight.source = nodes_[value & 1]->identity.id;
    } else if (how < 240) {
      flight.source = Random{value}.id();
    } else {
      flight.home = Random{value}.id();
    }
  }

  void turn_back(Node& node) {
    const auto at = pick();
    if (flights_.empty()) return;
    const auto reason = UnreachableReason{static_cast<std::uint8_t>(1 + in_.u8() % 4)};
    const bool plausible = (in_.u8() & 1) != 0;
    const std::uint32_t tag = flights_[static_cast<std::size_t>(at)].tag;
    const NodeId where = Random{7}.id();
    if (!node.sessions->unreachable(tag, reason, where, now_, node.out)) {
      node.delivery->unreachable(tag, reason, where, plausible, now_, node.out);
    }
    grant(node);
  }

  void invent(Node& node) {
    const auto kind = EnvelopeKind{static_cast<std::uint8_t>(0x10 + in_.u8() % 6)};
    const BytesView bytes = in_.bytes_u8();
    deliver({.kind = kind,
             .target = node.identity.id,
             .source = other(node).identity.id,
             .home = std::nullopt,
             .body = {bytes.begin(), bytes.end()}},
            node);
  }

  void pass(Duration duration) {
    const TimePoint end = now_ + duration;
    for (auto& node : nodes_) {
      for (;;) {
        const TimePoint next = next_wake(*node);
        if (next > end) break;
        now_ = std::max(now_, next);
        node->sessions->wake(now_, node->out);
        node->delivery->wake(now_, node->out);
        grant(*node);
        PEER_RELAY_ASSERT(next_wake(*node) > now_ || ++busy_ < 10'000);
      }
    }
    now_ = end;
  }

  static TimePoint next_wake(const Node& node) {
    return std::min(node.sessions->next_wake(), node.delivery->next_wake());
  }

  void grant(Node& node) {
    while (!node.out.empty()) {
      std::visit([&](auto&& wish) { grant(std::forward<decltype(wish)>(wish), node); },
                 node.out.take());
    }
  }

  void grant(SealWish wish, Node& node) {
    std::optional<PublicKey> key;
    if (node.knows_other) key = other(node).identity.keys.public_key;
    node.sessions->seal(std::move(wish), key, now_, node.out);
  }
  void grant(ContentLeft left, Node& node) { node.delivery->handle(left, now_, node.out); }
  void grant(ContentFailed failed, Node& node) { node.delivery->handle(failed, now_, node.out); }
  void grant(RouteWish wish, Node& node) {
    if (flights_.size() >= 256) flights_.erase(flights_.begin());
    flights_.push_back({.kind = wish.kind,
                        .tag = wish.tag,
                        .target = wish.target,
                        .source = node.identity.id,
                        .home = std::nullopt,
                        .body = std::move(wish.body)});
  }
  void grant(NotifyWish wish, Node& node) {
    if (const auto* const message = std::get_if<Message>(&wish.event)) {
      take(*message, node);
    } else if (const auto* const done = std::get_if<NotifyWish::SendDone>(&wish.event)) {
      const auto at = node.unfinished.find(done->message);
      PEER_RELAY_ASSERT(at != node.unfinished.end());  // it ends once
      PEER_RELAY_ASSERT(!done->result.delivered() || arrived_.contains(at->second));
      node.unfinished.erase(at);
    } else {
      PEER_RELAY_ASSERT(false);
    }
  }
  template <class W>
  void grant(W&&, Node&) {
    PEER_RELAY_ASSERT(false);
  }

  void take(const Message& message, Node& node) {
    Reader in{message.payload.bytes};
    const std::uint64_t number = in.u64();
    PEER_RELAY_ASSERT(in.ok() && number < sent_.size() && sent_[number] == &other(node));
    PEER_RELAY_ASSERT(message.from == other(node).identity.id);
    arrived_.insert(number);
    // Once for each start of a node: of what it had before, nobody can know.
    PEER_RELAY_ASSERT(node.given.insert(number).second);
  }

  /// From here on everything arrives.
  void make_peace() {
    for (auto& node : nodes_) {
      node->delivery->set_connected(true, now_, node->out);
      grant(*node);
    }
    calm(30s);
    in_ = Reader{{}};
    std::vector<std::uint64_t> last;
    for (int round = 0; round < 3; ++round) {
      last.clear();
      for (auto& node : nodes_) {
        last.push_back(sent_.size());
        send(*node, false);
        calm(3s);
      }
    }
    calm(30s);
    for (const std::uint64_t number : last) PEER_RELAY_ASSERT(arrived_.contains(number));
    for (auto& node : nodes_) {
      PEER_RELAY_ASSERT(node->unfinished.empty() && node->delivery->waiting() == 0);
      PEER_RELAY_ASSERT(node->sessions->waiting() == 0 && node->sessions->size() <= 2);
    }
  }

  void calm(Duration duration) {
    for (const TimePoint end = now_ + duration; now_ < end;) {
      for (int i = 0; i < 1000 && !flights_.empty(); ++i) arrive(0, false);
      pass(50ms);
    }
  }

  Reader in_;
  TimePoint now_{100s};
  std::array<std::unique_ptr<Node>, 2> nodes_{std::make_unique<Node>(1, TimePoint{90s}),
                                              std::make_unique<Node>(2, TimePoint{90s})};
  std::vector<Flight> flights_;
  std::vector<const Node*> sent_;    // who sent the payload of this number
  std::set<std::uint64_t> arrived_;  // payloads that were given, ever
  int steps_ = 0;
  int busy_ = 0;
};

}  // namespace
}  // namespace peer_relay

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  peer_relay::World{{data, size}}.run();
  return 0;
}
