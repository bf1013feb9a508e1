// SPDX-License-Identifier: MIT
#include "runtime/options.hpp"

#include <optional>
#include <vector>

#include <fmt/format.h>

#include "base/text.hpp"

namespace peer_relay {

namespace {

using namespace std::chrono_literals;

std::unexpected<StartError> refuse(Error error, std::string detail) {
  return std::unexpected(StartError{error, std::move(detail)});
}

/// One sentence about the first value that no node can use.
std::optional<std::string> complaint(const NodeOptions& options) {
  if (options.network.size() > limits::network_bytes_max) {
    return fmt::format("the network's name is {} bytes long; at most {} are allowed",
                       options.network.size(), limits::network_bytes_max);
  }
  if (!is_plain_text(options.network)) return "the network's name is no printable UTF-8 text";
  for (const auto& [name, value] : {std::pair{"dial", options.dial_timeout},
                                    {"handshake", options.handshake_timeout},
                                    {"ping", options.ping_after},
                                    {"dead-link", options.link_dead_after}}) {
    if (value <= 0s || value > 24h) {
      return fmt::format("the {} time-out must be more than nothing and at most a day", name);
    }
  }
  if (options.link_dead_after < options.ping_after * 2) {
    return "a link must be allowed two pings (ping_after) before it counts as dead "
           "(link_dead_after)";
  }
  const Limits& limits = options.limits;
  if (limits.links_max == 0)
    return "a node without links reaches nobody: links_max must be 1 or more";
  if (limits.links_hard_max < limits.links_max) {
    return "links_hard_max must not be smaller than links_max";
  }
  if (limits.sessions_max == 0) return "sessions_max must be 1 or more";
  if ((options.port || options.tcp_port) &&
      (limits.half_open_max == 0 || limits.half_open_per_host_max == 0)) {
    return "a node that listens must allow half-open connections: half_open_max, "
           "half_open_per_host_max";
  }
  if (options.port == options.tcp_port && options.port.value_or(0) != 0) {
    return fmt::format(
        "port {} can't be for WebSockets and for TCP at once: choose two, or 0 for any free one",
        *options.port);
  }
  return std::nullopt;
}

Result<std::vector<Address>, StartError> parse_all(const std::vector<std::string>& urls,
                                                   std::string_view what) {
  std::vector<Address> out;
  for (const std::string& url : urls) {
    auto address = Address::parse(url);
    if (!address) {
      return refuse(
          Error::address_invalid,
          fmt::format("the {} address '{}' is not like ws://host:port, wss://host:port or "
                      "tcp://host:port",
                      what, url));
    }
    out.push_back(std::move(*address));
  }
  return out;
}

}  // namespace

Result<EngineOptions, StartError> engine_options(const NodeOptions& options) {
  if (auto what = complaint(options)) return refuse(Error::invalid_argument, std::move(*what));
  auto bootstrap = parse_all(options.bootstrap, "bootstrap");
  if (!bootstrap) return std::unexpected(std::move(bootstrap.error()));
  auto advertise = parse_all(options.advertise, "advertised");
  if (!advertise) return std::unexpected(std::move(advertise.error()));
  if (advertise->size() > limits::contact_addresses_max) {
    return refuse(Error::invalid_argument, fmt::format("at most {} addresses can be advertised",
                                                       limits::contact_addresses_max));
  }
  return EngineOptions{
      .network = options.network,
      .agent = fmt::format("peer-relay/{}", version()),
      .bootstrap = std::move(*bootstrap),
      .advertise = std::move(*advertise),
      .listening = {},
      .listens_on_loopback = is_on_loopback(options.host),
      .cached_contacts = {},
      .limits = options.limits,
      .handshake_timeout = options.handshake_timeout,
      .ping_after = options.ping_after,
      .link_dead_after = options.link_dead_after,
      .legacy = options.legacy,
      .old_exchange = options.old_exchange,
  };
}

bool is_on_loopback(const std::string& host) {
  return reach_of_host(host) == Reach::loopback || host == "::" || host == "0.0.0.0";
}

std::string local_url(Scheme scheme, const std::string& host, std::uint16_t port) {
  const bool is_everywhere = host == "::" || host == "0.0.0.0";
  return Address{.scheme = scheme, .host = is_everywhere ? "127.0.0.1" : host, .port = port}
      .to_string();
}

}  // namespace peer_relay
