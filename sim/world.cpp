// SPDX-License-Identifier: MIT
#include "world.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <numbers>
#include <utility>

#include "core/engine/drive.hpp"

namespace peer_relay::sim {

namespace {

constexpr std::uint16_t port = 8000;
constexpr std::int64_t unix_ms_at_zero = 1'800'000'000'000;  // some day in 2027

std::string host_of(NodeNumber node) {
  return "10." + std::to_string(node >> 16 & 255) + "." + std::to_string(node >> 8 & 255) + "." +
         std::to_string(node & 255);
}

std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {  // FNV-1a, a word at a time
  return (hash ^ value) * 1099511628211u;
}

}  // namespace

/// One end is a node's, the other a node's or a stranger's.
struct World::Channel {
  struct End {
    std::optional<NodeNumber> node;
    Stranger* stranger = nullptr;
    LinkId link{};
    bool is_open = false;
    TimePoint last_arrival{};  // links are ordered
    TimePoint busy_until{};    // slow ones: when what was sent so far has left
  };
  End ends[2];
  Duration latency{};
  bool is_dark = false;
  bool is_stalled = false;
  std::vector<Happening> held;         // while stalled
  std::uint64_t bytes_per_second = 0;  // 0: as much as there is
};

struct World::Node {
  World* world = nullptr;
  NodeNumber number = 0;
  Identity identity;
  std::unique_ptr<Engine> engine;
  std::uint64_t life = 0;  // engines so far: what was meant for an earlier one is void
  NodeSpec spec;
  bool is_silent = false;
  bool is_plugged = true;
  TimePoint wake = never;
  Tamper tamper;
  std::map<LinkId, std::shared_ptr<Channel>> channels;

  std::vector<Message> inbox;
  std::map<MessageId, SendResult> results;
  std::vector<NotifyWish::PeerLost> lost;
  std::vector<Problem> problems;
  std::vector<TraceHop> hops;
  std::optional<NotifyWish::ConnectDone> connect_done;

  // The host's side of drive().
  void perform(Action action) {
    std::visit([this](auto&& one) { act(std::forward<decltype(one)>(one)); }, std::move(action));
  }
  void wake_at(TimePoint at) {
    if (at == never || at == wake) return;
    wake = at;
    const std::uint64_t this_life = life;
    world->later(std::max(at - world->now_, Duration{}), [this, this_life, at] {
      if (life != this_life || engine == nullptr || wake != at) return;
      wake = never;
      engine->wake(world->now_);
      world->drive(number);
      // A room that is due again at once would keep a real host spinning.
      if (engine->next_wake() <= world->now_) {
        std::fprintf(stderr, "node %zu was woken, and is due still\n", number);
        std::abort();
      }
    });
  }

  void act(Transmit transmit) { world->transmit(number, transmit.link, std::move(transmit.batch)); }
  void act(const Dial& dial) { world->dial(number, dial.dial, dial.address); }
  void act(const CloseLink& close) { world->close(number, close.link, close.reason); }
  void act(Notify notify) {
    std::visit([this](auto&& event) { note(std::forward<decltype(event)>(event)); },
               std::move(notify.event));
  }

