// SPDX-License-Identifier: MIT
#include "core/json_outline.hpp"

#include <algorithm>
#include <iterator>

#include <nlohmann/json.hpp>

namespace peer_relay {

namespace {

/// Of one object. A routed message has five, and its data two.
constexpr std::size_t members_max = 64;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/// Reads a text and leaves behind how far it has come.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** progress) : at_(at), progress_(progress) {}

  const char& operator*() const { return *at_; }
  CountingIterator& operator++() {
    *progress_ = ++at_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** progress_;
};

/// Listens to the parser. Members are noted one level down, and two in the member `data`.
class Listener final : public nlohmann::json_sax<nlohmann::json> {
 public:
  Listener(JsonOutline& out, const char* const* progress, std::size_t depth_max)
      : out_(out), progress_(progress), depth_max_(depth_max) {}

  bool null() override { return scalar(JsonKind::null, 0); }
  bool boolean(bool) override { return scalar(JsonKind::boolean, 0); }
  // The end of a number shows only in the character behind it.
  bool number_integer(number_integer_t) override { return scalar(JsonKind::number, 1); }
  bool number_unsigned(number_unsigned_t) override { return scalar(JsonKind::number, 1); }
  bool number_float(number_float_t, const string_t&) override {
    return scalar(JsonKind::number, 1);
  }
  bool string(string_t& value) override {
    if (auto* const members = noting()) members->back().string = value;
    return scalar(JsonKind::string, 0);
  }
  bool binary(binary_t&) override { return false; }

