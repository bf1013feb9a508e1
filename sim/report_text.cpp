// SPDX-License-Identifier: MIT
#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "report.hpp"
#include "svg_plot.hpp"

namespace peer_relay::sim {
namespace {

constexpr std::size_t columns = 80;
constexpr std::size_t name_columns_min = 20;

// As many as the terminal shows: what continues a UTF-8 letter takes none.
std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

/// Lines of whole words; a word that is wider than a line has one of its own.
std::vector<std::string> wrapped(std::string_view text, std::size_t width) {
  std::vector<std::string> lines(1);
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    const bool is_first = lines.back().empty();
    if (!is_first && columns_of(lines.back()) + 1 + columns_of(word) > width) {
      lines.emplace_back(word);
    } else {
      lines.back() += (is_first ? "" : " ") + std::string{word};
    }
  }
  return lines;
}

/// The same as one text, ended by "\n"; lines after the first are indented.
std::string paragraph(std::string_view text, std::size_t indent) {
  const std::string blank(indent, ' ');
  std::string out;
  for (const std::string& line : wrapped(text, columns - indent)) {
    out += (out.empty() ? "" : blank) + line + "\n";
  }
  return out;
}

std::string padded(std::string_view text, std::size_t width, bool to_right = false) {
  const std::string blank(width - std::min(columns_of(text), width), ' ');
  return to_right ? blank + std::string{text} : std::string{text} + blank;
}

std::string_view word_of(const Finding& finding) {
  if (!finding.passed) return "";
  return *finding.passed ? "ok" : "FAILED";
}

struct Widths {
  std::size_t name = 0;
  std::size_t value = 0;
  std::size_t aim = 0;
};

// The names give way: they are the longest, and read well on two lines.
Widths widths_of(const std::vector<Finding>& findings) {
  Widths widths;
  for (const Finding& finding : findings) {
    widths.name = std::max(widths.name, columns_of(finding.name));
    widths.value = std::max(widths.value, columns_of(finding.value));
    widths.aim = std::max(widths.aim, columns_of(finding.aim));
  }
  constexpr std::size_t gaps_and_word = 2 + 3 * 2 + 6;
  const std::size_t others = std::min(columns, widths.value + widths.aim + gaps_and_word);
  widths.name = std::min(widths.name, std::max(columns - others, name_columns_min));
  return widths;
}

std::string finding_text(const Finding& finding, const Widths& widths) {
  const std::vector<std::string> name = wrapped(finding.name, widths.name);
  std::string out = fmt::format("  {}  {}  {}  {}", padded(name.front(), widths.name),
                                padded(finding.value, widths.value, true),
                                padded(finding.aim, widths.aim), word_of(finding));
  out.erase(out.find_last_not_of(' ') + 1);
  for (std::size_t i = 1; i < name.size(); ++i) out += "\n    " + name[i];
  return out + "\n";
}

std::string findings_text(const std::vector<Finding>& findings) {
  const Widths widths = widths_of(findings);
  std::string out;
  for (const Finding& finding : findings) out += finding_text(finding, widths);
  return out.empty() ? "" : "\n" + out;
}

std::string hops_text(const Report& report) {
  const Tally hops = tally_of(report.hops);
  if (hops.count == 0) return "";
  const double log2_nodes = log2_of(report.nodes);
  const std::string against =
      log2_nodes > 0 ? fmt::format("; log2 N is {:.1f}", log2_nodes) : std::string{};
  return fmt::format("hops: mean {:.2f}, p99 {}, max {}{}\n", hops.mean, hops.p99, hops.max,
                     against);
}

std::string dropped_text(const Report& report) {
  std::string out;
  for (const auto& [reason, count] : report.dropped) {
    out += fmt::format("{} {} {}", out.empty() ? "dropped:" : ",", count_text(count), reason);
  }
  return out.empty() ? "" : paragraph(out, 2);
}

std::string run_text(const Report& report) {
  const std::string memory = report.memory_per_node > 0
                                 ? fmt::format(", {} a node", bytes_text(report.memory_per_node))
                                 : std::string{};
  const std::string threads =
      report.threads > 1 ? fmt::format(" by {} threads", report.threads) : std::string{};
  return fmt::format("event hash {:016x}, {} simulated in {}{}{}\n", report.event_hash,
                     seconds_text(report.virtual_seconds), seconds_text(report.wall_seconds),
                     threads, memory);
}

}  // namespace

std::string text_of(const Report& report) {
  std::string out = fmt::format("{}: {} nodes, seed {}\n", report.scenario,
                                count_text(report.nodes), report.seed);
  if (!report.about.empty()) out += paragraph(report.about, 0);
  out += findings_text(report.findings) + "\n";
  out += hops_text(report) + dropped_text(report);
  // Whole, however long: it is there to be copied.
  if (!report.command.empty()) out += "repeat with: " + report.command + "\n";
  return out + run_text(report);
}

}  // namespace peer_relay::sim
