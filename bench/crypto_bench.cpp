// SPDX-License-Identifier: MIT
#include <optional>

#include <benchmark/benchmark.h>

#include "core/crypto/identity.hpp"
#include "core/noise/handshake.hpp"
#include "runtime/native_crypto.hpp"
#include "sodium/sodium_crypto.hpp"

namespace peer_relay {
namespace {

using noise::Cipher;
using noise::Handshake;
using noise::Key;
using noise::Pattern;
using noise::Role;

constexpr std::int64_t batch_bytes = 65'535 - tag_bytes;

template <class CryptoKind>
void seal_in_place(benchmark::State& state) {
  CryptoKind crypto;
  const auto size = static_cast<std::size_t>(state.range(0));
  Cipher cipher{Key{{1}}};
  Bytes buffer(size + tag_bytes);
  for (auto _ : state) {
    benchmark::DoNotOptimize(cipher.seal({}, BytesView{buffer}.first(size), buffer, crypto));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(seal_in_place<SodiumCrypto>)->Arg(100)->Arg(1024)->Arg(batch_bytes);
BENCHMARK(seal_in_place<NativeCrypto>)->Arg(100)->Arg(1024)->Arg(batch_bytes);

template <class CryptoKind>
void open(benchmark::State& state) {
  CryptoKind crypto;
  const auto size = static_cast<std::size_t>(state.range(0));
  const Key key{{1}};
  Bytes sealed(size + tag_bytes);
  Bytes plain(size);
  if (!key.seal(0, {}, plain, sealed, crypto)) state.SkipWithError("not sealed");
  for (auto _ : state) benchmark::DoNotOptimize(key.open(0, {}, sealed, plain, crypto));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(open<SodiumCrypto>)->Arg(100)->Arg(1024)->Arg(batch_bytes);
BENCHMARK(open<NativeCrypto>)->Arg(100)->Arg(1024)->Arg(batch_bytes);

void sign(benchmark::State& state) {
  SodiumCrypto crypto;
  const Identity identity = make_identity(crypto);
  const Bytes message(200);
  for (auto _ : state) benchmark::DoNotOptimize(crypto.sign(identity.keys, message));
}
BENCHMARK(sign);

void verify(benchmark::State& state) {
  SodiumCrypto crypto;
  const Identity identity = make_identity(crypto);
  const Bytes message(200);
  const Signature signature = crypto.sign(identity.keys, message);
  for (auto _ : state) {
    benchmark::DoNotOptimize(crypto.verify(identity.keys.public_key, message, signature));
  }
}
BENCHMARK(verify);

void agree(benchmark::State& state) {
  SodiumCrypto crypto;
  const Identity one = make_identity(crypto);
  const Identity other = make_identity(crypto);
  AgreementKey out;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        crypto.agree(one.keys.agreement_secret, other.keys.agreement_public, out));
  }
}
BENCHMARK(agree);

void to_agreement(benchmark::State& state) {
  SodiumCrypto crypto;
  const Identity identity = make_identity(crypto);
  AgreementKey out;
  for (auto _ : state) benchmark::DoNotOptimize(crypto.to_agreement(identity.keys.public_key, out));
}
BENCHMARK(to_agreement);

void make_an_identity(benchmark::State& state) {
  SodiumCrypto crypto;
  for (auto _ : state) benchmark::DoNotOptimize(make_identity(crypto));
}
BENCHMARK(make_an_identity);

/// Both ends of it, with payloads as long as an introduction with its contact record.
void handshake(benchmark::State& state, Pattern pattern) {
  SodiumCrypto crypto;
  const AgreementPair one = make_identity(crypto).keys.agreement();
  const AgreementPair other = make_identity(crypto).keys.agreement();
  std::optional<AgreementKey> known;
  if (pattern == Pattern::ik) known = other.public_key;
  const Bytes payload(300);
  Bytes message;
  Bytes received;
  for (auto _ : state) {
    Handshake initiator{{pattern, Role::initiator, {}, one, known}, crypto};
    Handshake responder{{pattern, Role::responder, {}, other, std::nullopt}, crypto};
    while (!initiator.is_complete() || !responder.is_complete()) {
      Handshake& writer = initiator.is_our_turn() ? initiator : responder;
      Handshake& reader = initiator.is_our_turn() ? responder : initiator;
      message.clear();
      if (!writer.write(payload, message) || !reader.read(message, received)) {
        state.SkipWithError("the handshake failed");
        return;
      }
    }
    benchmark::DoNotOptimize(initiator.split());
    benchmark::DoNotOptimize(responder.split());
  }
}
BENCHMARK_CAPTURE(handshake, xx, Pattern::xx);
BENCHMARK_CAPTURE(handshake, ik, Pattern::ik);

}  // namespace
}  // namespace peer_relay

BENCHMARK_MAIN();
