// SPDX-License-Identifier: MIT
//
// What this room does for nodes that carry messages of npm peer-relay 0.0.2. All nodes remember
// some records that say so, and give them to whoever asks at the meeting place; those that carry
// such messages themselves ask there, and link to each other.
#include <algorithm>
#include <utility>

#include "core/membership/membership.hpp"
#include "core/wire/legacy.hpp"

namespace peer_relay {

namespace {

using namespace std::chrono_literals;

constexpr Duration kin_lookup_every = 30s;

}  // namespace

void Membership::note_kin(const ContactPtr& contact) {
  if ((contact->transports & contact_legacy) == 0 || contact->id == self_.id) return;
  if (!contact->has_addresses) return;
  if (kin_.peek(contact->id) == nullptr) dirty_ = true;
  kin_.insert(contact->id, contact);
}

std::size_t Membership::linked_kin() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(table_.peers(), [](const LinkedPeer& peer) { return peer.is_kin; }));
}

bool Membership::is_wanted_kin(const NodeId& id) const {
  return options_.carries_legacy && kin_.peek(id) != nullptr &&
         linked_kin() < limits::legacy_kin_links;
}

void Membership::want_kin(TimePoint now, Outbox& out) {
  if (!options_.carries_legacy || !joined_) return;
  std::size_t linked = linked_kin();
  for (const auto& [id, contact] : kin_) {
    if (linked >= limits::legacy_kin_links) return;
    if (table_.find(id) != nullptr || is_dialing(id) || is_shunned(id, now)) continue;
    if (dial(*contact, now, out)) ++linked;
  }
  if (linked >= limits::legacy_kin_links || now < kin_lookup_at_) return;
  kin_lookup_at_ = now + random_.between(kin_lookup_every / 2, kin_lookup_every);
  look_up(Question::kin, legacy_meeting_place, now, out);
}

std::optional<Membership::HandedOver> Membership::hand_over(DialId dial, TimePoint now,
                                                            Outbox& out) {
  const auto at = dials_.find(dial);
  if (at == dials_.end()) return std::nullopt;
  const Dialing& met = at->second;
  if (met.purpose != Purpose::bootstrap && met.purpose != Purpose::asked) {
    dial_ended(dial, std::nullopt, false, now, out);
    return std::nullopt;
  }
  HandedOver over{.address = met.address,
                  .is_bootstrap = std::ranges::find(options_.bootstrap, met.address) !=
                                  options_.bootstrap.end()};
  dials_.erase(at);
  dirty_ = true;
  std::erase(options_.bootstrap, over.address);
  bootstrap_ids_.erase(over.address);
  if (options_.bootstrap.empty()) recheck_at_ = never;
  // With nobody else to ask, our own overlay begins here.
  const bool is_first = options_.bootstrap.empty() && cached_.empty() && table_.peers().empty() &&
                        table_.contacts() == 0;
  if (is_first && !std::exchange(joined_, true)) out.notify(NotifyWish::Joined{});
  return over;
}

void Membership::add_bootstrap(const Address& address) {
  if (std::ranges::find(options_.bootstrap, address) != options_.bootstrap.end()) return;
  options_.bootstrap.push_back(address);
  if (recheck_at_ == never) recheck_at_ = TimePoint{};
  next_wake_ = TimePoint{};
  dirty_ = true;
}

std::string Membership::own_url() const {
  for (const auto* addresses : {&public_addresses_, &local_addresses_}) {
    // Old nodes dial WebSockets alone.
    const auto found = std::ranges::find_if(
        *addresses, [](const Address& each) { return each.scheme != Scheme::tcp; });
    if (found != addresses->end()) return found->to_string();
  }
  return {};
}

}  // namespace peer_relay
