// SPDX-License-Identifier: MIT
//
// Sealed conversations, end to end. A first content for a node opens a session with it: by Noise XX
// if its key is unknown, by IK if it is known, and then the first contents ride in the first
// message. What can't ride waits, within bounds. A session's keys are replaced after two minutes by
// a handshake beside it, while the old ones go on working.
//
// What we hold of strangers is bounded apart from what we hold of peers who have proven that they
// live: keys of an opening stand among the `answers_` until something was opened with them, and
// only then take the place of the session that was idle longest.
//
// Where we depart from WireGuard, whose rules these are otherwise (Donenfeld 2017, §5 and §6):
//  - Keys of an answered IK opening may seal before they are confirmed, if the opening is certainly
//    new (early_data.hpp) and there are no older keys, or it carries contents: who can still use
//    older keys sends its contents with them.
//  - Who completes a handshake and has nothing to say for confirm_after sends an empty content, so
//    that the other end knows that the new keys stand.
//  - Who meets an index that it does not know says so (SESSION_UNKNOWN). That is a hint: a
//  handshake
//    starts beside the session, and contents wait for its end.
//
// No content is opened twice by one process: what rode in an opening goes again only if an answer
// says that it was not taken. This room does not know what contents mean and promises no more of
// them: see delivery/.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/lru_map.hpp"
#include "base/random.hpp"
#include "base/timers.hpp"
#include "base/token_bucket.hpp"
#include "core/crypto/crypto.hpp"
#include "core/crypto/identity.hpp"
#include "core/noise/handshake.hpp"
#include "core/outbox.hpp"
#include "core/session/early_data.hpp"
#include "core/session/repeat.hpp"
#include "core/session/session_keys.hpp"
#include "core/wire/envelope.hpp"
#include "core/wire/hello.hpp"
#include "core/wire/sealed.hpp"
#include "peer_relay/keys.hpp"
#include "peer_relay/limits.hpp"

namespace peer_relay {

/// What a seal held. Valid until the next call into Sessions, and as long as the body it came in.
struct Opened {
  NodeId from{};  ///< has proven its id
  std::uint8_t hops_left = 0;
  std::span<const BytesView> contents;
};

class Sessions {
 public:
  /// Handshakes that we began: 1 KiB each without the contents that wait, which have their own
  /// bound.
  static constexpr std::size_t openings_max = 4096;
  /// Openings of others that we answered and that are not confirmed yet: 1 KiB each. The oldest
  /// goes first; with answers_per_second it had two seconds.
  static constexpr std::size_t answers_max = 2048;
  /// An answer costs 0.4 ms of CPU: strangers may have less than half a core.
  static constexpr std::uint64_t answers_per_second = 1000;
  /// How often one answer is repeated at most, and how soon after the time before.
  static constexpr int answer_repeats_max = 16;
  static constexpr Duration answer_repeat_after = std::chrono::milliseconds{100};
  /// SESSION_UNKNOWN notes, to all nodes together.
  static constexpr std::uint64_t unknowns_per_second = 200;
  /// A handshake for such a note, to one node.
  static constexpr Duration reopen_after = std::chrono::seconds{1};
  /// What rides in a handshake message: some small contents, or one that fits a few datagrams.
  static constexpr std::size_t early_bytes_max = 16 << 10;
  /// Who answered a handshake renews keys this much later, so that two talkers rarely do so at
  /// once.
  static constexpr Duration answerer_patience = std::chrono::seconds{10};
  /// Long enough for an answer to what was just sent, short against session_handshake_retry.
  static constexpr Duration confirm_after = std::chrono::milliseconds{100};
  /// Careful tries of an opening that must find no way before the node is unreachable; and tries of
  /// what finishes one that are made for notices, before its time to repeat.
  static constexpr int notices_max = 3;
  /// How long dead keys may lie about before they are wiped.
  static constexpr Duration sweep_every = std::chrono::seconds{30};

  struct Options {
    NetworkHash network{};
    std::size_t sessions_max = 4096;
    std::int64_t unix_ms_at_zero = 0;  ///< the wall clock at TimePoint{}
    TimePoint started{};
    std::uint64_t messages_max = limits::session_messages_max;  ///< under one key
  };

  /// `self` and `crypto` outlive this.
  Sessions(const Identity& self, Crypto& crypto, Random random, Options options);

  /// Seals a content and sends it, now or when there are keys. With a token, one ContentLeft or
  /// ContentFailed follows. `known_key`: of the target, from its contact; a key of another node is
  /// as good as none.
  void seal(SealWish wish, const std::optional<PublicKey>& known_key, TimePoint now, Outbox& out);

  /// One of the five SESSION_* envelopes, that arrived for us. `body` is its body, to be opened in
  /// place.
  std::optional<Opened> handle(const Envelope& envelope, MutableBytes body, TimePoint now,
                               Outbox& out);

  /// An envelope with this tag went no further. False if it was no handshake of ours.
  bool unreachable(std::uint32_t tag, UnreachableReason reason, const NodeId& where, TimePoint now,
                   Outbox& out);