  void note(Message message) {
    if (world->audience_ != nullptr) return world->audience_->message(number, message);
    inbox.push_back(std::move(message));
  }
  void note(const NotifyWish::SendDone& done) {
    if (world->audience_ != nullptr) {
      return world->audience_->sent(number, done.message, done.result);
    }
    if (!results.emplace(done.message, done.result).second) {
      std::fprintf(stderr, "a send ended twice\n");
      std::abort();
    }
  }
  void note(const NotifyWish::PeerUp&) {}
  void note(const NotifyWish::PeerLost& peer) {
    if (world->audience_ == nullptr) lost.push_back(peer);
  }
  void note(const NotifyWish::ConnectDone& done) { connect_done = done; }
  void note(const NotifyWish::Traced& traced) { hops.push_back(traced.hop); }
  void note(Problem problem) {
    if (world->audience_ == nullptr) problems.push_back(std::move(problem));
  }
  void note(const NotifyWish::Joined&) {}
};

World::World(std::uint64_t seed, CryptoFlavour flavour) : seed_(seed), random_(seed) {
  if (flavour == CryptoFlavour::sodium) {
    crypto_ = std::make_unique<SeededCrypto>(random_.next());
  } else {
    crypto_ = std::make_unique<ModelledCrypto>(random_.next());
  }
}
World::~World() = default;

// ---- Nodes ----------------------------------------------------------------------------------

NodeNumber World::add(const NodeSpec& spec) {
  const NodeNumber number = nodes_.size();
  auto node = std::make_unique<Node>();
  node->world = this;
  node->number = number;
  node->identity =
      spec.identity ? identity_from_seed(*spec.identity, *crypto_) : make_identity(*crypto_);
  nodes_.push_back(std::move(node));
  start(number, spec);
  return number;
}

void World::start(NodeNumber number, const NodeSpec& spec) {
  Node& node = *nodes_[number];
  node.spec = spec;
  ++node.life;
  node.wake = never;
  EngineOptions options;
  options.network = spec.network;
  options.agent = "world";
  for (const NodeNumber other : spec.bootstrap)
    options.bootstrap.push_back(*Address::parse(url(other)));
  if (spec.listens) {
    options.listen_port = port;
    options.advertise.push_back(*Address::parse(url(number)));
  }
  options.cached_contacts = spec.cached_contacts;
  options.limits = spec.limits;
  options.unix_ms_at_zero = unix_ms_at_zero;
  node.engine =
      std::make_unique<Engine>(std::move(options), node.identity, *crypto_, random_.next(), now_);
  if (spec.liar) node.engine->set_liar(spec.liar);
  node.engine->start(now_);
  drive(number);
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

void World::disconnect(NodeNumber number, bool others_notice) {
  Node& node = *nodes_[number];
  for (const auto& [link, channel] : node.channels) {
    const int mine = channel->ends[0].node == number ? 0 : 1;
    channel->ends[mine].is_open = false;
    Channel::End& other = channel->ends[1 - mine];
    if (!others_notice || channel->is_dark) continue;
    later(channel->latency, [this, channel, mine] {
      Channel::End& end = channel->ends[1 - mine];
      if (!end.is_open || !end.node) return;
      end.is_open = false;
      Node& peer = *nodes_[*end.node];
      peer.channels.erase(end.link);
      if (peer.engine == nullptr) return;
      peer.engine->link_closed(end.link, CloseReason::transport_closed, now_);
      drive(*end.node);
    });
    static_cast<void>(other);
  }
  node.channels.clear();
}

void World::kill(NodeNumber number) {
  disconnect(number, true);
  nodes_[number]->engine.reset();
  ++nodes_[number]->life;
}

void World::unplug(NodeNumber number) {
  disconnect(number, false);
  nodes_[number]->engine.reset();
  nodes_[number]->is_plugged = false;
  ++nodes_[number]->life;
}

void World::restart(NodeNumber number, const NodeSpec& spec) { start(number, spec); }

void World::shut_down(NodeNumber number) {
  nodes_[number]->engine->shut_down(now_);
  drive(number);
}

std::string World::url(NodeNumber node) const {
  return "ws://" + host_of(node) + ":" + std::to_string(port) + "/";
}

bool World::is_alive(NodeNumber node) const { return nodes_[node]->engine != nullptr; }
Engine& World::engine(NodeNumber node) { return *nodes_[node]->engine; }
const NodeId& World::id(NodeNumber node) const { return nodes_[node]->identity.id; }
const Identity& World::identity(NodeNumber node) const { return nodes_[node]->identity; }
const std::vector<Message>& World::inbox(NodeNumber node) const { return nodes_[node]->inbox; }
std::optional<NotifyWish::ConnectDone> World::connected(NodeNumber node) const {
  return nodes_[node]->connect_done;
}
const std::vector<TraceHop>& World::hops(NodeNumber node) const { return nodes_[node]->hops; }
const std::vector<NotifyWish::PeerLost>& World::lost(NodeNumber node) const {
  return nodes_[node]->lost;
}
const std::vector<Problem>& World::problems(NodeNumber node) const {
  return nodes_[node]->problems;
}
void World::make_silent(NodeNumber node) { nodes_[node]->is_silent = true; }
void World::tamper(NodeNumber node, Tamper tamper) { nodes_[node]->tamper = std::move(tamper); }

// ---- Applications ---------------------------------------------------------------------------

void World::send(NodeNumber from, const NodeId& to, std::string_view text) {
  static_cast<void>(engine(from).send(to, Payload::of_text(text), now_));
  drive(from);
}

MessageId World::send_acknowledged(NodeNumber from, const NodeId& to, std::string_view text,
                                   AcknowledgedSend how) {
  const auto message = engine(from).send(to, Payload::of_text(text), how, now_);
  drive(from);
  return message ? *message : 0;
}

void World::connect(NodeNumber from, const NodeId& to) {
  engine(from).connect(to, now_);
  drive(from);
}

std::uint64_t World::trace(NodeNumber from, const NodeId& to) {
  nodes_[from]->hops.clear();
  const std::uint64_t number = engine(from).trace(to, now_);
  drive(from);
  return number;
}

std::vector<std::string> World::texts(NodeNumber node) const {
  std::vector<std::string> texts;
  for (const Message& message : inbox(node)) texts.emplace_back(message.payload.text());
  return texts;
}

void World::clear_inboxes() {
  for (const auto& node : nodes_) node->inbox.clear();
}

std::optional<SendResult> World::result(NodeNumber node, MessageId message) const {
  const auto at = nodes_[node]->results.find(message);
  return at == nodes_[node]->results.end() ? std::nullopt : std::optional{at->second};
}

Stats World::total() const {
  Stats total;
  for (const auto& node : nodes_) {
    if (node->engine == nullptr) continue;
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

// ---- Links ----------------------------------------------------------------------------------

bool World::are_linked(NodeNumber a, NodeNumber b) const {
  return nodes_[a]->engine != nullptr && nodes_[a]->engine->peer(id(b), now_).has_value();
}

std::shared_ptr<World::Channel> World::channel_between(NodeNumber a, NodeNumber b) const {
  for (const auto& [link, channel] : nodes_[a]->channels) {
    if (channel->ends[0].node == b || channel->ends[1].node == b) return channel;
  }
  return nullptr;
}

std::size_t World::channels(NodeNumber a, NodeNumber b) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(nodes_[a]->channels, [&](const auto& entry) {
        return entry.second->ends[0].node == b || entry.second->ends[1].node == b;
      }));
}

void World::go_dark(NodeNumber a, NodeNumber b) {
  if (const auto channel = channel_between(a, b)) channel->is_dark = true;
}

void World::stall(NodeNumber a, NodeNumber b) {
  if (const auto channel = channel_between(a, b)) channel->is_stalled = true;
}

void World::resume(NodeNumber a, NodeNumber b) {
  const auto channel = channel_between(a, b);
  if (channel == nullptr) return;
  channel->is_stalled = false;
  for (auto& happen : std::exchange(channel->held, {})) later(channel->latency, std::move(happen));
}

void World::cut(NodeNumber a, NodeNumber b) {
  const auto channel = channel_between(a, b);
  if (channel == nullptr) return;
  for (int end = 0; end < 2; ++end) {
    later({}, [this, channel, end] {
      Channel::End& mine = channel->ends[end];
      if (!mine.is_open || !mine.node) return;
      mine.is_open = false;
      Node& node = *nodes_[*mine.node];
      node.channels.erase(mine.link);
      if (node.engine == nullptr) return;
      node.engine->link_closed(mine.link, CloseReason::transport_error, now_);
      drive(*mine.node);
    });
  }
}

void World::forbid(NodeNumber a, NodeNumber b) { forbidden_.emplace_back(a, b); }

namespace {

struct Place {
  double x = 0;
  double y = 0;
  double detour = 0;  // ms
};

Place place_of(std::uint64_t seed, NodeNumber node) {
  Random random{seed ^ (node * 0x9e3779b97f4a7c15) ^ 0x5eed};
  const auto unit = [&random] { return static_cast<double>(random.next() >> 11) * 0x1p-53; };
  const double x = unit();
  const double y = unit();
  // Box and Muller; the smallest is not zero.
  const double normal =
      std::sqrt(-2 * std::log(1 - unit())) * std::cos(2 * std::numbers::pi * unit());
  return {.x = x, .y = y, .detour = 4 * std::exp(0.8 * normal)};
}

}  // namespace

bool World::is_slow(NodeNumber a, NodeNumber b) const {
  const auto [low, high] = std::minmax(a, b);
  Random pair{seed_ ^ (low * 0x9e3779b97f4a7c15) ^ (high << 20) ^ 0x510};
  return pair.below(1000) < slow_per_mille_;
}

void World::tear() {
  is_torn_ = true;
  for (NodeNumber a = 0; a < nodes_.size(); a += 2) {
    std::vector<NodeNumber> across;
    for (const auto& [link, channel] : nodes_[a]->channels) {
      for (const Channel::End& end : channel->ends) {
        if (end.node && *end.node % 2 != 0) across.push_back(*end.node);
      }
    }
    for (const NodeNumber b : across) cut(a, b);
  }
}

Duration World::latency(NodeNumber a, NodeNumber b) const {
  if (is_internet_) {
    const Place one = place_of(seed_, a);
    const Place other = place_of(seed_, b);
    const double ms = 80 * std::hypot(one.x - other.x, one.y - other.y) + one.detour + other.detour;
    return std::chrono::microseconds{static_cast<std::int64_t>(ms * 1000)};
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

void World::dial(NodeNumber from, DialId dial, const Address& address) {
  const auto to = node_at(address);
  const std::uint64_t life = nodes_[from]->life;
  const auto fail = [this, from, dial, life](Duration wait, DialError error) {
    later(wait, [this, from, dial, life, error] {
      if (nodes_[from]->life != life || nodes_[from]->engine == nullptr) return;
      nodes_[from]->engine->dial_failed(dial, error, now_);
      drive(from);
    });
  };
  if (!to) return fail(high_, DialError::refused);
  const Duration there = latency(from, *to);
  if (is_torn_ && from % 2 != *to % 2) return fail(limits::dial_timeout, DialError::timed_out);
  const bool is_forbidden = std::ranges::any_of(forbidden_, [&](const auto& pair) {
    return (pair.first == from && pair.second == *to) || (pair.first == *to && pair.second == from);
  });
  if (is_forbidden) return fail(2 * there, DialError::unreachable);
  if (!nodes_[*to]->is_plugged || nodes_[*to]->is_silent) {
    return fail(limits::dial_timeout, DialError::timed_out);
  }
  later(there, [this, from, to, dial, life, there, fail] {
    Node& listener = *nodes_[*to];
    if (is_torn_ && from % 2 != *to % 2) return fail(there, DialError::timed_out);
    if (listener.engine == nullptr || !listener.spec.listens) {
      return fail(there, DialError::refused);
    }
    auto channel = std::make_shared<Channel>();
    channel->latency = there;
    if (slow_per_mille_ > 0 && is_slow(from, *to)) {
      channel->bytes_per_second = slow_bytes_per_second_;
    }
    channel->ends[0].node = from;
    channel->ends[0].link = LinkId{++next_link_};
    channel->ends[1].node = to;
    channel->ends[1].link = LinkId{++next_link_};
    channel->ends[1].is_open = true;
    listener.channels.emplace(channel->ends[1].link, channel);
    listener.engine->link_opened(channel->ends[1].link,
                                 {.dial = {},
                                  .remote = host_of(from) + ":40000",
                                  .remote_host = host_of(from),
                                  .channel_binding = {}},
                                 now_);
    drive(*to);
    later(there, [this, from, to, dial, life, channel] {
      Node& dialer = *nodes_[from];
      if (dialer.life != life || dialer.engine == nullptr) return;
      channel->ends[0].is_open = true;
      dialer.channels.emplace(channel->ends[0].link, channel);
      dialer.engine->link_opened(
          channel->ends[0].link,
          {.dial = dial, .remote = url(*to), .remote_host = host_of(*to), .channel_binding = {}},
          now_);
      drive(from);
    });
  });
}

void World::transmit(NodeNumber from, LinkId link, Bytes batch) {
  Node& node = *nodes_[from];
  const auto at = node.channels.find(link);
  if (at == node.channels.end()) return;
  const std::shared_ptr<Channel> channel = at->second;
  const int end = channel->ends[0].node == from && channel->ends[0].link == link ? 0 : 1;
  if (node.tamper) node.tamper(batch);
  const auto taken = [this, channel, end] {
    const Channel::End& mine = channel->ends[end];
    if (!mine.is_open || !mine.node || nodes_[*mine.node]->engine == nullptr) return;
    nodes_[*mine.node]->engine->link_writable(mine.link, now_);
    drive(*mine.node);
  };
  Duration in_the_way{};
  if (channel->bytes_per_second > 0) {
    TimePoint& busy_until = channel->ends[end].busy_until;
    busy_until =
        std::max(busy_until, now_) +
        Duration{static_cast<Duration::rep>(batch.size() * 1'000'000 / channel->bytes_per_second)};
    in_the_way = busy_until - now_;
  }
  auto carried = [this, channel, end, batch = std::move(batch)]() mutable {
    arrive(channel, 1 - end, std::move(batch));
  };
  if (channel->is_stalled) {
    channel->held.push_back(std::move(carried));
    channel->held.push_back(taken);
    return;
  }
  Channel::End& other = channel->ends[1 - end];
  const TimePoint arrival = std::max(now_ + in_the_way + channel->latency, other.last_arrival);
  other.last_arrival = arrival;
  later(arrival - now_, std::move(carried));
  later(in_the_way + std::chrono::microseconds{100}, taken);
}

void World::arrive(const std::shared_ptr<Channel>& channel, int end, Bytes message) {
  Channel::End& mine = channel->ends[end];
  if (channel->is_dark) return;
  if (mine.stranger != nullptr) {
    mine.stranger->received.push_back(std::move(message));
    return;
  }
  if (!mine.is_open || !mine.node || nodes_[*mine.node]->engine == nullptr) return;
  event_hash_ = mix(mix(event_hash_, static_cast<std::uint64_t>(now_.time_since_epoch().count())),
                    static_cast<std::uint64_t>(mine.link) << 32 | message.size());
  nodes_[*mine.node]->engine->link_received(mine.link, message, now_);
  drive(*mine.node);
}

void World::close(NodeNumber from, LinkId link, CloseReason reason) {
  Node& node = *nodes_[from];
  const auto at = node.channels.find(link);
  if (at == node.channels.end()) return;
  const std::shared_ptr<Channel> channel = at->second;
  node.channels.erase(at);
  const int end = channel->ends[0].node == from && channel->ends[0].link == link ? 0 : 1;
  channel->ends[end].is_open = false;
  const std::uint64_t life = node.life;
  later({}, [this, from, link, reason, life] {
    if (nodes_[from]->life != life || nodes_[from]->engine == nullptr) return;
    nodes_[from]->engine->link_closed(link, reason, now_);
    drive(from);
  });
  if (channel->is_dark) return;
  // Behind what is on its way.
  Channel::End& other = channel->ends[1 - end];
  later(std::max(now_ + channel->latency, other.last_arrival) - now_, [this, channel, end, reason] {
    Channel::End& there = channel->ends[1 - end];
    if (there.stranger != nullptr) {
      there.stranger->closed = reason;
      return;
    }
    if (!there.is_open || !there.node) return;
    there.is_open = false;
    Node& peer = *nodes_[*there.node];
    peer.channels.erase(there.link);
    if (peer.engine == nullptr) return;
    peer.engine->link_closed(there.link, CloseReason::transport_closed, now_);
    drive(*there.node);
  });
}

World::Stranger& World::intrude(NodeNumber number) {
  strangers_.push_back(std::make_unique<Stranger>());
  Stranger& stranger = *strangers_.back();
  auto channel = std::make_shared<Channel>();
  channel->latency = low_;
  channel->ends[0].stranger = &stranger;
  channel->ends[0].is_open = true;
  channel->ends[1].node = number;
  channel->ends[1].link = stranger.link = LinkId{++next_link_};
  channel->ends[1].is_open = true;
  stranger.at = number;
  Node& node = *nodes_[number];
  node.channels.emplace(stranger.link, channel);
  node.engine->link_opened(
      stranger.link,
      {.dial = {}, .remote = "10.9.9.9:1", .remote_host = "10.9.9.9", .channel_binding = {}}, now_);
  drive(number);
  return stranger;
}

void World::speak(Stranger& stranger, Bytes message) {
  Node& node = *nodes_[stranger.at];
  const auto at = node.channels.find(stranger.link);
  if (at == node.channels.end()) return;
  later(low_, [this, channel = at->second, message = std::move(message)]() mutable {
    arrive(channel, 1, std::move(message));
  });
}

// ---- Time -----------------------------------------------------------------------------------

void World::later(Duration wait, Happening happen) {
  events_.push_back({now_ + wait, next_order_++, std::move(happen)});
  std::ranges::push_heap(events_, std::less{});
}

void World::drive(NodeNumber number) {
  Node& node = *nodes_[number];
  if (node.engine != nullptr) peer_relay::drive(*node.engine, node);
}

void World::run_for(Duration duration) {
  const TimePoint end = now_ + duration;
  while (!events_.empty() && events_.front().at <= end) {
    std::ranges::pop_heap(events_, std::less{});
    Event event = std::move(events_.back());
    events_.pop_back();
    now_ = event.at;
    event.happen();
  }
  now_ = end;
}

bool World::run_until(const std::function<bool()>& condition, Duration at_most) {
  const TimePoint end = now_ + at_most;
  while (!condition()) {
    if (now_ >= end) return false;
    run_for(std::min(end - now_, Duration{std::chrono::milliseconds{10}}));
  }
  return true;
}

std::uint64_t seed_from_environment(std::uint64_t usual) {
  const char* const text = std::getenv("PEER_RELAY_SEED");
  const std::uint64_t seed = text != nullptr ? std::strtoull(text, nullptr, 10) : usual;
  std::printf("repeat with PEER_RELAY_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

}  // namespace peer_relay::sim
