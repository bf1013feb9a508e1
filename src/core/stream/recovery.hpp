// SPDX-License-Identifier: MIT
//
// Which packets of a relayed conversation are under way, which are lost, and how many there may be:
// RFC 9002 in short. NewReno, as there; a packet is lost when three later ones have come, or when
// it is late; after silence the oldest goes again, after more silence all.
//
// Where we depart from the RFC: there is one kind of packet and no minimum round trip; an
// acknowledgement names the latest 65 packets and not all ranges (its sender keeps 16 bytes for
// each of us, and what falls out is sent once more).
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "core/stream/ranges.hpp"
#include "core/wire/stream.hpp"
#include "peer_relay/events.hpp"
#include "peer_relay/limits.hpp"
#include "peer_relay/time.hpp"

namespace peer_relay {

/// What a packet had of one stream, so that it can be said again.
struct SaidOfStream {
  enum class What : std::uint8_t {
    data,         ///< `bytes`; the end is one more
    window,       ///< said again as it is by then
    last_window,  ///< of a stream that is no more: `bytes.to` has been received
    reset,        ///< of a stream that is no more
  };
  What what = What::data;
  StreamEnd end = StreamEnd::reset;
  std::uint32_t code = 0;
  StreamId stream = 0;      ///< of data and window
  StreamNumber number = 0;  ///< of all but data
  Range bytes{};
};

class Recovery {
 public:
  /// RFC 9002, §7.2: ten packets.
  static constexpr std::size_t window_initial = 10 * limits::stream_turn_bytes_max;
  static constexpr std::size_t window_min = 2 * limits::stream_turn_bytes_max;
  /// One stream's largest window: more is never under way for one, and is enough for many.
  static constexpr std::size_t window_max = limits::stream_window_max;
  /// However small they are.
  static constexpr std::size_t packets_max = 1024;
  static constexpr Duration round_trip_initial = std::chrono::milliseconds{333};  ///< §6.2.2
  static constexpr Duration granularity = std::chrono::milliseconds{5};
  /// How long the other side may wait with an acknowledgement.
  static constexpr Duration ack_delay_max = std::chrono::milliseconds{10};
  static constexpr Duration probe_after_max = std::chrono::seconds{8};

  explicit Recovery(std::uint32_t epoch) : epoch_(epoch) {}

  std::uint32_t epoch() const { return epoch_; }
  std::uint32_t next_number() const { return next_; }

  bool may_send() const;
  /// A packet of next_number() leaves.
  void sent(std::size_t bytes, std::vector<SaidOfStream> said, TimePoint now);

  /// What has to be said again; valid until the next call.
  struct News {
    bool is_good = false;   ///< something arrived that was not known to have
    bool is_probe = false;  ///< nothing was heard for too long
    std::uint32_t packets_lost = 0;
    std::vector<SaidOfStream> lost;
  };
  News acknowledged(const StreamAck& ack, TimePoint now);
  News wake(TimePoint now);
  TimePoint next_wake() const;

  /// Everything is said again elsewhere: forget what was under way.
  void forget();

  /// Timeouts since something was last acknowledged: each time another way may be better.
  int probes() const { return probes_; }
  /// Nothing was acknowledged since, though something was sent; never if all was acknowledged.
  TimePoint waits_since() const { return waits_since_; }
  std::size_t in_flight_bytes() const { return in_flight_bytes_; }
  std::size_t window() const { return window_; }
  Duration round_trip() const { return smoothed_; }

 private:
  struct Packet {
    TimePoint at{};
    std::uint32_t bytes = 0;
    bool is_done = false;  ///< acknowledged, or given up
    std::vector<SaidOfStream> said;
  };

  std::uint32_t first() const { return next_ - static_cast<std::uint32_t>(packets_.size()); }
  Packet* find(std::uint32_t number);
  void note_round_trip(Duration sample);
  void grow(std::size_t bytes);
  void find_lost(TimePoint now, News& news);
  void give_up(Packet& packet, News& news);
  void shrink(TimePoint sent_at, TimePoint now);
  void tidy();
  Duration loss_delay() const;
  Duration probe_delay() const;

  std::uint32_t epoch_;
  std::uint32_t next_ = 0;
  std::deque<Packet> packets_;  // up to next_, from the oldest that is not done
  std::size_t in_flight_bytes_ = 0;
  std::size_t in_flight_ = 0;  // packets
  std::size_t window_ = window_initial;
  std::size_t slow_start_until_ = SIZE_MAX;
  TimePoint recovery_since_ = TimePoint::min();
  bool has_acknowledged_ = false;
  std::uint32_t largest_ = 0;  // acknowledged
  Duration smoothed_ = round_trip_initial;
  Duration variation_ = round_trip_initial / 2;
  Duration latest_ = round_trip_initial;
  bool has_measured_ = false;
  TimePoint last_sent_ = TimePoint::min();
  TimePoint loss_at_ = never;
  TimePoint waits_since_ = never;
  int probes_ = 0;
  int allowance_ = 0;  // packets beyond the window: probes
};

/// Which packets of the other side have come: what we acknowledge.
class Arrivals {
 public:
  /// True if this must be acknowledged at once: every second one, and what tells of a gap.
  bool note(std::uint32_t epoch, std::uint32_t number);
  /// Whether something has come since the last acknowledgement.
  bool owes() const { return owed_ > 0; }
  StreamAck acknowledge();

 private:
  StreamAck seen_{};
  bool has_any_ = false;
  int owed_ = 0;
};

}  // namespace peer_relay
