// SPDX-License-Identifier: MIT
#include "core/noise/handshake.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "core/noise/pattern.hpp"

namespace peer_relay::noise {

namespace {

constexpr std::size_t key_bytes = std::tuple_size_v<AgreementKey>;

/// The first `count` elements, which `rest` then goes without.
template <class Span>
Span take(Span& rest, std::size_t count) {
  const Span out = rest.first(count);
  rest = rest.subspan(count);
  return out;
}

}  // namespace

Handshake::Handshake(const HandshakeOptions& options, Crypto& crypto)
    : row_(&row_of(options.pattern)),
      state_(row_->protocol, crypto),
      own_static_(options.own.secret),
      own_static_public_(options.own.public_key),
      role_(options.role) {
  const bool is_initiator = role_ == Role::initiator;
  PEER_RELAY_ASSERT(options.remote_static.has_value() == (row_->responder_known && is_initiator));
  if (options.remote_static) {
    remote_static_ = *options.remote_static;
    knows_remote_static_ = true;
  }
  state_.mix_hash(options.prologue);
  if (row_->responder_known) state_.mix_hash(is_initiator ? remote_static_ : own_static_public_);
}

std::expected<void, NoiseError> Handshake::write(BytesView payload, Bytes& out) {
  if (const auto error = refusal(true)) return std::unexpected(*error);
  const std::size_t overhead = overhead_bytes();
  if (payload.size() > message_bytes_max - overhead) return std::unexpected(NoiseError::too_large);

  const std::size_t start = out.size();
  out.resize(start + overhead + payload.size());
  MutableBytes rest = MutableBytes{out}.subspan(start);
  for (const Token token : row_->tokens[next_message_]) {
    if (!write_token(token, rest)) {
      out.resize(start);
      return break_off(NoiseError::weak_key);
    }
  }
  state_.encrypt_and_hash(payload, rest);
  advance();
  return {};
}

std::expected<void, NoiseError> Handshake::read(BytesView message, Bytes& payload) {
  payload.clear();
  if (const auto error = refusal(false)) return std::unexpected(*error);
  if (const auto error = read_message(message, payload)) {
    payload.clear();
    return break_off(*error);
  }
  advance();
  return {};
}

bool Handshake::is_our_turn() const {
  const bool is_initiators = next_message_ % 2 == 0;
  return stage_ == Stage::running && is_initiators == (role_ == Role::initiator);
}

std::optional<AgreementKey> Handshake::remote_static() const {
  if (!knows_remote_static_ || is_broken()) return std::nullopt;
  return remote_static_;
}

std::expected<Ciphers, NoiseError> Handshake::split() {
  if (is_broken()) return std::unexpected(NoiseError::broken);
  if (stage_ != Stage::complete) return std::unexpected(NoiseError::out_of_turn);
  auto [from_initiator, from_responder] = state_.split();
  stage_ = Stage::split;
  wipe();
  if (role_ == Role::responder) std::swap(from_initiator, from_responder);
  return Ciphers{.send = Cipher{std::move(from_initiator)},
                 .receive = Cipher{std::move(from_responder)}};
}

std::optional<NoiseError> Handshake::refusal(bool is_write) const {
  if (is_broken()) return NoiseError::broken;
  if (stage_ != Stage::running || is_our_turn() != is_write) return NoiseError::out_of_turn;
  return std::nullopt;
}

/// How much longer than its payload our next message is.
std::size_t Handshake::overhead_bytes() const {
  bool has_key = state_.has_key();
  std::size_t bytes = 0;
  for (const Token token : row_->tokens[next_message_]) {
    if (token == Token::none) break;
    if (token == Token::e) {
      bytes += key_bytes;
    } else if (token == Token::s) {
      bytes += key_bytes + (has_key ? tag_bytes : 0);
    } else {
      has_key = true;
    }
  }
  return bytes + (has_key ? tag_bytes : 0);
}

bool Handshake::write_token(Token token, MutableBytes& rest) {
  switch (token) {
    case Token::none:
      return true;
    case Token::e: {
      state_.crypto().random(*own_ephemeral_);
      const AgreementKey key = state_.crypto().agreement_pair(*own_ephemeral_).public_key;
      std::ranges::copy(key, take(rest, key_bytes).begin());
      state_.mix_hash(key);
      return true;
    }
    case Token::s: {
      const std::size_t tag = state_.has_key() ? tag_bytes : 0;
      state_.encrypt_and_hash(own_static_public_, take(rest, key_bytes + tag));
      return true;
    }
    default:
      return mix_agreement(token);
  }
}

std::optional<NoiseError> Handshake::read_message(BytesView message, Bytes& payload) {
  if (message.size() > message_bytes_max) return NoiseError::too_large;
  for (const Token token : row_->tokens[next_message_]) {
    if (const auto error = read_token(token, message)) return error;
  }
  const std::size_t tag = state_.has_key() ? tag_bytes : 0;
  if (message.size() < tag) return NoiseError::truncated;
  payload.resize(message.size() - tag);
  if (!state_.decrypt_and_hash(message, payload)) return NoiseError::forged;
  return std::nullopt;
}

std::optional<NoiseError> Handshake::read_token(Token token, BytesView& rest) {
  switch (token) {
    case Token::none:
      return std::nullopt;
    case Token::e:
      if (rest.size() < key_bytes) return NoiseError::truncated;
      std::ranges::copy(take(rest, key_bytes), remote_ephemeral_.begin());
      state_.mix_hash(remote_ephemeral_);
      return std::nullopt;
    case Token::s: {
      const std::size_t sealed_bytes = key_bytes + (state_.has_key() ? tag_bytes : 0);
      if (rest.size() < sealed_bytes) return NoiseError::truncated;
      const BytesView sealed = take(rest, sealed_bytes);
      if (!state_.decrypt_and_hash(sealed, remote_static_)) return NoiseError::forged;
      knows_remote_static_ = true;
      return std::nullopt;
    }
    default:
      if (!mix_agreement(token)) return NoiseError::weak_key;
      return std::nullopt;
  }
}

/// The first letter of a token names the initiator's key, the second the responder's (Noise §5.3).
bool Handshake::mix_agreement(Token token) {
  const bool initiator_static = token == Token::se || token == Token::ss;
  const bool responder_static = token == Token::es || token == Token::ss;
  const bool is_initiator = role_ == Role::initiator;
  const bool own_is_static = is_initiator ? initiator_static : responder_static;
  const bool remote_is_static = is_initiator ? responder_static : initiator_static;

  Secret<32> agreed;
  const Secret<32>& own = own_is_static ? own_static_ : own_ephemeral_;
  const AgreementKey& remote = remote_is_static ? remote_static_ : remote_ephemeral_;
  if (!state_.crypto().agree(*own, remote, *agreed)) return false;
  state_.mix_key(*agreed);
  return true;
}

void Handshake::advance() {
  ++next_message_;
  if (next_message_ == row_->messages) stage_ = Stage::complete;
}

std::unexpected<NoiseError> Handshake::break_off(NoiseError error) {
  stage_ = Stage::broken;
  wipe();
  return std::unexpected(error);
}

void Handshake::wipe() {
  state_.wipe();
  own_static_.wipe();
  own_ephemeral_.wipe();
}

}  // namespace peer_relay::noise
