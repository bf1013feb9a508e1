// SPDX-License-Identifier: MIT
//
// peer-relay-sim, which `peer-relay sim` runs.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include "report.hpp"
#include "scenario.hpp"

namespace {

using namespace peer_relay;
using namespace peer_relay::sim;
using Clock = std::chrono::steady_clock;

/// One line on the terminal, redrawn a few times a second; nothing where there is no terminal.
class ProgressBar {
 public:
  explicit ProgressBar(std::string_view name)
      : name_(name), is_shown_(isatty(STDERR_FILENO) != 0) {}
  ~ProgressBar() { clear(); }

  /// Whether it is time again.
  bool is_due() {
    const auto now = Clock::now();
    if (now - shown_ < std::chrono::milliseconds{200}) return false;
    shown_ = now;
    return true;
  }

  void show(const Progress& progress) const {
    if (!is_shown_) return;
    const auto now = Clock::now();
    const double done = std::clamp(progress.done, 0.0, 1.0);
    const double passed = std::chrono::duration<double>(now - started_).count();
    // Each second of a large world takes longer than that of the small one that it grew from.
    const double left = done > 0.02 ? passed * (1 - done) / done : 0;
    constexpr int width = 24;
    const int filled = static_cast<int>(done * width);
    fmt::print(stderr, "\r\033[K{:<15} [{:#>{}}{:.>{}}] {:3.0f} %  {:.0f} s", name_, "", filled, "",
               width - filled, done * 100, passed);
    if (left > 0) fmt::print(stderr, ", {:.0f} s left", left);
    fmt::print(stderr, "  {}", progress.what);
    std::fflush(stderr);
  }

  /// In its place.
  void clear() const {
    if (is_shown_) fmt::print(stderr, "\r\033[K");
  }
  double passed() const { return std::chrono::duration<double>(Clock::now() - started_).count(); }

 private:
  std::string name_;
  bool is_shown_;
  Clock::time_point started_ = Clock::now();
  Clock::time_point shown_{};
};

struct Wishes {
  std::vector<std::string> names;
  std::size_t nodes = 1000;
  std::uint64_t seed = 0;
  std::string crypto = "modelled";
  std::size_t threads = 0;
  double memory_max_gib = 0;
  std::string report;
  bool json = false;
  bool list = false;
};

std::string name_list() {
  std::string out = "Scenarios:\n";
  for (const Scenario& scenario : scenarios()) {
    out += fmt::format("  {:<16} {}\n", scenario.name, scenario.about);
  }
  return out;
}

void declare(CLI::App& app, Wishes& wishes) {
  app.add_option("-s,--scenario", wishes.names, "Which; several may be given, or `all`")
      ->type_name("NAME");
  app.add_option("-n,--nodes", wishes.nodes, "How many nodes")
      ->type_name("N")
      ->check(CLI::Range(std::size_t{20}, std::size_t{16'000'000}))
      ->capture_default_str();
  app.add_option("--seed", wishes.seed, "Repeats a run; else it is drawn, and printed")
      ->type_name("S");
  app.add_option("--crypto", wishes.crypto,
                 "modelled: same sizes and failures, no cost; or sodium: the real thing")
      ->check(CLI::IsMember({"modelled", "sodium"}))
      ->capture_default_str();
  app.add_option("--threads", wishes.threads,
                 "Which change nothing but the time it takes; by default one for each 4,000 nodes, "
                 "and no more than there are cores")
      ->type_name("T")
      ->check(CLI::Range(std::size_t{1}, std::size_t{256}));
  app.add_option("--memory-max", wishes.memory_max_gib,
                 "Stop where the process takes more, and say how far it came")
      ->type_name("GIB")
      ->check(CLI::Range(0.01, 100'000.0));
  app.add_option("--report", wishes.report, "Write report.html and report.json there")
      ->type_name("DIR");
  app.add_flag("--json", wishes.json, "One JSON object a scenario, on a line of its own");
  app.add_flag("--list", wishes.list, "Name the scenarios, and end");
  app.footer(
      "Examples:\n"
      "  peer-relay sim\n"
      "  peer-relay sim --scenario kill50 --nodes 10000 --report out\n"
      "  peer-relay sim --scenario all --seed 7 --json\n\n"
      "Exit status: 0 all aims were met, 2 one was missed, 1 usage or local error,\n"
      "3 stopped by --memory-max, 130 by Ctrl-C.");
}

volatile std::sig_atomic_t interrupted = 0;

double resident_gib() {
  std::ifstream statm{"/proc/self/statm"};
  std::size_t size = 0, resident = 0;
  statm >> size >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 30);
}

/// Says how far it came. A world takes long to clear away, so nothing is.
[[noreturn]] void stop(int status, const ProgressBar& bar, const Progress& at,
                       const Wishes& wishes) {
  bar.clear();
  const double gib = resident_gib();
  const double kib_a_node = at.nodes == 0 ? 0 : gib * (1 << 20) / static_cast<double>(at.nodes);
  if (wishes.json) {
    fmt::print(
        "{{\"stopped\":\"{}\",\"nodes\":{},\"virtual_seconds\":{:.0f},"
        "\"wall_seconds\":{:.0f},\"memory_bytes\":{:.0f}}}\n",
        status == 3 ? "memory" : "interrupt", at.nodes, at.seconds, bar.passed(), gib * (1 << 30));
  }
  fmt::print(stderr,
             "peer-relay sim: stopped {} while {}: {} nodes, {:.0f} s simulated in {:.0f} s, "
             "{:.1f} GiB, {:.1f} KiB a node\n",
             status == 3 ? "by --memory-max" : "by Ctrl-C", at.what, at.nodes, at.seconds,
             bar.passed(), gib, kib_a_node);
  std::fflush(nullptr);
  std::_Exit(status);
}

std::size_t threads_for(const Wishes& wishes) {
  if (wishes.threads > 0) return wishes.threads;
  const std::size_t cores = std::max(1u, std::thread::hardware_concurrency());
  // In small worlds the threads would mostly wait for one another.
  return std::clamp<std::size_t>(wishes.nodes / 4000, 1, cores);
}

Report play(const Scenario& scenario, const Wishes& wishes) {
  ProgressBar bar{scenario.name};
  const Setting setting{
      .nodes = wishes.nodes,
      .seed = wishes.seed,
      .crypto = wishes.crypto == "sodium" ? CryptoFlavour::sodium : CryptoFlavour::modelled,
      .threads = threads_for(wishes),
      .progress = [&](const Progress& progress) {
        if (interrupted != 0) stop(130, bar, progress, wishes);
        if (!bar.is_due()) return;
        bar.show(progress);
        const bool is_full = wishes.memory_max_gib > 0 && resident_gib() > wishes.memory_max_gib;
        if (is_full) stop(3, bar, progress, wishes);
      }};
  return scenario.run(scenario, setting);
}

bool write(const std::filesystem::path& path, std::string_view text) {
  std::ofstream file{path};
  file << text;
  file.close();
  if (!file) fmt::print(stderr, "peer-relay sim: can't write {}\n", path.string());
  return file.good();
}

bool write_reports(const std::string& directory, const std::vector<Report>& reports) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    fmt::print(stderr, "peer-relay sim: can't make {}: {}\n", directory, error.message());
    return false;
  }
  std::string lines;
  for (const Report& report : reports) lines += json_of(report) + "\n";
  const std::filesystem::path path{directory};
  if (!write(path / "report.html", html_of(reports)) || !write(path / "report.json", lines)) {
    return false;
  }
  fmt::print(stderr, "report: {}\n", (path / "report.html").string());
  return true;
}

