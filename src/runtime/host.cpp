// SPDX-License-Identifier: MIT
#include "runtime/host.hpp"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include "base/ring.hpp"
#include "core/engine/drive.hpp"
#include "runtime/data_channels.hpp"
#include "runtime/native_crypto.hpp"
#include "runtime/options.hpp"
#include "runtime/state_dir.hpp"
#include "runtime/stream_state.hpp"
#include "runtime/user_link.hpp"
#include "sodium/key_file.hpp"
#include "transport/tcp/tcp_transport.hpp"
#include "transport/websocket/websocket_transport.hpp"

namespace peer_relay {

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Timer =
    asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, asio::io_context::executor_type>;

/// For the goodbyes.
constexpr auto shut_down_timeout = 1s;

/// A joining node learns of contacts every few milliseconds, a settled one now and then.
constexpr auto cache_delay = 5s;
constexpr auto cache_every = 60s;

/// What an order weighs beside its payload: headers and tags on its way.
constexpr std::size_t order_cost_bytes = 128;

SendResult refused(Error error) {
  return {.outcome = SendResult::Outcome::refused, .error = error};
}

class AsioHost final : public Host, private LinkSink, private NegotiationSink {
 public:
  static Result<std::shared_ptr<Host>, StartError> make(NodeOptions options, NodeEvents events);
  ~AsioHost() override;

  void run() override;
  bool is_on_thread() const override;
  Result<void> send(const NodeId& to, Payload payload) override;
  void send(const NodeId& to, Payload payload, SendOptions options, SendCallback done) override;
  void call(CallOrder order) override;
  void connect(const NodeId& to, ConnectCallback done) override;
  void connect(const Address& address, ConnectCallback done) override;
  Result<std::uint16_t, StartError> listen(Scheme scheme, const std::string& host,
                                           std::uint16_t port) override;
  void stop_listening(Scheme scheme) override;
  void adopt(std::unique_ptr<UserConnection> connection, std::string remote,
             ConnectCallback done) override;
  void disconnect(const NodeId& peer) override;
  void trace(const NodeId& to, TraceCallback hop) override;
  std::vector<Peer> peers() const override;
  Stats stats() const override;
  void open_stream(const std::shared_ptr<StreamState>& state,
                   const StreamOptions& options) override;
  void set_stream_deadline(StreamState& state, Duration from_now) override;
  void set_exchange_ear(ExchangeEar ear) override { exchange_ear_ = std::move(ear); }
  ExchangeRequest exchange_connect(const Address& address) override;
  ExchangeRequest exchange_get_new_peer(std::optional<ExchangePeerId> from) override;
  bool exchange_write(ExchangePeerId peer, Bytes bytes) override;
  bool exchange_has_room(ExchangePeerId peer) const override;
  void exchange_close(ExchangePeerId peer) override;
  void exchange_consumed(ExchangePeerId peer, std::size_t bytes) override;
  void exchange_accept(ExchangeTransport transport, std::uint16_t port) override;
  void exchange_unaccept(ExchangeTransport transport) override;
  void after(Duration delay, CallOrder task) override;
  void add_ear(const std::weak_ptr<Ear>& ear) override;
  void destroy(std::function<void()> done) override;
  void mute() override { muted_ = true; }
  void release() override;

  // For drive().
  void perform(Action&& action);
  void wake_at(TimePoint when);

 private:
  enum class Phase : std::uint8_t { running, leaving, gone };
  class EngineStream;

  // What transports tell.
  void link_opened(LinkId id, std::unique_ptr<Link> link, LinkArrival arrival) override;
  void dial_failed(DialId dial, DialError error, const std::string& detail) override;
  void link_received(LinkId id, MutableBytes message) override;
  void link_received_text(LinkId id, MutableBytes text) override;
  void link_received_stream(LinkId id, BytesView bytes, ExchangeTransport by) override;
  void text_too_long() override { ++overlong_texts_; }
  void link_writable(LinkId id) override;
  void link_closed(LinkId id, CloseReason reason) override;
  void connection_refused() override { ++refused_connections_; }
  void connection_failed(CloseReason reason) override {
    ++failed_connections_[static_cast<std::size_t>(reason)];
  }
  void negotiation_described(NegotiationId id, const std::string& sdp) override;
  void negotiation_candidate(NegotiationId id, const std::string& line) override;
  void negotiation_failed(NegotiationId id, DialError error, const std::string& detail) override;
  LinkId next_link_id() override { return LinkId{++last_link_}; }
  void recycle(Bytes buffer) override {
    if (engine_) engine_->recycle(std::move(buffer));
  }

  std::optional<StartError> open(NodeOptions options);
  std::optional<StartError> listen(const NodeOptions& options, EngineOptions& engine_options);
  std::optional<StartError> open_state(const NodeOptions& options, EngineOptions& engine_options);
  Result<Identity, StartError> identity(const NodeOptions& options);
  TimePoint now() const;

  void notify_thread(Mailbox::Put put);
  void read_mail();
  void obey(SendOrder&& order);
  void obey(AcknowledgedOrder&& order);
  // A call sees what the orders before it have led to.
  void obey(CallOrder&& order) {
    settle();
    order();
  }

