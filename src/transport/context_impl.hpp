// SPDX-License-Identifier: MIT
//
// What arrivals, departures and links of one transport over TCP share, and the steps that they have
// in common whatever is spoken then. Coroutines hold the context and so outlive the transport by a
// moment; then it has no sink.
//
// A connection that is no link yet is half-open. There is a limit of them in total and for each
// remote host, and a deadline on each; the newest loses.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "peer_relay/node.hpp"
#include "transport/attempt_impl.hpp"
#include "transport/half_open.hpp"
#include "transport/read_buffers.hpp"
#include "transport/resolver_impl.hpp"
#include "transport/transport.hpp"

namespace peer_relay::sockets {

struct Bounds {
  Duration dial_timeout;
  Duration accept_timeout;
  std::size_t half_open_max;
  std::size_t half_open_per_host_max;
};

struct Context {
  Context(asio::io_context& io_context, LinkSink& link_sink, const Bounds& given)
      : io(io_context),
        sink(&link_sink),
        bounds(given),
        half_open(given.half_open_max, given.half_open_per_host_max),
        resolver(std::in_place, io_context),
        acceptor(io_context.get_executor()),
        accept_again(io_context.get_executor()) {}

  /// What was let in already goes on.
  void stop_listening();
  /// The same, and calls off what is under way.
  void shut_down();
  /// And says nothing of it: the transport goes, and its sink may.
  void end();

  asio::io_context& io;
  LinkSink* sink;
  Bounds bounds;
  HalfOpen half_open;
  std::shared_ptr<Attempts> attempts = std::make_shared<Attempts>();
  std::optional<Resolver> resolver;
  ReadBuffers read_buffers;
  Acceptor acceptor;
  Timer accept_again;
  bool is_shut_down = false;
};

// ---- Those who come (arrival.cpp) -----------------------------------------------------------

/// Where a link leads to.
struct Remote {
  std::string name;         ///< the URL that was dialed, or "ip:port"
  std::string host;         ///< the IP address
  bool may_be_old = false;  ///< dialed, and it did not say that it is one of ours
};
Remote remote_of(const tcp::endpoint& endpoint);

/// Has a connection that found a place.
using LetIn = std::function<void(Socket, Remote, HalfOpen::Place)>;

/// Listens on an IP address and port, 0 picks one, and accepts until the acceptor is closed.
/// Returns the port.
Result<std::uint16_t, StartError> listen(const std::shared_ptr<Context>& context,
                                         const std::string& host, std::uint16_t port, LetIn let_in);

/// Whether it is the other side that ended the connection.
bool has_left(error_code error);

/// Why an arrival came to nothing, when what it said was not the reason.
CloseReason ended_by(const Attempt& attempt, bool left);

// ---- Those we go to (departure.cpp) ---------------------------------------------------------

struct DialFailure {
  DialError error{};
  std::string detail;
};

/// One dial under way.
struct Departure {
  Departure(const std::shared_ptr<Context>& shared, Address to)
      : context(shared),
        address(std::move(to)),
        attempt(shared->attempts, shared->io.get_executor()),
        deadline(std::chrono::steady_clock::now() + shared->bounds.dial_timeout) {}

  std::shared_ptr<Context> context;
  Address address;
  Attempt attempt;
  std::chrono::steady_clock::time_point deadline;
};

/// A called-off or late attempt is the reason for whatever failed then.
DialFailure failed_by(const Departure& departure, DialError error, std::string detail);

/// The name's addresses, and TCP to one of them. The attempt watches the socket from then on.
/// Nothing once it is connected.
Awaitable<std::optional<DialFailure>> connect(Departure& departure, Socket& socket);

/// Makes a link and tells the sink of it, or says why there is none.
using Depart = std::function<Awaitable<std::optional<DialFailure>>(Departure&)>;

/// Dials in a later turn, and tells the sink if that fails.
Awaitable<void> dial(std::shared_ptr<Context> context, Address address, DialId dial, Depart depart);

}  // namespace peer_relay::sockets
