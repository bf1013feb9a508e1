// SPDX-License-Identifier: MIT
//
// For the files of this room: one WebSocket or data channel to an old node.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/ring.hpp"
#include "base/token_bucket.hpp"
#include "core/legacy/legacy.hpp"

namespace peer_relay {

struct Legacy::OldLink {
  enum class Stage : std::uint8_t {
    id_awaited,
    up,
    ended,  // closed by us, or about to be
  };

  Stage stage = Stage::id_awaited;
  NodeId peer{};
  std::optional<DialId> dial;
  std::string remote;
  std::string remote_host;
  CloseReason end_reason = CloseReason::transport_closed;
  TimePoint opened_at{};
  TimePoint unwritable_since = never;
  Ring<Bytes> waiting;
  std::size_t waiting_bytes = 0;
  std::size_t in_flight_bytes = 0;  // given to the host since it last said writable
  bool is_dirty = false;
  bool is_channel = false;
  std::optional<CloseReason> close_after_flush;
  TokenBucket bytes{0, 0};
  TokenBucket texts{0, 0};
  std::uint64_t texts_in = 0, texts_out = 0, bytes_in = 0, bytes_out = 0, relayed = 0;
};

namespace legacy {

using namespace std::chrono_literals;

/// Links to old nodes, ours and theirs. One costs what waits for it, and a few KiB; the old network
/// has no use for more, since a node of it keeps about twenty.
inline constexpr std::size_t links_max = legacy_neighbours_max;

/// As many as we seek ourselves: more than the fifteen that an old node wants, for it is we who
/// have direct links to spare.
inline constexpr std::size_t links_wanted = 24;

/// Ids that others told us of. An old node tells of twenty at a time.
inline constexpr std::size_t candidates_max = 512;
inline constexpr Duration candidate_age_max = 10min;

/// Return paths: of everybody who has sent something through us lately.
inline constexpr std::size_t paths_max = 4096;
inline constexpr Duration path_age_max = 10min;
/// Who was heard that lately may be told to others as reachable.
inline constexpr Duration path_fresh = 60s;

/// Offers under way. An old node forgets an offer never, we soon.
inline constexpr std::size_t offers_max = 64;
inline constexpr Duration offer_timeout = 5s;
inline constexpr std::size_t offers_per_round = 8;
inline constexpr Duration offer_pause_min = 10s;
inline constexpr Duration offer_pause_max = 300s;

inline constexpr std::size_t speakers_max = 1024;

/// Data channels in the making. Each holds up to 100 KiB and four descriptors.
inline constexpr std::size_t channels_max = 16;
/// Of one text on a data channel: what libwebrtc and libdatachannel take at once.
inline constexpr std::size_t channel_text_bytes_max = 256 << 10;
/// For an offer to follow our word that it may.
inline constexpr Duration invitation_lasts = 30s;

/// Old nodes pass each message on to two. What crosses bridges in search of an unknown target goes
/// to some more, because distance says nothing of which island a node is on.
inline constexpr std::size_t hops_wanted = 2;
inline constexpr std::size_t bridges_searched = 4;

/// Sent before there was a first neighbour.
inline constexpr std::size_t unsent_max = 1024;
inline constexpr std::size_t unsent_bytes_max = 4 << 20;
inline constexpr Duration unsent_age_max = 60s;

inline constexpr std::size_t connects_max = 64;

/// Addresses that we look after: those of the options, and where we found somebody. One that was
/// only found is given up after some vain tries, in about a minute.
inline constexpr std::size_t places_max = 64;
inline constexpr Duration place_pause_min = 500ms;
inline constexpr Duration place_pause_max = 10s;
inline constexpr int place_failures_max = 10;

/// For the first sign that the other side uses a link, before it counts as a dead end.
inline constexpr Duration proof_timeout = 10s;

/// So much leaves before the operating system has taken what left before.
inline constexpr std::size_t in_flight_bytes_max = 64 << 10;

inline constexpr Duration tick_every = 250ms;
inline constexpr Duration populate_every = 5s;
inline constexpr Duration ask_every = 30s;
inline constexpr std::uint64_t answers_per_second = 200;

}  // namespace legacy

}  // namespace peer_relay
