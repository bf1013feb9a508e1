// SPDX-License-Identifier: MIT
#include "transport/webrtc/webrtc_transport.hpp"

#include <array>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>
#include <openssl/rand.h>

#include "base/assert.hpp"
#include "transport/webrtc/asio_impl.hpp"
#include "transport/webrtc/ice_servers_impl.hpp"
#include "transport/webrtc/interfaces.hpp"
#include "transport/webrtc/peer_connection.hpp"

namespace peer_relay {

namespace webrtc {

class Channel;

/// What the channels of one transport share. Links hold it and so may outlive the transport; then
/// it has no sinks.
struct Context : std::enable_shared_from_this<Context> {
  Context(asio::io_context& io_context, LinkSink& link_sink, NegotiationSink& negotiation_sink,
          WebRtcOptions webrtc_options)
      : io(io_context),
        links(&link_sink),
        negotiations(&negotiation_sink),
        options(std::move(webrtc_options)),
        stack(std::make_shared<SctpStack>(io)) {}

  /// Nothing, and the negotiation fails in a later turn, where there is no room for another.
  Channel* begin(NegotiationId id, bool offers, bool trickles, Manner manner);
  Channel* find(NegotiationId id);
  std::unique_ptr<Channel> remove(NegotiationId id);
  void fail_later(NegotiationId id, DialError error, std::string detail);

  std::string detail_of(PeerConnectionEnd end, const Channel& channel) const;

  asio::io_context& io;
  LinkSink* links;
  NegotiationSink* negotiations;
  WebRtcOptions options;
  std::shared_ptr<const Certificate> certificate;
  std::shared_ptr<SctpStack> stack;
  std::optional<IceServers> servers;
  std::unordered_map<NegotiationId, std::unique_ptr<Channel>> under_way;  // negotiations_max
  // Will be told in the next turn; as many as were begun or under way in this one.
  std::unordered_set<NegotiationId> failing;
  bool is_shut_down = false;
};

namespace {

DialError error_of(PeerConnectionEnd end) {
  switch (end) {
    case PeerConnectionEnd::closed_here:
      return DialError::cancelled;
    case PeerConnectionEnd::no_answer:
      return DialError::no_answer;
    case PeerConnectionEnd::bad_description:
      return DialError::bad_description;
    case PeerConnectionEnd::vanished:
    case PeerConnectionEnd::ice_failed:
      return DialError::ice_failed;
    case PeerConnectionEnd::dtls_failed:
      return DialError::dtls_failed;
    case PeerConnectionEnd::fingerprint_mismatch:
      return DialError::fingerprint_mismatch;
    case PeerConnectionEnd::closed_by_peer:
    case PeerConnectionEnd::channel_failed:
    case PeerConnectionEnd::protocol_error:
      return DialError::channel_failed;
    case PeerConnectionEnd::no_resources:
      return DialError::limit;
  }
  return DialError::channel_failed;
}

/// Of a channel of bytes: what simple-peer's nodes send at most, who split nothing themselves.
constexpr std::size_t stream_message_bytes_max = 256 << 10;

/// As simple-peer names its channel.
std::string stream_label() {
  std::array<unsigned char, 20> random{};
  RAND_bytes(random.data(), static_cast<int>(random.size()));
  std::string out;
  for (const unsigned char byte : random) out += fmt::format("{:02x}", byte);
  return out;
}

/// Of an open link that was not closed here.
CloseReason reason_of(PeerConnectionEnd end) {
  switch (end) {
    case PeerConnectionEnd::closed_by_peer:
      return CloseReason::transport_closed;
    case PeerConnectionEnd::vanished:
      // Consent checks are a keepalive: nothing broke, the other side fell silent.
      return CloseReason::keepalive_timeout;
    case PeerConnectionEnd::protocol_error:
      return CloseReason::protocol_error;
    default:
      return CloseReason::transport_error;
  }
}

}  // namespace

/// A negotiation, and what it leads to: the context holds it until it is open, and then it is a
/// link and the runtime's. It may be destroyed in each call to a sink.
class Channel final : public Link, private PeerConnectionSink {
 public:
  Channel(std::shared_ptr<Context> context, NegotiationId id, PeerConnectionOptions options,
          Manner manner)
      : context_(std::move(context)),
        negotiation_(id),
        offers_(options.offers),
        manner_(manner),
        connection_(context_->io, *this, context_->certificate, context_->stack,
                    std::move(options)) {}

