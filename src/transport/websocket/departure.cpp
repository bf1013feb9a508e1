// SPDX-License-Identifier: MIT
//
// From an address to a link: the name's addresses, TCP, TLS, the upgrade.
#include <utility>

#include <boost/beast/http.hpp>
#include <fmt/format.h>

#include "transport/websocket/context_impl.hpp"

namespace peer_relay::websocket {

namespace {

/// What a Host header says (RFC 9110 §7.2): the port only where it is not the scheme's own.
std::string host_header(const Address& address) {
  const bool is_v6 = address.host.contains(':');
  const std::uint16_t usual = address.scheme == Scheme::wss ? 443 : 80;
  std::string out = is_v6 ? fmt::format("[{}]", address.host) : address.host;
  if (address.port != usual) out += fmt::format(":{}", address.port);
  return out;
}

template <class Next>
Awaitable<std::optional<DialFailure>> upgrade(const Context& context, Departure& departure,
                                              Stream<Next>& stream, Manner manner,
                                              bool& may_be_old) {
  if constexpr (std::is_same_v<Next, TlsSocket>) {
    TlsSocket& tls = stream.next_layer();
    expect_host(tls, departure.address.host);
    const auto [error] = co_await tls.async_handshake(asio::ssl::stream_base::client, as_values);
    if (error) {
      co_return failed_by(departure, DialError::tls_failed,
                          tls_complaint(tls, error, departure.address.host));
    }
  }
  stream.set_option(
      beast::websocket::stream_base::decorator([](beast::websocket::request_type& request) {
        request.set(http::field::user_agent, "peer-relay");
      }));
  beast::websocket::response_type response;
  const auto [error] = co_await stream.async_handshake(response, host_header(departure.address),
                                                       departure.address.path, as_values);
  if (!error && socket_of(stream).is_open()) {
    may_be_old = manner == Manner::messages && response.find(who_header) == response.end();
    // What we would say first ends an old node, so it is not said.
    if (may_be_old && context.options.old_text_bytes_max == 0) {
      co_return failed_by(departure, DialError::upgrade_refused,
                          "it does not say that it is a node of this kind; for one of npm "
                          "peer-relay 0.0.2 start with --legacy");
    }
    co_return std::nullopt;
  }
  if (error == beast::websocket::error::upgrade_declined) {
    co_return failed_by(departure, DialError::upgrade_refused,
                        fmt::format("it answered HTTP {} {}", response.result_int(),
                                    std::string_view{response.reason()}));
  }
  if (error == asio::error::eof || error == asio::error::connection_reset ||
      error == http::error::end_of_stream) {
    co_return failed_by(departure, DialError::upgrade_refused, "it hung up without an answer");
  }
  const bool broke = error.category() == asio::error::get_system_category();
  co_return failed_by(departure, broke ? DialError::unreachable : DialError::upgrade_refused,
                      error.message());
}

/// Nothing where the link is open.
template <class Next>
Awaitable<std::optional<DialFailure>> depart_by(std::shared_ptr<Context> context,
                                                Departure& departure,
                                                std::unique_ptr<Stream<Next>> stream, DialId dial,
                                                Manner manner) {
  const WatchEnds watch_ends{departure.attempt};
  if (auto failure = co_await connect(departure, socket_of(*stream))) co_return failure;
  error_code error;
  const tcp::endpoint endpoint = socket_of(*stream).remote_endpoint(error);
  bool may_be_old = false;
  if (auto failure = co_await upgrade(*context, departure, *stream, manner, may_be_old))
    co_return failure;
  departure.attempt.watch_nothing();
  Remote remote = remote_of(endpoint);
  remote.name = departure.address.to_string();
  remote.may_be_old = may_be_old;
  if (context->sink != nullptr)
    open_link(context, std::move(stream), std::move(remote), dial, manner);
  co_return std::nullopt;
}

/// The first wss:// dial reads the system's store.
std::optional<DialFailure> ensure_tls(Context& context) {
  if (context.tls_dialing) return std::nullopt;
  auto tls = dialing_tls({});
  if (!tls) return DialFailure{DialError::tls_failed, std::move(tls.error().detail)};
  context.tls_dialing = std::move(*tls);
  return std::nullopt;
}

}  // namespace

Awaitable<std::optional<DialFailure>> depart(std::shared_ptr<Context> context, Departure& departure,
                                             DialId dial, Manner manner) {
  const Executor executor = context->io.get_executor();
  if (departure.address.scheme == Scheme::ws) {
    co_return co_await depart_by(context, departure, std::make_unique<Stream<Socket>>(executor),
                                 dial, manner);
  }
  if (auto failure = ensure_tls(*context)) co_return failure;
  co_return co_await depart_by(context, departure,
                               std::make_unique<Stream<TlsSocket>>(executor, *context->tls_dialing),
                               dial, manner);
}

}  // namespace peer_relay::websocket
