// SPDX-License-Identifier: MIT
#include "transport/webrtc/peer_connection.hpp"

#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include <openssl/rand.h>

#include "base/assert.hpp"
#include "transport/webrtc/asio_impl.hpp"
#include "transport/webrtc/dcep.hpp"
#include "transport/webrtc/sctp.hpp"
#include "transport/webrtc/sdp.hpp"

namespace peer_relay::webrtc {

namespace {

using namespace std::chrono_literals;

/// For what is queued to leave, and for the other side to close its half.
constexpr auto close_timeout = 1s;

/// For candidates from servers, where all go with the description.
constexpr auto gather_timeout = 2s;

/// Channels beside ours that the other side may open, each refused, before we give it up.
constexpr int refused_channels_max = 16;

}  // namespace

/// Lives as long as the PeerConnection or a handler holds it. ICE, DTLS and SCTP are taken down in
/// a turn of their own, because each may be what is calling.
class Connection final : public std::enable_shared_from_this<Connection>,
                         private IceSink,
                         private DtlsSink,
                         private SctpSink {
 public:
  Connection(asio::io_context& io, PeerConnectionSink& sink,
             std::shared_ptr<const Certificate> certificate, std::shared_ptr<SctpStack> stack,
             PeerConnectionOptions options)
      : io_(io),
        sink_(&sink),
        certificate_(std::move(certificate)),
        stack_(std::move(stack)),
        options_(std::move(options)),
        deadline_(io.get_executor()),
        gathering_(io.get_executor()) {}

  void start();
  void set_remote(std::string_view sdp);
  void add_candidate(std::string_view line);
  bool send(Bytes message, bool is_text);
  void close();
  void abandon();

  std::size_t queued_bytes() const { return sctp_ ? sctp_->queued_bytes() : 0; }
  std::size_t send_bytes_max() const { return send_bytes_max_; }
  std::size_t remote_candidates() const { return candidates_; }
  std::optional<SdpError> description_error() const { return description_error_; }
  Bytes channel_binding() const;
  const Ice* ice() const { return ice_.get(); }

 private:
  enum class State : std::uint8_t { fresh, waiting, ice, dtls, channel, open, closing, closed };

  void ice_candidate(const Candidate& candidate) override;
  void ice_gathered() override;
  void ice_connected() override;
  void ice_failed() override;
  void ice_received(BytesView datagram) override;

  void dtls_send(BytesView datagram) override;
  void dtls_opened(const CertificateDigest& peer) override;
  void dtls_received(BytesView plain) override;
  void dtls_closed(DtlsEnd end) override;

  void sctp_send(BytesView packet) override;
  void sctp_opened(std::uint16_t streams) override;
  void sctp_received(std::uint16_t stream, Ppid ppid, MutableBytes message) override;
  void sctp_reset(std::uint16_t stream) override;
  void sctp_taken(Bytes buffer) override;
  void sctp_writable() override;
  void sctp_closed() override;
  void sctp_overrun() override;

  void begin();
  void gather();
  void describe();
  bool choose_role(Setup remote);
  void offer_candidate(std::string_view line);
  void take_dcep(std::uint16_t stream, BytesView message);
  void take_open(std::uint16_t stream, const ChannelOpen& open);
  void opened();
  void finish(PeerConnectionEnd end);
  void tear_down();
  PeerConnectionEnd end_when_late() const;
  bool is_over() const { return state_ == State::closed; }

  /// In a turn of its own, in order.
  template <class Event>
  void tell(Event event) {
    asio::post(io_, [self = shared_from_this(), event = std::move(event)] {
      if (self->sink_ != nullptr && !self->is_over()) event(*self->sink_);
    });
  }

  asio::io_context& io_;
  PeerConnectionSink* sink_;  // none once the PeerConnection is gone
  std::shared_ptr<const Certificate> certificate_;
  std::shared_ptr<SctpStack> stack_;
  PeerConnectionOptions options_;
  State state_ = State::fresh;
  Timer deadline_;
  Timer gathering_;

  std::unique_ptr<Ice> ice_;
  std::unique_ptr<Dtls> dtls_;
  std::unique_ptr<Sctp> sctp_;

  bool has_remote_ = false;
  bool is_described_ = false;
  bool is_gathered_ = false;
  bool is_ice_up_ = false;
  Description own_;  // what we say of ourselves
  std::uint16_t remote_port_ = 5000;
  std::size_t send_bytes_max_ = 0;
  std::optional<SdpError> description_error_;
  std::vector<std::string> early_candidates_;  // at most candidates_max
  std::size_t candidates_ = 0;                 // of the other side, taken so far
  std::optional<CertificateDigest> peer_;
  std::uint16_t streams_ = 0;
  std::optional<std::uint16_t> channel_;
  int refused_channels_ = 0;
};

// ---- What is asked ----------------------------------------------------------------------------

void Connection::start() {
  PEER_RELAY_ASSERT(state_ == State::fresh && options_.offers);
  begin();
  if (is_over()) return;
  gather();
}

/// An agent, and a deadline.
void Connection::begin() {
  state_ = State::waiting;
  deadline_.expires_after(options_.timeout);
  deadline_.async_wait([self = shared_from_this()](error_code error) {
    if (!error) self->finish(self->end_when_late());
  });
  ice_ = Ice::make(io_, *this, options_.offers, options_.ice);
  if (!ice_ || ice_->user().empty()) return finish(PeerConnectionEnd::no_resources);
  own_.ice_ufrag = ice_->user();
  own_.ice_pwd = ice_->secret();
  own_.trickles = options_.trickles;
  own_.fingerprints = {certificate_->fingerprint()};
  own_.message_bytes_max = options_.receive_bytes_max;
}

void Connection::gather() {
  if (options_.trickles) describe();
  if (!ice_->gather()) return finish(PeerConnectionEnd::ice_failed);
  if (is_described_ || is_gathered_) return;
  gathering_.expires_after(gather_timeout);
  gathering_.async_wait([self = shared_from_this()](error_code error) {
    if (!error && !self->is_over()) self->describe();
  });
}

void Connection::describe() {
  if (std::exchange(is_described_, true)) return;
  own_.has_all_candidates = !options_.trickles;
  std::uint64_t session = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&session), sizeof session);
  tell([sdp = print_description(own_, session)](PeerConnectionSink& sink) {
    sink.connection_described(sdp);
  });
}

