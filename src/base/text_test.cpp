// SPDX-License-Identifier: MIT
#include "base/text.hpp"

#include <gtest/gtest.h>

namespace peer_relay {
namespace {

using namespace std::string_view_literals;

TEST(PlainText, IsWhatPeopleWrite) {
  for (const auto text :
       {""sv, "peer-relay/0.1.0"sv, " ~"sv, "Gr\xc3\xbc\xc3\x9f"sv, "\xe2\x82\xac"sv,
        "\xf0\x9f\x90\xa6"sv, "\xc2\xa0"sv, "\xf4\x8f\xbf\xbf"sv, "\xed\x9f\xbf\xee\x80\x80"sv}) {
    EXPECT_TRUE(is_plain_text(text)) << text;
  }
}

TEST(PlainText, DoesNotCommandATerminal) {
  for (const auto text : {"\n"sv, "\0"sv, "a\x1b[2J"sv, "\x7f"sv, "\xc2\x80"sv, "\xc2\x9b"sv,
                          "\xe2\x80\xa8"sv, "\xe2\x80\xae"sv, "\xe2\x81\xa6"sv}) {
    EXPECT_FALSE(is_plain_text(text));
  }
}

TEST(PlainText, IsWellFormedUtf8) {
  for (const auto text :
       {"\x80"sv, "\xff"sv, "\xc3"sv, "\xc3("sv, "\xe2\x82"sv, "\xe2\x28\xa1"sv, "\xf0\x9f\x90"sv,
        "\xc0\xaf"sv, "\xc1\xbf"sv, "\xe0\x80\xaf"sv, "\xf0\x80\x80\xaf"sv,  // longer than needed
        "\xed\xa0\x80"sv, "\xed\xbf\xbf"sv,                                  // surrogates
        "\xf4\x90\x80\x80"sv, "\xf8\x88\x80\x80\x80"sv}) {                   // beyond Unicode
    EXPECT_FALSE(is_plain_text(text));
  }
}

}  // namespace
}  // namespace peer_relay
