// SPDX-License-Identifier: MIT
#include "svg_plot.hpp"

#include <array>
#include <functional>
#include <numeric>
#include <utility>

#include <fmt/format.h>

namespace peer_relay::sim {
namespace {

// The plot's frame. Rows of labels go above y = 0, so the frame need not know how many there are.
constexpr double left_margin = 66;
constexpr double right_margin = 18;
constexpr double height = 220;
constexpr double bottom_margin = 50;
constexpr double row_height = 17;
constexpr double letter_width = 6.4;  // of 12 px text, on the wide side
constexpr double label_gap = 5;
constexpr std::size_t rows_max = 5;

// UTF-8 that is cut only between letters.
std::size_t letters_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string cut(std::string text, std::size_t letters) {
  if (letters_of(text) <= letters) return text;
  while (!text.empty() && letters_of(text) >= letters) text.pop_back();
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text + "…";
}

double text_width(std::string_view text) {
  return static_cast<double>(letters_of(text)) * letter_width;
}

std::vector<double> linear_ticks(const Axis& axis, double wished) {
  double step = round_step((axis.to - axis.from) / wished);
  if (axis.is_whole) step = std::max(step, 1.0);
  std::vector<double> ticks;
  const double first = std::ceil(axis.from / step - 1e-9);
  for (double n = first; n * step <= axis.to + step * 1e-9; ++n)
    ticks.push_back(n * step + 0.0);  // -0 is none
  return ticks;
}

std::vector<double> decades(const Axis& axis) {
  std::vector<double> ticks;
  const double last = std::floor(std::log10(axis.to) + 1e-9);
  for (double n = std::ceil(std::log10(axis.from) - 1e-9); n <= last; ++n) {
    ticks.push_back(std::pow(10, n));
  }
  return ticks;
}

std::vector<double> ticks_of(const Axis& axis, double wished) {
  return axis.is_log ? decades(axis) : linear_ticks(axis, wished);
}

// "0.5 %", "12,000", and "10 kB" where decades would be wide.
std::string tick_text(const Axis& axis, double value) {
  const std::string_view gap = axis.unit.empty() ? "" : " ";
  if (axis.is_log && value >= 1e6) return fmt::format("{:g} M{}", value / 1e6, axis.unit);
  if (axis.is_log && value >= 1e3) return fmt::format("{:g} k{}", value / 1e3, axis.unit);
  if (value < 1e4) return fmt::format("{:.6g}{}{}", value, gap, axis.unit);
  return count_text(static_cast<std::uint64_t>(std::llround(value))) + axis.unit;
}

std::string line_text(std::string_view style, double x1, double y1, double x2, double y2) {
  return fmt::format(R"(<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>)", style,
                     x1, y1, x2, y2);
}

double share_of(const Axis& axis, double value) {
  if (axis.is_log) {
    const double low = std::log10(axis.from);
    return (std::log10(std::max(value, axis.from)) - low) / (std::log10(axis.to) - low);
  }
  return (value - axis.from) / (axis.to - axis.from);
}

// No axis may be of no length: shares of it are quotients.
Axis sound(Axis axis) {
  if (axis.is_log) axis.from = std::max(axis.from, 1e-9);
  if (!(axis.to > axis.from)) axis.to = axis.is_log ? axis.from * 10 : axis.from + 1;
  return axis;
}

}  // namespace

std::string count_text(std::uint64_t count) {
  std::string digits = std::to_string(count);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

std::string bytes_text(double bytes) {
  constexpr std::array units{"B", "KiB", "MiB", "GiB"};
  std::size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < units.size(); ++unit) bytes /= 1024;
  return unit == 0 || bytes >= 100 ? fmt::format("{:.0f} {}", bytes, units[unit])
                                   : fmt::format("{:.1f} {}", bytes, units[unit]);
}

std::string seconds_text(double seconds) {
  if (seconds > 0 && seconds < 1) return fmt::format("{:.2f} s", seconds);
  if (seconds < 100 && seconds != std::floor(seconds)) return fmt::format("{:.1f} s", seconds);
  return count_text(static_cast<std::uint64_t>(std::llround(std::max(seconds, 0.0)))) + " s";
}

std::string html_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

Tally tally_of(const std::vector<std::uint64_t>& histogram) {
  Tally tally;
  tally.count = std::accumulate(histogram.begin(), histogram.end(), std::uint64_t{0});
  if (tally.count == 0) return tally;
  double sum = 0;
  std::uint64_t seen = 0;
  const std::uint64_t rank = tally.count - tally.count / 100;
  for (std::uint64_t value = 0; value < histogram.size(); ++value) {
    if (histogram[value] == 0) continue;
    sum += static_cast<double>(value) * static_cast<double>(histogram[value]);
    if (seen < rank) tally.p99 = value;
    seen += histogram[value];
    tally.max = value;
  }
  tally.mean = sum / static_cast<double>(tally.count);
  return tally;
}

double log2_of(std::uint64_t nodes) {
  return nodes > 1 ? std::log2(static_cast<double>(nodes)) : 0;
}

double round_step(double at_least) {
  if (!(at_least > 0)) return 1;
  const double power = std::pow(10, std::floor(std::log10(at_least)));
  for (const double times : {1.0, 2.0, 5.0}) {
    if (times * power >= at_least * (1 - 1e-9)) return times * power;
  }
  return 10 * power;
}

std::string_view class_of(Ink ink) {
  switch (ink) {
    case Ink::accent:
      return "accent";
    case Ink::plain:
      return "plain";
    case Ink::warning:
      return "warning";
  }
  std::unreachable();
}

SvgPlot::SvgPlot(double width, std::string title, Axis x, Axis y)
    : width_{width}, title_{std::move(title)}, x_{sound(std::move(x))}, y_{sound(std::move(y))} {}

double SvgPlot::right_edge() const { return width_ - right_margin; }

double SvgPlot::x_at(double value) const {
  const double share = std::clamp(share_of(x_, value), 0.0, 1.0);
  return left_margin + share * (right_edge() - left_margin);
}

double SvgPlot::y_at(double value) const {
  return height * (1 - std::clamp(share_of(y_, value), 0.0, 1.0));
}

void SvgPlot::bar(double from, double to, double tall) {
  const double left = x_at(from);
  const double room = x_at(to) - left;
  const double gap = room > 4 ? 1 : 0;
  drawn_ +=
      fmt::format(R"(<rect class="accent" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>)",
                  left + gap / 2, y_at(tall), std::max(room - gap, 0.5), height - y_at(tall));
}

void SvgPlot::curve(const std::vector<Point>& points, Ink ink) {
  std::string path;
  for (const Point& point : points) {
    path += fmt::format("{}{:.1f},{:.1f}", path.empty() ? "" : " ", x_at(point.x), y_at(point.y));
  }
  drawn_ += fmt::format(R"(<polyline class="{}" points="{}"/>)", class_of(ink), path);
}

void SvgPlot::mark(double from, double to, std::string label, Ink ink) {
  marks_.push_back({from, to, std::move(label), ink});
}

// Right of its mark if it fits, else on the roomier side; above all that it would run into.
SvgPlot::Place SvgPlot::place_of(const Mark& mark, const std::vector<Place>& taken) const {
  const double x = x_at(mark.from);
  Place place{0, x, x, false, mark.label};
  if (mark.label.empty()) return place;
  const double after = width_ - x - label_gap;
  place.is_before = text_width(mark.label) > after && x > after;
  const double room = place.is_before ? x - label_gap : after;
  place.label = cut(mark.label, static_cast<std::size_t>(room / letter_width));
  const double taking = text_width(place.label) + label_gap * 2;
  (place.is_before ? place.left : place.right) += place.is_before ? -taking : taking;
  for (const Place& other : taken) {
    if (other.label.empty() || other.right < place.left || other.left > place.right) continue;
    place.row = std::max(place.row, other.row + 1);
  }
  if (place.row >= rows_max) place.label.clear();  // a bare line, rather than text on text
  return place;
}

// From the rightmost mark to the leftmost: a label then stands above the lines that it passes.
std::vector<SvgPlot::Place> SvgPlot::places() const {
  std::vector<std::size_t> order(marks_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater{}, [this](std::size_t i) { return marks_[i].from; });
  std::vector<Place> found(marks_.size());
  std::vector<Place> taken;
  for (const std::size_t i : order) taken.push_back(found[i] = place_of(marks_[i], taken));
  return found;
}

std::string SvgPlot::mark_text(const Mark& mark, const Place& place) const {
  const double x = x_at(mark.from);
  const double lift = place.label.empty() ? 0 : static_cast<double>(place.row + 1) * row_height;
  std::string out;
  if (mark.to > mark.from) {
    out = fmt::format(R"(<rect class="span {}" x="{:.1f}" y="0" width="{:.1f}" height="{:.1f}"/>)",
                      class_of(mark.ink), x, x_at(mark.to) - x, height);
  }
  return out + line_text(fmt::format("mark {}", class_of(mark.ink)), x, -lift, x, height);
}

std::string SvgPlot::label_text(const Mark& mark, const Place& place) const {
  if (place.label.empty()) return "";
  const double x = x_at(mark.from) + (place.is_before ? -label_gap : label_gap);
  return fmt::format(R"(<text class="label {}" x="{:.1f}" y="{:.1f}"{}>{}</text>)",
                     class_of(mark.ink), x, -static_cast<double>(place.row) * row_height - 6,
                     place.is_before ? R"( text-anchor="end")" : "", html_escaped(place.label));
}

std::string SvgPlot::x_axis_text() const {
  std::string out = line_text("axis", left_margin, height, right_edge(), height);
  for (const double tick : ticks_of(x_, (right_edge() - left_margin) / 70)) {
    const double x = x_at(tick);
    out += line_text("axis", x, height, x, height + 5);
    out += fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>)", x,
                       height + 19, html_escaped(tick_text(x_, tick)));
  }
  return out + fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>)",
                           (left_margin + right_edge()) / 2, height + 40, html_escaped(x_.label));
}

