// SPDX-License-Identifier: MIT
#include "core/exchange/command.hpp"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace peer_relay::exchange {
namespace {

using ::testing::ElementsAre;
using enum ExchangeTransport;

template <class T>
T read(std::string_view line) {
  const auto command = read_command(line);
  EXPECT_TRUE(command.has_value()) << line;
  if (!command) return {};
  const T* const found = std::get_if<T>(&*command);
  EXPECT_NE(found, nullptr) << line;
  return found == nullptr ? T{} : *found;
}

template <class T>
const auto& of(const ByTransport<T>& all, ExchangeTransport transport) {
  return all[static_cast<std::size_t>(transport)];
}

LineFault fault_of(std::string_view line) {
  const auto command = read_command(line);
  EXPECT_FALSE(command.has_value()) << line;
  return command ? LineFault{} : command.error();
}

// ---- Lines ----------------------------------------------------------------------------------

std::vector<std::string> lines_of(std::string_view text, std::size_t piece_bytes) {
  LineReader reader;
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::string_view piece = text.substr(0, piece_bytes);
    text.remove_prefix(piece.size());
    BytesView bytes = as_bytes(piece);
    while (const auto line = reader.next(bytes)) out.emplace_back(*line);
    EXPECT_TRUE(bytes.empty() || reader.is_overlong());
  }
  return out;
}

TEST(Lines, EndWithALineFeedOrTwoCharactersAndMayBeEmpty) {
  for (std::size_t piece = 1; piece < 20; ++piece) {
    EXPECT_THAT(lines_of("one\ntwo\r\n\n\r\nthree\nfour", piece),
                ElementsAre("one", "two", "three"))
        << piece;
  }
}

TEST(Lines, HaveALengthThatTheyMayNotExceed) {
  const std::string longest(line_bytes_max, 'x');
  EXPECT_EQ(lines_of(longest + "\n", 1000).size(), 1u);
  LineReader reader;
  const std::string longer = longest + "x\n";
  BytesView bytes = as_bytes(longer);
  EXPECT_FALSE(reader.next(bytes));
  EXPECT_TRUE(reader.is_overlong());
  BytesView more = as_bytes("\n{}\n");
  EXPECT_FALSE(reader.next(more));
}

// ---- Reading --------------------------------------------------------------------------------

TEST(Command, HelloAsANodeWritesIt) {
  const auto hello =
      read<Hello>(R"({"command":"hello","id":"net-1","version":0,"accepts":{"tcp":{"port":23100},)"
                  R"("websocket":{"port":23101}},"transports":["websocket","tcp"],)"
                  R"("receiverAddress":"::ffff:127.0.0.1"})");
  EXPECT_EQ(hello.network, "net-1");
  EXPECT_TRUE(hello.is_version_0);
  EXPECT_EQ(of(hello.accepts, tcp), Opts{.port = 23100});
  EXPECT_EQ(of(hello.accepts, websocket), Opts{.port = 23101});
  EXPECT_FALSE(of(hello.accepts, webrtc));
  EXPECT_TRUE(of(hello.transports, tcp) && of(hello.transports, websocket));
  EXPECT_FALSE(of(hello.transports, webrtc));
}

TEST(Command, HelloInAnyOrderAndWithWhatWeDoNotKnow) {
  const auto hello = read<Hello>(
      R"({"transports":["carrier pigeon","webrtc"],"x":[[{}]],"version":0.0,"id":"n","accepts":)"
      R"({"webrtc":true,"__proto__":{"port":1},"toString":true,"tcp":{"port":70000}},)"
      R"("command":"hello"})");
  EXPECT_EQ(hello.network, "n");
  EXPECT_TRUE(hello.is_version_0);
  EXPECT_EQ(of(hello.accepts, webrtc), Opts{});
  EXPECT_EQ(of(hello.accepts, tcp), Opts{}) << "a port that is none is none";
  EXPECT_TRUE(of(hello.transports, webrtc));
}

