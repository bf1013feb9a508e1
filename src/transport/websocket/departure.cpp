// SPDX-License-Identifier: MIT
//
// From an address to a link: the name's addresses, TCP, TLS, the upgrade.
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/beast/http.hpp>
#include <fmt/format.h>

#include "transport/websocket/context_impl.hpp"

namespace peer_relay::websocket {

namespace {

using Clock = std::chrono::steady_clock;

struct Failure {
  DialError error{};
  std::string detail;
};

/// One dial under way.
struct Departure {
  Departure(const std::shared_ptr<Context>& shared, Address to)
      : context(shared),
        address(std::move(to)),
        attempt(shared->attempts, shared->io.get_executor()),
        deadline(Clock::now() + shared->options.dial_timeout) {}

  std::shared_ptr<Context> context;
  Address address;
  Attempt attempt;
  Clock::time_point deadline;
};

DialError dial_error(error_code error) {
  if (error == asio::error::connection_refused) return DialError::refused;
  if (error == asio::error::timed_out) return DialError::timed_out;
  return DialError::unreachable;
}

Failure failed_by(const Departure& departure, DialError error, std::string detail) {
  if (departure.attempt.is_called_off()) return {DialError::cancelled, "this node stops"};
  if (departure.attempt.is_late()) return {DialError::timed_out, "no answer in time"};
  return {error, std::move(detail)};
}

/// One address after the other, each with its share of the time that is left.
Awaitable<std::optional<Failure>> connect(Departure& departure, Socket& socket) {
  Attempt& attempt = departure.attempt;
  attempt.set_deadline(departure.deadline);
  const Resolution found =
      co_await departure.context->resolver->resolve(departure.address.host, attempt);
  if (!found.complaint.empty()) {
    co_return failed_by(departure, DialError::name_unknown, found.complaint);
  }
  std::size_t left = found.addresses.size();
  attempt.watch(socket);
  std::optional<Failure> failure;
  for (const asio::ip::address& address : found.addresses) {
    const auto now = Clock::now();
    attempt.set_deadline(now + (departure.deadline - now) / static_cast<std::ptrdiff_t>(left--));
    const auto [error] =
        co_await socket.async_connect({address, departure.address.port}, as_values);
    if (!error && socket.is_open()) co_return std::nullopt;
    failure = failed_by(departure, dial_error(error), error.message());
    if (attempt.is_called_off()) break;
    error_code ignored;
    socket.close(ignored);
  }
  co_return failure;
}

/// What a Host header says (RFC 9110 §7.2): the port only where it is not the scheme's own.
std::string host_header(const Address& address) {
  const bool is_v6 = address.host.contains(':');
  const std::uint16_t usual = address.scheme == Scheme::wss ? 443 : 80;
  std::string out = is_v6 ? fmt::format("[{}]", address.host) : address.host;
  if (address.port != usual) out += fmt::format(":{}", address.port);
  return out;
}

template <class Next>
Awaitable<std::optional<Failure>> upgrade(Departure& departure, Stream<Next>& stream,
                                          bool& may_be_old) {
  departure.attempt.set_deadline(departure.deadline);
  error_code ignored;
  socket_of(stream).set_option(tcp::no_delay(true), ignored);
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
    may_be_old = response.find(who_header) == response.end();
    // What we would say first ends an old node, so it is not said.
    if (may_be_old && departure.context->options.old_text_bytes_max == 0) {
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

/// The socket goes before the attempt does.
struct WatchEnds {
  Attempt& attempt;
  ~WatchEnds() { attempt.watch_nothing(); }
};

/// Nothing where the link is open.
template <class Next>
Awaitable<std::optional<Failure>> depart(Departure& departure, std::unique_ptr<Stream<Next>> stream,
                                         DialId dial) {
  const WatchEnds watch_ends{departure.attempt};
  if (auto failure = co_await connect(departure, socket_of(*stream))) co_return failure;
  error_code error;
  const tcp::endpoint endpoint = socket_of(*stream).remote_endpoint(error);
  bool may_be_old = false;
  if (auto failure = co_await upgrade(departure, *stream, may_be_old)) co_return failure;
  departure.attempt.watch_nothing();
  Remote remote = remote_of(endpoint);
  remote.name = departure.address.to_string();
  remote.may_be_old = may_be_old;
  if (departure.context->sink != nullptr) {
    open_link(departure.context, std::move(stream), std::move(remote), dial);
  }
  co_return std::nullopt;
}

/// The first wss:// dial reads the system's store.
std::optional<Failure> ensure_tls(Context& context) {
  if (context.tls_dialing) return std::nullopt;
  auto tls = dialing_tls({});
  if (!tls) return Failure{DialError::tls_failed, std::move(tls.error().detail)};
  context.tls_dialing = std::move(*tls);
  return std::nullopt;
}

}  // namespace

Awaitable<void> dial(std::shared_ptr<Context> context, Address address, DialId dial) {
  const Executor executor = context->io.get_executor();
  co_await asio::post(executor, as_values);  // the caller hears nothing before it has returned
  if (context->sink == nullptr) co_return;
  if (context->is_shut_down) co_return context->sink->dial_failed(dial, DialError::cancelled, "");
  Departure departure{context, std::move(address)};
  std::optional<Failure> failure;
  if (departure.address.scheme == Scheme::ws) {
    failure = co_await depart(departure, std::make_unique<Stream<Socket>>(executor), dial);
  } else if (failure = ensure_tls(*context); !failure) {
    failure = co_await depart(
        departure, std::make_unique<Stream<TlsSocket>>(executor, *context->tls_dialing), dial);
  }
  if (failure && context->sink != nullptr) {
    context->sink->dial_failed(dial, failure->error, failure->detail);
  }
}

}  // namespace peer_relay::websocket