void Connection::set_remote(std::string_view sdp) {
  if (is_over() || has_remote_) return;
  auto remote = parse_description(sdp, options_.policy);
  if (remote && !choose_role(remote->setup)) remote = std::unexpected(SdpError::bad_setup);
  if (!remote) {
    description_error_ = remote.error();
    return finish(PeerConnectionEnd::bad_description);
  }
  // An agent costs a hundred times what reading does, so only now.
  if (state_ == State::fresh) {
    PEER_RELAY_ASSERT(!options_.offers);
    begin();
    if (is_over()) return;
  }
  has_remote_ = true;
  state_ = State::ice;
  remote_port_ = remote->sctp_port;
  send_bytes_max_ = remote->message_bytes_max == 0 ? SIZE_MAX : remote->message_bytes_max;
  if (!options_.offers) {
    own_.mid = remote->mid;
    own_.others = std::move(remote->others);
    own_.others_before = remote->others_before;
  }
  DtlsSink& dtls_sink = *this;
  dtls_ =
      std::make_unique<Dtls>(io_, dtls_sink, *certificate_,
                             own_.setup == Setup::active ? Dtls::Role::client : Dtls::Role::server,
                             std::move(remote->fingerprints));
  if (!ice_->set_remote(remote->ice_ufrag, remote->ice_pwd)) {
    return finish(PeerConnectionEnd::bad_description);
  }
  if (!options_.offers) gather();
  if (is_over()) return;
  for (const Candidate& each : remote->candidates) {
    ++candidates_;
    ice_->add_remote(each);
  }
  for (const std::string& each : std::exchange(early_candidates_, {})) offer_candidate(each);
  if (remote->has_all_candidates) ice_->end_of_remote();
  if (is_ice_up_) ice_connected();
}

