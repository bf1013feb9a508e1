// SPDX-License-Identifier: MIT
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>

namespace peer_relay::sockets {

/// A remote host as the door counts it: one IPv4 address, or the /64 of an IPv6 one, which is the
/// least that a network gives to a household.
struct HostKey {
  bool v6 = false;
  std::uint64_t prefix = 0;
  auto operator<=>(const HostKey&) const = default;
};

/// Counts connections that were accepted and are no links yet, in total and for each host.
class HalfOpen {
  struct Counts {
    std::size_t total = 0;
    std::map<HostKey, std::size_t> by_host;  // as many entries as there are connections, at most
  };

 public:
  HalfOpen(std::size_t total_max, std::size_t per_host_max)
      : total_max_(total_max), per_host_max_(per_host_max) {}

  /// Held as long as the connection is half-open.
  class Place {
   public:
    Place(std::shared_ptr<Counts> counts, HostKey host);
    ~Place() { leave(); }
    Place(Place&&) noexcept = default;
    Place& operator=(Place&&) = delete;

    void leave();

   private:
    std::shared_ptr<Counts> counts_;
    HostKey host_;
  };

  /// Nothing where the house, or that host's share of it, is full.
  std::optional<Place> enter(HostKey host);

  std::size_t total() const { return counts_->total; }

 private:
  std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();
  std::size_t total_max_;
  std::size_t per_host_max_;
};

}  // namespace peer_relay::sockets
