// SPDX-License-Identifier: MIT
//
// What a node tells its application, as plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "peer_relay/address.hpp"
#include "peer_relay/bytes.hpp"
#include "peer_relay/limits.hpp"
#include "peer_relay/node_id.hpp"
#include "peer_relay/reasons.hpp"
#include "peer_relay/result.hpp"
#include "peer_relay/time.hpp"

namespace peer_relay {

/// What the sender says that a payload is. It travels sealed with the payload.
enum class ContentType : std::uint8_t {
  bytes = 0,
  json = 1,  ///< one JSON value, UTF-8 (RFC 8259); checked by nobody on the way
};

/// What an application sends: at most limits::payload_bytes_max.
struct Payload {
  ContentType type = ContentType::bytes;
  Bytes bytes;

  static Payload of_bytes(BytesView view) {
    return {ContentType::bytes, {view.begin(), view.end()}};
  }
  static Payload of_text(std::string_view text) { return of_bytes(as_bytes(text)); }
  static Payload of_json(std::string_view json) {
    const BytesView view = as_bytes(json);
    return {ContentType::json, {view.begin(), view.end()}};
  }

  std::string_view text() const { return as_text(bytes); }
};

/// Names one send of this node, from 1 upward.
using MessageId = std::uint64_t;

/// Names one end of a byte stream at this node, from 1 upward.
using StreamId = std::uint64_t;

struct Message {
  NodeId from;
  Payload payload;
  int hops = 0;  ///< links that it crossed, as its way says (relays could lie)
  /// `from` proved its id. False only for what came through the old network (NodeOptions::legacy),
  /// where ids are claims; such a message's JSON may also be longer than limits::payload_bytes_max.
  bool authenticated = true;
};

/// How an application opens a stream.
struct StreamOptions {
  std::string label = {};  ///< what it is for; at most limits::stream_label_bytes_max, UTF-8
  bool seeks_link = true;  ///< asks for a direct link, if there is none: relays are others'
  Duration timeout = limits::stream_open_timeout;  ///< for the other node's first word
};

/// A node that we are linked to.
struct Peer {
  NodeId id;
  bool dialed = false;    ///< by us
  std::string address;    ///< where it is: the URL dialed, or the address it came from, which
                          ///< begins with "tcp:" or "webrtc:" if it is not a WebSocket's
  std::string agent;      ///< what it says of its software; for people
  int bucket = 0;         ///< leading bits its id shares with ours
  bool sibling = false;   ///< one of the closest to us
  bool legacy = false;    ///< a node of npm peer-relay 0.0.2: its id proves nothing
  Duration round_trip{};  ///< smoothed; zero before the first measurement
  Duration age{};         ///< since the handshake
  std::uint64_t batches_in = 0, batches_out = 0;
  std::uint64_t bytes_in = 0, bytes_out = 0;  ///< sealed batches, without the transport's framing
  std::uint64_t frames_relayed = 0;           ///< taken in by this link and passed on
};

/// How an acknowledged send ended.
struct SendResult {
  /// `unconfirmed`: it left for the old network (NodeOptions::legacy), which acknowledges nothing.
  enum class Outcome : std::uint8_t { delivered, unreachable, timed_out, refused, unconfirmed };
  Outcome outcome = Outcome::timed_out;
  UnreachableReason reason = UnreachableReason::none;  ///< with unreachable
  NodeId where{};         ///< with unreachable: the node at which the way ended (a claim)
  Error error{};          ///< with refused: our own node took it not
  int hops = 0;           ///< with delivered: links that it crossed
  Duration round_trip{};  ///< with delivered: from the (last) transmission to the acknowledgement
  Duration elapsed{};     ///< from the call
  int attempts = 0;       ///< transmissions of the message, each by another path if there is one