  void start() { connection_.start(); }
  void set_remote(std::string_view sdp) { connection_.set_remote(sdp); }
  void add_candidate(std::string_view line) { connection_.add_candidate(line); }

  bool offers() const { return offers_; }
  std::size_t our_candidates() const { return our_candidates_; }
  std::size_t their_candidates() const { return connection_.remote_candidates(); }
  std::optional<SdpError> description_error() const { return connection_.description_error(); }

  void send(Bytes batch) override { send(std::move(batch), false); }
  void send_text(Bytes text) override { send(std::move(text), true); }
  std::size_t queued_bytes() const override { return connection_.queued_bytes(); }
  void close(CloseReason reason) override {
    if (!reason_) reason_ = reason;
    connection_.close();
  }
  const std::string& remote() const override { return remote_; }
  bool may_be_old() const override { return false; }

 private:
  bool is_link() const { return link_.has_value(); }

  void send(Bytes message, bool is_text) {
    if (reason_) return recycle(std::move(message));
    if (message.size() > connection_.send_bytes_max()) {
      // It said that it takes less than any node has to, so it is none.
      recycle(std::move(message));
      return close(CloseReason::protocol_error);
    }
    connection_.send(std::move(message), is_text);
  }

  void recycle(Bytes buffer) {
    if (context_->links != nullptr) context_->links->recycle(std::move(buffer));
  }

  void connection_described(const std::string& sdp) override {
    if (context_->negotiations != nullptr)
      context_->negotiations->negotiation_described(negotiation_, sdp);
  }
  void connection_candidate(const std::string& line) override {
    if (!line.empty()) ++our_candidates_;
    if (context_->negotiations != nullptr)
      context_->negotiations->negotiation_candidate(negotiation_, line);
  }

  void connection_opened() override {
    auto self = context_->remove(negotiation_);
    if (context_->links == nullptr || !self) return;
    remote_ = "webrtc:" + connection_.remote();
    link_ = context_->links->next_link_id();
    context_->links->link_opened(*link_, std::move(self),
                                 {.negotiation = negotiation_,
                                  .remote_host = connection_.remote_host(),
                                  .channel_binding = connection_.channel_binding()});
  }

  void connection_received(MutableBytes message, bool is_text) override {
    if (!is_link() || reason_ || context_->links == nullptr) return;
    if (manner_ == Manner::bytes) {
      return context_->links->link_received_stream(*link_, message, ExchangeTransport::webrtc);
    }
    if (is_text && context_->options.old_text_bytes_max > 0) {
      if (message.size() > context_->options.old_text_bytes_max) {
        return context_->links->text_too_long();
      }
      return context_->links->link_received_text(*link_, message);
    }
    // What was announced is rounded up to what descriptions have where they say nothing.
    if (is_text || message.size() > limits::batch_bytes_max) {
      return close(CloseReason::protocol_error);
    }
    context_->links->link_received(*link_, message);
  }

  void connection_taken(Bytes buffer) override { recycle(std::move(buffer)); }

  void connection_writable() override {
    if (is_link() && context_->links != nullptr) context_->links->link_writable(*link_);
  }

  void connection_closed(PeerConnectionEnd end) override {
    if (!is_link()) return failed(end);
    if (context_->links == nullptr) return;
    context_->links->link_closed(*link_, reason_.value_or(reason_of(end)));
  }

