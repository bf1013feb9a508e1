// SPDX-License-Identifier: MIT
#include "world.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <numbers>
#include <set>
#include <sstream>
#include <utility>

#include "base/gentle_growth.hpp"
#include "base/prefetch.hpp"
#include "core/engine/drive.hpp"

namespace peer_relay::sim {

namespace {

constexpr std::uint16_t port = 8000;
constexpr std::int64_t unix_ms_at_zero = 1'800'000'000'000;  // some day in 2027

std::string host_of(NodeNumber node) {
  return "10." + std::to_string(node >> 16 & 255) + "." + std::to_string(node >> 8 & 255) + "." +
         std::to_string(node & 255);
}

constexpr std::uint32_t nobody = 0xffffffff;

// A link's number: 31 bits of the channel's generation, 32 of its place, and which end.
std::uint32_t place_of(LinkId link) {
  return static_cast<std::uint32_t>(static_cast<std::uint64_t>(link) >> 1);
}
int end_of(LinkId link) { return static_cast<int>(static_cast<std::uint64_t>(link) & 1); }
LinkId other_end(LinkId link) { return LinkId{static_cast<std::uint64_t>(link) ^ 1}; }

std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {  // FNV-1a, a word at a time
  return (hash ^ value) * 1099511628211u;
}

}  // namespace

/// Two ends, each a node's; the first may be a stranger's.
struct World::Channel {
  struct End {
    TimePoint last_arrival{};  // links are ordered
    std::uint32_t node = nobody;
    bool is_open = false;
  };
  End ends[2];
  std::uint32_t generation = 0;  // of this place, so that no number comes twice
  std::uint32_t latency_us = 0;
  bool is_dark = false;
  bool is_stalled = false;
  bool is_slow = false;

  Duration latency() const { return Duration{latency_us}; }
};

struct World::Place {
  float x = 0;
  float y = 0;
  float detour = 0;  // ms
};

/// What an application was told; for the small worlds of tests.
struct World::Diary {
  std::vector<Message> inbox;
  std::map<MessageId, SendResult> results;
  std::vector<NotifyWish::PeerLost> lost;
  std::vector<Problem> problems;
  std::vector<TraceHop> hops;
  std::optional<NotifyWish::ConnectDone> connect_done;
  std::map<StreamId, StreamPage> streams;
  std::set<StreamId> unread_streams;
};

struct World::Node {
  World* world = nullptr;
  std::uint32_t number = 0;
  bool listens = true;
  bool is_silent = false;
  bool is_plugged = true;
  Place place;
  Identity identity;
  std::optional<Engine> engine;
  std::uint64_t life = 0;  // engines so far: what was meant for an earlier one is void
  TimePoint wake = never;
  std::unique_ptr<Tamper> tamper;
  std::vector<LinkId> links;
  std::unique_ptr<Diary> diary;

  Diary& write() {
    if (diary == nullptr) diary = std::make_unique<Diary>();
    return *diary;
  }

  // The host's side of drive().
  void perform(Action action) {
    std::visit([this](auto&& one) { act(std::forward<decltype(one)>(one)); }, std::move(action));
  }
  void wake_at(TimePoint at) {
    if (at == never || at == wake) return;
    wake = at;
    world->later(std::max(at - world->now_, Duration{}),
                 {.kind = Event::Kind::wake, .node = number});
  }

  void act(Transmit transmit) { world->transmit(transmit.link, std::move(transmit.batch)); }
  void act(const Dial& dial) { world->dial(number, dial.dial, dial.address); }
  void act(Negotiate what) { world->negotiate(number, std::move(what)); }
  void act(const CloseLink& close) { world->close(number, close.link, close.reason); }
  void act(Notify notify) {
    std::visit([this](auto&& event) { note(std::forward<decltype(event)>(event)); },
               std::move(notify.event));
  }

