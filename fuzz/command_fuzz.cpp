// SPDX-License-Identifier: MIT
//
// Lines of JSON that nodes of npm peer-exchange say to each other: cut in pieces as the first byte
// has it, they are the lines that one look finds; what is read is within its bounds, and what we
// would say of it is read as the same.
#include "core/exchange/command.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/assert.hpp"
#include "base/random.hpp"

namespace {

using namespace peer_relay;
using namespace peer_relay::exchange;
using Json = nlohmann::json;

std::vector<std::string> lines_of(BytesView bytes, Random* random) {
  std::vector<std::string> out;
  LineReader reader;
  while (!bytes.empty()) {
    BytesView piece = bytes.first(random ? 1 + random->below(bytes.size()) : bytes.size());
    bytes = bytes.subspan(piece.size());
    while (const auto line = reader.next(piece)) out.emplace_back(*line);
    PEER_RELAY_ASSERT(piece.empty() || reader.is_overlong());
    if (reader.is_overlong()) break;
  }
  return out;
}

/// Without its end, as a reader gives it.
Command read_ours(std::string line) {
  PEER_RELAY_ASSERT(line.ends_with('\n'));
  line.pop_back();
  PEER_RELAY_ASSERT(line.size() <= line_bytes_max && line.find('\n') == std::string::npos);
  auto read = read_command(line);
  PEER_RELAY_ASSERT(read.has_value());
  return std::move(*read);
}

void check(const Hello& hello) {
  PEER_RELAY_ASSERT(hello.network.size() <= network_bytes_max);
  OwnHello own{.network = hello.network, .transports = hello.transports};
  for (std::size_t i = 0; i < exchange_transports; ++i) {
    if (hello.accepts[i]) own.accepts[i] = hello.accepts[i]->port;
  }
  const auto again = std::get<Hello>(read_ours(hello_line(own)));
  PEER_RELAY_ASSERT(again.is_version_0 && again.transports == hello.transports);
  // What is no UTF-8 we do not write.
  if (Json::parse(Json(hello.network).dump(-1, ' ', false, Json::error_handler_t::replace)) ==
      Json(hello.network)) {
    PEER_RELAY_ASSERT(again.network == hello.network);
  }
  for (std::size_t i = 0; i < exchange_transports; ++i) {
    PEER_RELAY_ASSERT(again.accepts[i].has_value() == hello.accepts[i].has_value());
  }
}
void check(const HelloAck&) { read_ours(helloack_line()); }
void check(const Accept& accept) {
  if (!accept.transport) return;
  const auto again = std::get<Accept>(read_ours(accept_line(*accept.transport, accept.opts.port)));
  PEER_RELAY_ASSERT(again.transport == accept.transport);
}
void check(const Unaccept& unaccept) {
  if (!unaccept.transport) return;
  const auto again = std::get<Unaccept>(read_ours(unaccept_line(*unaccept.transport)));
  PEER_RELAY_ASSERT(again.transport == unaccept.transport);
}
void check(const GetPeer& ask) {
  if (!is_number_like(ask.request)) return;
  PEER_RELAY_ASSERT(ask.request.size() <= number_bytes_max);
  PEER_RELAY_ASSERT(std::get<GetPeer>(read_ours(get_peer_line(ask.request))).request ==
                    ask.request);
}
void check(const Incoming& incoming) {
  if (!is_number_like(incoming.nonce)) return;
  PEER_RELAY_ASSERT(std::get<Incoming>(read_ours(incoming_line(incoming.nonce))).nonce ==
                    incoming.nonce);
}
void check(const Answer& answer) {
  if (!is_number_like(answer.request)) return;
  read_ours(nobody_line(answer.request));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  Random random{data[0]};
  const BytesView bytes{data + 1, size - 1};
  const auto lines = lines_of(bytes, nullptr);
  PEER_RELAY_ASSERT(lines_of(bytes, &random) == lines);
  for (const std::string& line : lines) {
    PEER_RELAY_ASSERT(!line.empty() && line.size() <= line_bytes_max);
    if (const auto command = read_command(line)) {
      std::visit([](const auto& each) { check(each); }, *command);
    }
  }
  return 0;
}
