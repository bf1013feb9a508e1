// SPDX-License-Identifier: MIT
#include "transport/websocket/websocket_transport.hpp"

#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <fmt/format.h>

#include "transport/websocket/context_impl.hpp"

namespace peer_relay {

namespace websocket {

namespace {

Error listen_error(error_code error) {
  return error == asio::error::address_in_use ? Error::address_in_use : Error::address_unavailable;
}

/// Opens, binds and listens; the acceptor is closed again after an error.
error_code open(Acceptor& acceptor, const tcp::endpoint& endpoint) {
  error_code error;
  const auto step = [&error](auto&& act) {
    if (!error) act();
  };
  acceptor.open(endpoint.protocol(), error);
  step([&] { acceptor.set_option(Acceptor::reuse_address(true), error); });
  step([&] {
    // "::" means every interface, IPv4 included, whatever the system's default is.
    if (endpoint.protocol() == tcp::v6()) acceptor.set_option(asio::ip::v6_only(false), error);
  });
  step([&] { acceptor.bind(endpoint, error); });
  step([&] { acceptor.listen(Acceptor::max_listen_connections, error); });
  if (error) {
    error_code ignored;
    acceptor.close(ignored);
  }
  return error;
}

}  // namespace

Bytes ReadBuffers::take() {
  if (free_.empty()) return Bytes(limits::batch_bytes_max);
  Bytes out = std::move(free_.back());
  free_.pop_back();
  return out;
}

void ReadBuffers::give_back(Bytes buffer) {
  // Those that had to grow for a long text are not kept.
  if (free_.size() < kept_max && buffer.size() == limits::batch_bytes_max)
    free_.push_back(std::move(buffer));
}

Remote remote_of(const tcp::endpoint& endpoint) {
  asio::ip::address address = endpoint.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  }
  std::string host = address.to_string();
  std::string name = address.is_v6() ? fmt::format("[{}]:{}", host, endpoint.port())
                                     : fmt::format("{}:{}", host, endpoint.port());
  host.resize(std::min(host.size(), host.find('%')));  // the scope means nothing to others
  return {.name = std::move(name), .host = std::move(host)};
}

}  // namespace websocket

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

WebSocketTransport::~WebSocketTransport() {
  context_->sink = nullptr;
  shut_down();
  context_->resolver.reset();
}

Result<std::uint16_t, StartError> WebSocketTransport::listen(const std::string& host,
                                                             std::uint16_t port) {
  websocket::error_code error;
  const auto address = websocket::asio::ip::make_address(host, error);
  if (error) {
    return std::unexpected(StartError{Error::invalid_argument,
                                      fmt::format("'{}' is no IP address to listen on", host)});
  }
  error = websocket::open(context_->acceptor, {address, port});
  if (error == websocket::asio::error::address_family_not_supported && host == "::") {
    error = websocket::open(context_->acceptor, {websocket::asio::ip::address_v4::any(), port});
  }
  if (error) {
    return std::unexpected(
        StartError{websocket::listen_error(error),
                   fmt::format("cannot listen on {} port {}: {}", host, port, error.message())});
  }
  const auto bound = context_->acceptor.local_endpoint(error);
  boost::asio::co_spawn(context_->io.get_executor(), websocket::accept_all(context_),
                        boost::asio::detached);
  return bound.port();
}

bool WebSocketTransport::can_dial(const Address& address) const {
  return address.scheme == Scheme::ws || address.scheme == Scheme::wss;
}

void WebSocketTransport::dial(const Address& address, DialId dial) {
  boost::asio::co_spawn(context_->io.get_executor(), websocket::dial(context_, address, dial),
                        boost::asio::detached);
}

void WebSocketTransport::shut_down() {
  context_->is_shut_down = true;
  websocket::error_code ignored;
  context_->acceptor.close(ignored);
  context_->accept_again.cancel();
  context_->attempts->call_off_all();
}

std::size_t WebSocketTransport::half_open() const { return context_->attempts->size(); }

}  // namespace peer_relay
