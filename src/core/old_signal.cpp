// SPDX-License-Identifier: MIT
#include "core/old_signal.hpp"

#include "core/json_outline.hpp"
#include "peer_relay/limits.hpp"

namespace peer_relay {

namespace {

constexpr std::size_t signal_depth_max = 8;

const JsonMember* string_in(const JsonOutline& outline, std::string_view key) {
  const JsonMember* const member = outline.find(key);
  return member != nullptr && member->kind == JsonKind::string ? member : nullptr;
}

JsonOutline object_in(std::string_view text) {
  JsonOutline outline = outline_of(text, signal_depth_max);
  const bool is_sound = outline.is_json && !outline.is_too_deep && !outline.is_too_wide &&
                        outline.kind == JsonKind::object &&
                        !JsonOutline::has_repeated(outline.members);
  if (!is_sound) outline.members.clear();
  return outline;
}

void append_escaped(std::string& out, std::string_view text) {
  constexpr std::string_view hex = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte > 0x7e) {  // our descriptions have none
      out += "\\u00";
      out += hex[byte >> 4];
      out += hex[byte & 15];
    } else {
      out += c;
    }
  }
}

}  // namespace

std::optional<OldSignal> read_signal(std::string_view content) {
  const JsonOutline signal = object_in(content);
  if (const JsonMember* const member = signal.find("candidate")) {
    const JsonOutline inner = object_in(member->text);
    const JsonMember* const line = string_in(inner, "candidate");
    if (line == nullptr || line->string.size() > limits::candidate_bytes_max) return std::nullopt;
    return OldSignal{.step = OldSignal::Step::candidate, .text = line->string};
  }
  const JsonMember* const type = string_in(signal, "type");
  const JsonMember* const sdp = string_in(signal, "sdp");
  if (type == nullptr || sdp == nullptr || sdp->string.size() > limits::description_bytes_max) {
    return std::nullopt;
  }
  if (type->string == "offer") return OldSignal{OldSignal::Step::offer, sdp->string};
  if (type->string == "answer") return OldSignal{OldSignal::Step::answer, sdp->string};
  return std::nullopt;
}

std::string signal_text(OldSignal::Step step, std::string_view sdp) {
  std::string out = R"({"type":")";
  out += step == OldSignal::Step::offer ? "offer" : "answer";
  out += R"(","sdp":")";
  append_escaped(out, sdp);
  out += "\"}";
  return out;
}

std::string signal_data(OldSignal::Step step, std::string_view sdp) {
  return R"({"type":"signal","data":)" + signal_text(step, sdp) + '}';
}

}  // namespace peer_relay
