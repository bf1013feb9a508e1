// SPDX-License-Identifier: MIT
#include <fstream>
#include <functional>
#include <map>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "transport/websocket/half_open.hpp"
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

/// One end: a transport, and all that it was told.
class End final : public LinkSink {
 public:
  struct Seen {
    std::unique_ptr<Link> link;
    std::optional<DialId> dial;
    std::string remote_host;
    std::vector<Bytes> messages;
    std::vector<Bytes> texts;
    int writable = 0;
    int closed = 0;
    CloseReason reason{};
  };

  End(boost::asio::io_context& io, WebSocketOptions options = {}) {
    auto made = WebSocketTransport::make(io, *this, std::move(options));
    if (!made) throw std::runtime_error(made.error().detail);
    transport = std::move(*made);
  }

  std::uint16_t listen(const std::string& host = "127.0.0.1") {
    const auto port = transport->listen(host, 0);
    if (!port) throw std::runtime_error(port.error().detail);
    return *port;
  }

  void dial(const std::string& url) {
    transport->dial(Address::parse(url).value(), DialId{++dials});
  }

  void link_opened(LinkId id, std::unique_ptr<Link> link, LinkArrival arrival) override {
    Seen& seen = links[id];
    seen.link = std::move(link);
    seen.dial = arrival.dial;
    seen.remote_host = std::move(arrival.remote_host);
  }
  void dial_failed(DialId dial, DialError error, const std::string& detail) override {
    failures.push_back({dial, error});
    last_detail = detail;
  }
  void link_received(LinkId id, MutableBytes message) override {
    Seen& seen = links.at(id);
    EXPECT_EQ(seen.closed, 0);
    seen.messages.emplace_back(message.begin(), message.end());
    std::ranges::fill(message, std::uint8_t{0xee});  // the sink may write in it
    if (on_message) on_message(id);
  }
  void link_received_text(LinkId id, MutableBytes text) override {
    links.at(id).texts.emplace_back(text.begin(), text.end());
  }
  void text_too_long() override { ++overlong; }
  void link_writable(LinkId id) override { ++links.at(id).writable; }
  void link_closed(LinkId id, CloseReason reason) override {
    Seen& seen = links.at(id);
    ++seen.closed;
    seen.reason = reason;
    seen.link = nullptr;
  }
  void connection_refused() override { ++refused; }
  void connection_failed(CloseReason reason) override { ++failed[reason]; }
  LinkId next_link_id() override { return LinkId{++last_link}; }
  void recycle(Bytes) override { ++recycled; }

  Seen& only() {
    EXPECT_EQ(links.size(), 1u);
    return links.begin()->second;
  }
  std::size_t closed() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(links, [](const auto& each) { return each.second.closed == 1; }));
  }

  std::map<LinkId, Seen> links;
  std::vector<std::pair<DialId, DialError>> failures;
  std::string last_detail;
  std::map<CloseReason, int> failed;
  int refused = 0;
  int overlong = 0;
  int recycled = 0;
  std::uint64_t last_link = 0;
  std::uint64_t dials = 0;
  std::function<void(LinkId)> on_message;
  std::unique_ptr<WebSocketTransport> transport;
};

Bytes pattern(std::size_t size, unsigned seed = 1) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i)
    out[i] = static_cast<std::uint8_t>(i * 31 + seed + i / 251);
  return out;
}

class WebSocket : public ::testing::Test {
 protected:
  ~WebSocket() override {
    // What is under way goes with its transports, whatever state it is in.
    ends.clear();
    io.poll();
  }

  End& make_end(WebSocketOptions options = {}) {
    ends.push_back(std::make_unique<End>(io, std::move(options)));
    return *ends.back();
  }

  /// Runs until something is so; false if it isn't for a long time.
  [[nodiscard]] bool until(const std::function<bool()>& is_so,
                           std::chrono::milliseconds at_most = 20s) {
    const auto deadline = std::chrono::steady_clock::now() + at_most;
    while (!is_so()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      io.restart();
      io.run_one_for(20ms);
    }
    return true;
  }

  static std::string url(std::uint16_t port, const std::string& scheme = "ws") {
    return scheme + "://127.0.0.1:" + std::to_string(port);
  }

  /// A link between two ends.
  void link(End& from, End& to) {
    from.dial(url(to.listen()));
    ASSERT_TRUE(until([&] { return from.links.size() == 1 && to.links.size() == 1; }))
        << from.last_detail;
  }

  boost::asio::io_context io;
  std::vector<std::unique_ptr<End>> ends;
};

