// SPDX-License-Identifier: MIT
//
// A stranger at the other end of a handshake: he writes bytes of his own, or changes those of an
// honest peer on their way. He may make it fail, and nothing else.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <tuple>
#include <utility>

#include "base/assert.hpp"
#include "base/reader.hpp"
#include "core/noise/handshake.hpp"
#include "sodium/deterministic_crypto.hpp"

namespace peer_relay::noise {
namespace {

/// An end with the same keys in each run, so that bytes found once are of use again.
struct Side {
  DeterministicCrypto crypto;
  AgreementPair own;
  std::optional<Handshake> handshake;

  explicit Side(std::uint64_t seed) : crypto(seed) {
    AgreementKey secret;
    crypto.random(secret);
    own = crypto.agreement_pair(secret);
  }

  void begin(Pattern pattern, Role role, const Side& other) {
    std::optional<AgreementKey> known;
    if (pattern == Pattern::ik && role == Role::initiator) known = other.own.public_key;
    handshake.emplace(HandshakeOptions{pattern, role, as_bytes("fuzz"), own, known}, crypto);
  }
};

/// A handshake that broke stays so, whatever is asked of it.
void expect_broken(Handshake& handshake) {
  Bytes bytes;
  PEER_RELAY_ASSERT(handshake.is_broken() && !handshake.is_complete());
  PEER_RELAY_ASSERT(handshake.write({}, bytes).error() == NoiseError::broken);
  PEER_RELAY_ASSERT(handshake.read({}, bytes).error() == NoiseError::broken);
  PEER_RELAY_ASSERT(handshake.split().error() == NoiseError::broken);
  PEER_RELAY_ASSERT(!handshake.remote_static() && bytes.empty());
}

/// Every message that this side reads is the stranger's own.
void read_strange_bytes(Pattern pattern, Role role, Reader& in) {
  Side side{1};
  side.begin(pattern, role, Side{2});
  Handshake& handshake = *side.handshake;
  while (!handshake.is_complete()) {
    Bytes bytes;
    if (handshake.is_our_turn()) {
      if (!handshake.write(in.bytes_u8(), bytes)) return expect_broken(handshake);
    } else if (!handshake.read(in.bytes_u16(), bytes)) {
      PEER_RELAY_ASSERT(bytes.empty());
      return expect_broken(handshake);
    }
  }
  // only who knows our keys, which are the same in each run, gets so far
  const BytesView rest = in.rest();
  Bytes message(rest.begin(), rest.end());
  Ciphers ciphers = std::move(*handshake.split());
  std::ignore = ciphers.receive.open({}, message, message, side.crypto);
}

/// What the input does to a message on its way: 1B how | 2B where | 1B what
void change(Bytes& message, Reader& in) {
  const std::uint8_t how = in.u8();
  const std::size_t where = message.empty() ? 0 : in.u16() % message.size();
  const std::uint8_t what = in.u8();
  switch (how) {
    case 1:
      if (!message.empty()) message[where] ^= what;
      break;
    case 2:
      message.resize(where);
      break;
    case 3:
      message.insert(message.end(), what, what);
      break;
    case 4:
      if (!message.empty()) message.erase(message.begin() + static_cast<std::ptrdiff_t>(where));
      break;
    default:
      break;  // as it was
  }
}

/// Carries one message, which arrives as it left or not at all.
void carry_sealed(Cipher& sender, Cipher& receiver, Reader& in, Crypto& crypto) {
  const BytesView plain = in.bytes_u8();
  Bytes message(plain.size() + tag_bytes);
  PEER_RELAY_ASSERT(sender.seal({}, plain, message, crypto));
  const Bytes genuine = message;
  change(message, in);
  const bool is_genuine = message == genuine;
  const auto opened = receiver.open({}, message, message, crypto);
  PEER_RELAY_ASSERT(opened.has_value() == is_genuine);
  if (opened) PEER_RELAY_ASSERT(std::ranges::equal(*opened, plain));
}

/// Two honest ends, and a stranger between them.
void change_genuine_messages(Pattern pattern, Reader& in) {
  Side initiator{1};
  Side responder{2};
  initiator.begin(pattern, Role::initiator, responder);
  responder.begin(pattern, Role::responder, initiator);
  bool all_genuine = true;
  while (!initiator.handshake->is_complete() || !responder.handshake->is_complete()) {
    const bool is_initiators = initiator.handshake->is_our_turn();
    Side* writer = is_initiators ? &initiator : &responder;
    Side* reader = is_initiators ? &responder : &initiator;
    Bytes message;
    Bytes payload;
    const BytesView sent = in.bytes_u8();
    if (!writer->handshake->write(sent, message)) return expect_broken(*writer->handshake);
    const Bytes genuine = message;
    change(message, in);
    all_genuine = all_genuine && message == genuine;
    if (!reader->handshake->read(message, payload)) {
      PEER_RELAY_ASSERT(!all_genuine);
      return expect_broken(*reader->handshake);
    }
    PEER_RELAY_ASSERT(!all_genuine || std::ranges::equal(payload, sent));
  }
  PEER_RELAY_ASSERT(all_genuine);
  PEER_RELAY_ASSERT(initiator.handshake->hash() == responder.handshake->hash());
  PEER_RELAY_ASSERT(initiator.handshake->remote_static() == responder.own.public_key);
  PEER_RELAY_ASSERT(responder.handshake->remote_static() == initiator.own.public_key);

  Ciphers one = std::move(*initiator.handshake->split());
  Ciphers other = std::move(*responder.handshake->split());
  for (int i = 0; i < 8 && in.left() > 0; ++i) {
    // what was not opened is asked for no more: a link ends there
    if (one.send.counter() == other.receive.counter())
      carry_sealed(one.send, other.receive, in, initiator.crypto);
    if (other.send.counter() == one.receive.counter())
      carry_sealed(other.send, one.receive, in, responder.crypto);
  }
}

}  // namespace
}  // namespace peer_relay::noise

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace peer_relay;
  using namespace peer_relay::noise;
  Reader in{{data, size}};
  const std::uint8_t kind = in.u8();
  const Pattern pattern = (kind & 1) != 0 ? Pattern::ik : Pattern::xx;
  const Role role = (kind & 2) != 0 ? Role::responder : Role::initiator;
  if ((kind & 4) != 0) {
    change_genuine_messages(pattern, in);
  } else {
    read_strange_bytes(pattern, role, in);
  }
  return 0;
}
