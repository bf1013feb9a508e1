// SPDX-License-Identifier: MIT
//
// What only TCP links have; what they share with others is in transports_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "transport/end_testing.hpp"
#include "transport/tcp/tcp_transport.hpp"
#include "transport/tcp/testing.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;
using testing::pattern;
using testing::Stranger;
using testing::tcp_hello;
using testing::tcp_length;
using testing::tcp_message;

class Tcp : public testing::TransportTest {
 protected:
  End& make_end(TcpOptions options = {}) {
    End& end = add_end();
    end.hello = tcp_hello();
    end.own(std::make_unique<TcpTransport>(io, end, options));
    return end;
  }

  static std::string opening() { return tcp_message(as_text(tcp_hello())); }

  /// A stranger with a link.
  Stranger admitted(End& end) {
    Stranger stranger{end.listen()};
    stranger.say(opening());
    EXPECT_TRUE(until([&] { return end.links.size() == 1; }));
    return stranger;
  }
};

// ---- What strangers send --------------------------------------------------------------------

TEST_F(Tcp, TakesWhatIsSplitAtEveryByte) {
  const std::string said = opening() + tcp_message("one") + tcp_message("two");
  for (std::size_t cut = 1; cut < said.size(); ++cut) {
    End& end = make_end();
    Stranger stranger{end.listen()};
    stranger.say(std::string_view{said}.substr(0, cut));
    // Until it has been read, as far as that shows.
    ASSERT_TRUE(until([&] { return end.half_open() == 1 || end.links.size() == 1; }));
    for (int turn = 0; turn < 3; ++turn) io.poll_one();
    stranger.say(std::string_view{said}.substr(cut));
    ASSERT_TRUE(until([&] { return end.links.size() == 1 && end.only().messages.size() == 2; }))
        << cut;
    EXPECT_EQ(as_text(end.only().messages[0]), "one");
    EXPECT_EQ(as_text(end.only().messages[1]), "two");
    ends.clear();
  }
}

TEST_F(Tcp, TakesManyMessagesOfOneSegment) {
  End& end = make_end();
  Stranger stranger = admitted(end);
  std::string all;
  for (int i = 0; i < 5000; ++i) all += tcp_message(std::string(1, static_cast<char>(i % 250)));
  stranger.say(all);
  ASSERT_TRUE(until([&] { return end.only().messages.size() == 5000; }));
  for (std::size_t i = 0; i < 5000; ++i) ASSERT_EQ(end.only().messages[i][0], i % 250);
}

