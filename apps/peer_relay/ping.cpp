// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <unistd.h>

#include "command.hpp"
#include "guest.hpp"
#include "json.hpp"
#include "loop.hpp"
#include "output.hpp"
#include "round_trips.hpp"
#include "text.hpp"
#include "words.hpp"

namespace peer_relay::app {
namespace {

using namespace std::chrono_literals;

struct PingOptions {
  GuestOptions guest;
  NodeId to;
  std::uint64_t count = 4;
  Duration interval = 1s;
  Duration timeout = 5s;
  bool json = false;
};

/// Sends probes, which the node there answers without a word to its application.
class Pinger {
 public:
  Pinger(Loop& loop, const PingOptions& options)
      : loop_{loop}, options_{options}, guest_{loop, options.guest}, output_{loop} {}

  int run() {
    if (const auto failed = guest_.join()) return *failed;
    loop_.on_interrupt([this] { loop_.stop(status_ok); });
    output_.on_closed([this] { loop_.stop(status_ok); });
    if (!options_.json) output_.line("ping " + options_.to.to_hex());
    send_next();
    loop_.run();
    stopped_ = true;
    if (!refused_) summarize();
    guest_.leave();
    output_.finish(2s);
    if (refused_) return status_error;
    return trips_.count() > 0 ? status_ok : status_undelivered;
  }

 private:
  void send_next() {
    if (stopped_) return;
    const std::uint64_t number = ++sent_;
    const auto done = [this, number, loop = &loop_](const SendResult& result) {
      loop->post([this, number, result] { ended(number, result); });
    };
    guest_.node().send(options_.to, Payload{}, {.timeout = options_.timeout, .probe = true}, done);
    if (sent_ < options_.count) loop_.after(options_.interval, [this] { send_next(); });
  }

  void ended(std::uint64_t number, const SendResult& result) {
    if (stopped_) return;
    if (result.outcome == SendResult::Outcome::refused) {
      refused_ = true;
      complain(sentence_of(result));
      return loop_.stop(status_error);
    }
    ++ended_;
    if (result.delivered()) trips_.add(result.round_trip);
    output_.line(options_.json ? json_line(number, result) : human_line(number, result));
    if (ended_ == options_.count) loop_.stop(status_ok);
  }

  std::string json_line(std::uint64_t number, const SendResult& result) const {
    Json object = {{"seq", number}};
    object.update(json_of(result));
    return line_of(object);
  }

  std::string human_line(std::uint64_t number, const SendResult& result) const {
    if (!result.delivered()) return fmt::format("seq {}: {}", number, sentence_of(result));
    return fmt::format("seq {}: answered, {}", number, delivery_text(result));
  }

  void summarize() {
    const std::uint64_t answered = trips_.count();
    const std::uint64_t lost = ended_ - answered;
    const double loss =
        ended_ == 0 ? 0 : 100.0 * static_cast<double>(lost) / static_cast<double>(ended_);
    if (options_.json) {
      Json object = {{"to", options_.to.to_hex()},
                     {"sent", sent_},
                     {"answered", answered},
                     {"loss_percent", loss}};
      if (answered > 0) {
        object["rtt_ms"] = {{"min", milliseconds(trips_.min())},
                            {"avg", milliseconds(trips_.mean())},
                            {"median", milliseconds(trips_.median())},
                            {"max", milliseconds(trips_.max())}};
      }
      output_.line(line_of(object));
      return;
    }
    output_.line(fmt::format("\n{} sent, {} answered, {:.3g} % lost", sent_, answered, loss));
    if (answered == 0) return;
    output_.line(fmt::format("round trip min {}, avg {}, median {}, max {}",
                             duration_text(trips_.min()), duration_text(trips_.mean()),
                             duration_text(trips_.median()), duration_text(trips_.max())));
  }

  Loop& loop_;
  const PingOptions& options_;
  std::uint64_t sent_ = 0, ended_ = 0;
  RoundTrips trips_;
  bool refused_ = false;
  bool stopped_ = false;
  Guest guest_;
  Output output_;
};

}  // namespace

int ping(Arguments arguments) {
  Command command{"ping", "Asks a node whether it is there, through the network",
                  R"(  peer-relay ping 3f2a...40 hex digits...
  peer-relay ping ID --count 100 --interval 100ms
  peer-relay ping ID --bootstrap wss://relay.example.org --json

Exit status: 0 if any was answered, 2 if none was, 1 usage or local error.
)"};
  PingOptions options;
  command.id(options.to, "The node to ask: 40 hex digits");
  options.guest.add_to(command);
  command.number("--count,-n", options.count, 1, 1'000'000'000, "How many times to ask")
      ->default_str("4");
  command.time("--interval,-i", options.interval, "The time between two");
  command.time("--timeout", options.timeout, "How long to wait for an answer");
  command.flag("--json", options.json, "Print one JSON object a line, the summary last");
  if (const auto status = command.parse(std::move(arguments))) return *status;
  Loop loop;
  return Pinger{loop, options}.run();
}

}  // namespace peer_relay::app