/// Who begins the DTLS handshake. We do where we may: that saves half a round trip.
bool Connection::choose_role(Setup remote) {
  if (options_.offers) {
    if (remote == Setup::actpass) return false;
    own_.setup = remote == Setup::active ? Setup::passive : Setup::active;
  } else {
    own_.setup = remote == Setup::active ? Setup::passive : Setup::active;
  }
  return true;
}

void Connection::add_candidate(std::string_view line) {
  if (is_over() || line.size() > limits::candidate_bytes_max) return;
  if (has_remote_) return offer_candidate(line);
  if (early_candidates_.size() < limits::candidates_max) early_candidates_.emplace_back(line);
}

void Connection::offer_candidate(std::string_view line) {
  if (line.empty()) return ice_->end_of_remote();
  if (candidates_ == limits::candidates_max) return;
  const auto candidate = parse_candidate(line, options_.policy);
  if (!candidate) return;
  ++candidates_;
  ice_->add_remote(*candidate);
}

bool Connection::send(Bytes message, bool is_text) {
  if (state_ != State::open || message.size() > send_bytes_max_) return false;
  const bool is_empty = message.empty();
  if (is_empty) message.push_back(0);
  const Ppid ppid = is_text ? (is_empty ? Ppid::empty_text : Ppid::text)
                            : (is_empty ? Ppid::empty_binary : Ppid::binary);
  sctp_->send(*channel_, ppid, std::move(message));
  return true;
}

/// RFC 8831 §6.7: our half is closed behind what was sent, then the other side closes its own.
void Connection::close() {
  if (state_ == State::closing || is_over()) return;
  if (state_ != State::open) return finish(PeerConnectionEnd::closed_here);
  state_ = State::closing;
  deadline_.expires_after(close_timeout);
  deadline_.async_wait([self = shared_from_this()](error_code error) {
    if (!error) self->finish(PeerConnectionEnd::closed_here);
  });
  if (queued_bytes() == 0) sctp_->reset(*channel_);
}

void Connection::abandon() {
  sink_ = nullptr;
  finish(PeerConnectionEnd::closed_here);
}

Bytes Connection::channel_binding() const {
  if (!peer_) return {};
  const CertificateDigest& offerer = options_.offers ? certificate_->digest() : *peer_;
  const CertificateDigest& answerer = options_.offers ? *peer_ : certificate_->digest();
  Bytes out{offerer.begin(), offerer.end()};
  out.insert(out.end(), answerer.begin(), answerer.end());
  return out;
}

// ---- ICE ----------------------------------------------------------------------------------------

void Connection::ice_candidate(const Candidate& candidate) {
  if (is_over() || candidate.kind == CandidateKind::peer_reflexive) return;
  if (candidate.kind == CandidateKind::host && !options_.shows_host_candidates) return;
  if (own_.candidates.size() == limits::candidates_max) return;
  own_.candidates.push_back(candidate);
  // Once the channel is open they are of no more use.
  if (!is_described_ || !options_.trickles || state_ >= State::open) return;
  tell(
      [line = to_string(candidate)](PeerConnectionSink& sink) { sink.connection_candidate(line); });
}

void Connection::ice_gathered() {
  if (is_over() || std::exchange(is_gathered_, true)) return;
  gathering_.cancel();
  if (!options_.trickles) return describe();
  if (state_ >= State::open) return;
  tell([](PeerConnectionSink& sink) { sink.connection_candidate({}); });
}

void Connection::ice_connected() {
  is_ice_up_ = true;
  if (state_ != State::ice || !dtls_) return;
  state_ = State::dtls;
  dtls_->start();
}

void Connection::ice_failed() {
  const bool was_open = state_ == State::open || state_ == State::closing;
  finish(was_open ? PeerConnectionEnd::vanished : PeerConnectionEnd::ice_failed);
}

void Connection::ice_received(BytesView datagram) {
  if (dtls_ && !is_over()) dtls_->handle(datagram);
}

// ---- DTLS -----------------------------------------------------------------------------------

void Connection::dtls_send(BytesView datagram) {
  // What can't leave now is lost as on any wire, and sent again.
  if (ice_) static_cast<void>(ice_->send(datagram));
}

