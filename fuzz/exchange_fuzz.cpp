// SPDX-License-Identifier: MIT
//
// What strangers say on connections to a node of npm peer-exchange, in pieces of any size: the
// first byte seeds their sizes. Frames come out as one look at the whole stream finds them, and
// whatever the room makes of it, it says nothing that would end a node.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/assert.hpp"
#include "base/random.hpp"
#include "core/exchange/command.hpp"
#include "core/exchange/multiplex.hpp"
#include "core/exchange/old_exchange.hpp"

namespace {

using namespace peer_relay;
using exchange::FrameType;
using Json = nlohmann::json;

// ---- Frames ---------------------------------------------------------------------------------

struct Whole {
  FrameType type{};
  std::uint32_t channel = 0;
  Bytes payload;
  bool operator==(const Whole&) const = default;
};

bool is_data(FrameType type) {
  return type == FrameType::opener_data || type == FrameType::receiver_data;
}

/// Nothing where it has no end, or none within ten bytes and 64 bits.
std::optional<std::uint64_t> varint(BytesView& bytes) {
  std::uint64_t out = 0;
  for (unsigned i = 0; i < 10 && i < bytes.size(); ++i) {
    const std::uint64_t bits = bytes[i] & 0x7f;
    if (i == 9 && bits > 1) return std::nullopt;
    out |= bits << (7 * i);
    if (bytes[i] < 0x80) {
      bytes = bytes.subspan(i + 1);
      return out;
    }
  }
  return std::nullopt;
}

std::vector<Whole> at_a_glance(BytesView bytes) {
  std::vector<Whole> out;
  while (!bytes.empty()) {
    const auto header = varint(bytes);
    if (!header || *header >> 3 > exchange::channel_number_max) break;
    const auto length = varint(bytes);
    const auto type = static_cast<FrameType>(*header & 7);
    if (!length || *length > exchange::frame_bytes_max || *length > bytes.size()) break;
    if (type == FrameType::open && *length > exchange::channel_name_bytes_max) break;
    const BytesView payload = bytes.first(static_cast<std::size_t>(*length));
    bytes = bytes.subspan(payload.size());
    if (type == FrameType::nothing) continue;
    Whole frame{.type = type, .channel = static_cast<std::uint32_t>(*header >> 3), .payload = {}};
    if (is_data(type) || type == FrameType::open) {
      frame.payload.assign(payload.begin(), payload.end());
    }
    out.push_back(std::move(frame));
  }
  return out;
}

class Reassembly {
 public:
  void take(BytesView bytes) {
    while (const auto piece = reader_.next(bytes)) {
      unfinished_.insert(unfinished_.end(), piece->bytes.begin(), piece->bytes.end());
      if (!piece->is_last) continue;
      frames.push_back({piece->type, piece->channel, std::move(unfinished_)});
      unfinished_ = {};
    }
    PEER_RELAY_ASSERT(bytes.empty() || reader_.is_broken());
  }
  std::vector<Whole> frames;
  bool is_broken() const { return reader_.is_broken(); }

 private:
  exchange::MultiplexReader reader_;
  Bytes unfinished_;
};

// ---- What we say ------------------------------------------------------------------------------

/// One who listens to us as a node would, and lives.
class Node {
 public:
  void hear(BytesView bytes) {
    heard_.take(bytes);
    PEER_RELAY_ASSERT(!heard_.is_broken());
    for (const Whole& frame : heard_.frames) take(frame);
    heard_.frames.clear();
  }

 private:
  void take(const Whole& frame) {
    // A node allocates a table as long.
    PEER_RELAY_ASSERT(frame.channel < 128 || frame.type == FrameType::receiver_end);
    switch (frame.type) {
      case FrameType::open: {
        const std::string name{as_text(frame.payload)};
        PEER_RELAY_ASSERT(name == "pxp" || name == "data" || name.starts_with("relay:"));
        PEER_RELAY_ASSERT(names_.emplace(frame.channel, name).second);
        return;
      }
      case FrameType::opener_data:
        PEER_RELAY_ASSERT(names_.contains(frame.channel));
        if (names_[frame.channel] == "pxp") take_lines(as_text(frame.payload));
        return;
      case FrameType::opener_end:
        PEER_RELAY_ASSERT(names_.erase(frame.channel) == 1);
        return;
      default:
        PEER_RELAY_ASSERT(frame.type == FrameType::receiver_end);
    }
  }

