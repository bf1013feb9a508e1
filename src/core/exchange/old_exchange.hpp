// SPDX-License-Identifier: MIT
//
// Our node as one of a network of npm peer-exchange 0.4.1: the life of its connections, whom it
// asks for peers, whom it introduces to whom. The frames are multiplex.hpp's, the lines
// command.hpp's.
//
// Such a network has no ids and no routes. A peer is a byte stream in both directions; asked for
// another peer, a node names the address of one that it is connected to, or lends the two a channel
// through itself on which they agree on a WebRTC connection. All nodes do all of this. Nothing is
// sealed and nobody proves anything, so none of these peers is one of our own overlay.
//
// Where we depart from what a node does:
// - a channel that nobody reads is dropped and never blocks the others. What waits for our own
//   application has a bound instead, and beyond it the connection ends (CloseReason::unread);
// - connections, channels, lines, introductions, negotiations and queues have bounds, and age;
// - a connection that does not say hello ends; a question that is not answered fails;
// - addresses that we are told are dialed where whoever told us could have told the truth: IP
//   addresses only, and those of a machine itself only on the word of that machine;
// - candidates stand in our descriptions. One that comes after the end of a connection kills a
// node.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/exchange.hpp"
#include "base/random.hpp"
#include "base/ring.hpp"
#include "core/exchange/command.hpp"
#include "core/outbox.hpp"
#include "peer_relay/limits.hpp"
#include "peer_relay/time.hpp"

namespace peer_relay {

class OldExchange {
 public:
  struct Options {
    std::string network;
    bool makes_channels = false;  ///< WebRTC data channels
    Duration handshake_timeout = limits::handshake_timeout;
    std::size_t unread_bytes_max = Limits{}.exchange_unread_bytes_max;
  };

  OldExchange(Random random, Options options);
  ~OldExchange();

  // ---- From the host ----------------------------------------------------------------------------

  struct LinkStart {
    std::optional<DialId> dial;  ///< ours, or the other side's if nothing
    ExchangeTransport transport{};
    std::string remote;       ///< for people
    std::string remote_host;  ///< the other side's IP address
  };

  /// A channel of bytes. Both sides speak at once, but who offered a data channel, for whom it
  /// comes up first, lets the other side begin.
  void opened(LinkId link, LinkStart start, TimePoint now, Outbox& out);
  void received(LinkId link, BytesView bytes, TimePoint now, Outbox& out);
  void writable(LinkId link);
  void closed(LinkId link, CloseReason reason, Outbox& out);
  bool owns(LinkId link) const { return links_.contains(link); }

  /// Dials of this room have numbers that no other dials have.
  static bool owns(DialId dial);
  void dial_failed(DialId dial, DialError error, Outbox& out);

  /// And so have its negotiations.
  static bool owns(NegotiationId id);
  /// Our offer or answer, with all candidates in it.
  void described(NegotiationId id, std::string_view sdp, Outbox& out);
  void channel_failed(NegotiationId id, DialError error, Outbox& out);
  /// False if it is not wanted any more.
  bool channel_opened(NegotiationId id, LinkId link, LinkStart start, TimePoint now, Outbox& out);

  // ---- From the engine ----------------------------------------------------------------------

  /// Bytes or an end that can leave now.
  struct Outgoing {
    LinkId link{};
    Bytes bytes;  ///< may be empty
    std::optional<CloseReason> then_close;
  };
  std::optional<Outgoing> next_outgoing(Outbox& out);

  void wake(TimePoint now, Outbox& out);
  TimePoint next_wake() const { return wake_at_; }

  /// Closes all links and fails all requests. Nothing is opened after it.
  void shut_down(TimePoint now, Outbox& out);

  // ---- From the application: as engine.hpp says -------------------------------------------------

  ExchangeRequest connect(const Address& address, Outbox& out);
  ExchangeRequest seek_peer(std::optional<ExchangePeerId> from, TimePoint now, Outbox& out);
  bool write(ExchangePeerId peer, Bytes bytes);
  bool has_room(ExchangePeerId peer) const;
  void close(ExchangePeerId peer, TimePoint now, Outbox& out);
  void consumed(ExchangePeerId peer, std::size_t bytes);
  void accept(ExchangeTransport transport, std::uint16_t port, Outbox& out);
  void unaccept(ExchangeTransport transport, Outbox& out);
  bool accepts(ExchangeTransport transport) const {
    return accepts_[static_cast<std::size_t>(transport)].has_value();
  }

  // ---- What there is ------------------------------------------------------------------------

  std::size_t links() const { return links_.size(); }
  std::size_t queued_bytes() const;

 private:
  struct Connection;
  struct Dialing {
    ExchangeRequest request = 0;
    ExchangeTransport transport{};
  };
  struct Asking {
    ExchangeRequest request = 0;
    LinkId link{};  // whose answer it must be
    TimePoint deadline{};
  };
  struct Introduction {  // two of our peers, of whom one asked us
    LinkId asker{};
    LinkId chosen{};
    std::string nonce;
    TimePoint deadline{};
  };
  struct Negotiation {  // ours with somebody, through one of our peers
    LinkId middle{};
    std::string nonce;
    std::optional<ExchangeRequest> request;  // of ours; else we were chosen
    bool is_described = false;               // by the other side
    std::size_t candidates = 0;              // of theirs
    TimePoint deadline{};
  };
  using Negotiations = std::map<NegotiationId, Negotiation>;
  using Introductions = std::map<std::uint64_t, Introduction>;

