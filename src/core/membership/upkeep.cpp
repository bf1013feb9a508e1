// SPDX-License-Identifier: MIT
//
// What we do: compare what is with what should be, and wish for the difference.
#include <algorithm>
#include <utility>

#include "core/membership/membership.hpp"

namespace peer_relay {

namespace {

using namespace std::chrono_literals;

constexpr Duration empty_bucket_pause_min = 1s;
constexpr Duration empty_bucket_pause_max = 60s;
constexpr Duration short_bucket_pause_min = 5s;
// A bootstrap node may have lost its memory, and with it the network: somebody looks after it about
// this often, but not everybody (see recheck_pause).
constexpr Duration recheck_every = 60s;
constexpr std::uint64_t recheckers = 4096;
constexpr int referrals_max = 3;
// Second fingers are for speed; they leave a quarter of the budget to those who need us.
constexpr std::size_t spare_share = 4;

NodeId random_in_bucket(const NodeId& self, int bucket, Random& random) {
  NodeId id = random.id();
  for (int bit = 0; bit <= bucket; ++bit) {
    const auto byte = static_cast<std::size_t>(bit / 8);
    const auto mask = static_cast<std::uint8_t>(0x80 >> bit % 8);
    const bool value = bit == bucket ? !self.bit(bit) : self.bit(bit);
    id.bytes[byte] =
        static_cast<std::uint8_t>(value ? id.bytes[byte] | mask : id.bytes[byte] & ~mask);
  }
  return id;
}

}  // namespace

void Membership::settle(TimePoint now, Outbox& out) {
  if (!running_ || !dirty_) return;
  dirty_ = false;
  if (table_.peers().empty()) {
    bootstrap(now, out);
  } else {
    to_bootstrap_ = {};
    // Leaves can't be asked.
    if (!self_looked_up_ && table_.relays() > 0 && !is_asking(Question::self)) {
      look_up(Question::self, self_.id, now, out);
    }
    for (Connecting& connecting : connects_) {
      const ContactPtr contact = table_.contact(connecting.to);
      if (contact == nullptr || connecting.is_dialing || is_dialing(connecting.to)) continue;
      connecting.is_dialing = dial(*contact, now, out);
    }
    if (want_siblings(now, out)) want_fingers(now, out);
    judge_joined(now, out);
    want_kin(now, out);
  }
  arm(now);
}

// The closest that we know of; returns whether all of them are linked, so that farther ones have
// their turn.
bool Membership::want_siblings(TimePoint now, Outbox& out) {
  const std::size_t wanted = relays() ? limits::siblings : limits::leaf_links;
  bool all_linked = true;
  // The shunned would hide those behind them: look at some more.
  std::size_t counted = 0;
  for (const ContactPtr& contact : table_.closest_contacts(self_.id, 2 * wanted, false)) {
    if (counted == wanted) break;
    if (table_.find(contact->id) != nullptr) {
      ++counted;
      continue;
    }
    if (is_shunned(contact->id, now)) continue;
    ++counted;
    all_linked = false;
    if (!is_dialing(contact->id)) dial(*contact, now, out);
  }
  return all_linked;
}

void Membership::want_fingers(TimePoint now, Outbox& out) {
  if (!relays()) return;  // a leaf's way begins with any relay
  const int depth = table_.sibling_depth();
  if (cares_.size() < static_cast<std::size_t>(depth)) {
    cares_.resize(static_cast<std::size_t>(depth));
  }
  const std::size_t budget = options_.limits.links_max;
  const std::vector<std::size_t> relays_in = table_.relays_by_bucket(depth);
  for (const std::size_t fingers : {std::size_t{1}, limits::fingers_per_bucket}) {
    for (int bucket = 0; bucket < depth; ++bucket) {
      const std::size_t have = relays_in[static_cast<std::size_t>(bucket)];
      if (have >= fingers) continue;
      const bool is_luxury = have > 0;
      if (is_luxury && table_.relays() >= budget - budget / spare_share) return;
      std::vector<ContactPtr> candidates;
      for (const ContactPtr& contact : table_.contacts_in_bucket(bucket)) {
        if (!is_shunned(contact->id, now) && contact->is_dialable()) candidates.push_back(contact);
      }
      const auto under_way = static_cast<std::size_t>(std::ranges::count_if(
          candidates, [&](const ContactPtr& contact) { return is_dialing(contact->id); }));
      if (have + under_way >= fingers) continue;
      std::erase_if(candidates, [&](const ContactPtr& contact) { return is_dialing(contact->id); });
      if (!candidates.empty()) {
        dial(*candidates[random_.below(candidates.size())], now, out);
        continue;
      }
      Care& care = cares_[static_cast<std::size_t>(bucket)];
      if (now < care.next_lookup || lookups_.size() >= limits::lookups_in_flight_max) continue;
      const Duration shortest = is_luxury ? short_bucket_pause_min : empty_bucket_pause_min;
      const Duration longest = is_luxury ? limits::bucket_refresh_after : empty_bucket_pause_max;
      care.pause = std::clamp(care.pause * 2, shortest, longest);
      care.next_lookup = now + random_.between(care.pause / 2, care.pause);
      look_up(Question::bucket, random_in_bucket(self_.id, bucket, random_), now, out);
    }
  }
  for (int bucket = 0; bucket < depth; ++bucket) {  // full ones are looked at now and then
    Care& care = cares_[static_cast<std::size_t>(bucket)];
    if (relays_in[static_cast<std::size_t>(bucket)] < limits::fingers_per_bucket ||
        now < care.next_lookup) {
      continue;
    }
    const bool is_first = care.next_lookup == TimePoint{};
    care.pause = limits::bucket_refresh_after;
    care.next_lookup = now + random_.between(care.pause / 2, care.pause);
    if (!is_first && lookups_.size() < limits::lookups_in_flight_max) {
      look_up(Question::bucket, random_in_bucket(self_.id, bucket, random_), now, out);
    }
  }
}

void Membership::judge_joined(TimePoint now, Outbox& out) {
  if (joined_) return;
  const bool is_settled = self_looked_up_ && dialing(Purpose::contact) == 0;
  if (!is_settled && now < join_deadline_) return;
  joined_ = true;
  join_deadline_ = never;
  // Others have joined meanwhile: look again, soon and from the place we have now.
  self_lookup_at_ = std::min(self_lookup_at_, now + random_.between(500ms, 1500ms));
  if (exchange_at_ == never) {
    exchange_at_ =
        now + random_.between(limits::sibling_exchange_every / 2, limits::sibling_exchange_every);
  }
  out.notify(NotifyWish::Joined{});
}

// ---- Dialing ----

std::size_t Membership::dialing(Purpose purpose) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      dials_, [&](const auto& entry) { return entry.second.purpose == purpose; }));
}

