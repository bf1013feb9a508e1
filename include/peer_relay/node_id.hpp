// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace peer_relay {

/// The name of a node: BLAKE2b, 20 bytes of output, over its Ed25519 public key.
/// Ordered as a big-endian number. Text form: 40 lower-case hex digits.
struct NodeId {
  static constexpr std::size_t size = 20;
  std::array<std::uint8_t, size> bytes{};

  bool operator==(const NodeId& other) const;
  std::strong_ordering operator<=>(const NodeId& other) const;

  std::string to_hex() const;

  /// The first eight digits, for logs.
  std::string short_hex() const { return to_hex().substr(0, 8); }

  /// Exactly 40 hex digits of either case, or nothing.
  static std::optional<NodeId> from_hex(std::string_view text);

  /// Bit 0 is the most significant one, as Kademlia §2.1 draws the tree.
  bool bit(int index) const {
    return (bytes[static_cast<std::size_t>(index / 8)] >> (7 - index % 8) & 1) != 0;
  }
};

/// XOR of two ids, compared as a big-endian number (Kademlia §2.1).
struct Distance {
  std::array<std::uint8_t, NodeId::size> bytes{};
  auto operator<=>(const Distance&) const = default;
};

inline constexpr int id_bits = 160;

Distance distance(const NodeId& a, const NodeId& b);

/// Whether `a` is strictly closer to `target` than `b` is.
bool is_closer(const NodeId& a, const NodeId& b, const NodeId& target);

/// How many leading bits two ids share: 0 to 160. It is also the index of the bucket in which one
/// keeps the other: bucket 0 is the far half of the tree.
int common_prefix_bits(const NodeId& a, const NodeId& b);

// Inline from here on: every hop of every envelope compares ids for each link it has.

namespace detail {

/// An id as a number, cut into words of which the first counts most.
struct IdWords {
  std::uint64_t high;
  std::uint64_t middle;
  std::uint32_t low;
};

template <class Word>
Word big_endian_at(const std::uint8_t* bytes) {
  Word word;
  std::memcpy(&word, bytes, sizeof word);
  return std::endian::native == std::endian::little ? std::byteswap(word) : word;
}

inline IdWords words_of(const NodeId& id) {
  const std::uint8_t* bytes = id.bytes.data();
  return {big_endian_at<std::uint64_t>(bytes), big_endian_at<std::uint64_t>(bytes + 8),
          big_endian_at<std::uint32_t>(bytes + 16)};
}

inline std::strong_ordering compare(const NodeId& a, const NodeId& b) {
  const auto [a_high, a_middle, a_low] = words_of(a);
  const auto [b_high, b_middle, b_low] = words_of(b);
  if (a_high != b_high) return a_high <=> b_high;
  if (a_middle != b_middle) return a_middle <=> b_middle;
  return a_low <=> b_low;
}

template <class Word>
void xor_at(std::size_t at, const NodeId& a, const NodeId& b, Distance& out) {
  Word of_a;
  Word of_b;
  std::memcpy(&of_a, a.bytes.data() + at, sizeof of_a);
  std::memcpy(&of_b, b.bytes.data() + at, sizeof of_b);
  const Word both = of_a ^ of_b;
  std::memcpy(out.bytes.data() + at, &both, sizeof both);
}

}  // namespace detail

inline bool NodeId::operator==(const NodeId& other) const {
  return detail::compare(*this, other) == 0;
}

inline std::strong_ordering NodeId::operator<=>(const NodeId& other) const {
  return detail::compare(*this, other);
}

inline Distance distance(const NodeId& a, const NodeId& b) {
  Distance out;
  detail::xor_at<std::uint64_t>(0, a, b, out);
  detail::xor_at<std::uint64_t>(8, a, b, out);
  detail::xor_at<std::uint32_t>(16, a, b, out);
  return out;
}

inline bool is_closer(const NodeId& a, const NodeId& b, const NodeId& target) {
  const auto [a_high, a_middle, a_low] = detail::words_of(a);
  const auto [b_high, b_middle, b_low] = detail::words_of(b);
  const auto [high, middle, low] = detail::words_of(target);
  if (a_high != b_high) return (a_high ^ high) < (b_high ^ high);
  if (a_middle != b_middle) return (a_middle ^ middle) < (b_middle ^ middle);
  return (a_low ^ low) < (b_low ^ low);
}

inline int common_prefix_bits(const NodeId& a, const NodeId& b) {
  const auto [a_high, a_middle, a_low] = detail::words_of(a);
  const auto [b_high, b_middle, b_low] = detail::words_of(b);
  if (a_high != b_high) return std::countl_zero(a_high ^ b_high);
  if (a_middle != b_middle) return 64 + std::countl_zero(a_middle ^ b_middle);
  return 128 + std::countl_zero(a_low ^ b_low);
}

}  // namespace peer_relay

template <>
struct std::hash<peer_relay::NodeId> {
  /// Ids are hashes already. (An adversary can choose his id's first bytes by trying keys: tables
  /// that strangers can fill are bounded, so a long chain stays a short one.)
  std::size_t operator()(const peer_relay::NodeId& id) const noexcept {
    std::size_t word = 0;
    std::memcpy(&word, id.bytes.data() + 8, sizeof word);
    return word;
  }
};
