// SPDX-License-Identifier: MIT
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <fmt/format.h>

#include "transport/context_impl.hpp"

namespace peer_relay::sockets {

namespace {

/// While the process has no file descriptors left.
constexpr std::chrono::milliseconds accept_pause{100};

HostKey host_key(const asio::ip::address& address) {
  if (address.is_v4()) return {.v6 = false, .prefix = address.to_v4().to_uint()};
  const asio::ip::address_v6 v6 = address.to_v6();
  const auto bytes = v6.to_bytes();
  if (v6.is_v4_mapped()) {
    return {.v6 = false, .prefix = asio::ip::make_address_v4(asio::ip::v4_mapped, v6).to_uint()};
  }
  HostKey out{.v6 = true};
  for (std::size_t i = 0; i < 8; ++i) out.prefix = out.prefix << 8 | bytes[i];
  return out;
}

void admit(Context& context, Socket socket, const LetIn& let_in) {
  error_code error;
  const tcp::endpoint from = socket.remote_endpoint(error);
  if (error) return context.sink->connection_failed(CloseReason::transport_closed);
  auto place = context.half_open.enter(host_key(from.address()));
  if (!place) return context.sink->connection_refused();
  socket.set_option(tcp::no_delay(true), error);
  let_in(std::move(socket), remote_of(from), std::move(*place));
}

Awaitable<void> accept_all(std::shared_ptr<Context> context, LetIn let_in) {
  while (context->acceptor.is_open()) {
    auto [error, socket] = co_await context->acceptor.async_accept(as_values);
    if (context->sink == nullptr || !context->acceptor.is_open()) co_return;
    if (!error) {
      admit(*context, std::move(socket), let_in);
    } else if (error != asio::error::connection_aborted) {
      context->accept_again.expires_after(accept_pause);
      co_await context->accept_again.async_wait(as_values);
    }
  }
}

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

Result<std::uint16_t, StartError> listen(const std::shared_ptr<Context>& context,
                                         const std::string& host, std::uint16_t port,
                                         LetIn let_in) {
  error_code error;
  const auto address = asio::ip::make_address(host, error);
  if (error) {
    return std::unexpected(StartError{Error::invalid_argument,
                                      fmt::format("'{}' is no IP address to listen on", host)});
  }
  error = open(context->acceptor, {address, port});
  if (error == asio::error::address_family_not_supported && host == "::") {
    error = open(context->acceptor, {asio::ip::address_v4::any(), port});
  }
  if (error) {
    return std::unexpected(
        StartError{listen_error(error),
                   fmt::format("cannot listen on {} port {}: {}", host, port, error.message())});
  }
  const auto bound = context->acceptor.local_endpoint(error);
  asio::co_spawn(context->io.get_executor(), accept_all(context, std::move(let_in)),
                 asio::detached);
  return bound.port();
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

bool has_left(error_code error) {
  return error == asio::error::eof || error == asio::error::connection_reset ||
         error == asio::error::broken_pipe;
}

CloseReason ended_by(const Attempt& attempt, bool left) {
  if (attempt.is_late()) return CloseReason::handshake_timeout;
  if (attempt.is_called_off()) return CloseReason::shutdown;
  return left ? CloseReason::transport_closed : CloseReason::transport_error;
}

void Context::stop_listening() {
  error_code ignored;
  acceptor.close(ignored);
  accept_again.cancel();
}

void Context::shut_down() {
  is_shut_down = true;
  stop_listening();
  attempts->call_off_all();
}

void Context::end() {
  sink = nullptr;
  shut_down();
  resolver.reset();
}

}  // namespace peer_relay::sockets
