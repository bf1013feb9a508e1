// SPDX-License-Identifier: MIT
#include "columns.hpp"

#include <algorithm>

namespace peer_relay::app {

std::size_t columns_of(std::string_view text) {
  const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; };
  return text.size() - static_cast<std::size_t>(std::ranges::count_if(text, continues));
}

Columns::Columns(std::vector<Heading> headings) : headings_{std::move(headings)} {}

void Columns::add(std::vector<std::string> cells) {
  cells.resize(headings_.size());
  rows_.push_back(std::move(cells));
}

std::string Columns::text() const {
  std::vector<std::string> first;
  for (const Heading& heading : headings_) first.push_back(heading.text);
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < first.size(); ++i) {
    widths.push_back(columns_of(first[i]));
    for (const auto& row : rows_) widths[i] = std::max(widths[i], columns_of(row[i]));
  }
  const bool has_heading = !std::ranges::all_of(first, &std::string::empty);
  std::string out = has_heading ? line(first, widths) : "";
  for (const auto& row : rows_) out += line(row, widths);
  return out;
}

std::string Columns::line(const std::vector<std::string>& cells,
                          const std::vector<std::size_t>& widths) const {
  std::string out;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::string blank(widths[i] - columns_of(cells[i]), ' ');
    if (i > 0) out += "  ";
    out += headings_[i].align == Align::right ? blank + cells[i] : cells[i] + blank;
  }
  out.erase(out.find_last_not_of(' ') + 1);
  return out + "\n";
}

}  // namespace peer_relay::app
