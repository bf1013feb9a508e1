// SPDX-License-Identifier: MIT
//
// What a relay's work costs without sockets: one routing decision, and a batch from the link it
// came by to the link it leaves by. Beside it the two ends: what a message costs who sends it and
// who gets it. Everything here counts its allocations.
#include <cstring>

#include <benchmark/benchmark.h>
#include <time.h>

#include "base/random.hpp"
#include "core/engine/allocation_testing.hpp"
#include "core/engine/testing.hpp"
#include "core/route/router.hpp"
#include "core/table/table.hpp"
#include "sodium/sodium_crypto.hpp"

namespace peer_relay {
namespace {

using testing::Star;

/// Prints allocations per item of what happens between its birth and done().
class AllocationCount {
 public:
  void begin() { begun_ = testing::allocations; }
  void end() { total_ += testing::allocations - begun_; }
  void report(benchmark::State& state, std::uint64_t items) const {
    state.counters["allocs"] = static_cast<double>(total_) / static_cast<double>(items);
    state.SetItemsProcessed(static_cast<std::int64_t>(items));
  }

 private:
  std::uint64_t begun_ = 0;
  std::uint64_t total_ = 0;
};

// ---- One decision -------------------------------------------------------------------------------

constexpr std::size_t targets = 1024;  // enough that no branch predictor learns them

struct Crowd {
  Random random{1};
  Table table{random.id()};
  Router router{table, random.split(), 10};
  std::vector<Bytes> frames;
  std::vector<Envelope> envelopes;

  explicit Crowd(std::int64_t links) {
    for (std::int64_t i = 0; i < links; ++i) {
      table.add({.id = random.id(),
                 .relays = true,
                 .link = LinkId{static_cast<std::uint64_t>(i) + 1},
                 .contact = {}});
    }
    for (std::size_t i = 0; i < targets; ++i) {
      const Bytes body(100);
      append_route_frame({.target = random.id(), .source = random.id(), .body = body},
                         frames.emplace_back());
    }
    for (const Bytes& frame : frames) envelopes.push_back(*decode_envelope(body_of(frame)));
  }

  static BytesView body_of(const Bytes& frame) {
    return BytesView{frame}.subspan(frame_header_bytes);
  }
};

template <class Decide>
void decide(benchmark::State& state, Decide decide_one) {
  const Crowd crowd{state.range(0)};
  AllocationCount allocations;
  std::uint64_t at = 0;
  allocations.begin();
  for (auto _ : state) decide_one(crowd, at++ % targets);
  allocations.end();
  allocations.report(state, at);
}

void closest_relay(benchmark::State& state) {
  decide(state, [](const Crowd& crowd, std::size_t at) {
    benchmark::DoNotOptimize(crowd.table.closest_relay(crowd.envelopes[at].target));
  });
}
BENCHMARK(closest_relay)->Arg(20)->Arg(200)->Arg(2000);

void step(benchmark::State& state) {
  decide(state, [](const Crowd& crowd, std::size_t at) {
    benchmark::DoNotOptimize(crowd.router.step(crowd.envelopes[at]));
  });
}
BENCHMARK(step)->Arg(20)->Arg(200)->Arg(2000);

void decode_and_step(benchmark::State& state) {
  decide(state, [](const Crowd& crowd, std::size_t at) {
    const auto envelope = decode_envelope(Crowd::body_of(crowd.frames[at]));
    benchmark::DoNotOptimize(crowd.router.step(*envelope));
  });
}
BENCHMARK(decode_and_step)->Arg(20)->Arg(200)->Arg(2000);

void decode(benchmark::State& state) {
  const Crowd crowd{1};
  std::size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(decode_envelope(Crowd::body_of(crowd.frames[at++ % targets])));
  }
}
BENCHMARK(decode);

// ---- A batch on its way -------------------------------------------------------------------------

/// Seals nothing: what is left is the cost of everything else.
class Unsealed final : public Crypto {
 public:
  void random(MutableBytes out) override { real_.random(out); }
  void hash(std::span<const BytesView> parts, MutableBytes out) override { real_.hash(parts, out); }
  KeyPair key_pair(const SigningSeed& seed) override { return real_.key_pair(seed); }
  AgreementPair agreement_pair(const AgreementKey& secret) override {
    return real_.agreement_pair(secret);
  }
  Signature sign(const KeyPair& pair, BytesView message) override {
    return real_.sign(pair, message);
  }
  bool verify(const PublicKey& key, BytesView message, const Signature& signature) override {
    return real_.verify(key, message, signature);
  }
  bool to_agreement(const PublicKey& key, AgreementKey& out) override {
    return real_.to_agreement(key, out);
  }
  bool agree(const AgreementKey& secret, const AgreementKey& other, AgreementKey& out) override {
    return real_.agree(secret, other, out);
  }
  bool equal(BytesView a, BytesView b) override { return real_.equal(a, b); }
  void wipe(MutableBytes secret) override { real_.wipe(secret); }

