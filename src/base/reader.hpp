// SPDX-License-Identifier: MIT
//
// Reads a stranger's bytes from front to back and remembers failure: a read past the end yields
// zeros and turns ok() false for good, so a decoder reads like the drawing of its frame and checks
// once. Integers are big-endian, as the wire has them (RFC 1700).
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstring>

#include "peer_relay/bytes.hpp"
#include "peer_relay/node_id.hpp"

namespace peer_relay {

class Reader {
 public:
  explicit Reader(BytesView bytes) : rest_(bytes) {}

  std::uint8_t u8() { return integer<std::uint8_t>(); }
  std::uint16_t u16() { return integer<std::uint16_t>(); }
  std::uint32_t u32() { return integer<std::uint32_t>(); }
  std::uint64_t u64() { return integer<std::uint64_t>(); }

  template <std::size_t N>
  std::array<std::uint8_t, N> array() {
    std::array<std::uint8_t, N> out{};
    const BytesView from = bytes(N);
    if (from.size() == N) std::memcpy(out.data(), from.data(), N);
    return out;
  }

  NodeId id() { return NodeId{array<NodeId::size>()}; }

  /// The next `count` bytes, or none of them.
  BytesView bytes(std::size_t count) {
    if (count > rest_.size()) {
      fail();
      return {};
    }
    const BytesView out = rest_.first(count);
    rest_ = rest_.subspan(count);
    return out;
  }

  /// Bytes with their count before them in one byte, or in two.
  BytesView bytes_u8() { return bytes(u8()); }
  BytesView bytes_u16() { return bytes(u16()); }

  BytesView rest() { return bytes(rest_.size()); }

  /// Says that what was read can't be right.
  void fail() {
    ok_ = false;
    rest_ = {};
  }

  bool ok() const { return ok_; }
  std::size_t left() const { return rest_.size(); }

  /// Whether all was read, and nothing was missing.
  bool is_whole() const { return ok_ && rest_.empty(); }

 private:
  template <std::unsigned_integral T>
  T integer() {
    const BytesView from = bytes(sizeof(T));
    T value = 0;
    for (const std::uint8_t byte : from) value = static_cast<T>(value << 8 | byte);
    return value;
  }

  BytesView rest_;
  bool ok_ = true;
};

}  // namespace peer_relay
