// SPDX-License-Identifier: MIT
#include "peer_relay/address.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "peer_relay/limits.hpp"

namespace peer_relay {
namespace {

// ---- IP addresses ------------------------------------------------------------------------------

using Ipv4 = std::uint32_t;
using Ipv6 = std::array<std::uint16_t, 8>;  // groups, first one first

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex_digit(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// Digits only, of at most `digits_max`, and without zeros to pad them: some read those as octal.
std::optional<std::uint32_t> parse_decimal(std::string_view text, std::size_t digits_max) {
  if (text.empty() || text.size() > digits_max || !std::ranges::all_of(text, is_digit)) return {};
  if (text.size() > 1 && text.front() == '0') return {};
  std::uint32_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// Four decimal numbers. The shorter, octal and hexadecimal forms of inet_aton are nobody's
/// address.
std::optional<Ipv4> parse_ipv4(std::string_view text) {
  Ipv4 out = 0;
  for (int i = 0; i < 4; ++i) {
    const std::size_t dot = i < 3 ? text.find('.') : text.size();
    if (dot == std::string_view::npos) return {};
    const auto octet = parse_decimal(text.substr(0, dot), 3);
    if (!octet || *octet > 255) return {};
    out = out << 8 | *octet;
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  return out;
}

/// Groups of a part of an IPv6 address, up to its end or to a `::`.
struct Groups {
  Ipv6 groups{};
  std::size_t count = 0;

  bool add(std::uint32_t group) {
    if (count == groups.size()) return false;
    groups[count++] = static_cast<std::uint16_t>(group);
    return true;
  }
};

/// `a:b:c`, where the last two groups may be written as an IPv4 address; empty text has no groups.
std::optional<Groups> parse_groups(std::string_view text, bool may_end_in_ipv4) {
  Groups out;
  while (!text.empty()) {
    const std::size_t colon = text.find(':');
    const std::string_view part = text.substr(0, colon);
    const bool is_last = colon == std::string_view::npos;
    if (part.contains('.')) {
      const auto ipv4 = parse_ipv4(part);
      if (!is_last || !may_end_in_ipv4 || !ipv4) return {};
      if (!out.add(*ipv4 >> 16) || !out.add(*ipv4 & 0xffff)) return {};
      return out;
    }
    if (part.empty() || part.size() > 4 || !std::ranges::all_of(part, is_hex_digit)) return {};
    std::uint32_t group = 0;
    std::from_chars(part.data(), part.data() + part.size(), group, 16);
    if (!out.add(group)) return {};
    if (is_last) return out;
    text.remove_prefix(colon + 1);
    if (text.empty()) return {};  // a single colon at the end
  }
  return out;
}

/// RFC 4291 §2.2, all three forms; no zone (RFC 4007), for it means nothing on another machine.
std::optional<Ipv6> parse_ipv6(std::string_view text) {
  const std::size_t gap = text.find("::");
  if (gap == std::string_view::npos) {
    const auto all = parse_groups(text, true);
    if (!all || all->count != 8) return {};
    return all->groups;
  }
  const auto head = parse_groups(text.substr(0, gap), false);
  const auto tail = parse_groups(text.substr(gap + 2), true);
  if (!head || !tail || head->count + tail->count > 7) return {};  // the gap is one group or more
  Ipv6 out = head->groups;
  std::ranges::copy_n(tail->groups.begin(), static_cast<std::ptrdiff_t>(tail->count),
                      out.end() - static_cast<std::ptrdiff_t>(tail->count));
  return out;
}

Ipv4 last_ipv4(const Ipv6& ip) { return Ipv4{ip[6]} << 16 | ip[7]; }

/// ::ffff:0:0/96, an IPv4 address in the clothes of IPv6 (RFC 4291 §2.5.5.2).
bool is_mapped(const Ipv6& ip) {
  return std::all_of(ip.begin(), ip.begin() + 5, [](auto group) { return group == 0; }) &&
         ip[5] == 0xffff;
}

// ---- From where an address is reached ----

struct Ipv4Block {
  Ipv4 network;
  int bits;
  Reach reach;
};

// RFC 6890 §2.2.2, and RFC 5771 for multicast. What is not listed is the world's.
constexpr Ipv4Block ipv4_blocks[] = {
    {0x00000000, 8, Reach::nowhere},      // this host on this network
    {0x0a000000, 8, Reach::site},         // private
    {0x64400000, 10, Reach::site},        // behind a carrier's NAT (RFC 6598)
    {0x7f000000, 8, Reach::loopback},     //
    {0xa9fe0000, 16, Reach::link_local},  //
    {0xac100000, 12, Reach::site},        // private
    {0xc0000000, 24, Reach::nowhere},     // IETF protocol assignments
    {0xc0000200, 24, Reach::nowhere},     // documentation
    {0xc0586300, 24, Reach::nowhere},     // 6to4 relays, given up by RFC 7526
    {0xc0a80000, 16, Reach::site},        // private
    {0xc6120000, 15, Reach::site},        // benchmarks (RFC 2544)
    {0xc6336400, 24, Reach::nowhere},     // documentation
    {0xcb007100, 24, Reach::nowhere},     // documentation
    {0xe0000000, 4, Reach::nowhere},      // multicast
    {0xf0000000, 4, Reach::nowhere},      // reserved, and broadcast
};

Reach reach_of(Ipv4 ip) {
  for (const Ipv4Block& block : ipv4_blocks) {
    if ((ip ^ block.network) >> (32 - block.bits) == 0) return block.reach;
  }
  return Reach::world;
}

/// For a gateway to the IPv4 world: it leads nowhere else.
Reach reach_through_gateway(Ipv4 ip) {
  return reach_of(ip) == Reach::world ? Reach::world : Reach::nowhere;
}

// RFC 6890 §2.2.3 and the registry that it founded.
Reach reach_of(const Ipv6& ip) {
  if (is_mapped(ip)) return reach_of(last_ipv4(ip));
  if (ip == Ipv6{0, 0, 0, 0, 0, 0, 0, 1}) return Reach::loopback;
  if ((ip[0] & 0xfe00) == 0xfc00) return Reach::site;        // unique local (RFC 4193)
  if ((ip[0] & 0xffc0) == 0xfe80) return Reach::link_local;  //
  if ((ip[0] & 0xffc0) == 0xfec0) return Reach::site;        // as RFC 3513 had it
  if (std::equal(ip.begin(), ip.begin() + 6, Ipv6{0x64, 0xff9b}.begin())) {
    return reach_through_gateway(last_ipv4(ip));  // NAT64 (RFC 6052)
  }
  if (ip[0] == 0x64 && ip[1] == 0xff9b && ip[2] == 1) return Reach::site;  // RFC 8215
  if (ip[0] >> 13 != 1) return Reach::nowhere;                   // only 2000::/3 is given out
  if (ip[0] == 0x2001 && ip[1] == 0xdb8) return Reach::nowhere;  // documentation
  if (ip[0] == 0x3fff && ip[1] < 0x1000) return Reach::nowhere;  // RFC 9637
  if (ip[0] == 0x2001 && ip[1] == 2 && ip[2] == 0) return Reach::site;  // benchmarks (RFC 5180)
  if (ip[0] == 0x2001 && (ip[1] >> 4 == 1 || ip[1] >> 4 == 2)) {
    return Reach::nowhere;  // ORCHID: hashes in the form of addresses (RFC 4843, RFC 7343)
  }
  if (ip[0] == 0x2002) return reach_through_gateway(Ipv4{ip[1]} << 16 | ip[2]);  // 6to4
  return Reach::world;
}

// ---- Names and the parts of an address ----

/// Letters, digits and inner hyphens (RFC 1123 §2.1).
bool is_label(std::string_view label) {
  return !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-' &&
         std::ranges::all_of(label, [](char c) { return is_letter(c) || is_digit(c) || c == '-'; });
}

/// What inet_aton and every resolver on top of it would take for a part of an IPv4 address.
bool is_number(std::string_view label) {
  if (std::ranges::all_of(label, is_digit)) return true;
  return label.size() >= 2 && label[0] == '0' && to_lower(label[1]) == 'x' &&
         std::ranges::all_of(label.substr(2), is_hex_digit);
}

bool is_name(std::string_view text) {
  for (;;) {
    const std::size_t dot = text.find('.');
    const std::string_view label = text.substr(0, dot);
    if (!is_label(label)) return false;
    if (dot == std::string_view::npos) return !is_number(label);
    text.remove_prefix(dot + 1);
  }
}

/// localhost and all below it (RFC 6761 §6.3).
bool is_localhost(std::string_view name) {
  constexpr std::string_view localhost = "localhost";
  if (name.size() < localhost.size()) return false;
  const std::string_view end = name.substr(name.size() - localhost.size());
  return std::ranges::equal(end, localhost, {}, to_lower) &&
         (end.size() == name.size() || name[name.size() - end.size() - 1] == '.');
}

struct SchemeWord {
  Scheme scheme;
  std::string_view prefix;
  std::uint16_t default_port;  // 0: none
};

constexpr SchemeWord schemes[] = {
    {Scheme::ws, "ws://", 80},
    {Scheme::wss, "wss://", 443},
    {Scheme::tcp, "tcp://", 0},
};

const SchemeWord& word_of(Scheme scheme) {
  return *std::ranges::find(schemes, scheme, &SchemeWord::scheme);
}

/// The host at the front of `text`, which then starts behind it.
std::optional<std::string_view> take_host(std::string_view& text) {
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return {};
    const std::string_view host = text.substr(1, close - 1);
    text.remove_prefix(close + 1);
    if (!parse_ipv6(host)) return {};
    return host;
  }
  const std::string_view host = text.substr(0, text.find_first_of(":/"));
  text.remove_prefix(host.size());
  if (!parse_ipv4(host) && !is_name(host)) return {};
  return host;
}

/// `:port`, where there is one.
std::optional<std::uint16_t> take_port(std::string_view& text, std::uint16_t otherwise) {
  if (!text.starts_with(':')) return otherwise;
  const std::string_view digits = text.substr(1, text.find('/') - 1);
  text.remove_prefix(1 + digits.size());
  const auto port = parse_decimal(digits, 5);
  if (!port || *port > 65'535) return {};
  return static_cast<std::uint16_t>(*port);
}

bool is_path(std::string_view text) {
  return text.starts_with('/') && std::ranges::all_of(text, [](char c) {
           return c > ' ' && c <= '~' && c != '?' && c != '#';
         });
}

}  // namespace

Result<Address> Address::parse(std::string_view text) {
  constexpr auto invalid = std::unexpected(Error::address_invalid);
  if (text.size() > limits::address_bytes_max) return invalid;
  const auto word = std::ranges::find_if(
      schemes, [&](const SchemeWord& one) { return text.starts_with(one.prefix); });
  if (word == std::end(schemes)) return invalid;
  text.remove_prefix(word->prefix.size());

  const auto host = take_host(text);
  if (!host) return invalid;
  const auto port = take_port(text, word->default_port);
  if (!port || *port == 0) return invalid;
  if (!text.empty() && (word->scheme == Scheme::tcp || !is_path(text))) return invalid;

  Address out{.scheme = word->scheme, .host = std::string(*host), .port = *port};
  std::ranges::transform(out.host, out.host.begin(), to_lower);
  if (!text.empty()) out.path = text;
  return out;
}

std::string Address::to_string() const {
  const SchemeWord& word = word_of(scheme);
  const bool is_ipv6 = host.contains(':');
  std::string out{word.prefix};
  if (is_ipv6) out += '[';
  out += host;
  if (is_ipv6) out += ']';
  if (port != word.default_port) out.append(":").append(std::to_string(port));
  if (path != "/" && scheme != Scheme::tcp) out += path;
  return out;
}

Reach Address::reach() const { return reach_of_host(host); }

bool is_ip_address(std::string_view host) { return parse_ipv4(host) || parse_ipv6(host); }

Reach reach_of_host(std::string_view host) {
  if (const auto ip = parse_ipv4(host)) return reach_of(*ip);
  if (const auto ip = parse_ipv6(host)) return reach_of(*ip);
  if (!is_name(host)) return Reach::nowhere;
  return is_localhost(host) ? Reach::loopback : Reach::world;
}

std::uint64_t subnet_of_host(std::string_view host) {
  // The highest two bits keep the three families apart.
  constexpr std::uint64_t ipv4 = 1, ipv6 = 2, name = 3;
  const auto subnet_of = [](Ipv4 ip) { return ipv4 << 62 | ip >> 8; };
  if (const auto ip = parse_ipv4(host)) return subnet_of(*ip);
  if (const auto ip = parse_ipv6(host)) {
    if (is_mapped(*ip)) return subnet_of(last_ipv4(*ip));
    return ipv6 << 62 | std::uint64_t{(*ip)[0]} << 32 | std::uint64_t{(*ip)[1]} << 16 | (*ip)[2];
  }
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : host) hash = (hash ^ static_cast<std::uint8_t>(to_lower(c))) * 0x100000001b3;
  return name << 62 | hash >> 2;
}

}  // namespace peer_relay