  void seal(const SymmetricKey&, std::uint64_t, BytesView, BytesView plain,
            std::uint8_t* out) override {
    std::memmove(out, plain.data(), plain.size());
    std::memset(out + plain.size(), 0, tag_bytes);
  }
  bool open(const SymmetricKey&, std::uint64_t, BytesView, BytesView sealed,
            std::uint8_t* out) override {
    std::memmove(out, sealed.data(), sealed.size() - tag_bytes);
    return true;
  }

 private:
  SodiumCrypto real_;
};

/// A relay, and two leaves that know each other. The relay passes on whatever it can.
template <class Kind>
struct Line {
  Kind crypto;
  Star star{
      crypto, 2, {.relay_bytes_per_second = 1ull << 60, .relay_frames_per_second = 1ull << 60}};
  Payload payload;
  std::size_t messages;

  Line(std::int64_t messages_in_batch, std::size_t payload_bytes)
      : payload(Payload::of_bytes(Bytes(payload_bytes))),
        messages(static_cast<std::size_t>(messages_in_batch)) {
    star.introduce(1, 2);
  }

  std::vector<Bytes> batches() {
    // More than one, so that what is measured stays longer than what measuring costs.
    std::vector<Bytes> all;
    for (std::size_t sent = 0; sent < 256; sent += messages) {
      for (Bytes& batch : star.transmissions(1, 2, messages, payload))
        all.push_back(std::move(batch));
    }
    return all;
  }
  std::size_t messages_of_batches() const { return (256 + messages - 1) / messages * messages; }

  /// Has a node take batches that came by a link; what it sends in return goes to `take`.
  template <class Take>
  void receive(std::size_t node, LinkId link, std::vector<Bytes>& batches, Take take) {
    Engine& engine = star.engine(node);
    for (Bytes& batch : batches) {
      engine.link_received(link, batch, star.now());
      while (auto action = engine.next_action()) {
        if (auto* const transmit = std::get_if<Transmit>(&*action)) {
          take(engine, *transmit);
          engine.link_writable(transmit->link, star.now());
        }
      }
    }
  }
};

/// CPU time of this thread, which a busy machine stretches less than the clock on the wall.
double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// Counts `act` and nothing else of an iteration.
template <class Act>
void measure(benchmark::State& state, AllocationCount& allocations, Act act) {
  allocations.begin();
  const double begun = cpu_seconds();
  act();
  const double ended = cpu_seconds();
  allocations.end();
  state.SetIterationTime(ended - begun);
}

const auto give_back = [](Engine& engine, Transmit& transmit) {
  engine.recycle(std::move(transmit.batch));
};

template <class Kind>
void send(benchmark::State& state) {
  Line<Kind> line{state.range(0), 100};
  Engine& alice = line.star.engine(1);
  const NodeId bob = line.star.id(2);
  AllocationCount allocations;
  std::uint64_t sent = 0;
  for (auto _ : state) {
    measure(state, allocations, [&] {
      for (std::size_t i = 0; i < 256; i += line.messages) {
        for (std::size_t j = 0; j < line.messages; ++j) {
          static_cast<void>(alice.send(bob, line.payload, line.star.now()));
          ++sent;
        }
        while (auto action = alice.next_action()) {
          auto& transmit = std::get<Transmit>(*action);
          give_back(alice, transmit);
          alice.link_writable(transmit.link, line.star.now());
        }
      }
    });
  }
  allocations.report(state, sent);
}

template <class Kind>
void through(benchmark::State& state) {
  Line<Kind> line{state.range(0), 100};
  AllocationCount allocations;
  std::uint64_t relayed = 0;
  for (auto _ : state) {
    auto batches = line.batches();
    measure(state, allocations,
            [&] { line.receive(Star::relay, line.star.link_to(1), batches, give_back); });
    for (Bytes& batch : batches) line.star.engine(1).recycle(std::move(batch));
    relayed += line.messages_of_batches();
  }
  allocations.report(state, relayed);
}

template <class Kind>
void receive(benchmark::State& state) {
  Line<Kind> line{state.range(0), 100};
  AllocationCount allocations;
  std::uint64_t received = 0;
  for (auto _ : state) {
    auto batches = line.batches();
    std::vector<Bytes> onward;
    line.receive(Star::relay, line.star.link_to(1), batches,
                 [&](Engine&, Transmit& transmit) { onward.push_back(std::move(transmit.batch)); });
    measure(state, allocations, [&] { line.receive(2, line.star.link_of(2), onward, give_back); });
    for (Bytes& batch : onward) line.star.engine(Star::relay).recycle(std::move(batch));
    for (Bytes& batch : batches) line.star.engine(1).recycle(std::move(batch));
    received += line.messages_of_batches();
  }
  allocations.report(state, received);
}

#define FOR_BATCHES(bench) BENCHMARK(bench)->Arg(1)->Arg(16)->Arg(200)->UseManualTime()
FOR_BATCHES(send<SodiumCrypto>);
FOR_BATCHES(through<SodiumCrypto>);
FOR_BATCHES(receive<SodiumCrypto>);
FOR_BATCHES(send<Unsealed>);
FOR_BATCHES(through<Unsealed>);
FOR_BATCHES(receive<Unsealed>);

}  // namespace
}  // namespace peer_relay