  bool delivered() const { return outcome == Outcome::delivered; }
};

/// One hop on the way to a target, or its end.
struct TraceHop {
  int hop = 0;  ///< 1 is the first peer after us
  NodeId id{};  ///< who answered; meaningless if lost
  Duration round_trip{};
  bool lost = false;                                   ///< nobody answered for this hop
  bool is_target = false;                              ///< the trace is complete
  bool legacy = false;                                 ///< this hop is in the old network
  UnreachableReason reason = UnreachableReason::none;  ///< the way ends here, and why
};

/// Something that a person running the node wants to know, and that no call waits for.
struct Problem {
  enum class Kind : std::uint8_t {
    bootstrap_failed,  ///< this address gave no link; tried again for ever, with growing pauses
    wrong_network,     ///< the node at `where` belongs to network `detail`
    wrong_version,     ///< the node at `where` speaks another version
    dial_failed,       ///< an address that the application asked for
    isolated,          ///< the last link was lost
    listen_failed,     ///< the port can't be listened on any longer
    state_unwritable,  ///< the state directory can't be written
  };
  Kind kind{};
  std::string where;
  std::string detail;
};

std::string_view name_of(Problem::Kind kind);
std::string_view name_of(SendResult::Outcome outcome);

/// Counters since the start, and what is held now. The law of a message: sent = delivered + in
/// flight
/// + dropped, by reason, over all nodes.
struct Stats {
  // Held now.
  std::size_t links = 0, handshakes = 0, contacts = 0, sessions = 0;
  std::size_t queued_bytes = 0;  ///< in all links' queues
  std::size_t waiting = 0;       ///< messages that wait for a session, a link or an acknowledgement
  bool joined = false;           ///< has found its place in the overlay

  // Messages of the application.
  std::uint64_t messages_sent = 0, messages_received = 0;
  std::uint64_t acknowledged = 0, unreachable = 0, timed_out = 0, resent = 0;

  // Streams.
  std::size_t streams = 0;  ///< held now
  std::uint64_t streams_opened = 0, streams_closed = 0;
  std::uint64_t stream_bytes_in = 0, stream_bytes_out = 0;  ///< what came in order; what left first
  std::uint64_t stream_bytes_resent = 0;
  std::uint64_t stream_packets = 0, stream_packets_lost = 0;  ///< of relayed streams

  // Envelopes: everything that is routed.
  std::uint64_t envelopes_originated = 0, envelopes_arrived = 0, envelopes_relayed = 0;
  std::uint64_t transmissions = 0;  ///< envelopes put on a link, ours and others'
  std::uint64_t hops_arrived = 0;   ///< links that the envelopes that arrived here have crossed
  std::uint64_t relayed_bytes = 0;

  // Links.
  std::uint64_t links_opened = 0, links_closed = 0, dials = 0, dials_failed = 0;
  std::uint64_t batches_in = 0, batches_out = 0, frames_in = 0, frames_out = 0;
  std::uint64_t bytes_in = 0, bytes_out = 0;

  // The old network (NodeOptions::legacy).
  std::size_t legacy_links = 0;    ///< held now: to old nodes
  std::size_t legacy_bridges = 0;  ///< held now: peers of ours that carry old messages, too
  std::uint64_t legacy_received = 0, legacy_sent = 0;  ///< texts, by old links and bridges
  std::uint64_t legacy_relayed = 0, legacy_delivered = 0;
  std::uint64_t legacy_bridged = 0;  ///< texts that came over a bridge

  std::uint64_t lookups = 0, lookups_answered = 0;
  std::uint64_t dropped[static_cast<std::size_t>(DropReason::count_)] = {};
  std::uint64_t closed[static_cast<std::size_t>(CloseReason::count_)] = {};
  std::uint64_t dial_errors[static_cast<std::size_t>(DialError::count_)] = {};
  std::uint64_t refused_connections = 0;  ///< half-open limit of the listener

  std::uint64_t dropped_for(DropReason reason) const {
    return dropped[static_cast<std::size_t>(reason)];
  }
};

}  // namespace peer_relay