  bool start_object(std::size_t) override { return open(JsonKind::object); }
  bool start_array(std::size_t) override { return open(JsonKind::array); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    std::vector<JsonMember>* const members = depth_ == 1          ? &out_.members
                                             : is_in_data_level() ? &out_.inner
                                                                  : nullptr;
    if (members == nullptr) return true;
    if (members->size() == members_max) {
      out_.is_too_wide = true;
      return false;
    }
    // Between the quote that ends the key and the value stand only spaces and a colon. A key's own
    // beginning is behind the last comma or brace.
    JsonMember member;
    member.key = name;
    member.key_text = {key_from(), *progress_};
    members->push_back(std::move(member));
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  bool is_in_data_level() const {
    return depth_ == 2 && !out_.members.empty() && out_.members.back().key == "data" &&
           is_in_object_;
  }

  const char* key_from() const {
    const char* from = last_end_;
    while (is_space(*from) || *from == ',') ++from;
    return from;
  }

  /// The members of the level at which a value that ends now would be a member's.
  std::vector<JsonMember>* noting() {
    if (depth_ == 1 && out_.kind == JsonKind::object) return &out_.members;
    return is_in_data_level() ? &out_.inner : nullptr;
  }

  bool scalar(JsonKind kind, std::ptrdiff_t read_ahead) {
    if (depth_ == 0) out_.kind = kind;
    note(kind, *progress_ - read_ahead);
    return true;
  }

  void note(JsonKind kind, const char* end) {
    last_end_ = end;
    std::vector<JsonMember>* const members = noting();
    if (members == nullptr || members->empty()) return;
    JsonMember& member = members->back();
    const char* from = member.key_text.data() + member.key_text.size();
    while (is_space(*from) || *from == ':') ++from;
    member.text = {from, end};
    member.kind = kind;
  }

  bool open(JsonKind kind) {
    if (depth_ == 0) out_.kind = kind;
    if (depth_ == 1) {
      is_in_object_ = kind == JsonKind::object;
      // `data` twice would mix the two; it is refused for that anyway.
      if (!out_.members.empty() && out_.members.back().key == "data") out_.inner.clear();
    }
    if (depth_ == depth_max_) {
      out_.is_too_deep = true;
      return false;
    }
    if (depth_ < kinds_kept) kinds_[depth_] = kind;
    ++depth_;
    last_end_ = *progress_;
    return true;
  }

  bool close() {
    --depth_;
    note(depth_ < kinds_kept ? kinds_[depth_] : JsonKind::object, *progress_);
    return true;
  }

  static constexpr std::size_t kinds_kept = 3;  // those of noted members

  JsonOutline& out_;
  const char* const* progress_;
  std::size_t depth_max_;
  std::size_t depth_ = 0;
  bool is_in_object_ = false;  // at the second level
  JsonKind kinds_[kinds_kept] = {};
  const char* last_end_ = nullptr;
};

/// Calls `take` with the text of each element of an array of scalars; false from it, or an element
/// that is none, ends it.
template <class Take>
bool for_each_scalar(std::string_view array, Take take) {
  if (array.size() < 2 || array.front() != '[' || array.back() != ']') return false;
  std::string_view rest = array.substr(1, array.size() - 2);
  const auto skip_spaces = [&rest] {
    while (!rest.empty() && is_space(rest.front())) rest.remove_prefix(1);
  };
  skip_spaces();
  if (rest.empty()) return true;
  for (;;) {
    skip_spaces();
    std::size_t end = 0;
    if (!rest.empty() && rest.front() == '"') {
      end = rest.find('"', 1);
      if (end == std::string_view::npos) return false;
      ++end;
    } else {
      while (end < rest.size() && rest[end] != ',' && !is_space(rest[end])) ++end;
    }
    if (end == 0 || !take(rest.substr(0, end))) return false;
    rest.remove_prefix(end);
    skip_spaces();
    if (rest.empty()) return true;
    if (rest.front() != ',') return false;
    rest.remove_prefix(1);
  }
}

}  // namespace

const JsonMember* JsonOutline::find(std::string_view key) const {
  const auto at = std::ranges::find(members, key, &JsonMember::key);
  return at == members.end() ? nullptr : &*at;
}

bool JsonOutline::has_repeated(const std::vector<JsonMember>& members) {
  // Few, as a rule: those with many are refused before they are compared.
  for (std::size_t i = 0; i < members.size(); ++i) {
    for (std::size_t j = i + 1; j < members.size(); ++j) {
      if (members[i].key == members[j].key) return true;
    }
  }
  return false;
}

JsonOutline outline_of(std::string_view text, std::size_t depth_max) {
  JsonOutline out;
  const char* progress = text.data();
  // JavaScript's parser refuses a byte order mark, which nlohmann's skips, and a NUL, which it
  // takes for the end.
  if (text.starts_with("\xef\xbb\xbf") || text.contains('\0')) return out;
  const char* const begin = progress;
  Listener listener{out, &progress, depth_max};
  out.is_json =
      nlohmann::json::sax_parse(CountingIterator{begin, &progress},
                                CountingIterator{begin + text.size(), &progress}, &listener);
  return out;
}

std::optional<std::vector<std::string_view>> plain_strings(std::string_view array) {
  std::vector<std::string_view> out;
  const bool all = for_each_scalar(array, [&](std::string_view element) {
    if (element.front() != '"' || element.find('\\') != std::string_view::npos) return false;
    out.push_back(element.substr(1, element.size() - 2));
    return true;
  });
  if (!all) return std::nullopt;
  return out;
}

std::optional<std::vector<std::uint8_t>> byte_numbers(std::string_view array) {
  std::vector<std::uint8_t> out;
  out.reserve(array.size() / 4 + 1);
  const bool all = for_each_scalar(array, [&](std::string_view element) {
    unsigned value = 0;
    if (element.size() > 3) return false;
    for (const char c : element) {
      if (c < '0' || c > '9') return false;
      value = value * 10 + static_cast<unsigned>(c - '0');
    }
    if (value > 255) return false;
    out.push_back(static_cast<std::uint8_t>(value));
    return true;
  });
  if (!all) return std::nullopt;
  return out;
}

}  // namespace peer_relay
