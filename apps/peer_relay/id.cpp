// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "command.hpp"
#include "control.hpp"
#include "json.hpp"
#include "output.hpp"
#include "peer_relay/node.hpp"
#include "text.hpp"

namespace peer_relay::app {
namespace {

struct IdOptions {
  std::string identity;
  std::string state_dir = default_state_dir();
  bool json = false;
};

/// A node without port and bootstrap sends nothing, and reads or makes its key like any other.
Result<std::string, StartError> id_of_new_node(const IdOptions& options) {
  NodeOptions node_options;
  node_options.identity_file = options.identity;
  if (options.identity.empty()) node_options.state_dir = options.state_dir;
  auto node = Node::start(std::move(node_options));
  if (!node) return std::unexpected(node.error());
  return node->id().to_hex();
}

/// Who holds the state directory can be asked, too.
std::optional<std::string> id_of_running_node(const IdOptions& options) {
  auto client = ControlClient::connect(options.state_dir);
  if (!client) return std::nullopt;
  const auto answer = client->ask({{"cmd", "peers"}});
  if (!answer || !NodeId::from_hex(text_in(*answer, "id"))) return std::nullopt;
  return text_in(*answer, "id");
}

}  // namespace

int id(Arguments arguments) {
  Command command{"id", "Shows the id of an identity, which is made if there is none yet",
                  R"(  peer-relay id
  peer-relay id --identity ~/me.pem
  peer-relay id --state-dir /var/lib/peer-relay --json
)"};
  IdOptions options;
  command.text("--identity", options.identity, "FILE", "The private key (PEM)");
  command.text("--state-dir", options.state_dir, "DIR", "Else: the key kept there")
      ->default_str(home_shortened(options.state_dir));
  command.flag("--json", options.json, "Print one JSON object: id, and where its key is");
  if (const auto status = command.parse(std::move(arguments))) return *status;
  auto id = id_of_new_node(options);
  if (!id && id.error().error == Error::state_in_use) {
    if (const auto running = id_of_running_node(options)) id = *running;
  }
  if (!id) {
    const StartError& error = id.error();
    complain("id: " + (error.detail.empty() ? std::string{describe(error.error)}
                                            : escaped(error.detail, 400)));
    return status_error;
  }
  const bool in_file = !options.identity.empty();
  const Json object = {
      {"id", *id},
      {in_file ? "identity" : "state_dir", in_file ? options.identity : options.state_dir}};
  print((options.json ? line_of(object) : *id) + "\n");
  return status_ok;
}

}  // namespace peer_relay::app
