// SPDX-License-Identifier: MIT
//
// peer-relay: one program, a verb for each thing it does.
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <signal.h>

#include "columns.hpp"
#include "command.hpp"
#include "output.hpp"
#include "peer_relay/node.hpp"
#include "suggest.hpp"
#include "text.hpp"

namespace peer_relay::app {
namespace {

struct Verb {
  std::string_view name;
  int (*run)(Arguments);
  std::string_view summary;
};

constexpr std::array verbs{
    Verb{"serve", serve, "run a node that listens and relays"},
    Verb{"listen", listen, "join, and print each message that comes"},
    Verb{"send", send, "send a message, and tell how it was delivered"},
    Verb{"ping", ping, "ask a node whether it is there"},
    Verb{"trace", trace, "show each node on the way to another"},
    Verb{"pipe", pipe, "carry standard input and output over a stream to a node"},
    Verb{"forward", forward, "carry connections to a local port to a port of a node"},
    Verb{"peers", peers, "show the links of a running node"},
    Verb{"status", status, "show how a running node is"},
    Verb{"id", id, "make or show an identity"},
    Verb{"sim", sim, "run the engine in a world of many nodes, under storm"},
};

/// Of docs/protocol.md. Nodes of different versions do not link.
constexpr int protocol_version = 1;

std::string help() {
  Columns list{{{""}, {""}, {""}}};
  for (const Verb& verb : verbs) list.add({"", std::string{verb.name}, std::string{verb.summary}});
  return fmt::format(R"(Messages between peers, relayed by peers.

Usage: peer-relay VERB [OPTIONS]

{}
  -h, --help   show this, or with a verb its options
  --version    show the version

Examples:
  peer-relay serve                                   a first node, on port 8000
  peer-relay listen                                  in another terminal: prints its id
  peer-relay send ID hello                           in a third one
  peer-relay serve --port 0 --ephemeral --bootstrap ws://192.0.2.7:8000
)",
                     list.text());
}

std::vector<std::string> names() {
  std::vector<std::string> found;
  for (const Verb& verb : verbs) found.emplace_back(verb.name);
  return found;
}

int explain(const std::string& mistake) {
  complain(mistake);
  write_all(2, "Try 'peer-relay --help'.\n");
  return status_error;
}

int run(std::string program, std::vector<std::string> words) {
  if (words.empty()) {
    write_all(2, help());
    return status_error;
  }
  // `help send` as `send --help`
  if (words.front() == "help" && words.size() > 1) words = {words[1], "--help"};
  const std::string first = words.front();
  if (first == "--help" || first == "-h" || first == "help") return print(help()) ? 0 : 1;
  if (first == "--version" || first == "-V") {
    return print(fmt::format("peer-relay {}\nprotocol {}\n", version(), protocol_version)) ? 0 : 1;
  }
  const auto verb = std::ranges::find(verbs, first, &Verb::name);
  if (verb != verbs.end()) return verb->run({std::move(program), {words.begin() + 1, words.end()}});
  if (first.starts_with('-')) {
    return explain(fmt::format("a verb comes first, then its options: '{}'", escaped(first, 60)));
  }
  return explain(fmt::format("no verb '{}'{}", escaped(first, 60), did_you_mean(first, names())));
}

}  // namespace
}  // namespace peer_relay::app

int main(int count, char** words) {
  // A reader that goes away is an error of write(2), for every verb.
  signal(SIGPIPE, SIG_IGN);
  return peer_relay::app::run(count > 0 ? words[0] : "peer-relay",
                              {words + std::min(count, 1), words + count});
}
