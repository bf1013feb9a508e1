// SPDX-License-Identifier: MIT
#include "core/exchange/command.hpp"

#include <algorithm>
#include <charconv>

#include "base/assert.hpp"
#include "core/json_outline.hpp"

namespace peer_relay::exchange {

namespace {

constexpr auto all_transports = {ExchangeTransport::tcp, ExchangeTransport::websocket,
                                 ExchangeTransport::webrtc};

template <class T>
auto& at(T& by_transport, ExchangeTransport transport) {
  return by_transport[static_cast<std::size_t>(transport)];
}

std::unexpected<LineFault> broken() { return std::unexpected(LineFault::broken); }

JsonOutline object_in(std::string_view text) {
  JsonOutline outline = outline_of(text, line_depth_max);
  const bool is_sound = outline.is_json && outline.kind == JsonKind::object &&
                        !JsonOutline::has_repeated(outline.members);
  if (!is_sound) outline.members.clear();
  return outline;
}

std::string string_in(const JsonOutline& outline, std::string_view key) {
  const JsonMember* const member = outline.find(key);
  return member != nullptr && member->kind == JsonKind::string ? member->string : std::string{};
}

std::optional<ExchangeTransport> transport_in(const JsonOutline& outline) {
  return exchange_transport_of(string_in(outline, "transport"));
}

/// A JSON number that is 0, however it is spelled.
bool is_zero(std::string_view number) {
  const std::string_view digits = number.substr(0, number.find_first_of("eE"));
  return digits.find_first_not_of("-0.") == std::string_view::npos;
}

/// Ports that are none count as not said.
Opts read_opts(std::string_view text) {
  Opts out;
  const JsonOutline opts = object_in(text);
  const JsonMember* const port = opts.find("port");
  if (port != nullptr && port->kind == JsonKind::number) {
    const char* const end = port->text.data() + port->text.size();
    std::uint16_t value = 0;
    const auto read = std::from_chars(port->text.data(), end, value);
    if (read.ec == std::errc{} && read.ptr == end) out.port = value;
  }
  const JsonMember* const secure = opts.find("secure");
  out.secure = secure != nullptr && secure->text == "true";
  return out;
}

std::expected<Command, LineFault> read_hello(const JsonOutline& line) {
  Hello out;
  out.network = string_in(line, "id");
  if (out.network.size() > network_bytes_max) return broken();
  const JsonMember* const version = line.find("version");
  out.is_version_0 =
      version != nullptr && version->kind == JsonKind::number && is_zero(version->text);
  if (const JsonMember* const accepts = line.find("accepts")) {
    const JsonOutline all = object_in(accepts->text);
    for (const ExchangeTransport each : all_transports) {
      if (const JsonMember* const opts = all.find(name_of(each))) {
        at(out.accepts, each) = read_opts(opts->text);
      }
    }
  }
  if (const JsonMember* const transports = line.find("transports")) {
    for (const std::string_view name :
         plain_strings(transports->text).value_or(std::vector<std::string_view>{})) {
      if (const auto each = exchange_transport_of(name)) at(out.transports, *each) = true;
    }
  }
  return out;
}

Answer read_answer(std::string request, const JsonOutline& line) {
  Answer out{.request = std::move(request), .transport = transport_in(line)};
  if (const JsonMember* const opts = line.find("opts")) out.opts = read_opts(opts->text);
  out.address = string_in(line, "address");
  out.nonce = string_in(line, "nonce");
  return out;
}

// ---- Writing ----

void append_string(std::string& out, std::string_view text) {
  constexpr std::string_view hex = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += "\\u00";
      out += hex[byte >> 4];
      out += hex[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

std::string command_of(std::string_view name) {
  std::string out = "{\"command\":";
  append_string(out, name);
  return out;
}

void append_member(std::string& out, std::string_view key, std::string_view text) {
  out += ",\"";
  out += key;
  out += "\":";
  append_string(out, text);
}

std::string ended(std::string line) { return line += "}\n"; }

/// A node stores `true` for a transport that needs no more to be said of it.
std::string opts_text(ExchangeTransport transport, const Opts& opts) {
  if (transport == ExchangeTransport::webrtc) return "true";
  std::string out = "{\"port\":" + std::to_string(opts.port);
  if (opts.secure) out += ",\"secure\":true";
  return out + '}';
}

}  // namespace

std::optional<std::string_view> LineReader::next(BytesView& bytes) {
  if (given_) line_.clear();
  given_ = false;
  while (!bytes.empty() && !overlong_) {
    const std::string_view text = as_text(bytes);
    const std::size_t end = text.find('\n');
    const std::string_view part = text.substr(0, end);
    overlong_ = line_.size() + part.size() > line_bytes_max;
    if (overlong_) break;
    line_ += part;
    bytes = bytes.subspan(std::min(text.size(), part.size() + 1));
    if (end == std::string_view::npos) break;
    if (line_.ends_with('\r')) line_.pop_back();
    if (line_.empty()) continue;
    given_ = true;
    return line_;
  }
  return std::nullopt;
}

std::expected<Command, LineFault> read_command(std::string_view text) {
  const JsonOutline line = outline_of(text, line_depth_max);
  if (!line.is_json || line.kind == JsonKind::null) return broken();
  if (line.kind != JsonKind::object) return std::unexpected(LineFault::ignored);
  // JavaScript takes the last of two; none is ever written.
  if (JsonOutline::has_repeated(line.members)) return broken();
  const JsonMember* const command = line.find("command");
  if (command == nullptr || command->kind != JsonKind::string) {
    return std::unexpected(LineFault::ignored);
  }
  const std::string& name = command->string;
  if (name == "hello") return read_hello(line);
  if (name == "helloack") return HelloAck{};
  if (name == "accept") {
    Accept out{.transport = transport_in(line), .opts = {}};
    if (const JsonMember* const opts = line.find("opts")) out.opts = read_opts(opts->text);
    return out;
  }
  if (name == "unaccept") return Unaccept{transport_in(line)};
  if (name == "getPeer") return GetPeer{string_in(line, "reqId")};
  if (name == "incoming") return Incoming{string_in(line, "nonce"), transport_in(line)};
  return read_answer(name, line);
}

bool is_number_like(std::string_view text) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return text.size() <= number_bytes_max && std::ranges::any_of(text, is_digit) &&
         std::ranges::all_of(text, [&](char c) { return is_digit(c) || is_letter(c); });
}

std::string hello_line(const OwnHello& hello) {
  std::string out = command_of("hello");
  append_member(out, "id", hello.network);
  out += ",\"version\":0,\"accepts\":{";
  const char* comma = "";
  for (const ExchangeTransport each : all_transports) {
    const auto& port = at(hello.accepts, each);
    if (!port) continue;
    out += comma;
    append_string(out, name_of(each));
    out += ':' + opts_text(each, {.port = *port});
    comma = ",";
  }
  out += "},\"transports\":[";
  comma = "";
  for (const ExchangeTransport each : all_transports) {
    if (!at(hello.transports, each)) continue;
    out += comma;
    append_string(out, name_of(each));
    comma = ",";
  }
  out += ']';
  if (!hello.receiver_address.empty()) {
    append_member(out, "receiverAddress", hello.receiver_address);
  }
  return ended(std::move(out));
}

std::string helloack_line() { return ended(command_of("helloack")); }

std::string accept_line(ExchangeTransport transport, std::uint16_t port) {
  std::string out = command_of("accept");
  append_member(out, "transport", name_of(transport));
  if (transport != ExchangeTransport::webrtc) {
    out += ",\"opts\":" + opts_text(transport, {.port = port});
  }
  return ended(std::move(out));
}

std::string unaccept_line(ExchangeTransport transport) {
  std::string out = command_of("unaccept");
  append_member(out, "transport", name_of(transport));
  return ended(std::move(out));
}

std::string get_peer_line(std::string_view request) {
  PEER_RELAY_ASSERT(is_number_like(request));
  std::string out = command_of("getPeer");
  append_member(out, "reqId", request);
  return ended(std::move(out));
}

std::string incoming_line(std::string_view nonce) {
  PEER_RELAY_ASSERT(is_number_like(nonce));
  std::string out = command_of("incoming");
  append_member(out, "nonce", nonce);
  append_member(out, "transport", name_of(ExchangeTransport::webrtc));
  return ended(std::move(out));
}

std::string nobody_line(std::string_view request) {
  PEER_RELAY_ASSERT(is_number_like(request));
  return ended(command_of(request) += ",\"transport\":null,\"opts\":null,\"address\":null");
}

std::string answer_line(const Answer& answer) {
  PEER_RELAY_ASSERT(is_number_like(answer.request) && is_number_like(answer.nonce) &&
                    answer.transport && !answer.address.empty());
  std::string out = command_of(answer.request);
  append_member(out, "transport", name_of(*answer.transport));
  out += ",\"opts\":" + opts_text(*answer.transport, answer.opts);
  append_member(out, "address", answer.address);
  append_member(out, "nonce", answer.nonce);
  return ended(std::move(out));
}

}  // namespace peer_relay::exchange
