// SPDX-License-Identifier: MIT
//
// Values as people write and read them. What strangers wrote is escaped before a terminal sees it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "peer_relay/bytes.hpp"
#include "peer_relay/time.hpp"

namespace peer_relay::app {

/// Three digits and a unit: "850 µs", "1.24 ms", "15 s", "3 min 20 s", "2 d 4 h".
std::string duration_text(Duration duration);

/// "512 B", "1.5 KiB", "20 MiB".
std::string bytes_text(std::uint64_t count);

/// "12,345".
std::string count_text(std::uint64_t count);

/// "1 link", "2 links": a number with its noun.
std::string counted(std::uint64_t count, std::string_view noun);

/// "250ms", "1.5s", "2m", "1h"; a plain number is seconds. Nothing for all else, or below zero.
std::optional<Duration> parse_duration(std::string_view text);

bool is_utf8(std::string_view text);

/// What can move a cursor, hide or turn text around becomes `\n`, `\x1b` or `\u{202e}`; so do bytes
/// that are no UTF-8. All else stays.
std::string escaped(std::string_view text);

/// The same, cut after about `columns` characters, with an ellipsis.
std::string escaped(std::string_view text, std::size_t columns);

/// As one word of a POSIX shell.
std::string shell_word(std::string_view text);

/// A port: 1 to 65535, in decimal.
std::optional<std::uint16_t> port_in(std::string_view text);

std::string base64(BytesView bytes);
std::optional<Bytes> from_base64(std::string_view text);

/// Underscores of a reason's name as spaces.
std::string in_words(std::string_view name);

}  // namespace peer_relay::app
