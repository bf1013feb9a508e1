// SPDX-License-Identifier: MIT
//
// How two nodes agree on a data channel that neither could dial. Offer, answer and candidates pass
// between them as sealed signals through the overlay, and are made and used by the host; this room
// keeps who negotiates with whom, and sees that each negotiation ends.
//
// Where both offer at once, the offer of the smaller id stands: that node ignores the other's, and
// the other takes its own back and answers. So both come to the same choice without a word, and to
// one channel.
//
// A stranger's offer costs us a certificate check's worth of work and some memory, so there is a
// bound for all, one for each peer, and a rate.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.hpp"
#include "base/token_bucket.hpp"
#include "core/early_candidates.hpp"
#include "core/outbox.hpp"
#include "core/wire/signal.hpp"
#include "peer_relay/limits.hpp"
#include "peer_relay/time.hpp"

namespace peer_relay {

class Signalling {
 public:
  /// Whether a link to that node is worth making, if it asks for one. Set by the engine.
  using Welcome = bool (*)(const void* context, const NodeId& peer, bool is_needed);

  Signalling(const NodeId& self, Random random, Welcome welcome, const void* context);

  // ---- From membership ----------------------------------------------------------------------

  /// OfferFailed follows, or a link that bears the dial.
  void handle(const OfferWish& wish, TimePoint now, Outbox& out);

  // ---- From the host ------------------------------------------------------------------------

  /// Our offer or answer.
  void described(NegotiationId id, std::string_view sdp, TimePoint now, Outbox& out);
  /// A candidate of ours; empty after the last.
  void candidate(NegotiationId id, std::string_view line, Outbox& out);
  void failed(NegotiationId id, DialError error, Outbox& out);
  struct Opened {
    std::optional<DialId> dial;  ///< that it was made for; nothing if they have offered
    bool operator==(const Opened&) const = default;
  };
  /// The channel is open. Nothing if it is not wanted any more.
  std::optional<Opened> opened(NegotiationId id, LinkId link);
  /// A dial of ours that this link, of the other's offer, has made needless, has ended with it.
  void link_settled(LinkId link, Outbox& out);

  // ---- From delivery ------------------------------------------------------------------------

  void handle(const SignalArrived& arrived, TimePoint now, Outbox& out);
  void handle(const SignalDone& done, Outbox& out);

  void wake(TimePoint now, Outbox& out);
  TimePoint next_wake() const;
  /// Everything under way ends.
  void stop(Outbox& out);

  std::size_t size() const { return negotiations_.size(); }

 private:
  struct Negotiation {
    NodeId peer{};
    std::uint64_t number = 0;
    bool is_ours = false;      // the offer
    bool is_answered = false;  // by them, or by us
    bool is_needed = false;
    std::optional<DialId> dial{};
    std::size_t candidates = 0;  // of theirs
    TimePoint deadline{};
  };
  using At = std::map<NegotiationId, Negotiation>::iterator;

  At find_of(const NodeId& peer);
  At find_of(const NodeId& peer, std::uint64_t number);
  At begin(Negotiation negotiation, NegotiateWish::Step step, std::string_view text, Outbox& out);
  void take_offer(const NodeId& from, const Signal& signal, TimePoint now, Outbox& out);
  void take_candidate(const NodeId& from, const Signal& signal, Outbox& out);
  void pass_candidate(At at, std::string_view line, Outbox& out);
  void give_up(At at, DialError error, Outbox& out);
  std::optional<DialId> forget(At at);
  static void say(const NodeId& to, const Signal& signal, std::uint64_t token, Outbox& out);

  NodeId self_;
  Random random_;
  Welcome welcome_;
  const void* context_;
  std::uint64_t last_ = 0;
  // At most limits::negotiations_max, so that walking over all of them is cheap.
  std::map<NegotiationId, Negotiation> negotiations_;
  EarlyCandidates early_;
  std::map<LinkId, DialId> superseded_;  // at most links under way
  TokenBucket offers_{limits::offers_per_second, limits::offers_per_second};
};

}  // namespace peer_relay
