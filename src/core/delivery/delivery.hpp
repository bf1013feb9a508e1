// SPDX-License-Identifier: MIT
//
// What a send promises. Best effort: sealed, sent once, forgotten. Acknowledged: kept until the
// other node says that it has it, resent by other paths with growing pauses, and ended exactly
// once: delivered, unreachable (with the reason and the place), timed out or refused. At the other
// end: given to the application at most once, whatever came how often.
//
// Numbers. Each target has a count of its own, in an epoch of its own: all that a receiver needs to
// tell copies apart is a window of 2,048 numbers for (sender, epoch). Epochs count up from the one
// given at the start, one for each target that we begin (or, forgotten meanwhile, begin again) to
// send to, so a number never comes back with another meaning. No message is put on its way while
// one that is 1,024 numbers older is alive: hence no live message can fall out of the window.
//
// This room leaves keys and handshakes to session/, ways to route/. Probes count in no statistic
// of messages.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "base/lru_map.hpp"
#include "base/random.hpp"
#include "base/replay_window.hpp"
#include "base/ring.hpp"
#include "base/timers.hpp"
#include "core/delivery/round_trip.hpp"
#include "core/outbox.hpp"
#include "core/wire/sealed.hpp"
#include "peer_relay/events.hpp"
#include "peer_relay/limits.hpp"

namespace peer_relay {

/// How an acknowledged message is sent.
struct Promise {
  Duration timeout = limits::acknowledged_timeout;
  bool probe = false;  ///< acknowledged by the node there and given to nobody; without a payload
};

/// What rides in a Send, by whom it is for at the other end.
enum class Rider : std::uint8_t {
  message,  ///< the application
  probe,    ///< nobody
  signal,   ///< the making of data channels
};

/// A content as SealWish wants it: behind the room for its header, and with room for its tag.
Bytes content_for_sealing(const Content& content);

class Delivery {
 public:
  /// Half of what receivers remember: see above.
  static constexpr std::uint32_t in_flight_max = limits::replay_window / 2;
  /// To one target, so that a burst of large messages leaves room in the link's queue.
  static constexpr std::size_t in_flight_bytes_max = limits::link_queue_bytes_max / 2;
  /// Best effort messages that wait for the first link: as many as wait for a session.
  static constexpr std::size_t unsent_max = limits::session_waiting_max;
  /// Targets whose round trip and count we remember though nothing is on its way: 150 bytes each.
  static constexpr std::size_t idle_targets_max = 4096;
  /// Senders whose numbers we remember; with both windows allocated 750 bytes each.
  static constexpr std::size_t senders_max = 8192;
  /// Different tries of one message that must come back before it is unreachable.
  static constexpr int notices_max = 3;

  /// `epoch` is unlike that of any earlier process of this node: 32 bits of entropy.
  Delivery(Random random, std::uint32_t epoch);

  /// Best effort. 0 where it was refused, as too much is waiting for a link.
  MessageId send(const NodeId& to, Payload payload, TimePoint now, Outbox& out);

  /// NotifyWish::SendDone follows exactly once, if refused at once.
  MessageId send(const NodeId& to, Payload payload, Promise promise, TimePoint now, Outbox& out);

  /// Acknowledged, too. SignalDone follows exactly once, if the wish has a token.
  void send(const SignalWish& signal, TimePoint now, Outbox& out);

  /// A content that `session` opened.
  void handle(const NodeId& from, std::uint8_t hops_left, BytesView content, TimePoint now,
              Outbox& out);

  // What `session` tells of the contents it was given.
  void handle(const ContentLeft& left, TimePoint now, Outbox& out);
  void handle(const ContentFailed& failed, TimePoint now, Outbox& out);

  /// An envelope with this tag went no further. False if none of ours had it. `plausible`: `where`
  /// may well be a node at which the way to that target ends.
  bool unreachable(std::uint32_t tag, UnreachableReason reason, const NodeId& where, bool plausible,
                   TimePoint now, Outbox& out);

  /// Whether there is any link; false at first. Without one everything waits.
  void set_connected(bool connected, TimePoint now, Outbox& out);

  /// The node goes away: whatever is unfinished ends as refused(closed).
  void abandon_all(TimePoint now, Outbox& out);

  void wake(TimePoint now, Outbox& out);
  TimePoint next_wake() const;

  /// Messages that are not done with: acknowledged ones, and those that wait for a link.
  std::size_t waiting() const { return sends_.size() + unsent_.size(); }

 private:
  enum class Stage : std::uint8_t {
    queued,   ///< for its turn at the target, or for a link; never sent yet
    handed,   ///< to `session`, which will say that it left or failed
    flying,   ///< due: no acknowledgement so far, resend
    pausing,  ///< due: turned away for now, try again
    paused,   ///< sent before; waits for a link
  };

