// SPDX-License-Identifier: MIT
#include <utility>

#include <boost/asio/post.hpp>

#include "transport/context_impl.hpp"

namespace peer_relay::sockets {

namespace {

DialError dial_error(error_code error) {
  if (error == asio::error::connection_refused) return DialError::refused;
  if (error == asio::error::timed_out) return DialError::timed_out;
  return DialError::unreachable;
}

}  // namespace

DialFailure failed_by(const Departure& departure, DialError error, std::string detail) {
  if (departure.attempt.is_called_off()) return {DialError::cancelled, "this node stops"};
  if (departure.attempt.is_late()) return {DialError::timed_out, "no answer in time"};
  return {error, std::move(detail)};
}

/// One address after the other, each with its share of the time that is left.
Awaitable<std::optional<DialFailure>> connect(Departure& departure, Socket& socket) {
  Attempt& attempt = departure.attempt;
  attempt.set_deadline(departure.deadline);
  const Resolution found =
      co_await departure.context->resolver->resolve(departure.address.host, attempt);
  if (!found.complaint.empty()) {
    co_return failed_by(departure, DialError::name_unknown, found.complaint);
  }
  std::size_t left = found.addresses.size();
  attempt.watch(socket);
  std::optional<DialFailure> failure;
  for (const asio::ip::address& address : found.addresses) {
    const auto now = std::chrono::steady_clock::now();
    attempt.set_deadline(now + (departure.deadline - now) / static_cast<std::ptrdiff_t>(left--));
    const auto [error] =
        co_await socket.async_connect({address, departure.address.port}, as_values);
    error_code ignored;
    if (!error && socket.is_open()) {
      attempt.set_deadline(departure.deadline);
      socket.set_option(tcp::no_delay(true), ignored);
      co_return std::nullopt;
    }
    failure = failed_by(departure, dial_error(error), error.message());
    if (attempt.is_called_off()) break;
    socket.close(ignored);
  }
  co_return failure;
}

Awaitable<void> dial(std::shared_ptr<Context> context, Address address, DialId dial,
                     Depart depart) {
  // The caller hears nothing before it has returned.
  co_await asio::post(context->io.get_executor(), as_values);
  if (context->sink == nullptr) co_return;
  if (context->is_shut_down) co_return context->sink->dial_failed(dial, DialError::cancelled, "");
  Departure departure{context, std::move(address)};
  const std::optional<DialFailure> failure = co_await depart(departure);
  if (failure && context->sink != nullptr) {
    context->sink->dial_failed(dial, failure->error, failure->detail);
  }
}

}  // namespace peer_relay::sockets
