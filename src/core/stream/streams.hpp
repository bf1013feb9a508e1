// SPDX-License-Identifier: MIT
//
// Byte streams to other nodes: in order, whole, with credit, so that a reader who stops stops its
// writer and nobody else. This room numbers and keeps bytes until their reader has them, and puts
// in order what comes; it does not care which way they take:
//
//  - To a node that we are linked to, frames go on the link, which loses nothing while it
//    lives. The link asks for them (fill) whenever it can be written, so no stream's bytes wait in
//    its queue.
//  - To any other, the same frames travel in packets, sealed end to end and relayed. Those can get
//    lost: recovery.hpp says which, and how many may be under way.
//
// When a link comes up, is replaced or dies, everything that the reader has not confirmed is said
// again by the way that there is now. Frames say where their bytes belong, so nothing is lost,
// doubled or out of order, whatever overtook what.
//
// Streams of one conversation take turns. Credit is per stream and absolute, as in QUIC (RFC 9000,
// §4.1), and what we have promised to all writers together is bounded. Where we depart from it: the
// end of a direction counts as one more byte (as in TCP), a window frame confirms what has come,
// and a reset ends both directions.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/lru_map.hpp"
#include "base/random.hpp"
#include "base/ring.hpp"
#include "base/timers.hpp"
#include "core/outbox.hpp"
#include "core/stream/ranges.hpp"
#include "core/stream/reassembly.hpp"
#include "core/stream/recovery.hpp"
#include "core/stream/send_buffer.hpp"
#include "core/wire/stream.hpp"
#include "peer_relay/limits.hpp"
#include "peer_relay/time.hpp"

namespace peer_relay {

/// How a stream is opened.
struct StreamOpening {
  std::string label;
  bool seeks_link = true;  ///< asks for a link to that node, if there is none
  Duration timeout = limits::stream_open_timeout;
};

/// A stream by its peer and number; the number is mixed with a secret.
struct StreamKey {
  NodeId peer{};
  std::uint64_t number = 0;
  bool operator==(const StreamKey&) const = default;
};

}  // namespace peer_relay

template <>
struct std::hash<peer_relay::StreamKey> {
  std::size_t operator()(const peer_relay::StreamKey& key) const noexcept {
    return std::hash<peer_relay::NodeId>{}(key.peer) ^ key.number;
  }
};

namespace peer_relay {

class Streams {
 public:
  /// Nodes that we have streams with, or had a moment ago: as many as sessions.
  static constexpr std::size_t conversations_max = 4096;
  /// Streams that have ended, for what of them still comes: 60 bytes each.
  static constexpr std::size_t ended_max = 4096;
  /// Last words about streams that we do not have, in one conversation; beyond them nothing is
  /// said. Who still wants an answer asks again.
  static constexpr std::size_t answers_max = 256;
  /// Without a stream a conversation is remembered for so long.
  static constexpr Duration forgotten_after = std::chrono::seconds{30};

  struct Options {
    std::size_t bytes_max = 0;                 ///< promised to the writers of all streams together
    Duration ping_after = limits::ping_after;  ///< of silence, without a link
    Duration dead_after = limits::link_dead_after * 4 / 3;  ///< without an acknowledgement
  };
  struct Surroundings {
    bool (*is_linked)(const void* context, const NodeId& peer) = nullptr;
    const void* context = nullptr;
  };

  Streams(Random random, Options options, Surroundings surroundings);

  // ---- The application's. Streams that are no more are ignored: a word of their end is under way.

  Result<StreamId> open(const NodeId& to, StreamOpening opening, TimePoint now, Outbox& out);
  /// Takes all, or nothing where stream_unsent_bytes_max wait already: StreamWritable follows.
  bool write(StreamId stream, Bytes bytes, TimePoint now, Outbox& out);
  /// Whether a write would be taken; if not, StreamWritable follows.
  bool has_room(StreamId stream);
  /// Nothing more will be written; what was still leaves.
  void finish(StreamId stream, TimePoint now, Outbox& out);
  void reset(StreamId stream, StreamEnd end, std::uint32_t code, TimePoint now, Outbox& out);
  /// So many bytes of StreamBytes were used up: the other side may send as many more.
  void consumed(StreamId stream, std::size_t bytes, TimePoint now, Outbox& out);

