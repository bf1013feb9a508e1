// SPDX-License-Identifier: MIT
//
// A socket like those of Node.js' dgram, on top of a node: datagrams between ids, unordered, at
// most once, without a word of their fate.
//
//   auto socket = peer_relay::Socket::create({.bootstrap = {"ws://127.0.0.1:8000"}},
//       {.message = [](BytesView bytes, const RemoteInfo& from) { ... }});
//   if (!socket) return complain(socket.error());
//   socket->bind(22);
//   socket->send(bytes, 22, id);
//
// It speaks with PeerRelay.Socket of npm peer-relay 0.0.2 where its node has NodeOptions::legacy.
// As there, a port is only told to the other side, and chooses nothing: all sockets of a node hear
// all datagrams for it. Other messages of the node go to NodeEvents::message as ever.
//
// Threads: as Node. Every call is safe from any thread; handlers run on the node's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "peer_relay/bytes.hpp"
#include "peer_relay/node.hpp"
#include "peer_relay/node_id.hpp"
#include "peer_relay/result.hpp"

namespace peer_relay {

struct SocketAddress {
  std::string address;  ///< a node's id: 40 hex digits
  std::uint16_t port = 0;
  std::string family = "peer-relay";
};

/// Who sent a datagram.
struct RemoteInfo {
  std::string address;  ///< the sender's id, to answer to
  std::uint16_t port = 0;
  std::string family = "peer-relay";
  std::size_t size = 0;       ///< of the datagram, in bytes
  bool authenticated = true;  ///< as Message::authenticated
};

/// Handlers; each may be empty.
struct SocketEvents {
  std::function<void(BytesView, const RemoteInfo&)> message = {};  ///< bytes of this call only
  std::function<void()> listening = {};  ///< bound, and linked to somebody
  /// One sentence: what the node has to tell, or why a send without a callback failed.
  std::function<void(const std::string&)> error = {};
  std::function<void()> close = {};  ///< the last event
};

class Socket {
 public:
  /// The bytes that were given to the node, or why they were not: invalid_argument for an id or a
  /// range that is none, payload_too_large beyond about 16,000 bytes (they travel as JSON, and in
  /// it take up to four times their size), closed.
  using Sent = std::function<void(Result<std::size_t>)>;

  /// A socket with a node of its own.
  static Result<Socket, StartError> create(NodeOptions options, SocketEvents events = {});
  /// One more socket on a node, which outlives it.
  static Socket on(Node& node, SocketEvents events = {});

  Socket(Socket&&) noexcept;
  Socket& operator=(Socket&&) noexcept;
  /// As close(). Its own node is destroyed; on another's node no event follows any more.
  ~Socket();

  /// The whole form of dgram: `length` bytes from `offset` on, to that node. The port is for the
  /// other side to know.
  void send(BytesView bytes, std::size_t offset, std::size_t length, std::uint16_t port,
            std::string_view id, Sent done = {});
  void send(BytesView bytes, std::uint16_t port, std::string_view id, Sent done = {});
  /// Several buffers, as one datagram.
  void send(std::span<const BytesView> list, std::uint16_t port, std::string_view id,
            Sent done = {});
  /// To whom connect() has named.
  void send(BytesView bytes, Sent done = {});

  /// Whom send() without a target means.
  Result<void> connect(std::uint16_t port, std::string_view id);

  /// Chooses the port that others see; 0 picks one. Once. `listening` follows.
  Result<void> bind(std::uint16_t port = 0, std::function<void()> listening = {});

  SocketAddress address() const;

  /// Ends it; `done` follows the close event. Later calls do nothing.
  void close(std::function<void()> done = {});

  Node& node();

 private:
  struct State;
  explicit Socket(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace peer_relay
