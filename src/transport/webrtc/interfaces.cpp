// SPDX-License-Identifier: MIT
#include "transport/webrtc/interfaces.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace peer_relay::webrtc {

namespace {

struct InterfaceAddress {
  std::string interface;
  std::string address;
};

/// In text; empty for what is no address of use. An IPv6 address of one wire alone means nothing
/// without its scope, which a candidate can't say.
std::string text_of(const sockaddr& address) {
  std::array<char, INET6_ADDRSTRLEN> out{};
  if (address.sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    ::inet_ntop(AF_INET, &v4.sin_addr, out.data(), out.size());
  } else if (address.sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address, sizeof v6);
    if (IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr)) return {};
    ::inet_ntop(AF_INET6, &v6.sin6_addr, out.data(), out.size());
  }
  return out.data();
}

std::vector<InterfaceAddress> all_addresses() {
  std::vector<InterfaceAddress> out;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return out;
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner{list, ::freeifaddrs};
  for (const ifaddrs* each = list; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || (each->ifa_flags & IFF_UP) == 0) continue;
    std::string text = text_of(*each->ifa_addr);
    if (!text.empty()) out.push_back({each->ifa_name, std::move(text)});
  }
  return out;
}

/// Whether a socket can have this address.
bool is_ours(const std::string& host) {
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v6.sin6_family = AF_INET6;
  const bool is_v4 = ::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1;
  if (!is_v4 && ::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) != 1) return false;
  const int fd = ::socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const auto* const address =
      is_v4 ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6);
  const bool is_bound = ::bind(fd, address, is_v4 ? sizeof v4 : sizeof v6) == 0;
  ::close(fd);
  return is_bound;
}

}  // namespace

std::vector<std::string> local_addresses(const std::vector<std::string>& chosen) {
  std::vector<std::string> out;
  const auto add = [&out](const std::string& address) {
    if (std::ranges::find(out, address) == out.end()) out.push_back(address);
  };
  const std::vector<InterfaceAddress> all = all_addresses();
  if (chosen.empty()) {
    for (const InterfaceAddress& each : all) {
      if (reach_of_host(each.address) != Reach::loopback) add(each.address);
    }
  }
  for (const std::string& interface : chosen) {
    if (is_ip_address(interface)) add(interface);
    for (const InterfaceAddress& each : all) {
      if (each.interface == interface) add(each.address);
    }
  }
  return out;
}

std::optional<std::string> complaint_about(const std::string& interface) {
  if (is_ip_address(interface)) {
    const bool is_any = interface == "0.0.0.0" || interface == "::";
    if (!is_any && is_ours(interface)) return std::nullopt;
    return fmt::format("no interface of this machine has the address {}", interface);
  }
  if (::if_nametoindex(interface.c_str()) != 0) return std::nullopt;
  return fmt::format("'{}' is neither an interface of this machine nor an IP address", interface);
}

CandidatePolicy policy_for(const std::vector<std::string>& local_addresses) {
  CandidatePolicy out;
  for (const std::string& each : local_addresses) {
    const Reach reach = reach_of_host(each);
    out.loopback |= reach == Reach::loopback;
    out.link_local |= reach == Reach::link_local;
    out.site |= reach == Reach::site;
  }
  return out;
}

}  // namespace peer_relay::webrtc