  // ---- What arrives ---------------------------------------------------------------------------

  /// A STREAM_* frame, from a linked peer.
  void handle(const NodeId& from, StreamFrame frame, TimePoint now, Outbox& out);
  /// A content STREAM_PACKET or STREAM_ACK.
  void handle(const NodeId& from, BytesView content, TimePoint now, Outbox& out);

  /// There is a link to that peer, or another than before; or none any more.
  void link_changed(const NodeId& peer, TimePoint now, Outbox& out);

  /// Whether `session` speaks of a packet of ours.
  static bool owns(std::uint64_t token) { return (token & token_flag) != 0; }
  void handle(const ContentFailed& failed, TimePoint now, Outbox& out);

  /// Appends frames for a linked peer to a batch, at most so many bytes. Whether there is more.
  bool fill(const NodeId& peer, Bytes& batch, std::size_t bytes_max, Outbox& out);

  /// The node goes away. All end.
  void stop(TimePoint now, Outbox& out);

  void wake(TimePoint now, Outbox& out);
  TimePoint next_wake() const { return std::min(timers_.next(), openings_.next()); }

  std::size_t size() const { return streams_.size(); }
  std::size_t conversations() const { return conversations_.size(); }
  /// What waits to be said to that peer: streams and last words.
  std::size_t waiting(const NodeId& peer) const;
  std::size_t timers() const { return timers_.size(); }

 private:
  static constexpr std::uint64_t token_flag = std::uint64_t{1} << 63;

  struct Stream {
    NodeId peer{};
    StreamNumber number = 0;
    std::string label{};  ///< until it is confirmed
    bool is_ours = false;
    bool is_confirmed = false;  ///< the other side knows it
    bool opening_due = false;
    bool window_due = false;
    bool is_ready = false;     ///< in its conversation's ring
    bool awaits_room = false;  ///< the writer

    // What we write.
    SendBuffer buffer{};
    std::uint64_t sent = 0;  ///< all before it went out at least once; the end is one more
    std::uint64_t limit = limits::stream_window_initial;
    Ranges lost{};  ///< to be sent again
    bool is_finished = false;
    bool finish_arrived = false;

    // What we read.
    Reassembly arrived{};
    std::optional<std::uint64_t> final_size{};
    bool has_ended = false;  ///< all has come, and was told
    std::uint64_t consumed = 0;
    std::uint64_t granted = limits::stream_window_initial;
    std::uint64_t confirmed = 0;  ///< in the last window frame
    std::size_t window = limits::stream_window_initial;
    TimePoint granted_at{};

    std::uint64_t end() const { return buffer.end() + (is_finished ? 1 : 0); }
    std::uint64_t received() const { return arrived.received() + (has_ended ? 1 : 0); }
    std::uint64_t unsent() const { return buffer.end() - std::min(sent, buffer.end()); }
    bool may_write_more() const {
      return (sent < buffer.end() && sent < limit) || (is_finished && sent == buffer.end());
    }
    bool has_to_say() const {
      return opening_due || window_due || !lost.empty() || may_write_more();
    }
  };

