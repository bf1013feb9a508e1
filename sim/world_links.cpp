// SPDX-License-Identifier: MIT
//
// How a world's nodes dial, talk over, and lose their links.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <sstream>
#include <utility>

#include "world_parts.hpp"

namespace peer_relay::sim {

bool World::are_linked(NodeNumber a, NodeNumber b) const {
  return nodes_[a]->engine.has_value() && nodes_[a]->engine->peer(id(b), now_).has_value();
}

// ---- Wires ----------------------------------------------------------------------------------

LinkId World::new_wire(Node& node, std::uint32_t to, Duration latency) {
  auto at = std::ranges::find(node.wires, Wire::State::free, &Wire::state);
  if (at == node.wires.end()) {
    grow_gently(node.wires);
    node.wires.emplace_back();
    at = node.wires.end() - 1;
  }
  *at = {.node = to,
         .generation = at->generation + 1,
         .latency_us = static_cast<std::uint32_t>(latency.count()),
         .state = Wire::State::dialed,
         .is_slow = slow_per_mille_ > 0 && to != nobody && is_slow(node.number, to)};
  return node.link_at(static_cast<std::size_t>(at - node.wires.begin()));
}

void World::release(Node& node, LinkId link) {
  Wire& wire = *node.wire(link);
  if (wire.is_stalled) node.shard->held.erase({node.number, link});
  if (wire.is_slow) node.shard->busy_until.erase({node.number, link});
  wire.state = Wire::State::free;
  ++wire.generation;  // what is on its way arrives nowhere
}

std::optional<LinkId> World::link_between(NodeNumber a, NodeNumber b) const {
  const Node& node = *nodes_[a];
  for (std::size_t place = 0; place < node.wires.size(); ++place) {
    const Wire& wire = node.wires[place];
    if (wire.state == Wire::State::open && wire.node == b) return node.link_at(place);
  }
  return std::nullopt;
}

std::size_t World::channels(NodeNumber a, NodeNumber b) const {
  return static_cast<std::size_t>(std::ranges::count_if(nodes_[a]->wires, [b](const Wire& wire) {
    return wire.state == Wire::State::open && wire.node == b;
  }));
}

void World::go_dark(NodeNumber a, NodeNumber b) {
  for (const auto& [here, there] : {std::pair{a, b}, std::pair{b, a}}) {
    if (const auto link = link_between(here, there)) nodes_[here]->wire(*link)->is_dark = true;
  }
}

void World::stall(NodeNumber a, NodeNumber b) {
  for (const auto& [here, there] : {std::pair{a, b}, std::pair{b, a}}) {
    if (const auto link = link_between(here, there)) nodes_[here]->wire(*link)->is_stalled = true;
  }
}

void World::resume(NodeNumber a, NodeNumber b) {
  for (const auto& [here, there] : {std::pair{a, b}, std::pair{b, a}}) {
    const auto link = link_between(here, there);
    if (!link) continue;
    Node& node = *nodes_[here];
    Wire& wire = *node.wire(*link);
    wire.is_stalled = false;
    const auto held = node.shard->held.extract({node.number, *link});
    if (held.empty()) continue;
    for (Event& event : held.mapped()) later(node, wire.latency(), std::move(event));
  }
}

void World::cut(NodeNumber a, NodeNumber b) {
  for (const auto& [here, there] : {std::pair{a, b}, std::pair{b, a}}) {
    const auto link = link_between(here, there);
    if (!link) continue;
    later(*nodes_[here], Duration{},
          {.kind = Event::Kind::gone,
           .reason = CloseReason::transport_error,
           .node = static_cast<std::uint32_t>(here),
           .link = *link});
  }
}

void World::tear() {
  is_torn_ = true;
  for (NodeNumber a = 0; a < nodes_.size(); a += 2) {
    for (const Wire& wire : nodes_[a]->wires) {
      if (wire.state == Wire::State::open && wire.node % 2 != 0) cut(a, wire.node);
    }
  }
}

void World::forbid(NodeNumber a, NodeNumber b) { forbidden_.emplace_back(a, b); }
void World::permit(NodeNumber a, NodeNumber b) {
  std::erase_if(forbidden_, [a, b](const auto& pair) {
    return pair == std::pair{a, b} || pair == std::pair{b, a};
  });
}

bool World::is_forbidden(NodeNumber a, NodeNumber b) const {
  return std::ranges::any_of(forbidden_, [&](const auto& pair) {
    return (pair.first == a && pair.second == b) || (pair.first == b && pair.second == a);
  });
}

bool World::can_reach(NodeNumber a, NodeNumber b) const {
  return nodes_[b]->is_plugged && !is_forbidden(a, b) && (!is_torn_ || a % 2 == b % 2);
}

bool World::is_slow(NodeNumber a, NodeNumber b) const {
  const auto [low, high] = std::minmax(a, b);
  Random pair{seed_ ^ (low * 0x9e3779b97f4a7c15) ^ (high << 20) ^ 0x510};
  return pair.below(1000) < slow_per_mille_;
}

Duration World::latency(NodeNumber a, NodeNumber b) const {
  if (is_internet_) {
    const Place& one = nodes_[a]->place;
    const Place& other = nodes_[b]->place;
    const float ms = 80 * std::hypot(one.x - other.x, one.y - other.y) + one.detour + other.detour;
    return std::max(Duration{static_cast<Duration::rep>(ms * 1000)}, least_latency);
  }
  const auto [low, high] = std::minmax(a, b);
  Random pair{seed_ ^ (low * 0x9e3779b97f4a7c15) ^ (high << 20)};
  return pair.between(low_, high_);
}

std::optional<NodeNumber> World::node_at(const Address& address) const {
  const std::string_view host = address.host;
  if (address.port != port || !host.starts_with("10.")) return std::nullopt;
  NodeNumber number = 0;
  NodeNumber byte = 0;
  for (const char c : host.substr(3)) {
    if (c == '.') {
      number = (number << 8) + std::exchange(byte, 0);
    } else {
      byte = byte * 10 + static_cast<NodeNumber>(c - '0');
    }
  }
  number = (number << 8) + byte;
  return number < nodes_.size() && host_of(number) == host ? std::optional{number} : std::nullopt;
}

// ---- Opening --------------------------------------------------------------------------------

void World::fail(Node& node, DialId dial, Duration wait, DialError error) {
  later(node, node.number, wait, [this, &node, dial, life = node.life, error] {
    if (!is_alive(node.number, life)) return;
    node.turn().dial_failed(dial, error, node.now());
    drive(node);
  });
}

void World::dial(Node& from, DialId dial, const Address& address) {
  const auto to = node_at(address);
  if (!to) return fail(from, dial, high_, DialError::refused);
  const Duration there = latency(from.number, *to);
  if (is_torn_ && from.number % 2 != *to % 2) {
    return fail(from, dial, limits::dial_timeout, DialError::timed_out);
  }
  if (is_forbidden(from.number, *to)) return fail(from, dial, 2 * there, DialError::unreachable);
  if (!nodes_[*to]->is_plugged || nodes_[*to]->is_silent) {
    return fail(from, dial, limits::dial_timeout, DialError::timed_out);
  }
  const LinkId near = new_wire(from, static_cast<std::uint32_t>(*to), there);
  later(from, *to, there, [this, &from, dial, there, near, &listener = *nodes_[*to]] {
    const bool is_cut_off = is_torn_ && from.number % 2 != listener.number % 2;
    if (is_cut_off || !listener.engine || !listener.listens) {
      return later(listener, from.number, there, [this, &from, dial, near, is_cut_off] {
        if (from.wire(near) == nullptr) return;
        release(from, near);
        from.turn().dial_failed(dial, is_cut_off ? DialError::timed_out : DialError::refused,
                                from.now());
        drive(from);
      });
    }
    open(listener, from, near,
         {.dial = {}, .remote = {}, .remote_host = host_of(from.number), .channel_binding = {}},
         {.dial = dial,
          .remote = url(listener.number),
          .remote_host = host_of(listener.number),
          .channel_binding = {}});
  });
}

/// The end at `here`, and a latency later that of the one who asked for the link, at `there`.
void World::open(Node& here, Node& there, LinkId asked_for, LinkOrigin as_seen_here,
                 LinkOrigin as_seen_there) {
  const Duration wait = latency(there.number, here.number);  // as the wire that asked has it
  const LinkId link = new_wire(here, there.number, wait);
  here.open(link, asked_for);
  // Before anything that is said here.
  later(here, there.number, wait,
        [this, &there, link, asked_for, origin = std::move(as_seen_there)]() mutable {
          if (there.wire(asked_for) == nullptr) return;
          there.open(asked_for, link);
          there.turn().link_opened(asked_for, std::move(origin), there.now());
          drive(there);
        });
  here.turn().link_opened(link, std::move(as_seen_here), here.now());
  drive(here);
}

// What stands for a description: who speaks, and by which number. Padded to what Chromium's
// description of a data channel and three candidates come to.
namespace {

constexpr std::size_t description_bytes = 900;
constexpr Duration description_takes = std::chrono::milliseconds{2};
constexpr int round_trips_to_open = 5;  // ICE 1, DTLS 2, SCTP and DCEP 2
constexpr Duration ice_gives_up_after = std::chrono::seconds{10};

std::string describe(NodeNumber node, NegotiationId id) {
  std::string text =
      std::to_string(node) + " " + std::to_string(static_cast<std::uint64_t>(id)) + " ";
  text.resize(description_bytes, '.');
  return text;
}

}  // namespace

void World::negotiate(Node& node, const Negotiate& what) {
  using Step = NegotiateWish::Step;
  if (what.step == Step::candidate || what.step == Step::abandon) return;
  NodeNumber other = 0;
  std::uint64_t theirs = 0;
  if (what.step != Step::offer) {
    std::istringstream text{what.text};
    if (!(text >> other >> theirs) || other >= nodes_.size()) std::abort();
  }
  if (what.step == Step::take) {
    return make_data_channel(node, what.negotiation, other, NegotiationId{theirs});
  }
  // An answer names the offer by the number of the answerer: the other side has the rest.
  later(node, node.number, description_takes,
        [this, &node, id = what.negotiation, life = node.life] {
          if (!is_alive(node.number, life)) return;
          node.turn().negotiation_described(id, describe(node.number, id), node.now());
          drive(node);
        });
}

void World::fail(Node& from, NodeNumber at, NegotiationId negotiation, Duration wait) {
  Node& node = *nodes_[at];
  later(from, at, wait, [this, &node, negotiation, life = node.life] {
    if (!is_alive(node.number, life)) return;
    node.turn().negotiation_failed(negotiation, DialError::ice_failed, node.now());
    drive(node);
  });
}

void World::make_data_channel(Node& offerer, NegotiationId offered, NodeNumber at,
                              NegotiationId answered) {
  Node& answerer = *nodes_[at];
  const Duration there = latency(offerer.number, at);
  if (!can_reach(offerer.number, at)) {
    fail(offerer, offerer.number, offered, ice_gives_up_after);
    return fail(offerer, at, answered, ice_gives_up_after);
  }
  const LinkId near = new_wire(offerer, answerer.number, there);
  const auto origin = [](NodeNumber other, NegotiationId negotiation) {
    return LinkOrigin{.dial = {},
                      .remote = "webrtc:" + host_of(other),
                      .remote_host = host_of(other),
                      .channel_binding = {},
                      .negotiation = negotiation};
  };
  const Duration last_but_one = (round_trips_to_open * 2 - 1) * there;
  later(offerer, at, last_but_one,
        [=, this, &offerer, &answerer, life = answerer.life, its_life = offerer.life] {
          const bool is_there = is_alive(answerer.number, life);
          if (!is_there || !is_alive(offerer.number, its_life) ||
              !can_reach(offerer.number, answerer.number)) {
            if (is_there) fail(answerer, answerer.number, answered, Duration{});
            return later(answerer, offerer.number, there, [this, &offerer, offered, near] {
              if (offerer.wire(near) == nullptr) return;
              release(offerer, near);
              offerer.turn().negotiation_failed(offered, DialError::ice_failed, offerer.now());
              drive(offerer);
            });
          }
          ++answerer.shard->data_channels;
          open(answerer, offerer, near, origin(offerer.number, answered),
               origin(answerer.number, offered));
        });
}

// ---- Talking --------------------------------------------------------------------------------

/// When what is sent now has left this end.
TimePoint World::leaves_at(const Node& node, LinkId link) const {
  const auto busy = node.shard->busy_until.find({node.number, link});
  return busy == node.shard->busy_until.end() ? node.now() : std::max(node.now(), busy->second);
}

void World::transmit(Node& from, LinkId link, Bytes batch) {
  Wire* const wire = from.open_wire(link);
  if (wire == nullptr) return;
  if (from.tamper != nullptr) (*from.tamper)(batch);
  if (wire->node == nobody) {
    from.shard->writable.push_back(link);
    return later(
        from, from.number, wire->latency(),
        [stranger = from.shard->strangers.at({from.number, link}),
         batch = std::move(batch)]() mutable { stranger->received.push_back(std::move(batch)); });
  }
  Duration in_the_way{};
  if (wire->is_slow) {
    const TimePoint begins = leaves_at(from, link);
    const TimePoint ends =
        begins +
        Duration{static_cast<Duration::rep>(batch.size() * 1'000'000 / slow_bytes_per_second_)};
    from.shard->busy_until[{from.number, link}] = ends;
    in_the_way = ends - from.now();
  }
  Event carried{.kind = Event::Kind::arrive,
                .node = wire->node,
                .link = wire->other,
                .batch = std::move(batch)};
  Event taken{.kind = Event::Kind::writable, .node = from.number, .link = link};
  if (wire->is_stalled) {
    std::vector<Event>& held = from.shard->held[{from.number, link}];
    held.push_back(std::move(carried));
    held.push_back(std::move(taken));
    return;
  }
  later(from, in_the_way + wire->latency(), std::move(carried));
  if (wire->is_slow) {
    later(from, in_the_way, std::move(taken));
  } else {
    from.shard->writable.push_back(link);
  }
}

void World::arrive(Node& node, LinkId link, MutableBytes batch) {
  const Wire* const wire = node.open_wire(link);
  if (wire == nullptr || wire->is_dark || !node.engine) return;
  node.events =
      mix(mix(node.events, static_cast<std::uint64_t>(node.now().time_since_epoch().count())),
          static_cast<std::uint64_t>(link) << 32 | batch.size());
  node.turn().link_received(link, batch, node.now());
  drive(node);
}

// ---- Closing --------------------------------------------------------------------------------

void World::close(Node& from, LinkId link, CloseReason reason) {
  const Wire* const wire = from.open_wire(link);
  if (wire == nullptr) return;
  later(from, Duration{},
        {.kind = Event::Kind::closed, .reason = reason, .node = from.number, .link = link});
  if (wire->node == nobody) {
    later(from, from.number, wire->latency(),
          [stranger = from.shard->strangers.at({from.number, link}), reason] {
            stranger->closed = reason;
          });
  } else if (!wire->is_dark) {
    // Behind what is on its way.
    later(from, leaves_at(from, link) - from.now() + wire->latency(),
          {.kind = Event::Kind::gone, .reason = reason, .node = wire->node, .link = wire->other});
  }
  release(from, link);
}

void World::hear_gone(Node& node, LinkId link, CloseReason reason) {
  if (node.open_wire(link) == nullptr) return;
  release(node, link);
  if (!node.engine) return;
  const bool is_error = reason == CloseReason::transport_error;
  node.turn().link_closed(link, is_error ? reason : CloseReason::transport_closed, node.now());
  drive(node);
}

// ---- Strangers ------------------------------------------------------------------------------

World::Stranger& World::intrude(NodeNumber number) {
  Node& node = *nodes_[number];
  Stranger& stranger = *strangers_.emplace_back(std::make_unique<Stranger>());
  stranger.link = new_wire(node, nobody, low_);
  stranger.at = number;
  node.open(stranger.link, {});
  node.shard->strangers[{node.number, stranger.link}] = &stranger;
  node.turn().link_opened(
      stranger.link, {.dial = {}, .remote = {}, .remote_host = "10.9.9.9", .channel_binding = {}},
      now_);
  drive(node);
  return stranger;
}

void World::speak(Stranger& stranger, Bytes message) {
  later(*nodes_[stranger.at], low_,
        {.kind = Event::Kind::arrive,
         .node = static_cast<std::uint32_t>(stranger.at),
         .link = stranger.link,
         .batch = std::move(message)});
}

}  // namespace peer_relay::sim
