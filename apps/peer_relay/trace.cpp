// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "command.hpp"
#include "guest.hpp"
#include "json.hpp"
#include "loop.hpp"
#include "output.hpp"
#include "text.hpp"
#include "words.hpp"

namespace peer_relay::app {
namespace {

using namespace std::chrono_literals;

struct TraceOptions {
  GuestOptions guest;
  NodeId to;
  Duration timeout = 20s;
  bool json = false;
};

class Tracer {
 public:
  Tracer(Loop& loop, const TraceOptions& options)
      : loop_{loop}, options_{options}, guest_{loop, options.guest}, output_{loop} {}

  int run() {
    if (const auto failed = guest_.join()) return *failed;
    if (options_.to == guest_.node().id()) {
      complain(std::string{describe(Error::to_self)});
      return status_error;
    }
    if (!options_.json) output_.line("trace to " + options_.to.to_hex());
    loop_.after(options_.timeout, [this] { loop_.stop(status_ok); });
    guest_.node().trace(options_.to, [this, loop = &loop_](const TraceHop& hop) {
      loop->post([this, hop] { heard(hop); });
    });
    loop_.run();
    ended_ = true;
    if (options_.json) output_.line(line_of(summary()));
    if (!reached_ && !options_.json && !loop_.interrupted()) explain();
    guest_.leave();
    output_.finish(2s);
    if (loop_.interrupted()) return 130;
    return reached_ ? status_ok : status_undelivered;
  }

 private:
  void heard(const TraceHop& hop) {
    if (ended_) return;
    hops_.push_back(json_of(hop));
    last_ = hop;
    reached_ = hop.is_target;
    if (!options_.json) output_.line(human_line(hop));
    // The library's promise: the last call has one of these.
    if (hop.is_target || hop.lost || hop.reason != UnreachableReason::none) loop_.stop(status_ok);
  }

  std::string human_line(const TraceHop& hop) const {
    if (hop.lost) {
      return fmt::format(
          "{:>2}  {}", hop.hop,
          hop.legacy ? "the old network, which answers no trace" : "nobody answered");
    }
    std::string line =
        fmt::format("{:>2}  {}  {:>8}", hop.hop, hop.id.to_hex(), duration_text(hop.round_trip));
    if (hop.legacy) line += "  an old node, not asked";
    if (hop.is_target) line += "  the target";
    return line;
  }

  void explain() const {
    if (last_.reason != UnreachableReason::none) {
      complain("not reached: " + sentence_of(last_.reason, last_.id));
    } else if (last_.lost) {
      complain("not reached: the way is silent after the hop before");
    } else {
      complain("not reached within " + duration_text(options_.timeout));
    }
  }

  Json summary() const {
    return {{"to", options_.to.to_hex()}, {"reached", reached_}, {"hops", hops_}};
  }

  Loop& loop_;
  const TraceOptions& options_;
  Json hops_ = Json::array();
  TraceHop last_;
  bool reached_ = false;
  bool ended_ = false;
  Guest guest_;
  Output output_;
};

}  // namespace

int trace(Arguments arguments) {
  Command command{"trace", "Shows each node on the way to another, with its round-trip time",
                  R"(  peer-relay trace 3f2a...40 hex digits...
  peer-relay trace ID --bootstrap wss://relay.example.org --json

Exit status: 0 if the target was reached, 2 if not, 1 usage or local error.
)"};
  TraceOptions options;
  command.id(options.to, "The node to reach: 40 hex digits");
  options.guest.add_to(command);
  command.time("--timeout", options.timeout, "How long to wait for all hops");
  command.flag("--json", options.json, "Print one JSON object: to, reached, hops");
  if (const auto status = command.parse(std::move(arguments))) return *status;
  Loop loop;
  return Tracer{loop, options}.run();
}

}  // namespace peer_relay::app