  void act(Transmit&& action);
  void act(Dial&& action);
  void act(Negotiate&& action) { channels_->negotiate(action); }
  void act(CloseLink&& action);
  void act(Notify&& action);

  void settle();
  std::vector<std::shared_ptr<Ear>> listeners();
  void tell_all();
  void tell(Message&& message);
  void tell(NotifyWish::SendDone&& done);
  void tell(NotifyWish::PeerUp&& up);
  void tell(NotifyWish::PeerLost&& lost);
  void tell(NotifyWish::ConnectDone&& done);
  void tell(NotifyWish::AddressDone&& done);
  void tell(NotifyWish::Traced&& traced);
  void tell(Problem&& problem);
  void tell(NotifyWish::Joined&&);
  void tell(NotifyWish::StreamOpened&& opened);
  void tell(NotifyWish::StreamAccepted&& accepted);
  void tell(NotifyWish::StreamBytes&& bytes);
  void tell(NotifyWish::StreamFinished&& finished);
  void tell(NotifyWish::StreamWritable&& writable);
  void tell(NotifyWish::StreamClosed&& closed);
  void tell(NotifyWish::ExchangePeerUp&& up);
  void tell(NotifyWish::ExchangeBytes&& bytes);
  void tell(NotifyWish::ExchangeWritable&& writable);
  void tell(NotifyWish::ExchangeEnded&& ended);
  void tell(NotifyWish::ExchangePeerDown&& down);
  void tell(NotifyWish::ExchangeFailed&& failed);
  std::shared_ptr<StreamState> stream(StreamId id) const;

  void on_timer();
  void watch_cache();
  void save_cache();
  void cache_saved(int failure);

  void finish();
  void give_up_callbacks();

  NativeCrypto crypto_;
  Identity identity_;
  NodeEvents events_;
  asio::io_context io_{
      BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO};  // one thread does all input and output
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  Clock::time_point started_ = Clock::now();
  std::unique_ptr<StateDir> state_;
  std::unique_ptr<WebSocketTransport> websocket_;
  std::unique_ptr<TcpTransport> tcp_;
  std::unique_ptr<DataChannels> channels_;                   // null without
  std::unordered_map<LinkId, std::unique_ptr<Link>> links_;  // bounded by the engine
  std::uint64_t last_link_ = 0;
  std::optional<Engine> engine_;
  Phase phase_ = Phase::running;
  bool muted_ = false;
  bool released_ = false;

  Mailbox mailbox_;
  std::vector<Order> orders_;  // taken from it, and so many of them obeyed
  std::size_t orders_done_ = 0;

  Timer timer_{io_.get_executor()};
  TimePoint armed_ = never;

  using Event = decltype(NotifyWish::event);
  Ring<Event> to_tell_;  // what the engine left in one turn
  bool telling_ = false;
  bool is_asked_meanwhile_ = false;                    // the engine, by what was told
  std::vector<std::weak_ptr<Ear>> ears_;               // as the application's sockets
  std::string dial_detail_;                            // of the dial that fails in this turn
  std::unordered_map<MessageId, SendCallback> sends_;  // bounded by the engine
  std::multimap<NodeId, ConnectCallback> connects_;    // as the application's calls under way
  std::multimap<std::string, ConnectCallback> address_connects_;        // the same
  std::vector<ListenPort> listening_;                                   // one for each scheme
  bool listens_on_loopback_ = false;                                    // with any of them
  std::map<std::uint64_t, TraceCallback> traces_;                       // bounded by the engine
  std::unordered_map<StreamId, std::shared_ptr<StreamState>> streams_;  // bounded by the engine
  std::unordered_map<const StreamState*, Timer> stream_deadlines_;      // of open ones
  ExchangeEar exchange_ear_;
  std::vector<std::function<void()>> destroyed_;
  struct Alarm {
    Timer timer;
    CallOrder
        task;  // not in the timer's handler: that outlives us in the io_context, which is ours
  };
  std::unordered_map<std::uint64_t, Alarm> alarms_;  // as the application's calls under way
  std::uint64_t last_alarm_ = 0;

  Timer cache_timer_{io_.get_executor()};
  bool cache_due_ = false;
  std::uint64_t cache_version_ = 0;
  Clock::time_point cache_saved_at_{};
  bool cache_failed_ = false;
  std::jthread cache_writer_;

