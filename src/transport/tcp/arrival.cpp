// SPDX-License-Identifier: MIT
//
// From an accepted connection to a link: its first bytes.
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "transport/tcp/context_impl.hpp"
#include "transport/tcp/opening.hpp"

namespace peer_relay::tcp {

namespace {

/// One connection on its way to become a link.
struct Arrival {
  Arrival(const std::shared_ptr<Context>& shared, Socket accepted, Remote from,
          sockets::HalfOpen::Place at_door)
      : context(shared),
        attempt(shared->attempts, shared->io.get_executor()),
        socket(std::move(accepted)),
        remote(std::move(from)),
        place(std::move(at_door)) {}

  MutableBytes heard() { return MutableBytes{first}.first(have); }

  std::shared_ptr<Context> context;
  sockets::Attempt attempt;
  Socket socket;
  Remote remote;
  sockets::HalfOpen::Place place;
  std::array<std::uint8_t, opening_bytes> first{};
  std::size_t have = 0;
  Manner manner = Manner::undecided;
};

/// Nothing once somebody has begun to speak whom we let in, else why not.
Awaitable<std::optional<CloseReason>> listen_to(Arrival& arrival) {
  for (;;) {
    const Opening opening = opening_of(arrival.heard());
    if (opening == Opening::ours) arrival.manner = Manner::messages;
    if (opening == Opening::exchange && arrival.context->takes_streams) {
      arrival.manner = Manner::bytes;
    }
    if (arrival.manner != Manner::undecided) co_return std::nullopt;
    if (opening != Opening::undecided) co_return CloseReason::protocol_error;
    const auto rest = asio::buffer(arrival.first) + arrival.have;
    const auto [error, bytes] = co_await arrival.socket.async_read_some(rest, sockets::as_values);
    if (error) co_return ended_by(arrival.attempt, sockets::has_left(error));
    arrival.have += bytes;
  }
}

Awaitable<void> let_in(std::shared_ptr<Context> context, Socket socket, Remote remote,
                       sockets::HalfOpen::Place place) {
  Arrival arrival{context, std::move(socket), std::move(remote), std::move(place)};
  const sockets::WatchEnds watch_ends{arrival.attempt};
  arrival.attempt.watch(arrival.socket);
  arrival.attempt.set_deadline(std::chrono::steady_clock::now() + context->bounds.accept_timeout);
  const std::optional<CloseReason> failure = co_await listen_to(arrival);
  if (context->sink == nullptr) co_return;
  if (failure) {
    context->sink->connection_failed(*failure);
  } else if (arrival.attempt.is_late() || arrival.attempt.is_called_off()) {
    context->sink->connection_failed(ended_by(arrival.attempt, false));
  } else {
    arrival.attempt.watch_nothing();
    arrival.place.leave();
    arrival.remote.name = "tcp:" + arrival.remote.name;
    open_link(context, std::move(arrival.socket), arrival.heard(), std::move(arrival.remote),
              std::nullopt, arrival.manner);
  }
}

}  // namespace

void welcome(const std::shared_ptr<Context>& context, Socket socket, Remote remote,
             sockets::HalfOpen::Place place) {
  asio::co_spawn(context->io.get_executor(),
                 let_in(context, std::move(socket), std::move(remote), std::move(place)),
                 asio::detached);
}

}  // namespace peer_relay::tcp
