// SPDX-License-Identifier: MIT
#include "world.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <numbers>
#include <utility>

#include "world_parts.hpp"

namespace peer_relay::sim {

namespace {

constexpr std::int64_t unix_ms_at_zero = 1'800'000'000'000;  // some day in 2027

template <class Port>
std::unique_ptr<Crypto> make_port(Entropy& entropy) {
  return std::make_unique<Port>(entropy);
}

}  // namespace

std::string host_of(NodeNumber node) {
  return "10." + std::to_string(node >> 16 & 255) + "." + std::to_string(node >> 8 & 255) + "." +
         std::to_string(node & 255);
}

World::World(std::uint64_t seed, CryptoFlavour flavour, std::size_t threads)
    : World(seed,
            flavour == CryptoFlavour::sodium ? make_port<SeededCrypto> : make_port<ModelledCrypto>,
            threads) {}

World::World(std::uint64_t seed, MakeCrypto make_crypto, std::size_t threads)
    : seed_(seed), random_(seed) {
  for (std::size_t i = 0; i < threads; ++i) {
    Shard& shard = *shards_.emplace_back(std::make_unique<Shard>());
    shard.number = i;
    shard.now = now_;
    shard.crypto = make_crypto(shard.entropy);
    for (Shard::Plans& plans : shard.plans) plans.events.resize(threads);
  }
  if (threads > 1) {
    crew_ = std::make_unique<Crew>(threads, [this](std::size_t i) { pass_side_by_side(i); });
  }
}

World::~World() = default;

// ---- Nodes ----------------------------------------------------------------------------------

NodeNumber World::add(const NodeSpec& spec) {
  const NodeNumber number = nodes_.size();
  Node& node = *nodes_.emplace_back(std::make_unique<Node>());
  node.world = this;
  node.shard = shards_[number % shards_.size()].get();
  node.number = static_cast<std::uint32_t>(number);
  node.place = make_place(number);
  node.entropy = random_.split();
  node.shard->entropy.set_turn(node.entropy);
  Crypto& crypto = *node.shard->crypto;
  node.identity =
      spec.identity ? identity_from_seed(*spec.identity, crypto) : make_identity(crypto);
  start(node, spec);
  return number;
}

void World::start(Node& node, const NodeSpec& spec) {
  node.listens = spec.listens;
  ++node.life;
  node.wake = never;
  EngineOptions options;
  options.network = spec.network;
  options.agent = "world";
  for (const NodeNumber other : spec.bootstrap)
    options.bootstrap.push_back(*Address::parse(url(other)));
  if (spec.listens) {
    options.listening = {{Scheme::ws, port}};
    options.advertise.push_back(*Address::parse(url(node.number)));
  }
  options.cached_contacts = spec.cached_contacts;
  options.limits = spec.limits;
  options.unix_ms_at_zero = unix_ms_at_zero;
  options.contact_pool = node.shard->contact_pool;
  options.legacy = spec.legacy;
  options.webrtc = spec.webrtc;
  node.shard->entropy.set_turn(node.entropy);
  node.engine.emplace(std::move(options), node.identity, *node.shard->crypto, random_.next(), now_);
  if (spec.liar) node.engine->set_liar(spec.liar);
  node.engine->start(now_);
  drive(node);
}

World::Place World::make_place(NodeNumber node) const {
  Random random{seed_ ^ (node * 0x9e3779b97f4a7c15) ^ 0x5eed};
  const auto unit = [&random] { return static_cast<double>(random.next() >> 11) * 0x1p-53; };
  const double x = unit();
  const double y = unit();
  // Box and Muller; the smallest is not zero.
  const double normal =
      std::sqrt(-2 * std::log(1 - unit())) * std::cos(2 * std::numbers::pi * unit());
  return {.x = static_cast<float>(x),
          .y = static_cast<float>(y),
          .detour = static_cast<float>(4 * std::exp(0.8 * normal))};
}

void World::grow(std::size_t count, Duration settle_for) {
  for (std::size_t i = 0; i < count; ++i) {
    NodeSpec spec;
    if (!nodes_.empty()) spec.bootstrap = {random_.below(nodes_.size())};
    add(spec);
    run_for(std::chrono::milliseconds{100});
  }
  run_for(settle_for);
}

void World::kill(NodeNumber number) {
  Node& node = *nodes_[number];
  disconnect(node, true);
  node.engine.reset();
  ++node.life;
}

void World::unplug(NodeNumber number) {
  Node& node = *nodes_[number];
  disconnect(node, false);
  node.engine.reset();
  node.is_plugged = false;
  ++node.life;
}

void World::disconnect(Node& node, bool others_notice) {
  for (std::size_t place = 0; place < node.wires.size(); ++place) {
    const Wire& wire = node.wires[place];
    if (wire.state == Wire::State::free) continue;
    if (wire.state == Wire::State::open && others_notice && !wire.is_dark && wire.node != nobody) {
      later(node, wire.latency(),
            {.kind = Event::Kind::gone,
             .reason = CloseReason::transport_closed,
             .node = wire.node,
             .link = wire.other});
    }
    release(node, node.link_at(place));
  }
}

void World::restart(NodeNumber number, const NodeSpec& spec) { start(*nodes_[number], spec); }

void World::shut_down(NodeNumber number) {
  engine(number).shut_down(now_);
  drive(*nodes_[number]);
}

std::string World::url(NodeNumber node) const {
  return "ws://" + host_of(node) + ":" + std::to_string(port) + "/";
}

bool World::is_alive(NodeNumber node) const { return nodes_[node]->engine.has_value(); }
bool World::is_alive(NodeNumber node, std::uint64_t life) const {
  return is_alive(node) && nodes_[node]->life == life;
}
Engine& World::engine(NodeNumber node) { return nodes_[node]->turn(); }
const NodeId& World::id(NodeNumber node) const { return nodes_[node]->identity.id; }
const Identity& World::identity(NodeNumber node) const { return nodes_[node]->identity; }
const std::vector<Message>& World::inbox(NodeNumber node) const {
  return nodes_[node]->write().inbox;
}
std::optional<NotifyWish::ConnectDone> World::connected(NodeNumber node) const {
  return nodes_[node]->write().connect_done;
}
const std::vector<TraceHop>& World::hops(NodeNumber node) const {
  return nodes_[node]->write().hops;
}
const std::vector<NotifyWish::PeerLost>& World::lost(NodeNumber node) const {
  return nodes_[node]->write().lost;
}
const std::vector<Problem>& World::problems(NodeNumber node) const {
  return nodes_[node]->write().problems;
}
void World::make_silent(NodeNumber node) { nodes_[node]->is_silent = true; }
void World::tamper(NodeNumber node, Tamper tamper) {
  nodes_[node]->tamper = std::make_unique<Tamper>(std::move(tamper));
}

// ---- Applications ---------------------------------------------------------------------------

void World::send(NodeNumber from, const NodeId& to, std::string_view text) {
  static_cast<void>(engine(from).send(to, Payload::of_text(text), now_));
  drive(*nodes_[from]);
}

MessageId World::send_acknowledged(NodeNumber from, const NodeId& to, std::string_view text,
                                   AcknowledgedSend how) {
  const auto message = engine(from).send(to, Payload::of_text(text), how, now_);
  drive(*nodes_[from]);
  return message ? *message : 0;
}

void World::connect(NodeNumber from, const NodeId& to) {
  engine(from).connect(to, now_);
  drive(*nodes_[from]);
}

StreamId World::open_stream(NodeNumber from, const NodeId& to, StreamOptions how) {
  const auto stream = engine(from).open_stream(to, std::move(how), now_);
  if (stream) nodes_[from]->write().streams[*stream];
  drive(*nodes_[from]);
  return stream ? *stream : 0;
}

bool World::write(NodeNumber node, StreamId stream, Bytes bytes) {
  const bool is_taken = engine(node).stream_write(stream, std::move(bytes), now_);
  if (!is_taken) nodes_[node]->write().streams[stream].is_writable = false;
  drive(*nodes_[node]);
  return is_taken;
}

void World::finish(NodeNumber node, StreamId stream) {
  engine(node).stream_finish(stream, now_);
  drive(*nodes_[node]);
}

void World::reset(NodeNumber node, StreamId stream, std::uint32_t code) {
  engine(node).stream_reset(stream, StreamEnd::reset, code, now_);
  drive(*nodes_[node]);
}

void World::set_reading(NodeNumber node, StreamId stream, bool reads) {
  std::set<StreamId>& unread = nodes_[node]->write().unread_streams;
  if (!reads) {
    unread.insert(stream);
  } else if (unread.erase(stream) > 0) {
    nodes_[node]->read(stream);
  }
}

const std::map<StreamId, StreamPage>& World::streams(NodeNumber node) const {
  return nodes_[node]->write().streams;
}

std::uint64_t World::trace(NodeNumber from, const NodeId& to) {
  nodes_[from]->write().hops.clear();
  const std::uint64_t number = engine(from).trace(to, now_);
  drive(*nodes_[from]);
  return number;
}

std::vector<std::string> World::texts(NodeNumber node) const {
  std::vector<std::string> texts;
  for (const Message& message : inbox(node)) texts.emplace_back(message.payload.text());
  return texts;
}

void World::clear_inboxes() {
  for (const auto& node : nodes_) node->write().inbox.clear();
}

std::optional<SendResult> World::result(NodeNumber node, MessageId message) const {
  const auto& results = nodes_[node]->write().results;
  const auto at = results.find(message);
  return at == results.end() ? std::nullopt : std::optional{at->second};
}

Stats World::total() const {
  Stats total;
  for (const auto& node : nodes_) {
    if (!node->engine) continue;
    const Stats stats = node->engine->stats();
    total.links += stats.links;
    total.messages_sent += stats.messages_sent;
    total.messages_received += stats.messages_received;
    total.envelopes_originated += stats.envelopes_originated;
    total.envelopes_arrived += stats.envelopes_arrived;
    total.envelopes_relayed += stats.envelopes_relayed;
    total.transmissions += stats.transmissions;
    total.hops_arrived += stats.hops_arrived;
    total.lookups += stats.lookups;
    total.lookups_answered += stats.lookups_answered;
    total.links_opened += stats.links_opened;
    total.bytes_out += stats.bytes_out;
    for (std::size_t i = 0; i < std::size(total.dropped); ++i) total.dropped[i] += stats.dropped[i];
  }
  return total;
}

std::uint64_t World::data_channels() const {
  std::uint64_t all = 0;
  for (const auto& shard : shards_) all += shard->data_channels;
  return all;
}

std::uint64_t World::event_hash() const {
  std::uint64_t hash = hash_of_nothing;
  for (const auto& node : nodes_) hash = mix(hash, node->events);
  return hash;
}

std::uint64_t seed_from_environment(std::uint64_t usual) {
  const char* const text = std::getenv("PEER_RELAY_SEED");
  const std::uint64_t seed = text != nullptr ? std::strtoull(text, nullptr, 10) : usual;
  std::printf("repeat with PEER_RELAY_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

}  // namespace peer_relay::sim
