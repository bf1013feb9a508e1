// SPDX-License-Identifier: MIT
#include "core/route/auditor.hpp"

#include <algorithm>

#include "core/wire/sealed.hpp"

namespace peer_relay {

namespace {

using namespace std::chrono_literals;

// Thrice the round trip of a long way; a slow link costs a miss now and then, not three in a row.
constexpr Duration answer_timeout = 2s;
// One that missed is looked at again soon, one that is suspected now and then: half of those that
// are honest pass at once when the ways behind them have been mended.
constexpr Duration doubted_pause_min = 500ms;
constexpr Duration doubted_pause_max = 1500ms;
constexpr Duration suspected_pause_min = 20s;
constexpr Duration suspected_pause_max = 40s;
// Where one swallows others do: whoever has found one goes round faster, once.
constexpr int alarmed_share = 6;
// The shortest pause between two audits, so that a thousand links do not make a storm.
constexpr Duration pause_min = 250ms;
// Targets are near the relay, so that it likely reaches them in a hop or two; among so many.
constexpr std::size_t near_targets = 4;
// Sealed contents of a short message or an acknowledgement.
constexpr std::size_t content_bytes_min = 12;
constexpr std::size_t content_bytes_max = 60;

}  // namespace

Auditor::Auditor(Table& table, Random random, Duration every)
    : table_(table), random_(random), every_(every) {}

void Auditor::start(TimePoint now) {
  if (every_ < Duration::max()) next_ = now + pause(now);
}

Duration Auditor::pause(TimePoint now) {
  const auto relays = static_cast<Duration::rep>(std::max<std::size_t>(table_.relays(), 1));
  const Duration round = now < alarmed_until_ ? every_ / alarmed_share : every_;
  const Duration mean = std::max(round / relays, pause_min);
  return random_.between(mean / 2, mean * 3 / 2);
}

Auditor::Doubt* Auditor::find(const NodeId& relay) {
  const auto at = std::ranges::find(doubts_, relay, &Doubt::relay);
  return at == doubts_.end() ? nullptr : &*at;
}

// ---- Asking -------------------------------------------------------------------------------------

/// Round and round, in the order of ids; who is in doubt has a turn of its own.
const LinkedPeer* Auditor::next_relay() {
  const auto ids = table_.relay_ids();
  for (std::size_t tried = 0; tried < ids.size(); ++tried) {
    auto at = std::ranges::upper_bound(ids, cursor_);
    if (at == ids.end()) at = ids.begin();
    cursor_ = *at;
    if (find(cursor_) == nullptr) return table_.find(cursor_);
  }
  return nullptr;
}

/// Another peer, near the relay; null if there is none that it has not missed lately.
const NodeId* Auditor::target_for(const LinkedPeer& relay, const Doubt* doubt) {
  std::array<const NodeId*, near_targets> near{};
  std::size_t count = 0;
  const auto farther = [&relay](const NodeId* a, const NodeId* b) {
    return is_closer(*a, *b, relay.id);
  };
  for (const NodeId& id : table_.relay_ids()) {
    if (id == relay.id) continue;
    if (doubt != nullptr && std::ranges::find(doubt->missed, id) != doubt->missed.end()) continue;
    if (count < near.size()) {
      near[count++] = &id;
      std::push_heap(near.begin(), near.begin() + static_cast<std::ptrdiff_t>(count), farther);
    } else if (is_closer(id, *near.front(), relay.id)) {
      std::ranges::pop_heap(near, farther);
      near.back() = &id;
      std::ranges::push_heap(near, farther);
    }
  }
  return count == 0 ? nullptr : near[random_.below(count)];
}

/// False where there is nobody (any more) to ask through it.
bool Auditor::audit(const LinkedPeer& relay, TimePoint now, Outbox& out) {
  if (std::ranges::find(audits_, relay.id, &Audit::relay) != audits_.end()) return true;
  const NodeId* const target = target_for(relay, find(relay.id));
  if (target == nullptr) return false;
  const Audit audit{.relay = relay.id,
                    .target = *target,
                    .tag = static_cast<std::uint32_t>(random_.next()),
                    .index = static_cast<std::uint32_t>(random_.next()),
                    .deadline = now + answer_timeout};
  Bytes body;
  encode_session_data_header(audit.index, random_.below(64), body);
  const std::size_t sealed =
      session_tag_bytes + content_bytes_min + random_.below(content_bytes_max - content_bytes_min);
  for (std::size_t i = 0; i < sealed; ++i) {
    body.push_back(static_cast<std::uint8_t>(random_.next() >> 56));
  }
  out.wish(RouteWish{.kind = EnvelopeKind::session_data,
                     .tag = audit.tag,
                     .target = audit.target,
                     .first_hop = relay.id,
                     .body = std::move(body)});
  audits_.push_back(audit);
  return true;
}

void Auditor::doubt(const NodeId& relay, TimePoint now) {
  if (next_ == never || find(relay) != nullptr) return;
  const LinkedPeer* const peer = table_.find(relay);
  if (peer == nullptr || !peer->relays) return;
  doubts_.push_back({.relay = relay, .next = now + random_.between(1ms, doubted_pause_min)});
}

// ---- Heard, or not ------------------------------------------------------------------------------

bool Auditor::answered(LinkId from, const Envelope& envelope, BytesView body) {
  if (audits_.empty() || envelope.kind != EnvelopeKind::session_unknown) return false;
  const auto unknown = decode_session_unknown(body);
  if (!unknown) return false;
  const auto at = std::ranges::find_if(audits_, [&](const Audit& audit) {
    return audit.index == unknown->index && audit.target == envelope.source;
  });
  if (at == audits_.end()) return false;
  // Only over the target's own link: the audited relay has read the index.
  const LinkedPeer* const target = table_.find(at->target);
  if (target == nullptr || target->link != from) return true;
  std::erase_if(doubts_, [&](const Doubt& doubt) { return doubt.relay == at->relay; });
  if (LinkedPeer* const relay = table_.find(at->relay)) relay->suspect = false;
  audits_.erase(at);
  return true;
}

// A hint, which the audited relay can give as well as any other: it does not clear it.
bool Auditor::unreachable(std::uint32_t tag, TimePoint now) {
  const auto at = std::ranges::find(audits_, tag, &Audit::tag);
  if (at == audits_.end()) return false;
  const Audit audit = *at;
  audits_.erase(at);
  missed(audit, now);
  return true;
}

void Auditor::missed(const Audit& audit, TimePoint now) {
  LinkedPeer* const relay = table_.find(audit.relay);
  if (relay == nullptr) return;
  Doubt* doubt = find(audit.relay);
  if (doubt == nullptr) doubt = &doubts_.emplace_back(Doubt{.relay = audit.relay});
  std::ranges::rotate(doubt->missed, doubt->missed.end() - 1);
  doubt->missed.front() = audit.target;
  if (doubt->misses < misses_max) ++doubt->misses;
  const bool was_suspect = relay->suspect;
  relay->suspect = doubt->misses == misses_max;
  if (relay->suspect && !was_suspect) alarmed_until_ = now + every_ / alarmed_share;
  doubt->next = now + (relay->suspect ? random_.between(suspected_pause_min, suspected_pause_max)
                                      : random_.between(doubted_pause_min, doubted_pause_max));
}

// ---- Time ---------------------------------------------------------------------------------------

void Auditor::wake(TimePoint now, Outbox& out) {
  for (std::size_t i = 0; i < audits_.size();) {
    if (now < audits_[i].deadline) {
      ++i;
      continue;
    }
    const Audit audit = audits_[i];
    audits_.erase(audits_.begin() + static_cast<std::ptrdiff_t>(i));
    missed(audit, now);
  }
  std::erase_if(doubts_, [&](Doubt& doubt) {
    const LinkedPeer* const relay = table_.find(doubt.relay);
    if (relay == nullptr) return true;
    if (now < doubt.next) return false;
    doubt.next = never;  // until it is answered, or not
    return !audit(*relay, now, out);
  });
  if (now >= next_) {
    next_ = now + pause(now);
    if (const LinkedPeer* const relay = next_relay()) audit(*relay, now, out);
  }
}

TimePoint Auditor::next_wake() const {
  TimePoint next = next_;
  for (const Audit& audit : audits_) next = std::min(next, audit.deadline);
  for (const Doubt& doubt : doubts_) next = std::min(next, doubt.next);
  return next;
}

}  // namespace peer_relay
