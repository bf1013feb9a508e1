// SPDX-License-Identifier: MIT
#include "transport/websocket/websocket_transport.hpp"

#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "transport/websocket/context_impl.hpp"

namespace peer_relay {

using websocket::Context;

Result<std::unique_ptr<WebSocketTransport>, StartError> WebSocketTransport::make(
    boost::asio::io_context& io, LinkSink& sink, WebSocketOptions options) {
  auto context = std::make_shared<Context>(io, sink, std::move(options));
  if (context->options.tls) {
    auto tls = websocket::listening_tls(*context->options.tls);
    if (!tls) return std::unexpected(std::move(tls.error()));
    context->tls_listening = std::move(*tls);
  }
  if (!context->options.tls_ca_file.empty()) {
    auto tls = websocket::dialing_tls(context->options.tls_ca_file);
    if (!tls) return std::unexpected(std::move(tls.error()));
    context->tls_dialing = std::move(*tls);
  }
  return std::unique_ptr<WebSocketTransport>(new WebSocketTransport(std::move(context)));
}

WebSocketTransport::WebSocketTransport(std::shared_ptr<Context> context)
    : context_(std::move(context)) {}

WebSocketTransport::~WebSocketTransport() { context_->end(); }

Result<std::uint16_t, StartError> WebSocketTransport::listen(const std::string& host,
                                                             std::uint16_t port) {
  return sockets::listen(context_, host, port,
                         [context = context_](sockets::Socket socket, sockets::Remote remote,
                                              sockets::HalfOpen::Place place) {
                           websocket::welcome(context, std::move(socket), std::move(remote),
                                              std::move(place));
                         });
}

void WebSocketTransport::stop_listening() { context_->stop_listening(); }

bool WebSocketTransport::can_dial(const Address& address) const {
  return address.scheme == Scheme::ws || address.scheme == Scheme::wss;
}

void WebSocketTransport::dial(const Address& address, DialId dial) {
  this->dial(address, dial, Manner::messages);
}

void WebSocketTransport::dial_stream(const Address& address, DialId dial) {
  this->dial(address, dial, Manner::bytes);
}

void WebSocketTransport::dial(const Address& address, DialId dial, Manner manner) {
  const sockets::Depart depart = [context = context_, dial, manner](sockets::Departure& departure) {
    return websocket::depart(context, departure, dial, manner);
  };
  boost::asio::co_spawn(context_->io.get_executor(), sockets::dial(context_, address, dial, depart),
                        boost::asio::detached);
}

void WebSocketTransport::shut_down() { context_->shut_down(); }

std::size_t WebSocketTransport::half_open() const { return context_->attempts->size(); }

}  // namespace peer_relay
