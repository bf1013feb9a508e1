// SPDX-License-Identifier: MIT
//
// Links over TCP itself (tcp://host:port): each message stands behind its length (deframer.hpp).
// There is no encryption here and no proof of who is there: the engine's handshake has both.
//
// Who dials speaks first, and its first message begins with a magic. So a listener knows from the
// first eight bytes whether a node of ours is there (opening.hpp); until then the connection is
// half-open. There is a limit of those in total and for each remote host, and a deadline on each;
// the newest loses. An open link has no deadline here: the engine keeps those.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "peer_relay/limits.hpp"
#include "peer_relay/node.hpp"
#include "transport/transport.hpp"

namespace boost::asio {
class io_context;
}

namespace peer_relay {

namespace tcp {
struct Context;
}

struct TcpOptions {
  Duration dial_timeout = limits::dial_timeout;  ///< name and connection together
  Duration accept_timeout =
      limits::handshake_timeout;  ///< for the first bytes of those who dial us
  std::size_t half_open_max = Limits{}.half_open_max;
  std::size_t half_open_per_host_max = Limits{}.half_open_per_host_max;
  /// Lets nodes of npm peer-exchange in: links that carry bytes.
  bool takes_streams = false;
};

class TcpTransport final : public Transport {
 public:
  /// `io` and `sink` outlive the transport, and `io` is run by one thread.
  TcpTransport(boost::asio::io_context& io, LinkSink& sink, const TcpOptions& options);

  /// Silent: what is under way ends without a word to the sink.
  ~TcpTransport() override;
  TcpTransport(const TcpTransport&) = delete;
  TcpTransport& operator=(const TcpTransport&) = delete;

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

  std::shared_ptr<tcp::Context> context_;  // shared with what is under way
};

}  // namespace peer_relay
