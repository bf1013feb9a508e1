// SPDX-License-Identifier: MIT
//
// Handshakes that we begin, what waits for them, and how they end.
#include <algorithm>
#include <iterator>
#include <utility>

#include "base/assert.hpp"
#include "core/session/proof.hpp"
#include "core/session/sessions.hpp"

namespace peer_relay {

// ---- Waiting ------------------------------------------------------------------------------------

void Sessions::wait(SealWish wish, const std::optional<PublicKey>& known_key, TimePoint now,
                    Outbox& out) {
  const NodeId to = wish.to;
  if (held_bytes_ + wish.content.size() > limits::waiting_bytes_max) return refuse(wish, out);
  const auto at = openings_.find(to);
  if (at == openings_.end()) {
    if (openings_.size() >= openings_max) return refuse(wish, out);
    open(to, known_key, &wish, now, out);
    return;
  }
  if (at->second.waiting.size() >= limits::session_waiting_max) return refuse(wish, out);
  keep_waiting(at->second, std::move(wish));
}

void Sessions::keep_waiting(Opening& opening, SealWish wish) {
  ++waiting_;
  held_bytes_ += wish.content.size();
  opening.waiting.push_back(std::move(wish));
}

void Sessions::refuse(const SealWish& wish, Outbox& out) {
  if (wish.token == 0) return out.drop(DropReason::waiting_full);
  out.wish(ContentFailed{.token = wish.token, .outcome = SendResult::Outcome::refused});
}

/// How many of those waiting ride in one handshake message: the first ones, as they are.
std::size_t Sessions::riding(std::span<const SealWish> waiting) {
  std::size_t count = 0;
  std::size_t bytes = 0;
  for (const SealWish& wish : waiting) {
    bytes += sizeof(std::uint16_t) + wish.content.size() - session_data_header_bytes;
    if (bytes > early_bytes_max) break;
    ++count;
  }
  return count;
}

// ---- Beginning ----------------------------------------------------------------------------------

/// Begins a handshake, beside the session if there is one. Null, and nothing begun, where there are
/// too many.
Sessions::Opening* Sessions::open(const NodeId& to, const std::optional<PublicKey>& known_key,
                                  SealWish* first, TimePoint now, Outbox& out) {
  if (openings_.size() >= openings_max) return nullptr;
  const auto remote_static = agreement_key(to, known_key);
  Opening opening{
      .pattern = remote_static ? SessionPattern::ik : SessionPattern::xx,
      .index = new_index(),
      .remote_static = remote_static,
      .handshake = opener_handshake(to, remote_static),
      .message = Repeat{EnvelopeKind::session_open, {}, now},
      .began = now,
      .waiting = {},
  };
  indices_.emplace(opening.index, to);
  if (first) keep_waiting(opening, std::move(*first));
  opening.message.replace(write_open(opening, now));
  held_bytes_ += opening.message.body().size();
  Opening& kept = openings_.emplace(to, std::move(opening)).first->second;
  send(to, kept.message, new_tag(), home_of(to), now, out);
  return &kept;
}

/// What another node proved counts more than what a contact says; both are checked against the id.
std::optional<AgreementKey> Sessions::agreement_key(const NodeId& id,
                                                    const std::optional<PublicKey>& known_key) {
  if (const auto proven = key_of(id)) return agreement_key_of(id, *proven, crypto_);
  if (known_key) return agreement_key_of(id, *known_key, crypto_);
  return std::nullopt;
}

noise::Handshake Sessions::opener_handshake(const NodeId& to,
                                            const std::optional<AgreementKey>& remote_static) {
  const auto prologue = session_prologue(options_.network, self_.id, to);
  return noise::Handshake{{.pattern = remote_static ? noise::Pattern::ik : noise::Pattern::xx,
                           .role = noise::Role::initiator,
                           .prologue = prologue,
                           .own = self_.keys.agreement(),
                           .remote_static = remote_static},
                          crypto_};
}

/// The body of SESSION_OPEN. Its bytes stay the same however often it is sent, so that its contents
/// are taken once.
Bytes Sessions::write_open(Opening& opening, TimePoint now) {
  Bytes body;
  encode_session_open({.pattern = opening.pattern, .index = opening.index, .noise = {}}, body);
  Bytes payload;
  if (opening.pattern == SessionPattern::ik) {
    opening.early = riding(opening.waiting);
    payload = own_payload(false, std::span{opening.waiting}.first(opening.early), now);
  }
  const auto written = opening.handshake.write(payload, body);
  PEER_RELAY_ASSERT(written.has_value());
  return body;
}

void Sessions::send(const NodeId& to, Repeat& message, std::uint32_t tag,
                    const std::optional<NodeId>& via, TimePoint now, Outbox& out) {
  const bool careful = message.is_careful();
  const std::uint8_t attempt = message.note_sent(tag, now);
  tags_[tag] = to;
  timers_.arm(message.next(), to);
  out.wish(RouteWish{.kind = message.kind(),
                     .tag = tag,
                     .target = to,
                     .via = via,
                     .attempt = attempt,
                     .careful = careful,
                     .body = message.body()});
}

void Sessions::repeat(const NodeId& to, Opening& opening, TimePoint now, Outbox& out) {
  if (opening.is_spoiled) renew(to, opening, now, out);
  send(to, opening.message, new_tag(), home_of(to), now, out);
}

/// A new handshake in place of one that a bad answer has spoiled. Contents that rode in it may have
/// been taken at the other end: only those that can be told from their copies go again.
void Sessions::renew(const NodeId& to, Opening& opening, TimePoint now, Outbox& out) {
  const auto rode = opening.waiting.begin() + static_cast<std::ptrdiff_t>(opening.early);
  const auto lost = [&](const SealWish& wish) {
    if (wish.token != 0) return false;
    out.drop(DropReason::expired);
    --waiting_;
    held_bytes_ -= wish.content.size();
    return true;
  };
  opening.waiting.erase(std::remove_if(opening.waiting.begin(), rode, lost), rode);

  indices_.erase(opening.index);
  opening.index = new_index();
  indices_.emplace(opening.index, to);
  opening.handshake = opener_handshake(to, opening.remote_static);
  opening.is_spoiled = false;
  held_bytes_ -= opening.message.body().size();
  opening.message.replace(write_open(opening, now));
  held_bytes_ += opening.message.body().size();
}

// ---- Answered -----------------------------------------------------------------------------------

std::optional<Opened> Sessions::handle_answer(const Envelope& envelope, MutableBytes body,
                                              TimePoint now, Outbox& out) {
  const auto drop = [&out](DropReason reason) {
    out.drop(reason);
    return std::nullopt;
  };
  const auto answer = decode_session_answer(body);
  if (!answer) return drop(DropReason::malformed);
  const NodeId& from = envelope.source;
  const auto at = openings_.find(from);
  if (at == openings_.end() || at->second.index != answer->opener_index) {
    const bool is_known = repeat_finish(from, answer->opener_index, now, out);
    return drop(is_known ? DropReason::replayed : DropReason::no_session);
  }
  Opening& opening = at->second;
  if (opening.is_spoiled) return drop(DropReason::handshake_failed);

  const auto read = opening.handshake.read(answer->noise, payload_);
  const auto payload = read ? decode_session_payload(payload_)
                            : Decoded<SessionPayload>{std::unexpected(DecodeError::bad_value)};
  if (!payload || !proves(from, payload->key, opening.handshake.remote_static(), crypto_)) {
    opening.is_spoiled = true;
    opening.is_refused = true;
    return drop(DropReason::handshake_failed);
  }
  if (opening.pattern == SessionPattern::ik) {
    complete_ik(envelope, *answer, *payload, now, out);
  } else {
    complete_xx(envelope, *answer, *payload, now, out);
  }
  return opened(envelope, payload->contents);
}

void Sessions::complete_ik(const Envelope& envelope, const SessionAnswer& answer,
                           const SessionPayload& payload, TimePoint now, Outbox& out) {
  const NodeId& to = envelope.source;
  Opening opening = take_opening(to);
  auto ciphers = opening.handshake.split();
  PEER_RELAY_ASSERT(ciphers.has_value());
  SessionKeys keys{
      std::move(*ciphers),
      {.own_index = opening.index, .their_index = answer.answerer_index, .opened_by_us = true},
      now};
  const Proven proven{
      .key = payload.key, .home = envelope.home, .careful = opening.message.is_careful()};
  const bool theirs_stands = to < self_.id && has_keys_since(to, opening.began, false);
  install(to, std::move(keys), proven, theirs_stands ? Rank::previous : Rank::current, now);
  forget_finish(to);

  if (payload.early_taken) {
    const auto rode = opening.waiting.begin() + static_cast<std::ptrdiff_t>(opening.early);
    // No tag: the envelope that they left in is an opening, of which no notice can be any more.
    std::for_each(opening.waiting.begin(), rode, [&out](const SealWish& wish) {
      if (wish.token != 0) out.wish(ContentLeft{.token = wish.token, .tag = 0});
    });
    opening.waiting.erase(opening.waiting.begin(), rode);
  }
  flush(std::move(opening.waiting), now, out);
  Session& session = *sessions_.find(to);
  if (!theirs_stands && session.current->sealed_count() == 0) confirm_later(to, session, now);
}

void Sessions::complete_xx(const Envelope& envelope, const SessionAnswer& answer,
                           const SessionPayload& payload, TimePoint now, Outbox& out) {
  const NodeId& to = envelope.source;
  Opening opening = take_opening(to);
  const std::size_t rides = riding(opening.waiting);
  const auto rode = opening.waiting.begin() + static_cast<std::ptrdiff_t>(rides);
  Bytes body;
  encode_session_finish({.index = answer.answerer_index, .noise = {}}, body);
  const auto written = opening.handshake.write(
      own_payload(false, std::span{opening.waiting}.first(rides), now), body);
  if (!written) {  // the key that was proven makes a secret of zeros: nobody's honest key
    out.drop(DropReason::handshake_failed);
    for (const SealWish& wish : opening.waiting) fail_one(wish, refusal_of(to), out);
    return;
  }
  auto ciphers = opening.handshake.split();
  PEER_RELAY_ASSERT(ciphers.has_value());
  SessionKeys keys{
      std::move(*ciphers),
      {.own_index = opening.index, .their_index = answer.answerer_index, .opened_by_us = true},
      now};
  const bool careful = opening.message.is_careful();
  install(to, std::move(keys), {.key = payload.key, .home = envelope.home, .careful = careful},
          Rank::current, now);

  const std::uint32_t tag = new_tag();
  std::for_each(opening.waiting.begin(), rode, [&](const SealWish& wish) {
    if (wish.token != 0) out.wish(ContentLeft{.token = wish.token, .tag = tag});
  });
  opening.waiting.erase(opening.waiting.begin(), rode);
  send_finish(to, opening.index, std::move(body), tag, now, out);
  flush(std::move(opening.waiting), now, out);
}

void Sessions::send_finish(const NodeId& to, std::uint32_t opener_index, Bytes body,
                           std::uint32_t tag, TimePoint now, Outbox& out) {
  forget_finish(to);
  held_bytes_ += body.size();
  const auto finish = finishes_.emplace(
      to, Finish{.opener_index = opener_index,
                 .message = Repeat{EnvelopeKind::session_finish, std::move(body), now}});
  const Session* const session = sessions_.peek(to);
  if (session && session->careful) finish.first->second.message.take_care();
  send(to, finish.first->second.message, tag, home_of(to), now, out);
  if (finishes_.size() > openings_max) forget_finish(to);  // it was sent; it will not be repeated
}

/// The other end answers again: it did not get our FINISH. False if there is none for that index.
bool Sessions::repeat_finish(const NodeId& to, std::uint32_t opener_index, TimePoint now,
                             Outbox& out) {
  const auto at = finishes_.find(to);
  if (at == finishes_.end() || at->second.opener_index != opener_index) return false;
  Repeat& message = at->second.message;
  const bool is_soon = now - message.sent() < answer_repeat_after;
  if (!is_soon && message.tags().size() < answer_repeats_max) {
    for (int copy = 0; copy < 2; ++copy) send(to, message, new_tag(), home_of(to), now, out);
  }
  return true;
}

/// Sends what waited, with what keys there are now.
void Sessions::flush(std::vector<SealWish> waiting, TimePoint now, Outbox& out) {
  for (SealWish& wish : waiting) seal(std::move(wish), std::nullopt, now, out);
}

/// Their opening has given us keys, so nothing has to wait for ours but what rides in it: whether
/// that was taken only its answer tells. An IK opening goes on even if nothing rides: they may have
/// answered it already, and use its keys.
void Sessions::absorb_opening(const Envelope& envelope, TimePoint now, Outbox& out) {
  const NodeId& to = envelope.source;
  const auto at = openings_.find(to);
  if (at == openings_.end()) return;
  Opening& opening = at->second;
  if (opening.pattern == SessionPattern::xx) return flush(take_opening(to).waiting, now, out);
  opening.is_suspect = false;
  nudge(envelope, opening, now, out);
  flush(keep_early(opening), now, out);
}

/// They were heard while ours went unanswered. Perhaps it can't find them, but can by the way that
/// theirs names.
void Sessions::nudge(const Envelope& theirs, Opening& ours, TimePoint now, Outbox& out) {
  if (!theirs.home || ours.is_nudged || ours.is_spoiled) return;
  ours.is_nudged = true;
  send(theirs.source, ours.message, new_tag(), theirs.home, now, out);
}

/// Takes out what does not ride in the opening.
std::vector<SealWish> Sessions::keep_early(Opening& opening) {
  const auto rest = opening.waiting.begin() + static_cast<std::ptrdiff_t>(opening.early);
  std::vector<SealWish> out{std::make_move_iterator(rest),
                            std::make_move_iterator(opening.waiting.end())};
  opening.waiting.erase(rest, opening.waiting.end());
  waiting_ -= out.size();
  for (const SealWish& wish : out) held_bytes_ -= wish.content.size();
  return out;
}

// ---- Not answered -------------------------------------------------------------------------------

void Sessions::attend_opening(const NodeId& id, TimePoint now, Outbox& out) {
  const auto at = openings_.find(id);
  if (at == openings_.end()) return;
  Opening& opening = at->second;
  const Repeat& message = opening.message;
  if (!message.is_over(now)) {
    if (!message.is_due(now)) return;
    // Whoever dropped it may be on more than one way.
    opening.message.back_off();
    repeat(id, opening, now, out);
    return repeat(id, opening, now, out);
  }
  if (opening.is_refused) return fail(id, refusal_of(id), out);
  if (message.reason() == UnreachableReason::none) return fail(id, {}, out);
  fail(id, no_way_of(message), out);
}

void Sessions::attend_finish(const NodeId& id, TimePoint now, Outbox& out) {
  const auto at = finishes_.find(id);
  if (at == finishes_.end()) return;
  Repeat& message = at->second.message;
  if (message.is_over(now)) return forget_finish(id);
  if (!message.is_due(now)) return;
  message.back_off();
  for (int copy = 0; copy < 2; ++copy) send(id, message, new_tag(), home_of(id), now, out);
}

bool Sessions::unreachable(std::uint32_t tag, UnreachableReason reason, const NodeId& where,
                           TimePoint now, Outbox& out) {
  const auto named = tags_.find(tag);
  if (named == tags_.end()) return false;
  const NodeId to = named->second;
  tags_.erase(named);  // one notice for each try

  // A while later it may be over, without another path: the next try is soon enough.
  const bool passes = reason == UnreachableReason::queue_full ||
                      reason == UnreachableReason::rate_limited ||
                      reason == UnreachableReason::no_links;
  const auto opening = openings_.find(to);
  if (opening != openings_.end() && opening->second.message.has_tag(tag)) {
    opening->second.message.turned_back(reason, where);
    if (!passes) opening_unreachable(opening->second, to, tag, now, out);
    return true;
  }
  const auto finish = finishes_.find(to);
  PEER_RELAY_ASSERT(finish != finishes_.end());
  Repeat& message = finish->second.message;
  message.turned_back(reason, where);
  if (!passes && ++message.notices < notices_max) {
    message.take_care();
    send(to, message, new_tag(), home_of(to), now, out);
  }
  return true;
}

/// A notice is a hint. Who stands closest to a node may be there to deny it, so careful ways must
/// end too, the first of them tried at once; and who has just joined, or lost a neighbour, is found
/// a moment later, so the other two are tried when it is time to repeat.
void Sessions::opening_unreachable(Opening& opening, const NodeId& to, std::uint32_t tag,
                                   TimePoint now, Outbox& out) {
  Repeat& message = opening.message;
  if (!message.is_careful()) {
    message.take_care();
    return repeat(to, opening, now, out);
  }
  if (!message.was_careful(tag) || ++message.notices < notices_max) return;
  fail(to, no_way_of(message), out);
}

void Sessions::fail(const NodeId& to, const ContentFailed& why, Outbox& out) {
  for (const SealWish& wish : take_opening(to).waiting) fail_one(wish, why, out);
}

void Sessions::fail_one(const SealWish& wish, ContentFailed why, Outbox& out) {
  if (wish.token == 0) return out.drop(DropReason::expired);
  why.token = wish.token;
  out.wish(why);
}

ContentFailed Sessions::no_way_of(const Repeat& message) {
  return {.outcome = SendResult::Outcome::unreachable,
          .reason = message.reason(),
          .where = message.where()};
}

ContentFailed Sessions::refusal_of(const NodeId& id) {
  return {.outcome = SendResult::Outcome::unreachable,
          .reason = UnreachableReason::session_refused,
          .where = id};
}

// ---- Forgetting ---------------------------------------------------------------------------------

Sessions::Opening Sessions::take_opening(const NodeId& to) {
  const auto at = openings_.find(to);
  PEER_RELAY_ASSERT(at != openings_.end());
  Opening opening = std::move(at->second);
  openings_.erase(at);
  indices_.erase(opening.index);
  release(opening.message);
  waiting_ -= opening.waiting.size();
  for (const SealWish& wish : opening.waiting) held_bytes_ -= wish.content.size();
  return opening;
}

void Sessions::forget_finish(const NodeId& to) {
  const auto at = finishes_.find(to);
  if (at == finishes_.end()) return;
  release(at->second.message);
  finishes_.erase(at);
}

void Sessions::release(const Repeat& message) {
  for (const std::uint32_t tag : message.tags()) tags_.erase(tag);
  held_bytes_ -= message.body().size();
}

}  // namespace peer_relay
