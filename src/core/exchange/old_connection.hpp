// SPDX-License-Identifier: MIT
//
// For the files of this room: one connection to a node of npm peer-exchange, and the bounds.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/ring.hpp"
#include "core/exchange/command.hpp"
#include "core/exchange/multiplex.hpp"
#include "core/exchange/old_exchange.hpp"

namespace peer_relay {

/// A channel through us or to us, named relay:<nonce>, in both directions.
struct OldExchange::Relay {
  std::uint32_t number = 0;                       // of ours
  bool is_open = false;                           // ours
  bool is_matched = false;                        // theirs has come, once
  std::uint64_t introduction = 0;                 // of which it is one half; else signals for us
  std::optional<NegotiationId> negotiation = {};  // that is under way
  TimePoint expires = never;                      // if nobody ends it
  exchange::LineReader lines = {};
  std::size_t bytes = 0;  // taken from it
};

struct OldExchange::Connection {
  enum class Stage : std::uint8_t {
    hello_awaited,
    up,
    ended,  // nothing is read; what waits may still leave
  };
  /// What a channel of the other side's is for. Those that mean nothing are not kept.
  struct Theirs {
    enum class Kind : std::uint8_t { commands, data, relay };
    Kind kind = Kind::commands;
    std::string nonce = {};  // of a relay
  };
  // The numbers of our own channels. A node numbers likewise.
  static constexpr std::uint32_t commands_number = 0;
  static constexpr std::uint32_t data_number = 1;
  static constexpr std::uint32_t relay_number_min = 2;

  Stage stage = Stage::hello_awaited;
  LinkStart start;
  std::optional<ExchangeRequest> request;  // that waits for it to be up
  ExchangePeerId peer{};                   // once it is up
  TimePoint deadline = never;              // for the hello, or for what waits to leave
  TimePoint greets_at = never;             // unless the other side does first; until our hello

  // What comes.
  exchange::MultiplexReader frames;
  exchange::LineReader lines;
  bool has_hello = false;
  bool has_ack = false;
  exchange::Hello hello;
  std::map<std::uint32_t, Theirs> theirs;  // at most exchange::channels_max
  bool has_commands = false;               // their channel of that name was opened, once
  bool has_data = false;
  bool is_commands_ended = false;
  bool is_data_ended = false;
  Bytes early;  // data before it is up
  std::size_t unread_bytes = 0;

  // What leaves: first what is framed already, then the application's bytes.
  Bytes framed;
  std::size_t framed_taken = 0;
  Ring<Bytes> data;
  std::size_t data_bytes = 0;
  std::size_t data_taken = 0;  // of the first
  bool is_data_open = false;
  bool owes_writable = false;
  std::size_t in_flight_bytes = 0;  // given to the host since it last said writable
  bool is_dirty = false;
  std::optional<CloseReason> close_after_flush;

  exchange::ByTransport<std::optional<std::uint16_t>> told{};  // of what we accept

  std::map<std::string, Relay> relays;   // by nonce; at most exchange::relays_per_link_max
  std::set<std::uint32_t> numbers_used;  // of ours, for relays; freed when both sides have ended

  bool is_up() const { return stage == Stage::up; }
  std::size_t framed_bytes() const { return framed.size() - framed_taken; }
};

namespace exchange {

using namespace std::chrono_literals;

/// Each may hold a quarter of a MiB of what waits to leave, and what its application leaves unread.
inline constexpr std::size_t links_max = 512;

/// The application's, under way.
inline constexpr std::size_t requests_max = 64;
inline constexpr Duration answer_timeout = 10s;

/// What leaves at once: a data channel's message, which is at most 64 KiB (RFC 8831 §6.6), or a
/// good size for a socket.
inline constexpr std::size_t message_bytes_max = 64 << 10;
/// Header: ten bits of channel and type, 17 bits of length.
inline constexpr std::size_t data_frame_bytes_max = message_bytes_max - 16;
/// So much leaves before the operating system has taken what left before.
inline constexpr std::size_t in_flight_bytes_max = 256 << 10;

/// Commands and signals that wait for one connection. Who asks on without reading the answers
/// loses it.
inline constexpr std::size_t framed_bytes_max = 256 << 10;
/// Others' signals leave this to a connection's own commands: an introduction ends before it could
/// end the connection.
inline constexpr std::size_t framed_for_relays_max = framed_bytes_max / 2;

/// Data that comes before both sides have said hello. No node does this.
inline constexpr std::size_t early_bytes_max = 64 << 10;

/// Channels through us. A node ends them after 30 s, and so do we.
inline constexpr std::size_t introductions_max = 256;
inline constexpr std::size_t relays_per_link_max = 16;
/// Those whose end was not read yet have numbers, too.
inline constexpr std::size_t relay_numbers_max = 64;
/// Of the other side's, that mean something.
inline constexpr std::size_t channels_max = 64;
inline constexpr Duration introduction_lasts = 30s;
/// In one direction: descriptions and candidates are 10 to 20 KiB.
inline constexpr std::size_t relay_bytes_max = 64 << 10;
static_assert(relay_bytes_max < framed_for_relays_max);

/// Data channels in the making. Each holds up to 100 KiB and four descriptors.
inline constexpr std::size_t negotiations_max = 16;

/// By npm @roamhq/wrtc 0.10.0, and no newer one is there, a message that comes while it takes a
/// channel is lost, and its node would wait for our hello for ever. Once it has spoken it listens.
/// A node speaks when its end is up; somebody else's need not.
inline constexpr Duration greeting_held = 250ms;

/// For what is left to say on a connection that ends.
inline constexpr Duration flush_timeout = 5s;

}  // namespace exchange

}  // namespace peer_relay
