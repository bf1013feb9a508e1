// SPDX-License-Identifier: MIT
#include "transport/webrtc/candidate.hpp"

#include <gtest/gtest.h>

namespace peer_relay::webrtc {
namespace {

constexpr CandidatePolicy anywhere{.loopback = true, .link_local = true, .site = true};

CandidateError error_of(std::string_view line, const CandidatePolicy& policy = anywhere) {
  const auto parsed = parse_candidate(line, policy);
  EXPECT_FALSE(parsed) << line;
  return parsed ? CandidateError{} : parsed.error();
}

TEST(Candidate, ReadsWhatOthersWrite) {
  // libwebrtc
  auto candidate = parse_candidate(
      "candidate:3885250869 1 udp 2122260223 192.168.1.7 51556 typ host generation 0 ufrag 1y8i "
      "network-id 1",
      anywhere);
  ASSERT_TRUE(candidate);
  EXPECT_EQ(*candidate, (Candidate{.foundation = "3885250869",
                                   .priority = 2122260223,
                                   .host = "192.168.1.7",
                                   .port = 51556,
                                   .kind = CandidateKind::host}));
  // libdatachannel
  candidate = parse_candidate("candidate:1 1 UDP 2122317823 127.0.0.1 40000 typ host", anywhere);
  ASSERT_TRUE(candidate);
  EXPECT_EQ(candidate->host, "127.0.0.1");
  // Firefox
  candidate = parse_candidate(
      "candidate:1 1 UDP 1686052863 8.8.4.4 47596 typ srflx raddr 0.0.0.0 rport 0", anywhere);
  ASSERT_TRUE(candidate);
  EXPECT_EQ(candidate->kind, CandidateKind::server_reflexive);
  candidate = parse_candidate(
      "candidate:8 1 udp 41885439 2001:DB9::7 5000 typ relay raddr ::1 rport 9", anywhere);
  ASSERT_TRUE(candidate);
  EXPECT_EQ(candidate->kind, CandidateKind::relayed);
  EXPECT_EQ(candidate->host, "2001:db9::7");
}

TEST(Candidate, ComesBackAsWritten) {
  for (const std::string_view line :
       {"candidate:1 1 udp 2130706431 10.0.0.1 9 typ host",
        "candidate:a+/ 1 udp 0 9.9.9.9 65535 typ srflx raddr 0.0.0.0 rport 0",
        "candidate:1 1 udp 4294967295 2001:4860::1 1 typ relay raddr :: rport 0"}) {
    const auto candidate = parse_candidate(line, anywhere);
    ASSERT_TRUE(candidate) << line;
    EXPECT_EQ(to_string(*candidate), line);
  }
}

TEST(Candidate, TellsWhyItIsRefused) {
  using enum CandidateError;
  EXPECT_EQ(error_of("candidate:1 1 tcp 9 10.0.0.1 9 typ host tcptype active"), not_udp);
  EXPECT_EQ(error_of("candidate:1 2 udp 9 10.0.0.1 9 typ host"), not_ours);
  EXPECT_EQ(error_of("candidate:1 1 udp 9 a1b2.local 9 typ host"), no_address);
  EXPECT_EQ(error_of("candidate:1 1 udp 9 10.0.0.1 0 typ host"), forbidden);
  EXPECT_EQ(
      error_of(std::string("candidate:1 1 udp 9 10.0.0.1 9 typ host x ") + std::string(256, 'y')),
      too_long);
  for (const std::string_view line :
       {"", "candidate", "candidate:", "a=candidate:1 1 udp 9 10.0.0.1 9 typ host",
        "candidate:1 1 udp 9 10.0.0.1 9", "candidate:1 1 udp 9 10.0.0.1 9 typ",
        "candidate:1 1 udp 9 10.0.0.1 9 typ guest", "candidate:1 1 udp 9 10.0.0.1 +9 typ host",
        "candidate:1 1 udp 9 10.0.0.1 65536 typ host", "candidate:1 1 udp -9 10.0.0.1 9 typ host",
        "candidate:1 1 udp 4294967296 10.0.0.1 9 typ host",
        "candidate:1 0 udp 9 10.0.0.1 9 typ host", "candidate:1  1 udp 9 10.0.0.1 9 typ host",
        "candidate:1 1 udp 9 10.0.0.1 9 typ host raddr", "candidate:!1 1 udp 9 10.0.0.1 9 typ host",
        "candidate:123456789012345678901234567890123 1 udp 9 10.0.0.1 9 typ host"}) {
    EXPECT_EQ(error_of(line), malformed) << line;
  }
}

TEST(Candidate, LeadsOnlyWhereAPeerCanBe) {
  const auto line = [](std::string_view host) {
    return "candidate:1 1 udp 9 " + std::string(host) + " 9 typ host";
  };
  for (const std::string_view host : {"0.0.0.0", "255.255.255.255", "224.0.0.251", "::", "ff02::fb",
                                      "::ffff:224.0.0.1", "::ffff:0.0.0.0"}) {
    EXPECT_EQ(error_of(line(host)), CandidateError::forbidden) << host;
  }
  const CandidatePolicy strict;
  for (const std::string_view host : {"127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.1.1",
                                      "fe80::1", "10.1.2.3", "192.168.0.1", "fd00::1"}) {
    EXPECT_EQ(error_of(line(host), strict), CandidateError::forbidden) << host;
    EXPECT_TRUE(parse_candidate(line(host), anywhere)) << host;
  }
  EXPECT_TRUE(parse_candidate(line("8.8.8.8"), strict));
}

}  // namespace
}  // namespace peer_relay::webrtc
