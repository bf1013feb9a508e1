// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <iterator>

#include <fmt/format.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <sys/socket.h>

#include "columns.hpp"
#include "peer_relay/address.hpp"
#include "server.hpp"
#include "text.hpp"

namespace peer_relay::app {
namespace {

/// Beyond these the block is no longer short.
constexpr std::size_t urls_max = 6;

std::string numeric(const sockaddr* address) {
  const bool is_v4 = address->sa_family == AF_INET;
  const auto size = static_cast<socklen_t>(is_v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
  std::array<char, NI_MAXHOST> text{};
  const int error =
      getnameinfo(address, size, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST);
  return error == 0 ? text.data() : "";
}

/// Of this machine's interfaces, as far as others could dial them.
std::vector<std::string> interface_hosts() {
  std::vector<std::string> hosts;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return hosts;
  for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr) continue;
    if (at->ifa_addr->sa_family != AF_INET && at->ifa_addr->sa_family != AF_INET6) continue;
    const std::string host = numeric(at->ifa_addr);
    if (!host.empty() && reach_of_host(host) >= Reach::site) hosts.push_back(host);
  }
  freeifaddrs(list);
  return hosts;
}

/// What others may dial: what we are told to advertise, else what seems likely.
std::vector<std::string> urls_of(const Node& node, const NodeOptions& options) {
  std::vector<std::string> urls = options.advertise;
  std::ranges::copy(node.urls(), std::back_inserter(urls));
  const bool everywhere = options.host == "::" || options.host == "0.0.0.0";
  if (options.advertise.empty() && everywhere) {
    for (const std::string& host : interface_hosts()) {
      if (options.host == "0.0.0.0" && host.find(':') != std::string::npos) continue;
      // A certificate is for a name that we don't know.
      if (node.port() > 0 && !options.tls) {
        urls.push_back(Address{Scheme::ws, host, node.port(), "/"}.to_string());
      }
      if (node.tcp_port() > 0) {
        urls.push_back(Address{Scheme::tcp, host, node.tcp_port(), "/"}.to_string());
      }
    }
  }
  if (urls.size() > urls_max) urls.resize(urls_max);
  return urls;
}

/// The program as another terminal finds it, whatever directory that is in.
std::string callable(const std::string& program) {
  if (program.find('/') == std::string::npos) return program;
  std::error_code error;
  const auto path = std::filesystem::absolute(program, error).lexically_normal();
  return error ? program : path.string();
}

std::string try_line(const std::string& verb, const std::string& url,
                     const ServerOptions& options) {
  std::string line = fmt::format("{} {} --bootstrap {}", shell_word(callable(options.program)),
                                 verb, shell_word(url));
  if (options.node.network != NodeOptions{}.network) {
    line += " --network " + shell_word(options.node.network);
  }
  if (!options.node.tls_ca_file.empty()) {
    line += " --tls-ca " + shell_word(options.node.tls_ca_file);
  }
  return line;
}

}  // namespace

std::string welcome(const Node& node, const ServerOptions& options, bool colors) {
  const std::vector<std::string> urls = urls_of(node, options.node);
  const std::string state = options.node.state_dir.empty()
                                ? "none: key and peers are forgotten at the end"
                                : escaped(home_shortened(options.node.state_dir));
  Columns facts{{{""}, {""}, {""}}};
  facts.add({"", "id", node.id().to_hex()});
  for (std::size_t i = 0; i < urls.size(); ++i) facts.add({"", i == 0 ? "url" : "", urls[i]});
  facts.add({"", "network", escaped(options.node.network)});
  facts.add({"", "state", state});
  if (urls.empty()) {
    return fmt::format("{}\n{}\n",
                       bold(fmt::format("peer-relay {} is up, without a port", version()), colors),
                       facts.text());
  }
  const std::string& url = urls.front();
  return fmt::format("{}\n{}\nTry it from other terminals:\n\n  {}\n  {} {} hello\n\n",
                     bold(fmt::format("peer-relay {} is listening", version()), colors),
                     facts.text(), try_line("listen", url, options), try_line("send", url, options),
                     node.id().to_hex());
}

std::string explanation(const StartError& error, const NodeOptions& options) {
  std::string detail =
      error.detail.empty() ? std::string{describe(error.error)} : escaped(error.detail, 400);
  switch (error.error) {
    case Error::state_in_use:
      return fmt::format(
          "another peer-relay runs on {}.\n"
          "A second node on this machine needs a state directory and a port of its own, as in\n"
          "  peer-relay serve --state-dir DIR --port 0\n"
          "or none at all:\n"
          "  peer-relay serve --ephemeral --port 0",
          escaped(home_shortened(options.state_dir)));
    case Error::address_in_use: {
      // Of the two that there may be, the detail names the one.
      const auto tcp_port = options.tcp_port.value_or(0);
      const bool is_tcp = error.detail.contains(fmt::format(" port {}:", tcp_port));
      return fmt::format(
          "another process listens on port {0}; choose one with {1}, or any free one with {1} 0",
          is_tcp ? tcp_port : options.port.value_or(0), is_tcp ? "--tcp" : "--port");
    }
    default:
      return detail;
  }
}

}  // namespace peer_relay::app
