// SPDX-License-Identifier: MIT
//
// The front door: a node that listens, links, relays, sends and receives, on a thread of its own.
//
//   auto node = peer_relay::Node::start({.bootstrap = {"ws://127.0.0.1:8000"}},
//                                       {.message = [](const peer_relay::Message& m) { ... }});
//   if (!node) return complain(node.error());
//   node->send(id, peer_relay::Payload::of_text("hello"));
//
// Threads: every call is safe from any thread. Handlers and callbacks run one after the other on
// the node's own thread, never inside a call of yours; a handler may call the node. A handler that
// takes long holds up the relaying. What they throw ends the process, as from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "peer_relay/bytes.hpp"
#include "peer_relay/events.hpp"
#include "peer_relay/keys.hpp"
#include "peer_relay/limits.hpp"
#include "peer_relay/node_id.hpp"
#include "peer_relay/result.hpp"
#include "peer_relay/stream.hpp"

namespace peer_relay {

struct TlsFiles {
  std::string certificate;  ///< PEM, the whole chain, leaf first
  std::string key;          ///< PEM, without a passphrase
};

/// Links over WebRTC data channels: how nodes that cannot dial each other are linked directly, by
/// an offer and an answer that travel through the overlay. Nobody outside of it is asked unless a
/// server is named here.
struct WebRtc {
  bool enabled = true;
  /// STUN servers (RFC 8489), as "stun.example.org:3478": they tell this node its public address.
  std::vector<std::string> stun = {};
  /// TURN servers (RFC 8656), as "user:secret@turn.example.org:3478", or with "?transport=tcp":
  /// they pass everything on where no direct way is found.
  std::vector<std::string> turn = {};
  /// Names or IP addresses of the interfaces to use; none: all but loopback.
  std::vector<std::string> interfaces = {};
  std::uint16_t port_min = 0;  ///< of UDP sockets; 0: any
  std::uint16_t port_max = 0;
  /// Others are told our interfaces' addresses. Without it they see what STUN and TURN servers make
  /// of them.
  bool host_candidates = true;
};

/// Whether this build makes data channels; without, WebRtc::enabled means nothing.
bool has_webrtc();

struct NodeOptions {
  /// Listens on this port for WebSockets (ws://); 0 picks a free one, nothing means: do not listen.
  std::optional<std::uint16_t> port = {};
  /// The same for links over TCP itself (tcp://), which cost less and which browsers can't make.
  std::optional<std::uint16_t> tcp_port = {};
  /// The address to bind: an IPv4 or IPv6 literal. "::" is every interface, IPv4 included.
  std::string host = "::";
  /// ws://, wss:// and tcp:// URLs of nodes to join by; tried for ever, in random order.
  std::vector<std::string> bootstrap = {};
  /// URLs under which others can dial this node; none: found out by what peers see.
  std::vector<std::string> advertise = {};
  /// Nodes of different networks never link. A label, no secret. At most 64 bytes of UTF-8.
  std::string network = "peer-relay";

  /// The private key (RFC 8032 seed). Without it: from `identity_file`, else from the state
  /// directory, else new.
  std::optional<SigningSeed> identity = {};
  /// PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` writes it; made (mode 0600) if missing.
  std::string identity_file = {};
  /// Keeps the key and the peer cache across restarts; empty keeps nothing. Made if missing.
  std::string state_dir = {};

  std::optional<TlsFiles> tls = {};  ///< makes the port wss://
  std::string tls_ca_file = {};      ///< trusted when dialing wss://; empty: the system's store

  /// Browsers are let in from pages of these origins ("https://example.org"); empty: from any.
  std::vector<std::string> origins = {};

  /// A member of networks of npm peer-relay 0.0.2, too: takes their links on the same port, dials
  /// them by bootstrap, relays their messages, and carries them to nodes of ours that do the same.
  /// Their ids prove nothing: see Message::authenticated.
  bool legacy = false;
  /// Speaks npm peer-exchange 0.4.1 on the same ports, too; `network` is the network's id there.
  bool old_exchange = false;

  WebRtc webrtc = {};