TEST_F(WebSocket, CarriesMessagesOfEverySizeBothWays) {
  End& a = make_end();
  End& b = make_end();
  link(a, b);
  const std::vector<std::size_t> sizes{0,    1,    125,  126,   127,   1023,  1024,  1025,
                                       1535, 1536, 1537, 32768, 65533, 65534, 65535, 7};
  for (const std::size_t size : sizes) {
    a.only().link->send(pattern(size));
    b.only().link->send(pattern(size, 2));
  }
  ASSERT_TRUE(until([&] {
    return a.only().messages.size() == sizes.size() && b.only().messages.size() == sizes.size();
  }));
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    EXPECT_EQ(b.only().messages[i], pattern(sizes[i]));
    EXPECT_EQ(a.only().messages[i], pattern(sizes[i], 2));
  }
  EXPECT_EQ(a.only().link->queued_bytes(), 0u);
  EXPECT_EQ(a.recycled, static_cast<int>(sizes.size()));
}

TEST_F(WebSocket, TellsWhereALinkLeads) {
  End& a = make_end();
  End& b = make_end();
  link(a, b);
  EXPECT_EQ(a.only().dial, DialId{1});
  EXPECT_EQ(b.only().dial, std::nullopt);
  EXPECT_THAT(a.only().link->remote(), StartsWith("ws://127.0.0.1:"));
  EXPECT_THAT(b.only().link->remote(), StartsWith("127.0.0.1:"));
  EXPECT_EQ(a.only().remote_host, "127.0.0.1");
  EXPECT_EQ(b.only().remote_host, "127.0.0.1");
}

TEST_F(WebSocket, IsWritableOnceForAllThatWasQueued) {
  End& a = make_end();
  End& b = make_end();
  link(a, b);
  for (int i = 0; i < 5; ++i) a.only().link->send(pattern(1000));
  EXPECT_EQ(a.only().link->queued_bytes(), 5000u);
  EXPECT_EQ(a.only().writable, 0);
  ASSERT_TRUE(until([&] { return b.only().messages.size() == 5; }));
  ASSERT_TRUE(until([&] { return a.only().writable == 1; }));
}

