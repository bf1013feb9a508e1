// SPDX-License-Identifier: MIT
#include "guest.hpp"

#include <cstdlib>
#include <sstream>
#include <utility>

#include <fmt/format.h>

#include "output.hpp"
#include "text.hpp"
#include "words.hpp"

namespace peer_relay::app {
namespace {

using namespace std::chrono_literals;

constexpr Duration goodbye_patience = 3s;
constexpr Duration drain_patience = 10s;

/// At which `serve` listens by default.
constexpr const char* usual_address = "ws://127.0.0.1:8000";

std::vector<std::string> usual_bootstrap() {
  const char* given = std::getenv("PEER_RELAY_BOOTSTRAP");
  std::istringstream words{given != nullptr ? given : ""};
  std::vector<std::string> urls;
  for (std::string word; words >> word;) urls.push_back(word);
  if (urls.empty()) urls.emplace_back(usual_address);
  return urls;
}

}  // namespace

void GuestOptions::add_to(Command& command) {
  command.texts("--bootstrap,-b", bootstrap, "URL",
                "A node to join by; several may be given. Else $PEER_RELAY_BOOTSTRAP, else "
                "ws://127.0.0.1:8000");
  command.text("--network", network, "NAME", "The network to join")->capture_default_str();
  command.text("--identity", identity, "FILE",
               "The private key; made if missing. Without it: a new one for this once");
  command.port(port, "Listen on this port too (0: any); else others can't dial this node");
  command.text("--host", host, "ADDR", "The address to listen on, with --port");
  command.text("--tls-ca", tls_ca, "FILE", "Trust this for wss://, not the system's store");
  command.flag("--legacy", legacy, "Join a network of npm peer-relay 0.0.2, too");
  webrtc.add_to(command);
  command.time("--join-timeout", join_timeout, "How long to try to join");
}

Guest::Guest(Loop& loop, GuestOptions options) : loop_{loop}, options_{std::move(options)} {
  if (options_.bootstrap.empty()) options_.bootstrap = usual_bootstrap();
}

std::optional<int> Guest::join(NodeEvents events) {
  if (const auto failed = start(std::move(events))) return failed;
  const auto timer = loop_.after(options_.join_timeout, [this] { give_up(); });
  const int status = loop_.run();
  loop_.cancel(timer);
  if (joined_) return std::nullopt;
  leave();
  return status;
}

std::optional<int> Guest::start(NodeEvents events) {
  events.error = [this](const Problem& problem) {
    loop_.post([this, problem] { heard(problem); });
  };
  events.joined = [this] {
    loop_.post([this] {
      if (std::exchange(isolated_, false)) complain("back in the network");
      if (!std::exchange(joined_, true)) loop_.stop(status_ok);
    });
  };
  NodeOptions options = node_options();
  if (const auto wrong = options_.webrtc.complete(options.webrtc)) {
    complain(escaped(*wrong));
    return status_error;
  }
  auto node = Node::start(std::move(options), std::move(events));
  if (!node) {
    complain(escaped(node.error().detail.empty() ? std::string{describe(node.error().error)}
                                                 : node.error().detail));
    return status_error;
  }
  node_.emplace(std::move(*node));
  return std::nullopt;
}

NodeOptions Guest::node_options() const {
  NodeOptions options;
  options.port = options_.port;
  if (!options_.host.empty()) options.host = options_.host;
  options.bootstrap = options_.bootstrap;
  options.network = options_.network;
  options.identity_file = options_.identity;
  options.tls_ca_file = options_.tls_ca;
  options.legacy = options_.legacy;
  return options;
}

void Guest::heard(const Problem& problem) {
  using enum Problem::Kind;
  const std::string sentence = sentence_of(problem);
  if (joined_) {
    if (problem.kind != isolated || std::exchange(isolated_, true)) return;
    return complain("the last link is lost; trying to get back");
  }
  if (problem.kind == isolated) return;
  const bool first_time = !failures_.contains(problem.where);
  failures_[problem.where] = sentence;
  if (problem.kind == wrong_network || problem.kind == wrong_version) {
    foreign_.insert(problem.where);
    if (foreign_.size() == options_.bootstrap.size()) return give_up();
  }
  if (first_time && problem.kind == bootstrap_failed) {
    complain(fmt::format("{}: {}; trying for {}", escaped(problem.where), sentence,
                         duration_text(options_.join_timeout)));
  }
}

void Guest::give_up() {
  // Linked, and yet without a word from the overlay: what is sent now may still find its way.
  if (!node_->peers().empty()) {
    joined_ = true;
    return loop_.stop(status_ok);
  }
  const bool foreign = foreign_.size() == options_.bootstrap.size();
  const std::string patience = foreign ? "" : " within " + duration_text(options_.join_timeout);
  complain(fmt::format("could not join the network '{}'{}:{}", escaped(options_.network), patience,
                       failures()));
  if (options_.bootstrap == std::vector<std::string>{usual_address}) {
    complain("start a node with 'peer-relay serve', or name one with --bootstrap");
  }
  loop_.stop(status_error);
}

std::string Guest::failures() const {
  std::string text;
  for (const auto& [where, sentence] : failures_) {
    text += fmt::format("\n  {}: {}", escaped(where), sentence);
  }
  for (const std::string& url : options_.bootstrap) {
    const auto address = Address::parse(url);
    const std::string where = address ? address->to_string() : url;
    if (!failures_.contains(where)) text += fmt::format("\n  {}: no answer yet", escaped(where));
  }
  return text;
}

void Guest::leave() {
  if (!node_) return;
  const auto timer = loop_.after(goodbye_patience, [this] { loop_.stop(status_ok); });
  node_->destroy([this] { loop_.post([this] { loop_.stop(status_ok); }); });
  loop_.run();
  loop_.cancel(timer);
}

void Guest::drain() {
  const auto until = std::chrono::steady_clock::now() + drain_patience;
  const std::function<void()> look = [this, until, &look] {
    const Stats stats = node_->stats();
    const bool idle = stats.waiting == 0 && stats.queued_bytes == 0;
    if (idle || std::chrono::steady_clock::now() > until) return loop_.stop(status_ok);
    loop_.after(5ms, look);
  };
  loop_.post(look);
  loop_.run();
}

}  // namespace peer_relay::app
