// SPDX-License-Identifier: MIT
//
// The processes of bench/run that are ours: a relay, an end of a conversation, and a crowd of
// leaves that do nothing.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <numeric>
#include <optional>
#include <thread>

#include <CLI/CLI.hpp>

#include "load.hpp"
#include "peer_relay/node.hpp"
#include "process.hpp"

namespace peer_relay::bench {
namespace {

using namespace std::chrono_literals;

Node start(NodeOptions options, NodeEvents events = {}) {
  options.host = "127.0.0.1";
  auto node = Node::start(std::move(options), std::move(events));
  if (!node) {
    say({{"error", node.error().detail}});
    std::exit(1);
  }
  return std::move(*node);
}

Json cost_of(const Node& node) {
  const Stats stats = node.stats();
  Json cost = own_cost();
  cost["links"] = stats.links;
  cost["batches_in"] = stats.batches_in;
  cost["frames_in"] = stats.frames_in;
  cost["batches_out"] = stats.batches_out;
  cost["frames_out"] = stats.frames_out;
  cost["relayed"] = stats.envelopes_relayed;
  cost["dropped"] = std::accumulate(std::begin(stats.dropped), std::end(stats.dropped), 0ull);
  return cost;
}

Json ready(const Node& node) {
  return {{"ready", true}, {"id", node.id().to_hex()}, {"url", node.url()}};
}

/// On any port, for WebSockets or for TCP.
void listen(NodeOptions& options, bool over_tcp) {
  (over_tcp ? options.tcp_port : options.port) = 0;
}

void run_relay(bool over_tcp) {
  NodeOptions options;
  listen(options, over_tcp);
  const Node node = start(std::move(options));
  say(ready(node));
  obey_commands([&](const Json&) { return cost_of(node); }, [] {});
}

/// Sends to one peer, and answers whoever sends.
void run_end(std::vector<std::string> bootstrap, bool listens, bool over_tcp) {
  std::optional<NodeId> peer;  // set before the first message leaves
  std::atomic<int> hops = 0;
  std::atomic<Node*> own = nullptr;
  End end{[&](Bytes bytes) {
    return own.load()->send(*peer, Payload{ContentType::bytes, std::move(bytes)}).has_value();
  }};
  NodeEvents events;
  events.message = [&](const Message& message) {
    if (!peer) peer = message.from;
    hops = message.hops;
    end.received(message.payload.bytes);
  };
  NodeOptions options{.bootstrap = std::move(bootstrap)};
  if (listens) listen(options, over_tcp);
  Node node = start(std::move(options), std::move(events));
  own = &node;
  say(ready(node));

  const auto meet = [&](const std::string& id) -> Json {
    peer = NodeId::from_hex(id);
    std::promise<SendResult> met;
    node.send(*peer, Payload::of_text("hello"), {.timeout = 10s},
              [&](const SendResult& result) { met.set_value(result); });
    const SendResult result = met.get_future().get();
    return {{"met", result.delivered()}, {"hops", result.hops}};
  };
  const auto obey = [&](const Json& command) -> Json {
    const std::string what = command.at("do");
    if (what == "meet") return meet(command.at("peer"));
    if (what == "start") end.start(Load::from(command));
    if (what == "stop") end.stop();
    Json cost = cost_of(node);
    cost.update(end.report());
    cost["hops"] = hops.load();
    return cost;
  };
  obey_commands(obey, [&] { end.unstick(); });
}

/// Many nodes that link to one and keep silent.
void run_leaves(const std::string& url) {
  std::vector<Node> leaves;
  std::atomic<std::size_t> linked = 0;
  // The relay takes so many handshakes from one address at one time.
  constexpr std::size_t handshakes_max = limits::handshakes_per_host_max / 2;
  const auto grow_to = [&](std::size_t count) {
    const auto deadline = std::chrono::steady_clock::now() + 120s;
    while (std::chrono::steady_clock::now() < deadline && linked < count) {
      if (leaves.size() < count && leaves.size() < linked + handshakes_max) {
        NodeEvents events;
        events.peer = [&](const Peer&) { ++linked; };
        events.peer_lost = [&](const NodeId&, CloseReason) { --linked; };
        leaves.push_back(start({.bootstrap = {url}}, std::move(events)));
      } else {
        std::this_thread::sleep_for(1ms);
      }
    }
  };
  say({{"ready", true}});
  obey_commands(
      [&](const Json& command) {
        grow_to(command.value("count", std::size_t{0}));
        Json cost = own_cost();
        cost["linked"] = linked.load();
        return cost;
      },
      [] {});
}

}  // namespace
}  // namespace peer_relay::bench

int main(int argc, char** argv) {
  using namespace peer_relay::bench;
  CLI::App app{"A process of the bench; bench/run starts it and says what to do."};
  std::vector<std::string> bootstrap;
  bool listens = false;
  bool over_tcp = false;
  auto* const relay = app.add_subcommand("relay", "listen and pass on");
  auto* const end = app.add_subcommand("end", "send, and answer");
  end->add_option("--bootstrap", bootstrap);
  end->add_flag("--listen", listens);
  for (auto* const each : {relay, end}) each->add_flag("--tcp", over_tcp, "listen for tcp://");
  auto* const leaves = app.add_subcommand("leaves", "many idle links");
  leaves->add_option("--bootstrap", bootstrap)->required();
  app.require_subcommand(1);
  CLI11_PARSE(app, argc, argv);

  if (*relay) run_relay(over_tcp);
  if (*end) run_end(bootstrap, listens, over_tcp);
  if (*leaves) run_leaves(bootstrap.front());
}
