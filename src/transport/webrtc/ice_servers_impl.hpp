// SPDX-License-Identifier: MIT
//
// The STUN and TURN servers of the configuration, with the addresses that their names have at
// present. libnice could look names up itself, but in a main context that nobody runs here.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "transport/name_lookup.hpp"
#include "transport/webrtc/asio_impl.hpp"
#include "transport/webrtc/ice.hpp"
#include "transport/webrtc/webrtc_transport.hpp"

namespace peer_relay::webrtc {

class IceServers {
 public:
  IceServers(asio::io_context& io, std::vector<IceServerName> names);
  /// What is being looked up is forgotten.
  ~IceServers();
  IceServers(const IceServers&) = delete;
  IceServers& operator=(const IceServers&) = delete;

  /// Those whose address is known, for one connection: all TURN servers and one STUN server, since
  /// libnice asks no more than one. The next call names the next one, so that none that is silent
  /// stands in the way for ever.
  std::vector<IceServer> next();

  /// For people: which names have no address, and why. Empty if all have.
  std::string complaints() const;

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with what is being looked up
};

}  // namespace peer_relay::webrtc
