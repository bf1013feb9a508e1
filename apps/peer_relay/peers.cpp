// SPDX-License-Identifier: MIT
#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "columns.hpp"
#include "command.hpp"
#include "control.hpp"
#include "json.hpp"
#include "output.hpp"
#include "report.hpp"
#include "text.hpp"

namespace peer_relay::app {

int peers(Arguments arguments) {
  Command command{"peers", "Shows the links of a running node",
                  R"(  peer-relay peers
  peer-relay peers --long
  peer-relay peers --state-dir /var/lib/peer-relay --json | jq -r '.peers[].id'
)"};
  std::string state_dir = default_state_dir();
  bool json = false;
  bool whole_ids = false;
  command.text("--state-dir", state_dir, "DIR", "Which node")
      ->default_str(home_shortened(state_dir));
  command.flag("--long,-l", whole_ids, "Whole ids, and what software each runs");
  command.flag("--json", json, "Print one JSON object: id, peers");
  if (const auto status = command.parse(std::move(arguments))) return *status;
  auto client = ControlClient::connect(state_dir);
  const auto answer = client ? client->ask({{"cmd", "peers"}}) : std::unexpected(client.error());
  if (!answer) {
    complain("peers: " + answer.error());
    return status_error;
  }
  print(json ? line_of(*answer) + "\n" : peers_text(*answer, whole_ids));
  return status_ok;
}

}  // namespace peer_relay::app
