// SPDX-License-Identifier: MIT
#include "peer_relay/exchange.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <mutex>
#include <random>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "runtime/node_impl.hpp"
#include "runtime/old_peers.hpp"

namespace peer_relay {

namespace {

using Json = nlohmann::json;
using Kind = ExchangeError::Kind;

// A peer is two streams with one number: what applications say, and what exchanges say to each
// other, as lines of JSON.
constexpr std::string_view data_label = "exchange/";
constexpr std::string_view talk_label = "exchange-talk/";

/// A line holds a few transports with a port each, or an address.
constexpr std::size_t line_bytes_max = 4096;
/// Of ours that wait for one peer's answer: as many as nobody needs.
constexpr std::size_t questions_max = 64;
/// Each costs a look at all peers; we know three, and applications add a few.
constexpr std::size_t transports_asked_max = 16;

constexpr std::array own_transports{"websocket", "tcp", "webrtc"};

bool is_own(const std::string& name) {
  return std::ranges::find(own_transports, name) != own_transports.end();
}

std::unexpected<ExchangeError> error(Kind kind, std::string message) {
  return std::unexpected(ExchangeError{kind, std::move(message)});
}

std::uint64_t random_number() {
  std::random_device chance;
  return std::uint64_t{chance()} << 32 | chance();
}

std::optional<std::uint64_t> number_in(std::string_view label, std::string_view prefix) {
  if (!label.starts_with(prefix)) return std::nullopt;
  label.remove_prefix(prefix.size());
  std::uint64_t number = 0;
  const auto [end, wrong] = std::from_chars(label.data(), label.data() + label.size(), number, 16);
  if (wrong != std::errc{} || end != label.data() + label.size()) return std::nullopt;
  return number;
}

/// What a stranger wrote; discarded if it is no JSON, or nested.
Json parsed(std::string_view line) {
  int depth = 0;
  for (const char each : line) {
    depth += each == '{' || each == '[' ? 1 : 0;
    if (depth > 16) return Json::value_t::discarded;
  }
  return Json::parse(line, nullptr, false);
}

std::string text_in(const Json& object, const char* name) {
  const auto at = object.find(name);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string{};
}

/// Of "tcp://[::1]:8000/", "webrtc:192.0.2.1:5", "192.0.2.1:5".
std::string host_of(std::string address) {
  if (const auto scheme = address.find("://"); scheme != std::string::npos) {
    address.erase(0, scheme + 3);
  } else if (address.starts_with("tcp:") || address.starts_with("webrtc:")) {
    address.erase(0, address.find(':') + 1);
  }
  address = address.substr(0, address.find('/'));
  if (address.starts_with('[')) return address.substr(1, address.find(']') - 1);
  return address.substr(0, address.rfind(':'));
}

std::string url_of(const std::string& transport, const std::string& host, std::uint16_t port,
                   bool secure) {
  const bool has_brackets = host.starts_with('[') && host.ends_with(']');
  return Address{.scheme = transport == "tcp" ? Scheme::tcp
                           : secure           ? Scheme::wss
                                              : Scheme::ws,
                 .host = has_brackets ? host.substr(1, host.size() - 2) : host,
                 .port = port}
      .to_string();
}

}  // namespace

struct ExchangePeer::Body {
  /// Asks this peer, from any thread.
  std::function<void(const std::shared_ptr<Body>&, ExchangePeerCallback)> ask;
  NodeId id{};
  std::uint64_t number = 0;
  bool is_incoming = false;
  std::optional<ExchangePeerId> legacy;  // one of npm peer-exchange
  Stream stream;
  std::string transport = "relay";
  std::string remote_address;

  // On the node's thread.
  Stream talk;
  std::string line;  // what came of the next one
  Json accepts = Json::object();
  bool is_ready = false;
  bool has_ended = false;
  ExchangePeerCallback done;  // of who asked for it
  std::map<std::uint64_t, ExchangePeerCallback> asked;
};

/// On the node's thread, but for what the mutex guards.
struct Exchange::State : std::enable_shared_from_this<Exchange::State> {
  std::string network;
  ExchangeOptions options;
  ExchangeEvents events;
  std::optional<Node> node;
  std::shared_ptr<OldPeers> old_peers;  // with ExchangeOptions::legacy
  ExchangeError start_error;