  /// An acknowledged message, from send() to SendDone.
  struct Send {
    NodeId to{};
    Bytes content;  ///< behind the room that SealWish wants
    TimePoint asked{};
    TimePoint deadline{};
    TimePoint handed{};
    TimePoint left{};
    TimePoint due = never;
    TimePoint armed = never;  ///< the earliest timer that is set
    std::uint32_t epoch = 0;
    std::uint32_t sequence = 0;
    Stage stage = Stage::queued;
    Rider rider = Rider::message;
    bool is_refused = false;  ///< by `session`, the last time it was asked
    bool rode_handshake = false;
    bool careful = false;       ///< somebody said that the target is not there
    std::uint8_t attempts = 0;  ///< that left
    std::uint8_t notices = 0;
    UnreachableReason reason = UnreachableReason::none;  ///< of the last thing heard, if a notice
    NodeId where{};
    std::uint64_t token = 0;              ///< of a signal
    std::array<std::uint32_t, 4> tags{};  ///< of the latest transmissions, newest first
  };

  struct Numbered {
    std::uint32_t epoch = 0;
    std::uint32_t sequence = 0;
    MessageId message = 0;
  };

  /// Where we send acknowledged messages to.
  struct Target {
    std::uint32_t epoch = 0;
    std::uint32_t sequence = 0;  ///< of the next message
    RoundTrip round_trip{};
    bool has_acknowledged = false;
    std::size_t unfinished = 0;
    std::size_t in_flight_bytes = 0;
    Ring<MessageId> queued{};   ///< to begin; some may be finished meanwhile
    Ring<Numbered> in_order{};  ///< begun; its front is unfinished
  };

  /// What we had of one sender, newest epoch first.
  struct Heard {
    struct Epoch {
      std::uint32_t number = 0;
      ReplayWindow window;
    };
    std::array<std::optional<Epoch>, 2> epochs;
  };

  /// A best effort message that waits for a link.
  struct Unsent {
    NodeId to{};
    Bytes content;
    TimePoint expires{};
  };

  bool has_room_for(std::size_t bytes) const;
  MessageId begin(const NodeId& to, Content content, Rider rider, std::uint64_t token,
                  Duration timeout, TimePoint now, Outbox& out);
  static void tell_end(MessageId message, const Send& send, const SendResult& result, Outbox& out);
  Target& busy_target(const NodeId& id);
  void begin_queued(const NodeId& to, TimePoint now, Outbox& out);
  bool may_leave(const Send& send) const;
  bool may_begin(Target& target, const Send& send);
  void skip_finished(Target& target);
  void hand_over(MessageId message, Send& send, TimePoint now, Outbox& out);
  void pause(MessageId message, Send& send, TimePoint now);
  Duration patience(const Send& send);
  void arm(MessageId message, Send& send, TimePoint now);
  void attend(MessageId message, TimePoint now, Outbox& out);

  void note_tag(MessageId message, Send& send, std::uint32_t tag);
  void resend(MessageId message, Send& send, TimePoint now, Outbox& out);
  void expire(MessageId message, const Send& send, TimePoint now, Outbox& out);
  void finish(MessageId message, SendResult result, TimePoint now, Outbox& out);
  void finish_unreachable(MessageId message, const Send& send, TimePoint now, Outbox& out);
  static void count(SendResult::Outcome outcome, Stats& stats);
  void retire(const NodeId& to);
  static std::uint64_t number_of(std::uint32_t epoch, std::uint32_t sequence) {
    return std::uint64_t{epoch} << 32 | sequence;
  }
  static std::uint64_t number_of(const Send& send) { return number_of(send.epoch, send.sequence); }

  void take_numbered(const NodeId& from, std::uint8_t hops_left, const Content& content,
                     Outbox& out);
  void take_acknowledgement(const NodeId& from, const Content& content, TimePoint now, Outbox& out);
  ReplayWindow& window(const NodeId& from, std::uint32_t epoch);
  static void acknowledge(const NodeId& to, std::uint8_t hops_left, const Content& content,
                          std::uint8_t attempt, Outbox& out);
  static void give(const NodeId& from, std::uint8_t hops_left, const Content& content, Outbox& out);
  void release_unsent(TimePoint now, Outbox& out);
  void expire_unsent(TimePoint now, Outbox& out);

  Random random_;
  std::uint32_t next_epoch_;
  MessageId last_message_ = 0;
  bool connected_ = false;
  std::size_t held_bytes_ = 0;  // of sends_ and unsent_

  // No decision follows the order of any of these.
  std::unordered_map<MessageId, Send> sends_;
  std::unordered_map<std::uint64_t, MessageId> numbers_;  // epoch and sequence
  std::unordered_map<std::uint32_t, MessageId> tags_;
  std::unordered_map<NodeId, Target> targets_;  // with unfinished messages, so bounded by sends_

  LruMap<NodeId, Target> idle_targets_{idle_targets_max};
  LruMap<NodeId, Heard> heard_{senders_max};
  Ring<MessageId> paused_;
  Ring<Unsent> unsent_;  // all with the same timeout, so the front expires first
  Timers<MessageId> timers_;
};

}  // namespace peer_relay
