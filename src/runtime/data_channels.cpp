// SPDX-License-Identifier: MIT
#include "runtime/data_channels.hpp"

#include <utility>

#include <fmt/format.h>

#include "runtime/ice_urls.hpp"

namespace peer_relay {

#ifdef PEER_RELAY_HAS_WEBRTC

struct DataChannels::Transport {
  std::unique_ptr<WebRtcTransport> webrtc;
};

bool has_webrtc() { return true; }

Result<std::unique_ptr<DataChannels>, StartError> DataChannels::make(boost::asio::io_context& io,
                                                                     LinkSink& links,
                                                                     NegotiationSink& negotiations,
                                                                     const NodeOptions& options) {
  const WebRtc& asked = options.webrtc;
  if (!asked.enabled) return nullptr;
  WebRtcOptions with{.interfaces = asked.interfaces,
                     .port_min = asked.port_min,
                     .port_max = asked.port_max,
                     .shows_host_candidates = asked.host_candidates,
                     .old_text_bytes_max = options.legacy ? limits::legacy_text_bytes_max : 0};
  for (const std::string& stun : asked.stun) {
    auto server = parse_stun(stun);
    if (!server) return std::unexpected(std::move(server.error()));
    with.servers.push_back(std::move(*server));
  }
  for (const std::string& turn : asked.turn) {
    auto server = parse_turn(turn);
    if (!server) return std::unexpected(std::move(server.error()));
    with.servers.push_back(std::move(*server));
  }
  auto made = WebRtcTransport::make(io, links, negotiations, std::move(with));
  if (!made) return std::unexpected(std::move(made.error()));
  auto transport = std::make_unique<Transport>(std::move(*made));
  return std::unique_ptr<DataChannels>{new DataChannels{std::move(transport)}};
}

void DataChannels::negotiate(const Negotiate& what) {
  WebRtcTransport& webrtc = *transport_->webrtc;
  const Manner manner = what.is_stream ? Manner::bytes : Manner::messages;
  switch (what.step) {
    case NegotiateWish::Step::offer:
      return webrtc.offer(what.negotiation, what.trickles, manner);
    case NegotiateWish::Step::answer:
      return webrtc.answer(what.negotiation, what.text, what.trickles, manner);
    case NegotiateWish::Step::take:
      return webrtc.take_answer(what.negotiation, what.text);
    case NegotiateWish::Step::candidate:
      return webrtc.take_candidate(what.negotiation, what.text);
    case NegotiateWish::Step::abandon:
      return webrtc.abandon(what.negotiation);
  }
}

#else

struct DataChannels::Transport {};

bool has_webrtc() { return false; }

Result<std::unique_ptr<DataChannels>, StartError> DataChannels::make(boost::asio::io_context&,
                                                                     LinkSink&, NegotiationSink&,
                                                                     const NodeOptions& options) {
  const WebRtc& asked = options.webrtc;
  const bool is_meant = !asked.stun.empty() || !asked.turn.empty() || !asked.interfaces.empty();
  if (!asked.enabled || !is_meant) return nullptr;
  return std::unexpected(
      StartError{Error::invalid_argument, "this build makes no WebRTC data channels"});
}

void DataChannels::negotiate(const Negotiate&) {}

#endif

DataChannels::DataChannels(std::unique_ptr<Transport> transport)
    : transport_(std::move(transport)) {}
DataChannels::~DataChannels() = default;

}  // namespace peer_relay