std::string SvgPlot::y_axis_text() const {
  std::string out;
  for (const double tick : ticks_of(y_, 5)) {
    const double y = y_at(tick);
    out += line_text("grid", left_margin, y, right_edge(), y);
    out += fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>)",
                       left_margin - 8, y + 4, html_escaped(tick_text(y_, tick)));
  }
  const std::string turned = fmt::format("translate(13,{:.1f}) rotate(-90)", height / 2);
  return out + fmt::format(R"(<text transform="{}" text-anchor="middle">{}</text>)", turned,
                           html_escaped(y_.label));
}

std::string SvgPlot::text() const {
  const std::vector<Place> where = places();
  std::string behind;
  std::string before;
  std::size_t rows = 0;
  for (std::size_t i = 0; i < marks_.size(); ++i) {
    (marks_[i].to > marks_[i].from ? behind : before) += mark_text(marks_[i], where[i]);
    if (!where[i].label.empty()) rows = std::max(rows, where[i].row + 1);
  }
  for (std::size_t i = 0; i < marks_.size(); ++i) before += label_text(marks_[i], where[i]);
  const double top = static_cast<double>(rows) * row_height + 8;
  return fmt::format(
      "<svg viewBox=\"0 {:.0f} {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\">{}{}{}{}{}</svg>\n",
      -top, width_, top + height + bottom_margin, html_escaped(title_), behind, y_axis_text(),
      drawn_, x_axis_text(), before);
}

}  // namespace peer_relay::sim
