// SPDX-License-Identifier: MIT
//
// From an accepted connection to a link: TLS, an HTTP request, the upgrade. Everybody else who
// comes to the port gets a short, honest answer.
#include <algorithm>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <fmt/format.h>

#include "transport/websocket/context_impl.hpp"

namespace peer_relay::websocket {

namespace {

using Request = http::request_parser<http::empty_body>;

/// Browsers send about 500 bytes, with large cookies some thousand.
constexpr std::size_t request_bytes_max = 8192;

/// For the other side to take our answer and hang up.
constexpr std::chrono::seconds hang_up_timeout{2};

constexpr std::string_view who_we_are = "This is a peer-relay node. Speak WebSocket to it.\n";

/// One connection on its way to become a link.
template <class Next>
struct Arrival {
  Arrival(const std::shared_ptr<Context>& shared, std::unique_ptr<Stream<Next>> accepted,
          Remote from, HalfOpen::Place at_door)
      : context(shared),
        stream(std::move(accepted)),
        remote(std::move(from)),
        place(std::move(at_door)),
        attempt(shared->attempts, shared->io.get_executor()) {}

  std::shared_ptr<Context> context;
  std::unique_ptr<Stream<Next>> stream;
  Remote remote;
  HalfOpen::Place place;
  Attempt attempt;
  beast::flat_buffer buffer{request_bytes_max};
  Request request;
};

CloseReason ended_by(const Attempt& attempt, error_code error) {
  return sockets::ended_by(attempt, has_left(error) || error == http::error::end_of_stream ||
                                        error == asio::ssl::error::stream_truncated);
}

bool is_http_error(error_code error) {
  return error.category() == http::make_error_code(http::error::bad_method).category() &&
         error != http::error::end_of_stream && error != http::error::partial_message;
}

/// The name of an Origin header is compared as it stands: browsers write it in one way (RFC 6454
/// §6.2).
bool is_welcome(const std::vector<std::string>& origins, const Request::value_type& request) {
  const auto origin = request.find(http::field::origin);
  if (origins.empty() || origin == request.end()) return true;
  return std::ranges::any_of(origins, [&](const std::string& each) {
    return origin->value() == beast::string_view{each};
  });
}

http::status status_for(error_code error) {
  const bool too_large =
      error == http::error::header_limit || error == http::error::buffer_overflow;
  return too_large ? http::status::request_header_fields_too_large : http::status::bad_request;
}

/// The status with which a request is turned away, or nothing for one that can be upgraded.
std::optional<http::status> refusal(const Context& context, const Request::value_type& request,
                                    bool has_more_bytes) {
  if (beast::websocket::is_upgrade(request)) {
    if (!is_welcome(context.options.origins, request)) return http::status::forbidden;
    // A WebSocket client says nothing before our answer (RFC 6455 §4.1).
    if (has_more_bytes) return http::status::bad_request;
    return std::nullopt;
  }
  const bool reads = request.method() == http::verb::get || request.method() == http::verb::head;
  return reads ? http::status::upgrade_required : http::status::method_not_allowed;
}

http::response<http::string_body> make_answer(http::status status) {
  http::response<http::string_body> answer{status, 11};
  answer.set(http::field::server, "peer-relay");
  answer.set(http::field::content_type, "text/plain; charset=utf-8");
  answer.set(http::field::cache_control, "no-store");
  answer.set(http::field::connection, "close");
  if (status == http::status::upgrade_required) {
    answer.set(http::field::upgrade, "websocket");
    answer.set(http::field::connection, "upgrade, close");
  }
  if (status == http::status::method_not_allowed) answer.set(http::field::allow, "GET, HEAD");
  answer.body() = who_we_are;
  answer.prepare_payload();
  return answer;
}

/// Answers, and waits for the other side to hang up first: closing with its bytes unread would
/// reset the connection and take the answer away.
template <class Next>
Awaitable<void> turn_away(Arrival<Next>& arrival, http::status status) {
  arrival.attempt.set_deadline(std::chrono::steady_clock::now() + hang_up_timeout);
  auto answer = make_answer(status);
  Next& next = arrival.stream->next_layer();
  if (arrival.request.get().method() == http::verb::head) {
    http::response_serializer<http::string_body> head{answer};
    head.split(true);
    co_await http::async_write_header(next, head, as_values);
  } else {
    co_await http::async_write(next, answer, as_values);
  }
  if constexpr (std::is_same_v<Next, TlsSocket>) co_await next.async_shutdown(as_values);
  Socket& socket = socket_of(*arrival.stream);
  error_code error;
  socket.shutdown(Socket::shutdown_send, error);
  char ignored[1024];
  while (!error) {
    const auto [read_error, bytes] =
        co_await socket.async_read_some(asio::buffer(ignored), as_values);
    error = read_error;
  }
}

/// Nothing once the stream is upgraded, else why it was not.
template <class Next>
Awaitable<std::optional<CloseReason>> upgrade(Arrival<Next>& arrival) {
  Next& next = arrival.stream->next_layer();
  if constexpr (std::is_same_v<Next, TlsSocket>) {
    const auto [error] = co_await next.async_handshake(asio::ssl::stream_base::server, as_values);
    if (error && error.category() == asio::error::get_ssl_category()) {
      co_return CloseReason::protocol_error;
    }
    if (error) co_return ended_by(arrival.attempt, error);
  }

  arrival.request.header_limit(request_bytes_max);
  const auto [error, bytes] =
      co_await http::async_read_header(next, arrival.buffer, arrival.request, as_values);
  if (is_http_error(error)) {
    co_await turn_away(arrival, status_for(error));
    co_return CloseReason::protocol_error;
  }
  if (error) co_return ended_by(arrival.attempt, error);

  const auto& request = arrival.request.get();
  if (const auto status = refusal(*arrival.context, request, arrival.buffer.size() > 0)) {
    co_await turn_away(arrival, *status);
    co_return CloseReason::protocol_error;
  }
  const auto [upgrade_error] = co_await arrival.stream->async_accept(request, as_values);
  if (upgrade_error.category() ==
      beast::websocket::make_error_code(beast::websocket::error::closed).category()) {
    co_return CloseReason::protocol_error;  // Beast has said what it missed
  }
  if (upgrade_error) co_return ended_by(arrival.attempt, upgrade_error);
  co_return std::nullopt;
}

template <class Next>
Awaitable<void> let_in(std::shared_ptr<Context> context, std::unique_ptr<Stream<Next>> stream,
                       Remote remote, HalfOpen::Place place) {
  Arrival<Next> arrival{context, std::move(stream), std::move(remote), std::move(place)};
  arrival.attempt.watch(socket_of(*arrival.stream));
  arrival.attempt.set_deadline(std::chrono::steady_clock::now() + context->bounds.accept_timeout);
  arrival.stream->set_option(
      beast::websocket::stream_base::decorator([](beast::websocket::response_type& response) {
        response.set(http::field::server, "peer-relay");
        response.set(who_header, who_value);
      }));
  const std::optional<CloseReason> failure = co_await upgrade(arrival);
  if (context->sink == nullptr) co_return;
  if (failure) {
    context->sink->connection_failed(*failure);
  } else if (arrival.attempt.is_late() || arrival.attempt.is_called_off()) {
    context->sink->connection_failed(ended_by(arrival.attempt, {}));
  } else {
    arrival.attempt.watch_nothing();
    arrival.place.leave();
    const bool may_be_stream = context->options.takes_streams;
    open_link(context, std::move(arrival.stream), std::move(arrival.remote), std::nullopt,
              may_be_stream ? Manner::undecided : Manner::messages);
  }
}

}  // namespace

void welcome(const std::shared_ptr<Context>& context, Socket socket, Remote remote,
             HalfOpen::Place place) {
  const auto spawn = [&](auto stream) {
    asio::co_spawn(context->io.get_executor(),
                   let_in(context, std::move(stream), std::move(remote), std::move(place)),
                   asio::detached);
  };
  if (context->tls_listening) {
    spawn(std::make_unique<Stream<TlsSocket>>(std::move(socket), *context->tls_listening));
  } else {
    spawn(std::make_unique<Stream<Socket>>(std::move(socket)));
  }
}

}  // namespace peer_relay::websocket
