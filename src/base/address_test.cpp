// SPDX-License-Identifier: MIT
#include "peer_relay/address.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.hpp"
#include "peer_relay/limits.hpp"

namespace peer_relay {
namespace {

constexpr std::uint64_t seed = 6890;

/// As `scheme|host|port|path`, or `no`.
std::string parsed(std::string_view text) {
  const auto address = Address::parse(text);
  if (!address) return "no";
  static constexpr std::string_view schemes[] = {"ws", "wss", "tcp"};
  std::string out{schemes[static_cast<std::size_t>(address->scheme)]};
  return out + "|" + address->host + "|" + std::to_string(address->port) + "|" + address->path;
}

TEST(Address, HasASchemeAHostAPortAndAPath) {
  EXPECT_EQ(parsed("ws://node.example:8080/overlay/1"), "ws|node.example|8080|/overlay/1");
  EXPECT_EQ(parsed("wss://198.51.100.7:1"), "wss|198.51.100.7|1|/");
  EXPECT_EQ(parsed("tcp://[2001:db8::1]:65535"), "tcp|2001:db8::1|65535|/");
}

TEST(Address, HasThePortOfItsSchemeWhereNoneIsSaid) {
  EXPECT_EQ(parsed("ws://node.example"), "ws|node.example|80|/");
  EXPECT_EQ(parsed("wss://node.example/x"), "wss|node.example|443|/x");
  EXPECT_EQ(parsed("ws://[::1]"), "ws|::1|80|/");
  EXPECT_EQ(parsed("tcp://node.example"), "no");
}

TEST(Address, IsInLowerCaseButForItsPath) {
  EXPECT_EQ(parsed("ws://Node.EXAMPLE/Path"), "ws|node.example|80|/Path");
  EXPECT_EQ(parsed("ws://[2001:DB8::A]/"), "ws|2001:db8::a|80|/");
}

TEST(Address, HasNoOtherScheme) {
  for (const auto* text : {"", "ws", "ws:", "ws:/a", "ws://", "http://a", "WS://a", "wss:a", "a:80",
                           "quic://a:1", "://a", " ws://a", "ws ://a"}) {
    EXPECT_EQ(parsed(text), "no") << text;
  }
}

TEST(Address, HasNoUserNoQueryAndNoFragment) {
  for (const auto* text :
       {"ws://me@a/", "ws://me:secret@a/", "ws://a/?x", "ws://a?x", "ws://a/#x", "ws://a#x",
        "ws://a/b c", "ws://a/\x7f", "ws://a/\xc3\xa9", "ws://a/\n", "ws://a\\b", "ws://a/ "}) {
    EXPECT_EQ(parsed(text), "no") << text;
  }
}

TEST(Address, HasAPortFromOneTo65535WithoutPadding) {
  EXPECT_EQ(parsed("ws://a:65535"), "ws|a|65535|/");
  for (const auto* text : {"ws://a:", "ws://a:/", "ws://a:0", "ws://a:65536", "ws://a:080",
                           "ws://a:+1", "ws://a:-1", "ws://a:1x", "ws://a: 1", "ws://a:1:2",
                           "ws://a:99999", "ws://a:100000", "ws://a:4294967297"}) {
    EXPECT_EQ(parsed(text), "no") << text;
  }
}

TEST(Address, HasNoPathForTcp) {
  EXPECT_EQ(parsed("tcp://a:1"), "tcp|a|1|/");
  EXPECT_EQ(parsed("tcp://a:1/"), "no");
  EXPECT_EQ(parsed("tcp://a:1/x"), "no");
}

TEST(Address, NamesFollowTheRulesOfHostnames) {
  const std::string label(63, 'a');
  EXPECT_NE(parsed("ws://a"), "no");
  EXPECT_NE(parsed("ws://xn--bcher-kva.example"), "no");
  EXPECT_NE(parsed("ws://3com.example"), "no");
  EXPECT_NE(parsed("ws://1.2.3.4.example"), "no");
  EXPECT_NE(parsed("ws://" + label + ".example"), "no");
  for (const std::string& host :
       {std::string{"-a"}, std::string{"a-"}, std::string{"a..b"}, std::string{".a"},
        std::string{"a."}, std::string{"a_b"}, std::string{"b\xc3\xbc"}, std::string{"a%20"},
        std::string{"*"}, label + "a"}) {
    EXPECT_EQ(parsed("ws://" + host), "no") << host;
  }
}

TEST(Address, IsNeverANumberThatOnlyResolversUnderstand) {
  for (const auto* host :
       {"1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.0.0.01", "256.0.0.1",
        "1.2.3.4.5", "1.2.3", "a.1", "a.0x", "1.2.3.", "00.0.0.0", "1.2.3.-4"}) {
    EXPECT_EQ(parsed(std::string{"ws://"} + host), "no") << host;
  }
}

TEST(Address, TakesIpv6InEveryFormOfRfc4291) {
  for (const auto* host :
       {"::", "::1", "1::", "1::8", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8",
        "1::3:4:5:6:7:8", "2001:db8:0:0:8:800:200c:417a", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "::ffff:1.2.3.4", "64:ff9b::192.0.2.33", "1:2:3:4:5:6:1.2.3.4", "::1.2.3.4",
        "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "0001::00aF"}) {
    EXPECT_TRUE(is_ip_address(host)) << host;
    EXPECT_NE(parsed("ws://[" + std::string{host} + "]:1"), "no") << host;
    EXPECT_EQ(parsed("ws://" + std::string{host} + ":1"), "no") << host;
  }
}

TEST(Address, TakesNoOtherIpv6) {
  for (const auto* host : {"",
                           ":",
                           ":::",
                           "1",
                           "1:2",
                           ":1",
                           "1:",
                           ":1::",
                           "1::2::3",
                           "1:::2",
                           "1:2:3:4:5:6:7",
                           "1:2:3:4:5:6:7:8:9",
                           "1:2:3:4:5:6:7:8::",
                           "::1:2:3:4:5:6:7:8",
                           "1:2:3:4::5:6:7:8",
                           "12345::",
                           "g::",
                           "::1%eth0",
                           "::1.2.3",
                           "::1.2.3.256",
                           "1.2.3.4::",
                           "::1.2.3.4:5",
                           "1:2:3:4:5:6:7:1.2.3.4",
                           "1.2.3.4",
                           "[::1]",
                           "::1 ",
                           "::-1",
                           "1::2:"}) {
    EXPECT_EQ(parsed("ws://[" + std::string{host} + "]:1"), "no") << host;
  }
  for (const auto* text : {"ws://[::1", "ws://::1]", "ws://[::1]x", "ws://[::1]1", "ws://[::1]:"}) {
    EXPECT_EQ(parsed(text), "no") << text;
  }
}

TEST(Address, IsNoLongerThanItsLimit) {
  const std::string start = "ws://a/";
  const std::string longest = start + std::string(limits::address_bytes_max - start.size(), 'p');
  EXPECT_NE(parsed(longest), "no");
  EXPECT_EQ(parsed(longest + "p"), "no");
}

TEST(Address, IsWrittenInOneWay) {
  const auto again = [](std::string_view text) { return Address::parse(text).value().to_string(); };
  EXPECT_EQ(again("ws://Node.example:80/"), "ws://node.example");
  EXPECT_EQ(again("ws://node.example:443"), "ws://node.example:443");
  EXPECT_EQ(again("wss://node.example:443/a"), "wss://node.example/a");
  EXPECT_EQ(again("tcp://[::1]:80"), "tcp://[::1]:80");
}

/// Mostly addresses, with slips of the pen.
std::string scribbled(Random& random) {
  static constexpr std::string_view words[] = {
      "ws://", "wss://", "tcp://", "[", "]", "::", ":", "1", "80",   "65536", "/",    "a",
      ".",     "-",      "node",   "@", "?", "F",  "0", "9", "db8:", "0x",    "::1]", "127.0.0.1"};
  std::string out{words[random.below(3)]};
  for (std::uint64_t n = random.below(8); n > 0; --n) out += words[random.below(std::size(words))];
  return out;
}

TEST(Address, ComesBackFromItsText) {
  Random random{seed};
  int good = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::string text = scribbled(random);
    const auto address = Address::parse(text);
    if (!address) continue;
    ++good;
    ASSERT_EQ(Address::parse(address->to_string()), address) << text << ", seed " << seed;
    ASSERT_LE(address->to_string().size(), text.size()) << text;
  }
  EXPECT_GT(good, 1000);
}

TEST(Reach, FollowsRfc6890) {
  const std::pair<Reach, std::vector<std::string_view>> reaches[] = {
      {Reach::nowhere,
       {"0.0.0.0",
        "0.255.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "198.51.100.7",
        "203.0.113.255",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "ff02::1",
        "2001:db8::1",
        "3fff::1",
        "100::1",
        "4000::1",
        "::1.2.3.4",
        "2001:10::1",
        "2001:2f::1",
        "2002:7f00:1::",
        "2002:c0a8:1::1",
        "64:ff9b::10.0.0.1",
        "::ffff:0.0.0.0",
        "",
        "a b",
        "127.1",
        "0x7f000001"}},
      {Reach::loopback,
       {"127.0.0.1", "127.255.255.255", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "localhost",
        "LocalHost", "node.localhost"}},
      {Reach::link_local, {"169.254.0.1", "fe80::1", "febf::1", "::ffff:169.254.1.1"}},
      {Reach::site,
       {"10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
        "100.127.255.255", "198.18.0.1", "198.19.255.255", "fc00::1", "fdff::1", "fec0::1",
        "::ffff:10.1.2.3", "64:ff9b:1::1", "2001:2::1"}},
      {Reach::world, {"1.1.1.1",          "9.255.255.255",  "11.0.0.0",        "100.63.255.255",
                      "100.128.0.0",      "126.0.0.1",      "128.0.0.1",       "169.253.0.1",
                      "172.15.0.1",       "172.32.0.1",     "192.167.0.1",     "192.169.0.1",
                      "198.17.0.1",       "198.20.0.1",     "223.255.255.255", "2000::1",
                      "2606:4700::1111",  "2001:db7::1",    "2001:30::1",      "2002:101:101::1",
                      "64:ff9b::1.1.1.1", "::ffff:8.8.8.8", "node.example",    "localhost.example",
                      "notlocalhost"}},
  };
  for (const auto& [reach, hosts] : reaches) {
    for (const auto host : hosts) EXPECT_EQ(reach_of_host(host), reach) << host;
  }
}

TEST(Reach, OfAnAddressIsThatOfItsHost) {
  EXPECT_EQ(Address::parse("ws://[::1]:1").value().reach(), Reach::loopback);
  EXPECT_EQ(Address::parse("ws://node.example").value().reach(), Reach::world);
}

TEST(IsIpAddress, KnowsNamesFromNumbers) {
  EXPECT_TRUE(is_ip_address("1.2.3.4"));
  EXPECT_TRUE(is_ip_address("::"));
  for (const auto* host : {"", "a", "1.2.3", "1.2.3.4.", "1.2.3.04", "[::1]", "fe80::1%1"}) {
    EXPECT_FALSE(is_ip_address(host)) << host;
  }
}

TEST(Subnet, IsTheSameForNeighbours) {
  EXPECT_EQ(subnet_of_host("1.2.3.4"), subnet_of_host("1.2.3.255"));
  EXPECT_NE(subnet_of_host("1.2.3.4"), subnet_of_host("1.2.4.4"));
  EXPECT_EQ(subnet_of_host("2001:db8:1::1"), subnet_of_host("2001:db8:1:ffff::2"));
  EXPECT_NE(subnet_of_host("2001:db8:1::1"), subnet_of_host("2001:db8:2::1"));
  EXPECT_EQ(subnet_of_host("::ffff:1.2.3.4"), subnet_of_host("1.2.3.9"));
  EXPECT_EQ(subnet_of_host("node.example"), subnet_of_host("NODE.example"));
  EXPECT_NE(subnet_of_host("node.example"), subnet_of_host("other.example"));
}

TEST(Subnet, OfOneFamilyIsNeverThatOfAnother) {
  EXPECT_NE(subnet_of_host("0.0.1.0"), subnet_of_host("::"));
  EXPECT_NE(subnet_of_host("0.0.0.0"), subnet_of_host("::"));
  EXPECT_NE(subnet_of_host("node.example") >> 62, subnet_of_host("::1") >> 62);
}

}  // namespace
}  // namespace peer_relay
