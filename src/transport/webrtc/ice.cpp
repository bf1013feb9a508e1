// SPDX-License-Identifier: MIT
#include "transport/webrtc/ice.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <nice/agent.h>
#include <sys/socket.h>

#include "base/assert.hpp"
#include "transport/webrtc/glib_pump_impl.hpp"

namespace peer_relay::webrtc {

namespace {

constexpr guint component = 1;

/// Between two checks, and the least that RFC 8445 §14.2 allows. libnice's 20 ms delay the first
/// ones. For ten seconds after it has opened, a connection costs us a tick for each: 0.7 ms a
/// second.
constexpr guint pacing_ms = 5;

/// For a TURN server to hear that an allocation is of no more use.
constexpr std::chrono::seconds release_timeout{10};

/// What a socket may hold that we have not read: a whole SCTP window, or packets are lost at full
/// speed. The system counts 2,304 bytes for a packet of 1,200, and may grant less.
constexpr int receive_buffer_bytes = 2 << 20;

NiceCandidateType nice_type(CandidateKind kind) {
  switch (kind) {
    case CandidateKind::host:
      return NICE_CANDIDATE_TYPE_HOST;
    case CandidateKind::server_reflexive:
      return NICE_CANDIDATE_TYPE_SERVER_REFLEXIVE;
    case CandidateKind::peer_reflexive:
      return NICE_CANDIDATE_TYPE_PEER_REFLEXIVE;
    case CandidateKind::relayed:
      return NICE_CANDIDATE_TYPE_RELAYED;
  }
  return NICE_CANDIDATE_TYPE_HOST;
}

CandidateKind kind_of(NiceCandidateType type) {
  switch (type) {
    case NICE_CANDIDATE_TYPE_HOST:
      return CandidateKind::host;
    case NICE_CANDIDATE_TYPE_SERVER_REFLEXIVE:
      return CandidateKind::server_reflexive;
    case NICE_CANDIDATE_TYPE_PEER_REFLEXIVE:
      return CandidateKind::peer_reflexive;
    case NICE_CANDIDATE_TYPE_RELAYED:
      return CandidateKind::relayed;
  }
  return CandidateKind::host;
}

std::string host_of(const NiceAddress& address) {
  std::array<gchar, NICE_ADDRESS_STRING_LEN> text{};
  nice_address_to_string(&address, text.data());
  std::string out = text.data();
  out.resize(std::min(out.size(), out.find('%')));  // the scope means nothing to others
  return out;
}

/// An agent with allocations at TURN servers, on its way out; its timer holds it.
class Release : public std::enable_shared_from_this<Release> {
 public:
  Release(NiceAgent* agent, std::shared_ptr<GlibPump> pump, const Executor& executor)
      : agent_(agent), pump_(std::move(pump)), timer_(executor) {}
  ~Release() {
    pump_->stop();
    g_object_unref(agent_);
  }
  Release(const Release&) = delete;
  Release& operator=(const Release&) = delete;

  void begin() {
    timer_.expires_after(release_timeout);
    timer_.async_wait([self = shared_from_this()](error_code) {});
    nice_agent_close_async(agent_, closed, new std::weak_ptr<Release>{weak_from_this()});
  }

 private:
  static void closed(GObject*, GAsyncResult*, gpointer data) {
    const std::unique_ptr<std::weak_ptr<Release>> weak{static_cast<std::weak_ptr<Release>*>(data)};
    if (const auto self = weak->lock()) self->timer_.cancel();
  }

  NiceAgent* agent_;
  std::shared_ptr<GlibPump> pump_;
  Timer timer_;
};

}  // namespace

struct Ice::Agent {
  Agent(asio::io_context& io, IceSink& to) : executor(io.get_executor()), sink(&to) {}

  ~Agent() {
    if (nice == nullptr) return;
    sink = nullptr;
    g_signal_handlers_disconnect_by_data(nice, this);
    if (stream != 0) {
      nice_agent_attach_recv(nice, stream, component, pump->context(), nullptr, nullptr);
    }
    if (has_turn) {
      std::make_shared<Release>(nice, std::move(pump), executor)->begin();
      return;
    }
    if (stream != 0) nice_agent_remove_stream(nice, stream);
    g_object_unref(nice);
    pump->stop();
  }

