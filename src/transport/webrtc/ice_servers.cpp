// SPDX-License-Identifier: MIT
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "transport/webrtc/ice_servers_impl.hpp"

namespace peer_relay::webrtc {

namespace {

using namespace std::chrono_literals;

/// Servers move, seldom; and a network that was not there at the start may be there soon.
constexpr auto refresh_every = 10min;
constexpr auto retry_after = 30s;

/// One address is enough. An IPv4 one, if there is: that is where the NATs are which it is to see.
std::string best_of(const std::vector<std::string>& addresses) {
  const auto is_v4 = [](const std::string& address) { return !address.contains(':'); };
  const auto v4 = std::ranges::find_if(addresses, is_v4);
  return v4 != addresses.end() ? *v4 : addresses.front();
}

IceServer::Kind kind_of(const IceServerName& name) {
  switch (name.kind) {
    case IceServerName::Kind::stun:
      return IceServer::Kind::stun;
    case IceServerName::Kind::turn_udp:
      return IceServer::Kind::turn_udp;
    case IceServerName::Kind::turn_tcp:
      return IceServer::Kind::turn_tcp;
  }
  return IceServer::Kind::stun;
}

}  // namespace

struct IceServers::State : std::enable_shared_from_this<State> {
  struct Entry {
    IceServerName name;
    std::string address;    // none yet, or the last one that was found
    std::string complaint;  // of the last look-up
  };

  State(asio::io_context& io, std::vector<IceServerName> names)
      : lookup(io), timer(io.get_executor()) {
    for (IceServerName& each : names) entries.push_back({.name = std::move(each)});
  }

  void look_up();
  void take(Entry& entry, NameAddresses addresses);
  void rest();

  NameLookup lookup;
  Timer timer;
  std::vector<Entry> entries;
  std::size_t pending = 0;
  std::size_t turn = 0;
};

IceServers::IceServers(asio::io_context& io, std::vector<IceServerName> names)
    : state_(std::make_shared<State>(io, std::move(names))) {
  for (State::Entry& each : state_->entries) {
    if (is_ip_address(each.name.host)) each.address = each.name.host;
  }
  state_->look_up();
}

IceServers::~IceServers() { state_->timer.cancel(); }

void IceServers::State::look_up() {
  bool has_names = false;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (is_ip_address(entries[i].name.host)) continue;
    auto complaint =
        lookup.ask(entries[i].name.host, [weak = weak_from_this(), i](NameAddresses addresses) {
          const auto self = weak.lock();
          if (!self) return;
          self->take(self->entries[i], std::move(addresses));
          if (--self->pending == 0) self->rest();
        });
    if (complaint) {
      take(entries[i], {{}, std::move(*complaint)});
    } else {
      ++pending;
    }
    has_names = true;
  }
  if (has_names && pending == 0) rest();
}

void IceServers::State::take(Entry& entry, NameAddresses addresses) {
  entry.complaint = std::move(addresses.complaint);
  if (!addresses.found.empty()) entry.address = best_of(addresses.found);
}

void IceServers::State::rest() {
  const bool all = std::ranges::all_of(entries, &std::string::empty, &Entry::complaint);
  timer.expires_after(all ? Clock::duration{refresh_every} : Clock::duration{retry_after});
  timer.async_wait([weak = weak_from_this()](error_code error) {
    const auto self = weak.lock();
    if (!error && self) self->look_up();
  });
}

std::vector<IceServer> IceServers::next() {
  std::vector<IceServer> out;
  std::vector<IceServer> stun;
  for (const State::Entry& each : state_->entries) {
    if (each.address.empty()) continue;
    const IceServer::Kind kind = kind_of(each.name);
    auto& to = kind == IceServer::Kind::stun ? stun : out;
    to.push_back({.kind = kind,
                  .host = each.address,
                  .port = each.name.port,
                  .user = each.name.user,
                  .secret = each.name.secret});
  }
  if (!stun.empty()) out.push_back(std::move(stun[state_->turn++ % stun.size()]));
  return out;
}

std::string IceServers::complaints() const {
  std::string out;
  for (const State::Entry& each : state_->entries) {
    if (!each.address.empty()) continue;
    if (!out.empty()) out += "; ";
    out += fmt::format("the server {} has no address yet", each.name.host);
    if (!each.complaint.empty()) out += fmt::format(" ({})", each.complaint);
  }
  return out;
}

}  // namespace peer_relay::webrtc