bool Membership::is_dialing(const NodeId& id) const {
  return std::ranges::any_of(dials_, [&](const auto& entry) {
    return entry.second.purpose == Purpose::contact && entry.second.expected == id;
  });
}

// False where it must wait for another dial's end (which settles again), or can't be done.
bool Membership::dial(const Contact& contact, TimePoint now, Outbox& out) {
  if (dialing(Purpose::contact) >= limits::dials_in_flight_max) return false;
  const bool has_place = has_place_for(contact.id, true, needs_link_to(contact.id));
  if (!has_place && !is_asked_for(contact.id)) return false;
  std::vector<Address> addresses;
  for (const Address& address : contact.addresses()) {
    const Reach reach = address.reach();
    if (reach == Reach::nowhere || (reach == Reach::loopback && !is_local_network())) continue;
    addresses.push_back(address);
  }
  const bool may_signal = options_.makes_channels && (contact.transports & contact_webrtc) != 0;
  if (addresses.empty() && !may_signal) {
    shun(contact.id, now);
    return false;
  }
  Dialing dialing{.purpose = Purpose::contact,
                  .address = {},
                  .expected = contact.id,
                  .rest = std::move(addresses),
                  .may_signal = may_signal};
  dial_next(std::move(dialing), out);
  return true;
}