  mutable std::mutex mutex;
  std::vector<Peer> peers;  // those that were told; guarded

  using Key = std::pair<NodeId, std::uint64_t>;       // all zeros, and an ExchangePeerId
  std::map<Key, std::shared_ptr<Peer::Body>> bodies;  // at most peers_max
  std::map<std::string, std::uint16_t> accepts;       // 0 for webrtc
  std::map<std::string, std::string> foreign;         // by URL: the network there; few
  std::uint64_t last_question = 0;

  void start();
  template <class Call>
  void on_thread(Call call);  // at once without a node
  class Door;
  Door door();

  void connect(const std::string& transport, const std::string& host, const TransportOptions& how,
               PeerCallback done);
  bool is_transport(const std::string& name) const {
    return is_own(name) || options.transports.contains(name);
  }
  void place(Peer::Body& peer, const std::string& address) const;
  void connect_by(const std::string& transport, const std::string& host,
                  const TransportOptions& how, std::optional<NodeId> expected, PeerCallback done);
  void linked_to(const std::string& where, std::optional<NodeId> expected,
                 const Result<peer_relay::Peer>& linked, const PeerCallback& done);
  std::expected<std::uint16_t, std::string> let_in_by(const std::string& transport,
                                                      const TransportOptions& how);
  void link_to(const std::string& url, std::optional<NodeId> expected, PeerCallback done);
  void accept(const std::string& transport, const TransportOptions& how, AcceptCallback done);
  void unaccept(const std::string& transport);
  void get_new_peer(PeerCallback done);
  void ask(const std::shared_ptr<Peer::Body>& peer, PeerCallback done);
  void close(std::function<void()> done);

  void open(const peer_relay::Peer& linked, PeerCallback done);
  void arrived(Stream stream);
  std::shared_ptr<Peer::Body> body_for(const NodeId& id, std::uint64_t number);
  void add_old(OldPeer&& peer, bool is_incoming, const PeerCallback& done);
  OldPeers::Callback add_old_then(PeerCallback done);
  void listen_to(const std::shared_ptr<Peer::Body>& peer);
  void say(Peer::Body& peer, const Json& line);
  Json own_accepts() const;
  void heard(const std::shared_ptr<Peer::Body>& peer, BytesView bytes);
  void handle(const std::shared_ptr<Peer::Body>& peer, const Json& line);
  void answer(const std::shared_ptr<Peer::Body>& asker, const Json& question);
  void named(const std::shared_ptr<Peer::Body>& by, const Json& answer);
  void ready(const std::shared_ptr<Peer::Body>& peer);
  void come_up(const std::shared_ptr<Peer::Body>& peer);
  void end(const std::shared_ptr<Peer::Body>& peer, const StreamError& why);