TEST_F(Tcp, EndsALinkAtALengthThatNoMessageHas) {
  for (const std::uint32_t length : {0u, 65'536u, 0x7fffffffu, 0xffffffffu}) {
    End& end = make_end();
    Stranger stranger = admitted(end);
    stranger.say(tcp_message("good") + tcp_length(length));
    ASSERT_TRUE(until([&] { return end.only().closed == 1; })) << length;
    EXPECT_EQ(end.only().reason, CloseReason::protocol_error);
    EXPECT_EQ(end.only().messages.size(), 1u);
    EXPECT_TRUE(until([&] { return stranger.is_hung_up(); }));
    ends.clear();
  }
}

TEST_F(Tcp, EndsALinkThatIsHalfClosed) {
  End& end = make_end();
  Stranger stranger = admitted(end);
  stranger.say(tcp_message("the last") + tcp_length(100) + "a part");
  stranger.fall_silent();
  ASSERT_TRUE(until([&] { return end.only().closed == 1; }));
  EXPECT_EQ(end.only().reason, CloseReason::transport_closed);
  EXPECT_EQ(end.only().messages.size(), 1u);
}

TEST_F(Tcp, FramesWhatItSays) {
  End& end = make_end();
  Stranger stranger = admitted(end);
  std::string expected;
  for (const std::size_t size : {5u, 1u, 70u, 65'535u, 3u}) {
    end.only().link->send(pattern(size));
    expected += tcp_message(as_text(pattern(size)));
  }
  ASSERT_TRUE(until([&] { return stranger.heard().size() == expected.size(); }));
  EXPECT_EQ(stranger.heard(), expected);
}

TEST_F(Tcp, KeepsWhatASlowReaderDoesNotTakeAndSaysItWhole) {
  End& end = make_end();
  Stranger stranger = admitted(end);
  constexpr std::size_t count = 200;
  std::string expected;
  for (std::size_t i = 0; i < count; ++i) {
    const Bytes message = pattern(50'000 + i, static_cast<unsigned>(i));
    expected += tcp_message(as_text(message));
    end.only().link->send(message);
  }
  for (int i = 0; i < 100; ++i) io.run_one_for(1ms);
  const std::size_t queued = end.only().link->queued_bytes();
  EXPECT_GT(queued, 0u) << "the kernel takes a few megabytes and no more";
  EXPECT_EQ(end.only().writable, 0);
  ASSERT_TRUE(until([&] { return stranger.heard().size() == expected.size(); }));
  EXPECT_TRUE(stranger.heard() == expected);
  ASSERT_TRUE(until([&] { return end.only().writable == 1; }));
  EXPECT_EQ(end.only().link->queued_bytes(), 0u);
  EXPECT_EQ(end.recycled, static_cast<int>(count));
}

TEST_F(Tcp, AnswersOnALinkThatItClosesWhateverIsUnread) {
  End& end = make_end();
  Stranger stranger = admitted(end);
  // Unread bytes in a socket that is closed would reset the connection, and the answer be lost.
  stranger.say(tcp_message(std::string(60'000, 'x')));
  end.only().link->send(pattern(100));
  end.only().link->close(CloseReason::busy);
  ASSERT_TRUE(until([&] { return stranger.is_hung_up(); }));
  EXPECT_EQ(stranger.heard(), tcp_message(as_text(pattern(100))));
  stranger.close();
  ASSERT_TRUE(until([&] { return end.only().closed == 1; }));
  EXPECT_EQ(end.only().reason, CloseReason::busy);
}

TEST_F(Tcp, WaitsOnlySoLongForAGoodbye) {
  End& end = make_end();
  Stranger stranger = admitted(end);
  end.only().link->close(CloseReason::surplus);
  ASSERT_TRUE(until([&] { return end.only().closed == 1; }, 5s));
  EXPECT_EQ(end.only().reason, CloseReason::surplus);
}

// ---- Before there is a link -----------------------------------------------------------------

TEST_F(Tcp, TurnsAwayWhoSpeaksSomethingElse) {
  End& end = make_end();
  const std::uint16_t port = end.listen();
  int count = 0;
  for (const std::string& said :
       {std::string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n"}, std::string{"\x16\x03\x01\x02"},
        std::string("\0\0\0\5HELLO", 9), std::string{"PRLY"}, tcp_length(0xffffffff)}) {
    Stranger stranger{port};
    stranger.say(said);
    ASSERT_TRUE(until([&] { return stranger.is_hung_up(); })) << said;
    EXPECT_TRUE(until([&] { return end.failed[CloseReason::protocol_error] == count + 1; }));
    ++count;
  }
  EXPECT_TRUE(end.links.empty());
}

TEST_F(Tcp, WaitsOnlySoLongForAWholeOpening) {
  End& end = make_end({.accept_timeout = 300ms});
  Stranger stranger{end.listen()};
  const std::string said = opening();
  // One byte at a time does not win time.
  for (std::size_t i = 0; i < 7; ++i) {
    stranger.say(std::string_view{said}.substr(i, 1));
    for (int turn = 0; turn < 3; ++turn) io.run_one_for(5ms);
  }
  ASSERT_TRUE(until([&] { return end.failed[CloseReason::handshake_timeout] == 1; }, 3s));
  EXPECT_TRUE(until([&] { return stranger.is_hung_up(); }));
  EXPECT_TRUE(end.links.empty());
}

TEST_F(Tcp, WhatIsHalfOpenEndsWithTheNode) {
  End& end = make_end();
  const Stranger stranger{end.listen()};
  ASSERT_TRUE(until([&] { return end.half_open() == 1; }));
  end.transport->shut_down();
  ASSERT_TRUE(until([&] { return end.failed[CloseReason::shutdown] == 1; }));
  EXPECT_EQ(end.half_open(), 0u);
}

// ---- Nodes of npm peer-exchange -------------------------------------------------------------

const std::string pxp{"\0\3pxp", 5};

TEST_F(Tcp, CarriesBytesOfThoseWhoOpenAChannel) {
  for (std::size_t cut = 1; cut < pxp.size(); ++cut) {
    End& end = make_end({.takes_streams = true});
    Stranger stranger{end.listen()};
    stranger.say(std::string_view{pxp}.substr(0, cut));
    for (int turn = 0; turn < 3; ++turn) io.poll_one();
    stranger.say(std::string_view{pxp}.substr(cut));
    ASSERT_TRUE(until([&] { return end.links.size() == 1 && end.only().stream == pxp; })) << cut;
    EXPECT_EQ(end.only().by, ExchangeTransport::tcp);
    EXPECT_TRUE(end.only().messages.empty());
    end.only().link->send(pattern(3));
    end.only().link->send(pattern(100'000));
    const std::string expected = std::string{as_text(pattern(3))}.append(as_text(pattern(100'000)));
    ASSERT_TRUE(until([&] { return stranger.heard().size() == expected.size(); }));
    EXPECT_EQ(stranger.heard(), expected) << "no length stands before it";
    end.only().link->close(CloseReason::disconnected);
    ASSERT_TRUE(until([&] { return stranger.is_hung_up(); }));
    ends.clear();
  }
}

TEST_F(Tcp, KnowsItsOwnBesideThem) {
  End& end = make_end({.takes_streams = true});
  end.hello = tcp_hello();
  Stranger stranger = admitted(end);
  stranger.say(tcp_message("one"));
  ASSERT_TRUE(until([&] { return end.only().messages.size() == 1; }));
  EXPECT_EQ(end.only().stream, "");
}

TEST_F(Tcp, TurnsThemAwayWhereNobodyAskedForThem) {
  End& end = make_end();
  Stranger stranger{end.listen()};
  stranger.say(pxp);
  ASSERT_TRUE(until([&] { return end.failed[CloseReason::protocol_error] == 1; }));
  EXPECT_TRUE(end.links.empty());
}

TEST_F(Tcp, TurnsOthersAwayBesideThem) {
  End& end = make_end({.takes_streams = true});
  const std::uint16_t port = end.listen();
  int count = 0;
  for (const char* said : {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01", "#PXP#"}) {
    Stranger stranger{port};
    stranger.say(said);
    ++count;
    ASSERT_TRUE(until([&] { return end.failed[CloseReason::protocol_error] == count; })) << said;
  }
  EXPECT_TRUE(end.links.empty());
}

TEST_F(Tcp, DialsThem) {
  End& from = make_end();
  End& to = make_end({.takes_streams = true});
  from.hello.clear();
  from.dial_stream("tcp://127.0.0.1:" + std::to_string(to.listen()));
  ASSERT_TRUE(until([&] { return from.links.size() == 1; }));
  std::string expected = pxp;
  from.only().link->send(Bytes(pxp.begin(), pxp.end()));
  for (unsigned i = 0; i < 100; ++i) {
    from.only().link->send(pattern(50'000 + i, i));
    expected += as_text(pattern(50'000 + i, i));
  }
  ASSERT_TRUE(
      until([&] { return to.links.size() == 1 && to.only().stream.size() == expected.size(); }));
  EXPECT_TRUE(to.only().stream == expected);
  to.only().link->send(pattern(70'000));
  ASSERT_TRUE(until([&] { return from.only().stream.size() == 70'000; }));
  EXPECT_TRUE(until([&] { return from.only().writable > 0; }));
  EXPECT_EQ(from.only().link->queued_bytes(), 0u);
}

TEST_F(Tcp, DialsItsOwnSchemeAlone) {
  End& end = make_end();
  EXPECT_TRUE(end.transport->can_dial(Address::parse("tcp://127.0.0.1:1").value()));
  EXPECT_FALSE(end.transport->can_dial(Address::parse("ws://127.0.0.1:1").value()));
  EXPECT_FALSE(end.transport->can_dial(Address::parse("wss://127.0.0.1:1").value()));
}

}  // namespace
}  // namespace peer_relay