  static void on_candidate(NiceAgent*, NiceCandidate* candidate, gpointer self) {
    static_cast<Agent*>(self)->tell(*candidate);
  }
  static void on_gathered(NiceAgent*, guint, gpointer self) {
    static_cast<Agent*>(self)->sink->ice_gathered();
  }
  static void on_state(NiceAgent*, guint, guint, guint state, gpointer self) {
    static_cast<Agent*>(self)->changed(state);
  }
  static void on_datagram(NiceAgent*, guint, guint, guint bytes, gchar* data, gpointer self) {
    static_cast<Agent*>(self)->sink->ice_received({reinterpret_cast<std::uint8_t*>(data), bytes});
  }

  void tell(const NiceCandidate& candidate) {
    if (candidate.transport != NICE_CANDIDATE_TRANSPORT_UDP) return;
    Candidate out{.foundation = candidate.foundation,
                  .priority = candidate.priority,
                  .host = host_of(candidate.addr),
                  .port = static_cast<std::uint16_t>(nice_address_get_port(&candidate.addr)),
                  .kind = kind_of(candidate.type)};
    sink->ice_candidate(out);
  }

  void changed(guint state) {
    if (state == NICE_COMPONENT_STATE_FAILED) return sink->ice_failed();
    const bool works =
        state == NICE_COMPONENT_STATE_CONNECTED || state == NICE_COMPONENT_STATE_READY;
    if (works) sink->ice_connected();
  }

  bool open(bool controls, const IceOptions& options);
  void add_server(const IceServer& server);
  void widen_buffers();

  std::optional<NiceAddress> remote() const {
    NiceCandidate* local = nullptr;
    NiceCandidate* remote = nullptr;
    if (!nice_agent_get_selected_pair(nice, stream, component, &local, &remote)) return {};
    return remote->addr;
  }