  static Peer handle_of(const std::shared_ptr<Peer::Body>& body) {
    Peer peer;
    peer.body_ = body;
    return peer;
  }
  static void tell(const PeerCallback& done, std::expected<Peer, ExchangeError> result) {
    if (done) done(result);
  }
};

// ---- The front door ----

Exchange::Exchange(std::string network, ExchangeOptions options, ExchangeEvents events)
    : state_(std::make_shared<State>()) {
  state_->network = std::move(network);
  state_->options = std::move(options);
  state_->events = std::move(events);
  state_->start();
}

Exchange::Exchange(Exchange&&) noexcept = default;

Exchange& Exchange::operator=(Exchange&& other) noexcept {
  if (this != &other) {
    Exchange old{std::move(*this)};
    state_ = std::move(other.state_);
  }
  return *this;
}

Exchange::~Exchange() {
  if (!state_) return;
  close();
  // Says goodbye, and the last events are told, before the rest goes. The node itself goes with the
  // state: its thread looks at it until it ends.
  if (state_->node) state_->node->impl_->stop();
  state_->bodies.clear();
}

const std::string& Exchange::id() const { return state_->network; }

NodeId Exchange::node_id() const { return state_->node ? state_->node->id() : NodeId{}; }

Node* Exchange::node() { return state_->node ? &*state_->node : nullptr; }

std::vector<Exchange::Peer> Exchange::peers() const {
  const std::lock_guard lock{state_->mutex};
  return state_->peers;
}

void Exchange::connect(const std::string& transport, const std::string& host,
                       TransportOptions options, PeerCallback done) {
  state_->on_thread([=](State& state) { state.connect(transport, host, options, done); });
}

void Exchange::accept(const std::string& transport, TransportOptions options, AcceptCallback done) {
  state_->on_thread([=](State& state) { state.accept(transport, options, done); });
}

void Exchange::unaccept(const std::string& transport) {
  state_->on_thread([=](State& state) { state.unaccept(transport); });
}

void Exchange::get_new_peer(PeerCallback done) {
  state_->on_thread([=](State& state) { state.get_new_peer(done); });
}

void Exchange::close(std::function<void()> done) {
  state_->on_thread([=](State& state) { state.close(done); });
}

Stream& ExchangePeer::stream() { return body_->stream; }
const std::string& ExchangePeer::transport() const { return body_->transport; }
const std::string& ExchangePeer::remote_address() const { return body_->remote_address; }
const NodeId& ExchangePeer::id() const { return body_->id; }
bool ExchangePeer::is_incoming() const { return body_->is_incoming; }
bool ExchangePeer::is_legacy() const { return body_->legacy.has_value(); }

void ExchangePeer::get_new_peer(ExchangePeerCallback done) {
  if (body_->ask) body_->ask(body_, std::move(done));
}

void ExchangePeer::destroy() {
  Stream stream = body_->stream;
  stream.reset();
}

// ---- On the node's thread ----

void Exchange::State::start() {
  NodeOptions how = options.node;
  how.network = network;
  how.port.reset();
  how.tcp_port.reset();
  how.bootstrap.clear();
  how.old_exchange = options.legacy;
  std::erase_if(options.transports, [](const auto& each) {
    return each.second == nullptr || is_own(each.first) || each.first.contains(':');
  });
  NodeEvents hears;
  const std::weak_ptr<State> self = weak_from_this();
  hears.stream = [self](Stream stream) {
    if (const auto state = self.lock()) state->arrived(std::move(stream));
  };
  hears.error = [self](const Problem& problem) {
    const auto state = self.lock();
    if (state == nullptr) return;
    if (problem.kind == Problem::Kind::wrong_network) {
      if (state->foreign.size() >= 64) state->foreign.clear();
      state->foreign[problem.where] = problem.detail;
    }
    if (problem.kind == Problem::Kind::listen_failed && state->events.error) {
      state->events.error({Kind::listen_failed, problem.detail});
    }
  };
  auto started = Node::start(std::move(how), std::move(hears));
  if (started) {
    node.emplace(std::move(*started));
  } else {
    start_error = {Kind::closed, started.error().detail};
  }
  if (!node || !options.legacy) return;
  old_peers = std::make_shared<OldPeers>(
      node->impl_->host, network,
      OldPeers::Events{.came =
                           [self](OldPeer peer) {
                             if (const auto state = self.lock())
                               state->add_old(std::move(peer), true, {});
                           },
                       .gone =
                           [self](ExchangePeerId id, const StreamError& why) {
                             const auto state = self.lock();
                             if (state == nullptr) return;
                             const auto at =
                                 state->bodies.find({NodeId{}, static_cast<std::uint64_t>(id)});
                             if (at != state->bodies.end())
                               state->end(std::shared_ptr{at->second}, why);
                           }});
  node->post([peers = old_peers] { peers->listen(); });
}

/// For threads of others: they never hold us, so that none of them is left with the last of us.
class Exchange::State::Door {
 public:
  Door(std::weak_ptr<State> state, std::weak_ptr<Host> host)
      : state_(std::move(state)), host_(std::move(host)) {}