  Limits limits = {};
  Duration dial_timeout = limits::dial_timeout;
  Duration handshake_timeout = limits::handshake_timeout;
  Duration ping_after = limits::ping_after;
  Duration link_dead_after = limits::link_dead_after;
};

/// Why a node did not start.
struct StartError {
  Error error{};
  std::string detail;  ///< what exactly, and what to do; one sentence for people
};

/// Handlers; each may be empty.
struct NodeEvents {
  std::function<void(const Message&)> message = {};
  std::function<void(const Peer&)> peer = {};                      ///< a link is up
  std::function<void(const NodeId&, CloseReason)> peer_lost = {};  ///< the last link to it is gone
  std::function<void(const Problem&)> error = {};                  ///< nothing that stops the node
  /// Another node has opened a stream. Without a handler, all are refused.
  std::function<void(Stream)> stream = {};
  std::function<void()> joined = {};  ///< has found its place: what is sent now has a way
};

struct SendOptions {
  Duration timeout = limits::acknowledged_timeout;
  bool probe = false;  ///< acknowledged by the node there, and given to no application
};

using SendCallback = std::function<void(const SendResult&)>;
using ConnectCallback = std::function<void(const Result<Peer>&)>;
using TraceCallback = std::function<void(const TraceHop&)>;

class Node {
 public:
  /// Checks the options, binds the port, makes or reads the key, and starts the thread.
  static Result<Node, StartError> start(NodeOptions options, NodeEvents events = {});

  Node(Node&&) noexcept;
  Node& operator=(Node&&) noexcept;
  /// As destroy(), and waits until all is freed (on the node's own thread: does not wait).
  ~Node();

  const NodeId& id() const;
  /// The port that is listened on for WebSockets, or 0.
  std::uint16_t port() const;
  /// And for TCP.
  std::uint16_t tcp_port() const;
  /// Where this machine can reach the node, as "ws://127.0.0.1:8000", or "tcp://..." if that is all
  /// there is; empty without a port.
  std::string url() const;
  /// One for each port.
  std::vector<std::string> urls() const;

  /// Best effort: unordered, at most once, no word of its fate. An error is this node's own.
  Result<void> send(const NodeId& to, Payload payload);

  /// Acknowledged: resent by other paths until the other node has it or the time is up; still at
  /// most once to the application there. The callback comes exactly once.
  void send(const NodeId& to, Payload payload, SendOptions options, SendCallback done);

  /// Opens a byte stream to a node, linked or not; it can be written to at once. If the node itself
  /// refuses (too many streams, its own id), StreamEvents::closed says so.
  Stream open_stream(const NodeId& to, StreamOptions options = {});

  /// Makes a direct link, and keeps it beyond what the overlay needs. Sending needs no link.
  void connect(const NodeId& to, ConnectCallback done = {});
  /// Dials an address as if it had been given in `bootstrap`.
  Result<void> connect(const std::string& url);
  /// The same, and tells who is there: linked, be it by another link that stood before. Why not, in
  /// words, comes by NodeEvents::error before.
  void connect(const std::string& url, ConnectCallback done);
  /// Listens for ws:// (wss:// with NodeOptions::tls) or tcp://, beside what it listens for
  /// already; 0 picks a port. Waits for the node's thread. port() and urls() still tell of the
  /// start.
  Result<std::uint16_t, StartError> listen(Scheme scheme, const std::string& host,
                                           std::uint16_t port);
  /// Lets nobody in by that any longer. Links stay.
  void stop_listening(Scheme scheme);
  /// Closes the link to that peer, if there is one. The overlay may make another later.
  void disconnect(const NodeId& peer);

  /// Tells each hop on the way to a node, in order, until `is_target`, a reason, or a hop that is
  /// lost for good. The callback's last call has is_target, a reason, or lost.
  void trace(const NodeId& to, TraceCallback hop);

  /// Calls back on the node's thread, soon or after so long. Not after the node is destroyed.
  void post(std::function<void()> task);
  void after(Duration delay, std::function<void()> task);

  /// Waits for the node's thread; on that thread answers at once.
  std::vector<Peer> peers() const;
  Stats stats() const;

  /// Says goodbye to all peers, closes everything, and then calls back. Calls after it do nothing.
  void destroy(std::function<void()> done = {});

 private:
  friend class Exchange;
  friend class Socket;
  struct Impl;
  explicit Node(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

/// The library's version, as "0.1.0".
std::string_view version();

}  // namespace peer_relay
