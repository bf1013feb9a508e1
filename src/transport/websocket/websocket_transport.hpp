// SPDX-License-Identifier: MIT
//
// Links over WebSockets (RFC 6455), in clear (ws://) and over TLS (wss://): each message of a link
// is one binary message. This room dials, listens, proves and checks certificates, and answers
// those who come to the port with something else. Who the other side is and what it says is for the
// engine.
//
// A connection that is not upgraded yet is half-open. There is a limit of them in total and for
// each remote host, and a deadline on each; the newest loses. An open link has no deadline here:
// the engine keeps those.
//
// Our listeners say what they are in a header of their answer to the upgrade (protocol §3). So a
// dialer knows an old node by its silence there, before it has said anything that would end it.
// Text messages are old nodes' speech; without
// `old_text_bytes_max` they end a link as a protocol error.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "peer_relay/limits.hpp"
#include "peer_relay/node.hpp"
#include "transport/transport.hpp"

namespace boost::asio {
class io_context;
}

namespace peer_relay {

namespace websocket {
struct Context;
}

struct WebSocketOptions {
  Duration dial_timeout = limits::dial_timeout;         ///< name, TCP, TLS and upgrade together
  Duration accept_timeout = limits::handshake_timeout;  ///< TLS and upgrade of those who dial us
  std::size_t half_open_max = Limits{}.half_open_max;
  std::size_t half_open_per_host_max = Limits{}.half_open_per_host_max;
  std::vector<std::string> origins = {};  ///< empty: any; else those whose pages may connect
  std::optional<TlsFiles> tls = {};       ///< listens as wss://
  std::string tls_ca_file = {};           ///< empty: the system's store
  /// Takes text messages, of at most so many bytes, and links to listeners that do not say that
  /// they are ours; 0 does neither.
  std::size_t old_text_bytes_max = 0;
  /// Lets nodes of npm peer-exchange in: links that carry bytes, in binary messages whose borders
  /// mean nothing.
  bool takes_streams = false;
};

class WebSocketTransport final : public Transport {
 public:
  /// Reads the certificates. `io` and `sink` outlive the transport, and `io` is run by one thread.
  static Result<std::unique_ptr<WebSocketTransport>, StartError> make(boost::asio::io_context& io,
                                                                      LinkSink& sink,
                                                                      WebSocketOptions options);

  /// Silent: what is under way ends without a word to the sink.
  ~WebSocketTransport() override;
  WebSocketTransport(const WebSocketTransport&) = delete;
  WebSocketTransport& operator=(const WebSocketTransport&) = delete;

  /// Listens on an IP address and port; 0 picks a port. Once. Returns the port.
  Result<std::uint16_t, StartError> listen(const std::string& host, std::uint16_t port);
  /// What was let in goes on; listen() may be called again.
  void stop_listening();

  bool can_dial(const Address& address) const override;
  void dial(const Address& address, DialId dial) override;
  void dial_stream(const Address& address, DialId dial) override;
  void shut_down() override;

  /// Connections, both ways, that are under way to become links.
  std::size_t half_open() const;

 private:
  void dial(const Address& address, DialId dial, Manner manner);
  explicit WebSocketTransport(std::shared_ptr<websocket::Context> context);
  std::shared_ptr<websocket::Context> context_;  // shared with what is under way
};

}  // namespace peer_relay