  std::uint64_t refused_connections_ = 0;
  std::uint64_t overlong_texts_ = 0;
  std::array<std::uint64_t, static_cast<std::size_t>(CloseReason::count_)> failed_connections_{};
};

// ---- Starting -------------------------------------------------------------------------------

Result<std::shared_ptr<Host>, StartError> AsioHost::make(NodeOptions options, NodeEvents events) {
  try {
    auto host = std::make_shared<AsioHost>();
    host->events_ = std::move(events);
    if (auto error = host->open(std::move(options))) return std::unexpected(std::move(*error));
    return host;
  } catch (const std::runtime_error& error) {  // no file descriptors left, as a rule
    return std::unexpected(
        StartError{Error::queue_full, fmt::format("the system gives no more: {}", error.what())});
  }
}

std::optional<StartError> AsioHost::open(NodeOptions options) {
  auto checked = engine_options(options);
  if (!checked) return std::move(checked.error());
  if (auto error = open_state(options, *checked)) return error;
  auto found = identity(options);
  if (!found) return found.error();
  identity_ = *found;
  id_ = identity_.id;

  auto websocket = WebSocketTransport::make(
      io_, *this,
      {.dial_timeout = options.dial_timeout,
       .accept_timeout = options.handshake_timeout,
       .half_open_max = options.limits.half_open_max,
       .half_open_per_host_max = options.limits.half_open_per_host_max,
       .origins = options.origins,
       .tls = options.tls,
       .tls_ca_file = options.tls_ca_file,
       .old_text_bytes_max = options.legacy ? limits::legacy_text_bytes_max : 0,
       .takes_streams = options.old_exchange});
  if (!websocket) return std::move(websocket.error());
  websocket_ = std::move(*websocket);
  auto channels = DataChannels::make(io_, *this, *this, options);
  if (!channels) return std::move(channels.error());
  channels_ = std::move(*channels);
  checked->webrtc = channels_ != nullptr;
  LinkSink& sink = *this;
  tcp_ = std::make_unique<TcpTransport>(
      io_, sink,
      TcpOptions{.dial_timeout = options.dial_timeout,
                 .accept_timeout = options.handshake_timeout,
                 .half_open_max = options.limits.half_open_max,
                 .half_open_per_host_max = options.limits.half_open_per_host_max,
                 .takes_streams = options.old_exchange});
  if (auto error = listen(options, *checked)) return error;
  listening_ = checked->listening;
  listens_on_loopback_ = checked->listens_on_loopback && !listening_.empty();

  const auto unix_time = std::chrono::system_clock::now().time_since_epoch();
  checked->unix_ms_at_zero =
      std::chrono::duration_cast<std::chrono::milliseconds>(unix_time).count();
  started_ = Clock::now();
  std::uint64_t seed = 0;
  crypto_.random({reinterpret_cast<std::uint8_t*>(&seed), sizeof seed});
  engine_.emplace(std::move(*checked), identity_, crypto_, seed, now());
  cache_version_ = engine_->peer_cache_version();
  engine_->start(now());  // what it wishes for is granted by run()
  return std::nullopt;
}

std::optional<StartError> AsioHost::listen(const NodeOptions& options,
                                           EngineOptions& engine_options) {
  const auto on = [&](auto& transport, std::optional<std::uint16_t> wanted, Scheme scheme,
                      std::uint16_t& port) -> std::optional<StartError> {
    if (!wanted) return std::nullopt;
    const auto found = transport.listen(options.host, *wanted);
    if (!found) return found.error();
    port = *found;
    urls_.push_back(local_url(scheme, options.host, port));
    engine_options.listening.push_back({scheme, port});
    return std::nullopt;
  };
  if (auto error = on(*websocket_, options.port, options.tls ? Scheme::wss : Scheme::ws, port_)) {
    return error;
  }
  return on(*tcp_, options.tcp_port, Scheme::tcp, tcp_port_);
}

std::optional<StartError> AsioHost::open_state(const NodeOptions& options,
                                               EngineOptions& engine_options) {
  if (options.state_dir.empty()) return std::nullopt;
  auto state = StateDir::open(options.state_dir);
  if (!state) return std::move(state.error());
  state_ = std::move(*state);
  engine_options.cached_contacts = state_->read_cache().contacts;
  return std::nullopt;
}

Result<Identity, StartError> AsioHost::identity(const NodeOptions& options) {
  if (options.identity) return identity_from_seed(*options.identity, crypto_);
  std::filesystem::path file = options.identity_file;
  if (file.empty() && state_) file = state_->identity_file();
  if (file.empty()) return make_identity(crypto_);
  const auto seed = load_or_create_key_file(file, crypto_);
  if (!seed) {
    return std::unexpected(
        StartError{seed.error(), fmt::format("cannot use the identity file '{}': {}", file.string(),
                                             describe(seed.error()))});
  }
  return identity_from_seed(*seed, crypto_);
}

void AsioHost::run() {
  asio::post(io_, [this] { settle(); });
  io_.run();
  mailbox_.close();
  orders_.clear();
}

AsioHost::~AsioHost() {
  // The links before their transport, and all of them before the io_context.
  links_.clear();
  websocket_.reset();
  tcp_.reset();
  channels_.reset();
}

TimePoint AsioHost::now() const {
  return TimePoint{std::chrono::duration_cast<Duration>(Clock::now() - started_)};
}

// ---- From any thread ------------------------------------------------------------------------

bool AsioHost::is_on_thread() const { return work_.get_executor().running_in_this_thread(); }

Result<void> AsioHost::send(const NodeId& to, Payload payload) {
  if (to == id_) return std::unexpected(Error::to_self);
  const std::size_t bytes = payload.bytes.size();
  if (bytes > limits::payload_bytes_max) return std::unexpected(Error::payload_too_large);
  const auto put = mailbox_.put_message(SendOrder{to, std::move(payload)}, bytes);
  if (put == Mailbox::Put::refused) return std::unexpected(Error::queue_full);
  notify_thread(put);
  return {};
}

void AsioHost::send(const NodeId& to, Payload payload, SendOptions options, SendCallback done) {
  const std::size_t bytes = payload.bytes.size();
  std::optional<Error> error;
  if (to == id_) error = Error::to_self;
  if (bytes > limits::payload_bytes_max) error = Error::payload_too_large;
  if (!error) {
    const auto put =
        mailbox_.put_message(AcknowledgedOrder{to, std::move(payload), options, done}, bytes);
    if (put != Mailbox::Put::refused) return notify_thread(put);
    error = Error::queue_full;
  }
  if (done) call([done = std::move(done), error = *error] { done(refused(error)); });
}

void AsioHost::call(CallOrder order) { notify_thread(mailbox_.put_call(std::move(order))); }

void AsioHost::notify_thread(Mailbox::Put put) {
  if (put == Mailbox::Put::first) asio::post(io_, [this] { read_mail(); });
}

// ---- What the application asks --------------------------------------------------------------

void AsioHost::read_mail() {
  if (orders_done_ == orders_.size()) {
    mailbox_.take(orders_);
    orders_done_ = 0;
  }
  // What is sent must also leave: after a full batch the sockets have their turn.
  std::size_t bytes = 0;
  while (orders_done_ < orders_.size() && bytes < limits::batch_bytes_max) {
    Order& order = orders_[orders_done_++];
    bytes += order_cost_bytes;
    if (const auto* message = std::get_if<SendOrder>(&order))
      bytes += message->payload.bytes.size();
    std::visit([this](auto& each) { obey(std::move(each)); }, order);
  }
  settle();
  if (orders_done_ < orders_.size()) asio::post(io_, [this] { read_mail(); });
}

void AsioHost::obey(SendOrder&& order) {
  if (phase_ != Phase::running) return;
  // A refusal here is the engine's own bound; it has counted it.
  static_cast<void>(engine_->send(order.to, std::move(order.payload), now()));
}

void AsioHost::obey(AcknowledgedOrder&& order) {
  Result<MessageId> message = std::unexpected(Error::closed);
  if (phase_ == Phase::running) {
    message = engine_->send(order.to, std::move(order.payload),
                            AcknowledgedSend{order.options.timeout, order.options.probe}, now());
  }
  if (!order.done) return;
  if (message) {
    sends_.emplace(*message, std::move(order.done));
  } else {
    order.done(refused(message.error()));
  }
}

void AsioHost::connect(const NodeId& to, ConnectCallback done) {
  if (phase_ != Phase::running) {
    if (done) done(std::unexpected(Error::closed));
    return;
  }
  if (done) connects_.emplace(to, std::move(done));
  engine_->connect(to, now());
}

void AsioHost::connect(const Address& address, ConnectCallback done) {
  if (phase_ != Phase::running) {
    if (done) done(std::unexpected(Error::closed));
    return;
  }
  if (done) address_connects_.emplace(address.to_string(), std::move(done));
  engine_->connect(address, now());
}

void AsioHost::adopt(std::unique_ptr<UserConnection> connection, std::string remote,
                     ConnectCallback done) {
  if (phase_ != Phase::running) {
    if (done) done(std::unexpected(Error::closed));
    return;
  }
  is_asked_meanwhile_ = true;
  const LinkId id = next_link_id();
  LinkSink& sink = *this;
  links_.emplace(
      id, std::make_unique<UserLink>(std::move(connection), remote, id, sink, weak_from_this()));
  // Its host is not asked about: what a stranger's transport calls an address may be anything.
  LinkOrigin origin{.dial = {}, .remote = remote, .remote_host = {}, .channel_binding = {}};
  if (!done) return engine_->link_opened(id, std::move(origin), now());
  const std::string name = fmt::format("{}#{}", remote, static_cast<std::uint64_t>(id));
  address_connects_.emplace(name, std::move(done));
  engine_->link_adopted(id, std::move(origin), name, now());
}

Result<std::uint16_t, StartError> AsioHost::listen(Scheme scheme, const std::string& host,
                                                   std::uint16_t port) {
  if (phase_ != Phase::running) {
    return std::unexpected(StartError{Error::closed, "the node was destroyed"});
  }
  auto found = scheme == Scheme::tcp ? tcp_->listen(host, port) : websocket_->listen(host, port);
  if (!found) return found;
  listening_.push_back({scheme, *found});
  listens_on_loopback_ = listens_on_loopback_ || is_on_loopback(host);
  engine_->listens(listening_, listens_on_loopback_, now());
  is_asked_meanwhile_ = true;
  return found;
}

void AsioHost::stop_listening(Scheme scheme) {
  if (phase_ != Phase::running) return;
  if (scheme == Scheme::tcp) {
    tcp_->stop_listening();
  } else {
    websocket_->stop_listening();
  }
  std::erase_if(listening_, [scheme](const ListenPort& each) {
    return (each.scheme == Scheme::tcp) == (scheme == Scheme::tcp);
  });
  engine_->listens(listening_, listens_on_loopback_ && !listening_.empty(), now());
}

void AsioHost::disconnect(const NodeId& peer) {
  if (phase_ == Phase::running) engine_->disconnect(peer, now());
}

void AsioHost::trace(const NodeId& to, TraceCallback hop) {
  if (phase_ != Phase::running) {
    if (hop) hop({.lost = true});
    return;
  }
  const std::uint64_t number = engine_->trace(to, now());
  if (hop) traces_.emplace(number, std::move(hop));
}

std::vector<Peer> AsioHost::peers() const {
  return engine_ ? engine_->peers(now()) : std::vector<Peer>{};
}

Stats AsioHost::stats() const {
  if (!engine_) return {};
  Stats stats = engine_->stats();
  stats.refused_connections += refused_connections_;
  stats.dropped[static_cast<std::size_t>(DropReason::malformed)] += overlong_texts_;
  for (std::size_t i = 0; i < failed_connections_.size(); ++i) {
    stats.closed[i] += failed_connections_[i];
  }
  return stats;
}

// ---- What transports tell -------------------------------------------------------------------

void AsioHost::link_opened(LinkId id, std::unique_ptr<Link> link, LinkArrival arrival) {
  LinkOrigin origin{.dial = arrival.dial,
                    .remote = link->remote(),
                    .remote_host = std::move(arrival.remote_host),
                    .channel_binding = std::move(arrival.channel_binding),
                    .negotiation = arrival.negotiation,
                    .may_be_old = link->may_be_old()};
  links_.emplace(id, std::move(link));
  engine_->link_opened(id, std::move(origin), now());
  settle();
}

void AsioHost::dial_failed(DialId dial, DialError error, const std::string& detail) {
  dial_detail_ = detail;
  engine_->dial_failed(dial, error, now());
  settle();
  dial_detail_.clear();
}

void AsioHost::negotiation_described(NegotiationId id, const std::string& sdp) {
  engine_->negotiation_described(id, sdp, now());
  settle();
}

void AsioHost::negotiation_candidate(NegotiationId id, const std::string& line) {
  engine_->negotiation_candidate(id, line, now());
  settle();
}

void AsioHost::negotiation_failed(NegotiationId id, DialError error, const std::string& detail) {
  dial_detail_ = detail;
  engine_->negotiation_failed(id, error, now());
  settle();
  dial_detail_.clear();
}

void AsioHost::link_received(LinkId id, MutableBytes message) {
  engine_->link_received(id, message, now());
  settle();
}

void AsioHost::link_received_text(LinkId id, MutableBytes text) {
  engine_->link_received_text(id, as_text(text), now());
  settle();
}

void AsioHost::link_received_stream(LinkId id, BytesView bytes, ExchangeTransport by) {
  engine_->link_received_stream(id, bytes, by, now());
  settle();
}

void AsioHost::link_writable(LinkId id) {
  engine_->link_writable(id, now());
  settle();
}

void AsioHost::link_closed(LinkId id, CloseReason reason) {
  links_.erase(id);
  engine_->link_closed(id, reason, now());
  settle();
}

// ---- What the engine wants ------------------------------------------------------------------

/// Follows every input.
void AsioHost::settle() {
  if (!engine_) return;
  do {
    is_asked_meanwhile_ = false;
    drive(*engine_, *this);
    tell_all();
    if (!engine_) return;
  } while (is_asked_meanwhile_ && !telling_);
  watch_cache();
  if (phase_ == Phase::leaving && engine_->is_shut_down()) asio::post(io_, [this] { finish(); });
}

void AsioHost::perform(Action&& action) {
  std::visit([this](auto& each) { act(std::move(each)); }, action);
}

void AsioHost::act(Transmit&& action) {
  const auto at = links_.find(action.link);
  if (at == links_.end()) return engine_->recycle(std::move(action.batch));
  if (action.is_text) return at->second->send_text(std::move(action.batch));
  at->second->send(std::move(action.batch));
}

void AsioHost::act(Dial&& action) {
  Transport* const transports[] = {websocket_.get(), tcp_.get()};
  for (Transport* each : transports) {
    if (!each->can_dial(action.address)) continue;
    if (action.is_stream) return each->dial_stream(action.address, action.dial);
    return each->dial(action.address, action.dial);
  }
  asio::post(io_, [this, dial = action.dial] {
    if (engine_) dial_failed(dial, DialError::unsupported, "no transport for such an address");
  });
}

void AsioHost::act(CloseLink&& action) {
  const auto at = links_.find(action.link);
  if (at != links_.end()) at->second->close(action.reason);
}

void AsioHost::act(Notify&& action) {
  if (auto* problem = std::get_if<Problem>(&action.event)) {
    const bool is_of_dial = problem->kind == Problem::Kind::bootstrap_failed ||
                            problem->kind == Problem::Kind::dial_failed;
    if (is_of_dial && !dial_detail_.empty()) problem->detail = dial_detail_;
  }
  if (auto* failed = std::get_if<NotifyWish::ExchangeFailed>(&action.event)) {
    if (failed->why == ExchangeFailure::dial_failed) failed->detail = dial_detail_;
  }
  to_tell_.push(std::move(action.event));
}

void AsioHost::wake_at(TimePoint when) {
  // An early wake costs less than moving the timer after every message.
  if (when >= armed_) return;
  armed_ = when;
  timer_.expires_at(started_ + when.time_since_epoch());
  timer_.async_wait([this](boost::system::error_code error) {
    if (!error) on_timer();
  });
}

void AsioHost::on_timer() {
  if (!engine_) return;
  armed_ = never;
  if (engine_->next_wake() <= now()) engine_->wake(now());
  settle();
}

// ---- What the application hears -------------------------------------------------------------

void AsioHost::tell_all() {
  if (telling_) return;
  telling_ = true;
  while (!to_tell_.empty()) {
    auto next = to_tell_.pop();
    std::visit([this](auto& each) { tell(std::move(each)); }, next);
  }
  telling_ = false;
}

void AsioHost::add_ear(const std::weak_ptr<Ear>& ear) {
  if (phase_ != Phase::gone) {
    ears_.push_back(ear);
  } else if (const auto late = ear.lock()) {
    late->gone();
  }
}

std::vector<std::shared_ptr<Ear>> AsioHost::listeners() {
  std::vector<std::shared_ptr<Ear>> out;
  std::erase_if(ears_, [&](const std::weak_ptr<Ear>& each) {
    auto ear = each.lock();
    const bool is_gone = ear == nullptr;
    if (!is_gone) out.push_back(std::move(ear));
    return is_gone;
  });
  return out;
}

void AsioHost::tell(Message&& message) {
  bool is_taken = false;
  for (const auto& ear : listeners()) is_taken = ear->message(message) || is_taken;
  if (is_taken) return;
  if (events_.message && !muted_) events_.message(message);
}

void AsioHost::tell(NotifyWish::SendDone&& done) {
  auto callback = sends_.extract(done.message);
  if (callback) callback.mapped()(done.result);
}

void AsioHost::tell(NotifyWish::PeerUp&& up) {
  for (const auto& ear : listeners()) ear->linked();
  if (!events_.peer || muted_) return;
  // It may be gone again, with a word of it to follow.
  Peer peer;
  peer.id = up.id;
  events_.peer(engine_->peer(up.id, now()).value_or(peer));
}

void AsioHost::tell(NotifyWish::PeerLost&& lost) {
  if (events_.peer_lost && !muted_) events_.peer_lost(lost.id, lost.reason);
}

void AsioHost::tell(NotifyWish::ConnectDone&& done) {
  Result<Peer> result = std::unexpected(done.error.value_or(Error::not_linked));
  if (!done.error) {
    if (auto peer = engine_->peer(done.id, now())) result = std::move(*peer);
  }
  // Calls for one peer are one to the engine; one word answers all of them.
  while (auto callback = connects_.extract(done.id)) callback.mapped()(result);
}

void AsioHost::tell(NotifyWish::AddressDone&& done) {
  Result<Peer> result = std::unexpected(Error::dial_failed);
  if (done.id) {
    if (auto peer = engine_->peer(*done.id, now())) result = std::move(*peer);
  }
  // As many dials as calls, each with its own answer.
  if (const auto callback = address_connects_.extract(done.address)) callback.mapped()(result);
}

void AsioHost::tell(NotifyWish::Traced&& traced) {
  const auto at = traces_.find(traced.trace);
  if (at == traces_.end()) return;
  const TraceHop& hop = traced.hop;
  if (!hop.is_target && !hop.lost && hop.reason == UnreachableReason::none) return at->second(hop);
  const auto last = traces_.extract(at);
  last.mapped()(hop);
}

void AsioHost::tell(Problem&& problem) {
  for (const auto& ear : listeners()) ear->problem(problem);
  if (events_.error && !muted_) events_.error(problem);
}

void AsioHost::tell(NotifyWish::Joined&&) {
  for (const auto& ear : listeners()) ear->linked();
  if (events_.joined && !muted_) events_.joined();
}

// ---- Streams --------------------------------------------------------------------------------

class AsioHost::EngineStream final : public StreamCarrier {
 public:
  EngineStream(AsioHost& host, StreamId id) : host_{host}, id_{id} {}

