// SPDX-License-Identifier: MIT
//
// The members of a JSON object, and where their values stand in the text: so that what is carried
// on keeps its spelling. The grammar is nlohmann's, which needs neither exceptions nor a tree here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace peer_relay {

enum class JsonKind : std::uint8_t { null, boolean, number, string, array, object };

struct JsonMember {
  std::string key;            ///< what it says, without escapes
  std::string_view key_text;  ///< as spelled, with its quotes
  std::string_view text;      ///< the value, as spelled
  std::string string;         ///< what a string says
  JsonKind kind = JsonKind::null;
};

struct JsonOutline {
  bool is_json = false;  ///< one value and nothing else, in UTF-8
  bool is_too_deep = false;
  bool is_too_wide = false;  ///< more members than we look at
  JsonKind kind = JsonKind::null;
  std::vector<JsonMember> members{};  ///< of an object
  std::vector<JsonMember> inner{};    ///< of the object that its member `data` is

  const JsonMember* find(std::string_view key) const;
  /// Whether a key stands twice: JavaScript takes the last, and others the first.
  static bool has_repeated(const std::vector<JsonMember>& members);
};

JsonOutline outline_of(std::string_view text, std::size_t depth_max);

/// The texts of an array's elements, if all are strings without escapes (`strings`), or all are
/// whole numbers below 256 (`bytes`). The array is JSON already.
std::optional<std::vector<std::string_view>> plain_strings(std::string_view array);
std::optional<std::vector<std::uint8_t>> byte_numbers(std::string_view array);

}  // namespace peer_relay
