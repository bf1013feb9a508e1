// SPDX-License-Identifier: MIT
#include "core/route/tracer.hpp"

#include "peer_relay/limits.hpp"

namespace peer_relay {

namespace {

using namespace std::chrono_literals;

constexpr Duration answer_timeout = 2s;
constexpr int tries_max = 3;
constexpr std::size_t traces_max = 64;  // a person's tool, not a program's

}  // namespace

std::uint64_t Tracer::start(const NodeId& target, TimePoint now, Outbox& out) {
  if (traces_.size() >= traces_max) {
    const auto oldest = traces_.begin();
    out.notify(NotifyWish::Traced{oldest->first, {.hop = oldest->second.hop, .lost = true}});
    traces_.erase(oldest);
  }
  Trace& trace = traces_[++last_];
  trace.target = target;
  ask(last_, trace, now, out);
  return last_;
}

void Tracer::ask(std::uint64_t number, Trace& trace, TimePoint now, Outbox& out) {
  ++trace.tries;
  trace.tag = static_cast<std::uint32_t>(random_.next());
  trace.nonce = random_.next();
  trace.asked_at = now;
  trace.deadline = now + answer_timeout;
  timers_.arm(trace.deadline, number);
  Bytes body;
  encode_lookup({.nonce = trace.nonce, .wanted = 1, .contact = {}}, body);
  out.wish(RouteWish{.kind = EnvelopeKind::lookup,
                     .hops_left = static_cast<std::uint8_t>(trace.hop - 1),
                     .tag = trace.tag,
                     .target = trace.target,
                     .body = std::move(body)});
}

bool Tracer::unreachable(const NodeId& where, const Unreachable& notice, TimePoint now,
                         Outbox& out) {
  for (auto& [number, trace] : traces_) {
    if (trace.tag != notice.tag || trace.target != notice.target) continue;
    TraceHop hop{.hop = trace.hop, .id = where, .round_trip = now - trace.asked_at};
    const bool goes_on =
        notice.reason == UnreachableReason::hops_spent && trace.hop <= limits::hops_max;
    if (!goes_on) hop.reason = notice.reason;
    out.notify(NotifyWish::Traced{number, hop});
    if (!goes_on) {
      traces_.erase(number);
      return true;
    }
    ++trace.hop;
    trace.tries = 0;
    ask(number, trace, now, out);
    return true;
  }
  return false;
}

bool Tracer::answered(const NodeId& from, std::uint64_t nonce, TimePoint now, Outbox& out) {
  for (const auto& [number, trace] : traces_) {
    if (trace.nonce != nonce || trace.target != from) continue;
    out.notify(NotifyWish::Traced{
        number,
        {.hop = trace.hop, .id = from, .round_trip = now - trace.asked_at, .is_target = true}});
    traces_.erase(number);
    return true;
  }
  return false;
}

void Tracer::wake(TimePoint now, Outbox& out) {
  while (const auto due = timers_.pop_due(now)) {
    const auto at = traces_.find(*due);
    if (at == traces_.end() || at->second.deadline > now) continue;
    if (at->second.tries < tries_max) {
      ask(at->first, at->second, now, out);
      continue;
    }
    out.notify(NotifyWish::Traced{at->first, {.hop = at->second.hop, .lost = true}});
    traces_.erase(at);
  }
}

}  // namespace peer_relay
