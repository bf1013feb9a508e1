// SPDX-License-Identifier: MIT
//
// A node that comes for one errand (send, listen, ping, trace): unless told otherwise it has a new
// identity, keeps nothing and listens on no port.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "command.hpp"
#include "loop.hpp"
#include "peer_relay/node.hpp"
#include "webrtc_options.hpp"

namespace peer_relay::app {

struct GuestOptions {
  std::vector<std::string> bootstrap;
  std::string network = "peer-relay";
  std::string identity;
  std::optional<std::uint16_t> port;
  std::string host;
  std::string tls_ca;
  bool legacy = false;
  Duration join_timeout = std::chrono::seconds{10};
  WebRtcArguments webrtc{false};  // who comes for a moment relays for nobody

  void add_to(Command& command);
};

class Guest {
 public:
  Guest(Loop& loop, GuestOptions options);

  /// Starts the node and runs the loop until it has joined. An exit status, if that failed: then
  /// all is explained. `events` has no more than `message` and `stream`; they are called on the
  /// node's thread.
  std::optional<int> join(NodeEvents events = {});

  /// Only after join().
  Node& node() { return *node_; }

  /// Says goodbye, and waits for it a little. Runs the loop.
  void leave();

  /// Waits until nothing is on its way out, but not for long: for best effort before leave().
  void drain();

 private:
  std::optional<int> start(NodeEvents events);
  NodeOptions node_options() const;
  void heard(const Problem& problem);
  void give_up();
  std::string failures() const;

  Loop& loop_;
  GuestOptions options_;
  std::optional<Node> node_;
  bool joined_ = false;
  bool isolated_ = false;
  std::map<std::string, std::string> failures_;  // by address, of those that were given
  std::set<std::string> foreign_;                // of those, whose nodes will never let us in
};

}  // namespace peer_relay::app
