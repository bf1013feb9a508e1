// SPDX-License-Identifier: MIT
//
// Every format of the wire in one row, as a function from bytes to the same bytes by way of the
// struct: what holds for all of them is tested once, with chosen bytes
// (src/core/wire/wire_test.cpp) and with a fuzzer's (wire_fuzz.cpp).
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "core/wire/contact.hpp"
#include "core/wire/envelope.hpp"
#include "core/wire/frame.hpp"
#include "core/wire/hello.hpp"
#include "core/wire/legacy.hpp"
#include "core/wire/overlay.hpp"
#include "core/wire/sealed.hpp"
#include "core/wire/stream.hpp"
#include "peer_relay/bytes.hpp"

namespace peer_relay {

/// Decodes and encodes again; nothing where the decoder says no.
using Again = std::optional<Bytes> (*)(BytesView);

struct Format {
  std::string_view name;
  Again again;
  bool canonical = true;  ///< one struct, one encoding: what comes back is what went in
};

namespace wire_formats {

template <auto decode, auto encode>
std::optional<Bytes> again(BytesView bytes) {
  const auto decoded = decode(bytes);
  if (!decoded) return std::nullopt;
  Bytes out;
  encode(*decoded, out);
  return out;
}

/// For encoders that write the frame's header too.
inline void drop_frame_header(Bytes& out) {
  out.erase(out.begin(), out.begin() + frame_header_bytes);
}

inline void encode_whole_contact(const ContactRecord& record, Bytes& out) {
  encode_contact_unsigned(record, out);
  out.insert(out.end(), record.signature.begin(), record.signature.end());
}
inline void encode_whole_accepted(const Accepted& accepted, Bytes& out) {
  encode_accepted(accepted.noise, out);
}
inline void encode_envelope(const Envelope& envelope, Bytes& out) {
  append_route_frame(envelope, out);
  drop_frame_header(out);
}
inline void encode_ping(std::uint64_t value, Bytes& out) {
  append_ping(FrameKind::ping, value, out);
  drop_frame_header(out);
}
inline void encode_goodbye(CloseReason reason, Bytes& out) {
  append_goodbye(reason, out);
  drop_frame_header(out);
}
inline void encode_whole_session_data(const SessionData& data, Bytes& out) {
  encode_session_data_header(data.index, data.counter, out);
  out.insert(out.end(), data.sealed.begin(), data.sealed.end());
}
inline void encode_stream_data(const StreamData& data, Bytes& out) {
  append_stream_data_header(data, data.bytes.size(), out);
  out.insert(out.end(), data.bytes.begin(), data.bytes.end());
  drop_frame_header(out);
}
inline void encode_stream_window(const StreamWindow& window, Bytes& out) {
  append_stream_window(window, out);
  drop_frame_header(out);
}
inline void encode_stream_reset(const StreamReset& reset, Bytes& out) {
  append_stream_reset(reset, out);
  drop_frame_header(out);
}
inline void encode_stream_packet(const StreamPacket& packet, Bytes& out) {
  encode_stream_packet_header(packet, out);
  out.insert(out.end(), packet.frames.begin(), packet.frames.end());
}

}  // namespace wire_formats

/// Appended to, never reordered: a fuzzer's seeds name them by their place.
inline constexpr auto formats = [] {
  using namespace wire_formats;
  return std::to_array<Format>({
      {"hello", again<decode_hello, encode_hello>, false},  // another version's is not read
      {"accepted", again<decode_accepted, encode_whole_accepted>},
      {"refused", again<decode_refused, encode_refused>, false},  // unknown reasons become one
      {"introduction", again<decode_introduction, encode_introduction>, false},  // observed host
      {"contact", again<decode_contact, encode_whole_contact>, false},  // unknown addresses
      {"envelope", again<decode_envelope, encode_envelope>},
      {"ping", again<decode_ping, encode_ping>},
      {"goodbye", again<decode_goodbye, encode_goodbye>, false},  // unknown reasons become one
      {"lookup", again<decode_lookup, encode_lookup>},
      {"lookup_answer", again<decode_lookup_answer, encode_lookup_answer>},
      {"unreachable", again<decode_unreachable, encode_unreachable>},
      {"contacts", again<decode_neighbour_contacts, encode_neighbour_contacts>},
      {"dial_back", again<decode_dial_back, encode_dial_back>},
      {"dial_back_result", again<decode_dial_back_result, encode_dial_back_result>},
      {"session_open", again<decode_session_open, encode_session_open>},
      {"session_answer", again<decode_session_answer, encode_session_answer>},
      {"session_finish", again<decode_session_finish, encode_session_finish>},
      {"session_data", again<decode_session_data, encode_whole_session_data>},
      {"session_unknown", again<decode_session_unknown, encode_session_unknown>},
      {"session_payload", again<decode_session_payload, encode_session_payload>},
      {"content", again<decode_content, encode_content>},
      {"legacy", again<decode_legacy, encode_legacy>},
      {"stream_data", again<decode_stream_data, encode_stream_data>},
      {"stream_window", again<decode_stream_window, encode_stream_window>},
      {"stream_reset", again<decode_stream_reset, encode_stream_reset>, false},  // unknown reasons
      {"stream_packet", again<decode_stream_packet, encode_stream_packet>},
      {"stream_ack", again<decode_stream_ack, encode_stream_ack>},
  });
}();

/// Whether what must hold for some bytes holds: a canonical format gives them back, and any format
/// comes to rest after one turn.
inline bool keeps_its_promise(const Format& format, BytesView bytes) {
  const auto once = format.again(bytes);
  if (!once) return true;
  if (format.canonical) return std::ranges::equal(*once, bytes);
  return format.again(*once) == once;
}

}  // namespace peer_relay
