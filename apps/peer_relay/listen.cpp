// SPDX-License-Identifier: MIT
#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "command.hpp"
#include "guest.hpp"
#include "json.hpp"
#include "loop.hpp"
#include "output.hpp"
#include "text.hpp"

namespace peer_relay::app {
namespace {

using namespace std::chrono_literals;

struct ListenOptions {
  GuestOptions guest;
  bool json = false;
  bool echo = false;
  std::uint64_t count = 0;  ///< 0: for ever
};

/// Messages that came before the line that says that we are ready, and wait for it.
constexpr std::size_t early_max = 1024;

/// How long a reader of our output may pause. Well below what a link takes for death.
constexpr Duration reader_patience = 5s;
static_assert(2 * reader_patience < limits::link_dead_after);

/// Prints what comes, and sends it back.
class Listener {
 public:
  Listener(Loop& loop, const ListenOptions& options)
      : loop_{loop}, options_{options}, guest_{loop, options.guest}, output_{loop} {}

  int run() {
    NodeEvents events;
    events.message = [this](const Message& message) { received(message); };
    if (const auto failed = guest_.join(std::move(events))) {
      return loop_.interrupted() ? status_ok : *failed;
    }
    output_.on_closed([this] { loop_.stop(status_ok); });
    loop_.on_interrupt([this] { loop_.stop(status_ok); });
    announce();
    ready_ = true;
    for (const Message& message : std::exchange(early_, {})) print(message);
    const int status = done() ? status_ok : loop_.run();
    guest_.leave();
    output_.finish(2s);
    if (missed_ > 0) complain(counted(missed_, "message") + " could not be printed in time");
    if (unsent_ > 0) complain(counted(unsent_, "message") + " could not be sent back");
    return status;
  }

 private:
  void announce() {
    const std::string id = guest_.node().id().to_hex();
    if (options_.json) {
      output_.line(line_of({{"ready", true}, {"id", id}}));
    } else {
      write_all(STDERR_FILENO, fmt::format("listening as {}\n", id));
    }
  }

  /// On the node's thread. Whoever listens wants all of it, so a slow reader holds up the node, and
  /// by that the senders; but not for ever.
  void received(const Message& message) {
    const std::size_t bytes = message.payload.bytes.size() + 256;
    const auto offer = [&] { return loop_.offer(bytes, [this, message] { print(message); }); };
    const auto until = std::chrono::steady_clock::now() + reader_patience;
    bool taken = offer();
    while (!taken && !node_gave_up_ && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(1ms);
      taken = offer();
    }
    node_gave_up_ = !taken;
    if (!taken) ++missed_;
  }

  void print(const Message& message) {
    if (done()) return;
    if (!ready_) return hold(message);
    ++printed_;
    const std::string line = options_.json ? message_line("", message) : human_line(message);
    if (!write(line)) ++missed_;
    if (options_.echo && !guest_.node().send(message.from, message.payload)) ++unsent_;
    if (done()) loop_.stop(status_ok);
  }

  /// Waits for a slow reader once; when that was in vain, not again before it has read something.
  bool write(const std::string& line) {
    bool taken = output_.line(line);
    if (!taken && !gave_up_) {
      output_.finish(reader_patience);
      taken = output_.line(line);
    }
    gave_up_ = !taken;
    return taken;
  }

  void hold(const Message& message) {
    if (early_.size() < early_max) {
      early_.push_back(message);
    } else {
      ++missed_;
    }
  }

  /// A terminal is told who wrote, and protected from what he wrote; a file or pipe gets the text.
  std::string human_line(const Message& message) const {
    if (!terminal_) return std::string{message.payload.text()};
    return dim(message.from.short_hex(), colors_) + "  " + escaped(message.payload.text());
  }

  bool done() const { return options_.count > 0 && printed_ >= options_.count; }

  Loop& loop_;
  const ListenOptions& options_;
  std::atomic<std::uint64_t> missed_ = 0;
  bool node_gave_up_ = false;  // of the node's thread alone
  bool gave_up_ = false;
  std::uint64_t printed_ = 0;
  std::uint64_t unsent_ = 0;
  bool ready_ = false;
  std::vector<Message> early_;
  const bool terminal_ = is_terminal(STDOUT_FILENO);
  const bool colors_ = wants_colors(STDOUT_FILENO);
  Guest guest_;
  Output output_;
};

}  // namespace

int listen(Arguments arguments) {
  Command command{"listen", "Joins, and prints each message that comes",
                  R"(  peer-relay listen
  peer-relay listen --bootstrap wss://relay.example.org --identity ~/me.pem
  peer-relay listen --json | jq -r .msg
  peer-relay listen --echo --count 10
)"};
  ListenOptions options;
  options.guest.add_to(command);
  command.flag("--echo", options.echo, "Send each message back, best effort");
  command.number("--count,-n", options.count, 1, 1'000'000'000'000, "End after N messages");
  command.flag("--json", options.json,
               R"(One JSON object a line: {"ready":true,"id"}, then {"msg","from","hops"})");
  if (const auto status = command.parse(std::move(arguments))) return *status;
  Loop loop;
  return Listener{loop, options}.run();
}

}  // namespace peer_relay::app
