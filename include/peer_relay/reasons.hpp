// SPDX-License-Identifier: MIT
//
// Why something ended. Nothing disappears in silence: each of these is counted, under the name that
// `name_of` gives it, in Stats.
#pragma once

#include <cstdint>
#include <string_view>

namespace peer_relay {

/// Why a frame, an envelope, a message or a contact was not taken further. Counted per node.
enum class DropReason : std::uint8_t {
  // On the way.
  dead_end,       ///< no linked peer is closer to the target than we are
  hops_spent,     ///< the hop budget was used up before the target
  queue_full,     ///< the link it should leave by holds its bound already
  rate_limited,   ///< the link it came by forwards more than its share
  malformed,      ///< bytes that are no frame, envelope or body of the protocol
  unknown_frame,  ///< a kind that this version does not know
  forged_source,  ///< names us, or one who can't be, as its source
  not_open,       ///< a frame on a link that is not ready for it
  // Sealed end to end.
  no_session,         ///< sealed for a session that we do not (or no longer) have
  seal_broken,        ///< the tag is wrong
  replayed,           ///< a counter or a first message that we have seen
  handshake_failed,   ///< a session handshake that does not prove the source's id
  handshake_crossed,  ///< both ends began one, and ours stands
  session_limit,      ///< more sessions or handshakes than we keep
  // Delivered.
  duplicate,       ///< a message that came before, by another path
  stream_unknown,  ///< of a stream that is not (or no longer) open
  stream_limit,    ///< more streams, or more pieces of one out of order, than we keep
  waiting_full,    ///< more messages waiting for a session or a link than we keep
  expired,         ///< waited too long for a session or a link
  // Membership.
  contact_forged,    ///< a contact record whose signature or id is wrong
  contact_expired,   ///< a contact record past its time, or from the far future
  contact_unwanted,  ///< an answer to a question that we did not ask
  contact_limit,     ///< a good contact for which there is no room
  notice_unasked,    ///< an unreachable notice for nothing that we sent
  count_,
};

/// Why a link ended, or did not come to be. The first part travels in GOODBYE and REFUSED frames,
/// so its numbers are the protocol's.
enum class CloseReason : std::uint8_t {
  shutdown = 0,              ///< the node goes away
  busy = 1,                  ///< no room for another link; alternatives came before
  duplicate = 2,             ///< another link between the same two stays
  surplus = 3,               ///< a better link took its place
  protocol_error = 4,        ///< bytes that no node of this protocol sends
  wrong_network = 5,         ///< the two belong to different networks
  wrong_version = 6,         ///< the two speak different versions of the protocol
  handshake_failed = 7,      ///< the other side did not prove its identity
  self = 8,                  ///< a node reached itself
  disconnected = 9,          ///< the application asked for it
  probe_done = 10,           ///< a dial-back that has seen what it wanted
  too_many_handshakes = 11,  ///< as many handshakes as we keep are under way already
  // Never on the wire.
  handshake_timeout = 64,  ///< silence during the handshake
  keepalive_timeout = 65,  ///< silence on an open link
  transport_closed = 66,   ///< the other side closed the channel, or the network did
  transport_error = 67,    ///< the channel broke
  queue_stalled = 68,      ///< nothing could be written for too long
  goodbye_timeout = 69,    ///< the other side did not answer our goodbye
  unread = 70,             ///< our application left more unread than we keep
  count_ = 71,
};

/// Why a dial led to no link.
enum class DialError : std::uint8_t {
  refused,          ///< nobody listens there
  timed_out,        ///< no answer before the deadline
  name_unknown,     ///< the name resolves to nothing
  unreachable,      ///< no route, or the network forbids it
  tls_failed,       ///< the certificate is not trusted or not for this host
  upgrade_refused,  ///< an HTTP server without our WebSocket
  limit,            ///< we dial too much already
  unsupported,      ///< no transport of ours can dial such an address
  cancelled,        ///< the node was destroyed
  // Of a data channel, by how far it came.
  no_answer,             ///< the offer was not answered
  declined,              ///< the other side has no place for us, or makes no data channels
  bad_description,       ///< what was signalled is no description of a data channel
  ice_failed,            ///< no way for datagrams was found (RFC 8445)
  dtls_failed,           ///< no agreement on keys
  fingerprint_mismatch,  ///< another certificate than was signalled
  channel_failed,        ///< all but the channel itself was open
  superseded,            ///< both sides offered, and the other's offer stands
  count_,
};

/// Why a message did not arrive, told by the node at which its way ended.
enum class UnreachableReason : std::uint8_t {
  none = 0,
  dead_end = 1,      ///< no node is closer to that id: it is not in the overlay
  hops_spent = 2,    ///< too long a way
  queue_full = 3,    ///< congestion at the place named
  rate_limited = 4,  ///< the same, by a rule
  // Only ever found by the sender itself.
  no_links = 64,         ///< we are not connected to anybody
  session_refused = 65,  ///< somebody answered, but could not prove that id
  count_ = 66,
};

/// Why a stream ended. The first part travels in STREAM_RESET frames, so its numbers are the
/// protocol's.
enum class StreamEnd : std::uint8_t {
  reset = 1,           ///< an application gave it up, with a code of its own
  refused = 2,         ///< the other side's application takes no such streams
  limit = 3,           ///< one of the two nodes has as many streams as it keeps
  unknown = 4,         ///< the other side does not know it (any longer): it was started anew
  protocol_error = 5,  ///< bytes that no node of this protocol sends
  shutdown = 6,        ///< the other node goes away, or ours
  // Never on the wire.
  finished = 64,     ///< both sides have finished, and all has arrived
  unreachable = 65,  ///< no way to the other node, or somebody else is there
  timed_out = 66,    ///< silence
  count_ = 67,
};

std::string_view name_of(StreamEnd end);
std::string_view name_of(DropReason reason);
std::string_view name_of(CloseReason reason);
std::string_view name_of(DialError error);
std::string_view name_of(UnreachableReason reason);

}  // namespace peer_relay
