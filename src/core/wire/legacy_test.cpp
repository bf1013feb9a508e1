// SPDX-License-Identifier: MIT
#include "core/wire/legacy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/wire/frame.hpp"
#include "tests/support/vectors.hpp"

namespace peer_relay {
namespace {

using ::testing::ElementsAre;

BytesView body_of(const Bytes& frame) { return BytesView{frame}.subspan(frame_header_bytes); }

TEST(LegacyFrame, PieceOfAText) {
  const Bytes vector = golden("legacy_piece");
  const auto frame = decode_legacy(body_of(vector));
  ASSERT_TRUE(frame);
  const auto& piece = std::get<LegacyPiece>(*frame);
  EXPECT_TRUE(piece.is_last);
  EXPECT_EQ(as_text(piece.text), "{\"to\":\"f0a594d");
}

TEST(LegacyFrame, Neighbours) {
  const Bytes vector = golden("legacy_neighbours");
  const auto frame = decode_legacy(body_of(vector));
  ASSERT_TRUE(frame);
  EXPECT_THAT(std::get<LegacyNeighbours>(*frame).ids,
              ElementsAre(*NodeId::from_hex("f0a594d2978da8803f696325ea0aaa5045cf2e94"),
                          *NodeId::from_hex("0a651dd6e6272f83a5dbe0e7ecdb7d6351ee106a")));
}

TEST(LegacyFrame, HasBounds) {
  EXPECT_EQ(decode_legacy({}).error(), DecodeError::truncated);
  EXPECT_EQ(decode_legacy(Bytes{9}).error(), DecodeError::unknown);
  Bytes body(1 + NodeId::size * legacy_neighbours_max, 0);
  body.front() = 3;
  EXPECT_TRUE(decode_legacy(body));
  body.resize(body.size() + NodeId::size);
  EXPECT_EQ(decode_legacy(body).error(), DecodeError::over_limit);
  Bytes piece(1 + legacy_piece_bytes(SIZE_MAX), 1);
  EXPECT_TRUE(decode_legacy(piece));
  piece.push_back(0);
  EXPECT_EQ(decode_legacy(piece).error(), DecodeError::over_limit);
}

}  // namespace
}  // namespace peer_relay
