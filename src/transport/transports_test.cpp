// SPDX-License-Identifier: MIT
//
// What each transport over TCP keeps, whatever is spoken there: the same tests for all of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "transport/end_testing.hpp"
#include "transport/tcp/tcp_transport.hpp"
#include "transport/tcp/testing.hpp"
#include "transport/testing.hpp"
#include "transport/websocket/testing.hpp"
#include "transport/websocket/websocket_transport.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using testing::Mute;
using testing::pattern;
using ::testing::StartsWith;
using testing::Stranger;

/// What all of them are given.
struct Options {
  Duration accept_timeout = limits::handshake_timeout;
  std::size_t half_open_max = Limits{}.half_open_max;
  std::size_t half_open_per_host_max = Limits{}.half_open_per_host_max;
};

struct Kind {
  std::string scheme;
  std::string opening;  ///< what a stranger says to have a link
  Bytes hello;          ///< without which a dialer has none at the other end
  void (*make)(boost::asio::io_context& io, testing::TransportEnd& end, const Options& options);
};

Kind over_websocket() {
  return {.scheme = "ws",
          .opening = std::string{testing::upgrade_request},
          .hello = {},
          .make = [](auto& io, auto& end, const Options& options) {
            end.own(std::move(*WebSocketTransport::make(
                io, end,
                {.accept_timeout = options.accept_timeout,
                 .half_open_max = options.half_open_max,
                 .half_open_per_host_max = options.half_open_per_host_max})));
          }};
}

Kind over_tcp() {
  return {.scheme = "tcp",
          .opening = testing::tcp_message(as_text(testing::tcp_hello())),
          .hello = testing::tcp_hello(),
          .make = [](auto& io, auto& end, const Options& options) {
            end.own(std::make_unique<TcpTransport>(
                io, end,
                TcpOptions{.accept_timeout = options.accept_timeout,
                           .half_open_max = options.half_open_max,
                           .half_open_per_host_max = options.half_open_per_host_max}));
          }};
}

class Transports : public testing::TransportTest, public ::testing::WithParamInterface<Kind> {
 protected:
  End& make_end(const Options& options = {}) {
    End& end = add_end();
    end.hello = GetParam().hello;
    GetParam().make(io, end, options);
    return end;
  }

  const std::string& scheme() const { return GetParam().scheme; }
  std::string_view opening() const { return GetParam().opening; }
  std::string url(std::uint16_t port) const { return TransportTest::url(port, scheme()); }

  /// A link between two ends.
  void link(End& from, End& to) {
    from.dial(url(to.listen()));
    ASSERT_TRUE(until([&] { return from.links.size() == 1 && to.links.size() == 1; }))
        << from.last_detail;
    if (from.hello.empty()) return;
    ASSERT_TRUE(until([&] { return from.only().writable == 1; }));
    from.only().writable = 0;
  }
};

class TransportDoors : public Transports {};

class TransportDials : public Transports {
 protected:
  DialError error_of(End& end, const std::string& to) {
    end.dial(to);
    EXPECT_TRUE(until([&] { return end.failures.size() == 1; }));
    if (end.failures.empty()) return DialError::count_;
    EXPECT_EQ(end.failures[0].first, DialId{1});
    return end.failures[0].second;
  }
};

const auto kinds = ::testing::Values(over_websocket(), over_tcp());
const auto name_of_kind = [](const auto& kind) { return kind.param.scheme; };
INSTANTIATE_TEST_SUITE_P(Over, Transports, kinds, name_of_kind);
INSTANTIATE_TEST_SUITE_P(Over, TransportDoors, kinds, name_of_kind);
INSTANTIATE_TEST_SUITE_P(Over, TransportDials, kinds, name_of_kind);

