// SPDX-License-Identifier: MIT
//
// What the verbs share: how they read their arguments and which exit statuses they have.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "peer_relay/node_id.hpp"
#include "peer_relay/time.hpp"

namespace peer_relay::app {

enum Status : int {
  status_ok = 0,
  status_error = 1,       ///< usage, or this machine's own
  status_undelivered = 2  ///< the other node was not reached
};

struct Arguments {
  std::string program;             ///< as it was called
  std::vector<std::string> words;  ///< after the verb
};

int serve(Arguments arguments);
int listen(Arguments arguments);
int send(Arguments arguments);
int ping(Arguments arguments);
int trace(Arguments arguments);
int pipe(Arguments arguments);
int forward(Arguments arguments);
int peers(Arguments arguments);
int status(Arguments arguments);
int id(Arguments arguments);
int sim(Arguments arguments);

/// One verb's command line.
class Command {
 public:
  /// `examples` are whole lines, shown under the options.
  Command(const std::string& verb, const std::string& summary, const std::string& examples);

  /// A flag; on the command line `--name`, in a configuration file `name = true`.
  CLI::Option* flag(const std::string& names, bool& value, const std::string& help);
  CLI::Option* text(const std::string& name, std::string& value, const std::string& what,
                    const std::string& help);
  /// May be given several times, one value each.
  CLI::Option* texts(const std::string& name, std::vector<std::string>& values,
                     const std::string& what, const std::string& help);
  CLI::Option* time(const std::string& name, Duration& value, const std::string& help);
  CLI::Option* number(const std::string& name, std::uint64_t& value, std::uint64_t smallest,
                      std::uint64_t largest, const std::string& help);
  CLI::Option* port(std::optional<std::uint16_t>& value, const std::string& help,
                    const std::string& names = "--port,-p");
  /// The positional ID.
  CLI::Option* id(NodeId& value, const std::string& help);

  CLI::App& app() { return app_; }

  /// The exit status, if there is nothing more to do: help was shown, or a mistake explained.
  std::optional<int> parse(Arguments arguments);

  /// Takes from a TOML file what the command line has not given. The same: an exit status, or go
  /// on.
  std::optional<int> read_config(const std::string& path);

  /// Explains a mistake; returns status_error.
  int usage_error(const std::string& sentence) const;

 private:
  std::string strangers(const std::vector<std::string>& words) const;
  std::vector<std::string> long_names() const;
  std::string take(const CLI::ConfigItem& item);

  CLI::App app_;
  std::string verb_;
};

/// $XDG_STATE_HOME/peer-relay, else ~/.local/state/peer-relay; empty if neither is known.
std::string default_state_dir();

/// ~ for the home directory, as people write it.
std::string home_shortened(const std::string& path);

}  // namespace peer_relay::app
