// SPDX-License-Identifier: MIT
//
// A contact record: how to reach a node, signed by itself, so that anyone may pass it on and nobody
// can forge or alter it.
#pragma once

#include <cstdint>
#include <vector>

#include "core/wire/hello.hpp"
#include "core/wire/wire.hpp"
#include "peer_relay/address.hpp"
#include "peer_relay/keys.hpp"

namespace peer_relay {

enum ContactTransport : std::uint8_t {
  contact_webrtc = 1u << 0,  ///< can be linked by signalling through the overlay
  contact_legacy = 1u << 1,  ///< no transport: carries messages of npm peer-relay 0.0.2
};

// 1B version (1) | 32B Ed25519 public key | 1B transports | 8B sequence | 8B expiry
//   | 1B count of addresses | that many: len8 address text | 64B Ed25519 signature
//
// Signed is: "peer-relay contact 1" (20 bytes) | 16B network hash | all bytes before the signature.
// sequence: of two records of one key the larger is the newer; by custom the Unix time in
//           milliseconds at which it was signed.
// expiry: Unix time in seconds.
// An address with a scheme or form that this version does not know is skipped, not an error.
struct ContactRecord {
  PublicKey key{};
  std::uint8_t transports = 0;  ///< ContactTransport bits; unknown ones are ignored
  std::uint64_t sequence = 0;
  std::uint64_t expiry = 0;
  std::vector<Address> addresses{};
  Signature signature{};
};

inline constexpr std::size_t contact_signature_bytes = sizeof(Signature);

/// The whole of `bytes` is one record. Signature, expiry and sense of it are the caller's to check.
Decoded<ContactRecord> decode_contact(BytesView bytes);

/// All but the signature, which the caller appends after signing `contact_signed_bytes` of it.
/// Addresses longer than the limit are left out, and those that would be one too many.
void encode_contact_unsigned(const ContactRecord& record, Bytes& out);

/// What the signature covers. To check a record that came, give it all of that record's bytes but
/// the last contact_signature_bytes: never the struct encoded anew, which lacks what was skipped.
Bytes contact_signed_bytes(const NetworkHash& network, BytesView record_without_signature);

}  // namespace peer_relay
