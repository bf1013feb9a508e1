// SPDX-License-Identifier: MIT
//
// What a room of the engine may wish for. A room leaves wishes here and does not act; the engine
// takes them out in order and hands each to the room or the host that can grant it. So rooms need
// not know each other.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/exchange.hpp"
#include "base/link_id.hpp"
#include "base/ring.hpp"
#include "core/wire/envelope.hpp"
#include "core/wire/frame.hpp"
#include "peer_relay/bytes.hpp"
#include "peer_relay/events.hpp"
#include "peer_relay/keys.hpp"
#include "peer_relay/node_id.hpp"
#include "peer_relay/reasons.hpp"

namespace peer_relay {

/// Put this envelope on its way. To `route`.
struct RouteWish {
  EnvelopeKind kind = EnvelopeKind::session_data;
  bool closest = false;
  std::uint8_t hops_left = limits::hops_max;
  std::uint32_t tag = 0;  ///< drawn by the wisher, who knows a notice by it
  NodeId target{};
  std::optional<NodeId> via = {};
  /// 0: the best way. 1 and more: another first hop than the tries before it, as far as there is
  /// one.
  std::uint8_t attempt = 0;
  /// Near the target in small steps: somebody said that it is not there.
  bool careful = false;
  /// By this linked peer, wherever it leads.
  std::optional<NodeId> first_hop = {};
  Bytes body = {};
};

/// Seal this content for that node and send it. To `session`.
struct SealWish {
  NodeId to{};
  /// Behind session_data_header_bytes of room, so that sealing needs no copy.
  Bytes content;
  /// Names the content in what `session` tells of it (ContentLeft, ContentFailed); 0: tell nothing.
  std::uint64_t token = 0;
  std::uint8_t attempt = 0;
  bool careful = false;
};

/// A content went out, in an envelope of this tag. To `delivery`.
struct ContentLeft {
  std::uint64_t token = 0;
  std::uint32_t tag = 0;
};

/// A content was given up before it went out. To `delivery`.
struct ContentFailed {
  std::uint64_t token = 0;
  SendResult::Outcome outcome = SendResult::Outcome::timed_out;
  UnreachableReason reason = UnreachableReason::none;
  NodeId where{};
};

/// A link is ready. To `membership`, which keeps it or closes it.
struct LinkUp {
  LinkId link{};
  std::optional<DialId> dial = {};  ///< ours, or the other side's if nothing
  NodeId id{};
  PublicKey key{};
  std::string remote_host;      ///< the other side's IP address
  std::string observed_host;    ///< the IP address at which the other side sees us; may be empty
  Bytes contact;                ///< the other side's record, as it came; may be empty
  bool is_needed = false;       ///< the other side dialed, and says that no other link would do
  bool carries_legacy = false;  ///< old messages; to `legacy`
};

/// The same peer is now reached by another link. To `membership`.
struct LinkMoved {
  NodeId id{};
  LinkId link{};
  bool dialed = false;
};

/// A link is gone, or never came to be. To `membership`.
struct LinkDown {
  LinkId link{};
  std::optional<DialId> dial = {};
  std::optional<NodeId> last_of =
      {};  ///< this was the only link to that peer, and LinkUp had been told
  std::optional<NodeId> met = {};  ///< who answered, as far as the handshake came
  CloseReason reason = CloseReason::transport_closed;
};

/// Send this frame on that link. To `link`.
struct FrameWish {
  LinkId link{};
  FrameKind kind = FrameKind::contacts;
  Bytes body;
};

/// Carry this text of the old network to a peer that carries such, in as many frames as it takes.
/// To `link`.
struct BridgeWish {
  NodeId to{};
  Bytes text;
};

/// Send this frame to that peer. To `link`.
struct PeerFrameWish {
  NodeId to{};
  FrameKind kind = FrameKind::legacy;
  Bytes body;
};

/// End that link, saying why. To `link`.
struct CloseWish {
  LinkId link{};
  CloseReason reason = CloseReason::shutdown;
};

/// Dial that address. To the host.
struct DialWish {
  DialId dial{};
  Address address;
  bool probe = false;      ///< only see who answers: a dial-back
  bool is_stream = false;  ///< of bytes without messages, to a node of npm peer-exchange
};

/// Make a data channel to that node, and a link of it. To `signalling`.
struct OfferWish {
  DialId dial{};
  NodeId to{};
  bool is_needed = false;  ///< no link to another node would do
};

/// An offer came to nothing. To `membership`.
struct OfferFailed {
  DialId dial{};
  DialError error = DialError::no_answer;
};

/// Seal this signal for that node, and see that it arrives. To `delivery`.
struct SignalWish {
  NodeId to{};
  Bytes body;
  std::uint64_t token = 0;  ///< names it in SignalDone; 0: tell nothing
};

/// What became of a signal. To `signalling`.
struct SignalDone {
  std::uint64_t token = 0;
  bool arrived = false;
};

/// A signal came. To `signalling`.
struct SignalArrived {
  NodeId from{};
  Bytes body;
};

/// What the host's data channels have to do for a negotiation. To the host.
struct NegotiateWish {
  enum class Step : std::uint8_t {
    offer,      ///< begin, and describe yourself
    answer,     ///< answer the offer in `text`
    take,       ///< the answer to ours is `text`
    candidate,  ///< the other side's: `text`; empty after the last
    abandon,    ///< say nothing more of it
  };
  NegotiationId negotiation{};
  Step step = Step::offer;
  std::string text = {};
  bool trickles = true;    ///< else candidates stand in our description, which waits for them
  bool is_stream = false;  ///< of bytes without messages, with a node of npm peer-exchange
};

/// Streams have something to say to that linked peer. To `link`.
struct StreamsWaiting {
  NodeId peer{};
};

/// Streams would go better by a link to that node. To `membership`.
struct LinkWanted {
  NodeId peer{};
};

/// Tell the application.
struct NotifyWish {
  struct SendDone {
    MessageId message = 0;
    SendResult result;
  };
  struct PeerUp {
    NodeId id{};
  };
  struct PeerLost {
    NodeId id{};
    CloseReason reason{};
  };
  struct ConnectDone {
    NodeId id{};
    std::optional<Error> error = {};
  };
  /// What came of an address that the application asked for.
  struct AddressDone {
    std::string address;
    std::optional<NodeId> id = {};  ///< of the node there, to which there is a link now
  };
  struct Traced {
    std::uint64_t trace = 0;
    TraceHop hop;
  };
  struct Joined {};
  /// Another node has opened a stream.
  struct StreamOpened {
    StreamId stream = 0;
    NodeId peer{};
    std::string label;
  };
  /// The other node has ours.
  struct StreamAccepted {
    StreamId stream = 0;
  };
  /// The next bytes. Engine::stream_consumed grants as many more.
  struct StreamBytes {
    StreamId stream = 0;
    Bytes bytes;
  };
  /// There are no more.
  struct StreamFinished {
    StreamId stream = 0;
  };
  /// After a write that was not taken, or that filled what may wait.
  struct StreamWritable {
    StreamId stream = 0;
  };
  /// The last that is heard of a stream.
  struct StreamClosed {
    StreamId stream = 0;
    StreamEnd end = StreamEnd::finished;
    std::uint32_t code = 0;
  };
  /// A peer of the exchange. What it sends follows as ExchangeBytes.
  struct ExchangePeerUp {
    ExchangePeerId peer{};
    ExchangeTransport transport{};
    std::string remote;       ///< for people
    std::string remote_host;  ///< its IP address
    /// Of ours that led to it; nothing: it came by itself.
    std::optional<ExchangeRequest> request = {};
  };
  /// Engine::exchange_consumed says when they are done with.
  struct ExchangeBytes {
    ExchangePeerId peer{};
    Bytes bytes;
  };
  /// After a write that was not taken, or that filled what may wait.
  struct ExchangeWritable {
    ExchangePeerId peer{};
  };
  /// The peer sends nothing more, but may still read. Nodes of npm peer-exchange don't do this.
  struct ExchangeEnded {
    ExchangePeerId peer{};
  };
  /// The last that is heard of a peer.
  struct ExchangePeerDown {
    ExchangePeerId peer{};
    CloseReason reason{};
  };
  /// A request led to no peer.
  struct ExchangeFailed {
    ExchangeRequest request = 0;
    ExchangeFailure why{};
    DialError dial_error{};      ///< with dial_failed
    CloseReason close_reason{};  ///< with closed
    std::string network = {};    ///< with wrong_network: theirs, if it can be shown
    std::string detail = {};     ///< the host's word on a dial that failed
  };
  std::variant<Message, SendDone, PeerUp, PeerLost, ConnectDone, AddressDone, Traced, Problem,
               Joined, StreamOpened, StreamAccepted, StreamBytes, StreamFinished, StreamWritable,
               StreamClosed, ExchangePeerUp, ExchangeBytes, ExchangeWritable, ExchangeEnded,
               ExchangePeerDown, ExchangeFailed>
      event;
};

using Wish = std::variant<std::monostate, RouteWish, SealWish, ContentLeft, ContentFailed, LinkUp,
                          LinkMoved, LinkDown, FrameWish, BridgeWish, PeerFrameWish, CloseWish,
                          DialWish, OfferWish, OfferFailed, SignalWish, SignalDone, SignalArrived,
                          NegotiateWish, StreamsWaiting, LinkWanted, NotifyWish>;

class Outbox {
 public:
  template <class W>
  void wish(W wish) {
    wishes_.push(Wish{std::move(wish)});
  }

  template <class E>
  void notify(E event) {
    wish(NotifyWish{std::move(event)});
  }

  /// Something ends here, for this reason. Counted, never in silence.
  void drop(DropReason reason) { ++stats_.dropped[static_cast<std::size_t>(reason)]; }

  /// The engine's counters; each room counts what it alone sees.
  Stats& stats() { return stats_; }
  const Stats& stats() const { return stats_; }

  bool empty() const { return wishes_.empty(); }
  Wish take() { return wishes_.pop(); }
  void trim() { wishes_.trim(); }

 private:
  // Bounded by the inputs: each input leaves a bounded number of wishes, and all are granted before
  // the next input.
  Ring<Wish> wishes_;
  Stats stats_;
};

}  // namespace peer_relay
