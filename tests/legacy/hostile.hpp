// SPDX-License-Identifier: MIT
//
// The lines of hostile.txt.
#pragma once

#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "peer_relay/node_id.hpp"

namespace peer_relay::testing {

struct Hostile {
  bool is_first = false;  ///< meant to open a link
  std::string text;
};

inline void replace_all(std::string& text, const std::string& what, const std::string& with) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) {
    text.replace(at, what.size(), with);
  }
}

/// Each line, said by `from` to `to`.
inline std::vector<Hostile> hostile_texts(const NodeId& to, const NodeId& from) {
  const char* const given = std::getenv("PEER_RELAY_SOURCE_DIR");
  const std::string dir = given != nullptr ? given : PEER_RELAY_SOURCE_DIR;
  std::ifstream in{dir + "/tests/legacy/hostile.txt"};
  if (!in) throw std::runtime_error("cannot read hostile.txt");
  std::string buffer = "{\"type\":\"Buffer\",\"data\":[";
  for (const std::uint8_t byte : from.bytes) buffer += std::to_string(byte) + ",";
  buffer.back() = ']';
  buffer += '}';
  std::vector<Hostile> out;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line.front() == '#') continue;
    const std::size_t space = std::min(line.find(' '), line.size());
    Hostile one{.is_first = line.substr(0, space) == "first",
                .text = line.substr(std::min(space + 1, line.size()))};
    replace_all(one.text, "NEST", std::string(200'000, '[') + std::string(200'000, ']'));
    replace_all(one.text, "BUF", buffer);
    replace_all(one.text, "TO", to.to_hex());
    replace_all(one.text, "FROM", from.to_hex());
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace peer_relay::testing
