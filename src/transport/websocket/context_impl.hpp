// SPDX-License-Identifier: MIT
//
// What arrivals, departures and links of one transport share, and the steps that lead to a link.
// Coroutines hold the context and so outlive the transport by a moment; then it has no sink.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "transport/websocket/attempt_impl.hpp"
#include "transport/websocket/half_open.hpp"
#include "transport/websocket/resolver_impl.hpp"
#include "transport/websocket/tls_impl.hpp"
#include "transport/websocket/websocket_transport.hpp"

namespace peer_relay::websocket {

/// Buffers for messages that are longer than what a quiet link holds. They go from link to link, so
/// that memory follows the messages under way and not the links.
class ReadBuffers {
 public:
  Bytes take();
  void give_back(Bytes buffer);

 private:
  static constexpr std::size_t kept_max = 8;
  std::vector<Bytes> free_;
};

struct Context {
  Context(asio::io_context& io_context, LinkSink& link_sink, WebSocketOptions websocket_options)
      : io(io_context),
        sink(&link_sink),
        options(std::move(websocket_options)),
        half_open(options.half_open_max, options.half_open_per_host_max),
        resolver(std::in_place, io_context),
        acceptor(io_context.get_executor()),
        accept_again(io_context.get_executor()) {}

  asio::io_context& io;
  LinkSink* sink;
  WebSocketOptions options;
  TlsContext tls_listening;  // with options.tls
  TlsContext tls_dialing;    // from the first wss:// dial on, or from the start with a CA file
  HalfOpen half_open;
  std::shared_ptr<Attempts> attempts = std::make_shared<Attempts>();
  std::optional<Resolver> resolver;
  ReadBuffers read_buffers;
  Acceptor acceptor;
  Timer accept_again;
  bool is_shut_down = false;
};

/// Accepts until the acceptor is closed (arrival.cpp).
Awaitable<void> accept_all(std::shared_ptr<Context> context);

/// Dials, and tells the sink what came of it (departure.cpp).
Awaitable<void> dial(std::shared_ptr<Context> context, Address address, DialId dial);

/// What our listeners put in their answer to an upgrade, and old nodes do not. Proxies pass it on.
inline constexpr const char* who_header = "Peer-Relay";
inline constexpr const char* who_value = "1";

/// Where a link leads to.
struct Remote {
  std::string name;         ///< the URL that was dialed, or "ip:port"
  std::string host;         ///< the IP address
  bool may_be_old = false;  ///< dialed, and it did not say that it is one of ours
};
Remote remote_of(const tcp::endpoint& endpoint);

/// Makes a link of an upgraded stream, gives it to the sink, and begins to read (link.cpp).
template <class Next>
void open_link(const std::shared_ptr<Context>& context, std::unique_ptr<Stream<Next>> stream,
               Remote remote, std::optional<DialId> dial);

extern template void open_link(const std::shared_ptr<Context>&, std::unique_ptr<Stream<Socket>>,
                               Remote, std::optional<DialId>);
extern template void open_link(const std::shared_ptr<Context>&, std::unique_ptr<Stream<TlsSocket>>,
                               Remote, std::optional<DialId>);

}  // namespace peer_relay::websocket