  Connection* find(LinkId link);
  Connection* find(ExchangePeerId peer);
  const Connection* find(ExchangePeerId peer) const;
  void begin(LinkId link, LinkStart start, TimePoint greets_at, TimePoint now, Outbox& out);
  void greet(LinkId id, Connection& link, Outbox& out);
  bool has_many_strangers(const LinkStart& start) const;
  void touch(LinkId id, Connection& link);
  static void take_outgoing(Connection& link, Bytes& out);
  void tell(LinkId id, Connection& link, std::string_view line, Outbox& out);
  void end(LinkId id, Connection& link, CloseReason reason, bool is_graceful, TimePoint now,
           Outbox& out);
  void lose(LinkId id, Connection& link, CloseReason reason, Outbox& out);
  void fail(ExchangeRequest request, ExchangeFailure why, Outbox& out);
  void arm(TimePoint at);
  void watch_relays(LinkId id, Connection& link, TimePoint now, Outbox& out);
  std::string number();  // 32 hex digits

  // What comes by a link.
  void take_open(Connection& link, std::uint32_t channel, std::string_view name, Outbox& out);
  void take_data(LinkId id, Connection& link, std::uint32_t channel, BytesView bytes, bool is_last,
                 TimePoint now, Outbox& out);
  void take_end(LinkId id, Connection& link, std::uint32_t channel, Outbox& out);
  void take_destroy(LinkId id, Connection& link, std::uint32_t channel, TimePoint now, Outbox& out);
  void take_answered_end(Connection& link, std::uint32_t channel);
  void take_answered_destroy(LinkId id, Connection& link, std::uint32_t channel, TimePoint now,
                             Outbox& out);
  void take_bytes(LinkId id, Connection& link, BytesView bytes, TimePoint now, Outbox& out);

  // Commands.
  void take_line(LinkId id, Connection& link, std::string_view line, TimePoint now, Outbox& out);
  void handle(LinkId id, Connection& link, const exchange::Hello& hello, TimePoint now,
              Outbox& out);
  void handle(LinkId id, Connection& link, const exchange::HelloAck&, TimePoint now, Outbox& out);
  void handle(LinkId id, Connection& link, const exchange::Accept& accept, TimePoint, Outbox&);
  void handle(LinkId id, Connection& link, const exchange::Unaccept& unaccept, TimePoint, Outbox&);
  void handle(LinkId id, Connection& link, const exchange::GetPeer& ask, TimePoint now,
              Outbox& out);
  void handle(LinkId id, Connection& link, const exchange::Incoming& incoming, TimePoint now,
              Outbox& out);
  void handle(LinkId id, Connection& link, const exchange::Answer& answer, TimePoint now,
              Outbox& out);
  void refuse(LinkId id, Connection& link, CloseReason reason, const exchange::Hello& hello,
              TimePoint now, Outbox& out);
  void come_up(LinkId id, Connection& link, Outbox& out);
  void tell_accepts(LinkId id, Connection& link, Outbox& out);

  // Introductions (introductions.cpp).
  std::vector<LinkId> accepting(ExchangeTransport transport, LinkId but) const;
  void join(const Address& address, ExchangeTransport transport, ExchangeRequest request,
            Outbox& out);
  bool introduce(LinkId asker, LinkId chosen, const std::string& nonce, TimePoint now, Outbox& out);
  void pass_on(LinkId from, std::uint64_t introduction, BytesView bytes, Outbox& out);
  void end_introduction(Introductions::iterator at, Outbox& out);
  struct Relay;
  bool add_relay(Connection& link, const std::string& nonce, Relay relay);
  void say(LinkId id, const std::string& nonce, BytesView bytes);
  void relay_ended(LinkId id, Connection& link, const std::string& nonce, Outbox& out);
  void end_relay(LinkId id, const std::string& nonce, Outbox& out);
  bool negotiate(LinkId middle, const std::string& nonce, std::optional<ExchangeRequest> request,
                 TimePoint now, Outbox& out);
  void take_signals(LinkId id, Connection& link, const std::string& nonce, BytesView bytes,
                    Outbox& out);
  bool take_signal(NegotiationId id, std::string_view line, Outbox& out);
  void end_negotiation(Negotiations::iterator at, ExchangeFailure why, bool is_told, Outbox& out);

  Random random_;
  Options options_;
  bool is_shut_down_ = false;

  exchange::ByTransport<std::optional<std::uint16_t>> accepts_{};
  std::map<LinkId, std::unique_ptr<Connection>> links_;  // at most exchange::links_max
  std::map<ExchangePeerId, LinkId> peers_;               // those that are up
  Ring<LinkId> dirty_;  // links with something to send or to close; each once

  std::map<DialId, Dialing> dials_;          // at most exchange::requests_max
  std::map<std::string, Asking> questions_;  // by what must be answered; as many
  Introductions introductions_;              // at most exchange::introductions_max
  Negotiations negotiations_;                // at most exchange::negotiations_max

  std::uint64_t last_peer_ = 0;
  std::uint64_t last_request_ = 0;
  std::uint64_t last_dial_ = 0;
  std::uint64_t last_negotiation_ = 0;
  std::uint64_t last_introduction_ = 0;
  TimePoint wake_at_ = never;
};

}  // namespace peer_relay
