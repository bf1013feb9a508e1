// SPDX-License-Identifier: MIT
#include "transport/tcp/tcp_transport.hpp"

#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "transport/tcp/context_impl.hpp"

namespace peer_relay {

namespace {

/// Nothing where the link is open. The other side may still be no node: its first answer tells.
sockets::Awaitable<std::optional<sockets::DialFailure>> depart(
    std::shared_ptr<tcp::Context> context, sockets::Departure& departure, DialId dial,
    Manner manner) {
  sockets::Socket socket{context->io.get_executor()};
  const sockets::WatchEnds watch_ends{departure.attempt};
  if (auto failure = co_await sockets::connect(departure, socket)) co_return failure;
  departure.attempt.watch_nothing();
  sockets::error_code error;
  sockets::Remote remote = sockets::remote_of(socket.remote_endpoint(error));
  remote.name = departure.address.to_string();
  if (context->sink != nullptr) {
    tcp::open_link(context, std::move(socket), {}, std::move(remote), dial, manner);
  }
  co_return std::nullopt;
}

}  // namespace

TcpTransport::TcpTransport(boost::asio::io_context& io, LinkSink& sink, const TcpOptions& options)
    : context_(std::make_shared<tcp::Context>(
          io, sink,
          sockets::Bounds{.dial_timeout = options.dial_timeout,
                          .accept_timeout = options.accept_timeout,
                          .half_open_max = options.half_open_max,
                          .half_open_per_host_max = options.half_open_per_host_max},
          options.takes_streams)) {}

TcpTransport::~TcpTransport() { context_->end(); }

Result<std::uint16_t, StartError> TcpTransport::listen(const std::string& host,
                                                       std::uint16_t port) {
  return sockets::listen(context_, host, port,
                         [context = context_](sockets::Socket socket, sockets::Remote remote,
                                              sockets::HalfOpen::Place place) {
                           tcp::welcome(context, std::move(socket), std::move(remote),
                                        std::move(place));
                         });
}

void TcpTransport::stop_listening() { context_->stop_listening(); }

bool TcpTransport::can_dial(const Address& address) const { return address.scheme == Scheme::tcp; }

void TcpTransport::dial(const Address& address, DialId dial) {
  this->dial(address, dial, Manner::messages);
}

void TcpTransport::dial_stream(const Address& address, DialId dial) {
  this->dial(address, dial, Manner::bytes);
}

void TcpTransport::dial(const Address& address, DialId dial, Manner manner) {
  const sockets::Depart go = [context = context_, dial, manner](sockets::Departure& departure) {
    return depart(context, departure, dial, manner);
  };
  boost::asio::co_spawn(context_->io.get_executor(), sockets::dial(context_, address, dial, go),
                        boost::asio::detached);
}

void TcpTransport::shut_down() { context_->shut_down(); }

std::size_t TcpTransport::half_open() const { return context_->attempts->size(); }

}  // namespace peer_relay