  void note(Message message) {
    if (world->audience_ != nullptr) return world->audience_->message(number, message);
    write().inbox.push_back(std::move(message));
  }
  void note(const NotifyWish::SendDone& done) {
    if (world->audience_ != nullptr) {
      return world->audience_->sent(number, done.message, done.result);
    }
    if (!write().results.emplace(done.message, done.result).second) {
      std::fprintf(stderr, "a send ended twice\n");
      std::abort();
    }
  }
  void note(const NotifyWish::PeerUp&) {}
  void note(const NotifyWish::PeerLost& peer) {
    if (world->audience_ == nullptr) write().lost.push_back(peer);
  }
  void note(const NotifyWish::ConnectDone& done) { write().connect_done = done; }
  void note(const NotifyWish::AddressDone&) {}
  // No node of a world speaks with npm peer-exchange.
  void note(const NotifyWish::ExchangePeerUp&) {}
  void note(const NotifyWish::ExchangeBytes&) {}
  void note(const NotifyWish::ExchangeWritable&) {}
  void note(const NotifyWish::ExchangeEnded&) {}
  void note(const NotifyWish::ExchangePeerDown&) {}
  void note(const NotifyWish::ExchangeFailed&) {}
  void note(const NotifyWish::Traced& traced) { write().hops.push_back(traced.hop); }
  void note(Problem problem) {
    if (world->audience_ == nullptr) write().problems.push_back(std::move(problem));
  }
  void note(const NotifyWish::Joined&) {}
  void note(NotifyWish::StreamOpened opened) {
    StreamPage& page = write().streams[opened.stream];
    page.peer = opened.peer;
    page.label = std::move(opened.label);
    page.is_ours = false;
  }
  void note(const NotifyWish::StreamAccepted& accepted) {
    write().streams[accepted.stream].is_accepted = true;
  }
  void note(const NotifyWish::StreamBytes& more) {
    StreamPage& page = write().streams[more.stream];
    page.bytes.insert(page.bytes.end(), more.bytes.begin(), more.bytes.end());
    page.unread_bytes += more.bytes.size();
    if (!write().unread_streams.contains(more.stream)) read(more.stream);
  }
  void note(const NotifyWish::StreamFinished& finished) {
    write().streams[finished.stream].has_finished = true;
  }
  void note(const NotifyWish::StreamWritable& writable) {
    write().streams[writable.stream].is_writable = true;
  }
  void note(const NotifyWish::StreamClosed& closed) {
    StreamPage& page = write().streams[closed.stream];
    if (page.end) {
      std::fprintf(stderr, "a stream ended twice\n");
      std::abort();
    }
    page.end = closed.end;
    page.code = closed.code;
  }