  Executor executor;
  IceSink* sink;
  std::shared_ptr<GlibPump> pump;
  NiceAgent* nice = nullptr;
  guint stream = 0;
  bool has_turn = false;
};

bool Ice::Agent::open(bool controls, const IceOptions& options) {
  pump = GlibPump::make(executor);
  if (!pump) return false;
  nice = nice_agent_new_full(pump->context(), NICE_COMPATIBILITY_RFC5245,
                             static_cast<NiceAgentOption>(NICE_AGENT_OPTION_REGULAR_NOMINATION |
                                                          NICE_AGENT_OPTION_ICE_TRICKLE |
                                                          NICE_AGENT_OPTION_CONSENT_FRESHNESS));
  if (nice == nullptr) return false;
  // UPnP would ask the local network for a router, by multicast and for each agent.
  g_object_set(nice, "upnp", FALSE, "ice-tcp", FALSE, "controlling-mode", controls ? TRUE : FALSE,
               "stun-pacing-timer", pacing_ms, "force-relay", options.relayed_only ? TRUE : FALSE,
               nullptr);
  for (const std::string& host : options.local_addresses) {
    NiceAddress address;
    nice_address_init(&address);
    // An invalid one that is added all the same makes libnice complain for ever.
    if (!nice_address_set_from_string(&address, host.c_str())) continue;
    nice_agent_add_local_address(nice, &address);
  }
  g_signal_connect(nice, "new-candidate-full", G_CALLBACK(on_candidate), this);
  g_signal_connect(nice, "candidate-gathering-done", G_CALLBACK(on_gathered), this);
  g_signal_connect(nice, "component-state-changed", G_CALLBACK(on_state), this);

  stream = nice_agent_add_stream(nice, 1);
  if (stream == 0) return false;
  if (options.port_min != 0) {
    nice_agent_set_port_range(nice, stream, component, options.port_min, options.port_max);
  }
  for (const IceServer& each : options.servers) add_server(each);
  nice_agent_attach_recv(nice, stream, component, pump->context(), on_datagram, this);
  pump->start();
  return true;
}

void Ice::Agent::add_server(const IceServer& server) {
  if (server.kind == IceServer::Kind::stun) {
    g_object_set(nice, "stun-server", server.host.c_str(), "stun-server-port", guint{server.port},
                 nullptr);
    return;
  }
  const auto kind = server.kind == IceServer::Kind::turn_udp ? NICE_RELAY_TYPE_TURN_UDP
                                                             : NICE_RELAY_TYPE_TURN_TCP;
  has_turn |= nice_agent_set_relay_info(nice, stream, component, server.host.c_str(), server.port,
                                        server.user.c_str(), server.secret.c_str(), kind) == TRUE;
}

void Ice::Agent::widen_buffers() {
  GPtrArray* const sockets = nice_agent_get_sockets(nice, stream, component);
  if (sockets == nullptr) return;
  for (guint i = 0; i < sockets->len; ++i) {
    const int fd = g_socket_get_fd(static_cast<GSocket*>(sockets->pdata[i]));
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
  }
  g_ptr_array_unref(sockets);
}

std::unique_ptr<Ice> Ice::make(asio::io_context& io, IceSink& sink, bool controls,
                               const IceOptions& options) {
  auto agent = std::make_unique<Agent>(io, sink);
  if (!agent->open(controls, options)) return nullptr;
  return std::unique_ptr<Ice>(new Ice(std::move(agent)));
}

Ice::Ice(std::unique_ptr<Agent> agent) : agent_(std::move(agent)) {
  gchar* user = nullptr;
  gchar* secret = nullptr;
  if (nice_agent_get_local_credentials(agent_->nice, agent_->stream, &user, &secret)) {
    user_ = user;
    secret_ = secret;
  }
  g_free(user);
  g_free(secret);
}

Ice::~Ice() = default;

bool Ice::set_remote(const std::string& user, const std::string& secret) {
  return nice_agent_set_remote_credentials(agent_->nice, agent_->stream, user.c_str(),
                                           secret.c_str());
}

bool Ice::gather() {
  if (!nice_agent_gather_candidates(agent_->nice, agent_->stream)) return false;
  agent_->widen_buffers();
  return true;
}

void Ice::add_remote(const Candidate& candidate) {
  NiceCandidate* const nice = nice_candidate_new(nice_type(candidate.kind));
  nice->transport = NICE_CANDIDATE_TRANSPORT_UDP;
  nice->stream_id = agent_->stream;
  nice->component_id = component;
  nice->priority = candidate.priority;
  const std::size_t bytes =
      std::min(candidate.foundation.size(), sizeof nice->foundation - std::size_t{1});
  std::memcpy(nice->foundation, candidate.foundation.data(), bytes);
  nice->foundation[bytes] = '\0';
  if (nice_address_set_from_string(&nice->addr, candidate.host.c_str())) {
    nice_address_set_port(&nice->addr, candidate.port);
    GSList* const list = g_slist_append(nullptr, nice);
    nice_agent_set_remote_candidates(agent_->nice, agent_->stream, component, list);
    g_slist_free(list);
  }
  nice_candidate_free(nice);
}

void Ice::end_of_remote() {
  nice_agent_peer_candidate_gathering_done(agent_->nice, agent_->stream);
}

bool Ice::send(BytesView datagram) {
  return nice_agent_send(agent_->nice, agent_->stream, component,
                         static_cast<guint>(datagram.size()),
                         reinterpret_cast<const gchar*>(datagram.data())) > 0;
}

std::string Ice::remote() const {
  const auto address = agent_->remote();
  if (!address) return {};
  const std::string host = host_of(*address);
  const guint port = nice_address_get_port(&*address);
  return host.contains(':') ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

std::string Ice::remote_host() const {
  const auto address = agent_->remote();
  return address ? host_of(*address) : std::string{};
}

bool Ice::is_relayed() const {
  NiceCandidate* local = nullptr;
  NiceCandidate* remote = nullptr;
  return nice_agent_get_selected_pair(agent_->nice, agent_->stream, component, &local, &remote) &&
         (local->type == NICE_CANDIDATE_TYPE_RELAYED ||
          remote->type == NICE_CANDIDATE_TYPE_RELAYED);
}

}  // namespace peer_relay::webrtc
