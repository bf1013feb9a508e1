// SPDX-License-Identifier: MIT
#include "transport/half_open.hpp"

#include <gtest/gtest.h>

namespace peer_relay::sockets {
namespace {

TEST(HalfOpen, CountsForEachHost) {
  HalfOpen half_open{3, 2};
  auto a1 = half_open.enter({.v6 = false, .prefix = 1});
  auto a2 = half_open.enter({.v6 = false, .prefix = 1});
  EXPECT_TRUE(a1 && a2);
  EXPECT_FALSE(half_open.enter({.v6 = false, .prefix = 1}));
  auto b = half_open.enter({.v6 = true, .prefix = 1});
  EXPECT_TRUE(b);
  EXPECT_FALSE(half_open.enter({.v6 = true, .prefix = 2}));
  a1->leave();
  a1->leave();
  EXPECT_EQ(half_open.total(), 2u);
  EXPECT_TRUE(half_open.enter({.v6 = false, .prefix = 1}));
}

}  // namespace
}  // namespace peer_relay::sockets