TEST_F(WebSocket, SaysWhatWasQueuedBeforeItCloses) {
  End& a = make_end();
  End& b = make_end();
  link(a, b);
  for (int i = 0; i < 100; ++i) a.only().link->send(pattern(60'000));
  a.only().link->close(CloseReason::disconnected);
  ASSERT_TRUE(until([&] { return a.only().closed == 1 && b.only().closed == 1; }));
  EXPECT_EQ(b.only().messages.size(), 100u);
  EXPECT_EQ(a.only().reason, CloseReason::disconnected);
  EXPECT_EQ(b.only().reason, CloseReason::transport_closed);
}

TEST_F(WebSocket, BothMayCloseAtOnce) {
  End& a = make_end();
  End& b = make_end();
  link(a, b);
  a.only().link->send(pattern(10));
  a.only().link->close(CloseReason::duplicate);
  b.only().link->close(CloseReason::surplus);
  ASSERT_TRUE(until([&] { return a.only().closed == 1 && b.only().closed == 1; }, 3s));
  EXPECT_EQ(a.only().reason, CloseReason::duplicate);
  EXPECT_EQ(b.only().reason, CloseReason::surplus);
}

TEST_F(WebSocket, MayBeClosedByTheMessageItBrought) {
  End& a = make_end();
  End& b = make_end();
  link(a, b);
  b.on_message = [&](LinkId id) { b.links.at(id).link->close(CloseReason::protocol_error); };
  for (int i = 0; i < 10; ++i) a.only().link->send(pattern(5000));
  ASSERT_TRUE(until([&] { return a.only().closed == 1 && b.only().closed == 1; }));
  EXPECT_EQ(b.only().messages.size(), 1u);
  EXPECT_EQ(b.only().reason, CloseReason::protocol_error);
}

TEST_F(WebSocket, GivesUpOnAPeerThatDoesNotSayGoodbye) {
  End& end = make_end();
  Stranger stranger{end.listen()};
  stranger.say(upgrade_request);
  ASSERT_TRUE(until([&] { return end.links.size() == 1; }));
  // More than the kernel takes, and the stranger reads nothing.
  for (int i = 0; i < 300; ++i) end.only().link->send(pattern(65'535));
  end.only().link->close(CloseReason::queue_stalled);
  ASSERT_TRUE(until([&] { return end.only().closed == 1; }, 5s));
  EXPECT_EQ(end.only().reason, CloseReason::queue_stalled);
  EXPECT_EQ(end.recycled, 300);
}

TEST_F(WebSocket, SeesAPeerDie) {
  End& end = make_end();
  Stranger stranger{end.listen()};
  stranger.say(upgrade_request);
  ASSERT_TRUE(until([&] { return end.links.size() == 1; }));
  stranger.reset();
  ASSERT_TRUE(until([&] { return end.only().closed == 1; }));
  EXPECT_EQ(end.only().reason, CloseReason::transport_closed);
}

TEST_F(WebSocket, ALinkThatIsDestroyedEndsWithoutAWord) {
  End& a = make_end();
  End& b = make_end();
  link(a, b);
  for (int i = 0; i < 50; ++i) a.only().link->send(pattern(65'535));
  a.only().link = nullptr;
  ASSERT_TRUE(until([&] { return b.only().closed == 1; }));
  EXPECT_EQ(a.only().closed, 0);
}

TEST_F(WebSocket, ATransportMayGoBeforeItsLinks) {
  End& a = make_end();
  End& b = make_end();
  link(a, b);
  a.only().link->send(pattern(65'535));
  a.transport = nullptr;
  a.only().link->send(pattern(3));
  ASSERT_TRUE(until([&] { return b.only().messages.size() == 2; }));
  EXPECT_EQ(a.only().writable, 0);
}

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
    EXPECT_TRUE(until([&] { return end.transport->half_open() == 0; }));
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

TEST_F(WebSocketDoor, LetsSlowOnesWaitOutsideAgain) {
  End& end = make_end({.accept_timeout = 100ms});
  Stranger stranger{end.listen()};
  stranger.say("GET / HTTP/1.1\r\nHo");
  ASSERT_TRUE(until([&] { return end.failed[CloseReason::handshake_timeout] == 1; }));
  EXPECT_TRUE(until([&] { return stranger.is_hung_up(); }));
}

TEST_F(WebSocketDoor, CountsThoseWhoThinkAgain) {
  End& end = make_end();
  Stranger{end.listen()}.close();
  EXPECT_TRUE(until([&] { return end.failed[CloseReason::transport_closed] == 1; }));
}

TEST_F(WebSocketDoor, KeepsToItsLimits) {
  End& end = make_end({.half_open_max = 5, .half_open_per_host_max = 3});
  const std::uint16_t port = end.listen();
  std::vector<Stranger> strangers;
  for (int i = 0; i < 6; ++i) strangers.emplace_back(port, "127.0.0.1");
  for (int i = 0; i < 4; ++i) strangers.emplace_back(port, "127.0.0.2");
  ASSERT_TRUE(until([&] { return end.refused == 5; }));
  EXPECT_EQ(end.transport->half_open(), 5u);

  // An upgrade frees a place for its host.
  strangers[0].say(upgrade_request);
  ASSERT_TRUE(until([&] { return end.links.size() == 1; }));
  Stranger late{port};
  late.say(upgrade_request);
  EXPECT_TRUE(until([&] { return end.links.size() == 2; }));
  strangers.clear();
  EXPECT_TRUE(until([&] { return end.transport->half_open() == 0; }));
}

TEST(HalfOpen, CountsForEachHost) {
  websocket::HalfOpen half_open{3, 2};
  auto a1 = half_open.enter({.v6 = false, .prefix = 1});
  auto a2 = half_open.enter({.v6 = false, .prefix = 1});
  EXPECT_TRUE(a1 && a2);
  EXPECT_FALSE(half_open.enter({.v6 = false, .prefix = 1}));
  auto b = half_open.enter({.v6 = true, .prefix = 1});
  EXPECT_TRUE(b);
  EXPECT_FALSE(half_open.enter({.v6 = true, .prefix = 2}));
  a1->leave();
  a1->leave();
  EXPECT_EQ(half_open.total(), 2u);
  EXPECT_TRUE(half_open.enter({.v6 = false, .prefix = 1}));
}

// ---- Dialing --------------------------------------------------------------------------------

class WebSocketDial : public WebSocket {
 protected:
  DialError error_of(End& end, const std::string& url) {
    end.dial(url);
    EXPECT_TRUE(until([&] { return end.failures.size() == 1; }));
    if (end.failures.empty()) return DialError::count_;
    EXPECT_EQ(end.failures[0].first, DialId{1});
    return end.failures[0].second;
  }

  /// A socket that listens and never answers.
  struct Mute {
    Mute() : fd(::socket(AF_INET, SOCK_STREAM, 0)) {
      sockaddr_in own{};
      own.sin_family = AF_INET;
      own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      socklen_t size = sizeof own;
      ::bind(fd, reinterpret_cast<sockaddr*>(&own), size);
      ::listen(fd, 1);
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size);
      port = ntohs(own.sin_port);
    }
    ~Mute() { ::close(fd); }
    int fd;
    std::uint16_t port = 0;
  };
};

TEST_F(WebSocketDial, FailsWhereNobodyListens) {
  std::uint16_t port = 0;
  {
    const Mute gone;
    port = gone.port;
  }
  EXPECT_EQ(error_of(make_end(), url(port)), DialError::refused);
}

TEST_F(WebSocketDial, FailsWhereNobodyAnswers) {
  const Mute mute;
  EXPECT_EQ(error_of(make_end({.dial_timeout = 100ms}), url(mute.port)), DialError::timed_out);
}

TEST_F(WebSocketDial, FailsForANameThatIsNone) {
  End& end = make_end();
  EXPECT_EQ(error_of(end, "ws://no-such-name.invalid:1"), DialError::name_unknown);
  EXPECT_FALSE(end.last_detail.empty());
}

TEST_F(WebSocketDial, FindsThePortBehindAName) {
  End& a = make_end();
  End& b = make_end();
  a.dial("ws://localhost:" + std::to_string(b.listen("::")));
  ASSERT_TRUE(until([&] { return a.links.size() == 1 || !a.failures.empty(); }));
  EXPECT_EQ(a.links.size(), 1u) << a.last_detail;
}

TEST_F(WebSocketDial, ListensOnEveryInterfaceForBothFamilies) {
  End& a = make_end();
  End& b = make_end();
  const std::uint16_t port = b.listen("::");
  a.dial(url(port));
  ASSERT_TRUE(until([&] { return b.links.size() == 1; }));
  EXPECT_EQ(b.only().remote_host, "127.0.0.1");
  a.dial("ws://[::1]:" + std::to_string(port));
  // A machine without IPv6 says so; both are right.
  ASSERT_TRUE(until([&] { return b.links.size() == 2 || a.failures.size() == 1; }));
}

TEST_F(WebSocketDial, FailsAtAServerThatWantsNoWebSockets) {
  End& end = make_end();
  End& picky = make_end({.origins = {}});
  const std::uint16_t port = picky.listen();
  picky.transport->shut_down();
  EXPECT_EQ(error_of(end, url(port)), DialError::refused);
}

TEST_F(WebSocketDial, IsCalledOffWhenTheNodeStops) {
  const Mute mute;
  End& end = make_end();
  end.dial(url(mute.port));
  ASSERT_TRUE(until([&] { return end.transport->half_open() == 1; }));
  end.transport->shut_down();
  end.dial(url(mute.port));
  ASSERT_TRUE(until([&] { return end.failures.size() == 2; }));
  EXPECT_EQ(end.failures[0].second, DialError::cancelled);
  EXPECT_EQ(end.failures[1].second, DialError::cancelled);
}

TEST_F(WebSocketDial, SaysWhyItCannotListen) {
  End& a = make_end();
  const std::uint16_t port = a.listen();
  End& b = make_end();
  const auto taken = b.transport->listen("127.0.0.1", port);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().error, Error::address_in_use);
  EXPECT_THAT(taken.error().detail, HasSubstr(std::to_string(port)));
  const auto elsewhere = b.transport->listen("192.0.2.1", 0);
  ASSERT_FALSE(elsewhere);
  EXPECT_EQ(elsewhere.error().error, Error::address_unavailable);
  EXPECT_EQ(b.transport->listen("localhost", 0).error().error, Error::invalid_argument);
}

TEST_F(WebSocketDial, ManyAtOnceAreAllTold) {
  constexpr std::size_t count = 300;
  End& a = make_end();
  End& b = make_end({.half_open_max = 1000, .half_open_per_host_max = 1000});
  const std::uint16_t port = b.listen();
  for (std::size_t i = 0; i < count; ++i) a.dial(url(port));
  ASSERT_TRUE(until([&] { return a.links.size() + a.failures.size() == count; }));
  EXPECT_TRUE(a.failures.empty()) << a.last_detail;
  ASSERT_TRUE(until([&] { return b.links.size() == count; }));
  for (auto& [id, seen] : a.links) seen.link->send(pattern(2000));
  ASSERT_TRUE(until([&] {
    return std::ranges::all_of(b.links,
                               [](const auto& each) { return each.second.messages.size() == 1; });
  }));
  for (auto& [id, seen] : a.links) seen.link->close(CloseReason::shutdown);
  ASSERT_TRUE(until([&] { return a.closed() == count && b.closed() == count; }));
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
    End sink{io};
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