TEST(Command, HelloWithoutAcceptsOrTransports) {
  const auto hello = read<Hello>(R"({"command":"hello","id":"n","version":0})");
  EXPECT_FALSE(of(hello.accepts, tcp));
  EXPECT_FALSE(of(hello.transports, tcp));
}

TEST(Command, OfAnotherVersion) {
  for (const char* version : {"1", "\"0\"", "null", "-1", "0.1", "true", "[0]"}) {
    const std::string line =
        std::string{R"({"command":"hello","id":"n","version":)"} + version + "}";
    EXPECT_FALSE(read<Hello>(line).is_version_0) << version;
  }
  EXPECT_FALSE(read<Hello>(R"({"command":"hello","id":"n"})").is_version_0);
}

TEST(Command, OthersAsANodeWritesThem) {
  read<HelloAck>(R"({"command":"helloack"})");
  const auto accept =
      read<Accept>(R"({"command":"accept","transport":"tcp","opts":{"port":23102}})");
  EXPECT_EQ(accept.transport, tcp);
  EXPECT_EQ(accept.opts.port, 23102);
  EXPECT_EQ(read<Unaccept>(R"({"command":"unaccept","transport":"tcp"})").transport, tcp);
  EXPECT_EQ(read<Unaccept>(R"({"command":"unaccept","transport":"toString"})").transport,
            std::nullopt);
  const auto ask =
      read<GetPeer>(R"({"command":"getPeer","reqId":"28cb0645b59616975fc107e9f33162d9"})");
  EXPECT_EQ(ask.request, "28cb0645b59616975fc107e9f33162d9");
  const auto incoming = read<Incoming>(
      R"({"command":"incoming","nonce":"c80d0404421330b77d8f6a905a82169b","transport":"webrtc"})");
  EXPECT_EQ(incoming.nonce, "c80d0404421330b77d8f6a905a82169b");
  EXPECT_EQ(incoming.transport, webrtc);
}

TEST(Command, AnswersAsANodeWritesThem) {
  const auto answer = read<Answer>(
      R"({"command":"28cb0645b59616975fc107e9f33162d9","transport":"tcp","opts":{"port":23385},)"
      R"("address":"::ffff:127.0.0.1","nonce":"fcce1682a790f9738ddbe11b829502ba"})");
  EXPECT_EQ(answer.request, "28cb0645b59616975fc107e9f33162d9");
  EXPECT_EQ(answer.transport, tcp);
  EXPECT_EQ(answer.opts.port, 23385);
  EXPECT_EQ(answer.address, "::ffff:127.0.0.1");
  EXPECT_EQ(answer.nonce, "fcce1682a790f9738ddbe11b829502ba");
  const auto channel = read<Answer>(
      R"({"command":"b217526cc7c26a85cbc02ae531ab4041","transport":"webrtc","opts":true,)"
      R"("address":"::ffff:127.0.0.1","nonce":"c80d0404421330b77d8f6a905a82169b"})");
  EXPECT_EQ(channel.transport, webrtc);
  const auto nobody = read<Answer>(
      R"({"command":"73eaf50576a4f46c9abd4c04f20750c0","transport":null,"opts":null,"address":null})");
  EXPECT_EQ(nobody.transport, std::nullopt);
  EXPECT_EQ(nobody.address, "");
}

