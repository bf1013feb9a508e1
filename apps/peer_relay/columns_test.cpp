// SPDX-License-Identifier: MIT
#include "columns.hpp"

#include <gtest/gtest.h>

namespace peer_relay::app {
namespace {

TEST(Columns, AlignsByCharactersNotBytes) {
  Columns table{{{"peer"}, {"rtt", Align::right}, {"address"}}};
  table.add({"3f2a91c0", "85 µs", "ws://a"});
  table.add({"1", "1.24 ms", ""});
  EXPECT_EQ(table.text(),
            "peer          rtt  address\n"
            "3f2a91c0    85 µs  ws://a\n"
            "1         1.24 ms\n");
}

TEST(Columns, OfEmptyHeadingsHaveNone) {
  Columns table{{{""}, {""}, {""}}};
  table.add({"", "id", "x"});
  table.add({"", "network", "y"});
  EXPECT_EQ(table.text(), "  id       x\n  network  y\n");
}

}  // namespace
}  // namespace peer_relay::app