  bool has_room() override {
    return host_.phase_ == Phase::running && host_.engine_->stream_has_room(id_);
  }
  void write(Bytes bytes) override {
    if (Engine* const engine = ask()) {
      static_cast<void>(engine->stream_write(id_, std::move(bytes), host_.now()));
    }
  }
  void finish() override {
    if (Engine* const engine = ask()) engine->stream_finish(id_, host_.now());
  }
  void reset(StreamEnd end, std::uint32_t code) override {
    if (Engine* const engine = ask()) engine->stream_reset(id_, end, code, host_.now());
  }
  void consumed(std::size_t bytes) override {
    if (Engine* const engine = ask()) engine->stream_consumed(id_, bytes, host_.now());
  }

 private:
  Engine* ask() {
    host_.is_asked_meanwhile_ = true;
    return host_.engine_ ? &*host_.engine_ : nullptr;
  }

  AsioHost& host_;
  StreamId id_;
};

void AsioHost::open_stream(const std::shared_ptr<StreamState>& state,
                           const StreamOptions& options) {
  if (phase_ != Phase::running) return state->closed({StreamEnd::shutdown, 0});
  const auto id = engine_->open_stream(state->peer(), options, now());
  if (!id) {
    const bool is_full = id.error() == Error::queue_full;
    return state->closed({is_full ? StreamEnd::limit : StreamEnd::refused, 0});
  }
  is_asked_meanwhile_ = true;
  streams_.emplace(*id, state);
  state->opened(std::make_unique<EngineStream>(*this, *id));
}

void AsioHost::set_stream_deadline(StreamState& state, Duration from_now) {
  stream_deadlines_.erase(&state);
  if (from_now == Duration::max()) return;
  Timer& timer = stream_deadlines_.try_emplace(&state, io_.get_executor()).first->second;
  timer.expires_after(from_now);
  timer.async_wait([this, late = state.weak_from_this()](boost::system::error_code error) {
    if (error) return;
    if (const auto stream = late.lock()) stream->reset(StreamEnd::timed_out, 0);
    settle();
  });
}

void AsioHost::after(Duration delay, CallOrder task) {
  if (phase_ != Phase::running) return;
  const std::uint64_t alarm = ++last_alarm_;
  const auto at = alarms_.emplace(alarm, Alarm{Timer{io_.get_executor()}, std::move(task)}).first;
  at->second.timer.expires_after(delay);
  at->second.timer.async_wait([this, alarm](boost::system::error_code error) {
    if (error) return;
    const auto due = alarms_.extract(alarm);
    due.mapped().task();
    settle();
  });
}

std::shared_ptr<StreamState> AsioHost::stream(StreamId id) const {
  const auto at = streams_.find(id);
  return at == streams_.end() ? nullptr : at->second;
}

void AsioHost::tell(NotifyWish::StreamOpened&& opened) {
  auto carrier = std::make_unique<EngineStream>(*this, opened.stream);
  if (!events_.stream || muted_) return carrier->reset(StreamEnd::refused, 0);
  const auto state = std::make_shared<StreamState>(shared_from_this(), opened.peer,
                                                   std::move(opened.label), false);
  streams_.emplace(opened.stream, state);
  state->opened(std::move(carrier));
  events_.stream(StreamState::handle_of(state));
}

void AsioHost::tell(NotifyWish::StreamAccepted&& accepted) {
  if (const auto state = stream(accepted.stream)) state->accepted();
}

void AsioHost::tell(NotifyWish::StreamBytes&& bytes) {
  if (const auto state = stream(bytes.stream)) state->arrived(std::move(bytes.bytes));
}

void AsioHost::tell(NotifyWish::StreamFinished&& finished) {
  if (const auto state = stream(finished.stream)) state->finished();
}

void AsioHost::tell(NotifyWish::StreamWritable&& writable) {
  if (const auto state = stream(writable.stream)) state->writable();
}

void AsioHost::tell(NotifyWish::StreamClosed&& closed) {
  if (const auto state = streams_.extract(closed.stream)) {
    state.mapped()->closed({closed.end, closed.code});
  }
}

// ---- Peers of npm peer-exchange ---------------------------------------------------------------

ExchangeRequest AsioHost::exchange_connect(const Address& address) {
  if (phase_ != Phase::running) return 0;
  is_asked_meanwhile_ = true;
  return engine_->exchange_connect(address, now());
}

ExchangeRequest AsioHost::exchange_get_new_peer(std::optional<ExchangePeerId> from) {
  if (phase_ != Phase::running) return 0;
  is_asked_meanwhile_ = true;
  return engine_->exchange_get_new_peer(from, now());
}

bool AsioHost::exchange_write(ExchangePeerId peer, Bytes bytes) {
  if (phase_ != Phase::running) return false;
  is_asked_meanwhile_ = true;
  return engine_->exchange_write(peer, std::move(bytes), now());
}

bool AsioHost::exchange_has_room(ExchangePeerId peer) const {
  return phase_ == Phase::running && engine_->exchange_has_room(peer);
}

void AsioHost::exchange_close(ExchangePeerId peer) {
  is_asked_meanwhile_ = true;
  if (engine_) engine_->exchange_close(peer, now());
}

void AsioHost::exchange_consumed(ExchangePeerId peer, std::size_t bytes) {
  if (engine_) engine_->exchange_consumed(peer, bytes, now());
}

void AsioHost::exchange_accept(ExchangeTransport transport, std::uint16_t port) {
  is_asked_meanwhile_ = true;
  if (phase_ == Phase::running) engine_->exchange_accept(transport, port, now());
}

void AsioHost::exchange_unaccept(ExchangeTransport transport) {
  is_asked_meanwhile_ = true;
  if (phase_ == Phase::running) engine_->exchange_unaccept(transport, now());
}

void AsioHost::tell(NotifyWish::ExchangePeerUp&& up) {
  if (exchange_ear_.up && !muted_) exchange_ear_.up(std::move(up));
}

void AsioHost::tell(NotifyWish::ExchangeBytes&& bytes) {
  if (exchange_ear_.bytes && !muted_) exchange_ear_.bytes(std::move(bytes));
}

void AsioHost::tell(NotifyWish::ExchangeWritable&& writable) {
  if (exchange_ear_.writable && !muted_) exchange_ear_.writable(writable.peer);
}

void AsioHost::tell(NotifyWish::ExchangeEnded&& ended) {
  if (exchange_ear_.ended && !muted_) exchange_ear_.ended(ended.peer);
}

void AsioHost::tell(NotifyWish::ExchangePeerDown&& down) {
  if (exchange_ear_.down) exchange_ear_.down(std::move(down));
}

void AsioHost::tell(NotifyWish::ExchangeFailed&& failed) {
  if (exchange_ear_.failed) exchange_ear_.failed(std::move(failed));
}

// ---- The peer cache -------------------------------------------------------------------------

void AsioHost::watch_cache() {
  if (!state_ || cache_due_ || phase_ != Phase::running) return;
  if (engine_->peer_cache_version() == cache_version_) return;
  cache_due_ = true;
  const auto soon = Clock::now() + cache_delay;
  const bool is_first = cache_saved_at_ == Clock::time_point{};
  cache_timer_.expires_at(is_first ? soon : std::max(soon, cache_saved_at_ + cache_every));
  cache_timer_.async_wait([this](boost::system::error_code error) {
    if (error || phase_ != Phase::running) return;
    cache_due_ = false;
    save_cache();
  });
}

/// On a thread of its own: a disk may take a second to be sure, and nobody's message waits for it.
void AsioHost::save_cache() {
  cache_version_ = engine_->peer_cache_version();
  cache_saved_at_ = Clock::now();
  const auto write = [this, contacts = engine_->peer_cache()] {
    const int failure = state_->write_cache(contacts) ? 0 : errno;
    asio::post(io_, [this, failure] { cache_saved(failure); });
  };
  try {
    cache_writer_ = std::jthread{write};
  } catch (const std::system_error& error) {
    cache_saved(error.code().value());
  }
}

void AsioHost::cache_saved(int failure) {
  const bool is_news = failure != 0 && !cache_failed_;
  cache_failed_ = failure != 0;
  if (!is_news || phase_ == Phase::gone) return;
  to_tell_.push(Problem{Problem::Kind::state_unwritable, "peers.cache", std::strerror(failure)});
  tell_all();
}

// ---- The end --------------------------------------------------------------------------------

void AsioHost::destroy(std::function<void()> done) {
  if (phase_ == Phase::gone) {
    if (done) done();
    return;
  }
  if (done) destroyed_.push_back(std::move(done));
  if (phase_ == Phase::leaving) return;
  phase_ = Phase::leaving;
  engine_->shut_down(now());
  // The engine's timer goes on beside this one.
  cache_timer_.expires_after(shut_down_timeout);
  cache_timer_.async_wait([this](boost::system::error_code error) {
    if (!error) finish();
  });
}

void AsioHost::release() {
  released_ = true;
  destroy({});
  if (phase_ == Phase::gone) io_.stop();
}

void AsioHost::finish() {
  if (phase_ == Phase::gone) return;
  phase_ = Phase::gone;
  timer_.cancel();
  cache_timer_.cancel();
  stream_deadlines_.clear();
  alarms_.clear();
  links_.clear();
  websocket_.reset();
  tcp_.reset();
  channels_.reset();
  if (state_) {
    cache_writer_ = {};
    if (engine_->peer_cache_version() != cache_version_) {
      static_cast<void>(state_->write_cache(engine_->peer_cache()));
    }
    state_.reset();
  }
  engine_.reset();
  give_up_callbacks();
  for (const auto& ear : listeners()) ear->gone();
  for (const auto& done : std::exchange(destroyed_, {})) done();
  if (released_) io_.stop();
}

/// What was promised to come exactly once comes now.
void AsioHost::give_up_callbacks() {
  tell_all();
  for (auto& [message, done] : std::exchange(sends_, {})) done(refused(Error::closed));
  for (auto& [id, done] : std::exchange(connects_, {})) done(std::unexpected(Error::closed));
  for (auto& [url, done] : std::exchange(address_connects_, {})) {
    done(std::unexpected(Error::closed));
  }
  for (auto& [number, hop] : std::exchange(traces_, {})) hop({.lost = true});
  for (auto& [id, state] : std::exchange(streams_, {})) state->closed({StreamEnd::shutdown, 0});
}

}  // namespace

Result<std::shared_ptr<Host>, StartError> Host::make(NodeOptions options, NodeEvents events) {
  return AsioHost::make(std::move(options), std::move(events));
}

}  // namespace peer_relay
