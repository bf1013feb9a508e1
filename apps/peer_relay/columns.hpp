// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace peer_relay::app {

/// How many columns of a terminal a text takes, as far as Latin, Greek and Cyrillic go.
std::size_t columns_of(std::string_view text);

enum class Align { left, right };

/// Rows under a heading, each column as wide as its widest cell, two spaces between.
class Columns {
 public:
  struct Heading {
    std::string text;
    Align align = Align::left;
  };
  explicit Columns(std::vector<Heading> headings);

  /// As many cells as there are headings.
  void add(std::vector<std::string> cells);

  bool empty() const { return rows_.empty(); }
  /// Lines ended by "\n"; no spaces at their ends. A table of empty headings has no heading line.
  std::string text() const;

 private:
  std::string line(const std::vector<std::string>& cells,
                   const std::vector<std::size_t>& widths) const;

  std::vector<Heading> headings_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace peer_relay::app
