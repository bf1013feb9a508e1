// SPDX-License-Identifier: MIT
#include "core/signalling/signalling.hpp"

#include <algorithm>
#include <utility>

namespace peer_relay {

using Step = NegotiateWish::Step;

Signalling::Signalling(const NodeId& self, Random random, Welcome welcome, const void* context)
    : self_(self), random_(random), welcome_(welcome), context_(context) {}

// ---- From membership ----

void Signalling::handle(const OfferWish& wish, TimePoint now, Outbox& out) {
  const At theirs = find_of(wish.to);
  if (theirs != negotiations_.end()) {
    // They have offered already, or the application asks twice: one channel is enough.
    if (theirs->second.dial) {
      return out.wish(OfferFailed{.dial = wish.dial, .error = DialError::limit});
    }
    theirs->second.dial = wish.dial;
    return;
  }
  if (negotiations_.size() >= limits::negotiations_max) {
    return out.wish(OfferFailed{.dial = wish.dial, .error = DialError::limit});
  }
  begin({.peer = wish.to,
         .number = random_.next(),
         .is_ours = true,
         .is_needed = wish.is_needed,
         .dial = wish.dial,
         .deadline = now + limits::offer_timeout},
        Step::offer, {}, out);
}

// ---- From the host ----

void Signalling::described(NegotiationId id, std::string_view sdp, TimePoint now, Outbox& out) {
  const At at = negotiations_.find(id);
  if (at == negotiations_.end()) return;
  Negotiation& negotiation = at->second;
  if (sdp.size() > limits::description_bytes_max) {
    return give_up(at, DialError::bad_description, out);
  }
  if (!negotiation.is_ours) {
    negotiation.is_answered = true;
    negotiation.deadline = now + limits::negotiation_timeout;
  }
  say(negotiation.peer,
      {.step = negotiation.is_ours ? SignalStep::offer : SignalStep::answer,
       .is_needed = negotiation.is_needed,
       .number = negotiation.number,
       .text = sdp},
      negotiation.is_ours ? static_cast<std::uint64_t>(id) : 0, out);
}

void Signalling::candidate(NegotiationId id, std::string_view line, Outbox& out) {
  const At at = negotiations_.find(id);
  if (at == negotiations_.end() || line.size() > limits::candidate_bytes_max) return;
  say(at->second.peer, {.step = SignalStep::candidate, .number = at->second.number, .text = line},
      0, out);
}

void Signalling::failed(NegotiationId id, DialError error, Outbox& out) {
  const At at = negotiations_.find(id);
  if (at == negotiations_.end()) return;
  if (!at->second.is_ours && !at->second.is_answered) {
    say(at->second.peer, {.step = SignalStep::decline, .number = at->second.number}, 0, out);
  }
  if (const auto dial = forget(at)) out.wish(OfferFailed{.dial = *dial, .error = error});
}

std::optional<Signalling::Opened> Signalling::opened(NegotiationId id, LinkId link) {
  const At at = negotiations_.find(id);
  if (at == negotiations_.end()) return std::nullopt;
  const bool is_ours = at->second.is_ours;
  const auto dial = forget(at);
  if (is_ours) return Opened{.dial = dial};
  if (dial) superseded_.emplace(link, *dial);
  return Opened{.dial = std::nullopt};
}

void Signalling::link_settled(LinkId link, Outbox& out) {
  if (const auto entry = superseded_.extract(link)) {
    out.wish(OfferFailed{.dial = entry.mapped(), .error = DialError::superseded});
  }
}

// ---- From delivery ----

void Signalling::handle(const SignalArrived& arrived, TimePoint now, Outbox& out) {
  const auto signal = decode_signal(arrived.body);
  if (!signal) return out.drop(DropReason::malformed);
  if (signal->step == SignalStep::offer) return take_offer(arrived.from, *signal, now, out);
  if (signal->step == SignalStep::candidate) return take_candidate(arrived.from, *signal, out);
  const At at = find_of(arrived.from, signal->number);
  if (at == negotiations_.end() || !at->second.is_ours || at->second.is_answered) {
    return out.drop(DropReason::contact_unwanted);
  }
  if (signal->step == SignalStep::decline) return give_up(at, DialError::declined, out);
  at->second.is_answered = true;
  at->second.deadline = now + limits::negotiation_timeout;
  out.wish(NegotiateWish{
      .negotiation = at->first, .step = Step::take, .text = std::string{signal->text}});
}

void Signalling::take_offer(const NodeId& from, const Signal& signal, TimePoint now, Outbox& out) {
  if (!offers_.take(1, now)) return out.drop(DropReason::rate_limited);
  std::optional<DialId> dial;
  bool is_awaited = false;
  if (const At at = find_of(from); at != negotiations_.end()) {
    if (at->second.number == signal.number) return;
    if (at->second.is_ours && self_ < from) return;  // ours stands
    // Theirs stands; or it is a new one of theirs, who have forgotten the first.
    is_awaited = at->second.dial.has_value();
    out.wish(NegotiateWish{.negotiation = at->first, .step = Step::abandon});
    dial = forget(at);
  }
  const bool is_taken = negotiations_.size() < limits::negotiations_max &&
                        (is_awaited || welcome_(context_, from, signal.is_needed));
  if (!is_taken) {
    out.drop(DropReason::contact_limit);
    if (dial) out.wish(OfferFailed{.dial = *dial, .error = DialError::limit});
    return say(from, {.step = SignalStep::decline, .number = signal.number}, 0, out);
  }
  const At at = begin({.peer = from,
                       .number = signal.number,
                       .dial = dial,
                       .deadline = now + limits::negotiation_timeout},
                      Step::answer, signal.text, out);
  for (const std::string& line : early_.take(from, signal.number)) pass_candidate(at, line, out);
}

void Signalling::take_candidate(const NodeId& from, const Signal& signal, Outbox& out) {
  const At at = find_of(from, signal.number);
  if (at != negotiations_.end()) return pass_candidate(at, signal.text, out);
  // Before its offer, or after the channel is open: nobody can tell.
  early_.keep(from, signal.number, signal.text);
}

void Signalling::pass_candidate(At at, std::string_view line, Outbox& out) {
  // One more, for the word that there are no more.
  if (++at->second.candidates > limits::candidates_max + 1) {
    return out.drop(DropReason::rate_limited);
  }
  out.wish(
      NegotiateWish{.negotiation = at->first, .step = Step::candidate, .text = std::string{line}});
}

void Signalling::handle(const SignalDone& done, Outbox& out) {
  const At at = negotiations_.find(NegotiationId{done.token});
  if (at == negotiations_.end() || done.arrived || at->second.is_answered) return;
  give_up(at, DialError::no_answer, out);
}

// ---- Each one ----

Signalling::At Signalling::find_of(const NodeId& peer) {
  return std::ranges::find_if(negotiations_,
                              [&](const auto& entry) { return entry.second.peer == peer; });
}

Signalling::At Signalling::find_of(const NodeId& peer, std::uint64_t number) {
  const At at = find_of(peer);
  return at != negotiations_.end() && at->second.number == number ? at : negotiations_.end();
}

Signalling::At Signalling::begin(Negotiation negotiation, Step step, std::string_view text,
                                 Outbox& out) {
  const NegotiationId id{++last_};
  out.wish(NegotiateWish{.negotiation = id, .step = step, .text = std::string{text}});
  return negotiations_.emplace(id, negotiation).first;
}

void Signalling::give_up(At at, DialError error, Outbox& out) {
  out.wish(NegotiateWish{.negotiation = at->first, .step = Step::abandon});
  failed(at->first, error, out);
}

std::optional<DialId> Signalling::forget(At at) {
  const auto dial = at->second.dial;
  negotiations_.erase(at);
  return dial;
}

void Signalling::say(const NodeId& to, const Signal& signal, std::uint64_t token, Outbox& out) {
  SignalWish wish{.to = to, .body = {}, .token = token};
  encode_signal(signal, wish.body);
  out.wish(std::move(wish));
}

// ---- Time ----

void Signalling::wake(TimePoint now, Outbox& out) {
  for (At at = negotiations_.begin(); at != negotiations_.end();) {
    const At next = std::next(at);
    if (now >= at->second.deadline) {
      const bool is_unanswered = at->second.is_ours && !at->second.is_answered;
      give_up(at, is_unanswered ? DialError::no_answer : DialError::timed_out, out);
    }
    at = next;
  }
}

TimePoint Signalling::next_wake() const {
  TimePoint next = never;
  for (const auto& [id, negotiation] : negotiations_) next = std::min(next, negotiation.deadline);
  return next;
}

void Signalling::stop(Outbox& out) {
  for (const auto& [id, negotiation] : negotiations_) {
    out.wish(NegotiateWish{.negotiation = id, .step = Step::abandon});
  }
  negotiations_.clear();
  superseded_.clear();
}

}  // namespace peer_relay
