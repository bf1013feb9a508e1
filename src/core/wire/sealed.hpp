// SPDX-License-Identifier: MIT
//
// What two ends say to each other past the relays: the bodies of SESSION_* envelopes, the payloads
// of the session handshake, and the contents that are sealed once it stands.
#pragma once

#include <cstdint>
#include <vector>

#include "core/wire/wire.hpp"
#include "peer_relay/events.hpp"
#include "peer_relay/keys.hpp"

namespace peer_relay {

enum class SessionPattern : std::uint8_t { xx = 1, ik = 2 };

// Prologue of the Noise handshake of a session (both ends build it, nobody sends it):
// "peer-relay session 1" (20 bytes) | 16B network hash | 20B id of the opener | 20B id of the other

// SESSION_OPEN: 1B pattern | 4B opener's index | Noise message 1 (the rest)
struct SessionOpen {
  SessionPattern pattern = SessionPattern::xx;
  std::uint32_t index = 0;  ///< random; names the session in what comes back
  BytesView noise{};
};
Decoded<SessionOpen> decode_session_open(BytesView body);
void encode_session_open(const SessionOpen& open, Bytes& out);

// SESSION_ANSWER: 4B opener's index | 4B answerer's index | Noise message 2 (the rest)
struct SessionAnswer {
  std::uint32_t opener_index = 0;
  std::uint32_t answerer_index = 0;
  BytesView noise{};
};
Decoded<SessionAnswer> decode_session_answer(BytesView body);
void encode_session_answer(const SessionAnswer& answer, Bytes& out);

// SESSION_FINISH (XX only): 4B answerer's index | Noise message 3 (the rest)
struct SessionFinish {
  std::uint32_t index = 0;
  BytesView noise{};
};
Decoded<SessionFinish> decode_session_finish(BytesView body);
void encode_session_finish(const SessionFinish& finish, Bytes& out);

// SESSION_DATA: 4B receiver's index | 8B counter | sealed content and its tag (the rest)
// The counter is the nonce; the receiver takes each once, in a window of 2,048 (RFC 6479).
struct SessionData {
  std::uint32_t index = 0;
  std::uint64_t counter = 0;
  BytesView sealed{};  ///< at least the tag
};
inline constexpr std::size_t session_data_header_bytes = 12;
inline constexpr std::size_t session_tag_bytes = 16;
Decoded<SessionData> decode_session_data(BytesView body);
/// Header only; the caller seals into what follows.
void encode_session_data_header(std::uint32_t index, std::uint64_t counter, Bytes& out);

// SESSION_UNKNOWN: 4B the index that the receiver of this named and we do not have. A hint: the
// receiver opens a new session beside the old one, and forgets the old one when that stands.
struct SessionUnknown {
  std::uint32_t index = 0;
};
Decoded<SessionUnknown> decode_session_unknown(BytesView body);
void encode_session_unknown(const SessionUnknown& unknown, Bytes& out);

// Payload of Noise messages in a session handshake:
// 32B Ed25519 public key | 8B Unix time in ms | 1B flags | contents: len16 each, to the end
//
// IK message 1 and XX message 3 carry the opener's, IK and XX message 2 the answerer's. XX message
// 1 has none, and XX message 2 no contents: who sends it does not know yet to whom.
//
// flags: 0x01 in an answer: the contents of your first message were taken. All else zero.
// time: of the sender's clock; looked at in IK message 1 only, against replay.
struct SessionPayload {
  PublicKey key{};
  std::uint64_t unix_ms = 0;
  bool early_taken = false;
  std::vector<BytesView> contents{};  ///< none empty; at most limits::session_waiting_max
};
inline constexpr std::size_t session_payload_header_bytes = 41;
Decoded<SessionPayload> decode_session_payload(BytesView payload);
void encode_session_payload(const SessionPayload& payload, Bytes& out);

enum class ContentKind : std::uint8_t {
  data = 0x01,        ///< best effort
  data_acked = 0x02,  ///< acknowledged
  probe = 0x03,       ///< acknowledged, and given to nobody: "are you there"
  acknowledge = 0x04,
  signal = 0x10,         ///< acknowledged; for the making of a data channel, not for applications
  stream_packet = 0x20,  ///< frames of streams: stream.hpp
  stream_ack = 0x21,     ///< which packets have come
  // 0x22 to 0x27 are set aside for streams.
};

// data:        1B kind | 1B content type | payload (the rest)
// data_acked:  1B kind | 4B epoch | 4B sequence | 1B content type | payload (the rest)
// probe:       1B kind | 4B epoch | 4B sequence
// signal:      1B kind | 4B epoch | 4B sequence | signal (signal.hpp; the rest)
// acknowledge: 1B kind | 4B epoch | 4B sequence | 1B hops left that the message arrived with
//
// epoch: names a count of the sender's; the first of a process is random, so that none comes twice.
// sequence: counts the acknowledged messages of one sender to one receiver in an epoch, from 0, so
// that a receiver can tell what it has had, whatever way and session a copy came by.
struct Content {
  ContentKind kind = ContentKind::data;
  std::uint32_t epoch = 0;
  std::uint32_t sequence = 0;
  std::uint8_t hops_left = 0;
  ContentType type = ContentType::bytes;
  BytesView payload{};
};
inline constexpr std::size_t content_header_bytes_max = 10;
Decoded<Content> decode_content(BytesView content);
void encode_content(const Content& content, Bytes& out);

}  // namespace peer_relay