  void failed(PeerConnectionEnd end) {
    const auto self = context_->remove(negotiation_);
    if (!self || context_->negotiations == nullptr) return;
    context_->negotiations->negotiation_failed(negotiation_, error_of(end),
                                               context_->detail_of(end, *this));
  }

  std::shared_ptr<Context> context_;
  NegotiationId negotiation_;
  bool offers_;
  Manner manner_;
  std::size_t our_candidates_ = 0;
  std::optional<LinkId> link_;  // once it is one
  std::string remote_;
  std::optional<CloseReason> reason_;  // that it was closed here for
  PeerConnection connection_;
};

Channel* Context::begin(NegotiationId id, bool offers, bool trickles, Manner manner) {
  PEER_RELAY_ASSERT(!under_way.contains(id));
  if (is_shut_down) {
    fail_later(id, DialError::cancelled, "the node goes away");
    return nullptr;
  }
  if (under_way.size() >= options.negotiations_max) {
    fail_later(id, DialError::limit, fmt::format("{} are under way already", under_way.size()));
    return nullptr;
  }
  std::vector<std::string> addresses = local_addresses(options.interfaces);
  if (addresses.empty()) {
    fail_later(id, DialError::ice_failed, "no interface to use has an address");
    return nullptr;
  }
  const CandidatePolicy policy = policy_for(addresses);
  PeerConnectionOptions with{
      .offers = offers,
      .ice = {.servers = servers->next(),
              .local_addresses = std::move(addresses),
              .port_min = options.port_min,
              .port_max = options.port_max},
      .policy = policy,
      .shows_host_candidates = options.shows_host_candidates,
      .trickles = trickles,
      .receive_bytes_max = std::max(message_bytes_unsaid, options.old_text_bytes_max),
      .timeout = options.timeout};
  if (manner == Manner::bytes) {
    with.receive_bytes_max = stream_message_bytes_max;
    with.label = stream_label();
  }
  auto channel = std::make_unique<Channel>(shared_from_this(), id, std::move(with), manner);
  return under_way.emplace(id, std::move(channel)).first->second.get();
}

Channel* Context::find(NegotiationId id) {
  const auto found = under_way.find(id);
  return found == under_way.end() ? nullptr : found->second.get();
}

std::unique_ptr<Channel> Context::remove(NegotiationId id) {
  auto node = under_way.extract(id);
  return node.empty() ? nullptr : std::move(node.mapped());
}

void Context::fail_later(NegotiationId id, DialError error, std::string detail) {
  failing.insert(id);
  asio::post(io, [self = shared_from_this(), id, error, detail = std::move(detail)] {
    if (self->failing.erase(id) == 0 || self->negotiations == nullptr) return;
    self->negotiations->negotiation_failed(id, error, detail);
  });
}

/// How far it came, for people.
std::string Context::detail_of(PeerConnectionEnd end, const Channel& channel) const {
  const auto seconds = std::chrono::duration<double>(options.timeout).count();
  switch (end) {
    case PeerConnectionEnd::no_answer:
      return fmt::format("no answer to our offer within {:g} s", seconds);
    case PeerConnectionEnd::bad_description:
      return fmt::format("the {} is no description that we can use: {}",
                         channel.offers() ? "answer" : "offer",
                         name_of(channel.description_error().value_or(SdpError::malformed)));
    case PeerConnectionEnd::vanished:
    case PeerConnectionEnd::ice_failed: {
      std::string out =
          fmt::format("no way for datagrams: we named {} addresses, the other side {}",
                      channel.our_candidates(), channel.their_candidates());
      const std::string complaints = servers->complaints();
      return complaints.empty() ? out : out + "; " + complaints;
    }
    case PeerConnectionEnd::fingerprint_mismatch:
      return "the other side has another certificate than was signalled";
    case PeerConnectionEnd::dtls_failed:
      return "datagrams pass, but no keys were agreed";
    case PeerConnectionEnd::closed_by_peer:
      return "the other side closed it before the channel was open";
    case PeerConnectionEnd::channel_failed:
      return "the channel was not opened";
    case PeerConnectionEnd::protocol_error:
      return "the other side broke the rules of data channels";
    case PeerConnectionEnd::no_resources:
      return "the system has no more descriptors or memory";
    case PeerConnectionEnd::closed_here:
      return "closed here";
  }
  return {};
}

namespace {

std::optional<StartError> fault_of(const WebRtcOptions& options) {
  const auto invalid = [](std::string detail) {
    return StartError{Error::invalid_argument, std::move(detail)};
  };
  for (const std::string& each : options.interfaces) {
    if (auto complaint = complaint_about(each)) {
      return StartError{Error::address_unavailable, std::move(*complaint)};
    }
  }
  const bool is_range = options.port_min != 0 && options.port_min <= options.port_max;
  if (!is_range && (options.port_min != 0 || options.port_max != 0)) {
    return invalid(fmt::format("{}-{} is no range of ports", options.port_min, options.port_max));
  }
  for (const IceServerName& each : options.servers) {
    if (each.host.empty() || each.port == 0) {
      return invalid(fmt::format("a STUN or TURN server has a name and a port, not '{}:{}'",
                                 each.host, each.port));
    }
  }
  return std::nullopt;
}

}  // namespace

}  // namespace webrtc

using webrtc::Channel;
using webrtc::Context;

Result<std::unique_ptr<WebRtcTransport>, StartError> WebRtcTransport::make(
    boost::asio::io_context& io, LinkSink& links, NegotiationSink& negotiations,
    WebRtcOptions options) {
  if (auto fault = webrtc::fault_of(options)) {
    return std::unexpected(std::move(*fault));
  }
  auto context = std::make_shared<Context>(io, links, negotiations, std::move(options));
  context->certificate = webrtc::Certificate::make();
  if (!context->certificate) {
    return std::unexpected(
        StartError{Error::tls_invalid, "OpenSSL makes no certificate for data channels"});
  }
  context->servers.emplace(io, context->options.servers);
  return std::unique_ptr<WebRtcTransport>(new WebRtcTransport(std::move(context)));
}

WebRtcTransport::WebRtcTransport(std::shared_ptr<Context> context) : context_(std::move(context)) {}

WebRtcTransport::~WebRtcTransport() {
  context_->links = nullptr;
  context_->negotiations = nullptr;
  context_->is_shut_down = true;
  context_->servers.reset();
  context_->under_way.clear();
}

void WebRtcTransport::offer(NegotiationId id, bool trickles, Manner manner) {
  if (Channel* const channel = context_->begin(id, true, trickles, manner)) channel->start();
}

void WebRtcTransport::answer(NegotiationId id, std::string_view offer, bool trickles,
                             Manner manner) {
  Channel* const channel = context_->begin(id, false, trickles, manner);
  if (channel != nullptr) channel->set_remote(offer);
}

void WebRtcTransport::take_answer(NegotiationId id, std::string_view answer) {
  Channel* const channel = context_->find(id);
  if (channel != nullptr && channel->offers()) channel->set_remote(answer);
}

void WebRtcTransport::take_candidate(NegotiationId id, std::string_view line) {
  if (Channel* const channel = context_->find(id)) channel->add_candidate(line);
}

void WebRtcTransport::abandon(NegotiationId id) {
  context_->remove(id);
  context_->failing.erase(id);
}

void WebRtcTransport::shut_down() {
  context_->is_shut_down = true;
  for (auto& [id, channel] : std::exchange(context_->under_way, {})) {
    context_->fail_later(id, DialError::cancelled, "the node goes away");
  }
}

std::size_t WebRtcTransport::negotiations() const { return context_->under_way.size(); }

}  // namespace peer_relay
