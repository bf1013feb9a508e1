// SPDX-License-Identifier: MIT
//
// Two rooms of streams, and between them one who carries, copies, delays and loses what they say,
// over a link or over relays; beside them a stranger who says to the first whatever it likes. In
// any order: the verbs of applications, packets, batches, acknowledgements, time. Whatever happens:
// what one reads of a stream is what the other wrote, each stream ends once, nothing spins or grows
// without bound, and in the calm after it all is said, ended and forgotten.
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "base/assert.hpp"
#include "base/reader.hpp"
#include "core/stream/streams.hpp"
#include "core/wire/sealed.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t budget = 40 * limits::stream_window_initial;
constexpr std::size_t batch_bytes = 65'519;
constexpr std::size_t streams_max = 48;

NodeId id_of(std::uint8_t first) {
  NodeId id;
  id.bytes[0] = first;
  return id;
}
const NodeId stranger = id_of(3);

/// The byte at that place of a stream's one direction.
std::uint8_t byte_at(std::uint64_t stream, int direction, std::uint64_t at) {
  const std::uint64_t mixed =
      (at + (stream * 2 + static_cast<std::uint64_t>(direction)) * 77'777) * 0x9e3779b97f4a7c15;
  return static_cast<std::uint8_t>(mixed >> 56);
}

/// What the applications of both sides know of a stream. `side` 0 opened it.
struct Shared {
  struct Side {
    StreamId stream = 0;
    std::uint64_t written = 0;
    std::uint64_t read = 0;
    std::uint64_t consumed = 0;
    bool has_finished = false;  ///< writing
    bool has_read_all = false;
    std::optional<StreamEnd> end;
  };
  std::array<Side, 2> sides;
};

struct Node {
  explicit Node(std::uint8_t first)
      : id(id_of(first)),
        streams(Random{first}, {.bytes_max = budget},
                {.is_linked =
                     [](const void* context, const NodeId& peer) {
                       const Node& node = *static_cast<const Node*>(context);
                       return peer == stranger ? node.is_linked_to_stranger : node.is_linked;
                     },
                 .context = this}) {}

  struct Known {
    std::optional<std::size_t> shared;  ///< with the other node; else the stranger's
    int side = 0;
    std::uint64_t read = 0;
    std::uint64_t consumed = 0;
  };

  NodeId id;
  Streams streams;
  Outbox out;
  bool is_linked = false;
  bool is_linked_to_stranger = false;
  bool is_filling = false;
  bool reads = true;
  std::map<StreamId, Known> known;  // those that are open
};

class World {
 public:
  explicit World(BytesView input) : in_(input) {}

  void run() {
    while (in_.left() > 0 && ++steps_ < 500) {
      step();
      check();
    }
    make_peace();
  }

 private:
  void step() {
    const std::uint8_t choice = in_.u8();
    Node& node = *nodes_[choice & 1];
    switch (choice >> 1 & 15) {
      case 0:
        return open(node);
      case 1:
      case 2:
        return write(node);
      case 3:
        return finish(node);
      case 4:
        return in_.u8() < 64 ? reset(node) : read(node);
      case 5:
        node.reads = (in_.u8() & 3) != 0;
        return;
      case 6:
      case 7:
        return arrive(in_.u8(), false);
      case 8:
        for (int i = 0; i < 8; ++i) arrive(0, false);
        return;
      case 9:
        return arrive(in_.u8(), true);
      case 10:
        if (!flights_.empty()) flights_.erase(flights_.begin() + in_.u8() % flights());
        return;
      case 11:
        return in_.u8() < 128 ? set_linked(!nodes_[0]->is_linked, in_.u8()) : fill_all();
      case 12:
        return pass(std::chrono::milliseconds{in_.u8()});
      case 13:
        return pass(std::chrono::milliseconds{in_.u16()});
      case 14:
        return invent_frame();
      default:
        return invent_content();
    }
  }

  Node& other(const Node& node) { return &node == nodes_[0].get() ? *nodes_[1] : *nodes_[0]; }
  std::ptrdiff_t flights() const { return static_cast<std::ptrdiff_t>(flights_.size()); }

  // ---- Applications ----

  void open(Node& node) {
    const std::uint8_t how = in_.u8();
    if (shared_.size() >= streams_max) return;
    const bool is_to_stranger = how < 32;
    const auto stream = node.streams.open(
        is_to_stranger ? stranger : other(node).id,
        {.label = std::string(1, static_cast<char>(shared_.size())), .seeks_link = (how & 1) != 0},
        now_, node.out);
    if (!stream) return;
    if (is_to_stranger) {
      node.known[*stream] = {};
    } else {
      node.known[*stream] = {.shared = shared_.size(), .side = 0};
      shared_.push_back({});
      shared_.back().sides[0].stream = *stream;
    }
    grant(node);
  }

  std::pair<StreamId, Node::Known*> pick(Node& node) {
    const std::uint8_t at = in_.u8();
    if (node.known.empty()) return {0, nullptr};
    const auto found =
        std::next(node.known.begin(), static_cast<std::ptrdiff_t>(at % node.known.size()));
    return {found->first, &found->second};
  }

  void write(Node& node) {
    const auto [stream, known] = pick(node);
    const std::uint16_t size = in_.u16();
    if (known == nullptr) return;
    if (!known->shared) {
      node.streams.write(stream, Bytes(size), now_, node.out);
      return grant(node);
    }
    Shared::Side& side = side_of(*known);
    if (side.has_finished) return;
    Bytes bytes(size);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = byte_at(*known->shared, known->side, side.written + i);
    }
    if (node.streams.write(stream, std::move(bytes), now_, node.out)) side.written += size;
    grant(node);
  }
  void finish(Node& node) {
    const auto [stream, known] = pick(node);
    if (known == nullptr) return;
    if (known->shared) side_of(*known).has_finished = true;
    node.streams.finish(stream, now_, node.out);
    grant(node);
  }
  void reset(Node& node) {
    const auto [stream, known] = pick(node);
    node.streams.reset(stream, in_.u8() < 128 ? StreamEnd::reset : StreamEnd::refused, 7, now_,
                       node.out);
    grant(node);
  }
  void read(Node& node) {
    std::vector<StreamId> all;
    for (const auto& [stream, known] : node.known) all.push_back(stream);
    for (const StreamId stream : all) {
      const auto at = node.known.find(stream);
      if (at == node.known.end()) continue;
      const std::uint64_t bytes = at->second.read - at->second.consumed;
      at->second.consumed = at->second.read;
      node.streams.consumed(stream, bytes, now_, node.out);
    }
    grant(node);
  }
  Shared::Side& side_of(const Node::Known& known) {
    return shared_[*known.shared].sides[static_cast<std::size_t>(known.side)];
  }

  // ---- What a room wishes ----

  void grant(Node& node) {
    while (!node.out.empty()) {
      std::visit([&](auto&& wish) { grant(std::forward<decltype(wish)>(wish), node); },
                 node.out.take());
    }
  }
  void grant(SealWish wish, Node& node) {
    Bytes content{wish.content.begin() + session_data_header_bytes, wish.content.end()};
    PEER_RELAY_ASSERT(content.size() <= stream_packet_header_bytes + limits::stream_turn_bytes_max);
    if (wish.to == stranger) {
      if (const auto packet = decode_stream_packet(content)) {
        heard_epoch_ = packet->epoch;
        heard_number_ = packet->number;
        hear_numbers(packet->frames);
      }
      return;
    }
    if (flights_.size() >= 512) flights_.erase(flights_.begin());
    flights_.push_back({node.id, std::move(content)});
  }
  void grant(StreamsWaiting wish, Node& node) {
    PEER_RELAY_ASSERT(wish.peer == stranger ? node.is_linked_to_stranger : node.is_linked);
    node.is_filling = true;
  }
  void grant(LinkWanted, Node&) {}
  void grant(NotifyWish wish, Node& node) {
    std::visit([&](auto& event) { take(event, node); }, wish.event);
  }
  template <class W>
  void grant(W&&, Node&) {
    PEER_RELAY_ASSERT(false);
  }

  void take(const NotifyWish::StreamOpened& opened, Node& node) {
    Node::Known known;
    if (opened.peer == other(node).id) {
      PEER_RELAY_ASSERT(opened.label.size() == 1);
      known = {.shared = static_cast<std::uint8_t>(opened.label[0]), .side = 1};
      Shared::Side& side = side_of(known);
      if (side.stream != 0) {  // what was forgotten may be opened again, but not while it lives
        PEER_RELAY_ASSERT(side.end.has_value());
        known.shared.reset();
      } else {
        side.stream = opened.stream;
      }
    }
    PEER_RELAY_ASSERT(node.known.emplace(opened.stream, known).second);
  }
  void take(const NotifyWish::StreamAccepted& accepted, Node& node) {
    PEER_RELAY_ASSERT(node.known.contains(accepted.stream));
  }
  void take(const NotifyWish::StreamBytes& arrived, Node& node) {
    Node::Known& known = node.known.at(arrived.stream);
    if (known.shared) {
      Shared& shared = shared_[*known.shared];
      Shared::Side& side = side_of(known);
      PEER_RELAY_ASSERT(!side.has_read_all);
      for (const std::uint8_t byte : arrived.bytes) {
        PEER_RELAY_ASSERT(byte == byte_at(*known.shared, 1 - known.side, side.read));
        ++side.read;
      }
      PEER_RELAY_ASSERT(side.read <=
                        shared.sides[static_cast<std::size_t>(1 - known.side)].written);
    }
    known.read += arrived.bytes.size();
    PEER_RELAY_ASSERT(known.read - known.consumed <= limits::stream_window_max);
    if (!node.reads) return;
    known.consumed += arrived.bytes.size();
    node.streams.consumed(arrived.stream, arrived.bytes.size(), now_, node.out);
  }
  void take(const NotifyWish::StreamFinished& finished, Node& node) {
    const Node::Known& known = node.known.at(finished.stream);
    if (!known.shared) return;
    const Shared::Side& writer =
        shared_[*known.shared].sides[static_cast<std::size_t>(1 - known.side)];
    Shared::Side& side = side_of(known);
    PEER_RELAY_ASSERT(writer.has_finished && side.read == writer.written);
    PEER_RELAY_ASSERT(!std::exchange(side.has_read_all, true));
  }
  void take(const NotifyWish::StreamWritable& writable, Node& node) {
    PEER_RELAY_ASSERT(node.known.contains(writable.stream));
  }
  void take(const NotifyWish::StreamClosed& closed, Node& node) {
    const auto at = node.known.find(closed.stream);
    PEER_RELAY_ASSERT(at != node.known.end());  // it ends once
    if (at->second.shared) {
      Shared& shared = shared_[*at->second.shared];
      Shared::Side& side = side_of(at->second);
      PEER_RELAY_ASSERT(!side.end);
      side.end = closed.end;
      // Honest ones see no fault in each other.
      PEER_RELAY_ASSERT(closed.end != StreamEnd::protocol_error);
      if (closed.end == StreamEnd::finished) {
        const Shared::Side& there = shared.sides[static_cast<std::size_t>(1 - at->second.side)];
        PEER_RELAY_ASSERT(side.has_finished && side.has_read_all && there.has_read_all);
      }
    }
    node.known.erase(at);
  }
  template <class E>
  void take(const E&, Node&) {
    PEER_RELAY_ASSERT(false);
  }

  // ---- Between the two ----

  struct Flight {
    NodeId from;
    Bytes content;
  };

  void arrive(std::uint8_t which, bool again) {
    if (flights_.empty()) return;
    const std::ptrdiff_t at = which % flights();
    const Flight flight = flights_[static_cast<std::size_t>(at)];
    if (!again) flights_.erase(flights_.begin() + at);
    Node& node = flight.from == nodes_[0]->id ? *nodes_[1] : *nodes_[0];
    node.streams.handle(flight.from, flight.content, now_, node.out);
    grant(node);
  }

  /// As far as their links ask for it. Of what is on a link when it dies some was read.
  void fill_all(std::size_t batches_max = SIZE_MAX) {
    for (bool has_more = true; has_more;) {
      has_more = false;
      for (auto& node : nodes_) {
        if (!std::exchange(node->is_filling, false)) continue;
        if (node->is_linked_to_stranger) {
          Bytes batch;
          node->streams.fill(stranger, batch, batch_bytes, node->out);
          hear_numbers(batch);
        }
        if (!node->is_linked) continue;
        Bytes batch;
        node->is_filling = node->streams.fill(other(*node).id, batch, batch_bytes, node->out);
        PEER_RELAY_ASSERT(batch.size() <= batch_bytes);
        PEER_RELAY_ASSERT(!batch.empty() || !node->is_filling);
        grant(*node);
        if (batch.empty()) continue;
        if (batches_max == 0) continue;  // lost
        --batches_max;
        has_more = true;
        Node& to = other(*node);
        FrameReader frames{batch};
        while (const auto frame = frames.next()) {
          to.streams.handle(node->id, {FrameKind{frame->kind}, frame->body}, now_, to.out);
        }
        PEER_RELAY_ASSERT(!frames.is_broken());
        grant(to);
      }
    }
  }

  void set_linked(bool is_linked, std::size_t last_batches) {
    if (!is_linked) fill_all(last_batches % 4);
    for (auto& node : nodes_) {
      node->is_linked = is_linked;
      node->streams.link_changed(other(*node).id, now_, node->out);
      grant(*node);
    }
  }

  void pass(Duration duration) {
    const TimePoint end = now_ + duration;
    for (auto& node : nodes_) {
      TimePoint now = now_;
      while (node->streams.next_wake() <= end) {
        now = std::max(now, node->streams.next_wake());
        std::swap(now, now_);
        node->streams.wake(now_, node->out);
        PEER_RELAY_ASSERT(node->streams.next_wake() > now_);
        grant(*node);
        std::swap(now, now_);
      }
    }
    now_ = end;
  }

  // ---- The stranger ----

  void hear_numbers(BytesView frames) {
    Reader reader{frames};
    while (const auto frame = next_stream_frame(reader)) {
      heard_numbers_[heard_at_++ % heard_numbers_.size()] = Reader{frame->body}.u64();
    }
  }
  StreamNumber some_number() {
    const std::uint8_t which = in_.u8();
    return which < 128 ? heard_numbers_[which % heard_numbers_.size()] : which % 16;
  }
  std::uint64_t some_offset() {
    const std::uint8_t how = in_.u8();
    if (how < 64) return how;
    if (how < 160) return in_.u16();
    if (how < 224) return in_.u32();
    return in_.u64();
  }
  Bytes some_frame() {
    Bytes frame;
    const std::uint8_t how = in_.u8();
    switch (how & 3) {
      case 0:
        append_stream_reset({.number = some_number(), .end = StreamEnd{in_.u8()}}, frame);
        break;
      case 1: {
        const StreamNumber number = some_number();
        const std::uint64_t received = some_offset();
        append_stream_window({.number = number, .received = received, .limit = some_offset()},
                             frame);
        break;
      }
      case 2: {
        const Bytes bytes(in_.u8() * (how >= 128 ? 100u : 1u));
        StreamData data{.number = some_number(),
                        .offset = some_offset(),
                        .opens = (how & 4) != 0,
                        .finish = (how & 8) != 0};
        append_stream_data_header(data, bytes.size(), frame);
        frame.insert(frame.end(), bytes.begin(), bytes.end());
        break;
      }
      default: {
        const BytesView body = in_.bytes_u8();
        append_frame(FrameKind{static_cast<std::uint8_t>(0x10 + (how >> 2) % 4)}, body, frame);
      }
    }
    return frame;
  }
  void invent_frame() {
    Node& node = *nodes_[0];
    const Bytes frame = some_frame();
    if (!std::exchange(node.is_linked_to_stranger, true)) {
      node.streams.link_changed(stranger, now_, node.out);
    }
    node.streams.handle(stranger,
                        {FrameKind{frame[0]}, BytesView{frame}.subspan(frame_header_bytes)}, now_,
                        node.out);
    grant(node);
  }
  void invent_content() {
    Node& node = *nodes_[0];
    const std::uint8_t how = in_.u8();
    Bytes content;
    if (how < 32) {
      const BytesView bytes = in_.bytes_u8();
      content.assign(bytes.begin(), bytes.end());
    } else if (how < 96) {
      const std::uint32_t largest = how < 64 ? heard_number_ - in_.u8() % 4 : in_.u32();
      encode_stream_ack({.epoch = heard_epoch_, .largest = largest, .before = in_.u64()}, content);
    } else if (how < 112) {
      if (std::exchange(node.is_linked_to_stranger, false)) {
        node.streams.link_changed(stranger, now_, node.out);
        grant(node);
      }
      return;
    } else {
      encode_stream_packet_header(
          {.epoch = how & 1u, .number = stranger_packets_ += how % 5, .way = in_.u8()}, content);
      for (int i = how % 4; i > 0; --i) {
        const Bytes frame = some_frame();
        content.insert(content.end(), frame.begin(), frame.end());
      }
    }
    node.streams.handle(stranger, content, now_, node.out);
    grant(node);
  }

  // ---- What must hold ----

  void check() {
    for (auto& node : nodes_) {
      PEER_RELAY_ASSERT(node->streams.size() == node->known.size());
      PEER_RELAY_ASSERT(node->streams.size() <= budget / limits::stream_window_initial);
      PEER_RELAY_ASSERT(node->streams.conversations() <= 2);
      for (const NodeId& peer : {other(*node).id, stranger}) {
        PEER_RELAY_ASSERT(node->streams.waiting(peer) <= 2000);
      }
    }
  }

  void calm(Duration duration) {
    for (const TimePoint end = now_ + duration; now_ < end;) {
      for (int i = 0; i < 600 && !flights_.empty(); ++i) arrive(0, false);
      fill_all();
      pass(20ms);
    }
  }

  /// From here on everything arrives.
  void make_peace() {
    in_ = Reader{{}};
    Node& first = *nodes_[0];
    first.is_linked_to_stranger = false;
    first.streams.link_changed(stranger, now_, first.out);
    grant(first);
    for (auto& node : nodes_) {
      node->reads = true;
      read(*node);
    }
    calm(20s);
    for (auto& node : nodes_) {
      std::vector<std::pair<StreamId, bool>> all;
      for (const auto& [stream, known] : node->known) {
        all.emplace_back(stream, known.shared.has_value());
        if (known.shared) side_of(known).has_finished = true;
      }
      for (const auto& [stream, is_shared] : all) {
        if (is_shared) {
          node->streams.finish(stream, now_, node->out);
        } else {
          node->streams.reset(stream, StreamEnd::reset, 1, now_, node->out);
        }
      }
      grant(*node);
    }
    calm(20s);
    for (const Shared& shared : shared_) {
      for (int i = 0; i < 2; ++i) {
        const Shared::Side& side = shared.sides[static_cast<std::size_t>(i)];
        PEER_RELAY_ASSERT(side.stream == 0 || side.end.has_value());
        if (side.end == StreamEnd::finished) {
          PEER_RELAY_ASSERT(side.read == shared.sides[static_cast<std::size_t>(1 - i)].written);
        }
      }
    }
    set_linked(false, 0);
    for (int i = 0; i < 200; ++i) calm(20ms);
    pass(4min);
    for (auto& node : nodes_) {
      PEER_RELAY_ASSERT(node->streams.size() == 0);
      PEER_RELAY_ASSERT(node->streams.conversations() == 0);
      PEER_RELAY_ASSERT(node->streams.next_wake() == never);
    }
  }

  Reader in_;
  TimePoint now_{100s};
  std::array<std::unique_ptr<Node>, 2> nodes_{std::make_unique<Node>(std::uint8_t{1}),
                                              std::make_unique<Node>(std::uint8_t{2})};
  std::vector<Flight> flights_;
  std::vector<Shared> shared_;
  std::array<StreamNumber, 8> heard_numbers_{};
  std::size_t heard_at_ = 0;
  std::uint32_t heard_epoch_ = 0;
  std::uint32_t heard_number_ = 0;
  std::uint32_t stranger_packets_ = 0;
  int steps_ = 0;
};

}  // namespace
}  // namespace peer_relay

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  peer_relay::World{{data, size}}.run();
  return 0;
}