TEST(Command, ThatANodeEndsTheConnectionFor) {
  for (const char* line : {"null", "hello", "{", "{\"command\":}", "\xff", "[1,", "{}x"}) {
    EXPECT_EQ(fault_of(line), LineFault::broken) << line;
  }
  EXPECT_EQ(fault_of(std::string(100'000, '[')), LineFault::broken);
}

TEST(Command, ThatANodePassesOver) {
  for (const char* line : {"1", "\"hello\"", "[]", "[{\"command\":\"hello\"}]", "{}", "true",
                           "{\"command\":1}", "{\"command\":null}"}) {
    EXPECT_EQ(fault_of(line), LineFault::ignored) << line;
  }
  EXPECT_EQ(read<Answer>(R"({"command":"fly"})").request, "fly");
}

// ---- Writing --------------------------------------------------------------------------------

TEST(Command, HelloAsWeWriteIt) {
  OwnHello own{.network = "net-1", .receiver_address = "127.0.0.1"};
  EXPECT_EQ(hello_line({.network = "n"}),
            R"({"command":"hello","id":"n","version":0,"accepts":{},"transports":[]})"
            "\n");
  own.accepts = {std::uint16_t{23100}, std::uint16_t{23101}, std::uint16_t{0}};
  own.transports = {true, true, true};
  EXPECT_EQ(hello_line(own),
            R"({"command":"hello","id":"net-1","version":0,"accepts":{"tcp":{"port":23100},)"
            R"("websocket":{"port":23101},"webrtc":true},"transports":["tcp","websocket",)"
            R"("webrtc"],"receiverAddress":"127.0.0.1"})"
            "\n");
  const auto back = read<Hello>(hello_line(own));
  EXPECT_EQ(back.network, "net-1");
  EXPECT_TRUE(back.is_version_0);
}

TEST(Command, ANetworkOfAnyNameComesBackAsItWas) {
  for (const std::string name : {"", "\"\\", "Grüße \U0001f600", "a\nb\tc\x01", "__proto__"}) {
    const std::string line = hello_line({.network = name});
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    EXPECT_EQ(read<Hello>(line).network, name);
  }
}

TEST(Command, OthersAsWeWriteThem) {
  EXPECT_EQ(helloack_line(), "{\"command\":\"helloack\"}\n");
  EXPECT_EQ(accept_line(tcp, 23102),
            "{\"command\":\"accept\",\"transport\":\"tcp\",\"opts\":{\"port\":23102}}\n");
  EXPECT_EQ(accept_line(webrtc, 0), "{\"command\":\"accept\",\"transport\":\"webrtc\"}\n");
  EXPECT_EQ(unaccept_line(tcp), "{\"command\":\"unaccept\",\"transport\":\"tcp\"}\n");
  EXPECT_EQ(get_peer_line("r1"), "{\"command\":\"getPeer\",\"reqId\":\"r1\"}\n");
  EXPECT_EQ(incoming_line("c8"),
            "{\"command\":\"incoming\",\"nonce\":\"c8\",\"transport\":\"webrtc\"}\n");
  // Appendix A.
  EXPECT_EQ(nobody_line("r1"),
            "{\"command\":\"r1\",\"transport\":null,\"opts\":null,\"address\":null}\n");
  EXPECT_EQ(nobody_line("r1").size(), 0x3du);
  EXPECT_EQ(answer_line({.request = "r1",
                         .transport = tcp,
                         .opts = {.port = 23385},
                         .address = "127.0.0.1",
                         .nonce = "fc1"}),
            R"({"command":"r1","transport":"tcp","opts":{"port":23385},"address":"127.0.0.1",)"
            R"("nonce":"fc1"})"
            "\n");
  EXPECT_EQ(answer_line({.request = "r1",
                         .transport = webrtc,
                         .opts = {},
                         .address = "127.0.0.1",
                         .nonce = "fc1"}),
            R"({"command":"r1","transport":"webrtc","opts":true,"address":"127.0.0.1",)"
            R"("nonce":"fc1"})"
            "\n");
}

TEST(Command, EchoesNothingThatIsAName) {
  for (const char* name : {"", "__proto__", "toString", "constructor", "hasOwnProperty", "hello",
                           "helloack", "error", "getPeer", "incoming", "a1 b", "a1\"", "a1\\",
                           "\xc3\xa9"
                           "1",
                           "relay:1"}) {
    EXPECT_FALSE(is_number_like(name)) << name;
  }
  EXPECT_FALSE(is_number_like(std::string(65, '1')));
  for (const char* name : {"r1", "28cb0645b59616975fc107e9f33162d9", "0"}) {
    EXPECT_TRUE(is_number_like(name)) << name;
  }
}

}  // namespace
}  // namespace peer_relay::exchange
