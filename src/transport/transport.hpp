// SPDX-License-Identifier: MIT
//
// How the runtime reaches other machines. A transport makes links, which are ordered, reliable
// channels of whole messages; it knows nothing of what they carry. What it learns it tells its
// LinkSink, which is the runtime's, and which hands it to the engine.
//
// Threads: everything here happens on the node's one thread. No call calls back into the sink
// before it has returned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/exchange.hpp"
#include "base/link_id.hpp"
#include "peer_relay/address.hpp"
#include "peer_relay/bytes.hpp"
#include "peer_relay/reasons.hpp"

namespace peer_relay {

/// What a channel carries. Nodes of ours say messages; nodes of npm peer-exchange say bytes, which
/// come cut anywhere, and what is sent is only put behind what was sent before.
enum class Manner : std::uint8_t {
  messages,
  bytes,
  undecided,  ///< its dialer's first words will tell
};

/// A live channel. The runtime owns it, and destroys it after link_closed, or before: then it ends
/// at once and nothing more is heard of it.
class Link {
 public:
  virtual ~Link() = default;

  /// Queues one message, in order; never blocks. `batch` goes back by LinkSink::recycle.
  virtual void send(Bytes batch) = 0;

  /// The same as a text message, for an old node. `text` is UTF-8.
  virtual void send_text(Bytes text) = 0;

  /// What send() took and the operating system has not.
  virtual std::size_t queued_bytes() const = 0;

  /// Lets what is queued leave, for a short time, then closes. link_closed follows exactly once.
  virtual void close(CloseReason reason) = 0;

  /// The URL that was dialed, or the address it came from as "ip:port".
  virtual const std::string& remote() const = 0;

  /// We dialed, and who answered did not say that it is a node of ours: it may be an old one.
  virtual bool may_be_old() const = 0;
};

/// How a channel came to be.
struct LinkArrival {
  std::optional<DialId> dial = {};                ///< of an address; ours
  std::optional<NegotiationId> negotiation = {};  ///< of a data channel
  std::string remote_host;                        ///< the other side's IP address
  Bytes channel_binding = {};  ///< for the handshake's prologue; empty but for data channels
};

/// What a transport has to tell.
class LinkSink {
 public:
  virtual ~LinkSink() = default;

  /// A channel is open, TLS and upgrade included.
  virtual void link_opened(LinkId id, std::unique_ptr<Link> link, LinkArrival arrival) = 0;
  virtual void dial_failed(DialId dial, DialError error, const std::string& detail) = 0;

  /// One whole message, which the sink may write in; valid during the call.
  virtual void link_received(LinkId id, MutableBytes message) = 0;

  /// One whole text message, in UTF-8. Only from a transport that was told to take such.
  virtual void link_received_text(LinkId id, MutableBytes text) = 0;

  /// The next bytes of a channel that carries such; valid during the call.
  virtual void link_received_stream(LinkId id, BytesView bytes, ExchangeTransport by) = 0;

  /// A text message that was longer than any we take, and was thrown away.
  virtual void text_too_long() = 0;

  /// All that was sent has been taken by the operating system.
  virtual void link_writable(LinkId id) = 0;

  /// The last that is heard of it.
  virtual void link_closed(LinkId id, CloseReason reason) = 0;

  /// A connection that was turned away at the door, before any of its bytes were read.
  virtual void connection_refused() = 0;

  /// A connection that was let in and came to nothing: another protocol, silence, or second
  /// thoughts.
  virtual void connection_failed(CloseReason reason) = 0;

  /// Numbers for new links; a buffer that was sent comes back to be filled again.
  virtual LinkId next_link_id() = 0;
  virtual void recycle(Bytes buffer) = 0;
};

class Transport {
 public:
  virtual ~Transport() = default;
  virtual bool can_dial(const Address& address) const = 0;
  /// link_opened or dial_failed follows, exactly once.
  virtual void dial(const Address& address, DialId dial) = 0;
  /// The same, for a channel that carries bytes, to whoever answers there.
  virtual void dial_stream(const Address& address, DialId dial) = 0;
  /// Stops listening, gives up all dials (they fail as cancelled) and half-open connections.
  virtual void shut_down() = 0;
};

}  // namespace peer_relay
