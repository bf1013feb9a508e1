// SPDX-License-Identifier: MIT
//
// Sockets of ours with each other. Those with PeerRelay.Socket are in legacy_test.py.
#include "peer_relay/socket.hpp"

#include <array>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/test_node.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::SizeIs;

/// A socket, and what it has told.
struct Told {
  testing::Board board;
  std::vector<std::pair<std::string, RemoteInfo>> messages;
  std::vector<std::string> errors;
  std::vector<Result<std::size_t>> sent;
  int listening = 0;
  int closed = 0;

  SocketEvents events() {
    return {
        .message =
            [this](BytesView bytes, const RemoteInfo& from) {
              board.change([&] { messages.emplace_back(as_text(bytes), from); });
            },
        .listening = [this] { board.change([&] { ++listening; }); },
        .error = [this](const std::string& what) { board.change([&] { errors.push_back(what); }); },
        .close = [this] { board.change([&] { ++closed; }); }};
  }
  Socket::Sent note() {
    return [this](const Result<std::size_t>& result) {
      board.change([&] { sent.push_back(result); });
    };
  }
};

NodeOptions listening_options() { return {.port = 0, .host = "127.0.0.1"}; }

TEST(Socket, TwoOfThemTalk) {
  Told alice_told;
  Told bob_told;
  auto alice = Socket::create(listening_options(), alice_told.events());
  ASSERT_TRUE(alice);
  ASSERT_TRUE(alice->bind(22));
  EXPECT_EQ(alice->bind(23).error(), Error::invalid_argument);
  auto bob = Socket::create({.bootstrap = {alice->node().url()}}, bob_told.events());
  ASSERT_TRUE(bob);
  int called = 0;
  ASSERT_TRUE(bob->bind(0, [&] { bob_told.board.change([&] { ++called; }); }));
  ASSERT_TRUE(bob_told.board.until([&] { return bob_told.listening == 1 && called == 1; }));
  EXPECT_EQ(alice->address().port, 22);
  EXPECT_EQ(alice->address().family, "peer-relay");
  EXPECT_EQ(alice->address().address, alice->node().id().to_hex());
  EXPECT_NE(bob->address().port, 0);

  const std::string to_alice = alice->address().address;
  const std::string text = "0123456789";
  bob->send(as_bytes(text), 2, 5, 22, to_alice, bob_told.note());
  bob->send(as_bytes("shorter"), 22, to_alice);
  const std::array<BytesView, 3> list{as_bytes("of "), as_bytes("three "), as_bytes("parts")};
  bob->send(std::span<const BytesView>{list}, 22, to_alice);
  ASSERT_TRUE(bob->connect(22, to_alice));
  bob->send(as_bytes("connected"));
  ASSERT_TRUE(alice_told.board.until([&] { return alice_told.messages.size() == 4; }));
  std::vector<std::string> texts;
  for (const auto& [said, from] : alice_told.messages) {
    texts.push_back(said);
    EXPECT_EQ(from.address, bob->address().address);
    EXPECT_EQ(from.port, bob->address().port);
    EXPECT_EQ(from.family, "peer-relay");
    EXPECT_EQ(from.size, said.size());
    EXPECT_TRUE(from.authenticated);
  }
  EXPECT_THAT(texts,
              ::testing::UnorderedElementsAre("23456", "shorter", "of three parts", "connected"));
  ASSERT_TRUE(bob_told.board.until([&] { return bob_told.sent.size() == 1; }));
  EXPECT_EQ(bob_told.sent.front(), Result<std::size_t>{5});
}

TEST(Socket, SaysWhatItCannotSend) {
  Told told;
  auto socket = Socket::create(listening_options(), told.events());
  ASSERT_TRUE(socket);
  const std::string other(40, 'a');
  socket->send(as_bytes("x"), 1, 1, 22, other, told.note());
  socket->send(as_bytes("x"), 22, "localhost", told.note());
  socket->send(Bytes(60'000, 255), 22, other, told.note());
  socket->send(as_bytes("x"), told.note());
  ASSERT_TRUE(told.board.until([&] { return told.sent.size() == 4; }));
  EXPECT_EQ(told.sent[0].error(), Error::invalid_argument);
  EXPECT_EQ(told.sent[1].error(), Error::invalid_argument);
  EXPECT_EQ(told.sent[2].error(), Error::payload_too_large);
  EXPECT_EQ(told.sent[3].error(), Error::not_linked);
  EXPECT_EQ(socket->connect(22, "nonsense").error(), Error::invalid_argument);
  socket->send(as_bytes("x"), 22, "nobody");
  ASSERT_TRUE(told.board.until([&] { return told.errors.size() == 1; }));
}

TEST(Socket, ClosesOnceAndIsSilentAfterwards) {
  Told told;
  auto socket = Socket::create(listening_options(), told.events());
  ASSERT_TRUE(socket);
  int done = 0;
  socket->close([&] { told.board.change([&] { ++done; }); });
  ASSERT_TRUE(told.board.until([&] { return told.closed == 1 && done == 1; }));
  EXPECT_EQ(socket->bind(22).error(), Error::closed);
  socket->send(as_bytes("x"), 22, std::string(40, 'a'), told.note());
  socket->close();
  {
    const Socket gone = std::move(*socket);
  }
  EXPECT_EQ(told.closed, 1);
}

TEST(Socket, StandsOnANodeThatIsThere) {
  testing::TestNode host{listening_options()};
  Told told;
  Told other_told;
  auto socket = std::make_unique<Socket>(Socket::on(*host, told.events()));
  auto other = Socket::create({.bootstrap = {host->url()}}, other_told.events());
  ASSERT_TRUE(other);
  ASSERT_TRUE(socket->bind(22));
  ASSERT_TRUE(other->bind());
  ASSERT_TRUE(other_told.board.until([&] { return other_told.listening == 1; }));
  other->send(as_bytes("a datagram"), 22, host.id().to_hex());
  ASSERT_TRUE(told.board.until([&] { return told.messages.size() == 1; }));
  // What is none goes where it always went.
  ASSERT_TRUE(other->node().send(host.id(), Payload::of_json(R"({"buffer":"but no port"})")));
  ASSERT_TRUE(host.until([&] { return host.messages.size() == 1; }));
  socket->close();
  ASSERT_TRUE(told.board.until([&] { return told.closed == 1; }));
  socket.reset();
  other->send(as_bytes("to nobody"), 22, host.id().to_hex());
  ASSERT_TRUE(host.until([&] { return host.messages.size() == 2; }));
  EXPECT_EQ(told.messages.size(), 1u);
}

}  // namespace
}  // namespace peer_relay
