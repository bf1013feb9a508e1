// SPDX-License-Identifier: MIT
#include "server.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <utility>

#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <unistd.h>

#include "text.hpp"
#include "words.hpp"

namespace peer_relay::app {
namespace {

using namespace std::chrono_literals;

constexpr Duration goodbye_patience = 6s;
constexpr Duration sample_every = 1s;
constexpr std::size_t samples_max = 11;  // the rates are those of ten seconds
constexpr std::size_t logged_columns_max = 200;
constexpr Duration timeout_max = 10min;
constexpr Duration warned_every = 5min;
constexpr std::size_t warned_max = 256;

std::shared_ptr<spdlog::logger> make_log(const ServerOptions& options) {
  const auto colors =
      wants_colors(STDERR_FILENO) ? spdlog::color_mode::always : spdlog::color_mode::never;
  const auto sink = std::make_shared<spdlog::sinks::stderr_color_sink_st>(colors);
  auto log = std::make_shared<spdlog::logger>("peer-relay", sink);
  // The journal of systemd writes the time itself.
  log->set_pattern(std::getenv("JOURNAL_STREAM") != nullptr ? "%l %v" : "%H:%M:%S %^%-7l%$ %v");
  const std::string usual = options.json ? "off" : "info";
  log->set_level(spdlog::level::from_str(options.log_level.empty() ? usual : options.log_level));
  return log;
}

/// What a request asks to send, or what is wrong with it.
std::expected<Payload, std::string> payload_in(const Json& request) {
  if (member_of(request, "text").is_string()) return Payload::of_text(text_in(request, "text"));
  if (member_of(request, "json").is_string()) {
    const std::string json = text_in(request, "json");
    if (!is_sane_json(json)) return std::unexpected("json: a string that holds JSON");
    return Payload::of_json(json);
  }
  const auto bytes = from_base64(text_in(request, "base64", "?"));
  if (!bytes) return std::unexpected("nothing to send: one of text, json, base64");
  return Payload::of_bytes(*bytes);
}

Json granted(const Json& members) {
  Json answer = {{"ok", true}};
  answer.update(members);
  return answer;
}

Json buckets(const std::vector<Peer>& peers) {
  struct Bucket {
    std::uint64_t links = 0, siblings = 0;
  };
  std::map<int, Bucket> found;
  for (const Peer& peer : peers) {
    ++found[peer.bucket].links;
    found[peer.bucket].siblings += peer.sibling ? 1 : 0;
  }
  Json list = Json::array();
  for (const auto& [index, bucket] : found) {
    list.push_back({{"bucket", index}, {"links", bucket.links}, {"siblings", bucket.siblings}});
  }
  return list;
}

}  // namespace

Server::Server(Loop& loop, ServerOptions options)
    : loop_{loop},
      options_{std::move(options)},
      log_{make_log(options_)},
      output_{loop},
      forwards_{loop, options_.forwards} {}

int Server::run() {
  if (!start()) return status_error;
  announce();
  open_control();
  sample();
  loop_.on_interrupt([this] { loop_.stop(status_ok); });
  // Whoever reads our events and leaves wants no more of us; for people the log goes on.
  if (options_.json) output_.on_closed([this] { loop_.stop(status_ok); });
  const int status = loop_.run();
  shut_down();
  return status;
}

bool Server::start() {
  auto node = Node::start(options_.node, events());
  if (!node) {
    complain("serve: " + explanation(node.error(), options_.node));
    return false;
  }
  node_.emplace(std::move(*node));
  return true;
}

/// On the node's thread. Strangers cause all of it, so what waits for the main thread is bounded.
NodeEvents Server::events() {
  const auto pass_on = [this](std::size_t bytes, Loop::Task task) {
    if (!loop_.offer(bytes + 512, std::move(task))) ++missed_;
  };
  NodeEvents events;
  events.message = [=, this](const Message& message) {
    pass_on(message.payload.bytes.size(), [this, message] { on_message(message); });
  };
  events.peer = [=, this](const Peer& peer) { pass_on(0, [this, peer] { on_peer(peer); }); };
  events.peer_lost = [=, this](const NodeId& id, CloseReason reason) {
    pass_on(0, [this, id, reason] { on_peer_lost(id, reason); });
  };
  events.error = [=, this](const Problem& problem) {
    pass_on(0, [this, problem] { on_problem(problem); });
  };
  events.joined = [=, this] { pass_on(0, [this] { on_joined(); }); };
  if (!options_.forwards.empty()) {
    events.stream = [=, this](const Stream& stream) {
      pass_on(0, [this, stream] { on_stream(stream); });
    };
  }
  return events;
}

void Server::announce() {
  if (options_.json) {
    output_.line(line_of({{"ready", true},
                          {"url", node_->url()},
                          {"urls", node_->urls()},
                          {"id", node_->id().to_hex()}}));
  } else {
    print(welcome(*node_, options_, wants_colors(STDOUT_FILENO)));
  }
}

void Server::on_stream(const Stream& stream) {
  const auto refused = forwards_.take(stream);
  const std::string from = stream.peer().short_hex();
  if (refused) {
    log_->warn("{} wants a stream: {}", from, escaped(*refused));
  } else {
    log_->info("{} is connected: {}", from, escaped(stream.label()));
  }
}

void Server::open_control() {
  if (options_.node.state_dir.empty()) return;
  control_ = std::make_unique<ControlServer>(
      loop_, control_path(options_.node.state_dir),
      [this](const Json& request, const ControlServer::Reply& reply) { handle(request, reply); });
  const std::string mistake = control_->open();
  if (!mistake.empty())
    log_->warn("no control socket, so `status` and `peers` won't work: {}", mistake);
}

void Server::shut_down() {
  stopping_ = true;
  log_->info("saying goodbye");
  control_.reset();
  loop_.cancel(sampling_);
  const auto timer = loop_.after(goodbye_patience, [this] { loop_.stop(status_ok); });
  node_->destroy([this] { loop_.post([this] { loop_.stop(status_ok); }); });
  loop_.run();
  loop_.cancel(timer);
  tell_missed();
  output_.finish(2s);
}

void Server::on_message(const Message& message) {
  tell_missed();
  if (options_.json && !output_.line(message_line("\"event\":\"message\",", message))) ++missed_;
  if (!log_->should_log(spdlog::level::info)) return;
  const std::string_view text = message.payload.text();
  log_->info("message from {}: {} ({}, {})", message.from.short_hex(),
             is_utf8(text) ? escaped(text, logged_columns_max) : "binary",
             bytes_text(message.payload.bytes.size()),
             counted(static_cast<std::uint64_t>(message.hops), "hop"));
}

void Server::on_peer(const Peer& peer) {
  event("peer", facts_of(peer));
  log_->info("peer {} linked, {} {} ({})", peer.id.short_hex(),
             peer.dialed ? "we dialed" : "it came from", escaped(peer.address, logged_columns_max),
             escaped(peer.agent, logged_columns_max));
}

void Server::on_peer_lost(const NodeId& id, CloseReason reason) {
  if (stopping_) return;  // it is we who leave
  event("peer-lost", {{"id", id.to_hex()}, {"reason", name_of(reason)}});
  log_->info("peer {} lost: {}", id.short_hex(), sentence_of(reason));
}

void Server::on_problem(const Problem& problem) {
  event("error", json_of(problem));
  const std::string where = problem.where.empty() ? "" : escaped(problem.where) + ": ";
  const std::string line = where + sentence_of(problem);
  log_->log(is_news(line) ? spdlog::level::warn : spdlog::level::debug, line);
}

/// An address that does not answer is tried for ever; once in a while is enough to be told.
bool Server::is_news(const std::string& line) {
  const auto now = Clock::now();
  if (warned_.size() >= warned_max) warned_.clear();
  const auto [at, is_new] = warned_.try_emplace(line, now);
  if (!is_new && now - at->second < warned_every) return false;
  at->second = now;
  return true;
}

void Server::on_joined() {
  warned_.clear();
  event("joined", Json::object());
  log_->info("joined the network");
}

void Server::event(const char* name, const Json& members) {
  if (!options_.json) return;
  Json object = {{"event", name}};
  object.update(members);
  if (!output_.line(line_of(object))) ++missed_;
}

/// A reader that is slow for a while learns how much it has missed.
void Server::tell_missed() {
  if (missed_ == 0) return;
  const std::uint64_t count = missed_.exchange(0);
  log_->warn("{} came faster than could be told", counted(count, "event"));
  if (options_.json && !output_.line(line_of({{"event", "missed"}, {"count", count}}))) {
    missed_ += count;
  }
}

void Server::handle(const Json& request, const ControlServer::Reply& reply) {
  const std::string command = text_in(request, "cmd");
  if (command == "status") return reply(granted(status()));
  if (command == "peers") {
    Json list = Json::array();
    for (const Peer& peer : node_->peers()) list.push_back(json_of(peer));
    return reply(granted({{"id", node_->id().to_hex()}, {"peers", list}}));
  }
  if (command == "send") return handle_send(request, reply, false);
  if (command == "ping") return handle_send(request, reply, true);
  reply(refusal("unknown cmd: one of status, peers, send, ping"));
}

void Server::handle_send(const Json& request, const ControlServer::Reply& reply, bool probe) {
  const auto to = NodeId::from_hex(text_in(request, "to"));
  if (!to) return reply(refusal("to: 40 hex digits"));
  auto payload = probe ? Payload{} : payload_in(request);
  if (!payload) return reply(refusal(payload.error()));
  SendOptions send{.probe = probe};
  const double timeout_ms = number_in(request, "timeout_ms", milliseconds(send.timeout));
  send.timeout = std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>{
      std::clamp(timeout_ms, 1.0, milliseconds(timeout_max))});
  node_->send(*to, std::move(*payload), send, [this, reply](const SendResult& result) {
    loop_.post([reply, answer = granted(json_of(result))] { reply(answer); });
  });
}