  void wake(TimePoint now, Outbox& out);
  TimePoint next_wake() const;

  std::size_t size() const { return sessions_.size(); }
  /// Contents that wait for keys.
  std::size_t waiting() const { return waiting_; }
  /// The key that a node proved in a handshake, as long as we remember it.
  std::optional<PublicKey> key_of(const NodeId& id) const;

 private:
  /// A conversation that stands, or stood and whose other end we remember.
  struct Session {
    PublicKey key{};
    std::optional<NodeId> home;             ///< what we send goes by it, as the other end last said
    bool careful = false;                   ///< only so it was reached lately
    std::unique_ptr<SessionKeys> current;   ///< most sessions that we remember have keys no more
    std::unique_ptr<SessionKeys> previous;  ///< opens what is still on its way
    TimePoint reopened = TimePoint::min();
    TimePoint confirm_at = never;
  };

  /// A handshake that we began, and what waits for it.
  struct Opening {
    SessionPattern pattern = SessionPattern::xx;
    std::uint32_t index = 0;
    std::optional<AgreementKey> remote_static;
    noise::Handshake handshake;
    Repeat message;
    TimePoint began{};
    std::size_t early = 0;    ///< so many of those waiting ride in the message
    bool is_suspect = false;  ///< the keys that there are seem to be unknown at the other end
    bool is_refused = false;  ///< who answered did not prove the id
    bool is_spoiled = false;  ///< by an answer that was not good: the next try is a new handshake
    bool is_nudged = false;   ///< was repeated once out of turn
    std::vector<SealWish> waiting;
  };

  /// Our last message of an XX handshake, repeated until the other end is heard.
  struct Finish {
    std::uint32_t opener_index = 0;
    Repeat message;
  };

  /// A handshake that another node began, answered and not confirmed. By our index.
  struct Answer {
    NodeId from{};
    MessageHash open;
    std::uint32_t opener_index = 0;
    Bytes body;  ///< of the answer, to repeat it
    std::optional<NodeId> home;
    TimePoint made{};
    TimePoint sent{};
    int repeats = 0;
    std::optional<noise::Handshake> handshake;  ///< XX: waits for FINISH
    std::optional<SessionKeys> keys;            ///< IK: wait for the first content
    PublicKey key{};                            ///< IK
    bool is_preferred = false;  ///< perhaps the opener can't use what keys there were before
    bool is_crossed = false;    ///< we had begun a handshake too
    TimePoint reopened = TimePoint::min();
  };

  /// Keys to seal with, and what goes with them.
  struct Sealer {
    SessionKeys* keys = nullptr;
    Session* session = nullptr;  ///< null: the keys are an answer's
    Answer* answer = nullptr;
    const std::optional<NodeId>& home() const { return session ? session->home : answer->home; }
  };

  // Sending.
  Sealer sealer_for(const NodeId& to, TimePoint now);
  void send_data(const NodeId& to, Sealer sealer, SealWish wish, TimePoint now, Outbox& out);
  void wait(SealWish wish, const std::optional<PublicKey>& known_key, TimePoint now, Outbox& out);
  static void refuse(const SealWish& wish, Outbox& out);

  // Our handshakes.
  Opening* open(const NodeId& to, const std::optional<PublicKey>& known_key, SealWish* first,
                TimePoint now, Outbox& out);
  std::optional<AgreementKey> agreement_key(const NodeId& id,
                                            const std::optional<PublicKey>& known_key);
  noise::Handshake opener_handshake(const NodeId& to,
                                    const std::optional<AgreementKey>& remote_static);
  noise::Handshake answerer_handshake(const NodeId& from, noise::Pattern pattern);
  Bytes write_open(Opening& opening, TimePoint now);
  void renew(const NodeId& to, Opening& opening, TimePoint now, Outbox& out);
  void repeat(const NodeId& to, Opening& opening, TimePoint now, Outbox& out);
  void send(const NodeId& to, Repeat& message, std::uint32_t tag, const std::optional<NodeId>& via,
            TimePoint now, Outbox& out);
  std::optional<NodeId> home_of(const NodeId& id) const;
  void complete_ik(const Envelope& envelope, const SessionAnswer& answer,
                   const SessionPayload& payload, TimePoint now, Outbox& out);
  void complete_xx(const Envelope& envelope, const SessionAnswer& answer,
                   const SessionPayload& payload, TimePoint now, Outbox& out);
  void keep_waiting(Opening& opening, SealWish wish);
  void send_finish(const NodeId& to, std::uint32_t opener_index, Bytes body, std::uint32_t tag,
                   TimePoint now, Outbox& out);
  bool repeat_finish(const NodeId& to, std::uint32_t opener_index, TimePoint now, Outbox& out);
  void opening_unreachable(Opening& opening, const NodeId& to, std::uint32_t tag, TimePoint now,
                           Outbox& out);
  void flush(std::vector<SealWish> waiting, TimePoint now, Outbox& out);
  void absorb_opening(const Envelope& envelope, TimePoint now, Outbox& out);
  void nudge(const Envelope& theirs, Opening& ours, TimePoint now, Outbox& out);
  std::vector<SealWish> keep_early(Opening& opening);
  void fail(const NodeId& to, const ContentFailed& why, Outbox& out);
  static void fail_one(const SealWish& wish, ContentFailed why, Outbox& out);
  static ContentFailed no_way_of(const Repeat& message);
  static ContentFailed refusal_of(const NodeId& id);
  Opening take_opening(const NodeId& to);
  void forget_finish(const NodeId& to);
  void release(const Repeat& message);

