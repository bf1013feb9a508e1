// SPDX-License-Identifier: MIT
#include "transport/webrtc/sdp.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "peer_relay/limits.hpp"

namespace peer_relay::webrtc {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

constexpr CandidatePolicy anywhere{.loopback = true, .link_local = true, .site = true};

std::string digest_text(char digit = 'A') {
  std::string out;
  for (int i = 0; i < 32; ++i) out += std::string(i == 0 ? "" : ":") + digit + digit;
  return out;
}

/// A description of one data section, with these lines instead of, or beside, the usual ones.
std::string with(std::string_view lines) {
  return "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
         "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"
         "a=mid:0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n"
         "a=fingerprint:sha-256 " +
         digest_text() + "\r\na=setup:actpass\r\n" + std::string(lines);
}

std::string replaced(std::string text, std::string_view what, std::string_view by) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), by);
}

SdpError error_of(std::string_view text) {
  const auto parsed = parse_description(text, anywhere);
  EXPECT_FALSE(parsed) << text;
  return parsed ? SdpError{} : parsed.error();
}

Description example() {
  return {.mid = "0",
          .ice_ufrag = "ufrg",
          .ice_pwd = "0123456789abcdefghijkl",
          .trickles = true,
          .fingerprints = {{.hash = HashKind::sha256, .digest = Bytes(32, 0xab)}},
          .setup = Setup::actpass,
          .sctp_port = 5000,
          .message_bytes_max = 65535};
}

TEST(Sdp, PrintsTheLeastThatAllTake) {
  EXPECT_EQ(print_description(example(), 84),
            "v=0\r\no=- 42 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n"
            "a=ice-ufrag:ufrg\r\na=ice-pwd:0123456789abcdefghijkl\r\na=ice-options:trickle\r\n"
            "a=fingerprint:sha-256 AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:"
            "AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB\r\n"
            "a=setup:actpass\r\na=sctp-port:5000\r\na=max-message-size:65535\r\n");
}

TEST(Sdp, ComesBackAsWritten) {
  Description description = example();
  description.candidates = {{.foundation = "1", .priority = 9, .host = "10.0.0.1", .port = 9},
                            {.foundation = "2", .priority = 8, .host = "2001:4860::1", .port = 8}};
  description.has_all_candidates = true;
  description.others = {{"audio", "UDP/TLS/RTP/SAVPF", "111", "a"}, {"video", "RTP/AVP", "9", ""}};
  description.others_before = 1;
  const auto parsed = parse_description(print_description(description, 1), anywhere);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, description);
}

