// SPDX-License-Identifier: MIT
#include "transport/tcp/opening.hpp"

#include <gtest/gtest.h>

#include "transport/tcp/testing.hpp"

namespace peer_relay::tcp {
namespace {

TEST(TcpOpening, OfOneOfUsIsKnownByItsEighthByte) {
  const std::string hello = testing::tcp_message(as_text(testing::tcp_hello()));
  for (std::size_t size = 0; size < opening_bytes; ++size) {
    EXPECT_EQ(opening_of(as_bytes(hello.substr(0, size))), Opening::undecided) << size;
  }
  for (std::size_t size = opening_bytes; size <= hello.size(); ++size) {
    EXPECT_EQ(opening_of(as_bytes(hello.substr(0, size))), Opening::ours) << size;
  }
}

TEST(TcpOpening, OfAnyLengthIsOurs) {
  // Another version may say more, and is then answered by what speaks with it.
  for (const char* length : {"\0\0\0\5", "\0\0\xff\xff"}) {
    EXPECT_EQ(opening_of(as_bytes(std::string(length, 4) + "PRLY")), Opening::ours);
  }
}

TEST(TcpOpening, OfANodeOfNpmPeerExchangeIsAFrameThatOpensAChannel) {
  // Channel 0 "pxp" and channel 7 "pxp", as soon as they differ from ours.
  for (const std::string& first :
       {std::string("\0\3", 2), std::string("\0\3pxp", 5), std::string{"\x38"},
        std::string("\x38\3pxp", 5), std::string("\0\0\0\5p", 5)}) {
    EXPECT_EQ(opening_of(as_bytes(first)), Opening::exchange);
  }
}

TEST(TcpOpening, OfAStrangerIsKnownAtTheFirstByteThatDiffers) {
  for (const std::string& first :
       {std::string{"G"}, std::string{"\x16"}, std::string{"#PXP#"}, std::string{"\xff"}}) {
    EXPECT_EQ(opening_of(as_bytes(first)), Opening::strange);
  }
}

}  // namespace
}  // namespace peer_relay::tcp
