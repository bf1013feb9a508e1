// SPDX-License-Identifier: MIT
#include "runtime/ice_urls.hpp"

#include <charconv>
#include <optional>
#include <string>

#include <fmt/format.h>

namespace peer_relay {

namespace {

std::unexpected<StartError> refuse(std::string_view what, std::string_view text,
                                   std::string_view like) {
  // The secret stays out of logs.
  const std::size_t at = text.rfind('@');
  const std::string_view shown = at == std::string_view::npos ? text : text.substr(at + 1);
  return std::unexpected(
      StartError{Error::invalid_argument,
                 fmt::format("the {} server '{}' is not like {}", what, shown, like)});
}

void drop_scheme(std::string_view& text, std::string_view scheme) {
  if (text.starts_with(scheme)) text.remove_prefix(scheme.size());
}

/// Host and port of "host", "host:port", "[v6]" and "[v6]:port".
bool read_place(std::string_view text, IceServerName& server) {
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return false;
    server.host = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    if (!text.empty() && !text.starts_with(':')) return false;
    if (!text.empty()) {
      port = text.substr(1);
      if (port.empty()) return false;
    }
  } else {
    const std::size_t colon = text.find(':');
    server.host = text.substr(0, colon);
    if (colon != std::string_view::npos) {
      port = text.substr(colon + 1);
      if (port.empty()) return false;
    }
  }
  if (server.host.empty() || server.host.find_first_of(" /?#@") != std::string::npos) return false;
  if (port.empty()) return true;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), server.port);
  return error == std::errc{} && end == port.data() + port.size() && server.port != 0;
}

}  // namespace

Result<IceServerName, StartError> parse_stun(std::string_view text) {
  IceServerName server;
  std::string_view rest = text;
  drop_scheme(rest, "stun:");
  if (!read_place(rest, server)) {
    return refuse("STUN", text, "stun.example.org:3478");
  }
  return server;
}

Result<IceServerName, StartError> parse_turn(std::string_view text) {
  constexpr std::string_view like =
      "user:secret@turn.example.org:3478, or the same and ?transport=tcp";
  IceServerName server{.kind = IceServerName::Kind::turn_udp, .host = {}};
  std::string_view rest = text;
  drop_scheme(rest, "turn:");
  // A secret may have an @ in it; a host has none.
  const std::size_t at = rest.rfind('@');
  if (at == std::string_view::npos) return refuse("TURN", text, like);
  const std::string_view who = rest.substr(0, at);
  rest.remove_prefix(at + 1);
  const std::size_t colon = who.find(':');
  if (colon == std::string_view::npos || colon == 0) return refuse("TURN", text, like);
  server.user = who.substr(0, colon);
  server.secret = who.substr(colon + 1);
  if (const std::size_t query = rest.find('?'); query != std::string_view::npos) {
    const std::string_view transport = rest.substr(query);
    if (transport == "?transport=tcp") {
      server.kind = IceServerName::Kind::turn_tcp;
    } else if (transport != "?transport=udp") {
      return refuse("TURN", text, like);
    }
    rest = rest.substr(0, query);
  }
  if (!read_place(rest, server)) return refuse("TURN", text, like);
  return server;
}

}  // namespace peer_relay
