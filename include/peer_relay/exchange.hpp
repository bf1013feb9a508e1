// SPDX-License-Identifier: MIT
//
// Peer exchange: whoever is connected to some peers of a network gets more of them from those. Each
// node is the hub that others would rent. As npm peer-exchange has it, on top of a node:
//
//   peer_relay::Exchange exchange{"some-network", {}, {.peer = [](auto peer) { ... }}};
//   exchange.accept("tcp", {.port = 8001});
//   exchange.connect("websocket", "192.0.2.7", {.port = 8000}, [&](const auto& peer) {
//     if (peer) exchange.get_new_peer([](const auto& another) { ... });
//   });
//
// A peer is a byte stream (stream.hpp), sealed end to end. There are as many to one node as were
// asked for. Nodes of other networks never connect. With ExchangeOptions::legacy there are peers of
// npm peer-exchange 0.4.1 among them, of whom nothing is sealed and nothing proven.
//
// Threads: as Node. Every call is safe from any thread; handlers run on the node's thread.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "peer_relay/node.hpp"
#include "peer_relay/node_id.hpp"
#include "peer_relay/stream.hpp"
#include "peer_relay/user_transport.hpp"

namespace peer_relay {

struct ExchangeError {
  enum class Kind : std::uint8_t {
    not_connected,      ///< to any peers, so there is nobody to ask
    already_accepting,  ///< on that transport
    unknown_transport,  ///< none of "websocket", "tcp", "webrtc" and one's own, or not in this
                        ///< build
    wrong_network,      ///< who answered belongs to another
    connect_failed,     ///< nobody answered, or it was nobody of ours
    no_new_peer,        ///< the peer that was asked has none to offer
    listen_failed,      ///< the port is taken, or not allowed
    timed_out,
    closed,  ///< the exchange, or the peer that was asked
  };
  Kind kind{};
  std::string message;  ///< one sentence, without a full stop
};

struct ExchangeOptions {
  /// Its network, ports and bootstrap addresses are the exchange's own affair.
  NodeOptions node = {};
  /// For the answer of a peer, and for the peer that it names. Those of npm peer-exchange have 30
  /// s.
  Duration timeout = std::chrono::seconds{30};
  /// One of a network of npm peer-exchange 0.4.1, too: lets its nodes in by the same ports beside
  /// our own, dials as they do, and is asked and asks as they are. What we accept with
  /// NodeOptions::tls they are not told of: they have no wss://.
  bool legacy = false;
  /// Transports of one's own, by names that are none of ours and hold no ':'; others are not known.
  /// Over them only our own wire is spoken.
  std::map<std::string, std::shared_ptr<UserTransport>> transports = {};
};

class ExchangePeer;
using ExchangePeerCallback = std::function<void(const std::expected<ExchangePeer, ExchangeError>&)>;

/// Copies are the same peer.
class ExchangePeer {
 public:
  ExchangePeer() = default;

  /// The duplex stream. Ends with the peer.
  Stream& stream();
  /// By what its node was linked when it came: "websocket", "tcp", "webrtc", one's own; or "relay",
  /// without a link.
  const std::string& transport() const;
  /// Its IP address, as far as we know it, or what a transport of one's own has in its place.
  const std::string& remote_address() const;
  const NodeId& id() const;  ///< the node's; all zeros with is_legacy()
  bool is_incoming() const;
  /// One of npm peer-exchange. Its stream has one end for both directions: finish() closes it when
  /// what was written has left, and more than Limits::exchange_unread_bytes_max unread
  /// end it with StreamEnd::limit: that wire has no way to make a writer wait.
  bool is_legacy() const;
  bool operator==(const ExchangePeer&) const = default;

  /// Asks this peer.
  void get_new_peer(ExchangePeerCallback done = {});
  void destroy();

 private:
  friend class Exchange;
  struct Body;
  std::shared_ptr<Body> body_;
};

/// Handlers; each may be empty.
struct ExchangeEvents {
  std::function<void(ExchangePeer)> peer = {};           ///< in and out
  std::function<void(ExchangePeer)> disconnect = {};     ///< one that was told is gone
  std::function<void(const ExchangeError&)> error = {};  ///< what no callback tells
  std::function<void(ExchangePeer, const ExchangeError&)> peer_error = {};  ///< then it is gone
};

class Exchange {
 public:
  using Peer = ExchangePeer;
  using PeerCallback = ExchangePeerCallback;
  using AcceptCallback = std::function<void(const std::expected<std::uint16_t, ExchangeError>&)>;

  /// Peers with one node, whoever asked for them, and peers in all.
  static constexpr std::size_t peers_per_node_max = 64;
  static constexpr std::size_t peers_max = 4096;

  /// Throws nothing: what keeps the node from starting is told to every callback.
  explicit Exchange(std::string network, ExchangeOptions options = {}, ExchangeEvents events = {});
  Exchange(Exchange&&) noexcept;
  Exchange& operator=(Exchange&&) noexcept;
  /// As close(), and waits until all is freed.
  ~Exchange();

  const std::string& id() const;  ///< of the network, as given
  /// Of this node; all zeros if it did not start.
  NodeId node_id() const;
  std::vector<Peer> peers() const;

  /// "websocket", "tcp" or one's own.
  void connect(const std::string& transport, const std::string& host, TransportOptions options,
               PeerCallback done = {});
  /// Lets peers in by "websocket", "tcp" or one's own; or lets others name us to those who would
  /// reach us by "webrtc". The callback has the port.
  void accept(const std::string& transport, TransportOptions options = {},
              AcceptCallback done = {});
  void unaccept(const std::string& transport);
  /// Asks a random peer for another, and connects to that.
  void get_new_peer(PeerCallback done = {});
  void close(std::function<void()> done = {});

  Node* node();  ///< below it; null if it did not start

 private:
  friend class ExchangePeer;
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace peer_relay
