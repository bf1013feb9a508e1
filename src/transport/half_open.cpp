// SPDX-License-Identifier: MIT
#include "transport/half_open.hpp"

#include <utility>

namespace peer_relay::sockets {

std::optional<HalfOpen::Place> HalfOpen::enter(HostKey host) {
  if (counts_->total >= total_max_) return std::nullopt;
  const auto found = counts_->by_host.find(host);
  if (found != counts_->by_host.end() && found->second >= per_host_max_) return std::nullopt;
  return Place{counts_, host};
}

HalfOpen::Place::Place(std::shared_ptr<Counts> counts, HostKey host)
    : counts_(std::move(counts)), host_(host) {
  ++counts_->total;
  ++counts_->by_host[host_];
}

void HalfOpen::Place::leave() {
  if (!counts_) return;
  --counts_->total;
  const auto found = counts_->by_host.find(host_);
  if (--found->second == 0) counts_->by_host.erase(found);
  counts_ = nullptr;
}

}  // namespace peer_relay::sockets
