// SPDX-License-Identifier: MIT
//
// Links over WebRTC data channels. A channel is not dialed by address: an offer, an answer and
// candidates pass between the two sides, carried by somebody who reaches both. Here they come out
// and go in as text, under the number of the negotiation they belong to; the engine carries them.
//
// A negotiation ends exactly once: by link_opened, by negotiation_failed, or by abandon(), which is
// silent. There is a bound on how many are under way, and a deadline on each.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/link_id.hpp"
#include "peer_relay/limits.hpp"
#include "peer_relay/node.hpp"
#include "peer_relay/reasons.hpp"
#include "transport/transport.hpp"

namespace boost::asio {
class io_context;
}

namespace peer_relay {

namespace webrtc {
struct Context;
}

/// What a negotiation has to tell the other side, and how it ended. Never from within a call of the
/// transport's.
class NegotiationSink {
 public:
  virtual ~NegotiationSink() = default;
  /// Our offer, or our answer to theirs.
  virtual void negotiation_described(NegotiationId id, const std::string& sdp) = 0;
  /// One more address at which we may be reached; empty after the last.
  virtual void negotiation_candidate(NegotiationId id, const std::string& line) = 0;
  /// It will not become a link.
  virtual void negotiation_failed(NegotiationId id, DialError error, const std::string& detail) = 0;
};

/// A STUN (RFC 8489) or TURN (RFC 8656) server, as configured.
struct IceServerName {
  enum class Kind : std::uint8_t { stun, turn_udp, turn_tcp };
  Kind kind = Kind::stun;
  std::string host;  ///< a name or an IP address
  std::uint16_t port = 3478;
  std::string user = {};
  std::string secret = {};
};

struct WebRtcOptions {
  std::vector<IceServerName> servers = {};  ///< empty: nobody else is ever asked
  /// Names or IP addresses; empty: all but loopback. Others' addresses on loopback, on the wire and
  /// in the site are tried only where one of these is of that kind.
  std::vector<std::string> interfaces = {};
  std::uint16_t port_min = 0;  ///< of our UDP sockets; 0: any
  std::uint16_t port_max = 0;
  bool shows_host_candidates = true;
  std::size_t negotiations_max = limits::negotiations_max;
  Duration timeout = limits::negotiation_timeout;
  /// Takes text messages, of at most so many bytes; with 0 they end a link as a protocol error.
  std::size_t old_text_bytes_max = 0;
};

class WebRtcTransport {
 public:
  /// Makes the certificate and starts to resolve the servers' names. `io` and both sinks outlive
  /// the transport, and `io` is run by one thread.
  static Result<std::unique_ptr<WebRtcTransport>, StartError> make(boost::asio::io_context& io,
                                                                   LinkSink& links,
                                                                   NegotiationSink& negotiations,
                                                                   WebRtcOptions options);

  /// Silent: what is under way ends without a word to the sinks.
  ~WebRtcTransport();
  WebRtcTransport(const WebRtcTransport&) = delete;
  WebRtcTransport& operator=(const WebRtcTransport&) = delete;

  /// Begins one: our offer and candidates follow. Where they do not trickle (RFC 8838) the offer
  /// waits for them, two seconds at most, and holds them. A channel of bytes is as simple-peer
  /// makes it: what comes is told by link_received_stream, whatever borders it has.
  void offer(NegotiationId id, bool trickles = true, Manner manner = Manner::messages);
  /// Answers the other side's: our answer and candidates follow, likewise.
  void answer(NegotiationId id, std::string_view offer, bool trickles = true,
              Manner manner = Manner::messages);
  /// The other side's answer to ours.
  void take_answer(NegotiationId id, std::string_view answer);
  /// The other side's; empty after the last. Unknown numbers are ignored, here and above.
  void take_candidate(NegotiationId id, std::string_view line);
  void abandon(NegotiationId id);

  /// Fails all negotiations as cancelled, and takes no more. Open links stay.
  void shut_down();

  std::size_t negotiations() const;

 private:
  explicit WebRtcTransport(std::shared_ptr<webrtc::Context> context);
  std::shared_ptr<webrtc::Context> context_;  // shared with what is under way
};

}  // namespace peer_relay
