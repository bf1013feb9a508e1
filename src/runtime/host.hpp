// SPDX-License-Identifier: MIT
//
// The Asio host: one io_context on one thread that owns an engine, the transports and the links,
// and carries word between them. It decides nothing: the engine does.
//
// Handlers of the application are called when the engine has been drained, never from inside it, so
// they may call anything.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/engine/engine.hpp"
#include "peer_relay/node.hpp"
#include "peer_relay/user_transport.hpp"
#include "runtime/mailbox.hpp"

namespace peer_relay {

/// One more that hears what a node has to tell: a socket's.
struct Ear {
  std::function<bool(const Message&)> message;  ///< whether it was meant for it
  std::function<void()> linked;
  std::function<void(const Problem&)> problem;
  std::function<void()> gone;
};

/// What hears of peers of npm peer-exchange; each function may be empty. What they are told is in
/// outbox.hpp. ExchangePeerDown follows for each peer before the end, ExchangeFailed or
/// ExchangePeerUp for each request.
struct ExchangeEar {
  std::function<void(NotifyWish::ExchangePeerUp&&)> up;
  std::function<void(NotifyWish::ExchangeBytes&&)> bytes;
  std::function<void(ExchangePeerId)> writable;
  std::function<void(ExchangePeerId)> ended;
  std::function<void(NotifyWish::ExchangePeerDown&&)> down;
  std::function<void(NotifyWish::ExchangeFailed&&)> failed;
};

class StreamState;

class Host : public std::enable_shared_from_this<Host> {
 public:
  /// Checks the options, reads key and cache, binds the ports.
  static Result<std::shared_ptr<Host>, StartError> make(NodeOptions options, NodeEvents events);

  virtual ~Host() = default;

  const NodeId& id() const { return id_; }
  std::uint16_t port() const { return port_; }
  std::uint16_t tcp_port() const { return tcp_port_; }
  const std::vector<std::string>& urls() const { return urls_; }

  /// The node's thread: returns after release().
  virtual void run() = 0;

  // ---- From any thread ----------------------------------------------------------------------

  virtual bool is_on_thread() const = 0;
  virtual Result<void> send(const NodeId& to, Payload payload) = 0;
  virtual void send(const NodeId& to, Payload payload, SendOptions options, SendCallback done) = 0;
  virtual void call(CallOrder order) = 0;

  // ---- On the node's thread, from a call ----------------------------------------------------

  virtual void connect(const NodeId& to, ConnectCallback done) = 0;
  virtual void connect(const Address& address, ConnectCallback done) = 0;
  virtual Result<std::uint16_t, StartError> listen(Scheme scheme, const std::string& host,
                                                   std::uint16_t port) = 0;
  virtual void stop_listening(Scheme scheme) = 0;
  /// A link over a connection of the application's own; `remote` is for people. With `done` we have
  /// made it, and it comes once, as with an address.
  virtual void adopt(std::unique_ptr<UserConnection> connection, std::string remote,
                     ConnectCallback done) = 0;
  virtual void disconnect(const NodeId& peer) = 0;
  virtual void trace(const NodeId& to, TraceCallback hop) = 0;
  virtual std::vector<Peer> peers() const = 0;
  virtual Stats stats() const = 0;

  /// StreamState::closed follows exactly once.
  virtual void open_stream(const std::shared_ptr<StreamState>& state,
                           const StreamOptions& options) = 0;
  /// Resets it then, unless it has ended, or this is called again.
  virtual void set_stream_deadline(StreamState& state, Duration from_now) = 0;

  // Peers of npm peer-exchange, with NodeOptions::old_exchange: as engine.hpp says. Requests are
  // numbered from 1; 0 is none, where the node goes away.
  virtual void set_exchange_ear(ExchangeEar ear) = 0;
  virtual ExchangeRequest exchange_connect(const Address& address) = 0;
  virtual ExchangeRequest exchange_get_new_peer(std::optional<ExchangePeerId> from) = 0;
  virtual bool exchange_write(ExchangePeerId peer, Bytes bytes) = 0;
  virtual bool exchange_has_room(ExchangePeerId peer) const = 0;
  virtual void exchange_close(ExchangePeerId peer) = 0;
  virtual void exchange_consumed(ExchangePeerId peer, std::size_t bytes) = 0;
  virtual void exchange_accept(ExchangeTransport transport, std::uint16_t port) = 0;
  virtual void exchange_unaccept(ExchangeTransport transport) = 0;

  /// At most as many at a time as the application has asked for.
  virtual void after(Duration delay, CallOrder task) = 0;

  /// Until its owner lets go of it.
  virtual void add_ear(const std::weak_ptr<Ear>& ear) = 0;

  /// `done` follows exactly once, also where all is over already.
  virtual void destroy(std::function<void()> done) = 0;
  /// No event is told any more; callbacks still come.
  virtual void mute() = 0;
  /// destroy(), and then run() returns.
  virtual void release() = 0;

 protected:
  NodeId id_{};
  std::uint16_t port_ = 0;
  std::uint16_t tcp_port_ = 0;
  std::vector<std::string> urls_;
};

}  // namespace peer_relay
