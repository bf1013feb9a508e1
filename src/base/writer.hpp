// SPDX-License-Identifier: MIT
//
// Appends to bytes that the caller keeps. Integers are big-endian.
#pragma once

#include <concepts>
#include <cstring>

#include "base/assert.hpp"
#include "peer_relay/bytes.hpp"
#include "peer_relay/node_id.hpp"

namespace peer_relay {

class Writer {
 public:
  /// `out` outlives the writer; what it holds already stays.
  explicit Writer(Bytes& out) : out_(&out) {}

  void u8(std::uint8_t value) { out_->push_back(value); }
  void u16(std::uint16_t value) { integer(value); }
  void u32(std::uint32_t value) { integer(value); }
  void u64(std::uint64_t value) { integer(value); }
  void id(const NodeId& id) { bytes(id.bytes); }

  void bytes(BytesView bytes) {
    if (bytes.empty()) return;
    const std::size_t at = out_->size();
    out_->resize(at + bytes.size());
    std::memcpy(out_->data() + at, bytes.data(), bytes.size());
  }

  /// With the count before them in one byte, or in two.
  void bytes_u8(BytesView view) {
    PEER_RELAY_ASSERT(view.size() <= 0xff);
    u8(static_cast<std::uint8_t>(view.size()));
    bytes(view);
  }
  void bytes_u16(BytesView view) {
    PEER_RELAY_ASSERT(view.size() <= 0xffff);
    u16(static_cast<std::uint16_t>(view.size()));
    bytes(view);
  }

 private:
  template <std::unsigned_integral T>
  void integer(T value) {
    std::uint8_t out[sizeof(T)];
    for (std::size_t i = sizeof(T); i-- > 0; value = static_cast<T>(value >> 8)) {
      out[i] = static_cast<std::uint8_t>(value);
    }
    bytes(out);
  }

  Bytes* out_;
};

}  // namespace peer_relay
