// SPDX-License-Identifier: MIT
#include "transport/tcp/deframer.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.hpp"
#include "peer_relay/limits.hpp"
#include "transport/tcp/testing.hpp"

namespace peer_relay::tcp {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::tcp_length;
using testing::tcp_message;

class DeframerTest : public ::testing::Test {
 protected:
  /// As a link does it: what there is room for goes there, and the rest is shown.
  void feed(std::string_view bytes) {
    const MutableBytes room = deframer.room();
    const std::size_t in_room = std::min(room.size(), bytes.size());
    std::copy_n(bytes.begin(), in_room, room.begin());
    deframer.filled(in_room);
    Bytes rest(bytes.begin() + static_cast<std::ptrdiff_t>(in_room), bytes.end());
    MutableBytes left{rest};
    while (const auto message = deframer.next(left)) messages.emplace_back(as_text(*message));
    EXPECT_TRUE(left.empty() || deframer.is_broken());
  }

  ReadBuffers buffers;
  Deframer deframer{buffers};
  std::vector<std::string> messages;
};

TEST_F(DeframerTest, FindsMessagesSplitAtEveryByte) {
  const std::string all = tcp_message("one") + tcp_message("t") + tcp_message("three");
  for (std::size_t cut = 0; cut <= all.size(); ++cut) {
    for (std::size_t again = cut; again <= all.size(); ++again) {
      messages.clear();
      feed(std::string_view{all}.substr(0, cut));
      feed(std::string_view{all}.substr(cut, again - cut));
      feed(std::string_view{all}.substr(again));
      ASSERT_THAT(messages, ElementsAre("one", "t", "three")) << cut << " " << again;
    }
  }
  messages.clear();
  for (const char byte : all) feed({&byte, 1});
  EXPECT_THAT(messages, ElementsAre("one", "t", "three"));
}

TEST_F(DeframerTest, FindsMessagesOfEverySizeInPiecesOfAnySize) {
  Random random{7};
  std::vector<std::string> said;
  std::string stream;
  for (const std::size_t size : {1u, 1023u, 1024u, 1025u, 65'535u, 2u, 40'000u, 65'534u, 3u}) {
    said.emplace_back(size, static_cast<char>('a' + said.size()));
    stream += tcp_message(said.back());
  }
  for (int round = 0; round < 200; ++round) {
    messages.clear();
    const std::uint64_t longest = std::uint64_t{1} << random.below(18);
    for (std::string_view left = stream; !left.empty();) {
      const std::size_t piece = std::min<std::size_t>(left.size(), 1 + random.below(longest));
      feed(left.substr(0, piece));
      left.remove_prefix(piece);
    }
    ASSERT_EQ(messages, said) << "round " << round;
  }
}

TEST_F(DeframerTest, HasManyMessagesOfOnePiece) {
  std::string all;
  for (int i = 0; i < 1000; ++i) all += tcp_message("x");
  feed(all);
  EXPECT_EQ(messages.size(), 1000u);
  EXPECT_TRUE(deframer.room().empty());
}

TEST_F(DeframerTest, BreaksAtALengthThatNoMessageHas) {
  for (const std::uint32_t length : {0u, 65'536u, 0x01000000u, 0xffffffffu}) {
    Deframer fresh{buffers};
    Bytes bytes = Bytes{0, 0, 0, 1, 'x'};
    for (const char byte : tcp_length(length) + "more") {
      bytes.push_back(static_cast<std::uint8_t>(byte));
    }
    MutableBytes left{bytes};
    EXPECT_TRUE(fresh.next(left)) << "what came before it counts";
    EXPECT_FALSE(fresh.next(left));
    EXPECT_TRUE(fresh.is_broken()) << length;
    EXPECT_FALSE(fresh.next(left));
    EXPECT_TRUE(fresh.room().empty());
  }
  feed(tcp_message(std::string(65'535, 'x')));
  EXPECT_EQ(messages.size(), 1u);
  EXPECT_FALSE(deframer.is_broken());
}

TEST_F(DeframerTest, HoldsLittleForThoseWhoAnnounceMuch) {
  feed(tcp_length(65'535));
  EXPECT_TRUE(deframer.room().empty());
  feed("x");
  EXPECT_EQ(deframer.room().size(), 1023u);
  feed(std::string(1023, 'x'));
  feed("x");
  EXPECT_EQ(deframer.room().size(), 65'535u - 1025u);
}

TEST_F(DeframerTest, LetsTheReaderFillTheRestAndNoMore) {
  feed(tcp_message(std::string(5000, 'x')).substr(0, 3000));
  const std::size_t left = deframer.room().size();
  EXPECT_EQ(left, 5004u - 3000u);
  feed(std::string(left, 'x') + tcp_message("next"));
  EXPECT_THAT(messages, ElementsAre(std::string(5000, 'x'), "next"));
}

TEST_F(DeframerTest, ForgetsAnUnfinishedMessage) {
  feed(tcp_message("lost").substr(0, 6));
  deframer.clear();
  feed(tcp_message("kept"));
  EXPECT_THAT(messages, ElementsAre("kept"));
}

TEST_F(DeframerTest, SaysLengthsAsItReadsThem) {
  EXPECT_EQ(length_field(1), (LengthField{0, 0, 0, 1}));
  EXPECT_EQ(length_field(65'535), (LengthField{0, 0, 255, 255}));
}

}  // namespace
}  // namespace peer_relay::tcp
