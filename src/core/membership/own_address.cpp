// SPDX-License-Identifier: MIT
//
// What we say of ourselves: the addresses at which others can dial us, and the record that says so.
// Told by the operator; else found out: what two unrelated peers see, and a dial-back confirms.
#include <algorithm>
#include <utility>

#include "core/membership/membership.hpp"

namespace peer_relay {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t vouchers_max = 32;
constexpr Duration dial_back_pause = 60s;
// Of data channels in a row, with different peers mostly: a failure is shunned for a minute.
constexpr int channels_failed_max = 6;

}  // namespace

void Membership::consider_observed(const LinkUp& up, TimePoint now, Outbox& out) {
  if (!options_.advertise.empty()) return;
  const Reach reach = reach_of_host(up.observed_host);
  if (reach != Reach::world && reach != Reach::site) return;
  std::vector<ListenPort> unknown = options_.listening;
  std::erase_if(unknown, [&](const ListenPort& each) {
    return std::ranges::any_of(public_addresses_,
                               [&](const Address& known) { return known.scheme == each.scheme; });
  });
  if (unknown.empty()) return;
  const Address candidate{unknown.front().scheme, up.observed_host, unknown.front().port, "/"};
  if (!Address::parse(candidate.to_string())) return;
  const std::uint64_t subnet = subnet_of_host(up.remote_host);
  std::erase_if(vouchers_, [&](const Voucher& v) { return v.peer == up.id; });
  if (vouchers_.size() == vouchers_max) vouchers_.erase(vouchers_.begin());
  vouchers_.push_back({.host = up.observed_host, .peer = up.id, .subnet = subnet});
  // One that no other voucher's operator stands behind; within a site all may be neighbours.
  const bool agrees = std::ranges::any_of(vouchers_, [&](const Voucher& v) {
    return v.peer != up.id && v.host == up.observed_host &&
           (reach == Reach::site || v.subnet != subnet);
  });
  if (!agrees || now < dial_back_at_) return;
  dial_back_at_ = now + dial_back_pause;
  dial_back_host_ = up.observed_host;
  std::ranges::reverse(unknown);
  dial_back_left_ = std::move(unknown);
  ask_for_dial_back(up.link, out);
}

// One port after the other: whom we ask dials back for us once at a time.
void Membership::ask_for_dial_back(LinkId link, Outbox& out) {
  const ListenPort& asked = dial_back_left_.back();
  dial_back_token_ = static_cast<std::uint32_t>(random_.next());
  Bytes body;
  encode_dial_back({.token = *dial_back_token_, .scheme = asked.scheme, .port = asked.port}, body);
  out.wish(FrameWish{link, FrameKind::dial_back, std::move(body)});
}

void Membership::handle(const DialBackResult& result, const NodeId& from, TimePoint now,
                        Outbox& out) {
  if (!dial_back_token_ || *dial_back_token_ != result.token) {
    return out.drop(DropReason::contact_unwanted);
  }
  dial_back_token_.reset();
  const ListenPort asked = dial_back_left_.back();
  dial_back_left_.pop_back();
  if (result.reached) {
    public_addresses_.push_back({asked.scheme, dial_back_host_, asked.port, "/"});
    std::ranges::sort(public_addresses_, {}, &Address::scheme);  // the last is dialed first
    sign_records(now);
    tell_record(out);
    dirty_ = true;
  }
  const LinkedPeer* const peer = table_.find(from);
  if (peer != nullptr && !dial_back_left_.empty()) ask_for_dial_back(peer->link, out);
}

// Somebody asks whether he can be dialed: only ever at the address at which we see him.
void Membership::handle(const DialBack& request, const NodeId& from, std::string_view host,
                        TimePoint now, Outbox& out) {
  static_cast<void>(now);
  if (!running_) return;
  const bool already =
      std::ranges::any_of(dials_, [&](const auto& entry) { return entry.second.asker == from; });
  if (already || request.port == 0 || dialing(Purpose::probe) >= limits::probes_max) {
    return out.drop(DropReason::rate_limited);
  }
  dial({.purpose = Purpose::probe,
        .address = {request.scheme, std::string{host}, request.port, "/"},
        .expected = from,
        .rest = {},
        .asker = from,
        .token = request.token},
       out);
}