  template <class Call>
  void operator()(Call call) const {
    const auto host = host_.lock();
    if (host == nullptr) return;
    host->call([state = state_, call = std::move(call)] {
      if (const auto inside = state.lock()) call(*inside);
    });
  }

 private:
  std::weak_ptr<State> state_;
  std::weak_ptr<Host> host_;
};

Exchange::State::Door Exchange::State::door() { return {weak_from_this(), node->impl_->host}; }

template <class Call>
void Exchange::State::on_thread(Call call) {
  if (!node) return call(*this);  // each verb sees it, and says so
  door()(std::move(call));
}

void Exchange::State::connect(const std::string& transport, const std::string& host,
                              const TransportOptions& how, PeerCallback done) {
  if (!node) return tell(done, std::unexpected(start_error));
  if (transport == "webrtc") {
    return tell(done, error(Kind::unknown_transport,
                            "'webrtc' takes a peer to introduce us: use get_new_peer"));
  }
  if (!is_transport(transport)) {
    return tell(done, error(Kind::unknown_transport,
                            fmt::format("no transport '{}': websocket, tcp or webrtc", transport)));
  }
  if (!is_own(transport)) return connect_by(transport, host, how, std::nullopt, std::move(done));
  const std::string url = url_of(transport, host, how.port, how.secure);
  if (!old_peers || how.native) return link_to(url, std::nullopt, std::move(done));
  const auto address = Address::parse(url);
  if (!address) return tell(done, error(Kind::connect_failed, url + " is no address"));
  old_peers->connect(*address, add_old_then(std::move(done)));
}

void Exchange::State::link_to(const std::string& url, std::optional<NodeId> expected,
                              PeerCallback done) {
  node->connect(
      url, [self = weak_from_this(), url, expected, done](const Result<peer_relay::Peer>& linked) {
        if (const auto state = self.lock()) state->linked_to(url, expected, linked, done);
      });
}

void Exchange::State::linked_to(const std::string& where, std::optional<NodeId> expected,
                                const Result<peer_relay::Peer>& linked, const PeerCallback& done) {
  if (linked && (!expected || linked->id == *expected)) return open(*linked, done);
  const auto other = foreign.extract(where);
  if (other) return tell(done, std::unexpected(wrong_network(where, other.mapped(), network)));
  if (linked) return tell(done, error(Kind::connect_failed, where + " is another node by now"));
  tell(done, error(Kind::connect_failed, fmt::format("{}: {}", where, describe(linked.error()))));
}

// By a transport of the application's own. Whichever comes first of its answer and the time-out
// takes the callback.
void Exchange::State::connect_by(const std::string& transport, const std::string& host,
                                 const TransportOptions& how, std::optional<NodeId> expected,
                                 PeerCallback done) {
  const std::string where = fmt::format("{}:{}", transport, host);
  const auto waits = std::make_shared<std::optional<PeerCallback>>(std::move(done));
  const std::weak_ptr<State> self = weak_from_this();
  node->after(options.node.dial_timeout, [waits, where] {
    if (!*waits) return;
    tell(*std::exchange(*waits, std::nullopt),
         error(Kind::connect_failed, where + ": no answer in time"));
  });
  const auto arrived = [self, waits, where, expected](State& state,
                                                      UserTransport::Connected& connected) {
    if (!*waits) return;
    const PeerCallback then = *std::exchange(*waits, std::nullopt);
    if (!connected) {
      return tell(then,
                  error(Kind::connect_failed, fmt::format("{}: {}", where, connected.error())));
    }
    state.node->impl_->host->adopt(std::move(*connected), where,
                                   [self, where, expected, then](const auto& linked) {
                                     if (const auto on = self.lock()) {
                                       on->linked_to(where, expected, linked, then);
                                     }
                                   });
  };
  options.transports.at(transport)->connect(
      host, how, [enter = door(), arrived](UserTransport::Connected connected) {
        const auto held = std::make_shared<UserTransport::Connected>(std::move(connected));
        enter([arrived, held](State& state) { arrived(state, *held); });
      });
}

std::expected<std::uint16_t, std::string> Exchange::State::let_in_by(const std::string& transport,
                                                                     const TransportOptions& how) {
  return options.transports.at(transport)->accept(
      how, [enter = door(), transport](std::unique_ptr<UserConnection> connection) {
        const auto held = std::make_shared<std::unique_ptr<UserConnection>>(std::move(connection));
        enter([transport, held](State& on) {
          if (!on.accepts.contains(transport)) return;
          std::string from = fmt::format("{}:{}", transport, (*held)->remote_address());
          on.node->impl_->host->adopt(std::move(*held), std::move(from), {});
        });
      });
}

void Exchange::State::accept(const std::string& transport, const TransportOptions& how,
                             AcceptCallback done) {
  const auto answer = [&](std::expected<std::uint16_t, ExchangeError> result) {
    if (done) {
      done(result);
    } else if (!result && events.error) {
      events.error(result.error());
    }
  };
  if (!node) return answer(std::unexpected(start_error));
  if (!is_transport(transport) || (transport == "webrtc" && !has_webrtc())) {
    return answer(
        error(Kind::unknown_transport, fmt::format("no transport '{}' to accept by", transport)));
  }
  if (accepts.contains(transport)) {
    return answer(
        error(Kind::already_accepting, fmt::format("already accepting by '{}'", transport)));
  }
  std::uint16_t port = 0;
  if (!is_own(transport)) {
    const auto bound = let_in_by(transport, how);
    if (!bound) return answer(error(Kind::listen_failed, bound.error()));
    port = *bound;
  } else if (transport != "webrtc") {
    const bool is_tls = options.node.tls.has_value();
    const Scheme scheme = transport == "tcp" ? Scheme::tcp : is_tls ? Scheme::wss : Scheme::ws;
    const auto bound = node->listen(scheme, how.host, how.port);
    if (!bound) return answer(error(Kind::listen_failed, bound.error().detail));
    port = *bound;
  }
  accepts[transport] = port;
  const bool is_for_old = is_own(transport) && (transport != "websocket" || !options.node.tls);
  if (old_peers && is_for_old) old_peers->accept(*exchange_transport_of(transport), port);
  for (const auto& [key, body] : bodies) say(*body, {{"accepts", own_accepts()}});
  answer(port);
}

void Exchange::State::unaccept(const std::string& transport) {
  if (!node || accepts.erase(transport) == 0) return;
  if (transport == "tcp") node->stop_listening(Scheme::tcp);
  if (transport == "websocket") node->stop_listening(Scheme::ws);
  if (!is_own(transport)) options.transports.at(transport)->unaccept();
  if (old_peers && is_own(transport)) old_peers->unaccept(*exchange_transport_of(transport));
  for (const auto& [key, body] : bodies) say(*body, {{"accepts", own_accepts()}});
}

Json Exchange::State::own_accepts() const {
  Json out = Json::object();
  for (const auto& [transport, port] : accepts) out[transport] = port;
  return out;
}

void Exchange::State::get_new_peer(PeerCallback done) {
  if (!node) return tell(done, std::unexpected(start_error));
  std::vector<std::shared_ptr<Peer::Body>> all;
  for (const auto& [key, body] : bodies) {
    if (body->is_ready) all.push_back(body);
  }
  if (all.empty()) return tell(done, error(Kind::not_connected, "not connected to any peers"));
  ask(all[random_number() % all.size()], std::move(done));
}

void Exchange::State::ask(const std::shared_ptr<Peer::Body>& peer, PeerCallback done) {
  if (peer->has_ended || !peer->is_ready) {
    return tell(done, error(Kind::closed, "that peer is gone"));
  }
  if (peer->legacy) return old_peers->get_new_peer(*peer->legacy, add_old_then(std::move(done)));
  if (peer->asked.size() >= questions_max) {
    return tell(done, error(Kind::no_new_peer, "too many questions wait for that peer's answer"));
  }
  const std::uint64_t question = ++last_question;
  peer->asked[question] = std::move(done);
  Json can = {"websocket", "tcp"};
  if (has_webrtc() && options.node.webrtc.enabled) can.push_back("webrtc");
  for (const auto& [name, transport] : options.transports) can.push_back(name);
  say(*peer, {{"ask", question}, {"transports", can}});
  node->after(options.timeout, [self = weak_from_this(), peer, question] {
    const auto late = peer->asked.extract(question);
    if (late && !self.expired()) tell(late.mapped(), error(Kind::timed_out, "no answer"));
  });
}

void Exchange::State::close(std::function<void()> done) {
  if (!node) {
    if (done) done();
    return;
  }
  for (const auto& [key, body] : std::map{bodies}) end(body, {StreamEnd::finished, 0});
  for (const auto& [transport, port] : std::exchange(accepts, {})) {
    if (!is_own(transport)) options.transports.at(transport)->unaccept();
  }
  node->destroy(std::move(done));
}

// ---- Peers ----

void Exchange::State::open(const peer_relay::Peer& linked, PeerCallback done) {
  const NodeId& to = linked.id;
  const std::uint64_t number = random_number();
  const auto body = body_for(to, number);
  if (body == nullptr) {
    return tell(done, error(Kind::connect_failed, "there are as many peers as are kept"));
  }
  place(*body, linked.address);
  body->done = std::move(done);
  body->talk = node->open_stream(to, {.label = fmt::format("{}{:x}", talk_label, number)});
  body->stream = node->open_stream(to, {.label = fmt::format("{}{:x}", data_label, number)});
  listen_to(body);
  say(*body, {{"accepts", own_accepts()}});
}

std::shared_ptr<Exchange::Peer::Body> Exchange::State::body_for(const NodeId& id,
                                                                std::uint64_t number) {
  const auto at = bodies.find({id, number});
  if (at != bodies.end()) return at->second;
  const auto of_node = static_cast<std::size_t>(
      std::ranges::count_if(bodies, [&](const auto& each) { return each.first.first == id; }));
  const bool is_node = id != NodeId{};
  if (bodies.size() >= peers_max || (is_node && of_node >= peers_per_node_max)) return nullptr;
  auto body = std::make_shared<Peer::Body>();
  body->ask = [enter = door()](const auto& peer, PeerCallback done) {
    enter([peer, done](State& on) { on.ask(peer, done); });
  };
  body->id = id;
  body->number = number;
  bodies.emplace(Key{id, number}, body);
  return body;
}

OldPeers::Callback Exchange::State::add_old_then(PeerCallback done) {
  return [self = weak_from_this(), done = std::move(done)](auto&& peer) {
    const auto state = self.lock();
    if (state == nullptr) return;
    if (!peer) return tell(done, std::unexpected(peer.error()));
    state->add_old(std::move(*peer), false, done);
  };
}

void Exchange::State::add_old(OldPeer&& peer, bool is_incoming, const PeerCallback& done) {
  const auto body = body_for(NodeId{}, static_cast<std::uint64_t>(peer.id));
  if (body == nullptr) {  // the stream goes with the peer
    return tell(done, error(Kind::connect_failed, "there are as many peers as are kept"));
  }
  body->legacy = peer.id;
  body->is_incoming = is_incoming;
  body->stream = std::move(peer.stream);
  body->transport = std::move(peer.transport);
  body->remote_address = std::move(peer.remote_address);
  body->done = done;
  come_up(body);
}

void Exchange::State::arrived(Stream stream) {
  const auto data = number_in(stream.label(), data_label);
  const auto talk = number_in(stream.label(), talk_label);
  if (!data && !talk) return stream.refuse();
  const auto body = body_for(stream.peer(), data ? *data : *talk);
  if (body == nullptr || (data ? body->stream : body->talk)) return stream.refuse();
  body->is_incoming = true;
  (data ? body->stream : body->talk) = std::move(stream);
  if (!body->talk || !body->stream) return;
  listen_to(body);
  say(*body, {{"accepts", own_accepts()}});
}

// The streams' handlers hold the exchange weakly: they live as long as the streams do.
void Exchange::State::listen_to(const std::shared_ptr<Peer::Body>& peer) {
  const std::weak_ptr<State> self = weak_from_this();
  const std::weak_ptr<Peer::Body> body = peer;
  StreamEvents talk;
  talk.data = [self, body](BytesView bytes) {
    const auto state = self.lock();
    const auto from = body.lock();
    if (state && from) state->heard(from, bytes);
  };
  const auto ended = [self, body](const StreamError& why) {
    const auto state = self.lock();
    const auto from = body.lock();
    if (state && from) state->end(from, why);
  };
  talk.closed = ended;
  peer->talk.on(std::move(talk));
  StreamEvents data;
  data.closed = ended;
  peer->stream.on(std::move(data));
}

void Exchange::State::say(Peer::Body& peer, const Json& line) {
  if (!peer.talk || peer.has_ended) return;
  const std::string text = line.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
  peer.talk.write(Bytes{text.begin(), text.end()});
}

void Exchange::State::heard(const std::shared_ptr<Peer::Body>& peer, BytesView bytes) {
  for (const std::uint8_t byte : bytes) {
    if (peer->has_ended) return;
    if (byte != '\n') {
      peer->line.push_back(static_cast<char>(byte));
      if (peer->line.size() > line_bytes_max) return end(peer, {StreamEnd::protocol_error, 0});
      continue;
    }
    const Json line = parsed(std::exchange(peer->line, {}));
    if (!line.is_object()) return end(peer, {StreamEnd::protocol_error, 0});
    handle(peer, line);
  }
}

void Exchange::State::handle(const std::shared_ptr<Peer::Body>& peer, const Json& line) {
  if (const auto at = line.find("accepts"); at != line.end() && at->is_object()) {
    peer->accepts = *at;
    ready(peer);
  } else if (line.contains("ask")) {
    answer(peer, line);
  } else if (line.contains("answer")) {
    named(peer, line);
  }
}

void Exchange::State::ready(const std::shared_ptr<Peer::Body>& peer) {
  if (peer->is_ready) return;
  if (peer->is_incoming) {
    for (const peer_relay::Peer& link : node->peers()) {
      if (link.id == peer->id) place(*peer, link.address);
    }
  }
  come_up(peer);
}

/// Where it is, by its link's address.
void Exchange::State::place(Peer::Body& peer, const std::string& address) const {
  const auto is_by = [&](const std::string& name) { return address.starts_with(name + ':'); };
  for (const auto& [name, transport] : options.transports) {
    if (!is_by(name)) continue;
    peer.transport = name;
    peer.remote_address = address.substr(name.size() + 1);
    return;
  }
  peer.transport = is_by("tcp") ? "tcp" : is_by("webrtc") ? "webrtc" : "websocket";
  peer.remote_address = host_of(address);
}

void Exchange::State::come_up(const std::shared_ptr<Peer::Body>& peer) {
  peer->is_ready = true;
  const Peer handle = handle_of(peer);
  {
    const std::lock_guard lock{mutex};
    peers.push_back(handle);
  }
  tell(std::exchange(peer->done, {}), handle);
  if (events.peer) events.peer(handle);
}

// As the old network does it: a transport first, then one of those who accept by it.
void Exchange::State::answer(const std::shared_ptr<Peer::Body>& asker, const Json& question) {
  Json nobody = {{"answer", question["ask"]}};
  const auto can = question.find("transports");
  if (can == question.end() || !can->is_array() || can->size() > transports_asked_max) {
    return say(*asker, nobody);
  }
  std::vector<std::pair<std::string, std::vector<std::shared_ptr<Peer::Body>>>> choices;
  for (const Json& each : *can) {
    if (!each.is_string()) continue;
    const std::string transport = each;
    std::vector<std::shared_ptr<Peer::Body>> those;
    for (const auto& [key, body] : bodies) {
      // What one transport calls an address means nothing to another.
      const bool has_address = transport == "webrtc" || body->transport == transport ||
                               (is_own(transport) && is_own(body->transport));
      const bool would_do = body->is_ready && body->id != asker->id && has_address &&
                            body->accepts.contains(transport);
      if (would_do) those.push_back(body);
    }
    if (!those.empty()) choices.emplace_back(transport, std::move(those));
  }
  if (choices.empty()) return say(*asker, nobody);
  const auto& [transport, those] = choices[random_number() % choices.size()];
  const Peer::Body& chosen = *those[random_number() % those.size()];
  Json found = {{"answer", question["ask"]}, {"id", chosen.id.to_hex()}, {"transport", transport}};
  if (transport != "webrtc") {
    const Json& port = chosen.accepts[transport];
    if (!port.is_number_unsigned() || port.get<std::uint64_t>() > 65'535) {
      return say(*asker, nobody);
    }
    found["host"] = chosen.remote_address;
    found["port"] = port;
  }
  say(*asker, found);
}

void Exchange::State::named(const std::shared_ptr<Peer::Body>& by, const Json& answer) {
  const Json& number = answer["answer"];
  if (!number.is_number_unsigned()) return;
  const auto asked = by->asked.extract(number.get<std::uint64_t>());
  if (!asked) return;
  const PeerCallback& done = asked.mapped();
  const auto id = NodeId::from_hex(text_in(answer, "id"));
  const std::string transport = text_in(answer, "transport");
  if (!id || !is_transport(transport)) {
    return tell(done, error(Kind::no_new_peer, "that peer has no other to offer"));
  }
  if (*id == node->id()) return tell(done, error(Kind::no_new_peer, "that peer named ourselves"));
  if (transport == "webrtc") {
    node->connect(*id, [self = weak_from_this(), id = *id, done](const auto& linked) {
      const auto state = self.lock();
      if (state == nullptr) return;
      if (linked) return state->open(*linked, done);
      tell(done, error(Kind::connect_failed,
                       fmt::format("{}: {}", id.to_hex(), describe(linked.error()))));
    });
    return;
  }
  const auto port = answer.find("port");
  const bool has_port = port != answer.end() && port->is_number_unsigned() &&
                        port->template get<std::uint64_t>() <= 65'535;
  if (!has_port) return tell(done, error(Kind::no_new_peer, "the answer names no port"));
  const std::string host = text_in(answer, "host");
  const auto number_there = port->template get<std::uint16_t>();
  if (!is_own(transport)) {
    return connect_by(transport, host, {.port = number_there}, id, done);
  }
  link_to(url_of(transport, host, number_there, false), id, done);
}

void Exchange::State::end(const std::shared_ptr<Peer::Body>& peer, const StreamError& why) {
  if (std::exchange(peer->has_ended, true)) return;
  bodies.erase({peer->id, peer->number});
  if (peer->talk) peer->talk.reset();
  if (peer->stream && why.end != StreamEnd::finished) peer->stream.reset();
  const Peer handle = handle_of(peer);
  const ExchangeError gone{Kind::closed, fmt::format("the peer is gone: {}", name_of(why.end))};
  for (const auto& [question, done] : std::exchange(peer->asked, {})) {
    tell(done, std::unexpected(gone));
  }
  if (!peer->is_ready) {
    return tell(std::exchange(peer->done, {}),
                error(Kind::connect_failed,
                      fmt::format("the node there takes no peers: {}", name_of(why.end))));
  }
  {
    const std::lock_guard lock{mutex};
    std::erase_if(peers, [&](const Peer& each) { return each.body_ == peer; });
  }
  const bool is_fault = why.end != StreamEnd::finished && why.end != StreamEnd::reset &&
                        why.end != StreamEnd::shutdown;
  if (is_fault && events.peer_error) events.peer_error(handle, gone);
  if (events.disconnect) events.disconnect(handle);
}

}  // namespace peer_relay
