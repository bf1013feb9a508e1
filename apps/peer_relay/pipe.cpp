// SPDX-License-Identifier: MIT
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.hpp"
#include "guest.hpp"
#include "json.hpp"
#include "loop.hpp"
#include "output.hpp"
#include "progress.hpp"
#include "splice.hpp"
#include "text.hpp"
#include "words.hpp"

namespace peer_relay::app {
namespace {

struct PipeArguments {
  GuestOptions guest;
  std::string to;
  NodeId id;
  std::string label = "pipe";
  Duration timeout = limits::stream_open_timeout;
  bool listen = false;
  bool receive = false;
  bool relayed = false;
  bool json = false;
  bool verbose = false;
};

/// Of standard input, where it is a file; else 0.
std::uint64_t input_size() {
  struct stat about{};
  if (fstat(STDIN_FILENO, &about) != 0 || !S_ISREG(about.st_mode)) return 0;
  return static_cast<std::uint64_t>(about.st_size);
}

class Pipe {
 public:
  Pipe(Loop& loop, const PipeArguments& options)
      : loop_{loop}, options_{options}, guest_{loop, options.guest} {}

  int run() {
    NodeEvents events;
    if (options_.listen) {
      events.stream = [this](const Stream& stream) {
        loop_.post([this, stream] { take(stream); });
      };
    }
    if (const auto failed = guest_.join(std::move(events))) return *failed;
    if (options_.listen) {
      const std::string id = guest_.node().id().to_hex();
      write_all(STDERR_FILENO, options_.json ? line_of({{"ready", true}, {"id", id}}) + "\n"
                                             : fmt::format("waiting as {}\n", id));
    } else {
      begin(guest_.node().open_stream(
          options_.id,
          {.label = options_.label, .seeks_link = !options_.relayed, .timeout = options_.timeout}));
    }
    int status = status_ok;
    {
      const Progress progress{loop_, [this] { return Progress::State{sent(), size_, {}}; }};
      status = loop_.run();
    }
    tell();
    splice_.reset();
    guest_.leave();
    return loop_.interrupted() ? 130 : status;
  }

 private:
  void take(Stream stream) {
    if (splice_ || stream.label() != options_.label) return stream.refuse();
    begin(std::move(stream));
  }

  void begin(Stream stream) {
    started_ = std::chrono::steady_clock::now();
    splice_ = std::make_shared<Splice>(
        loop_, std::move(stream),
        Splice::Ends{.in = options_.receive ? -1 : STDIN_FILENO, .out = STDOUT_FILENO},
        [this](const std::optional<StreamError>& error) { ended(error); });
    if (options_.verbose) complain("a stream with " + splice_->stream().peer().to_hex());
    splice_->start();
  }

  void ended(const std::optional<StreamError>& error) {
    error_ = error;
    if (!error) return loop_.stop(status_ok);
    const bool is_there = error->end == StreamEnd::reset || error->end == StreamEnd::shutdown;
    complain(sentence_of(*error));
    loop_.stop(is_there ? status_error : status_undelivered);
  }

  std::uint64_t sent() const { return splice_ ? splice_->bytes_out() : 0; }

  void tell() const {
    if (!splice_ || !(options_.verbose || options_.json)) return;
    const auto elapsed =
        std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - started_);
    if (options_.json) {
      Json object = {{"peer", splice_->stream().peer().to_hex()},
                     {"sent", splice_->bytes_out()},
                     {"received", splice_->bytes_in()},
                     {"elapsed_ms", milliseconds(elapsed)},
                     {"end", std::string{name_of(error_ ? error_->end : StreamEnd::finished)}}};
      write_all(STDERR_FILENO, line_of(object) + "\n");
      return;
    }
    complain(fmt::format("{} sent, {} received in {}", bytes_text(splice_->bytes_out()),
                         bytes_text(splice_->bytes_in()), duration_text(elapsed)));
  }

  Loop& loop_;
  const PipeArguments& options_;
  const std::uint64_t size_ = input_size();
  Guest guest_;
  std::shared_ptr<Splice> splice_;
  std::optional<StreamError> error_;
  std::chrono::steady_clock::time_point started_{};
};

}  // namespace

int pipe(Arguments arguments) {
  Command command{"pipe", "Carries standard input to a node, and what it sends to standard output",
                  R"(  peer-relay pipe --listen --receive > copy.tar       prints its id, and waits
  peer-relay pipe ID < original.tar                    in another terminal
  tar c src | peer-relay pipe --bootstrap wss://relay.example.org ID

It ends when both sides have; --receive says at once that nothing will be sent.
Exit status: 0 all has arrived, 2 the node was not reached, 1 it gave up, or a local error.
)"};
  PipeArguments options;
  command.app()
      .add_option("ID", options.to, "The node at the other end: 40 hex digits")
      ->type_name("");
  command.flag("--listen,-l", options.listen, "Wait for a node to open the stream, once");
  command.flag("--receive,-r", options.receive, "Read no standard input: only take what comes");
  command.text("--label", options.label, "NAME", "Both ends use the same")->capture_default_str();
  command.flag("--relayed", options.relayed, "Do not ask for a direct link");
  command.time("--timeout", options.timeout, "How long to wait for the node's first word");
  options.guest.add_to(command);
  command.flag("--verbose,-v", options.verbose, "Say on standard error what was carried");
  command.flag("--json", options.json, "The same as a JSON object");
  if (const auto status = command.parse(std::move(arguments))) return *status;
  if (options.listen != options.to.empty()) {
    return command.usage_error(options.listen ? "an ID and --listen exclude each other"
                                              : "give the ID of a node, or --listen");
  }
  if (options.label.size() > limits::stream_label_bytes_max) {
    return command.usage_error(
        fmt::format("--label: at most {} bytes", limits::stream_label_bytes_max));
  }
  if (!options.listen) {
    const auto id = NodeId::from_hex(options.to);
    if (!id) {
      return command.usage_error(
          fmt::format("'{}' is no node id, which is 40 hex digits", escaped(options.to, 60)));
    }
    options.id = *id;
  }
  Loop loop;
  return Pipe{loop, options}.run();
}

}  // namespace peer_relay::app