Json Server::status() const {
  const Stats stats = node_->stats();
  const std::vector<Peer> peers = node_->peers();
  Json links = Json::array();
  for (const Peer& peer : peers) links.push_back(json_of(peer));
  return {
      {"id", node_->id().to_hex()},
      {"url", node_->url()},
      {"urls", node_->urls()},
      {"advertise", options_.node.advertise},
      {"network", options_.node.network},
      {"version", version()},
      {"pid", getpid()},
      {"uptime_ms", milliseconds(std::chrono::duration_cast<Duration>(Clock::now() - started_))},
      {"joined", stats.joined},
      {"state_dir", options_.node.state_dir},
      {"rates", rates(stats)},
      {"stats", json_of(stats)},
      {"buckets", buckets(peers)},
      {"peers", links},
  };
}

/// Of the last ten seconds, or what there is of them.
Json Server::rates(const Stats& now) const {
  const Sample& then = samples_.front();
  const double seconds = std::chrono::duration<double>(Clock::now() - then.at).count();
  const auto rate = [&](std::uint64_t Stats::* counter) {
    return static_cast<double>(now.*counter - then.stats.*counter) / std::max(seconds, 1e-3);
  };
  return {
      {"seconds", seconds},
      {"messages_sent", rate(&Stats::messages_sent)},
      {"messages_received", rate(&Stats::messages_received)},
      {"envelopes_relayed", rate(&Stats::envelopes_relayed)},
      {"relayed_bytes", rate(&Stats::relayed_bytes)},
      {"bytes_in", rate(&Stats::bytes_in)},
      {"bytes_out", rate(&Stats::bytes_out)},
  };
}

void Server::sample() {
  samples_.push_back({Clock::now(), node_->stats()});
  if (samples_.size() > samples_max) samples_.pop_front();
  sampling_ = loop_.after(sample_every, [this] { sample(); });
}

}  // namespace peer_relay::app
