// SPDX-License-Identifier: MIT
#include "core/stream/send_buffer.hpp"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.hpp"

namespace peer_relay {
namespace {

constexpr std::uint64_t seed = 72;

Bytes bytes_from(std::uint64_t from, std::size_t count) {
  Bytes out(count);
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = static_cast<std::uint8_t>(((from + i) * 0x9e3779b97f4a7c15) >> 56);
  }
  return out;
}

Bytes copied(const SendBuffer& buffer, std::uint64_t from, std::uint64_t to) {
  Bytes out;
  buffer.copy(from, to, out);
  return out;
}

TEST(SendBuffer, GivesAnyPartOfWhatItHolds) {
  SendBuffer buffer;
  buffer.append(bytes_from(0, 5'000));
  buffer.append({});
  buffer.append(bytes_from(5'000, 1));
  buffer.append(bytes_from(5'001, 6'000));
  EXPECT_EQ(buffer.begin(), 0u);
  EXPECT_EQ(buffer.end(), 11'001u);
  EXPECT_EQ(copied(buffer, 0, 11'001), bytes_from(0, 11'001));
  EXPECT_EQ(copied(buffer, 4'990, 5'010), bytes_from(4'990, 20));
  EXPECT_EQ(copied(buffer, 11'000, 11'001), bytes_from(11'000, 1));
  EXPECT_EQ(copied(buffer, 11'001, 11'001), Bytes{});
}

TEST(SendBuffer, CopiesBehindWhatIsThere) {
  SendBuffer buffer;
  buffer.append(bytes_from(0, 3));
  Bytes out{1, 2};
  buffer.copy(1, 3, out);
  EXPECT_EQ(out.size(), 4u);
  EXPECT_EQ(out[0], 1u);
}

TEST(SendBuffer, ForgetsWhatIsReleased) {
  SendBuffer buffer;
  buffer.append(bytes_from(0, 10'000));
  buffer.release(4'000);
  EXPECT_EQ(buffer.begin(), 4'000u);
  EXPECT_EQ(copied(buffer, 4'000, 10'000), bytes_from(4'000, 6'000));
  buffer.release(1'000);  // said before, came late
  EXPECT_EQ(buffer.begin(), 4'000u);
  buffer.release(10'000);
  EXPECT_EQ(buffer.begin(), buffer.end());
  buffer.append(bytes_from(10'000, 10));
  EXPECT_EQ(copied(buffer, 10'000, 10'010), bytes_from(10'000, 10));
}

TEST(SendBuffer, IsWhatWasWrittenWhateverTheSizes) {
  Random random{seed};
  SCOPED_TRACE("seed " + std::to_string(seed));
  for (int run = 0; run < 20; ++run) {
    SendBuffer buffer;
    for (int step = 0; step < 400; ++step) {
      const std::uint64_t most = random.below(20) == 0 ? 20'000 : 100;
      buffer.append(bytes_from(buffer.end(), random.below(most)));
      const std::uint64_t held = buffer.end() - buffer.begin();
      const std::uint64_t from = buffer.begin() + random.below(held + 1);
      const std::uint64_t to = from + random.below(buffer.end() - from + 1);
      ASSERT_EQ(copied(buffer, from, to), bytes_from(from, to - from));
      if (random.below(3) == 0) buffer.release(buffer.begin() + random.below(held + 1) / 2);
    }
  }
}

}  // namespace
}  // namespace peer_relay
