// SPDX-License-Identifier: MIT
//
// A socket of ours for the tests, told what to do by lines of JSON on standard input, telling what
// happens by lines of JSON on standard output: legacy_datagrams PORT [BOOTSTRAP]
#include <iostream>
#include <mutex>
#include <string>

#include <nlohmann/json.hpp>

#include "peer_relay/socket.hpp"

namespace {

using namespace peer_relay;
using Json = nlohmann::json;

void tell(const Json& event) {
  static std::mutex mutex;
  const std::lock_guard lock{mutex};
  std::cout << event.dump() << std::endl;
}

Bytes from_hex(const std::string& hex) {
  Bytes out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<std::uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  }
  return out;
}

std::string to_hex(BytesView bytes) {
  std::string out;
  for (const std::uint8_t byte : bytes) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

}  // namespace

int main(int count, char** words) {
  NodeOptions options{.port = 0, .host = "127.0.0.1", .legacy = true};
  if (count > 2) options.bootstrap.emplace_back(words[2]);
  SocketEvents events;
  events.message = [](BytesView bytes, const RemoteInfo& from) {
    tell({{"event", "datagram"},
          {"hex", to_hex(bytes)},
          {"address", from.address},
          {"port", from.port},
          {"family", from.family},
          {"size", from.size},
          {"authenticated", from.authenticated}});
  };
  events.close = [] { tell({{"event", "close"}}); };
  auto socket = Socket::create(std::move(options), std::move(events));
  if (!socket) return 1;
  tell({{"event", "ready"}, {"id", socket->address().address}, {"url", socket->node().url()}});
  const auto port = static_cast<std::uint16_t>(std::stoul(words[1]));
  static_cast<void>(socket->bind(port, [&] {
    tell({{"event", "listening"},
          {"address", socket->address().address},
          {"port", socket->address().port}});
  }));
  for (std::string line; std::getline(std::cin, line);) {
    const Json order = Json::parse(line);
    const Bytes bytes = from_hex(order["hex"]);
    socket->send(bytes, 0, bytes.size(), order["port"].get<std::uint16_t>(),
                 order["to"].get<std::string>(), [](const Result<std::size_t>& sent) {
                   tell({{"event", "sent"}, {"bytes", sent.value_or(0)}});
                 });
  }
  socket->close();
  return 0;
}
