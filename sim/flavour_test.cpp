// SPDX-License-Identifier: MIT
//
// The model of cryptography is true where it matters: with the same ids, worlds of either flavour
// live the same life, event by event.
#include <gtest/gtest.h>

#include "world.hpp"

namespace peer_relay::sim {
namespace {

using namespace std::chrono_literals;

/// The model, but for the ids, which are those of libsodium: another id is another place.
class ModelWithRealIds final : public ModelledCrypto {
 public:
  using ModelledCrypto::ModelledCrypto;
  void hash(std::span<const BytesView> parts, MutableBytes out) override { real_.hash(parts, out); }

 private:
  PublicKey public_key_of(const SigningSeed& seed) override {
    return real_.key_pair(seed).public_key;
  }

  SodiumCrypto real_;
};

struct Life {
  std::uint64_t events = 0;
  std::vector<std::string> inboxes;
  Stats total;
};

/// Joining, talking, a storm with lies in it, and silence.
Life live(World& world) {
  world.set_internet_latency();
  for (NodeNumber i = 0; i < 40; ++i) {
    NodeSpec spec;
    if (i > 0) spec.bootstrap = {i / 2};
    spec.listens = i % 5 != 4;
    if (i % 7 == 3) {
      spec.liar = [](const Passing& passing) { return passing.goes_on ? Lie::swallow : Lie::none; };
    }
    world.add(spec);
    world.run_for(200ms);
  }
  world.run_for(5s);
  for (NodeNumber i = 0; i < 40; ++i) {
    world.send_acknowledged(i, world.id((i * 7 + 3) % 40), "acknowledged");
    world.send(i, world.id((i * 11 + 5) % 40), "best effort");
  }
  world.run_for(3s);
  for (NodeNumber i = 0; i < 40; i += 6) world.kill(i);
  world.tamper(1, [](Bytes& message) { message.back() ^= 1; });
  for (NodeNumber i = 1; i < 40; i += 6) {
    world.send_acknowledged(i, world.id((i * 7 + 4) % 40), "in the storm");
  }
  world.run_for(30s);

  Life life{.events = world.event_hash(), .total = world.total()};
  for (NodeNumber i = 0; i < 40; ++i) {
    for (const std::string& text : world.texts(i)) {
      life.inboxes.push_back(std::to_string(i) + " heard: " + text);
    }
  }
  return life;
}

TEST(CryptoFlavours, GiveTheSameDecisionsForTheSameSeed) {
  const std::uint64_t seed = seed_from_environment(7);
  World with_sodium{seed};
  World with_model{seed, +[](Entropy& entropy) -> std::unique_ptr<Crypto> {
                     return std::make_unique<ModelWithRealIds>(entropy);
                   }};
  const Life real = live(with_sodium);
  const Life modelled = live(with_model);
  EXPECT_GT(real.inboxes.size(), 30u);
  EXPECT_GT(real.total.dropped_for(DropReason::seal_broken), 0u);
  EXPECT_EQ(real.inboxes, modelled.inboxes);
  EXPECT_EQ(real.total.transmissions, modelled.total.transmissions);
  EXPECT_EQ(real.total.bytes_out, modelled.total.bytes_out);
  for (std::size_t reason = 0; reason < std::size(real.total.dropped); ++reason) {
    EXPECT_EQ(real.total.dropped[reason], modelled.total.dropped[reason])
        << name_of(static_cast<DropReason>(reason));
  }
  EXPECT_EQ(real.events, modelled.events);
}

}  // namespace
}  // namespace peer_relay::sim