std::optional<std::vector<const Scenario*>> chosen(const Wishes& wishes) {
  std::vector<const Scenario*> out;
  for (const std::string& name : wishes.names) {
    if (name == "all") {
      for (const Scenario& scenario : scenarios()) out.push_back(&scenario);
    } else if (const Scenario* const found = find_scenario(name)) {
      out.push_back(found);
    } else {
      fmt::print(stderr, "peer-relay sim: there is no scenario {}\n\n{}", name, name_list());
      return std::nullopt;
    }
  }
  if (out.empty()) out.push_back(find_scenario("steady"));
  return out;
}

// A world is millions of small things, and a quarter of its time goes to the page tables. The C
// library takes large pages only if it is told so before it starts, and for the heaps of threads,
// 64 MiB each, only if they do not grow page by page: hence the pad, which is as much as fits in
// one.
void start_with_large_pages(char** words) {
  if (std::getenv("GLIBC_TUNABLES") != nullptr) return;
  ::setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1:glibc.malloc.top_pad=62914560", 0);
  ::execv("/proc/self/exe", words);  // where that fails we go on without
}

int run(const Wishes& wishes) {
  if (wishes.list) {
    fmt::print("{}", name_list());
    return 0;
  }
  const auto scenarios = chosen(wishes);
  if (!scenarios) return 1;
  std::vector<Report> reports;
  for (const Scenario* const scenario : *scenarios) {
    reports.push_back(play(*scenario, wishes));
    fmt::print("{}\n", wishes.json ? json_of(reports.back()) : text_of(reports.back()));
    std::fflush(stdout);
  }
  if (!wishes.report.empty() && !write_reports(wishes.report, reports)) return 1;
  return std::ranges::all_of(reports, &Report::passed) ? 0 : 2;
}

}  // namespace

int main(int count, char** words) {
  start_with_large_pages(words);
  std::signal(SIGPIPE, SIG_DFL);
  // The second one ends it at once.
  std::signal(SIGINT, [](int) {
    interrupted = 1;
    std::signal(SIGINT, SIG_DFL);
  });
  CLI::App app{"Runs the engine that ships in a world of many nodes, under storm",
               "peer-relay sim"};
  Wishes wishes;
  declare(app, wishes);
  CLI11_PARSE(app, count, words);
  if (app.count("--seed") == 0) wishes.seed = std::random_device{}();
  return run(wishes);
}
