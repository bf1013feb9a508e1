// SPDX-License-Identifier: MIT
//
// One plot as an <svg> of a page, coloured by the page's own style: so it follows light and dark.
// And the numbers of reports as people read them, on its axes and elsewhere.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace peer_relay::sim {

/// "12,345".
std::string count_text(std::uint64_t count);
/// "21.3 KiB".
std::string bytes_text(double bytes);
/// "0.35 s", "8.1 s", "1,312 s".
std::string seconds_text(double seconds);
/// Fit for the text of a page and for an attribute in double quotes.
std::string html_escaped(std::string_view text);

/// The least value that a share `q` of all is not above; `sorted` has some.
template <typename T>
T quantile_of(const std::vector<T>& sorted, double q) {
  const auto rank = std::ceil(q * static_cast<double>(sorted.size()));
  const auto index = static_cast<std::size_t>(std::max(rank, 1.0)) - 1;
  return sorted[std::min(index, sorted.size() - 1)];
}

/// What a histogram of whole numbers, [value]: how many, comes to.
struct Tally {
  std::uint64_t count = 0;
  double mean = 0;
  std::uint64_t p99 = 0;
  std::uint64_t max = 0;
};
Tally tally_of(const std::vector<std::uint64_t>& histogram);

/// log2 of a network's size, the measure of its paths; 0 for a network that has none.
double log2_of(std::uint64_t nodes);

struct Point {
  double x = 0;
  double y = 0;
};

struct Axis {
  std::string label;
  double from = 0;
  double to = 1;
  std::string unit{};     ///< behind each number, as "%"
  bool is_whole = false;  ///< numbers of things: no tick between two of them
  bool is_log = false;    ///< from and to are above 0
};

/// Which of the page's colours.
enum class Ink : std::uint8_t { accent, plain, warning };
/// The class that the page's style colours.
std::string_view class_of(Ink ink);

class SvgPlot {
 public:
  /// In pixels of a page that shows it unscaled. `title` is for those who cannot see it.
  SvgPlot(double width, std::string title, Axis x, Axis y);

  void bar(double from, double to, double height);
  void curve(const std::vector<Point>& points, Ink ink);
  /// A line across at one x, or a shaded span; its label, if any, stands above the plot.
  void mark(double from, double to, std::string label, Ink ink);

  std::string text() const;

 private:
  struct Mark {
    double from = 0;
    double to = 0;
    std::string label;
    Ink ink = Ink::plain;
  };
  /// Where a label went: its row, counted upwards from the plot, and what it takes of that row.
  struct Place {
    std::size_t row = 0;
    double left = 0;
    double right = 0;
    bool is_before = false;  ///< left of its mark, for want of room
    std::string label;
  };

  double x_at(double value) const;
  double y_at(double value) const;
  double right_edge() const;
  Place place_of(const Mark& mark, const std::vector<Place>& taken) const;
  std::vector<Place> places() const;
  std::string mark_text(const Mark& mark, const Place& place) const;
  std::string label_text(const Mark& mark, const Place& place) const;
  std::string x_axis_text() const;
  std::string y_axis_text() const;

  double width_;
  std::string title_;
  Axis x_;
  Axis y_;
  std::string drawn_;
  std::vector<Mark> marks_;
};

/// A round number of 1, 2 or 5 times a power of ten, not below `at_least`.
double round_step(double at_least);

}  // namespace peer_relay::sim