  /// All streams with one node, and the way they take.
  struct Conversation {
    explicit Conversation(std::uint32_t epoch) : recovery(epoch) {}
    NodeId peer{};
    std::uint64_t token = 0;
    bool is_linked = false;
    bool was_heard = false;  ///< by relays: it is there
    bool seeks_link = false;
    bool ping_due = false;
    std::map<StreamNumber, StreamId> streams;  // in order: others draw the numbers
    Ring<StreamId> ready;           // with something to say, each once; and some that have ended
    Ring<SaidOfStream> last_words;  // of streams that are no more
    Recovery recovery;
    Arrivals arrivals;
    std::uint8_t way = 0;     // other than the best, as long as that one loses
    bool is_unheard = false;  // the other side got no acknowledgements by our best way
    TimePoint way_until{};
    TimePoint asks_again{};  // for a link
    TimePoint acknowledge_at = never;
    TimePoint last_heard{};
    TimePoint last_pinged{};
    TimePoint armed_soon = never;
    TimePoint armed_late = never;
    bool has_to_say() const { return !ready.empty() || !last_words.empty(); }
  };

  Conversation* conversation_with(const NodeId& peer, TimePoint now);
  bool can_promise() const;
  static bool has_place(const Conversation& with);
  StreamKey key_of(const Conversation& with, StreamNumber number) const;
  Stream* find(StreamId id);
  StreamId add(Conversation& with, StreamNumber number, bool is_ours, TimePoint now, Outbox& out);

  void handle_ack(const NodeId& from, const StreamAck& ack, TimePoint now, Outbox& out);
  void handle_frame(Conversation& with, const StreamFrame& frame, TimePoint now, Outbox& out);
  void handle_data(Conversation& with, const StreamData& data, TimePoint now, Outbox& out);
  void handle_window(Conversation& with, const StreamWindow& window, Outbox& out);
  void handle_reset(Conversation& with, const StreamReset& reset, Outbox& out);
  StreamId accept(Conversation& with, const StreamData& data, TimePoint now, Outbox& out);
  void take(StreamId id, Stream& stream, const StreamData& data, Outbox& out);
  void answer_for_ended(Conversation& with, StreamNumber number, Outbox& out);
  void confirm(StreamId id, Stream& stream, Outbox& out);

  void end_if_done(StreamId id, Outbox& out);
  void end(StreamId id, StreamEnd how, std::uint32_t code, bool tells_peer, Outbox& out);
  void end_all(Conversation& with, StreamEnd how, Outbox& out);
  void grant_more(Stream& stream, TimePoint now);

  void mark_ready(Conversation& with, StreamId id, Stream& stream);
  void say_again(Conversation& with);
  void say_again(Conversation& with, const std::vector<SaidOfStream>& said);
  static void put_answer(Conversation& with, const SaidOfStream& word);
  void hear(Conversation& with, const Recovery::News& news, Outbox& out);
  /// Sees to it that what there is to say is said: by the link, or in packets.
  void speak(Conversation& with, TimePoint now, Outbox& out);
  void send_packet(Conversation& with, TimePoint now, Outbox& out);
  void send_acknowledgement(Conversation& with, Outbox& out);
  void append_frames(Conversation& with, Bytes& batch, std::size_t end,
                     std::vector<SaidOfStream>* said, Outbox& out);
  bool append_turn(StreamId id, Stream& stream, Bytes& batch, std::size_t end,
                   std::vector<SaidOfStream>* said, Outbox& out);
  void attend(Conversation& with, TimePoint now, Outbox& out);
  void ask_for_all(Conversation& with);
  bool is_dead(const Conversation& with, TimePoint now) const;
  void arm(Conversation& with, TimePoint now);

  Random random_;
  Options options_;
  Surroundings surroundings_;
  std::uint64_t key_secret_;
  StreamId last_stream_ = 0;
  std::uint64_t last_token_ = token_flag;
  std::size_t promised_bytes_ = 0;  // windows of all streams

  // No decision follows the order of any of these.
  std::unordered_map<StreamId, Stream> streams_;
  std::unordered_map<NodeId, Conversation> conversations_;
  LruMap<StreamKey, SaidOfStream> ended_{ended_max};  ///< and their last words
  Timers<NodeId> timers_;
  Timers<StreamId> openings_;
};

}  // namespace peer_relay
