// SPDX-License-Identifier: MIT
//
// Finds a way for datagrams between two nodes and keeps it open (ICE, RFC 8445): one libnice agent
// with one stream of one component. Trickle (RFC 8838), consent freshness (RFC 7675). Candidates of
// the other side come here already checked.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "peer_relay/bytes.hpp"
#include "transport/webrtc/candidate.hpp"

namespace boost::asio {
class io_context;
}

namespace peer_relay::webrtc {

/// A STUN (RFC 8489) or TURN (RFC 8656) server, by its IP address.
struct IceServer {
  enum class Kind : std::uint8_t { stun, turn_udp, turn_tcp };
  Kind kind = Kind::stun;
  std::string host;
  std::uint16_t port = 3478;
  std::string user = {};
  std::string secret = {};
};

struct IceOptions {
  std::vector<IceServer> servers = {};            ///< empty: nobody else is ever asked
  std::vector<std::string> local_addresses = {};  ///< empty: every interface but loopback
  std::uint16_t port_min = 0;                     ///< 0: any
  std::uint16_t port_max = 0;
  bool relayed_only = false;  ///< through TURN servers alone
};

/// What the agent has to tell. It is never destroyed within one of these.
class IceSink {
 public:
  virtual ~IceSink() = default;
  virtual void ice_candidate(const Candidate& candidate) = 0;
  virtual void ice_gathered() = 0;
  virtual void ice_connected() = 0;
  /// No pair works, or none works any longer.
  virtual void ice_failed() = 0;
  virtual void ice_received(BytesView datagram) = 0;
};

class Ice {
 public:
  /// Nothing, if the system has no more to give. `sink` outlives the agent.
  static std::unique_ptr<Ice> make(boost::asio::io_context& io, IceSink& sink, bool controls,
                                   const IceOptions& options);
  /// Sockets close; allocations at TURN servers are given back, which takes a moment longer.
  ~Ice();
  Ice(const Ice&) = delete;
  Ice& operator=(const Ice&) = delete;

  const std::string& user() const { return user_; }
  const std::string& secret() const { return secret_; }

  bool set_remote(const std::string& user, const std::string& secret);
  /// Candidates follow. False where there is no interface.
  bool gather();
  void add_remote(const Candidate& candidate);
  void end_of_remote();

  /// False where it could not leave; whoever needs it sends it again.
  bool send(BytesView datagram);

  /// Of the pair in use, "ip:port" and the IP address; empty before.
  std::string remote() const;
  std::string remote_host() const;
  /// Whether a TURN server passes everything on.
  bool is_relayed() const;

 private:
  struct Agent;
  explicit Ice(std::unique_ptr<Agent> agent);

  std::unique_ptr<Agent> agent_;
  std::string user_, secret_;
};

}  // namespace peer_relay::webrtc
