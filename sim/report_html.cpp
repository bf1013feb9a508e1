// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "report.hpp"
#include "svg_plot.hpp"

namespace peer_relay::sim {
namespace {

constexpr double wide = 1120;
constexpr double narrow = 540;
constexpr std::size_t bars_wished = 45;
constexpr std::size_t curve_points = 200;

// Two colours: one for what was measured, one for what went wrong or was done to the network.
constexpr std::string_view style = R"(
:root { color-scheme: light dark; --paper: #fff; --shade: #f4f6f7; --ink: #1c2329; --soft: #5a6670;
  --rule: #dfe4e8; --accent: #1f7391; --warning: #bd3f0c; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181b; --shade: #1d2327; --ink: #e3e8eb;
  --soft: #9ba6af; --rule: #2c343a; --accent: #5cb3d0; --warning: #f28a55; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1200px; padding: 36px 40px 56px; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans",
  "DejaVu Sans", sans-serif; }
h1, h2 { margin: 0; font-weight: 600; line-height: 1.25; letter-spacing: -0.01em; }
h1 { font-size: 28px; }
h2 { font-size: 23px; }
p { margin: 0; }
a { color: var(--accent); }
section { margin-top: 48px; padding-top: 36px; border-top: 1px solid var(--rule); }
section.only { margin-top: 0; padding-top: 0; border-top: 0; }
.heading { display: flex; align-items: center; gap: 14px; }
.about { margin-top: 6px; max-width: 80ch; color: var(--soft); }
.badge { padding: 1px 10px 2px; border: 1px solid currentColor; border-radius: 11px;
  font-size: 13px; font-weight: 600; white-space: nowrap; color: var(--soft); }
.badge.accent, .word.accent { color: var(--accent); }
.badge.warning, .word.warning { color: var(--warning); }
.word { font-weight: 600; }
dl { display: flex; flex-wrap: wrap; gap: 10px 36px; margin: 20px 0 0; }
dt { color: var(--soft); font-size: 13px; }
dd { margin: 0; font-variant-numeric: tabular-nums; }
table { margin-top: 24px; width: 100%; border-collapse: collapse; }
th { color: var(--soft); font-size: 13px; font-weight: 400; text-align: left; }
th, td { padding: 6px 32px 6px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.aim { white-space: nowrap; font-variant-numeric: tabular-nums; }
.side { width: 1%; white-space: nowrap; }
td ul { margin: 0; padding: 0; list-style: none; }
code { font: 13px/1.5 ui-monospace, "SF Mono", "DejaVu Sans Mono", Consolas, monospace;
  overflow-wrap: anywhere; }
.command { margin-top: 20px; padding: 9px 14px; border-radius: 5px; background: var(--shade); }
.command span { margin-right: 12px; color: var(--soft); font-size: 13px; }
.note { margin-top: 14px; color: var(--soft); font-size: 14px; font-variant-numeric: tabular-nums; }
.plots { display: flex; flex-wrap: wrap; gap: 34px 40px; margin-top: 34px; }
figure { display: flex; flex-direction: column; flex: 0 0 540px; max-width: 100%; margin: 0; }
figcaption { margin-bottom: 6px; }
figure.wide { flex-basis: 100%; }
figcaption b { font-weight: 600; }
figcaption p { color: var(--soft); font-size: 13px; font-variant-numeric: tabular-nums; }
.key { margin-right: 16px; white-space: nowrap; }
.key i { display: inline-block; width: 16px; margin-right: 6px; vertical-align: 3px;
  border-top: 3px solid var(--ink); }
.key i.accent { border-color: var(--accent); }
.key i.warning { border-color: var(--warning); }
.key i.dashed { border-top-style: dashed; border-top-width: 2px; }
.key i.box { height: 11px; border: 0; vertical-align: -1px; background: var(--accent); }
svg { display: block; width: 100%; height: auto; margin-top: auto; }
svg text { fill: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums; }
svg text.label { fill: var(--ink); paint-order: stroke; stroke: var(--paper); stroke-width: 4px; }
svg text.label.warning { fill: var(--warning); }
svg .grid { stroke: var(--rule); }
svg .axis { stroke: var(--soft); }
svg rect.accent { fill: var(--accent); }
svg rect.span { fill: var(--warning); fill-opacity: 0.13; }
svg polyline { fill: none; stroke-width: 2; stroke-linejoin: round; stroke: var(--ink); }
svg polyline.accent { stroke: var(--accent); }
svg polyline.plain { stroke-dasharray: 6 4; }
svg .mark { stroke: var(--ink); stroke-width: 1.3; stroke-dasharray: 4 3; }
svg .mark.warning { stroke: var(--warning); }
@media print { section { break-before: page; } figure { break-inside: avoid; } }
)";

// ---- Plots ------------------------------------------------------------------------------------

struct Caption {
  std::string title;
  std::string says;  ///< the numbers that the picture shows
  std::string keys{};
};

enum class Sample : std::uint8_t { box, line, dashed };

std::string key(Sample sample, Ink ink, std::string_view what) {
  const std::string_view shape =
      sample == Sample::box ? " box" : (sample == Sample::dashed ? " dashed" : "");
  return fmt::format(R"(<span class="key"><i class="{}{}"></i>{}</span>)", class_of(ink), shape,
                     html_escaped(what));
}

std::string figure(const Caption& caption, const SvgPlot& plot, bool is_wide = false) {
  return fmt::format(
      "<figure{}>\n<figcaption><b>{}</b><p>{}</p><p>{}</p></figcaption>\n{}</figure>\n",
      is_wide ? R"( class="wide")" : "", html_escaped(caption.title), html_escaped(caption.says),
      caption.keys, plot.text());
}

/// How many of each value there were.
using Counts = std::map<std::uint64_t, std::uint64_t>;

Counts counts_of(const std::vector<std::uint32_t>& values) {
  Counts counts;
  for (const std::uint32_t value : values) ++counts[value];
  return counts;
}

Counts counts_of_histogram(const std::vector<std::uint64_t>& histogram) {
  Counts counts;
  for (std::size_t value = 0; value < histogram.size(); ++value) {
    if (histogram[value] > 0) counts[value] = histogram[value];
  }
  return counts;
}

struct Reference {
  double at = 0;
  std::string label;
};

/// Bars over whole numbers, each `width` of them wide, as shares of all in percent.
struct Bars {
  double width = 1;
  double from = 0;
  double to = 1;
  std::map<double, double> shares;  ///< by their left edge
  double tallest = 0;
};

Bars bars_of(const Counts& counts) {
  const auto least = static_cast<double>(counts.begin()->first);
  const auto most = static_cast<double>(counts.rbegin()->first);
  const double start = least * 2 > most ? least : 0;  // an axis from 0, unless it were mostly empty
  Bars bars;
  bars.width = std::max(1.0, round_step((most - start + 1) / static_cast<double>(bars_wished)));
  double all = 0;
  for (const auto& [value, count] : counts) all += static_cast<double>(count);
  for (const auto& [value, count] : counts) {
    const double left = std::floor(static_cast<double>(value) / bars.width) * bars.width - 0.5;
    double& share = bars.shares[left];
    share += 100 * static_cast<double>(count) / all;
    bars.tallest = std::max(bars.tallest, share);
  }
  bars.from = std::floor(start / bars.width) * bars.width - 0.5;
  bars.to = bars.shares.rbegin()->first + bars.width;
  return bars;
}

// A little air above the tallest, up to a tick.
Axis percent_axis(std::string label, double tallest) {
  const double step = round_step(tallest / 5);
  return {std::move(label), 0, std::ceil(tallest * 1.02 / step) * step, "%"};
}

SvgPlot histogram(const Counts& counts, const std::string& title, const std::string& x_label,
                  const std::string& y_label, const std::vector<Reference>& references) {
  const Bars bars = bars_of(counts);
  Axis x{x_label, bars.from, bars.to, "", true};
  for (const Reference& reference : references) {
    x.to = std::max(x.to, reference.at + (reference.at - x.from) * 0.05);
    x.from = std::min(x.from, reference.at - 0.5);
  }
  SvgPlot plot{narrow, title, x, percent_axis(y_label, bars.tallest)};
  for (const auto& [left, share] : bars.shares) plot.bar(left, left + bars.width, share);
  for (const Reference& reference : references) {
    plot.mark(reference.at, reference.at, reference.label, Ink::plain);
  }
  return plot;
}

std::string hops_figure(const Report& report) {
  const Tally hops = tally_of(report.hops);
  if (hops.count == 0) return "";
  std::vector<Reference> references{{hops.mean, fmt::format("mean {:.2f}", hops.mean)}};
  if (const double log2_nodes = log2_of(report.nodes); log2_nodes > 0) {
    const double wished = 0.45 * log2_nodes;
    references.push_back({wished, fmt::format("0.45 log2 N = {:.2f}", wished)});
    references.push_back({log2_nodes, fmt::format("log2 N = {:.1f}", log2_nodes)});
  }
  const Caption caption{"Hops of a message",
                        fmt::format("mean {:.2f}, p99 {}, max {}; {} messages", hops.mean, hops.p99,
                                    hops.max, count_text(hops.count)),
                        key(Sample::box, Ink::accent, "messages that arrived")};
  return figure(caption, histogram(counts_of_histogram(report.hops), caption.title, "links crossed",
                                   "share of messages", references));
}

/// "median 34, p99 51, max 60".
std::string spread_text(std::vector<std::uint32_t> values) {
  std::ranges::sort(values);
  return fmt::format("median {}, p99 {}, max {}", count_text(quantile_of(values, 0.5)),
                     count_text(quantile_of(values, 0.99)), count_text(values.back()));
}

std::string links_figure(const Report& report) {
  if (report.links.empty()) return "";
  const Caption caption{"Links of a node",
                        fmt::format("{}; {} living nodes", spread_text(report.links),
                                    count_text(report.links.size())),
                        key(Sample::box, Ink::accent, "nodes, at the end")};
  return figure(caption,
                histogram(counts_of(report.links), caption.title, "links", "share of nodes", {}));
}

std::string joins_figure(const Report& report) {
  if (report.join_envelopes.empty()) return "";
  std::vector<Reference> references;
  if (const double most = 25 * log2_of(report.nodes); most > 0) {
    references.push_back({most, fmt::format("25 log2 N = {:.0f}", most)});
  }
  const Caption caption{"Cost of a join",
                        fmt::format("{}; {} joins", spread_text(report.join_envelopes),
                                    count_text(report.join_envelopes.size())),
                        key(Sample::box, Ink::accent, "joins")};
  return figure(caption, histogram(counts_of(report.join_envelopes), caption.title,
                                   "envelopes sent by all nodes", "share of joins", references));
}

// ---- Delivery ---------------------------------------------------------------------------------

std::vector<Point> delivered_shares(const std::vector<DeliveryPoint>& delivery) {
  std::vector<Point> points;
  for (const DeliveryPoint& point : delivery) {
    if (point.sent == 0) continue;
    const double share =
        100 * static_cast<double>(point.delivered) / static_cast<double>(point.sent);
    points.push_back({point.second, std::min(share, 100.0)});
  }
  return points;
}

std::string delivered_text(const std::vector<DeliveryPoint>& delivery) {
  std::uint64_t sent = 0;
  std::uint64_t delivered = 0;
  for (const DeliveryPoint& point : delivery) {
    sent += point.sent;
    delivered += point.delivered;
  }
  return fmt::format("{} of {} messages arrived ({:.2f} %)", count_text(delivered),
                     count_text(sent),
                     100 * static_cast<double>(delivered) / static_cast<double>(sent));
}

// Blows of one kind have one label: it is the first that needs it.
void mark_storms(SvgPlot& plot, const std::vector<Storm>& storms) {
  std::set<std::string_view> said;
  for (const Storm& storm : storms) {
    const bool is_first = said.insert(storm.what).second;
    plot.mark(storm.from, storm.to, is_first ? storm.what : "", Ink::warning);
  }
}

std::string delivery_figure(const Report& report) {
  const std::vector<Point> points = delivered_shares(report.delivery);
  if (points.empty()) return "";
  Axis x{"virtual time at which they were sent", points.front().x, points.back().x, "s"};
  for (const Storm& storm : report.storms) {
    x.from = std::min(x.from, storm.from);
    x.to = std::max(x.to, storm.to);
  }
  const bool is_high = std::ranges::all_of(points, [](const Point& p) { return p.y > 90; });
  const std::string title = "Delivery over time";
  SvgPlot plot{wide, title, x, {"delivered", is_high ? 90.0 : 0.0, 100, "%"}};
  plot.curve(points, Ink::accent);
  mark_storms(plot, report.storms);
  std::string keys = key(Sample::line, Ink::accent, "arrived, of those sent in that second");
  if (!report.storms.empty()) keys += key(Sample::dashed, Ink::warning, "storm");
  return figure({title, delivered_text(report.delivery), keys}, plot, true);
}

// ---- Bytes ------------------------------------------------------------------------------------

std::vector<double> sorted_finite(std::vector<double> values) {
  std::erase_if(values, [](double value) { return !std::isfinite(value); });
  std::ranges::sort(values);
  return values;
}

// What nodes of so low a rate have in common is the left edge.
void draw_shares(SvgPlot& plot, const std::vector<double>& sorted, Ink ink) {
  if (sorted.empty()) return;
  std::vector<Point> points{{sorted.front(), 0}};
  for (std::size_t i = 1; i <= curve_points; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(curve_points);
    points.push_back({quantile_of(sorted, share), share * 100});
  }
  plot.curve(points, ink);
}

// Where an axis of decades begins for these; a few idle nodes must not squeeze the others.
double low_end(const std::vector<double>& sorted) {
  const auto first = std::ranges::upper_bound(sorted, 0.0);
  const std::vector<double> busy(first, sorted.end());
  return busy.empty() ? 0 : quantile_of(busy, 0.01);
}

Axis bytes_axis(const std::vector<double>& control, const std::vector<double>& relayed) {
  double least = 0;
  double most = 0;
  for (const auto* sorted : {&control, &relayed}) {
    const double low = low_end(*sorted);
    if (!(low > 0)) continue;
    least = least > 0 ? std::min(least, low) : low;
    most = std::max(most, sorted->back());
  }
  if (!(most > 0)) return {"", 0, 0};
  const auto decade = [](double exponent) { return std::pow(10, exponent); };
  return {"bytes a second (log scale)",
          decade(std::floor(std::log10(least))),
          decade(std::ceil(std::log10(most))),
          "B",
          false,
          true};
}

// Powers of ten, as on the axis.
std::string rate_text(double bytes) {
  if (bytes >= 1e6) return fmt::format("{:.1f} MB/s", bytes / 1e6);
  return bytes >= 1e3 ? fmt::format("{:.1f} kB/s", bytes / 1e3) : fmt::format("{:.0f} B/s", bytes);
}

std::string rates_text(std::string_view name, const std::vector<double>& sorted) {
  if (sorted.empty()) return "";
  return fmt::format("{} median {}, p99 {}", name, rate_text(quantile_of(sorted, 0.5)),
                     rate_text(quantile_of(sorted, 0.99)));
}

std::string bytes_figure(const Report& report) {
  const std::vector<double> control = sorted_finite(report.control_bytes);
  const std::vector<double> relayed = sorted_finite(report.relayed_bytes);
  const Axis x = bytes_axis(control, relayed);
  if (!(x.to > 0)) return "";
  const std::string title = "Traffic of a node";
  SvgPlot plot{narrow, title, x, {"share of nodes with at most this", 0, 100, "%"}};
  draw_shares(plot, relayed, Ink::plain);
  draw_shares(plot, control, Ink::accent);
  const std::string gap = control.empty() || relayed.empty() ? "" : "; ";
  std::string keys;
  if (!control.empty()) keys += key(Sample::line, Ink::accent, "control");
  if (!relayed.empty()) keys += key(Sample::dashed, Ink::plain, "relayed for others");
  return figure(
      {title, rates_text("control", control) + gap + rates_text("relayed", relayed), keys}, plot);
}

// ---- Text -------------------------------------------------------------------------------------

bool has_aims(const Report& report) {
  return std::ranges::any_of(report.findings,
                             [](const Finding& f) { return f.passed.has_value(); });
}

std::string badge(const Report& report) {
  if (!has_aims(report)) return R"(<span class="badge">measured</span>)";
  return report.passed() ? R"(<span class="badge accent">passed</span>)"
                         : R"(<span class="badge warning">FAILED</span>)";
}

std::string result_text(const Finding& finding) {
  if (!finding.passed) return "";
  return *finding.passed ? R"(<span class="word accent">ok</span>)"
                         : R"(<span class="word warning">FAILED</span>)";
}

std::string findings_table(const std::vector<Finding>& findings) {
  if (findings.empty()) return "";
  std::string rows;
  for (const Finding& finding : findings) {
    rows += fmt::format(R"(<tr><td>{}</td><td class="number">{}</td><td class="aim">{}</td>)",
                        html_escaped(finding.name), html_escaped(finding.value),
                        html_escaped(finding.aim));
    rows += fmt::format("<td class=\"side\">{}</td></tr>\n", result_text(finding));
  }
  return "<table>\n<tr><th>finding</th><th class=\"number\">value</th><th>aim</th>"
         "<th class=\"side\">result</th></tr>\n" +
         rows + "</table>\n";
}

std::string fact(std::string_view name, std::string_view value) {
  return fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", name, value);
}

std::string facts(const Report& report) {
  std::string out = fact("nodes", count_text(report.nodes)) +
                    fact("seed", std::to_string(report.seed)) +
                    fact("simulated", seconds_text(report.virtual_seconds)) +
                    fact("wall time", seconds_text(report.wall_seconds));
  if (report.threads > 1) out += fact("threads", std::to_string(report.threads));
  if (report.memory_per_node > 0) out += fact("memory a node", bytes_text(report.memory_per_node));
  out += fact("event hash", fmt::format("<code>{:016x}</code>", report.event_hash));
  return "<dl>\n" + out + "</dl>\n";
}

std::string dropped_note(const Report& report) {
  std::string out;
  for (const auto& [reason, count] : report.dropped) {
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", count_text(count), html_escaped(reason));
  }
  return out.empty() ? "" : "<p class=\"note\">Dropped: " + out + "</p>\n";
}

std::string command_text(const Report& report) {
  if (report.command.empty()) return "";
  return fmt::format("<p class=\"command\"><span>repeat with</span><code>{}</code></p>\n",
                     html_escaped(report.command));
}

std::string plots(const Report& report) {
  const std::string figures = delivery_figure(report) + hops_figure(report) + links_figure(report) +
                              bytes_figure(report) + joins_figure(report);
  return figures.empty() ? "" : "<div class=\"plots\">\n" + figures + "</div>\n";
}

std::string section(const Report& report, std::size_t number, bool is_only) {
  const std::string_view heading = is_only ? "h1" : "h2";
  std::string out =
      fmt::format("<section id=\"scenario-{}\"{}>\n", number, is_only ? R"( class="only")" : "");
  out += fmt::format("<div class=\"heading\"><{0}>{1}</{0}>{2}</div>\n", heading,
                     html_escaped(report.scenario), badge(report));
  if (!report.about.empty()) {
    out += fmt::format("<p class=\"about\">{}</p>\n", html_escaped(report.about));
  }
  return out + facts(report) + findings_table(report.findings) + dropped_note(report) +
         command_text(report) + plots(report) + "</section>\n";
}

// ---- The overview -----------------------------------------------------------------------------

std::string findings_list(const std::vector<Finding>& findings) {
  std::string items;
  for (const Finding& finding : findings) {
    const bool failed = finding.passed == false;
    const std::string aim = failed && !finding.aim.empty() ? " (aim: " + finding.aim + ")" : "";
    items +=
        fmt::format("<li{}>{}: {}{}</li>", failed ? R"( class="word warning")" : "",
                    html_escaped(finding.name), html_escaped(finding.value), html_escaped(aim));
  }
  return items.empty() ? "" : "<ul>" + items + "</ul>";
}

std::string overview(const std::vector<Report>& reports) {
  std::string rows;
  for (std::size_t i = 0; i < reports.size(); ++i) {
    rows += fmt::format(R"(<tr><td class="side"><a href="#scenario-{}">{}</a></td>)", i + 1,
                        html_escaped(reports[i].scenario));
    rows += fmt::format(R"(<td class="number">{}</td><td class="side">{}</td><td>{}</td></tr>)",
                        count_text(reports[i].nodes), badge(reports[i]),
                        findings_list(reports[i].findings));
    rows += "\n";
  }
  return fmt::format(
      "<h1>{} scenarios</h1>\n<table>\n<tr><th>scenario</th><th class=\"number\">nodes</th>"
      "<th>result</th><th>findings</th></tr>\n{}</table>\n",
      reports.size(), rows);
}

std::string title_of(const std::vector<Report>& reports) {
  return reports.size() == 1 ? "peer-relay simulation: " + html_escaped(reports.front().scenario)
                             : std::string{"peer-relay simulations"};
}

}  // namespace

std::string html_of(const std::vector<Report>& reports) {
  const bool is_only = reports.size() == 1;
  std::string body = is_only ? "" : overview(reports);
  for (std::size_t i = 0; i < reports.size(); ++i) body += section(reports[i], i + 1, is_only);
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n{}</body>\n</html>\n",
      title_of(reports), style, body);
}

}  // namespace peer_relay::sim
