// SPDX-License-Identifier: MIT
#include "webrtc_options.hpp"

#include <cstdint>

#include <fmt/format.h>

#include "text.hpp"

namespace peer_relay::app {

void WebRtcArguments::add_switch_to(Command& command) {
  command
      .text("--webrtc", setting_, "on|off",
            "Data channels: direct links to nodes that cannot be dialed, browsers among them")
      ->capture_default_str()
      ->check([](const std::string& setting) {
        return setting == "on" || setting == "off" ? std::string{}
                                                   : "'" + setting + "' is neither on nor off";
      });
}

void WebRtcArguments::add_to(Command& command) {
  add_switch_to(command);
  add_details_to(command);
}

void WebRtcArguments::add_details_to(Command& command) {
  command.texts("--stun", named_.stun, "HOST:PORT",
                "Ask this STUN server for our public address; several may be given. Without one "
                "nobody outside the network is asked");
  command.texts("--turn", named_.turn, "SERVER",
                "Pass data channels on through this TURN server where there is no direct way: "
                "user:secret@host:port, over TCP with ?transport=tcp behind it");
  command.texts("--webrtc-interface", named_.interfaces, "NAME",
                "Use only this interface (or IP address) for data channels; several may be given. "
                "Else all but loopback");
  command.text("--webrtc-ports", ports_, "MIN-MAX", "UDP ports for data channels (default: any)");
  command.flag("--no-host-candidates", hides_host_,
               "Do not tell peers our interfaces' addresses, only what STUN and TURN show");
}

std::optional<std::string> WebRtcArguments::complete(WebRtc& out) const {
  out = named_;
  out.enabled = setting_ == "on";
  out.host_candidates = !hides_host_;
  const bool says_more = !named_.stun.empty() || !named_.turn.empty() ||
                         !named_.interfaces.empty() || !ports_.empty() || hides_host_;
  if (!out.enabled && says_more) {
    return "--stun, --turn, --webrtc-interface, --webrtc-ports and --no-host-candidates are for "
           "data channels: they need --webrtc on";
  }
  if (hides_host_ && named_.stun.empty() && named_.turn.empty()) {
    return "--no-host-candidates leaves nothing to tell peers without --stun or --turn";
  }
  if (!has_webrtc() && says_more) return "this build makes no WebRTC data channels";
  if (ports_.empty()) return std::nullopt;
  const std::size_t dash = ports_.find('-');
  const auto low = port_in(std::string_view{ports_}.substr(0, dash));
  const auto high =
      dash == std::string::npos ? low : port_in(std::string_view{ports_}.substr(dash + 1));
  if (!low || !high || *low > *high) {
    return fmt::format("'{}' is no range of ports, as 50000-50100", ports_);
  }
  out.port_min = *low;
  out.port_max = *high;
  return std::nullopt;
}

}  // namespace peer_relay::app