  // Not from inside of what the engine tells.
  void read(StreamId stream) {
    world->later(Duration{}, [this, stream, in = life] {
      if (in != life || !engine) return;
      const std::size_t bytes = std::exchange(write().streams[stream].unread_bytes, 0);
      if (bytes == 0) return;
      engine->stream_consumed(stream, bytes, world->now_);
      world->drive(number);
    });
  }
};

namespace {

template <class Port>
std::unique_ptr<Crypto> make_port(std::uint64_t seed) {
  return std::make_unique<Port>(seed);
}

}  // namespace

World::World(std::uint64_t seed, CryptoFlavour flavour)
    : World(seed, flavour == CryptoFlavour::sodium ? make_port<SeededCrypto>
                                                   : make_port<ModelledCrypto>) {}

World::World(std::uint64_t seed, MakeCrypto make_crypto)
    : seed_(seed), random_(seed), crypto_(make_crypto(random_.next())) {}

World::~World() = default;

// ---- Nodes ----------------------------------------------------------------------------------

NodeNumber World::add(const NodeSpec& spec) {
  const NodeNumber number = nodes_.size();
  auto node = std::make_unique<Node>();
  node->world = this;
  node->number = static_cast<std::uint32_t>(number);
  node->place = make_place(number);
  node->identity =
      spec.identity ? identity_from_seed(*spec.identity, *crypto_) : make_identity(*crypto_);
  nodes_.push_back(std::move(node));
  start(number, spec);
  return number;
}

void World::start(NodeNumber number, const NodeSpec& spec) {
  Node& node = *nodes_[number];
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
    options.advertise.push_back(*Address::parse(url(number)));
  }
  options.cached_contacts = spec.cached_contacts;
  options.limits = spec.limits;
  options.unix_ms_at_zero = unix_ms_at_zero;
  options.contact_pool = contact_pool_;
  options.legacy = spec.legacy;
  options.webrtc = spec.webrtc;
  node.engine.emplace(std::move(options), node.identity, *crypto_, random_.next(), now_);
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

bool World::is_alive(NodeNumber node) const { return nodes_[node]->engine.has_value(); }
Engine& World::engine(NodeNumber node) { return *nodes_[node]->engine; }
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

StreamId World::open_stream(NodeNumber from, const NodeId& to, StreamOptions how) {
  const auto stream = engine(from).open_stream(to, std::move(how), now_);
  if (stream) nodes_[from]->write().streams[*stream];
  drive(from);
  return stream ? *stream : 0;
}

bool World::write(NodeNumber node, StreamId stream, Bytes bytes) {
  const bool is_taken = engine(node).stream_write(stream, std::move(bytes), now_);
  if (!is_taken) nodes_[node]->write().streams[stream].is_writable = false;
  drive(node);
  return is_taken;
}

void World::finish(NodeNumber node, StreamId stream) {
  engine(node).stream_finish(stream, now_);
  drive(node);
}

void World::reset(NodeNumber node, StreamId stream, std::uint32_t code) {
  engine(node).stream_reset(stream, StreamEnd::reset, code, now_);
  drive(node);
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
  drive(from);
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

// ---- Links ----------------------------------------------------------------------------------

bool World::are_linked(NodeNumber a, NodeNumber b) const {
  return nodes_[a]->engine.has_value() && nodes_[a]->engine->peer(id(b), now_).has_value();
}

LinkId World::open_channel(std::uint32_t first, std::uint32_t second, Duration latency) {
  std::uint32_t place = static_cast<std::uint32_t>(channels_.size());
  if (free_channels_.empty()) {
    channels_.emplace_back();
  } else {
    place = free_channels_.back();
    free_channels_.pop_back();
  }
  Channel& channel = channels_[place];
  channel = {.ends = {{.node = first}, {.node = second}},
             .generation = channel.generation + 1,
             .latency_us = static_cast<std::uint32_t>(latency.count())};
  return LinkId{std::uint64_t{channel.generation} << 33 | std::uint64_t{place} << 1};
}

World::Channel* World::channel_of(LinkId link) {
  return const_cast<Channel*>(std::as_const(*this).channel_of(link));
}

const World::Channel* World::channel_of(LinkId link) const {
  const Channel& channel = channels_[place_of(link)];
  return channel.generation == static_cast<std::uint64_t>(link) >> 33 ? &channel : nullptr;
}

/// The end opens.
void World::attach(LinkId link) {
  Channel::End& end = channel_of(link)->ends[end_of(link)];
  end.is_open = true;
  std::vector<LinkId>& links = nodes_[end.node]->links;
  grow_gently(links);
  links.push_back(link);
}

/// The end closes; with the other one closed too, the channel is no more.
void World::detach(LinkId link) {
  Channel& channel = *channel_of(link);
  Channel::End& end = channel.ends[end_of(link)];
  end.is_open = false;
  std::vector<LinkId>& links = nodes_[end.node]->links;
  const auto at = std::ranges::find(links, link);
  *at = links.back();
  links.pop_back();
  if (channel.ends[1 - end_of(link)].is_open) return;
  const std::uint32_t place = place_of(link);
  if (channel.is_stalled) held_.erase(place);
  if (channel.is_slow) {
    busy_until_.erase(link);
    busy_until_.erase(other_end(link));
  }
  ++channel.generation;  // what is on its way arrives nowhere
  free_channels_.push_back(place);
}

std::optional<LinkId> World::link_between(NodeNumber a, NodeNumber b) const {
  for (const LinkId link : nodes_[a]->links) {
    if (channel_of(link)->ends[1 - end_of(link)].node == b) return link;
  }
  return std::nullopt;
}

std::size_t World::channels(NodeNumber a, NodeNumber b) const {
  return static_cast<std::size_t>(std::ranges::count_if(nodes_[a]->links, [&](LinkId link) {
    return channel_of(link)->ends[1 - end_of(link)].node == b;
  }));
}

void World::disconnect(NodeNumber number, bool others_notice) {
  const std::vector<LinkId> links = nodes_[number]->links;
  for (const LinkId link : links) {
    const Channel& channel = *channel_of(link);
    if (others_notice && !channel.is_dark) {
      later(channel.latency(),
            {.kind = Event::Kind::gone, .reason = CloseReason::transport_closed, .link = link});
    }
    detach(link);
  }
}

void World::go_dark(NodeNumber a, NodeNumber b) {
  if (const auto link = link_between(a, b)) channel_of(*link)->is_dark = true;
}

void World::stall(NodeNumber a, NodeNumber b) {
  if (const auto link = link_between(a, b)) channel_of(*link)->is_stalled = true;
}

void World::resume(NodeNumber a, NodeNumber b) {
  const auto link = link_between(a, b);
  if (!link) return;
  Channel& channel = *channel_of(*link);
  channel.is_stalled = false;
  const auto held = held_.extract(place_of(*link));
  if (held.empty()) return;
  for (Event& event : held.mapped()) later(channel.latency(), std::move(event));
}

void World::cut(NodeNumber a, NodeNumber b) {
  const auto link = link_between(a, b);
  if (!link) return;
  for (const LinkId end : {*link, other_end(*link)}) {
    later({}, {.kind = Event::Kind::gone,
               .reason = CloseReason::transport_error,
               .link = other_end(end)});
  }
}

void World::forbid(NodeNumber a, NodeNumber b) { forbidden_.emplace_back(a, b); }
void World::permit(NodeNumber a, NodeNumber b) {
  std::erase_if(forbidden_, [a, b](const auto& pair) {
    return pair == std::pair{a, b} || pair == std::pair{b, a};
  });
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

bool World::is_slow(NodeNumber a, NodeNumber b) const {
  const auto [low, high] = std::minmax(a, b);
  Random pair{seed_ ^ (low * 0x9e3779b97f4a7c15) ^ (high << 20) ^ 0x510};
  return pair.below(1000) < slow_per_mille_;
}

void World::tear() {
  is_torn_ = true;
  for (NodeNumber a = 0; a < nodes_.size(); a += 2) {
    for (const LinkId link : nodes_[a]->links) {
      const std::uint32_t b = channel_of(link)->ends[1 - end_of(link)].node;
      if (b % 2 != 0) cut(a, b);
    }
  }
}

Duration World::latency(NodeNumber a, NodeNumber b) const {
  if (is_internet_) {
    const Place& one = nodes_[a]->place;
    const Place& other = nodes_[b]->place;
    const float ms = 80 * std::hypot(one.x - other.x, one.y - other.y) + one.detour + other.detour;
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

bool World::is_forbidden(NodeNumber a, NodeNumber b) const {
  return std::ranges::any_of(forbidden_, [&](const auto& pair) {
    return (pair.first == a && pair.second == b) || (pair.first == b && pair.second == a);
  });
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

void World::negotiate(NodeNumber node, Negotiate what) {
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
  later(description_takes, [this, node, id = what.negotiation, life = nodes_[node]->life] {
    if (nodes_[node]->life != life || !nodes_[node]->engine) return;
    nodes_[node]->engine->negotiation_described(id, describe(node, id), now_);
    drive(node);
  });
}

void World::make_data_channel(NodeNumber offerer, NegotiationId offered, NodeNumber answerer,
                              NegotiationId answered) {
  const std::uint64_t life = nodes_[offerer]->life;
  const std::uint64_t other_life = nodes_[answerer]->life;
  const Duration there = latency(offerer, answerer);
  const auto can_reach = [this, offerer, answerer] {
    return nodes_[answerer]->is_plugged && !is_forbidden(offerer, answerer) &&
           (!is_torn_ || offerer % 2 == answerer % 2);
  };
  const bool opens = can_reach();
  later(opens ? round_trips_to_open * 2 * there : ice_gives_up_after, [=, this] {
    const auto is_there = [this](NodeNumber node, std::uint64_t its_life) {
      return nodes_[node]->life == its_life && nodes_[node]->engine.has_value();
    };
    if (!opens || !can_reach() || !is_there(offerer, life) || !is_there(answerer, other_life)) {
      if (is_there(offerer, life)) {
        nodes_[offerer]->engine->negotiation_failed(offered, DialError::ice_failed, now_);
        drive(offerer);
      }
      if (is_there(answerer, other_life)) {
        nodes_[answerer]->engine->negotiation_failed(answered, DialError::ice_failed, now_);
        drive(answerer);
      }
      return;
    }
    ++data_channels_;
    const LinkId link = open_channel(static_cast<std::uint32_t>(offerer),
                                     static_cast<std::uint32_t>(answerer), there);
    channel_of(link)->is_slow = slow_per_mille_ > 0 && is_slow(offerer, answerer);
    const auto open = [this](NodeNumber node, LinkId end, NodeNumber other, NegotiationId id) {
      attach(end);
      nodes_[node]->engine->link_opened(end,
                                        {.dial = {},
                                         .remote = "webrtc:" + host_of(other),
                                         .remote_host = host_of(other),
                                         .channel_binding = {},
                                         .negotiation = id},
                                        now_);
      drive(node);
    };
    open(answerer, other_end(link), offerer, answered);
    if (channel_of(link) != nullptr) open(offerer, link, answerer, offered);
  });
}

void World::dial(NodeNumber from, DialId dial, const Address& address) {
  const auto to = node_at(address);
  const std::uint64_t life = nodes_[from]->life;
  const auto fail = [this, from, dial, life](Duration wait, DialError error) {
    later(wait, [this, from, dial, life, error] {
      if (nodes_[from]->life != life || !nodes_[from]->engine) return;
      nodes_[from]->engine->dial_failed(dial, error, now_);
      drive(from);
    });
  };
  if (!to) return fail(high_, DialError::refused);
  const Duration there = latency(from, *to);
  if (is_torn_ && from % 2 != *to % 2) return fail(limits::dial_timeout, DialError::timed_out);
  if (is_forbidden(from, *to)) return fail(2 * there, DialError::unreachable);
  if (!nodes_[*to]->is_plugged || nodes_[*to]->is_silent) {
    return fail(limits::dial_timeout, DialError::timed_out);
  }
  later(there, [this, from, to, dial, life, there, fail] {
    Node& listener = *nodes_[*to];
    if (is_torn_ && from % 2 != *to % 2) return fail(there, DialError::timed_out);
    if (!listener.engine || !listener.listens) {
      return fail(there, DialError::refused);
    }
    const LinkId link =
        open_channel(static_cast<std::uint32_t>(from), static_cast<std::uint32_t>(*to), there);
    channel_of(link)->is_slow = slow_per_mille_ > 0 && is_slow(from, *to);
    attach(other_end(link));
    listener.engine->link_opened(
        other_end(link),
        {.dial = {}, .remote = {}, .remote_host = host_of(from), .channel_binding = {}}, now_);
    drive(*to);
    later(there, [this, from, to, dial, life, link, fail] {
      Node& dialer = *nodes_[from];
      if (dialer.life != life || !dialer.engine) return;
      if (channel_of(link) == nullptr) return fail({}, DialError::unreachable);
      attach(link);
      dialer.engine->link_opened(
          link,
          {.dial = dial, .remote = url(*to), .remote_host = host_of(*to), .channel_binding = {}},
          now_);
      drive(from);
    });
  });
}

void World::transmit(LinkId link, Bytes batch) {
  Channel* const channel = channel_of(link);
  if (channel == nullptr || !channel->ends[end_of(link)].is_open) return;
  const Node& node = *nodes_[channel->ends[end_of(link)].node];
  if (node.tamper != nullptr) (*node.tamper)(batch);
  Duration in_the_way{};
  if (channel->is_slow) {
    TimePoint& busy_until = busy_until_[link];
    busy_until =
        std::max(busy_until, now_) +
        Duration{static_cast<Duration::rep>(batch.size() * 1'000'000 / slow_bytes_per_second_)};
    in_the_way = busy_until - now_;
  }
  Event carried{.kind = Event::Kind::arrive, .link = link, .batch = std::move(batch)};
  Event taken{.kind = Event::Kind::writable, .link = link};
  if (channel->is_stalled) {
    std::vector<Event>& held = held_[place_of(link)];
    held.push_back(std::move(carried));
    held.push_back(std::move(taken));
    return;
  }
  Channel::End& other = channel->ends[1 - end_of(link)];
  const TimePoint arrival = std::max(now_ + in_the_way + channel->latency(), other.last_arrival);
  other.last_arrival = arrival;
  later(arrival - now_, std::move(carried));
  if (channel->is_slow) {
    later(in_the_way, std::move(taken));
  } else {
    writable_.push_back(link);
  }
}

/// At the other end of `link`.
void World::arrive(LinkId link, Bytes message) {
  const Channel* const channel = channel_of(link);
  if (channel == nullptr || channel->is_dark) return;
  const Channel::End& there = channel->ends[1 - end_of(link)];
  if (there.node == nobody) {
    stranger_at_.at(place_of(link))->received.push_back(std::move(message));
    return;
  }
  if (!there.is_open || !nodes_[there.node]->engine) return;
  const NodeNumber node = there.node;
  event_hash_ = mix(mix(event_hash_, static_cast<std::uint64_t>(now_.time_since_epoch().count())),
                    static_cast<std::uint64_t>(link) << 32 | message.size());
  nodes_[node]->engine->link_received(other_end(link), message, now_);
  drive(node);
}

void World::close(NodeNumber from, LinkId link, CloseReason reason) {
  const Channel* const channel = channel_of(link);
  if (channel == nullptr || !channel->ends[end_of(link)].is_open) return;
  const std::uint64_t life = nodes_[from]->life;
  later({}, [this, from, link, reason, life] {
    if (nodes_[from]->life != life || !nodes_[from]->engine) return;
    nodes_[from]->engine->link_closed(link, reason, now_);
    drive(from);
  });
  if (!channel->is_dark) {
    // Behind what is on its way.
    const TimePoint last = channel->ends[1 - end_of(link)].last_arrival;
    later(std::max(now_ + channel->latency(), last) - now_,
          {.kind = Event::Kind::gone, .reason = reason, .link = link});
  }
  detach(link);
}

/// The other end of `link`.
void World::hear_gone(LinkId link, CloseReason reason) {
  const Channel* const channel = channel_of(link);
  if (channel == nullptr) return;
  const Channel::End& there = channel->ends[1 - end_of(link)];
  if (there.node == nobody) {
    stranger_at_.at(place_of(link))->closed = reason;
    return;
  }
  if (!there.is_open) return;
  const NodeNumber node = there.node;
  detach(other_end(link));
  if (!nodes_[node]->engine) return;
  const bool is_error = reason == CloseReason::transport_error;
  nodes_[node]->engine->link_closed(other_end(link),
                                    is_error ? reason : CloseReason::transport_closed, now_);
  drive(node);
}

World::Stranger& World::intrude(NodeNumber number) {
  strangers_.push_back(std::make_unique<Stranger>());
  Stranger& stranger = *strangers_.back();
  const LinkId link = open_channel(nobody, static_cast<std::uint32_t>(number), low_);
  channel_of(link)->ends[0].is_open = true;
  stranger_at_[place_of(link)] = &stranger;
  stranger.link = other_end(link);
  stranger.at = number;
  attach(stranger.link);
  nodes_[number]->engine->link_opened(
      stranger.link, {.dial = {}, .remote = {}, .remote_host = "10.9.9.9", .channel_binding = {}},
      now_);
  drive(number);
  return stranger;
}

void World::speak(Stranger& stranger, Bytes message) {
  later(
      low_,
      {.kind = Event::Kind::arrive, .link = other_end(stranger.link), .batch = std::move(message)});
}

// ---- Time -----------------------------------------------------------------------------------

void World::later(Duration wait, Happening happen) {
  later(wait, {.kind = Event::Kind::call, .call = std::make_unique<Happening>(std::move(happen))});
}

void World::later(Duration wait, Event event) {
  event.at = now_ + wait;
  event.order = next_order_++;
  agenda_.add(std::move(event));
}

void World::happen(Event event) {
  switch (event.kind) {
    case Event::Kind::arrive:
      return arrive(event.link, std::move(event.batch));
    case Event::Kind::writable: {
      const Channel* const channel = channel_of(event.link);
      if (channel == nullptr || !channel->ends[end_of(event.link)].is_open) return;
      const NodeNumber node = channel->ends[end_of(event.link)].node;
      nodes_[node]->engine->link_writable(event.link, now_);
      return drive(node);
    }
    case Event::Kind::gone:
      return hear_gone(event.link, event.reason);
    case Event::Kind::wake: {
      Node& node = *nodes_[event.node];
      if (!node.engine || node.wake != now_) return;
      node.wake = never;
      node.engine->wake(now_);
      drive(event.node);
      // A room that is due again at once would keep a real host spinning.
      if (node.engine->next_wake() <= now_) {
        std::fprintf(stderr, "node %u was woken, and is due still\n", node.number);
        std::abort();
      }
      return;
    }
    case Event::Kind::call:
      return (*event.call)();
  }
}

void World::drive(NodeNumber number) {
  Node& node = *nodes_[number];
  while (node.engine.has_value()) {
    peer_relay::drive(*node.engine, node);
    if (writable_.empty()) return;
    for (const LinkId link : writable_) node.engine->link_writable(link, now_);
    writable_.clear();
  }
}

// A large world does not fit into caches, and each event is of another node: what it will need is
// fetched in steps, each by what the step before it has brought, while others are at work.
void World::foresee() {
  const auto node_of = [this](const Event& event) -> const Node* {
    if (event.kind == Event::Kind::wake) return nodes_[event.node].get();
    if (event.kind != Event::Kind::arrive) return nullptr;
    const Channel* const channel = channel_of(event.link);
    if (channel == nullptr) return nullptr;
    const std::uint32_t node = channel->ends[1 - end_of(event.link)].node;
    return node == nobody ? nullptr : nodes_[node].get();
  };
  if (const Event* const event = agenda_.peek(9)) {
    if (event->kind == Event::Kind::wake) prefetch(nodes_[event->node]);
    if (event->kind == Event::Kind::arrive) prefetch(channels_[place_of(event->link)]);
  }
  if (const Event* const event = agenda_.peek(7)) {
    if (const Node* const node = node_of(*event)) prefetch(*node);
  }
  if (const Event* const event = agenda_.peek(5)) {
    if (const Node* const node = node_of(*event); node != nullptr && node->engine) {
      node->engine->foresee();
    }
    prefetch(event->batch.data(), event->batch.size());
  }
  for (const bool is_next : {false, true}) {
    const Event* const event = agenda_.peek(is_next ? 1 : 3);
    if (event == nullptr || event->kind != Event::Kind::arrive) continue;
    const Node* const node = node_of(*event);
    if (node != nullptr && node->engine) {
      node->engine->foresee(other_end(event->link), is_next);
    }
  }
}

void World::run_for(Duration duration) {
  const TimePoint end = now_ + duration;
  while (auto event = agenda_.pop(end)) {
    now_ = event->at;
    foresee();
    happen(std::move(*event));
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
