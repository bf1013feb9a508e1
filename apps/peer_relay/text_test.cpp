// SPDX-License-Identifier: MIT
#include "text.hpp"

#include <chrono>

#include <gtest/gtest.h>

namespace peer_relay::app {
namespace {

using namespace std::chrono_literals;

TEST(Text, TellsDurationsInThreeDigitsAndAUnit) {
  EXPECT_EQ(duration_text(0us), "0 µs");
  EXPECT_EQ(duration_text(850us), "850 µs");
  EXPECT_EQ(duration_text(1240us), "1.24 ms");
  EXPECT_EQ(duration_text(20ms), "20 ms");
  EXPECT_EQ(duration_text(999'400us), "999 ms");
  EXPECT_EQ(duration_text(999'600us), "1 s");
  EXPECT_EQ(duration_text(15s), "15 s");
  EXPECT_EQ(duration_text(59'960ms), "1 min");
  EXPECT_EQ(duration_text(200s), "3 min 20 s");
  EXPECT_EQ(duration_text(2h + 5min), "2 h 5 min");
  EXPECT_EQ(duration_text(52h), "2 d 4 h");
}

TEST(Text, ReadsTheDurationsThatPeopleWrite) {
  EXPECT_EQ(parse_duration("250ms"), Duration{250ms});
  EXPECT_EQ(parse_duration("1.5s"), Duration{1500ms});
  EXPECT_EQ(parse_duration("10"), Duration{10s});
  EXPECT_EQ(parse_duration("2m"), Duration{2min});
  EXPECT_EQ(parse_duration("0"), Duration{0s});
  for (const char* nonsense : {"", "s", "-1s", "1x", "1 s", "inf", "nan", "1e300h"}) {
    EXPECT_FALSE(parse_duration(nonsense)) << nonsense;
  }
}

TEST(Text, TellsSizesAndCounts) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(999), "999 B");
  EXPECT_EQ(bytes_text(1024), "1 KiB");
  EXPECT_EQ(bytes_text(1536), "1.5 KiB");
  EXPECT_EQ(bytes_text(20u << 20), "20 MiB");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(1000), "1,000");
  EXPECT_EQ(count_text(1234567), "1,234,567");
  EXPECT_EQ(counted(1, "hop"), "1 hop");
  EXPECT_EQ(counted(2, "hop"), "2 hops");
}

TEST(Text, LeavesNothingToATerminalThatCouldMislead) {
  EXPECT_EQ(escaped("grüße, 世界 🙂"), "grüße, 世界 🙂");
  EXPECT_EQ(escaped("a\x1b[31mred"), "a\\x1b[31mred");
  EXPECT_EQ(escaped("two\nlines\r\t"), "two\\nlines\\r\\t");
  EXPECT_EQ(escaped("\u202egnp"), "\\u{202e}gnp");
  EXPECT_EQ(escaped("\u009b31m"), "\\u{9b}31m");
  EXPECT_EQ(escaped("\xff\xc0\x80"), "\\xff\\xc0\\x80");
  EXPECT_EQ(escaped("abcdef", 3), "abc…");
  EXPECT_EQ(escaped("abc", 3), "abc");
}

TEST(Text, KnowsUtf8FromOtherBytes) {
  EXPECT_TRUE(is_utf8(""));
  EXPECT_TRUE(is_utf8("\U0010ffff"));
  EXPECT_FALSE(is_utf8("\xed\xa0\x80"));      // a surrogate
  EXPECT_FALSE(is_utf8("\xf4\x90\x80\x80"));  // beyond the last
  EXPECT_FALSE(is_utf8("\xe2\x82"));          // cut
  EXPECT_FALSE(is_utf8("\xc0\xaf"));          // longer than needed
}

TEST(Text, QuotesOneWordForAShell) {
  EXPECT_EQ(shell_word("ws://127.0.0.1:8000"), "ws://127.0.0.1:8000");
  EXPECT_EQ(shell_word("ws://[::1]:8000"), "'ws://[::1]:8000'");
  EXPECT_EQ(shell_word("it's mine"), "'it'\\''s mine'");
  EXPECT_EQ(shell_word(""), "''");
}

TEST(Text, CarriesBytesInBase64) {  // RFC 4648 §10
  EXPECT_EQ(base64(as_bytes("")), "");
  EXPECT_EQ(base64(as_bytes("f")), "Zg==");
  EXPECT_EQ(base64(as_bytes("fo")), "Zm8=");
  EXPECT_EQ(base64(as_bytes("foobar")), "Zm9vYmFy");
  EXPECT_EQ(as_text(from_base64("Zm8=").value()), "fo");
  EXPECT_EQ(as_text(from_base64("Zm9vYmFy").value()), "foobar");
  EXPECT_FALSE(from_base64("Z"));
  EXPECT_FALSE(from_base64("Zm9?"));
}

}  // namespace
}  // namespace peer_relay::app
