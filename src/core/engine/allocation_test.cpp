// SPDX-License-Identifier: MIT
//
// What a relay does all day allocates nothing, once it has done it for a while.
#include <gtest/gtest.h>

#include "base/random.hpp"
#include "core/engine/allocation_testing.hpp"
#include "core/engine/testing.hpp"
#include "core/route/router.hpp"
#include "core/table/table.hpp"
#include "sodium/deterministic_crypto.hpp"

namespace peer_relay {
namespace {

using testing::Star;

/// So many allocations as `act` makes.
template <class Act>
std::uint64_t allocations_of(Act act) {
  const std::uint64_t before = testing::allocations;
  act();
  return testing::allocations - before;
}

Table table_with_relays(std::size_t count, Random& random) {
  Table table{random.id()};
  for (std::size_t i = 0; i < count; ++i) {
    table.add({.id = random.id(), .relays = true, .link = LinkId{i + 1}, .contact = {}});
  }
  return table;
}

TEST(Allocation, IsCounted) {
  EXPECT_EQ(allocations_of([] { Bytes bytes(100); }), 1u);
}

TEST(Allocation, TheClosestRelayIsFoundWithoutAny) {
  Random random{1};
  const Table table = table_with_relays(200, random);
  const NodeId target = random.id();
  EXPECT_EQ(allocations_of([&] { EXPECT_NE(table.closest_relay(target), nullptr); }), 0u);
}

TEST(Allocation, AnEnvelopeIsDecodedAndRoutedWithoutAny) {
  Random random{2};
  const Table table = table_with_relays(200, random);
  const Router router{table, random.split(), 10};
  for (const bool closest : {false, true}) {
    for (const bool has_via : {false, true}) {
      const Bytes body(100);
      const Envelope envelope{.closest = closest,
                              .target = random.id(),
                              .source = random.id(),
                              .via = has_via ? std::optional{random.id()} : std::nullopt,
                              .body = body};
      Bytes frame;
      append_route_frame(envelope, frame);
      EXPECT_EQ(allocations_of([&] {
                  const auto decoded =
                      decode_envelope(BytesView{frame}.subspan(frame_header_bytes));
                  ASSERT_TRUE(decoded.has_value());
                  static_cast<void>(router.step(*decoded));
                }),
                0u);
    }
  }
}

// From the batch that came in to the buffer that comes back.
TEST(Allocation, ABatchIsPassedOnWithoutAny) {
  DeterministicCrypto crypto{3};
  Star star{crypto, 2};
  star.introduce(1, 2);
  Engine& relay = star.engine(Star::relay);
  const Payload payload = Payload::of_bytes(Bytes(100));

  const auto pass_on = [&](Bytes& batch) {
    relay.link_received(star.link_to(1), batch, star.now());
    while (auto action = relay.next_action()) {
      auto& transmit = std::get<Transmit>(*action);
      relay.recycle(std::move(transmit.batch));
      relay.link_writable(transmit.link, star.now());
    }
  };
  for (const std::size_t messages : {1u, 16u, 200u}) {
    for (int i = 0; i < 20; ++i) {  // until every queue has its usual length
      for (Bytes& batch : star.transmissions(1, 2, messages, payload)) pass_on(batch);
    }
    const std::uint64_t relayed_before = relay.stats().envelopes_relayed;
    std::uint64_t allocations = 0;
    for (int i = 0; i < 20; ++i) {
      for (Bytes& batch : star.transmissions(1, 2, messages, payload)) {
        allocations += allocations_of([&] { pass_on(batch); });
        star.engine(1).recycle(std::move(batch));
      }
    }
    EXPECT_EQ(allocations, 0u) << messages << " messages a batch";
    EXPECT_EQ(relay.stats().envelopes_relayed - relayed_before, 20 * messages);
  }
}

}  // namespace
}  // namespace peer_relay