// The contact's next address; when there is none left, by a data channel.
void Membership::dial_next(Dialing dialing, Outbox& out) {
  if (dialing.rest.empty()) {
    dialing.by_signal = true;
    dialing.may_signal = false;
  } else {
    dialing.address = std::move(dialing.rest.back());
    dialing.rest.pop_back();
  }
  dial(std::move(dialing), out);
}

DialId Membership::dial(Dialing dialing, Outbox& out) {
  const DialId id{++last_dial_};
  ++out.stats().dials;
  if (dialing.by_signal) {
    out.wish(OfferWish{
        .dial = id, .to = dialing.expected, .is_needed = needs_link_to(dialing.expected)});
  } else {
    out.wish(DialWish{
        .dial = id, .address = dialing.address, .probe = dialing.purpose == Purpose::probe});
  }
  dials_.emplace(id, std::move(dialing));
  return id;
}

// Rounds over all addresses there are, in random order, with growing pauses between the rounds; for
// ever, for as long as there is nobody.
void Membership::bootstrap(TimePoint now, Outbox& out) {
  std::size_t under_way = dialing(Purpose::bootstrap);
  if (to_bootstrap_.empty()) {  // a new round
    if (under_way > 0 || now < bootstrap_at_) return;
    for (const ContactPtr& contact : cached_) {
      for (const Address& address : contact->addresses()) to_bootstrap_.push_back(address);
    }
    for (const ContactPtr& contact :
         table_.closest_contacts(self_.id, limits::peer_cache_max, false)) {
      for (const Address& address : contact->addresses()) to_bootstrap_.push_back(address);
    }
    for (const Address& address : options_.bootstrap) to_bootstrap_.push_back(address);
    std::ranges::sort(to_bootstrap_);
    const auto repeated = std::ranges::unique(to_bootstrap_);
    to_bootstrap_.erase(repeated.begin(), repeated.end());
    for (std::size_t i = to_bootstrap_.size(); i > 1; --i) {
      std::swap(to_bootstrap_[i - 1], to_bootstrap_[random_.below(i)]);
    }
    // Those that we were told to use come first.
    std::ranges::stable_partition(to_bootstrap_, [this](const Address& address) {
      return std::ranges::find(options_.bootstrap, address) == options_.bootstrap.end();
    });
    if (to_bootstrap_.empty()) {
      bootstrap_at_ = never;
      return;
    }
    // Full jitter: a thousand nodes that lost the same hub do not come back at once.
    bootstrap_at_ = now + random_.between(bootstrap_backoff_ / 2, bootstrap_backoff_);
    bootstrap_backoff_ = std::min(bootstrap_backoff_ * 2, limits::bootstrap_backoff_max);
  }
  for (; under_way < limits::bootstrap_dials_max && !to_bootstrap_.empty(); ++under_way) {
    Address address = std::move(to_bootstrap_.back());
    to_bootstrap_.pop_back();
    dial({.purpose = Purpose::bootstrap, .address = std::move(address), .rest = {}}, out);
  }
}

// ---- Lookups ----

bool Membership::is_asking(Question question) const {
  return std::ranges::any_of(lookups_,
                             [&](const auto& entry) { return entry.second.question == question; });
}

