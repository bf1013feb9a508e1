// SPDX-License-Identifier: MIT
#include "suggest.hpp"

#include <vector>

#include <gtest/gtest.h>

namespace peer_relay::app {
namespace {

const std::vector<std::string> verbs{"serve", "listen", "send", "ping", "trace", "status"};

TEST(Suggest, FindsTheWordThatWasMeant) {
  EXPECT_EQ(meant("sreve", verbs), "serve");
  EXPECT_EQ(meant("lisen", verbs), "listen");
  EXPECT_EQ(meant("stat", verbs), "status");
  EXPECT_EQ(meant("pnig", verbs), "ping");
}

TEST(Suggest, SaysNothingWhereNothingIsNear) {
  EXPECT_EQ(meant("frobnicate", verbs), std::nullopt);
  EXPECT_EQ(meant("", verbs), std::nullopt);
  EXPECT_EQ(did_you_mean("frobnicate", verbs), "");
}

TEST(Suggest, CountsASwapOnce) {
  EXPECT_EQ(typing_distance("prot", "port"), 1u);
  EXPECT_EQ(typing_distance("port", "port"), 0u);
  EXPECT_EQ(typing_distance("", "port"), 4u);
}

}  // namespace
}  // namespace peer_relay::app
