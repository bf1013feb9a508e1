// SPDX-License-Identifier: MIT
#include <unistd.h>

#include "command.hpp"
#include "control.hpp"
#include "json.hpp"
#include "loop.hpp"
#include "output.hpp"
#include "report.hpp"

namespace peer_relay::app {
namespace {

using namespace std::chrono_literals;

constexpr Duration watched_every = 1s;
constexpr std::string_view home_and_clear = "\x1b[H\x1b[2J\x1b[3J";

struct StatusOptions {
  std::string state_dir = default_state_dir();
  bool json = false;
  bool watch = false;
};

/// Asks, prints, and returns an exit status.
int show(const StatusOptions& options) {
  auto client = ControlClient::connect(options.state_dir);
  const auto answer = client ? client->ask({{"cmd", "status"}}) : std::unexpected(client.error());
  if (!answer) {
    complain("status: " + answer.error());
    return status_error;
  }
  const bool clears = options.watch && !options.json && is_terminal(STDOUT_FILENO);
  std::string text = clears ? std::string{home_and_clear} : "";
  text +=
      options.json ? line_of(*answer) + "\n" : status_text(*answer, wants_colors(STDOUT_FILENO));
  return print(text) ? status_ok : status_error;
}

int watch(const StatusOptions& options) {
  Loop loop;
  loop.on_interrupt([&loop] { loop.stop(status_ok); });
  const std::function<void()> again = [&] {
    const int status = show(options);
    if (status != status_ok) return loop.stop(status);
    loop.after(watched_every, again);
  };
  loop.post(again);
  return loop.run();
}

}  // namespace

int status(Arguments arguments) {
  Command command{"status", "Shows how a running node is: links, traffic, what was dropped and why",
                  R"(  peer-relay status
  peer-relay status --watch
  peer-relay status --state-dir /var/lib/peer-relay --json | jq .stats.dropped
)"};
  StatusOptions options;
  command.text("--state-dir", options.state_dir, "DIR", "Which node")
      ->default_str(home_shortened(options.state_dir));
  command.flag("--watch,-w", options.watch, "Again every second, until Ctrl-C");
  command.flag("--json", options.json, "Print one JSON object");
  if (const auto status = command.parse(std::move(arguments))) return *status;
  return options.watch ? watch(options) : show(options);
}

}  // namespace peer_relay::app
