// SPDX-License-Identifier: MIT
#include "core/wire/envelope.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.hpp"
#include "tests/support/decoding.hpp"
#include "tests/support/vectors.hpp"

namespace peer_relay {
namespace {

constexpr std::uint64_t seed = 47;

const NodeId alice = *NodeId::from_hex("f0a594d2978da8803f696325ea0aaa5045cf2e94");
const NodeId bob = *NodeId::from_hex("0a651dd6e6272f83a5dbe0e7ecdb7d6351ee106a");
const NodeId carol = *NodeId::from_hex("0bde928d804708d84e7157f4eb4c8a9f66c098cb");

Bytes golden_body(std::string_view name) {
  const Bytes frame = golden(name);
  return {frame.begin() + frame_header_bytes, frame.end()};
}

Bytes route_frame(const Envelope& envelope) {
  Bytes batch;
  append_route_frame(envelope, batch);
  return batch;
}

void expect_same(const Envelope& a, const Envelope& b) {
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.closest, b.closest);
  EXPECT_EQ(a.careful, b.careful);
  EXPECT_EQ(a.hops_left, b.hops_left);
  EXPECT_EQ(a.tag, b.tag);
  EXPECT_EQ(a.target, b.target);
  EXPECT_EQ(a.source, b.source);
  EXPECT_EQ(a.via, b.via);
  EXPECT_EQ(a.home, b.home);
  EXPECT_THAT(a.body, testing::ElementsAreArray(b.body));
}

TEST(Envelope, ReadsTheGoldenOneToExactlyOneNode) {
  const Bytes body = golden_body("route");
  const auto envelope = decode_envelope(body);
  ASSERT_TRUE(envelope);
  const Envelope expected{.kind = EnvelopeKind::session_data,
                          .hops_left = 32,
                          .tag = 0xcafe0001,
                          .target = bob,
                          .source = alice,
                          .body = BytesView{body}.last(32)};
  expect_same(*envelope, expected);
  EXPECT_EQ(route_frame(expected), golden("route"));
  EXPECT_EQ(hops_crossed(envelope->hops_left), 1);
}

TEST(Envelope, ReadsTheGoldenOneWithEveryField) {
  const Bytes body = golden_body("route_closest");
  const auto envelope = decode_envelope(body);
  ASSERT_TRUE(envelope);
  NodeId target;
  target.bytes.fill(0x55);
  const Envelope expected{.kind = EnvelopeKind::lookup,
                          .closest = true,
                          .hops_left = 9,
                          .tag = 0xcafe0002,
                          .target = target,
                          .source = alice,
                          .via = bob,
                          .home = carol,
                          .body = BytesView{body}.last(11)};
  expect_same(*envelope, expected);
  EXPECT_EQ(route_frame(expected), golden("route_closest"));
}

TEST(Envelope, ReadsTheGoldenOneThatGoesInSmallSteps) {
  const Bytes body = golden_body("route_careful");
  const auto envelope = decode_envelope(body);
  ASSERT_TRUE(envelope);
  const Envelope expected{.kind = EnvelopeKind::session_data,
                          .careful = true,
                          .hops_left = 32,
                          .tag = 0xcafe0003,
                          .target = bob,
                          .source = alice,
                          .body = BytesView{body}.last(32)};
  expect_same(*envelope, expected);
  EXPECT_EQ(route_frame(expected), golden("route_careful"));
}

TEST(Envelope, KeepsItsHopsWhereRelaysWriteThem) {
  Bytes body = golden_body("route");
  EXPECT_EQ(body[envelope_hops_at], 32);
  body[envelope_hops_at] = 5;
  EXPECT_EQ(decode_envelope(body)->hops_left, 5);
}

TEST(Envelope, OfALaterKindIsReadSoThatItCanBePassedOn) {
  Bytes body = golden_body("route");
  body[0] = 0xee;
  const auto envelope = decode_envelope(body);
  ASSERT_TRUE(envelope);
  EXPECT_EQ(route_frame(*envelope)[frame_header_bytes], 0xee);
}

TEST(Envelope, WithAFlagOfALaterVersionIsRefused) {
  for (int bit = 4; bit < 8; ++bit) {
    Bytes body = golden_body("route");
    body[1] = static_cast<std::uint8_t>(1u << bit);
    EXPECT_EQ(error_of(decode_envelope(body)), DecodeError::unknown) << bit;
  }
}

TEST(Envelope, CannotHaveMoreHopsLeftThanTheyBeginWith) {
  Bytes body = golden_body("route");
  body[envelope_hops_at] = limits::hops_max + 1;
  EXPECT_EQ(error_of(decode_envelope(body)), DecodeError::over_limit);
  body[envelope_hops_at] = 0;
  EXPECT_TRUE(decode_envelope(body));
}

TEST(Envelope, IsTruncatedWithoutTheFieldsThatItsFlagsSay) {
  const Bytes body = golden_body("route_closest");
  EXPECT_EQ(error_of(decode_envelope(BytesView{body}.first(envelope_header_bytes_max - 1))),
            DecodeError::truncated);
  EXPECT_TRUE(decode_envelope(BytesView{body}.first(envelope_header_bytes_max)));
}

TEST(Envelope, OfAnyShapeComesBackAndHasTheSizeThatWasSaid) {
  Random random{seed};
  for (int i = 0; i < 2000; ++i) {
    SCOPED_TRACE(testing::Message() << "try " << i << " of seed " << seed);
    Bytes body(random.below(100));
    for (std::uint8_t& byte : body) byte = static_cast<std::uint8_t>(random.next());
    Envelope envelope{.kind = EnvelopeKind{static_cast<std::uint8_t>(random.next())},
                      .closest = random.below(2) == 1,
                      .careful = random.below(2) == 1,
                      .hops_left = static_cast<std::uint8_t>(random.below(limits::hops_max + 1)),
                      .tag = static_cast<std::uint32_t>(random.next()),
                      .target = random.id(),
                      .source = random.id(),
                      .body = body};
    if (random.below(2)) envelope.via = random.id();
    if (random.below(2)) envelope.home = random.id();

    Bytes frame = route_frame(envelope);
    EXPECT_EQ(frame.size(), route_frame_bytes(envelope));
    FrameReader frames{frame};
    const auto decoded = decode_envelope(frames.next()->body);
    ASSERT_TRUE(decoded);
    expect_same(*decoded, envelope);
  }
}

TEST(Envelope, IsAppendedBehindOtherFrames) {
  const Bytes body = golden_body("route");
  Bytes batch = golden("goodbye");
  append_route_frame(*decode_envelope(body), batch);
  Bytes expected = golden("goodbye");
  const Bytes route = golden("route");
  expected.insert(expected.end(), route.begin(), route.end());
  EXPECT_EQ(batch, expected);
}

TEST(Envelope, CountsTheLinksThatItCrossed) {
  EXPECT_EQ(hops_crossed(32), 1);
  EXPECT_EQ(hops_crossed(29), 4);
  EXPECT_EQ(hops_crossed(0), 33);
}

}  // namespace
}  // namespace peer_relay
