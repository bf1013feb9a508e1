// SPDX-License-Identifier: MIT
//
// Reads the golden vectors; tests/vectors/README.md has their format.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "peer_relay/bytes.hpp"

namespace peer_relay {

/// The value of two lower-case hex digits, or -1.
inline int hex_pair(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  if (text.size() != 2) return -1;
  const std::size_t high = digits.find(text[0]);
  const std::size_t low = digits.find(text[1]);
  if (high == std::string_view::npos || low == std::string_view::npos) return -1;
  return static_cast<int>(high * 16 + low);
}

/// The bytes of a vector's text; nothing where it breaks its format.
inline std::optional<Bytes> parse_vector(const std::string& text) {
  Bytes out;
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#')) continue;
    for (std::size_t at = 0; at < line.size(); at += 3) {
      const int value = hex_pair(std::string_view{line}.substr(at, 2));
      if (value < 0 || (at + 2 < line.size() && line[at + 2] != ' ')) return std::nullopt;
      out.push_back(static_cast<std::uint8_t>(value));
    }
  }
  return out;
}

/// The golden bytes of this name. A test that asks for one that is missing or broken fails.
inline Bytes golden(std::string_view name) {
  const auto path = std::filesystem::path{PEER_RELAY_VECTORS_DIR} / (std::string{name} + ".hex");
  std::ifstream file{path, std::ios::binary};
  std::ostringstream text;
  text << file.rdbuf();
  const auto bytes = parse_vector(text.str());
  if (!bytes || bytes->empty()) ADD_FAILURE() << "missing or broken: " << path;
  return bytes.value_or(Bytes{});
}

/// Names of all vectors, in their order.
inline std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator{PEER_RELAY_VECTORS_DIR}) {
    if (entry.path().extension() == ".hex") names.push_back(entry.path().stem().string());
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace peer_relay
