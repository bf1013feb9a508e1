// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "transport/end_testing.hpp"
#include "transport/websocket/testing.hpp"
#include "transport/websocket/websocket_transport.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;
using testing::CertificateAuthority;
using testing::client_frame;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::Stranger;
using testing::TemporaryDir;
using testing::upgrade_request;

using End = testing::TransportEnd;
using testing::pattern;

class WebSocket : public testing::TransportTest {
 protected:
  End& make_end(WebSocketOptions options = {}) {
    End& end = add_end();
    auto made = WebSocketTransport::make(io, end, std::move(options));
    if (!made) throw std::runtime_error(made.error().detail);
    end.own(std::move(*made));
    return end;
  }

  static std::string url(std::uint16_t port, const std::string& scheme = "ws") {
    return TransportTest::url(port, scheme);
  }

  /// A link between two ends.
  void link(End& from, End& to) {
    from.dial(url(to.listen()));
    ASSERT_TRUE(until([&] { return from.links.size() == 1 && to.links.size() == 1; }))
        << from.last_detail;
  }
};

// ---- Old nodes ------------------------------------------------------------------------------

Bytes letters(std::size_t size) { return Bytes(size, 'x'); }

TEST_F(WebSocket, CarriesTextWhereItIsWanted) {
  End& a = make_end({.old_text_bytes_max = 200'000});
  End& b = make_end({.old_text_bytes_max = 200'000});
  link(a, b);
  EXPECT_FALSE(a.only().link->may_be_old());
  EXPECT_FALSE(b.only().link->may_be_old());
  const std::vector<std::size_t> sizes{1, 1535, 1536, 1537, 65'535, 65'536, 131'072, 199'999};
  for (const std::size_t size : sizes) {
    a.only().link->send_text(letters(size));
    a.only().link->send(pattern(size % 60'000));
  }
  ASSERT_TRUE(until([&] { return b.only().messages.size() == sizes.size(); }));
  ASSERT_EQ(b.only().texts.size(), sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) EXPECT_EQ(b.only().texts[i], letters(sizes[i]));
}

// ---- Nodes of npm peer-exchange -------------------------------------------------------------

const std::string pxp{"\0\3pxp", 5};

TEST_F(WebSocket, CarriesBytesBothWaysWhateverTheBorders) {
  End& from = make_end();
  End& to = make_end({.takes_streams = true});
  from.dial_stream(url(to.listen()));
  ASSERT_TRUE(until([&] { return from.links.size() == 1 && to.links.size() == 1; }));
  EXPECT_FALSE(from.only().link->may_be_old());
  std::string expected = pxp;
  from.only().link->send(Bytes(pxp.begin(), pxp.begin() + 2));  // as a node sends header and name
  from.only().link->send(Bytes(pxp.begin() + 2, pxp.end()));
  for (const std::size_t size : {1u, 1535u, 1536u, 1537u, 65'536u, 300'000u, 5'000'000u, 3u}) {
    from.only().link->send(pattern(size));
    to.only().link->send(pattern(size));
    expected += as_text(pattern(size));
  }
  ASSERT_TRUE(until([&] { return to.only().stream.size() == expected.size(); }));
  EXPECT_TRUE(to.only().stream == expected);
  ASSERT_TRUE(until([&] { return from.only().stream.size() + pxp.size() == expected.size(); }));
  EXPECT_TRUE(pxp + from.only().stream == expected);
  EXPECT_EQ(to.only().by, ExchangeTransport::websocket);
  EXPECT_TRUE(to.only().messages.empty());
}

TEST_F(WebSocket, KnowsItsOwnBesideThoseWhoCarryBytes) {
  End& from = make_end();
  End& to = make_end({.takes_streams = true});
  link(from, to);
  Bytes hello{'P', 'R', 'L', 'Y'};
  hello.resize(100);
  from.only().link->send(hello);
  from.only().link->send(pattern(60'000));
  ASSERT_TRUE(until([&] { return to.only().messages.size() == 2; }));
  EXPECT_EQ(to.only().stream, "");
  // And the bound on a message stands for them as ever.
  from.only().link->send(pattern(70'000));
  ASSERT_TRUE(until([&] { return to.only().closed == 1; }));
  EXPECT_EQ(to.only().reason, CloseReason::protocol_error);
}

TEST_F(WebSocket, TakesNoBytesWhereNobodyAskedForThem) {
  End& from = make_end();
  End& to = make_end();
  from.dial_stream(url(to.listen()));
  ASSERT_TRUE(until([&] { return from.links.size() == 1 && to.links.size() == 1; }));
  from.only().link->send(Bytes(pxp.begin(), pxp.end()));
  ASSERT_TRUE(until([&] { return to.only().messages.size() == 1; })) << "the engine ends it";
}

TEST_F(WebSocket, ThrowsALongerTextAwayAndGoesOn) {
  End& a = make_end({.old_text_bytes_max = 100'000});
  End& b = make_end({.old_text_bytes_max = 100'000});
  link(a, b);
  a.only().link->send_text(letters(350'000));
  a.only().link->send_text(letters(5));
  ASSERT_TRUE(until([&] { return b.only().texts.size() == 1; }));
  EXPECT_EQ(b.only().texts.front(), letters(5));
  EXPECT_EQ(b.overlong, 1);
}

TEST_F(WebSocket, TakesNoLongerBatchesForTheSakeOfText) {
  End& a = make_end({.old_text_bytes_max = 200'000});
  End& b = make_end({.old_text_bytes_max = 200'000});
  link(a, b);
  a.only().link->send(pattern(65'536));
  ASSERT_TRUE(until([&] { return b.only().closed == 1; }));
  EXPECT_EQ(b.only().reason, CloseReason::protocol_error);
  EXPECT_TRUE(b.only().messages.empty());
}

// ---- What strangers send --------------------------------------------------------------------

class WebSocketStranger : public WebSocket {
 protected:
  /// Says something on an open link, and returns why it was closed.
  CloseReason reason_after(const std::string& bytes) {
    End& end = make_end();
    Stranger stranger{end.listen()};
    stranger.say(upgrade_request);
    EXPECT_TRUE(until([&] { return end.links.size() == 1; }));
    stranger.say(bytes);
    EXPECT_TRUE(until([&] { return stranger.is_hung_up(); }));
    stranger.close();
    EXPECT_TRUE(until([&] { return end.only().closed == 1; }));
    EXPECT_TRUE(end.only().messages.empty());
    return end.only().reason;
  }
};

TEST_F(WebSocketStranger, MayNotSendMoreThanABatch) {
  EXPECT_EQ(reason_after(client_frame(0x82, std::string(65'536, 'x'))),
            CloseReason::protocol_error);
}

TEST_F(WebSocketStranger, IsStoppedAtTheHeaderOfAHugeMessage) {
  using namespace std::string_literals;
  EXPECT_EQ(reason_after("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xffmask"s),
            CloseReason::protocol_error);
}

TEST_F(WebSocketStranger, MayNotMakeAHugeMessageOfFragments) {
  const std::string half = std::string(40'000, 'x');
  EXPECT_EQ(reason_after(client_frame(0x02, half) + client_frame(0x80, half)),
            CloseReason::protocol_error);
}

TEST_F(WebSocketStranger, MayNotSpeakText) {
  EXPECT_EQ(reason_after(client_frame(0x81, "{\"type\":\"findPeers\"}")),
            CloseReason::protocol_error);
}

TEST_F(WebSocketStranger, MustMask) {
  EXPECT_EQ(reason_after("\x82\x05hello"), CloseReason::protocol_error);
}

TEST_F(WebSocketStranger, MayNotUseReservedBitsOrKinds) {
  EXPECT_EQ(reason_after(client_frame(0xc2, "x")), CloseReason::protocol_error);
  EXPECT_EQ(reason_after(client_frame(0x83, "x")), CloseReason::protocol_error);
  EXPECT_EQ(reason_after(client_frame(0x09, "x")), CloseReason::protocol_error);
  EXPECT_EQ(reason_after(client_frame(0x80, "x")), CloseReason::protocol_error);
}

TEST_F(WebSocketStranger, MayCloseInAnyWay) {
  using namespace std::string_literals;
  EXPECT_EQ(reason_after(client_frame(0x88, "")), CloseReason::transport_closed);
  EXPECT_EQ(reason_after(client_frame(0x88, "\x03\xe8 bye"s)), CloseReason::transport_closed);
  EXPECT_EQ(reason_after(client_frame(0x88, "\x03"s)), CloseReason::protocol_error);
  EXPECT_EQ(reason_after(client_frame(0x88, "") + "garbage after it"),
            CloseReason::transport_closed);
}

TEST_F(WebSocketStranger, IsAnsweredWhenItPings) {
  End& end = make_end();
  Stranger stranger{end.listen()};
  stranger.say(upgrade_request);
  ASSERT_TRUE(until([&] { return end.links.size() == 1; }));
  stranger.say(client_frame(0x89, "are you there"));
  EXPECT_TRUE(until([&] {
    return stranger.heard().ends_with(
        "\x8a\x0d"
        "are you there");
  }));
}

TEST_F(WebSocketStranger, MayFragmentAndPingInBetween) {
  End& end = make_end();
  Stranger stranger{end.listen()};
  stranger.say(upgrade_request);
  stranger.heard();
  ASSERT_TRUE(until([&] { return end.links.size() == 1; }));
  stranger.say(client_frame(0x02, "one ") + client_frame(0x89, "") + client_frame(0x00, "") +
               client_frame(0x00, "two ") + client_frame(0x80, "three"));
  ASSERT_TRUE(until([&] { return end.only().messages.size() == 1; }));
  EXPECT_EQ(as_text(end.only().messages[0]), "one two three");
}

// A close and a violation that cross: Beast's operations then wait for each other.
TEST_F(WebSocketStranger, CannotKeepALinkByBadTiming) {
  for (int turns = 0; turns < 12; ++turns) {
    End& end = make_end();
    Stranger stranger{end.listen()};
    stranger.say(upgrade_request);
    ASSERT_TRUE(until([&] { return end.links.size() == 1; }));
    stranger.say(client_frame(0x89, "ping") + client_frame(0x89, "ping") + "\x82\x05 not masked");
    end.only().link->send(pattern(100));
    for (int i = 0; i < turns; ++i) io.run_one_for(1ms);
    if (end.only().link) end.only().link->close(CloseReason::surplus);
    EXPECT_TRUE(until([&] { return end.only().closed == 1; }, 3s)) << turns;
    ends.clear();
  }
}

TEST_F(WebSocketStranger, ThatBreaksTheRulesAndStaysIsFoundByTheNextSend) {
  End& end = make_end();
  Stranger stranger{end.listen()};
  stranger.say(upgrade_request);
  ASSERT_TRUE(until([&] { return end.links.size() == 1; }));
  stranger.say("\x82\x05 not masked");
  ASSERT_TRUE(until([&] { return stranger.is_hung_up(); }));
  end.only().link->send(pattern(10));
  ASSERT_TRUE(until([&] { return end.only().closed == 1; }, 3s));
  EXPECT_EQ(end.only().reason, CloseReason::protocol_error);
}

// ---- Before the upgrade ---------------------------------------------------------------------

class WebSocketDoor : public WebSocket {
 protected:
  std::string answer_to(End& end, std::uint16_t port, std::string_view request) {
    Stranger stranger{port};
    stranger.say(request);
    EXPECT_TRUE(until([&] { return stranger.is_hung_up(); }));
    stranger.close();
    EXPECT_TRUE(until([&] { return end.half_open() == 0; }));
    return stranger.heard();
  }
};

TEST_F(WebSocketDoor, AnswersPlainHttp) {
  End& end = make_end();
  const std::uint16_t port = end.listen();
  const std::string get = answer_to(end, port, "GET /index.html HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(get, StartsWith("HTTP/1.1 426 Upgrade Required\r\n"));
  EXPECT_THAT(get, HasSubstr("Upgrade: websocket\r\n"));
  EXPECT_THAT(get, HasSubstr("\r\n\r\nThis is a peer-relay node. Speak WebSocket to it.\n"));

  const std::string head = answer_to(end, port, "HEAD / HTTP/1.0\r\n\r\n");
  EXPECT_THAT(head, StartsWith("HTTP/1.1 426"));
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));

  const std::string post =
      answer_to(end, port, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_THAT(post, StartsWith("HTTP/1.1 405"));
  EXPECT_EQ(end.failed[CloseReason::protocol_error], 3);
  EXPECT_TRUE(end.links.empty());
}

TEST_F(WebSocketDoor, TurnsAwayWhatIsNoHttp) {
  End& end = make_end();
  const std::uint16_t port = end.listen();
  EXPECT_THAT(answer_to(end, port, "\x16\x03\x01\x02 a TLS hello\r\n\r\n"),
              StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(answer_to(end, port, "GET / HTTP/1.1\r\nX: " + std::string(9000, 'x') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(answer_to(end, port, std::string(upgrade_request) + "too early"),
              StartsWith("HTTP/1.1 400"));
  std::string old_version{upgrade_request};
  old_version.replace(old_version.find("Version: 13"), 11, "Version: 12");
  EXPECT_THAT(answer_to(end, port, old_version), StartsWith("HTTP/1.1 426"));
  EXPECT_EQ(end.failed[CloseReason::protocol_error], 4);
  EXPECT_TRUE(end.links.empty());
}

TEST_F(WebSocketDoor, LooksAtTheOriginWhereThereIsAList) {
  End& end = make_end({.origins = {"https://example.org"}});
  const std::uint16_t port = end.listen();
  const auto from = [](std::string_view origin) {
    std::string request{upgrade_request};
    request.insert(request.size() - 2, "Origin: " + std::string(origin) + "\r\n");
    return request;
  };
  EXPECT_THAT(answer_to(end, port, from("https://evil.example")), StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(answer_to(end, port, from("https://example.org.evil.example")),
              StartsWith("HTTP/1.1 403"));
  EXPECT_TRUE(end.links.empty());

  Stranger page{port};
  page.say(from("https://example.org"));
  Stranger program{port};
  program.say(upgrade_request);
  EXPECT_TRUE(until([&] { return end.links.size() == 2; }));
}

// ---- Dialing --------------------------------------------------------------------------------

TEST_F(WebSocket, FailsWhereNobodyAnswersTheUpgrade) {
  const testing::Mute mute;
  End& end = make_end({.dial_timeout = 100ms});
  end.dial(url(mute.port));
  ASSERT_TRUE(until([&] { return end.failures.size() == 1; }));
  EXPECT_EQ(end.failures[0].second, DialError::timed_out);
}

TEST_F(WebSocket, AnUpgradeIsCalledOffWhenTheNodeStops) {
  const testing::Mute mute;
  End& end = make_end();
  end.dial(url(mute.port));
  ASSERT_TRUE(until([&] { return end.half_open() == 1; }));
  end.transport->shut_down();
  ASSERT_TRUE(until([&] { return end.failures.size() == 1; }));
  EXPECT_EQ(end.failures[0].second, DialError::cancelled);
}

// ---- TLS ------------------------------------------------------------------------------------

class WebSocketTls : public WebSocket {
 protected:
  using Files = CertificateAuthority::Files;

  /// A listener that shows these files, and what becomes of a dial to it by this host.
  std::string outcome(const Files& files, const std::string& host, const std::string& ca_file) {
    End& server = make_end({.tls = TlsFiles{files.certificate, files.key}});
    End& client = make_end({.tls_ca_file = ca_file});
    client.dial("wss://" + host + ":" + std::to_string(server.listen()));
    EXPECT_TRUE(until([&] { return !client.links.empty() || !client.failures.empty(); }));
    if (client.failures.empty()) return "linked";
    EXPECT_EQ(client.failures[0].second, DialError::tls_failed);
    return client.last_detail;
  }

  TemporaryDir dir;
  CertificateAuthority authority{dir.path().string()};
};

TEST_F(WebSocketTls, CarriesMessagesOfEverySizeBothWays) {
  const Files files = authority.issue("good", "DNS:localhost,IP:127.0.0.1");
  End& a = make_end({.tls_ca_file = authority.ca_file()});
  End& b = make_end({.tls = TlsFiles{files.certificate, files.key}});
  a.dial(url(b.listen(), "wss"));
  ASSERT_TRUE(until([&] { return a.links.size() == 1 && b.links.size() == 1; })) << a.last_detail;
  const std::vector<std::size_t> sizes{0, 1, 1536, 16'384, 65'535, 40'000, 2};
  for (const std::size_t size : sizes) {
    a.only().link->send(pattern(size));
    b.only().link->send(pattern(size, 2));
  }
  a.only().link->close(CloseReason::disconnected);
  ASSERT_TRUE(until([&] { return a.only().closed == 1 && b.only().closed == 1; }));
  ASSERT_EQ(b.only().messages.size(), sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) EXPECT_EQ(b.only().messages[i], pattern(sizes[i]));
  EXPECT_EQ(a.only().reason, CloseReason::disconnected);
  EXPECT_EQ(b.only().reason, CloseReason::transport_closed);
}

TEST_F(WebSocketTls, TrustsACertificateForThatHostAlone) {
  const Files files = authority.issue("good", "DNS:localhost,IP:127.0.0.1");
  EXPECT_EQ(outcome(files, "127.0.0.1", authority.ca_file()), "linked");
  EXPECT_EQ(outcome(files, "localhost", authority.ca_file()), "linked");
  const Files other = authority.issue("other", "DNS:example.org,IP:192.0.2.1");
  EXPECT_EQ(outcome(other, "127.0.0.1", authority.ca_file()),
            "the certificate is not for '127.0.0.1'");
  EXPECT_EQ(outcome(other, "localhost", authority.ca_file()),
            "the certificate is not for 'localhost'");
}

TEST_F(WebSocketTls, TrustsNoOldCertificate) {
  const Files files = authority.issue("old", "IP:127.0.0.1", -7200, -3600);
  EXPECT_THAT(outcome(files, "127.0.0.1", authority.ca_file()), HasSubstr("expired"));
}

TEST_F(WebSocketTls, TrustsNoUnknownAuthority) {
  const Files files = authority.issue("good", "IP:127.0.0.1");
  TemporaryDir elsewhere;
  const CertificateAuthority stranger{elsewhere.path().string()};
  EXPECT_THAT(outcome(files, "127.0.0.1", stranger.ca_file()), HasSubstr("not trusted"));
  EXPECT_THAT(outcome(files, "127.0.0.1", ""), HasSubstr("not trusted"));
}

TEST_F(WebSocketTls, TurnsAwayWhatIsNoTls) {
  const Files files = authority.issue("good", "IP:127.0.0.1");
  End& end = make_end({.accept_timeout = 200ms, .tls = TlsFiles{files.certificate, files.key}});
  const std::uint16_t port = end.listen();
  Stranger stranger{port};
  stranger.say(upgrade_request);
  ASSERT_TRUE(until([&] { return end.failed[CloseReason::protocol_error] == 1; }));
  const Stranger silent{port};
  ASSERT_TRUE(until([&] { return end.failed[CloseReason::handshake_timeout] == 1; }));
}

TEST_F(WebSocketTls, FailsWhereTheOtherSpeaksInClear) {
  End& server = make_end();
  End& client = make_end({.tls_ca_file = authority.ca_file()});
  client.dial(url(server.listen(), "wss"));
  ASSERT_TRUE(until([&] { return client.failures.size() == 1; }));
  EXPECT_EQ(client.failures[0].second, DialError::tls_failed);
}

TEST_F(WebSocketTls, SaysWhatIsWrongWithItsFiles) {
  const Files one = authority.issue("one", "IP:127.0.0.1");
  const Files two = authority.issue("two", "IP:127.0.0.1");
  const auto error_with = [this](WebSocketOptions options) {
    End sink;
    return WebSocketTransport::make(io, sink, std::move(options)).error().error;
  };
  EXPECT_EQ(error_with({.tls = TlsFiles{"/no/such.pem", one.key}}), Error::file_unreadable);
  EXPECT_EQ(error_with({.tls = TlsFiles{one.key, one.key}}), Error::tls_invalid);
  EXPECT_EQ(error_with({.tls = TlsFiles{one.certificate, two.key}}), Error::tls_invalid);
  EXPECT_EQ(error_with({.tls_ca_file = "/no/such.pem"}), Error::file_unreadable);
  EXPECT_EQ(error_with({.tls_ca_file = one.key}), Error::tls_invalid);
}

}  // namespace
}  // namespace peer_relay
