// SPDX-License-Identifier: MIT
//
// Handshakes that other nodes begin. Until something was opened with their keys, they are
// strangers' doing: few are kept, the oldest goes first, and only so many a second are answered at
// all.
#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "core/session/proof.hpp"
#include "core/session/sessions.hpp"

namespace peer_relay {

std::optional<Opened> Sessions::handle_open(const Envelope& envelope, MutableBytes body,
                                            TimePoint now, Outbox& out) {
  const auto open = decode_session_open(body);
  if (!open) {
    out.drop(DropReason::malformed);
    return std::nullopt;
  }
  const MessageHash hash = MessageHash::of(open->noise, crypto_);
  if (repeat_answer(envelope, *open, hash, now, out)) return std::nullopt;
  if (loses_against_ours(envelope, *open, now, out)) return std::nullopt;
  if (!answers_allowed_.take(1, now)) {
    out.drop(DropReason::session_limit);
    return std::nullopt;
  }
  if (open->pattern == SessionPattern::ik) return answer_ik(envelope, *open, hash, now, out);
  answer_xx(envelope, *open, hash, now, out);
  return std::nullopt;
}

/// True if this very message came before: then it is answered as before, or not at all.
bool Sessions::repeat_answer(const Envelope& envelope, const SessionOpen& open,
                             const MessageHash& hash, TimePoint now, Outbox& out) {
  const auto known = answered_opens_.find(hash);
  if (known == answered_opens_.end()) {
    if (!early_.has_seen(hash)) return false;
    out.drop(DropReason::replayed);
    return true;
  }
  Answer& answer = *answers_.find(known->second);
  const bool is_same = answer.from == envelope.source && answer.opener_index == open.index;
  if (!is_same || !send_answer_again(answer, now, out)) out.drop(DropReason::replayed);
  return true;
}

/// Both began at once. One of two XX openings is enough, and both ends know which: that of the
/// smaller id. Contents ride in IK ones, which can't wait for another handshake to end: they are
/// answered always, and what is more than one handshake is settled when its keys are installed.
bool Sessions::loses_against_ours(const Envelope& envelope, const SessionOpen& open, TimePoint now,
                                  Outbox& out) {
  const auto at = openings_.find(envelope.source);
  if (at == openings_.end() || open.pattern == SessionPattern::ik) return false;
  if (at->second.pattern == SessionPattern::xx && envelope.source < self_.id) return false;
  out.drop(DropReason::handshake_crossed);
  nudge(envelope, at->second, now, out);
  return true;
}

noise::Handshake Sessions::answerer_handshake(const NodeId& from, noise::Pattern pattern) {
  const auto prologue = session_prologue(options_.network, from, self_.id);
  return noise::Handshake{{.pattern = pattern,
                           .role = noise::Role::responder,
                           .prologue = prologue,
                           .own = self_.keys.agreement(),
                           .remote_static = std::nullopt},
                          crypto_};
}

void Sessions::answer_xx(const Envelope& envelope, const SessionOpen& open, const MessageHash& hash,
                         TimePoint now, Outbox& out) {
  noise::Handshake handshake = answerer_handshake(envelope.source, noise::Pattern::xx);
  const std::uint32_t index = new_index();
  Bytes body;
  encode_session_answer({.opener_index = open.index, .answerer_index = index, .noise = {}}, body);
  if (!handshake.read(open.noise, payload_) ||
      !handshake.write(own_payload(false, {}, now), body)) {
    return out.drop(DropReason::handshake_failed);
  }
  Answer answer{.from = envelope.source,
                .open = hash,
                .opener_index = open.index,
                .body = std::move(body),
                .home = envelope.home,
                .made = now,
                .handshake = std::move(handshake),
                .keys = std::nullopt};
  send_answer(keep_answer(index, std::move(answer)), now, out);
}

std::optional<Opened> Sessions::answer_ik(const Envelope& envelope, const SessionOpen& open,
                                          const MessageHash& hash, TimePoint now, Outbox& out) {
  const NodeId& from = envelope.source;
  noise::Handshake handshake = answerer_handshake(from, noise::Pattern::ik);
  const auto read = handshake.read(open.noise, payload_);
  const auto payload = read ? decode_session_payload(payload_)
                            : Decoded<SessionPayload>{std::unexpected(DecodeError::bad_value)};
  if (!payload || !proves(from, payload->key, handshake.remote_static(), crypto_)) {
    out.drop(DropReason::handshake_failed);
    return std::nullopt;
  }
  const bool is_new = early_.take(hash, payload->unix_ms, now);
  const std::uint32_t index = new_index();
  Bytes body;
  encode_session_answer({.opener_index = open.index, .answerer_index = index, .noise = {}}, body);
  if (!handshake.write(own_payload(is_new, {}, now), body)) {
    out.drop(DropReason::handshake_failed);
    return std::nullopt;
  }
  auto ciphers = handshake.split();
  PEER_RELAY_ASSERT(ciphers.has_value());

  const auto ours = openings_.find(from);
  const bool is_crossed = ours != openings_.end();
  const bool is_suspect = is_crossed && ours->second.is_suspect;
  Answer answer{
      .from = from,
      .open = hash,
      .opener_index = open.index,
      .body = std::move(body),
      .home = envelope.home,
      .made = now,
      .handshake = std::nullopt,
      .keys =
          SessionKeys{std::move(*ciphers), {.own_index = index, .their_index = open.index}, now},
      .key = payload->key,
      .is_preferred = !payload->contents.empty() || is_suspect,
      .is_crossed = is_crossed};
  send_answer(keep_answer(index, std::move(answer)), now, out);
  if (!is_new) return std::nullopt;  // its contents come again, under keys that no replay has

  newest_answers_[from] = index;
  absorb_opening(envelope, now, out);
  return opened(envelope, payload->contents);
}

std::optional<Opened> Sessions::handle_finish(const Envelope& envelope, MutableBytes body,
                                              TimePoint now, Outbox& out) {
  const auto drop = [&out](DropReason reason) {
    out.drop(reason);
    return std::nullopt;
  };
  const auto finish = decode_session_finish(body);
  if (!finish) return drop(DropReason::malformed);
  const NodeId& from = envelope.source;
  Answer* const answer = answers_.find(finish->index);
  if (!answer) {
    if (!keys_named(from, finish->index)) {
      say_unknown(envelope, finish->index, now, out);
      return std::nullopt;
    }
    // It comes again, as they have not heard of us since.
    Session& session = *sessions_.find(from);
    if (session.confirm_at == never) confirm_later(from, session, now);
    return drop(DropReason::replayed);
  }
  if (answer->from != from) return drop(DropReason::forged_source);
  if (!answer->handshake) return drop(DropReason::handshake_failed);

  const auto read = answer->handshake->read(finish->noise, payload_);
  const auto payload = read ? decode_session_payload(payload_)
                            : Decoded<SessionPayload>{std::unexpected(DecodeError::bad_value)};
  Answer taken = take_answer(finish->index);
  if (!payload || !proves(from, payload->key, taken.handshake->remote_static(), crypto_)) {
    return drop(DropReason::handshake_failed);
  }
  auto ciphers = taken.handshake->split();
  PEER_RELAY_ASSERT(ciphers.has_value());
  SessionKeys keys{
      std::move(*ciphers), {.own_index = finish->index, .their_index = taken.opener_index}, now};
  Session& session = install(from, std::move(keys), {.key = payload->key, .home = envelope.home},
                             Rank::current, now);
  forget_finish(from);
  confirm_later(from, session, now);
  absorb_opening(envelope, now, out);
  return opened(envelope, payload->contents);
}

void Sessions::handle_unknown(const Envelope& envelope, MutableBytes body, TimePoint now,
                              Outbox& out) {
  const auto unknown = decode_session_unknown(body);
  if (!unknown) return out.drop(DropReason::malformed);
  const NodeId& from = envelope.source;
  const Sealer sealer = sealer_for(from, now);
  if (!sealer.keys || sealer.keys->their_index() != unknown->index) {
    return out.drop(DropReason::no_session);  // they speak of keys that we don't use (any more)
  }
  TimePoint& reopened = sealer.session ? sealer.session->reopened : sealer.answer->reopened;
  if (now < reopened + reopen_after) return;
  reopened = now;
  const auto at = openings_.find(from);
  Opening* const opening =
      at != openings_.end() ? &at->second : open(from, std::nullopt, nullptr, now, out);
  if (opening) opening->is_suspect = true;
}

// ---- Answers ------------------------------------------------------------------------------------

Sessions::Answer& Sessions::keep_answer(std::uint32_t index, Answer answer) {
  answered_opens_[answer.open] = index;
  auto inserted = answers_.insert(index, std::move(answer));
  if (inserted.displaced) unlink(inserted.displaced->first, inserted.displaced->second);
  arm_sweep(inserted.value.made);
  return inserted.value;
}

void Sessions::send_answer(Answer& answer, TimePoint now, Outbox& out) {
  answer.sent = now;
  out.wish(RouteWish{.kind = EnvelopeKind::session_answer,
                     .tag = new_tag(),
                     .target = answer.from,
                     .via = answer.home,
                     .attempt = static_cast<std::uint8_t>(answer.repeats),
                     .body = answer.body});
}

/// Within bounds, so that nobody makes us send without an end.
bool Sessions::send_answer_again(Answer& answer, TimePoint now, Outbox& out) {
  if (answer.repeats >= answer_repeats_max || now - answer.sent < answer_repeat_after) return false;
  for (int copy = 0; copy < 2; ++copy) {  // the way of the one before was perhaps no good
    ++answer.repeats;
    send_answer(answer, now, out);
  }
  return true;
}

Sessions::Answer Sessions::take_answer(std::uint32_t index) {
  Answer answer = std::move(*answers_.find(index));
  unlink(index, answer);
  answers_.erase(index);
  return answer;
}

void Sessions::unlink(std::uint32_t index, const Answer& answer) {
  const auto open = answered_opens_.find(answer.open);
  if (open != answered_opens_.end() && open->second == index) answered_opens_.erase(open);
  const auto newest = newest_answers_.find(answer.from);
  if (newest != newest_answers_.end() && newest->second == index) newest_answers_.erase(newest);
}

}  // namespace peer_relay
