// SPDX-License-Identifier: MIT
//
// What holds for every format alike. What each of them means is tested beside its header.
#include "core/wire/wire.hpp"

#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.hpp"
#include "fuzz/wire_formats.hpp"
#include "tests/support/vectors.hpp"

namespace peer_relay {
namespace {

constexpr std::uint64_t seed = 20'260'101;

struct Case {
  std::string_view vector;
  std::string_view format;
  bool has_frame_header = false;
  /// Fewer bytes than these are refused. A format that ends in "the rest" can't miss more of it.
  std::size_t least = SIZE_MAX;
};

constexpr Case cases[] = {
    {"hello", "hello", false, 21},
    {"accepted", "accepted", false, 1},
    {"refused", "refused"},
    {"introduction", "introduction"},
    {"contact", "contact"},
    {"route", "envelope", true, 47},
    {"route_closest", "envelope", true, 87},
    {"route_careful", "envelope", true, 47},
    {"ping", "ping", true},
    {"pong", "ping", true},
    {"goodbye", "goodbye", true},
    {"contacts", "contacts", true},
    {"dial_back", "dial_back", true},
    {"dial_back_result", "dial_back_result", true},
    {"lookup", "lookup"},
    {"lookup_answer", "lookup_answer"},
    {"unreachable", "unreachable"},
    {"session_open", "session_open", false, 5},
    {"session_answer", "session_answer", false, 8},
    {"session_finish", "session_finish", false, 4},
    {"session_data", "session_data", false, 28},
    {"session_unknown", "session_unknown"},
    {"session_payload", "session_payload", false, 41},
    {"session_payload_answer", "session_payload", false, 41},
    {"content_data", "content", false, 2},
    {"content_data_acked", "content", false, 10},
    {"content_probe", "content"},
    {"content_acknowledge", "content"},
    {"legacy_piece", "legacy", true, 1},
    {"legacy_neighbours", "legacy", true, 1},
    {"stream_data", "stream_data", true, 17},
    {"stream_data_opens", "stream_data", true, 22},
    {"stream_window", "stream_window", true},
    {"stream_reset", "stream_reset", true},
    {"stream_packet", "stream_packet", false, 10},
    {"stream_ack", "stream_ack"},
};

const Format& format_of(const Case& one) {
  return *std::ranges::find(formats, one.format, &Format::name);
}

Bytes body_of(const Case& one) {
  Bytes bytes = golden(one.vector);
  if (one.has_frame_header) wire_formats::drop_frame_header(bytes);
  return bytes;
}

/// In a buffer of exactly this size, so that the sanitizer sees a read past its end.
std::optional<Bytes> again(const Case& one, BytesView bytes) {
  return format_of(one).again(Bytes(bytes.begin(), bytes.end()));
}

/// A change that a network, a bug or an enemy would make.
Bytes mutated(Bytes bytes, Random& random) {
  const auto any_place = [&] { return static_cast<std::ptrdiff_t>(random.below(bytes.size())); };
  const auto any_byte = [&] { return static_cast<std::uint8_t>(random.next()); };
  for (std::uint64_t i = 0; i <= random.below(3) && !bytes.empty(); ++i) {
    switch (random.below(5)) {
      case 0:
        bytes[random.below(bytes.size())] ^= static_cast<std::uint8_t>(1u << random.below(8));
        break;
      case 1:
        bytes[random.below(bytes.size())] = any_byte();
        break;
      case 2:
        bytes.erase(bytes.begin() + any_place());
        break;
      case 3:
        bytes.insert(bytes.begin() + any_place(), any_byte());
        break;
      case 4:
        bytes[random.below(bytes.size())] = random.below(2) ? 0xff : 0x00;
        break;
    }
  }
  return bytes;
}

TEST(Wire, EveryVectorIsTestedAndEveryFormatHasOne) {
  std::set<std::string_view> formats_used;
  std::set<std::string> vectors_used{"batch"};  // frame_test.cpp walks it
  for (const Case& one : cases) {
    formats_used.insert(one.format);
    vectors_used.emplace(one.vector);
  }
  EXPECT_EQ(formats_used.size(), formats.size());
  EXPECT_THAT(golden_names(), testing::ElementsAreArray(vectors_used));
}

TEST(Wire, EveryVectorComesBackAsItWas) {
  for (const Case& one : cases) {
    EXPECT_EQ(again(one, body_of(one)), body_of(one)) << one.vector;
  }
}

TEST(Wire, FramesSayTheirSizeInTheirHeader) {
  for (const Case& one : cases) {
    if (!one.has_frame_header) continue;
    Bytes bytes = golden(one.vector);
    FrameReader frames{bytes};
    const auto frame = frames.next();
    ASSERT_TRUE(frame) << one.vector;
    EXPECT_EQ(frame->body.size(), bytes.size() - frame_header_bytes) << one.vector;
  }
}

TEST(Wire, NothingThatIsCutShortDecodes) {
  for (const Case& one : cases) {
    const Bytes whole = body_of(one);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const auto cut = BytesView{whole}.first(size);
      if (size < one.least) {
        EXPECT_EQ(again(one, cut), std::nullopt) << one.vector << " cut to " << size;
      } else {
        EXPECT_TRUE(keeps_its_promise(format_of(one), cut)) << one.vector << " cut to " << size;
      }
    }
  }
}

TEST(Wire, NothingWithAByteTooManyDecodes) {
  for (const Case& one : cases) {
    if (one.least != SIZE_MAX) continue;  // what comes more belongs to its rest
    Bytes longer = body_of(one);
    longer.push_back(0);
    EXPECT_EQ(again(one, longer), std::nullopt) << one.vector;
  }
}

TEST(Wire, WhatDecodesAfterAChangeEncodesAsItCame) {
  Random random{seed};
  std::map<std::string_view, int> decoded;
  for (const Case& one : cases) {
    const Bytes whole = body_of(one);
    for (int i = 0; i < 3000; ++i) {
      const Bytes changed = mutated(whole, random);
      ASSERT_TRUE(keeps_its_promise(format_of(one), changed))
          << one.vector << ", change " << i << " of seed " << seed;
      decoded[one.format] += again(one, changed) ? 1 : 0;
    }
  }
  // Else the promise was kept by never giving one.
  for (const Format& format : formats) EXPECT_GT(decoded[format.name], 10) << format.name;
}

TEST(Wire, NoiseIsReadWithoutHarm) {
  Random random{seed};
  for (int i = 0; i < 20'000; ++i) {
    Bytes noise(random.below(200));
    for (std::uint8_t& byte : noise) byte = static_cast<std::uint8_t>(random.next());
    for (const Format& format : formats) {
      ASSERT_TRUE(keeps_its_promise(format, noise)) << format.name << ", try " << i;
    }
  }
}

TEST(Wire, ErrorsHaveNames) {
  EXPECT_EQ(name_of(DecodeError::truncated), "truncated");
  EXPECT_EQ(name_of(DecodeError::trailing), "trailing");
  EXPECT_EQ(name_of(DecodeError::over_limit), "over_limit");
  EXPECT_EQ(name_of(DecodeError::unknown), "unknown");
  EXPECT_EQ(name_of(DecodeError::bad_value), "bad_value");
}

}  // namespace
}  // namespace peer_relay
