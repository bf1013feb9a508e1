// SPDX-License-Identifier: MIT
//
// What stands: sealing, opening, replacing and forgetting keys. Our own handshakes are in
// sessions_open.cpp, those of others in sessions_answer.cpp.
#include "core/session/sessions.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/reader.hpp"

namespace peer_relay {

Sessions::Sessions(const Identity& self, Crypto& crypto, Random random, Options options)
    : self_(self),
      crypto_(crypto),
      random_(random),
      options_(options),
      early_(options.unix_ms_at_zero, options.started),
      sessions_(options.sessions_max) {}

void Sessions::seal(SealWish wish, const std::optional<PublicKey>& known_key, TimePoint now,
                    Outbox& out) {
  PEER_RELAY_ASSERT(wish.content.size() > session_data_header_bytes);
  const NodeId to = wish.to;
  const auto opening = openings_.find(to);
  const bool is_opening = opening != openings_.end();
  const Sealer sealer = sealer_for(to, now);
  if (!sealer.keys || (is_opening && opening->second.is_suspect)) {
    return wait(std::move(wish), known_key, now, out);
  }
  send_data(to, sealer, std::move(wish), now, out);
  const bool wants_successor = sealer.keys->wants_successor(options_.messages_max, now);
  if (wants_successor && !is_opening) open(to, known_key, nullptr, now, out);
}

std::optional<Opened> Sessions::handle(const Envelope& envelope, MutableBytes body, TimePoint now,
                                       Outbox& out) {
  if (envelope.source == self_.id) {
    out.drop(DropReason::forged_source);
    return std::nullopt;
  }
  switch (envelope.kind) {
    case EnvelopeKind::session_open:
      return handle_open(envelope, body, now, out);
    case EnvelopeKind::session_answer:
      return handle_answer(envelope, body, now, out);
    case EnvelopeKind::session_finish:
      return handle_finish(envelope, body, now, out);
    case EnvelopeKind::session_data:
      return handle_data(envelope, body, now, out);
    case EnvelopeKind::session_unknown:
      handle_unknown(envelope, body, now, out);
      return std::nullopt;
    default:
      out.drop(DropReason::unknown_frame);
      return std::nullopt;
  }
}

void Sessions::wake(TimePoint now, Outbox& out) {
  while (const auto id = timers_.pop_due(now)) attend(*id, now, out);
  if (now >= sweep_at_) sweep(now);
}

TimePoint Sessions::next_wake() const { return std::min(timers_.next(), sweep_at_); }

std::optional<PublicKey> Sessions::key_of(const NodeId& id) const {
  if (const Session* const session = sessions_.peek(id)) return session->key;
  const auto answer = newest_answers_.find(id);
  if (answer != newest_answers_.end()) return answers_.peek(answer->second)->key;
  return std::nullopt;
}

// ---- Sealing ------------------------------------------------------------------------------------

Sessions::Sealer Sessions::sealer_for(const NodeId& to, TimePoint now) {
  Session* const session = sessions_.find(to);
  SessionKeys* const current = session ? session->current.get() : nullptr;
  const bool current_seals = current && current->may_seal(now);
  const auto newest = newest_answers_.find(to);
  if (newest != newest_answers_.end()) {
    Answer& answer = *answers_.find(newest->second);
    const bool is_better = !current_seals || (answer.is_preferred && answer.made > current->made());
    if (is_better && answer.keys->may_seal(now)) {
      return {.keys = &*answer.keys, .session = nullptr, .answer = &answer};
    }
  }
  if (!current_seals) return {};
  return {.keys = current, .session = session, .answer = nullptr};
}

void Sessions::send_data(const NodeId& to, Sealer sealer, SealWish wish, TimePoint now,
                         Outbox& out) {
  PEER_RELAY_ASSERT(sealer.keys->may_seal(now));
  sealer.keys->seal(wish.content, header_, crypto_);
  if (sealer.session) {
    sealer.session->confirm_at = never;
    sealer.session->careful = sealer.session->careful || wish.careful;
    wish.careful = sealer.session->careful;
  }
  const std::uint32_t tag = new_tag();
  if (wish.token != 0) out.wish(ContentLeft{.token = wish.token, .tag = tag});
  out.wish(RouteWish{.kind = EnvelopeKind::session_data,
                     .tag = tag,
                     .target = to,
                     .via = sealer.home(),
                     .attempt = wish.attempt,
                     .careful = wish.careful,
                     .body = std::move(wish.content)});
}

std::optional<NodeId> Sessions::home_of(const NodeId& id) const {
  const Session* const session = sessions_.peek(id);
  return session ? session->home : std::nullopt;
}

// ---- Opening ------------------------------------------------------------------------------------

std::optional<Opened> Sessions::opened(const Envelope& envelope,
                                       std::span<const BytesView> contents) {
  if (contents.empty()) return std::nullopt;
  contents_.assign(contents.begin(), contents.end());
  return Opened{.from = envelope.source, .hops_left = envelope.hops_left, .contents = contents_};
}

std::optional<Opened> Sessions::handle_data(const Envelope& envelope, MutableBytes body,
                                            TimePoint now, Outbox& out) {
  const auto drop = [&out](DropReason reason) {
    out.drop(reason);
    return std::nullopt;
  };
  const auto data = decode_session_data(body);
  if (!data) return drop(DropReason::malformed);
  const MutableBytes sealed = body.subspan(session_data_header_bytes);

  SessionKeys* keys = nullptr;
  const auto named = indices_.find(data->index);
  Answer* const answer = named == indices_.end() ? answers_.find(data->index) : nullptr;
  if (named != indices_.end()) {
    if (named->second != envelope.source) return drop(DropReason::forged_source);
    keys = keys_named(named->second, data->index);
    if (!keys) return drop(DropReason::no_session);  // came before the answer to our opening
  } else if (answer) {
    if (answer->from != envelope.source) return drop(DropReason::forged_source);
    if (answer->handshake) {  // FINISH was lost: let it be repeated
      send_answer_again(*answer, now, out);
      return drop(DropReason::no_session);
    }
    keys = &*answer->keys;
  }
  if (!keys || keys->is_dead(now)) {
    say_unknown(envelope, data->index, now, out);
    return std::nullopt;
  }

  const auto plain = keys->open(data->counter, sealed, now, crypto_);
  if (!plain) return drop(plain.error());
  if (answer) {
    promote(envelope, data->index, now, out);
  } else if (const auto newest = newest_answers_.find(envelope.source);
             newest != newest_answers_.end()) {
    answers_.find(newest->second)->is_preferred = false;  // they use what keys there were before
  }
  Session& session = *sessions_.find(envelope.source);
  session.home = envelope.home;
  forget_finish(envelope.source);
  if (plain->empty()) return std::nullopt;  // it only confirms the keys
  const BytesView content = *plain;
  return opened(envelope, {&content, 1});
}

SessionKeys* Sessions::keys_named(const NodeId& id, std::uint32_t index) {
  Session* const session = sessions_.find(id);
  if (!session) return nullptr;
  for (SessionKeys* const keys : {session->current.get(), session->previous.get()}) {
    if (keys && keys->own_index() == index) return keys;
  }
  return nullptr;
}

void Sessions::say_unknown(const Envelope& envelope, std::uint32_t index, TimePoint now,
                           Outbox& out) {
  out.drop(DropReason::no_session);
  if (!unknowns_allowed_.take(1, now)) return;
  Bytes body;
  encode_session_unknown({.index = index}, body);
  out.wish(RouteWish{.kind = EnvelopeKind::session_unknown,
                     .tag = new_tag(),
                     .target = envelope.source,
                     .via = envelope.home,
                     .body = std::move(body)});
}

// ---- Keeping ------------------------------------------------------------------------------------

Sessions::Session& Sessions::install(const NodeId& id, SessionKeys keys, const Proven& proven,
                                     Rank rank, TimePoint now) {
  Session* session = sessions_.find(id);
  if (!session) {
    auto inserted = sessions_.insert(id, Session{});
    if (inserted.displaced) {
      forget_keys(inserted.displaced->second.current);
      forget_keys(inserted.displaced->second.previous);
      forget_finish(inserted.displaced->first);
    }
    session = &inserted.value;
  }
  indices_.emplace(keys.own_index(), id);
  forget_keys(session->previous);
  if (rank == Rank::current) {
    std::swap(session->previous, session->current);
    session->current = std::make_unique<SessionKeys>(std::move(keys));
    session->confirm_at = never;
  } else {
    session->previous = std::make_unique<SessionKeys>(std::move(keys));
  }
  session->key = proven.key;
  session->home = proven.home;
  session->careful = proven.careful;
  arm_sweep(now);
  return *session;
}

/// Whether we seal with keys of a handshake that ended since, begun by us or by them.
bool Sessions::has_keys_since(const NodeId& id, TimePoint since, bool opened_by_us) const {
  const Session* const session = sessions_.peek(id);
  return session && session->current && session->current->made() >= since &&
         session->current->opened_by_us() == opened_by_us;
}

/// Keys of an answer that the opener has shown to have. Where two handshakes crossed, both ends go
/// on with the keys that the smaller id began, and open with the others what was sealed meanwhile.
void Sessions::promote(const Envelope& envelope, std::uint32_t index, TimePoint now, Outbox& out) {
  const NodeId& from = envelope.source;
  Answer answer = take_answer(index);
  forget_finish(from);
  const bool ours_stands =
      answer.is_crossed && self_.id < from && has_keys_since(from, answer.made, true);
  install(from, std::move(*answer.keys), {.key = answer.key, .home = envelope.home},
          ours_stands ? Rank::previous : Rank::current, now);
  absorb_opening(envelope, now, out);
}

void Sessions::confirm_later(const NodeId& id, Session& session, TimePoint now) {
  session.confirm_at = now + confirm_after;
  timers_.arm(session.confirm_at, id);
}

void Sessions::forget_keys(std::unique_ptr<SessionKeys>& keys) {
  if (!keys) return;
  indices_.erase(keys->own_index());
  keys.reset();
}

void Sessions::attend(const NodeId& id, TimePoint now, Outbox& out) {
  attend_opening(id, now, out);
  attend_finish(id, now, out);
  Session* const session = sessions_.find(id);
  if (!session || now < session->confirm_at) return;
  session->confirm_at = never;
  if (!session->current || !session->current->may_seal(now)) return;
  SealWish empty{.to = id, .content = Bytes(session_data_header_bytes)};
  send_data(id, {.keys = session->current.get(), .session = session, .answer = nullptr},
            std::move(empty), now, out);
}

/// Dead keys open nothing, wherever they are met; this is where they are wiped.
void Sessions::sweep(TimePoint now) {
  bool has_keys = false;
  for (auto& [id, session] : sessions_) {
    if (session.previous && session.previous->is_dead(now)) forget_keys(session.previous);
    if (session.current && session.current->is_dead(now)) forget_keys(session.current);
    has_keys = has_keys || session.current || session.previous;
  }
  std::vector<std::uint32_t> old;
  for (const auto& [index, answer] : answers_) {
    const bool is_old = answer.keys ? answer.keys->is_dead(now)
                                    : now - answer.made >= 2 * limits::session_handshake_timeout;
    if (is_old) old.push_back(index);
  }
  for (const std::uint32_t index : old) take_answer(index);
  sweep_at_ = has_keys || !answers_.empty() ? now + sweep_every : never;
}

void Sessions::arm_sweep(TimePoint now) {
  if (sweep_at_ == never) sweep_at_ = now + sweep_every;
}

// ---- Small tools --------------------------------------------------------------------------------

/// Unguessable, as it is all that a stranger lacks to speak of a session.
std::uint32_t Sessions::new_index() {
  for (;;) {
    std::array<std::uint8_t, 4> bytes;
    crypto_.random(bytes);
    Reader in{bytes};
    const std::uint32_t index = in.u32();
    if (!indices_.contains(index) && !answers_.peek(index)) return index;
  }
}

/// Not 0, which in ContentLeft says that there is none.
std::uint32_t Sessions::new_tag() {
  for (;;) {
    if (const auto tag = static_cast<std::uint32_t>(random_.next())) return tag;
  }
}

Bytes Sessions::own_payload(bool early_taken, std::span<const SealWish> contents,
                            TimePoint now) const {
  SessionPayload payload{.key = self_.keys.public_key,
                         .unix_ms = early_.unix_ms(now),
                         .early_taken = early_taken,
                         .contents = {}};
  for (const SealWish& wish : contents) {
    payload.contents.push_back(BytesView{wish.content}.subspan(session_data_header_bytes));
  }
  Bytes out;
  encode_session_payload(payload, out);
  return out;
}

}  // namespace peer_relay
