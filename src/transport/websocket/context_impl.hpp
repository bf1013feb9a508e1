// SPDX-License-Identifier: MIT
//
// What arrivals, departures and links of one transport share, and the steps that lead to a link.
#pragma once

#include <memory>
#include <optional>

#include "transport/context_impl.hpp"
#include "transport/websocket/streams_impl.hpp"
#include "transport/websocket/tls_impl.hpp"
#include "transport/websocket/websocket_transport.hpp"

namespace peer_relay::websocket {

struct Context : sockets::Context {
  Context(asio::io_context& io_context, LinkSink& link_sink, WebSocketOptions websocket_options)
      : sockets::Context(io_context, link_sink,
                         {.dial_timeout = websocket_options.dial_timeout,
                          .accept_timeout = websocket_options.accept_timeout,
                          .half_open_max = websocket_options.half_open_max,
                          .half_open_per_host_max = websocket_options.half_open_per_host_max}),
        options(std::move(websocket_options)) {}

  WebSocketOptions options;
  TlsContext tls_listening;  // with options.tls
  TlsContext tls_dialing;    // from the first wss:// dial on, or from the start with a CA file
};

/// Makes a link of a connection that was accepted, or answers it (arrival.cpp).
void welcome(const std::shared_ptr<Context>& context, Socket socket, Remote remote,
             HalfOpen::Place place);

/// The rest of a dial (departure.cpp).
Awaitable<std::optional<DialFailure>> depart(std::shared_ptr<Context> context, Departure& departure,
                                             DialId dial, Manner manner);

/// What our listeners put in their answer to an upgrade, and old nodes do not. Proxies pass it on.
inline constexpr const char* who_header = "Peer-Relay";
inline constexpr const char* who_value = "1";

/// Makes a link of an upgraded stream, gives it to the sink, and begins to read (link.cpp).
template <class Next>
void open_link(const std::shared_ptr<Context>& context, std::unique_ptr<Stream<Next>> stream,
               Remote remote, std::optional<DialId> dial, Manner manner);

extern template void open_link(const std::shared_ptr<Context>&, std::unique_ptr<Stream<Socket>>,
                               Remote, std::optional<DialId>, Manner);
extern template void open_link(const std::shared_ptr<Context>&, std::unique_ptr<Stream<TlsSocket>>,
                               Remote, std::optional<DialId>, Manner);

}  // namespace peer_relay::websocket