TEST_P(Transports, CarriesMessagesOfEverySizeBothWays) {
  End& a = make_end();
  End& b = make_end();
  link(a, b);
  const std::vector<std::size_t> sizes{1,    125,  126,   127,   1023,  1024,  1025, 1535,
                                       1536, 1537, 32768, 65533, 65534, 65535, 7};
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

TEST_P(Transports, TellsWhereALinkLeads) {
  End& a = make_end();
  End& b = make_end();
  link(a, b);
  EXPECT_EQ(a.only().dial, DialId{1});
  EXPECT_EQ(b.only().dial, std::nullopt);
  EXPECT_THAT(a.only().link->remote(), StartsWith(scheme() + "://127.0.0.1:"));
  EXPECT_THAT(b.only().link->remote(),
              StartsWith(scheme() == "tcp" ? "tcp:127.0.0.1:" : "127.0.0.1:"));
  EXPECT_EQ(a.only().remote_host, "127.0.0.1");
  EXPECT_EQ(b.only().remote_host, "127.0.0.1");
}

TEST_P(Transports, IsWritableOnceForAllThatWasQueued) {
  End& a = make_end();
  End& b = make_end();
  link(a, b);
  for (int i = 0; i < 5; ++i) a.only().link->send(pattern(1000));
  EXPECT_EQ(a.only().link->queued_bytes(), 5000u);
  EXPECT_EQ(a.only().writable, 0);
  ASSERT_TRUE(until([&] { return b.only().messages.size() == 5; }));
  ASSERT_TRUE(until([&] { return a.only().writable == 1; }));
}

TEST_P(Transports, SaysWhatWasQueuedBeforeItCloses) {
  End& a = make_end();
  End& b = make_end();
  link(a, b);
  for (int i = 0; i < 50; ++i) a.only().link->send(pattern(60'000));
  a.only().link->close(CloseReason::disconnected);
  ASSERT_TRUE(until([&] { return a.only().closed == 1 && b.only().closed == 1; }));
  EXPECT_EQ(b.only().messages.size(), 50u);
  EXPECT_EQ(a.only().reason, CloseReason::disconnected);
  EXPECT_EQ(b.only().reason, CloseReason::transport_closed);
}

TEST_P(Transports, BothMayCloseAtOnce) {
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

TEST_P(Transports, MayBeClosedByTheMessageItBrought) {
  End& a = make_end();
  End& b = make_end();
  link(a, b);
  b.on_message = [&](LinkId id) { b.links.at(id).link->close(CloseReason::protocol_error); };
  for (int i = 0; i < 10; ++i) a.only().link->send(pattern(5000));
  ASSERT_TRUE(until([&] { return a.only().closed == 1 && b.only().closed == 1; }));
  EXPECT_EQ(b.only().messages.size(), 1u);
  EXPECT_EQ(b.only().reason, CloseReason::protocol_error);
}

TEST_P(Transports, GivesUpOnAPeerThatDoesNotSayGoodbye) {
  End& end = make_end();
  Stranger stranger{end.listen()};
  stranger.say(opening());
  ASSERT_TRUE(until([&] { return end.links.size() == 1; }));
  // More than the kernel takes, and the stranger reads nothing.
  for (int i = 0; i < 300; ++i) end.only().link->send(pattern(65'535));
  end.only().link->close(CloseReason::queue_stalled);
  ASSERT_TRUE(until([&] { return end.only().closed == 1; }, 5s));
  EXPECT_EQ(end.only().reason, CloseReason::queue_stalled);
  EXPECT_EQ(end.recycled, 300);
}

TEST_P(Transports, SeesAPeerDie) {
  End& end = make_end();
  Stranger stranger{end.listen()};
  stranger.say(opening());
  ASSERT_TRUE(until([&] { return end.links.size() == 1; }));
  stranger.reset();
  ASSERT_TRUE(until([&] { return end.only().closed == 1; }));
  EXPECT_EQ(end.only().reason, CloseReason::transport_closed);
}

TEST_P(Transports, ALinkThatIsDestroyedEndsWithoutAWord) {
  End& a = make_end();
  End& b = make_end();
  link(a, b);
  for (int i = 0; i < 50; ++i) a.only().link->send(pattern(65'535));
  a.only().link = nullptr;
  ASSERT_TRUE(until([&] { return b.only().closed == 1; }));
  EXPECT_EQ(a.only().closed, 0);
}

TEST_P(Transports, ATransportMayGoBeforeItsLinks) {
  End& a = make_end();
  End& b = make_end();
  link(a, b);
  a.only().link->send(pattern(65'535));
  a.transport = nullptr;
  a.only().link->send(pattern(3));
  ASSERT_TRUE(until([&] { return b.only().messages.size() == 2; }));
  EXPECT_EQ(a.only().writable, 0);
}

// ---- Before there is a link ------------------------------------------------------------------

TEST_P(TransportDoors, LetsSlowOnesWaitOutsideAgain) {
  End& end = make_end({.accept_timeout = 100ms});
  Stranger stranger{end.listen()};
  stranger.say(opening().substr(0, 3));
  ASSERT_TRUE(until([&] { return end.failed[CloseReason::handshake_timeout] == 1; }));
  EXPECT_TRUE(until([&] { return stranger.is_hung_up(); }));
}

TEST_P(TransportDoors, CountsThoseWhoThinkAgain) {
  End& end = make_end();
  Stranger{end.listen()}.close();
  EXPECT_TRUE(until([&] { return end.failed[CloseReason::transport_closed] == 1; }));
}

TEST_P(TransportDoors, KeepsToItsLimits) {
  End& end = make_end({.half_open_max = 5, .half_open_per_host_max = 3});
  const std::uint16_t port = end.listen();
  std::vector<Stranger> strangers;
  for (int i = 0; i < 6; ++i) strangers.emplace_back(port, "127.0.0.1");
  for (int i = 0; i < 4; ++i) strangers.emplace_back(port, "127.0.0.2");
  ASSERT_TRUE(until([&] { return end.refused == 5; }));
  EXPECT_EQ(end.half_open(), 5u);

  // A link frees a place for its host.
  strangers[0].say(opening());
  ASSERT_TRUE(until([&] { return end.links.size() == 1; }));
  Stranger late{port};
  late.say(opening());
  EXPECT_TRUE(until([&] { return end.links.size() == 2; }));
  strangers.clear();
  EXPECT_TRUE(until([&] { return end.half_open() == 0; }));
}

// ---- Dialing --------------------------------------------------------------------------------

TEST_P(TransportDials, FailsWhereNobodyListens) {
  std::uint16_t port = 0;
  {
    const Mute gone;
    port = gone.port;
  }
  EXPECT_EQ(error_of(make_end(), url(port)), DialError::refused);
}

TEST_P(TransportDials, IsCalledOffWhenTheNodeStops) {
  const Mute mute;
  End& end = make_end();
  end.dial(url(mute.port));
  end.transport->shut_down();
  end.dial(url(mute.port));
  ASSERT_TRUE(until([&] { return end.failures.size() == 2; }));
  EXPECT_EQ(end.failures[0].second, DialError::cancelled);
  EXPECT_EQ(end.failures[1].second, DialError::cancelled);
}

TEST_P(TransportDials, FailsForANameThatIsNone) {
  End& end = make_end();
  EXPECT_EQ(error_of(end, scheme() + "://no-such-name.invalid:1"), DialError::name_unknown);
  EXPECT_FALSE(end.last_detail.empty());
}

TEST_P(TransportDials, FindsThePortBehindAName) {
  End& a = make_end();
  End& b = make_end();
  a.dial(scheme() + "://localhost:" + std::to_string(b.listen("::")));
  ASSERT_TRUE(until([&] { return a.links.size() == 1 || !a.failures.empty(); }));
  EXPECT_EQ(a.links.size(), 1u) << a.last_detail;
}

TEST_P(TransportDials, ListensOnEveryInterfaceForBothFamilies) {
  End& a = make_end();
  End& b = make_end();
  const std::uint16_t port = b.listen("::");
  a.dial(url(port));
  ASSERT_TRUE(until([&] { return b.links.size() == 1; }));
  EXPECT_EQ(b.only().remote_host, "127.0.0.1");
  a.dial(scheme() + "://[::1]:" + std::to_string(port));
  // A machine without IPv6 says so; both are right.
  ASSERT_TRUE(until([&] { return b.links.size() == 2 || a.failures.size() == 1; }));
}

TEST_P(TransportDials, SaysWhyItCannotListen) {
  End& a = make_end();
  const std::uint16_t port = a.listen();
  End& b = make_end();
  const auto taken = b.listen_on("127.0.0.1", port);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().error, Error::address_in_use);
  EXPECT_THAT(taken.error().detail, HasSubstr(std::to_string(port)));
  const auto elsewhere = b.listen_on("192.0.2.1", 0);
  ASSERT_FALSE(elsewhere);
  EXPECT_EQ(elsewhere.error().error, Error::address_unavailable);
  EXPECT_EQ(b.listen_on("localhost", 0).error().error, Error::invalid_argument);
}

TEST_P(TransportDials, ManyAtOnceAreAllTold) {
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

}  // namespace
}  // namespace peer_relay
