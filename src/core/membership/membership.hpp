// SPDX-License-Identifier: MIT
//
// Whom we should be linked to, and how we come to be: bootstrap, lookups with signed contact
// records, dialing, siblings and fingers, repair, the links that others ask of us. Greedy routing
// arrives everywhere if every node has a live link into every occupied bucket, and to its closest
// neighbours; this room's whole purpose is that it has.
//
// After each input the engine calls settle(), which compares what is with what should be and wishes
// for the difference. So there is no sequence of steps to get wrong: joining, repair and refresh
// are the same comparison.
//
// Nodes that others can dial are relays and have a place in the overlay; the others are leaves. A
// leaf links to the relays closest to its id, where envelopes for it arrive.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/lru_map.hpp"
#include "base/random.hpp"
#include "base/token_bucket.hpp"
#include "core/crypto/crypto.hpp"
#include "core/crypto/identity.hpp"
#include "core/outbox.hpp"
#include "core/table/table.hpp"
#include "core/wire/envelope.hpp"
#include "core/wire/overlay.hpp"
#include "peer_relay/limits.hpp"
#include "peer_relay/time.hpp"

namespace peer_relay {

class Membership {
 public:
  struct Options {
    NetworkHash network{};
    std::vector<Address> bootstrap;
    std::vector<Address> advertise;
    std::vector<ListenPort> listening;
    bool listens_on_loopback = false;
    std::vector<Bytes> cached_contacts;
    Limits limits;
    std::int64_t unix_ms_at_zero = 0;
    bool carries_legacy = false;  ///< old messages: said in our record, and links to our like kept
    bool makes_channels = false;  ///< WebRTC data channels: said in our record
    std::shared_ptr<ContactPool> pool{};  ///< of all nodes of the process; may be null
  };

  /// `self`, `table` and `crypto` outlive it.
  Membership(const Identity& self, Table& table, Crypto& crypto, Random random, Options options);

  void start(TimePoint now, Outbox& out);
  /// A liar's: others hear of such contacts alone.
  void tell_only_of(std::function<bool(const NodeId&)> accomplices) {
    accomplices_ = std::move(accomplices);
  }
  /// No more dialing, no more links.
  void stop();

  // ---- From links and the host ----

  void handle(const LinkUp& up, TimePoint now, Outbox& out);
  void handle(const LinkMoved& moved);
  void handle(const LinkDown& down, TimePoint now, Outbox& out);
  void dial_failed(DialId dial, DialError error, TimePoint now, Outbox& out);
  /// A data channel that both sides had agreed upon came to be, or not.
  void note_channel(bool opened, TimePoint now, Outbox& out);

  // ---- Old nodes (legacy_kin.cpp) ----

  struct HandedOver {
    Address address;
    bool is_bootstrap = false;
  };
  /// An old node answered that dial: its address is another room's from now on. Nothing if the dial
  /// was for a certain node, which then is not there.
  std::optional<HandedOver> hand_over(DialId dial, TimePoint now, Outbox& out);
  /// And back: a node of ours answers there now.
  void add_bootstrap(const Address& address);
  /// Where others can dial us; empty if they can't.
  std::string own_url() const;

  // ---- From peers ----

  void handle(const NeighbourContacts& contacts, const NodeId* from, bool is_local, TimePoint now,
              Outbox& out);
  void handle(const DialBack& request, const NodeId& from, std::string_view host, TimePoint now,
              Outbox& out);
  void handle(const DialBackResult& result, const NodeId& from, TimePoint now, Outbox& out);
  /// A lookup that ended here, in an envelope.
  void handle(const Envelope& envelope, const Lookup& lookup, TimePoint now, Outbox& out);
  /// False if we did not ask.
  bool handle(const LookupAnswer& answer, TimePoint now, Outbox& out);

  // ---- From the application ----

  void connect(const NodeId& to, TimePoint now, Outbox& out);
  /// NotifyWish::AddressDone follows exactly once.
  void connect(const Address& address, TimePoint now, Outbox& out);
  /// For a link that the application has made without us, as if it had dialed `name`: the same
  /// follows, with the name for an address.
  DialId adopt(std::string name);
  /// From now on on these ports, in place of those before.
  void listens(std::vector<ListenPort> ports, bool on_loopback, TimePoint now, Outbox& out);
  void disconnect(const NodeId& peer, TimePoint now, Outbox& out);

