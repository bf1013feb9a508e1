// SPDX-License-Identifier: MIT
//
// The Noise handshake (Noise Protocol Framework, revision 34), once, for links and for ends: two
// strangers, or one who knows the other's key, exchange two or three messages and then share a key
// for each direction, and each knows that the other holds the static key it showed. What bytes a
// message travels in, how long to wait for it and what its payload means is for link/ and session/.
//
// We speak 25519, ChaChaPoly and BLAKE2b alone, have no pre-shared keys and no fallback, and refuse
// an agreement on zeros (which Noise §12.1 leaves open).
#pragma once

#include <cstdint>
#include <expected>
#include <optional>

#include "core/crypto/crypto.hpp"
#include "core/noise/cipher.hpp"
#include "core/noise/noise_error.hpp"
#include "core/noise/secret.hpp"
#include "core/noise/symmetric_state.hpp"

namespace peer_relay::noise {

enum class Token : std::uint8_t;
struct PatternRow;

/// Named by what is known of the other's static key (Noise §7.5).
enum class Pattern : std::uint8_t {
  xx,  ///< nothing: three messages, payloads sealed from the second on
  ik,  ///< the initiator knows the responder's: two messages, both sealed; the first may be
       ///< replayed
};

enum class Role : std::uint8_t { initiator, responder };

struct HandshakeOptions {
  Pattern pattern;
  Role role;
  BytesView prologue;                         ///< what both must see alike; mixed in, not kept
  const AgreementPair& own;                   ///< our static key; copied
  std::optional<AgreementKey> remote_static;  ///< for the initiator of ik, and for nobody else
};

/// The two keys of a finished handshake, as this side uses them.
struct Ciphers {
  Cipher send;
  Cipher receive;
};

/// Held for each half-open link, hence small. A call out of turn is an error that changes nothing;
/// a message that fails to be read breaks the handshake for good and wipes its secrets.
class Handshake {
 public:
  /// `crypto` outlives the handshake.
  Handshake(const HandshakeOptions& options, Crypto& crypto);

  /// Appends our next message to `out`; a failed call leaves `out` as it was. `payload` is not part
  /// of `out`.
  std::expected<void, NoiseError> write(BytesView payload, Bytes& out);

  /// Reads the other's next message and makes `payload` what it carried, or empty after an error.
  /// `message` is not part of `payload`.
  std::expected<void, NoiseError> read(BytesView message, Bytes& payload);

  /// Whether the next message is ours to write.
  bool is_our_turn() const;

  /// Whether every message was exchanged: split() is due.
  bool is_complete() const { return stage_ == Stage::complete || stage_ == Stage::split; }

  bool is_broken() const { return stage_ == Stage::broken; }

  /// The other's static key, once a message has proven or a caller has told it.
  std::optional<AgreementKey> remote_static() const;

  /// Binds a channel to this very handshake, once it is complete (Noise §11.2).
  const HashOutput& hash() const { return state_.hash(); }

  /// The keys, once. Hash and remote_static() stay.
  std::expected<Ciphers, NoiseError> split();

 private:
  enum class Stage : std::uint8_t { running, complete, split, broken };

  std::optional<NoiseError> refusal(bool is_write) const;
  std::size_t overhead_bytes() const;
  bool write_token(Token token, MutableBytes& rest);
  std::optional<NoiseError> read_message(BytesView message, Bytes& payload);
  std::optional<NoiseError> read_token(Token token, BytesView& rest);
  bool mix_agreement(Token token);
  void advance();
  std::unexpected<NoiseError> break_off(NoiseError error);
  void wipe();

  const PatternRow* row_;
  SymmetricState state_;
  Secret<32> own_static_;
  Secret<32> own_ephemeral_;
  AgreementKey own_static_public_;
  AgreementKey remote_static_{};
  AgreementKey remote_ephemeral_{};
  Role role_;
  Stage stage_ = Stage::running;
  std::uint8_t next_message_ = 0;
  bool knows_remote_static_ = false;
};

static_assert(sizeof(Handshake) <= 376);

}  // namespace peer_relay::noise
