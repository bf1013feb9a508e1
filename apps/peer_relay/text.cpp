// SPDX-License-Identifier: MIT
#include "text.hpp"

#include <array>
#include <charconv>
#include <chrono>
#include <cmath>

#include <fmt/format.h>

namespace peer_relay::app {
namespace {

using namespace std::chrono_literals;

/// Three significant digits, and no zeros after the last one that says something.
std::string three_digits(double value) {
  std::string text =
      value < 10 ? fmt::format("{:.2f}", value)
                 : (value < 100 ? fmt::format("{:.1f}", value) : fmt::format("{:.0f}", value));
  if (text.find('.') == std::string::npos) return text;
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

std::string two_units(std::int64_t large, std::string_view large_unit, std::int64_t small,
                      std::string_view small_unit) {
  if (small == 0) return fmt::format("{} {}", large, large_unit);
  return fmt::format("{} {} {} {}", large, large_unit, small, small_unit);
}

struct CodePoint {
  char32_t value = 0;
  std::size_t length = 0;  ///< in bytes; 0: no UTF-8 begins here
};

/// RFC 3629 §4: neither surrogates nor more bytes than needed.
CodePoint first_code_point(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t length = lead >= 0xf0 ? 4 : (lead >= 0xe0 ? 3 : 2);
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return {};
  auto value = static_cast<char32_t>(lead & (0x7f >> length));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    value = value << 6 | (byte(i) & 0x3f);
  }
  constexpr std::array<char32_t, 5> smallest{0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < smallest[length] || value > 0x10ffff || surrogate) return {};
  return {value, length};
}

/// Controls (C0, DEL, C1), line separators, and the marks that reorder or hide text.
bool misleads(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c ||
         (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xe0000 && c <= 0xe0fff);
}

std::string escape_of(char32_t c) {
  switch (c) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      break;
  }
  const auto number = static_cast<std::uint32_t>(c);
  return c < 0x80 ? fmt::format("\\x{:02x}", number) : fmt::format("\\u{{{:x}}}", number);
}

constexpr std::string_view base64_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string duration_text(Duration duration) {
  const std::int64_t us = duration.count();
  if (us < 0) return "-" + duration_text(-duration);
  if (us < 1000) return fmt::format("{} µs", us);
  if (us < 999'500) return three_digits(static_cast<double>(us) / 1e3) + " ms";
  if (us < 59'950'000) return three_digits(static_cast<double>(us) / 1e6) + " s";
  const std::int64_t s = (us + 500'000) / 1'000'000;
  if (s < 3600) return two_units(s / 60, "min", s % 60, "s");
  if (s < 86'400) return two_units(s / 3600, "h", s % 3600 / 60, "min");
  return two_units(s / 86'400, "d", s % 86'400 / 3600, "h");
}

std::string bytes_text(std::uint64_t count) {
  constexpr std::array<std::string_view, 6> units{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto value = static_cast<double>(count);
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{} {}", unit == 0 ? std::to_string(count) : three_digits(value), units[unit]);
}

std::string count_text(std::uint64_t count) {
  std::string text = std::to_string(count);
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

std::string counted(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count_text(count), noun, count == 1 ? "" : "s");
}

std::optional<Duration> parse_duration(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || !std::isfinite(number) || number < 0) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  double us = 0;
  if (unit == "us" || unit == "µs") us = 1;
  if (unit == "ms") us = 1e3;
  if (unit.empty() || unit == "s") us = 1e6;
  if (unit == "m" || unit == "min") us = 60e6;
  if (unit == "h") us = 3600e6;
  if (us == 0 || number * us > 1e15) return std::nullopt;  // about thirty years
  return Duration{std::llround(number * us)};
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = first_code_point(text).length;
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string escaped(std::string_view text) { return escaped(text, text.size()); }

std::string escaped(std::string_view text, std::size_t columns) {
  std::string out;
  for (std::size_t column = 0; !text.empty(); ++column) {
    if (column >= columns) return out + "…";
    const CodePoint c = first_code_point(text);
    if (c.length == 0) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[0]));
    } else if (misleads(c.value)) {
      out += escape_of(c.value);
    } else {
      out += text.substr(0, c.length);
    }
    text.remove_prefix(c.length == 0 ? 1 : c.length);
  }
  return out;
}

std::string shell_word(std::string_view text) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=@%+,[]";
  if (!text.empty() && text.find_first_not_of(plain) == std::string_view::npos &&
      text.find('[') == std::string_view::npos) {
    return std::string{text};
  }
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string{"'\\''"} : std::string(1, c);
  return out + "'";
}

std::optional<std::uint16_t> port_in(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

std::string base64(BytesView bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t have = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) group = group << 8 | (k < have ? bytes[i + k] : 0u);
    for (std::size_t k = 0; k < 4; ++k) {
      out += k <= have ? base64_digits[group >> (18 - 6 * k) & 63] : '=';
    }
  }
  return out;
}

std::optional<Bytes> from_base64(std::string_view text) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  if (text.size() % 4 == 1) return std::nullopt;
  Bytes out;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    const std::size_t digit = base64_digits.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out.push_back(static_cast<std::uint8_t>(bits >> held));
  }
  return out;
}

std::string in_words(std::string_view name) {
  std::string text{name};
  for (char& c : text) c = c == '_' ? ' ' : c;
  return text;
}

}  // namespace peer_relay::app
