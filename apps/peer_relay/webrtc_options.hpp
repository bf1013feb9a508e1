// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>

#include "command.hpp"
#include "peer_relay/node.hpp"

namespace peer_relay::app {

/// What the command line says of data channels.
class WebRtcArguments {
 public:
  /// `usual`: what it is without --webrtc.
  explicit WebRtcArguments(bool usual) : setting_(usual ? "on" : "off") {}

  void add_to(Command& command);
  /// All but `--webrtc on|off`, for verbs where that has another meaning.
  void add_details_to(Command& command);
  /// What is wrong with them, for people; nothing if `out` is filled in.
  std::optional<std::string> complete(WebRtc& out) const;

 private:
  void add_switch_to(Command& command);

  std::string setting_;
  std::string ports_;
  bool hides_host_ = false;
  WebRtc named_;
};

}  // namespace peer_relay::app