  // Others' handshakes.
  std::optional<Opened> handle_open(const Envelope& envelope, MutableBytes body, TimePoint now,
                                    Outbox& out);
  bool repeat_answer(const Envelope& envelope, const SessionOpen& open, const MessageHash& hash,
                     TimePoint now, Outbox& out);
  bool loses_against_ours(const Envelope& envelope, const SessionOpen& open, TimePoint now,
                          Outbox& out);
  void answer_xx(const Envelope& envelope, const SessionOpen& open, const MessageHash& hash,
                 TimePoint now, Outbox& out);
  std::optional<Opened> answer_ik(const Envelope& envelope, const SessionOpen& open,
                                  const MessageHash& hash, TimePoint now, Outbox& out);
  Answer& keep_answer(std::uint32_t index, Answer answer);
  void send_answer(Answer& answer, TimePoint now, Outbox& out);
  bool send_answer_again(Answer& answer, TimePoint now, Outbox& out);
  Answer take_answer(std::uint32_t index);
  void unlink(std::uint32_t index, const Answer& answer);

  std::optional<Opened> handle_answer(const Envelope& envelope, MutableBytes body, TimePoint now,
                                      Outbox& out);
  std::optional<Opened> handle_finish(const Envelope& envelope, MutableBytes body, TimePoint now,
                                      Outbox& out);
  std::optional<Opened> handle_data(const Envelope& envelope, MutableBytes body, TimePoint now,
                                    Outbox& out);
  void handle_unknown(const Envelope& envelope, MutableBytes body, TimePoint now, Outbox& out);

  // What stands.
  struct Proven {
    PublicKey key{};
    std::optional<NodeId> home;
    bool careful = false;
  };
  enum class Rank : std::uint8_t { current, previous };
  Session& install(const NodeId& id, SessionKeys keys, const Proven& proven, Rank rank,
                   TimePoint now);
  bool has_keys_since(const NodeId& id, TimePoint since, bool opened_by_us) const;
  SessionKeys* keys_named(const NodeId& id, std::uint32_t index);
  void forget_keys(std::unique_ptr<SessionKeys>& keys);
  void promote(const Envelope& envelope, std::uint32_t index, TimePoint now, Outbox& out);
  void confirm_later(const NodeId& id, Session& session, TimePoint now);
  void say_unknown(const Envelope& envelope, std::uint32_t index, TimePoint now, Outbox& out);
  std::optional<Opened> opened(const Envelope& envelope, std::span<const BytesView> contents);

  void attend(const NodeId& id, TimePoint now, Outbox& out);
  void attend_opening(const NodeId& id, TimePoint now, Outbox& out);
  void attend_finish(const NodeId& id, TimePoint now, Outbox& out);
  void sweep(TimePoint now);
  void arm_sweep(TimePoint now);

  std::uint32_t new_index();
  std::uint32_t new_tag();
  Bytes own_payload(bool early_taken, std::span<const SealWish> contents, TimePoint now) const;
  static std::size_t riding(std::span<const SealWish> waiting);

  const Identity& self_;
  Crypto& crypto_;
  Random random_;
  Options options_;
  EarlyData early_;
  TokenBucket answers_allowed_{answers_per_second, answers_max};
  TokenBucket unknowns_allowed_{unknowns_per_second, unknowns_per_second};

  LruMap<NodeId, Session> sessions_;
  LruMap<std::uint32_t, Answer> answers_{answers_max};
  // No decision follows the order of any of these.
  std::unordered_map<NodeId, Opening> openings_;
  std::unordered_map<NodeId, Finish> finishes_;
  std::unordered_map<std::uint32_t, NodeId> indices_;  // ours, of sessions_ and openings_
  std::unordered_map<std::uint32_t, NodeId> tags_;     // of openings_ and finishes_
  std::unordered_map<MessageHash, std::uint32_t, MessageHash::Hasher> answered_opens_;
  std::unordered_map<NodeId, std::uint32_t> newest_answers_;  // IK ones that are certainly new

  std::size_t waiting_ = 0;
  std::size_t held_bytes_ = 0;  // contents that wait, and handshake messages to repeat

  Timers<NodeId> timers_;
  TimePoint sweep_at_ = never;
  Bytes header_;                     // scratch
  Bytes payload_;                    // of the handshake message handled last
  std::vector<BytesView> contents_;  // in it, or in the body handled last
};

}  // namespace peer_relay
