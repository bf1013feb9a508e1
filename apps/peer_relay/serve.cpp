// SPDX-License-Identifier: MIT
#include <utility>

#include <fmt/format.h>

#include "command.hpp"
#include "loop.hpp"
#include "output.hpp"
#include "server.hpp"
#include "splice.hpp"
#include "text.hpp"
#include "webrtc_options.hpp"

namespace peer_relay::app {
namespace {

struct ServeArguments {
  ServerOptions server;
  std::optional<std::uint16_t> port;
  std::string tls_cert, tls_key;
  std::string config;
  bool ephemeral = false;
  bool no_port = false;
  std::vector<std::string> forwards;
  WebRtcArguments webrtc{true};
};

constexpr std::uint16_t port_usual = 8000;

void add_to(Command& command, ServeArguments& arguments) {
  NodeOptions& node = arguments.server.node;
  command.port(arguments.port, "The port to listen on for WebSockets; 0 picks a free one")
      ->default_str("8000");
  command.flag("--no-port", arguments.no_port,
               "No WebSocket port. Without --tcp: linked by what this node dials, and by data "
               "channels");
  command.port(
      node.tcp_port,
      "Take links over TCP itself on this port, too (0: any): cheaper, and not for browsers",
      "--tcp");
  command.text("--host", node.host, "ADDR", "The address to bind; :: is every interface, IPv4 too")
      ->capture_default_str();
  command.texts("--bootstrap,-b", node.bootstrap, "URL",
                "A node to join by, as wss://relay.example.org; several may be given");
  command.text("--network", node.network, "NAME", "Only nodes of the same network link")
      ->capture_default_str();
  command.text("--identity", node.identity_file, "FILE",
               "The private key (PEM); made if missing. Else: identity.pem of the state directory");
  command.text("--state-dir", node.state_dir, "DIR",
               "Keeps key and peers across restarts. Else: " + home_shortened(default_state_dir()));
  command.flag("--ephemeral", arguments.ephemeral, "Keep nothing: a new key, no control socket");
  command.texts("--advertise", node.advertise, "URL",
                "Where others can dial this node; several may be given");
  command.text("--tls-cert", arguments.tls_cert, "FILE",
               "Serve wss:// with this certificate chain (PEM)");
  command.text("--tls-key", arguments.tls_key, "FILE", "The key of the certificate (PEM)");
  command.text("--tls-ca", node.tls_ca_file, "FILE",
               "Trust this when dialing wss://, not the system's store");
  command.texts("--origin", node.origins, "ORIGIN",
                "Let in browsers from pages of this origin only; several may be given");
  command.flag(
      "--legacy", node.legacy,
      "A member of networks of npm peer-relay 0.0.2, too; --bootstrap may name such a node");
  command.texts("--allow-forward", arguments.forwards, "PORT",
                "Others may be connected to this port of this machine ('peer-relay forward'); "
                "several may be given");
  arguments.webrtc.add_to(command);
  command.text("--config", arguments.config, "FILE",
               "Options as keys of a TOML file; the command line wins");
  command
      .text("--log-level", arguments.server.log_level, "LEVEL",
            "trace, debug, info, warn, error or off (default: info; with --json off)")
      ->check([](const std::string& level) {
        for (const char* known : {"trace", "debug", "info", "warn", "error", "off"}) {
          if (level == known) return std::string{};
        }
        return "'" + level + "' is no level: trace, debug, info, warn, error or off";
      });
  command.flag("--json", arguments.server.json,
               "Events to standard output, one JSON object a line");
}

/// What single options can't see. An exit status, or go on.
std::optional<int> complete(const Command& command, ServeArguments& arguments) {
  NodeOptions& node = arguments.server.node;
  if (arguments.no_port && arguments.port) {
    return command.usage_error("--no-port and --port exclude each other");
  }
  if (!arguments.no_port) node.port = arguments.port.value_or(port_usual);
  for (const std::string& text : arguments.forwards) {
    const auto port = port_in(text);
    if (!port) {
      return command.usage_error(
          fmt::format("--allow-forward: '{}' is no port: 1 to 65535", escaped(text, 60)));
    }
    arguments.server.forwards.push_back(*port);
  }
  if (auto wrong = arguments.webrtc.complete(node.webrtc)) return command.usage_error(*wrong);
  if (arguments.tls_cert.empty() != arguments.tls_key.empty()) {
    return command.usage_error("--tls-cert and --tls-key need each other");
  }
  if (!arguments.tls_cert.empty()) node.tls = TlsFiles{arguments.tls_cert, arguments.tls_key};
  if (arguments.ephemeral && !node.state_dir.empty()) {
    return command.usage_error("--ephemeral and --state-dir exclude each other");
  }
  if (node.state_dir.empty() && !arguments.ephemeral) node.state_dir = default_state_dir();
  if (node.state_dir.empty() && !arguments.ephemeral) {
    return command.usage_error("no home directory is known: give --state-dir, or --ephemeral");
  }
  return std::nullopt;
}

}  // namespace

int serve(Arguments arguments) {
  Command command{"serve", "Runs a node: it listens, links, relays, and tells what comes for it",
                  R"(  peer-relay serve
  peer-relay serve --port 0 --bootstrap ws://192.0.2.7:8000 --ephemeral
  peer-relay serve --port 443 --tls-cert chain.pem --tls-key key.pem \
      --advertise wss://relay.example.org
  peer-relay serve --tcp 8001 --bootstrap tcp://192.0.2.7:8001
  peer-relay serve --no-port --bootstrap wss://relay.example.org \
      --stun stun.example.org:3478
  peer-relay serve --allow-forward 22
  peer-relay serve --json --config /etc/peer-relay.toml

Ctrl-C ends it with a goodbye to its peers, a second one at once.
)"};
  ServeArguments options;
  options.server.program = arguments.program;
  add_to(command, options);
  if (const auto status = command.parse(std::move(arguments))) return *status;
  if (!options.config.empty()) {
    if (const auto status = command.read_config(options.config)) return *status;
  }
  if (const auto status = complete(command, options)) return *status;
  Loop loop;
  return Server{loop, std::move(options.server)}.run();
}

}  // namespace peer_relay::app