void Connection::dtls_opened(const CertificateDigest& peer) {
  if (is_over()) return;
  peer_ = peer;
  state_ = State::channel;
  SctpSink& sctp_sink = *this;
  sctp_ = std::make_unique<Sctp>(
      *stack_, sctp_sink,
      SctpOptions{.remote_port = remote_port_, .receive_bytes_max = options_.receive_bytes_max});
  if (!sctp_->connect()) finish(PeerConnectionEnd::no_resources);
}

void Connection::dtls_received(BytesView plain) {
  if (sctp_ && !is_over()) sctp_->handle(plain);
}

void Connection::dtls_closed(DtlsEnd end) {
  const bool was_up = peer_.has_value();
  switch (end) {
    case DtlsEnd::fingerprint_mismatch:
      return finish(PeerConnectionEnd::fingerprint_mismatch);
    case DtlsEnd::by_peer:
    case DtlsEnd::failed:
      return finish(was_up ? PeerConnectionEnd::closed_by_peer : PeerConnectionEnd::dtls_failed);
  }
}

// ---- SCTP and the channel ---------------------------------------------------------------------

void Connection::sctp_send(BytesView packet) {
  if (dtls_) static_cast<void>(dtls_->send(packet));
}

void Connection::sctp_opened(std::uint16_t streams) {
  if (is_over()) return;
  streams_ = streams;
  if (!options_.offers) return;
  // RFC 8832 §6: the DTLS client opens even streams, the server odd ones.
  channel_ = dtls_->role() == Dtls::Role::client ? 0 : 1;
  if (*channel_ >= streams_) return finish(PeerConnectionEnd::channel_failed);
  sctp_->send(*channel_, Ppid::dcep, encode(ChannelOpen{.label = options_.label}));
}

void Connection::sctp_received(std::uint16_t stream, Ppid ppid, MutableBytes message) {
  if (is_over()) return;
  if (ppid == Ppid::dcep) return take_dcep(stream, message);
  if (stream != channel_ || state_ == State::closing) return;
  // The other side may write as soon as it has seen our OPEN.
  if (state_ == State::channel) opened();
  if (state_ != State::open || sink_ == nullptr) return;
  switch (ppid) {
    case Ppid::text:
    case Ppid::binary:
      return sink_->connection_received(message, ppid == Ppid::text);
    case Ppid::empty_text:
    case Ppid::empty_binary:
      return sink_->connection_received({}, ppid == Ppid::empty_text);
    default:
      return;
  }
}

void Connection::take_dcep(std::uint16_t stream, BytesView message) {
  const auto decoded = decode_dcep(message);
  if (!decoded) return finish(PeerConnectionEnd::protocol_error);
  if (const auto* open = std::get_if<ChannelOpen>(&*decoded)) return take_open(stream, *open);
  if (stream == channel_ && state_ == State::channel) opened();
}

void Connection::take_open(std::uint16_t stream, const ChannelOpen& open) {
  const bool is_ours = !options_.offers && !channel_ && open.is_ordered_and_reliable;
  if (!is_ours || stream >= streams_) {
    if (++refused_channels_ > refused_channels_max)
      return finish(PeerConnectionEnd::protocol_error);
    return sctp_->reset(stream);
  }
  channel_ = stream;
  sctp_->send(stream, Ppid::dcep, encode(ChannelAck{}));
  opened();
}

void Connection::opened() {
  state_ = State::open;
  deadline_.cancel();
  if (sink_ != nullptr) sink_->connection_opened();
}

void Connection::sctp_reset(std::uint16_t stream) {
  if (is_over() || stream != channel_) return;
  if (state_ == State::closing) return finish(PeerConnectionEnd::closed_here);
  sctp_->reset(stream);
  finish(PeerConnectionEnd::closed_by_peer);
}

void Connection::sctp_taken(Bytes buffer) {
  if (sink_ != nullptr) sink_->connection_taken(std::move(buffer));
}

void Connection::sctp_writable() {
  if (state_ == State::closing) return sctp_->reset(*channel_);
  if (state_ == State::open && sink_ != nullptr) sink_->connection_writable();
}

