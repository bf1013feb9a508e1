// SPDX-License-Identifier: MIT
//
// The opening of a link: HELLO from the dialer, ACCEPTED or REFUSED from the listener, FINISH from
// the dialer; then sealed batches only. The first bytes are in clear, so that a stranger's
// protocol, another version or another network is told apart with a clear reason and not by a
// broken seal.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "core/wire/wire.hpp"
#include "peer_relay/keys.hpp"
#include "peer_relay/reasons.hpp"

namespace peer_relay {

/// BLAKE2b, 16 bytes of output, over the network's name.
using NetworkHash = std::array<std::uint8_t, 16>;

inline constexpr std::array<std::uint8_t, 4> link_magic{'P', 'R', 'L', 'Y'};

// 4B magic "PRLY" | 1B version | 16B network hash | Noise XX message 1 (the rest)
//
// The first 21 bytes, followed by the channel binding where the transport has one (for WebRTC the
// two DTLS fingerprints, offerer's first), are the prologue of the Noise handshake.
struct Hello {
  static constexpr std::size_t prologue_bytes = 21;
  std::uint8_t version = protocol_version;
  NetworkHash network{};
  BytesView noise{};
};

/// Wrong magic is `bad_value`. A version that is not ours is no error here, and what follows it is
/// not looked at: the listener refuses it by name.
Decoded<Hello> decode_hello(BytesView message);
void encode_hello(const Hello& hello, Bytes& out);

enum class HelloReply : std::uint8_t { accepted = 1, refused = 2 };

// 1B 1 | Noise XX message 2 (the rest)
struct Accepted {
  BytesView noise{};
};

// 1B 2 | 1B reason (CloseReason) | 1B version | len8 name of the refuser's network, UTF-8
//
// A dialer of any version reads it, so it is the same in all of them. As in GOODBYE, a reason that
// does not travel or that we do not know reads as protocol_error.
struct Refused {
  CloseReason reason = CloseReason::protocol_error;
  std::uint8_t version = protocol_version;
  std::string_view network{};  ///< plain text (base/text.hpp); empty but for wrong_network
};

Decoded<HelloReply> reply_kind(BytesView message);
Decoded<Accepted> decode_accepted(BytesView message);
Decoded<Refused> decode_refused(BytesView message);
void encode_accepted(BytesView noise, Bytes& out);
void encode_refused(const Refused& refused, Bytes& out);

// The dialer's FINISH is the bare Noise XX message 3.

// Payload of Noise messages 2 and 3:
// 32B Ed25519 public key | 4B feature bits | len8 agent | len8 observed host | len16 own contact
struct Introduction {
  PublicKey key{};             ///< converts to the Noise static key, or the link ends
  std::uint32_t features = 0;  ///< see Feature; unknown bits are ignored
  std::string_view agent{};    ///< plain text, as "peer-relay/0.1.0"; for people, not decisions
  /// The IP address at which the sender sees the receiver, without brackets or zone. Empty where
  /// none is known; anything else reads as empty.
  std::string_view observed_host{};
  BytesView contact{};  ///< the sender's signed contact record; may be empty
};

enum Feature : std::uint32_t {
  feature_relays = 1u << 0,  ///< forwards envelopes of others
  /// Of a dialer: it has no other link into that bucket, so without this one its way to everybody
  /// there ends; or its application asked for this one.
  feature_needs_link = 1u << 1,
  feature_legacy = 1u << 2,  ///< carries messages of npm peer-relay 0.0.2: wire/legacy.hpp
};

Decoded<Introduction> decode_introduction(BytesView payload);
void encode_introduction(const Introduction& introduction, Bytes& out);

}  // namespace peer_relay