// What each of them printed, when asked for a data channel.
TEST(Sdp, ReadsTheOffersOfOthers) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(
           std::filesystem::path(PEER_RELAY_SOURCE_DIR) / "fuzz/corpus/sdp")) {
    if (entry.path().extension() != ".sdp") continue;
    std::ifstream file(entry.path(), std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    const auto parsed = parse_description(text.str(), anywhere);
    ASSERT_TRUE(parsed) << entry.path() << ": " << name_of(parsed.error());
    EXPECT_THAT(parsed->fingerprints, SizeIs(1));
    EXPECT_EQ(parsed->sctp_port, 5000);
    EXPECT_GE(parsed->message_bytes_max, 65'536u);
    ++count;
  }
  EXPECT_GE(count, 6);
}

TEST(Sdp, TakesAttributesOfTheSession) {
  std::string text = with("");
  for (const std::string_view name :
       {"a=ice-ufrag:abcd\r\n", "a=ice-pwd:abcdefghijklmnopqrstuv\r\n", "a=setup:actpass\r\n"}) {
    text = replaced(replaced(text, name, ""), "t=0 0\r\n", "t=0 0\r\n" + std::string(name));
  }
  const auto parsed = parse_description(text, anywhere);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->ice_ufrag, "abcd");
  EXPECT_EQ(parsed->message_bytes_max, 65'536u);
}

TEST(Sdp, TakesLinesWithoutCarriageReturn) {
  std::string text = with("");
  std::erase(text, '\r');
  EXPECT_TRUE(parse_description(text, anywhere));
}

TEST(Sdp, SkipsFingerprintsByHashesThatProveNothing) {
  const std::string strong = "a=fingerprint:sha-256 " + digest_text() + "\r\n";
  EXPECT_EQ(error_of(replaced(with(""), strong, "a=fingerprint:md5 00:11\r\n")),
            SdpError::no_fingerprint);
  const auto parsed = parse_description(with("a=fingerprint:sha-1 00:11\r\n"), anywhere);
  ASSERT_TRUE(parsed);
  EXPECT_THAT(parsed->fingerprints, SizeIs(1));
  EXPECT_EQ(error_of(replaced(with(""), digest_text(), "AA:BB")), SdpError::malformed);
  EXPECT_EQ(error_of(replaced(with(""), digest_text(), "AA:BG")), SdpError::malformed);
  EXPECT_EQ(error_of(replaced(with(""), digest_text(), digest_text() + ":")), SdpError::malformed);
}

TEST(Sdp, RefusesWhatIsNoDescription) {
  EXPECT_EQ(error_of(""), SdpError::no_data);
  EXPECT_EQ(error_of("v=0"), SdpError::malformed);
  EXPECT_EQ(error_of("v=1\r\n"), SdpError::malformed);
  EXPECT_EQ(error_of("o=- 1 1\r\nv=0\r\n"), SdpError::malformed);
  EXPECT_EQ(error_of(with("a=x\x01\r\n")), SdpError::malformed);
  EXPECT_EQ(error_of(with("\r\n")), SdpError::malformed);
  EXPECT_EQ(error_of(with("A=x\r\n")), SdpError::malformed);
  EXPECT_EQ(error_of(with("a=sctp-port:0\r\n")), SdpError::malformed);
  EXPECT_EQ(error_of(with("a=sctp-port:65536\r\n")), SdpError::malformed);
  EXPECT_EQ(error_of(with("a=max-message-size:-1\r\n")), SdpError::malformed);
  EXPECT_EQ(error_of(with("a=setup:holdconn\r\n")), SdpError::bad_setup);
  EXPECT_EQ(error_of(with("a=ice-pwd:short\r\n")), SdpError::no_credentials);
  EXPECT_EQ(error_of(with("a=ice-ufrag:ab%d\r\n")), SdpError::no_credentials);
  EXPECT_EQ(error_of(replaced(with(""), "a=ice-ufrag:abcd\r\n", "")), SdpError::no_credentials);
  EXPECT_EQ(error_of(replaced(with(""), "m=application 9", "m=application 0")), SdpError::no_data);
  EXPECT_EQ(error_of(replaced(with(""), "m=application 9", "m=audio 9")), SdpError::no_data);
}

TEST(Sdp, IsBounded) {
  EXPECT_TRUE(parse_description(with("a=" + std::string(15'000, 'x') + "\r\n"), anywhere));
  EXPECT_EQ(error_of(with("a=" + std::string(16'384, 'x') + "\r\n")), SdpError::too_long);

  std::string sections;
  for (int i = 0; i < 31; ++i) sections += "m=audio 9 RTP/AVP 0\r\n";
  EXPECT_TRUE(parse_description(with(sections), anywhere));
  EXPECT_EQ(error_of(with(sections + "m=audio 9 RTP/AVP 0\r\n")), SdpError::too_many_sections);

  std::string candidates, fingerprints;
  for (int i = 0; i < 100; ++i) candidates += "a=candidate:1 1 udp 9 10.0.0.1 9 typ host\r\n";
  for (int i = 0; i < 20; ++i) fingerprints += "a=fingerprint:sha-256 " + digest_text('B') + "\r\n";
  const auto parsed = parse_description(with(candidates + fingerprints), anywhere);
  ASSERT_TRUE(parsed);
  EXPECT_THAT(parsed->candidates, SizeIs(limits::candidates_max));
  EXPECT_THAT(parsed->fingerprints, SizeIs(fingerprints_max));
}

TEST(Sdp, AnswersNoToOtherSections) {
  std::string offer = with("m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:v\r\na=setup:actpass\r\n");
  offer = replaced(offer, "t=0 0\r\n", "t=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:a\r\n");
  const auto parsed = parse_description(offer, anywhere);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->mid, "0");
  EXPECT_THAT(parsed->others, SizeIs(2));
  EXPECT_EQ(parsed->others_before, 1u);
  const std::string answer = print_description(*parsed, 1);
  EXPECT_LT(answer.find("m=audio 0 UDP/TLS/RTP/SAVPF 111"), answer.find("m=application 9"));
  EXPECT_LT(answer.find("m=application 9"), answer.find("m=video 0 UDP/TLS/RTP/SAVPF 96"));
  EXPECT_THAT(answer, HasSubstr("a=mid:v\r\n"));
}

}  // namespace
}  // namespace peer_relay::webrtc