void Connection::sctp_closed() {
  const bool was_open = state_ == State::open || state_ == State::closing;
  finish(was_open ? PeerConnectionEnd::closed_by_peer : PeerConnectionEnd::channel_failed);
}

void Connection::sctp_overrun() { finish(PeerConnectionEnd::protocol_error); }

// ---- The end --------------------------------------------------------------------------------

PeerConnectionEnd Connection::end_when_late() const {
  switch (state_) {
    case State::ice:
      return PeerConnectionEnd::ice_failed;
    case State::dtls:
      return PeerConnectionEnd::dtls_failed;
    case State::channel:
      return PeerConnectionEnd::channel_failed;
    default:
      return PeerConnectionEnd::no_answer;
  }
}

void Connection::finish(PeerConnectionEnd end) {
  if (is_over()) return;
  state_ = State::closed;
  deadline_.cancel();
  gathering_.cancel();
  asio::post(io_, [self = shared_from_this(), end] {
    self->tear_down();
    if (self->sink_ != nullptr) std::exchange(self->sink_, nullptr)->connection_closed(end);
  });
}

/// From the top: each says goodbye through the one below.
void Connection::tear_down() {
  if (sctp_) sctp_->abort();
  sctp_.reset();
  if (dtls_) dtls_->close();
  dtls_.reset();
  ice_.reset();
}

// ---- The outside ------------------------------------------------------------------------------

PeerConnection::PeerConnection(asio::io_context& io, PeerConnectionSink& sink,
                               std::shared_ptr<const Certificate> certificate,
                               std::shared_ptr<SctpStack> stack, PeerConnectionOptions options)
    : connection_(std::make_shared<Connection>(io, sink, std::move(certificate), std::move(stack),
                                               std::move(options))) {}

PeerConnection::~PeerConnection() { connection_->abandon(); }

void PeerConnection::start() { connection_->start(); }
void PeerConnection::set_remote(std::string_view sdp) { connection_->set_remote(sdp); }
void PeerConnection::add_candidate(std::string_view line) { connection_->add_candidate(line); }
bool PeerConnection::send(Bytes message, bool is_text) {
  return connection_->send(std::move(message), is_text);
}
std::size_t PeerConnection::queued_bytes() const { return connection_->queued_bytes(); }
std::size_t PeerConnection::send_bytes_max() const { return connection_->send_bytes_max(); }
std::size_t PeerConnection::remote_candidates() const { return connection_->remote_candidates(); }
std::optional<SdpError> PeerConnection::description_error() const {
  return connection_->description_error();
}
void PeerConnection::close() { connection_->close(); }
Bytes PeerConnection::channel_binding() const { return connection_->channel_binding(); }

std::string PeerConnection::remote() const {
  return connection_->ice() != nullptr ? connection_->ice()->remote() : std::string{};
}
std::string PeerConnection::remote_host() const {
  return connection_->ice() != nullptr ? connection_->ice()->remote_host() : std::string{};
}
bool PeerConnection::is_relayed() const {
  return connection_->ice() != nullptr && connection_->ice()->is_relayed();
}

std::string_view name_of(PeerConnectionEnd end) {
  switch (end) {
    case PeerConnectionEnd::closed_here:
      return "closed here";
    case PeerConnectionEnd::closed_by_peer:
      return "closed by the peer";
    case PeerConnectionEnd::vanished:
      return "vanished";
    case PeerConnectionEnd::bad_description:
      return "bad description";
    case PeerConnectionEnd::no_answer:
      return "no answer";
    case PeerConnectionEnd::ice_failed:
      return "ICE failed";
    case PeerConnectionEnd::dtls_failed:
      return "DTLS failed";
    case PeerConnectionEnd::fingerprint_mismatch:
      return "fingerprint mismatch";
    case PeerConnectionEnd::channel_failed:
      return "channel failed";
    case PeerConnectionEnd::protocol_error:
      return "protocol error";
    case PeerConnectionEnd::no_resources:
      return "no resources";
  }
  return {};
}

}  // namespace peer_relay::webrtc