  // ---- Upkeep ----

  /// Wishes for what is missing. Cheap if nothing has changed since.
  void settle(TimePoint now, Outbox& out);
  void wake(TimePoint now, Outbox& out);
  TimePoint next_wake() const { return next_wake_; }

  // ---- What there is ----

  bool is_joined() const { return joined_; }
  /// Whether no link broke lately. Where they do, others have gaps that are being mended, and a
  /// dead end is not the last word.
  bool is_calm(TimePoint now) const { return now >= calm_from_; }
  /// Whether others can dial us.
  bool relays() const { return has_address() || offers_channels(); }
  /// Whether they can by address, so that all who should be linked to us are.
  bool has_address() const { return !public_addresses_.empty() || !local_addresses_.empty(); }
  /// Whether a link that a peer asks for, before it is made, would be kept.
  bool has_place_for_relay(const NodeId& id, bool is_needed) const {
    return running_ && has_place_for(id, true, is_needed || needs_link_to(id));
  }
  /// While others can't find us, being too new, or because somebody stands nearer to us than all
  /// our peers: a peer by which what is for us should go.
  std::optional<NodeId> home() const;
  /// Whether the application asked for that node, or it would be our first link into its bucket.
  /// The very first link of all may be anybody's.
  bool needs_link_to(const NodeId& id) const;
  /// Our record, for a peer at that host: only one on this machine hears of loopback addresses.
  const Bytes& own_contact(std::string_view remote_host) const;
  std::vector<Bytes> peer_cache() const;
  std::uint64_t peer_cache_version() const { return peer_cache_version_; }

 private:
  enum class Purpose : std::uint8_t { bootstrap, asked, contact, probe };
  struct Dialing {
    Purpose purpose = Purpose::contact;
    Address address;
    std::string adopted;        // in its place, with asked
    NodeId expected{};          // with contact and probe
    std::vector<Address> rest;  // of the same contact
    bool may_signal = false;    // if no address will do
    bool by_signal = false;     // address means nothing then
    NodeId asker{};             // with probe
    std::uint32_t token = 0;    // with probe
  };
  enum class Question : std::uint8_t { self, bucket, connect, kin };
  struct Asking {
    Question question = Question::bucket;
    NodeId target{};
    TimePoint deadline{};
  };
  struct Care {  // of one bucket
    TimePoint next_lookup{};
    Duration pause{};
  };
  struct Connecting {
    NodeId to{};
    bool is_dialing = false;
    TimePoint deadline{};
  };
  struct Voucher {  // somebody says that he sees us at this host
    std::string host;
    NodeId peer{};
    std::uint64_t subnet = 0;
  };

  std::uint64_t unix_ms(TimePoint now) const;
  bool is_local_network() const;

  // Links that others ask of us.
  bool has_place_for(const NodeId& id, bool relays, bool is_needed) const;
  bool improves(const NodeId& id) const;
  bool are_siblings(const NodeId& id) const;
  bool is_hidden() const;
  const LinkedPeer* least_missed(const NodeId& newcomer) const;
  template <class MayGo>
  const LinkedPeer* newest_of_fullest_bucket(const NodeId& newcomer, MayGo may_go) const;
  void make_room(const NodeId& newcomer, TimePoint now, Outbox& out);
  void turn_away(const LinkUp& up, Outbox& out);
  void shun(const NodeId& id, TimePoint now);
  void forgive(TimePoint now);
  bool is_shunned(const NodeId& id, TimePoint now) const;

  // Contacts.
  ContactPtr prove(BytesView encoded, TimePoint now, Outbox& out);
  void learn(BytesView encoded, bool from_local, TimePoint now, Outbox& out);
  ContactViews views_for(const NodeId& target, const NodeId& reader, bool reader_is_local,
                         std::size_t count, std::vector<ContactPtr>& keep,
                         bool only_addressed = false) const;
  void send_contacts(const LinkedPeer& to, ContactsPurpose purpose, Outbox& out) const;
  void announce(const Contact& newcomer, Outbox& out) const;
  void exchange(Outbox& out) const;