  void take_lines(std::string_view text) {
    PEER_RELAY_ASSERT(text.ends_with('\n') && text.find('\n') == text.size() - 1);
    const Json line = Json::parse(text, nullptr, false);
    PEER_RELAY_ASSERT(line.is_object() && line["command"].is_string());
    const std::string command = line["command"];
    if (command == "hello") {
      PEER_RELAY_ASSERT(line["accepts"].is_object() && line["transports"].is_array());
      return;
    }
    if (command == "helloack") return;
    if (command == "incoming") {
      PEER_RELAY_ASSERT(line["transport"] == "webrtc" &&
                        incoming_.insert({line["nonce"], 1}).second);
      return;
    }
    if (command == "getPeer") {
      PEER_RELAY_ASSERT(line["reqId"].is_string());
      return;
    }
    // An answer, and no name that means something.
    PEER_RELAY_ASSERT(std::ranges::any_of(command, [](char c) { return c >= '0' && c <= '9'; }));
    PEER_RELAY_ASSERT(line.contains("transport"));
  }

  Reassembly heard_;
  std::map<std::uint32_t, std::string> names_;
  std::map<std::string, int> incoming_;
};

constexpr std::string_view hello =
    R"({"command":"hello","id":"net-1","version":0,"accepts":{"webrtc":true,"tcp":{"port":1}},)"
    R"("transports":["tcp","webrtc"]})"
    "\n{\"command\":\"helloack\"}\n";

/// Three nodes around ours. The first two have said hello; what the input says goes to all in turn.
class World {
 public:
  explicit World(Random random)
      : random_(random), room_(random.split(), {.network = "net-1", .makes_channels = true}) {
    room_.accept(ExchangeTransport::webrtc, 0, out_);
    for (std::uint64_t i = 0; i < 3; ++i) {
      room_.opened(LinkId{i}, {.transport = ExchangeTransport::tcp, .remote_host = "10.0.0.1"},
                   now_, out_);
      if (i == 2) break;
      Bytes said;
      exchange::append_frame(FrameType::open, 0, as_bytes("pxp"), said);
      exchange::append_frame(FrameType::opener_data, 0, as_bytes(hello), said);
      room_.received(LinkId{i}, said, now_, out_);
    }
    drain();
  }

  void say(BytesView piece) {
    room_.received(LinkId{random_.below(3)}, piece, now_, out_);
    switch (random_.below(16)) {
      case 0:
        room_.seek_peer(std::nullopt, now_, out_);
        break;
      case 1:
        now_ += std::chrono::seconds{11};
        room_.wake(now_, out_);
        break;
      case 2:
        static_cast<void>(room_.write(ExchangePeerId{1 + random_.below(2)}, Bytes(100, 1)));
        break;
      case 3:
        room_.closed(LinkId{random_.below(3)}, CloseReason::transport_closed, out_);
        break;
      default:
        break;
    }
    drain();
  }

  void end() {
    room_.shut_down(now_, out_);
    drain();
    PEER_RELAY_ASSERT(room_.links() == 0);
  }

 private:
  void drain() {
    do {
      while (!out_.empty()) take(out_.take());
      while (auto outgoing = room_.next_outgoing(out_)) {
        nodes_[static_cast<std::size_t>(outgoing->link)].hear(outgoing->bytes);
        room_.writable(outgoing->link);
        if (outgoing->then_close) room_.closed(outgoing->link, *outgoing->then_close, out_);
      }
    } while (!out_.empty());
  }

  void take(const Wish& wish) {
    const auto* const negotiate = std::get_if<NegotiateWish>(&wish);
    if (negotiate == nullptr) return;
    if (negotiate->step == NegotiateWish::Step::offer) {
      room_.described(negotiate->negotiation, "v=0", out_);
    }
    if (negotiate->step == NegotiateWish::Step::answer) {
      room_.channel_failed(negotiate->negotiation, DialError::ice_failed, out_);
    }
  }

  Random random_;
  Outbox out_;
  TimePoint now_{std::chrono::seconds{1}};
  OldExchange room_;
  Node nodes_[3];
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::uint8_t seed = *data;
  BytesView input{data + 1, size - 1};

  const auto command = exchange::read_command(as_text(input));
  if (command && exchange::is_number_like(as_text(input))) PEER_RELAY_ASSERT(false);

  Reassembly heard;
  Random random{seed};
  World world{Random{seed}};
  for (BytesView left = input; !left.empty();) {
    const auto piece = left.first(1 + random.below(std::min<std::uint64_t>(
                                          left.size(), std::uint64_t{1} << random.below(12))));
    left = left.subspan(piece.size());
    heard.take(piece);
    world.say(piece);
  }
  world.end();
  std::vector<Whole> expected = at_a_glance(input);
  PEER_RELAY_ASSERT(heard.frames.size() == expected.size());
  PEER_RELAY_ASSERT(heard.frames == expected);
  return 0;
}
