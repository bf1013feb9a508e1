// SPDX-License-Identifier: MIT
#include "core/wire/sealed.hpp"

#include "base/writer.hpp"
#include "core/wire/decode.hpp"
#include "core/wire/envelope.hpp"
#include "core/wire/frame.hpp"
#include "peer_relay/limits.hpp"

namespace peer_relay {

using enum DecodeError;

namespace {

// The largest payload fits one batch with every header and tag that it gets on its way, both as
// data and as early data in the first message of a handshake: in IK that is e, s and two tags.
constexpr std::size_t content_bytes_max = content_header_bytes_max + limits::payload_bytes_max;
constexpr std::size_t around_body =
    envelope_header_bytes_max + frame_header_bytes + batch_tag_bytes;
constexpr std::size_t session_open_header_bytes = 5;
constexpr std::size_t ik_first_bytes = 32 + 32 + 2 * session_tag_bytes;
static_assert(around_body + session_data_header_bytes + content_bytes_max + session_tag_bytes <=
              limits::batch_bytes_max);
static_assert(around_body + session_open_header_bytes + ik_first_bytes +
                  session_payload_header_bytes + sizeof(std::uint16_t) + content_bytes_max <=
              limits::batch_bytes_max);

constexpr std::uint8_t flag_early_taken = 0x01;

}  // namespace

Decoded<SessionOpen> decode_session_open(BytesView body) {
  Reader in{body};
  SessionOpen open;
  open.pattern = SessionPattern{in.u8()};
  open.index = in.u32();
  open.noise = in.rest();
  if (!in.ok()) return std::unexpected(truncated);
  if (open.pattern != SessionPattern::xx && open.pattern != SessionPattern::ik) {
    return std::unexpected(unknown);
  }
  return open;
}

void encode_session_open(const SessionOpen& open, Bytes& out) {
  Writer writer{out};
  writer.u8(static_cast<std::uint8_t>(open.pattern));
  writer.u32(open.index);
  writer.bytes(open.noise);
}

Decoded<SessionAnswer> decode_session_answer(BytesView body) {
  Reader in{body};
  SessionAnswer answer;
  answer.opener_index = in.u32();
  answer.answerer_index = in.u32();
  answer.noise = in.rest();
  return whole(in, answer);
}

void encode_session_answer(const SessionAnswer& answer, Bytes& out) {
  Writer writer{out};
  writer.u32(answer.opener_index);
  writer.u32(answer.answerer_index);
  writer.bytes(answer.noise);
}

Decoded<SessionFinish> decode_session_finish(BytesView body) {
  Reader in{body};
  SessionFinish finish;
  finish.index = in.u32();
  finish.noise = in.rest();
  return whole(in, finish);
}

void encode_session_finish(const SessionFinish& finish, Bytes& out) {
  Writer writer{out};
  writer.u32(finish.index);
  writer.bytes(finish.noise);
}

Decoded<SessionData> decode_session_data(BytesView body) {
  Reader in{body};
  SessionData data;
  data.index = in.u32();
  data.counter = in.u64();
  data.sealed = in.rest();
  if (data.sealed.size() < session_tag_bytes) return std::unexpected(truncated);
  return data;
}

void encode_session_data_header(std::uint32_t index, std::uint64_t counter, Bytes& out) {
  Writer writer{out};
  writer.u32(index);
  writer.u64(counter);
}

Decoded<SessionUnknown> decode_session_unknown(BytesView body) {
  Reader in{body};
  const SessionUnknown unknown_session{.index = in.u32()};
  return whole(in, unknown_session);
}

void encode_session_unknown(const SessionUnknown& unknown_session, Bytes& out) {
  Writer{out}.u32(unknown_session.index);
}

Decoded<SessionPayload> decode_session_payload(BytesView payload) {
  Reader in{payload};
  SessionPayload out;
  out.key = in.array<sizeof(PublicKey)>();
  out.unix_ms = in.u64();
  const std::uint8_t flags = in.u8();
  out.early_taken = flags == flag_early_taken;
  if (!in.ok()) return std::unexpected(truncated);
  if (flags & ~flag_early_taken) return std::unexpected(unknown);
  while (in.left() > 0) {
    const BytesView content = in.bytes_u16();
    if (!in.ok()) return std::unexpected(truncated);
    if (content.empty()) return std::unexpected(bad_value);
    if (out.contents.size() == limits::session_waiting_max) return std::unexpected(over_limit);
    out.contents.push_back(content);
  }
  return out;
}

void encode_session_payload(const SessionPayload& payload, Bytes& out) {
  PEER_RELAY_ASSERT(payload.contents.size() <= limits::session_waiting_max);
  Writer writer{out};
  writer.bytes(payload.key);
  writer.u64(payload.unix_ms);
  writer.u8(payload.early_taken ? flag_early_taken : 0);
  for (const BytesView content : payload.contents) {
    PEER_RELAY_ASSERT(!content.empty());
    writer.bytes_u16(content);
  }
}

namespace {

bool is_known(ContentKind kind) {
  return (kind >= ContentKind::data && kind <= ContentKind::acknowledge) ||
         kind == ContentKind::signal;
}
bool has_type(ContentKind kind) {
  return kind == ContentKind::data || kind == ContentKind::data_acked;
}
bool has_payload(ContentKind kind) { return has_type(kind) || kind == ContentKind::signal; }

}  // namespace

Decoded<Content> decode_content(BytesView bytes) {
  Reader in{bytes};
  Content content;
  content.kind = ContentKind{in.u8()};
  if (!in.ok()) return std::unexpected(truncated);
  if (!is_known(content.kind)) return std::unexpected(unknown);
  if (content.kind != ContentKind::data) {
    content.epoch = in.u32();
    content.sequence = in.u32();
  }
  if (content.kind == ContentKind::acknowledge) content.hops_left = in.u8();
  if (has_type(content.kind)) content.type = ContentType{in.u8()};
  if (has_payload(content.kind)) content.payload = in.rest();
  if (content.hops_left > limits::hops_max) return std::unexpected(over_limit);
  if (content.type > ContentType::json) return std::unexpected(unknown);
  if (content.payload.size() > limits::payload_bytes_max) return std::unexpected(over_limit);
  return whole(in, content);
}

void encode_content(const Content& content, Bytes& out) {
  PEER_RELAY_ASSERT(content.payload.size() <= limits::payload_bytes_max);
  Writer writer{out};
  writer.u8(static_cast<std::uint8_t>(content.kind));
  if (content.kind != ContentKind::data) {
    writer.u32(content.epoch);
    writer.u32(content.sequence);
  }
  if (content.kind == ContentKind::acknowledge) writer.u8(content.hops_left);
  if (has_type(content.kind)) writer.u8(static_cast<std::uint8_t>(content.type));
  if (has_payload(content.kind)) writer.bytes(content.payload);
}

}  // namespace peer_relay