Bytes Membership::signed_record(const std::vector<Address>& addresses, TimePoint now) const {
  ContactRecord record{.key = self_.keys.public_key,
                       .transports = {},
                       .sequence = unix_ms(now),
                       .expiry = 0,
                       .addresses = addresses,
                       .signature = {}};
  if (options_.carries_legacy) record.transports |= contact_legacy;
  if (offers_channels()) record.transports |= contact_webrtc;
  const auto lifetime =
      std::chrono::duration_cast<std::chrono::seconds>(limits::contact_lifetime).count();
  record.expiry = record.sequence / 1000 + static_cast<std::uint64_t>(lifetime);
  if (record.addresses.size() > limits::contact_addresses_max) {
    record.addresses.resize(limits::contact_addresses_max);
  }
  return sign_contact(record, options_.network, self_, crypto_);
}

void Membership::note_local_addresses() {
  local_addresses_.clear();
  for (const Address& address : options_.advertise) {
    if (address.reach() == Reach::loopback) local_addresses_.push_back(address);
  }
  if (!options_.listens_on_loopback) return;
  for (const ListenPort& each : options_.listening) {
    local_addresses_.push_back({each.scheme, "127.0.0.1", each.port, "/"});
  }
}

void Membership::listens(std::vector<ListenPort> ports, bool on_loopback, TimePoint now,
                         Outbox& out) {
  options_.listening = std::move(ports);
  options_.listens_on_loopback = on_loopback;
  // What a dial-back has shown holds for ports that stay; of others nothing is known.
  std::erase_if(public_addresses_, [this](const Address& address) {
    const ListenPort port{address.scheme, address.port};
    const bool is_told = std::ranges::find(options_.advertise, address) != options_.advertise.end();
    return !is_told && std::ranges::find(options_.listening, port) == options_.listening.end();
  });
  dial_back_left_.clear();
  dial_back_token_.reset();
  note_local_addresses();
  if (!running_) return;
  sign_records(now);
  tell_record(out);
  dirty_ = true;
}

void Membership::sign_records(TimePoint now) {
  std::vector<Address> all = local_addresses_;
  all.insert(all.end(), public_addresses_.begin(), public_addresses_.end());
  public_record_ = signed_record(public_addresses_, now);
  local_record_ = local_addresses_.empty() ? public_record_ : signed_record(all, now);
  sign_at_ = now + random_.between(limits::contact_lifetime / 4, limits::contact_lifetime / 2);
}

void Membership::tell_record(Outbox& out) const {
  for (const LinkedPeer& peer : table_.peers()) {
    Bytes body;
    encode_neighbour_contacts({.purpose = ContactsPurpose::own,
                               .contacts = {peer.is_local ? local_record_ : public_record_}},
                              body);
    out.wish(FrameWish{peer.link, FrameKind::contacts, std::move(body)});
  }
}

bool Membership::offers_channels() const {
  return options_.makes_channels && channels_failed_ < channels_failed_max;
}

// Where the network lets no channel through, others should not count on us: a node that cannot be
// linked to is a leaf. It is tried again with the next record.
void Membership::note_channel(bool opened, TimePoint now, Outbox& out) {
  const bool did = offers_channels();
  channels_failed_ = opened ? 0 : channels_failed_ + 1;
  if (offers_channels() == did || !running_) return;
  sign_records(now);
  tell_record(out);
  dirty_ = true;
}

// By an envelope it goes who knows where: loopback addresses only if there is nothing better to
// say, and our neighbourhood is this machine.
const Bytes& Membership::record_for_strangers() const {
  return public_addresses_.empty() && is_local_network() ? local_record_ : public_record_;
}

const Bytes& Membership::own_contact(std::string_view remote_host) const {
  return reach_of_host(remote_host) == Reach::loopback ? local_record_ : public_record_;
}

}  // namespace peer_relay