void Membership::look_up(Question question, const NodeId& target, TimePoint now, Outbox& out,
                         std::optional<NodeId> via) {
  const std::uint64_t nonce = random_.next();
  lookups_[nonce] = {
      .question = question, .target = target, .deadline = now + limits::lookup_timeout};
  ++out.stats().lookups;
  Bytes body;
  encode_lookup({.nonce = nonce,
                 .wanted = static_cast<std::uint8_t>(limits::contacts_per_frame_max),
                 .contact = record_for_strangers()},
                body);
  out.wish(RouteWish{.kind = EnvelopeKind::lookup,
                     .closest = true,
                     .tag = static_cast<std::uint32_t>(random_.next()),
                     .target = target,
                     .via = via,
                     .body = std::move(body)});
}

// ---- Time ----

void Membership::wake(TimePoint now, Outbox& out) {
  if (!running_) {
    next_wake_ = never;
    return;
  }
  if (now < next_wake_) return;
  dirty_ = true;
  forgive(now);
  for (auto at = lookups_.begin(); at != lookups_.end();) {
    if (now < at->second.deadline) {
      ++at;
      continue;
    }
    const Asking asked = at->second;
    at = lookups_.erase(at);
    if (asked.question == Question::connect) {
      end_connect(asked.target, Error::no_such_contact, out);
    }
  }
  for (std::size_t i = 0; i < connects_.size();) {
    if (now < connects_[i].deadline) {
      ++i;
    } else {
      end_connect(NodeId{connects_[i].to}, Error::dial_failed, out);
    }
  }
  if (now >= exchange_at_) {
    exchange_at_ = now + random_.between(limits::sibling_exchange_every / 2,
                                         limits::sibling_exchange_every * 3 / 2);
    exchange(out);
    if (!relays()) self_lookup_at_ = now;  // a leaf asks, for it has no siblings to exchange with
  }
  if (now >= self_lookup_at_) {
    self_lookup_at_ = never;
    if (!table_.peers().empty()) look_up(Question::self, self_.id, now, out);
  }
  if (now >= recheck_at_) {
    // About `recheckers` nodes in all ask each minute, however large the network.
    const int depth = std::min(table_.sibling_depth() + 3, 40);
    const std::uint64_t nodes = std::uint64_t{1} << depth;
    const auto factor = static_cast<Duration::rep>(std::max<std::uint64_t>(1, nodes / recheckers));
    recheck_at_ = now + random_.between(recheck_every * factor / 2, recheck_every * factor * 3 / 2);
    const Address& address = options_.bootstrap[random_.below(options_.bootstrap.size())];
    const auto known = bootstrap_ids_.find(address);
    const bool is_linked = known != bootstrap_ids_.end() &&
                           (known->second == self_.id || table_.find(known->second) != nullptr);
    if (!is_linked && !table_.peers().empty()) {
      referrals_left_ = referrals_max;
      dial({.purpose = Purpose::bootstrap, .address = address, .rest = {}}, out);
    }
  }
  if (now >= sign_at_) {
    channels_failed_ = 0;
    sign_records(now);
    tell_record(out);
  }
}

void Membership::arm(TimePoint now) {
  TimePoint next = std::min({self_lookup_at_, exchange_at_, recheck_at_, sign_at_});
  if (table_.peers().empty()) {
    if (bootstrap_at_ > now) next = std::min(next, bootstrap_at_);  // else dials are under way
  } else if (!joined_) {
    next = std::min(next, join_deadline_);
  }
  if (options_.carries_legacy && joined_ && !table_.peers().empty() && kin_lookup_at_ > now) {
    next = std::min(next, kin_lookup_at_);
  }
  for (const auto& [nonce, asking] : lookups_) next = std::min(next, asking.deadline);
  for (const Connecting& connecting : connects_) next = std::min(next, connecting.deadline);
  if (relays()) {
    const auto depth = static_cast<std::size_t>(table_.sibling_depth());
    for (std::size_t bucket = 0; bucket < std::min(depth, cares_.size()); ++bucket) {
      // One that is past waits for something else: a dial or a lookup under way, which settles.
      if (cares_[bucket].next_lookup > now) next = std::min(next, cares_[bucket].next_lookup);
    }
  }
  next_wake_ = next;
}

}  // namespace peer_relay