  // Dialing.
  std::size_t dialing(Purpose purpose) const;
  bool is_dialing(const NodeId& id) const;
  bool dial(const Contact& contact, TimePoint now, Outbox& out);
  DialId dial(Dialing dialing, Outbox& out);
  void dial_next(Dialing dialing, Outbox& out);
  bool offers_channels() const;
  static std::string where(const Dialing& dialing);
  static void complain_of(const Dialing& dialing, std::string_view why, Outbox& out);
  void dial_ended(DialId dial, std::optional<NodeId> met, bool dialed_well, TimePoint now,
                  Outbox& out);
  void bootstrap(TimePoint now, Outbox& out);
  void follow_referral(const NeighbourContacts& contacts, TimePoint now, Outbox& out);

  // What is missing.
  bool want_siblings(TimePoint now, Outbox& out);
  void want_fingers(TimePoint now, Outbox& out);
  void look_up(Question question, const NodeId& target, TimePoint now, Outbox& out,
               std::optional<NodeId> via = {});
  bool is_asking(Question question) const;
  void judge_joined(TimePoint now, Outbox& out);
  void connect_as_answered(const NodeId& to, const LookupAnswer& answer, TimePoint now,
                           Outbox& out);
  bool is_asked_for(const NodeId& id) const;
  void end_connect(const NodeId& to, std::optional<Error> error, Outbox& out);
  void arm(TimePoint now);

  // Peers that carry old messages as we do.
  void note_kin(const ContactPtr& contact);
  bool is_wanted_kin(const NodeId& id) const;
  std::size_t linked_kin() const;
  void want_kin(TimePoint now, Outbox& out);

  // Our own address and record.
  void consider_observed(const LinkUp& up, TimePoint now, Outbox& out);
  void ask_for_dial_back(LinkId link, Outbox& out);
  void note_local_addresses();
  void sign_records(TimePoint now);
  void tell_record(Outbox& out) const;
  const Bytes& record_for_strangers() const;
  Bytes signed_record(const std::vector<Address>& addresses, TimePoint now) const;

  const Identity& self_;
  Table& table_;
  Crypto& crypto_;
  Random random_;
  Options options_;

  std::vector<Address> public_addresses_;
  std::vector<Address> local_addresses_;
  Bytes public_record_;
  Bytes local_record_;
  TimePoint sign_at_ = never;

  std::function<bool(const NodeId&)> accomplices_;  // of a liar
  bool running_ = false;
  bool dirty_ = false;
  bool joined_ = false;
  bool self_looked_up_ = false;
  TimePoint join_deadline_ = never;
  TimePoint calm_from_ = TimePoint::min();
  TimePoint self_lookup_at_ = never;

  std::uint64_t last_dial_ = 0;
  std::map<DialId, Dialing> dials_;
  std::vector<Address> to_bootstrap_;  // left in this round, next at the back
  std::vector<ContactPtr> cached_;
  TimePoint bootstrap_at_ = never;
  Duration bootstrap_backoff_ = limits::bootstrap_backoff_min;
  TimePoint recheck_at_ = never;
  int referrals_left_ = 0;                   // of busy bootstrap nodes, until the next recheck
  std::map<Address, NodeId> bootstrap_ids_;  // at most one for each bootstrap address

  std::map<std::uint64_t, Asking> lookups_;  // by nonce; at most lookups_in_flight_max
  std::vector<Care> cares_;                  // by bucket
  std::vector<Connecting> connects_;         // at most connects_max
  TimePoint exchange_at_ = never;
  LruMap<NodeId, TimePoint> shunned_{limits::failed_contacts_max};
  TokenBucket proofs_{limits::proofs_per_second, limits::proofs_per_second};

  TokenBucket answers_{limits::lookup_answers_per_second, limits::lookup_answers_per_second};

  LruMap<NodeId, ContactPtr> kin_;  // who carries old messages, by a record that says so
  TimePoint kin_lookup_at_{};

  std::vector<Voucher> vouchers_;  // at most vouchers_max, oldest go
  std::optional<std::uint32_t> dial_back_token_;
  std::string dial_back_host_;
  std::vector<ListenPort> dial_back_left_;  // to be asked about, the one under way at the back
  TimePoint dial_back_at_{};                // not before
  int channels_failed_ = 0;                 // in a row
  std::uint64_t peer_cache_version_ = 0;
  std::optional<std::vector<Bytes>> last_cache_;  // once stopped
  TimePoint next_wake_ = never;
};

}  // namespace peer_relay
