// SPDX-License-Identifier: MIT
#include "core/wire/signal.hpp"

#include "base/writer.hpp"
#include "core/wire/decode.hpp"
#include "peer_relay/limits.hpp"

namespace peer_relay {

namespace {

using enum DecodeError;

constexpr std::uint8_t flag_needed = 0x01;

std::size_t text_bytes_max(SignalStep step) {
  switch (step) {
    case SignalStep::offer:
    case SignalStep::answer:
      return limits::description_bytes_max;
    case SignalStep::candidate:
      return limits::candidate_bytes_max;
    case SignalStep::decline:
      break;
  }
  return 0;
}

}  // namespace

Decoded<Signal> decode_signal(BytesView body) {
  Reader in{body};
  Signal signal;
  signal.step = SignalStep{in.u8()};
  const std::uint8_t flags = in.u8();
  signal.number = in.u64();
  signal.text = as_text(in.rest());
  if (!in.ok()) return std::unexpected(truncated);
  if (signal.step < SignalStep::offer || signal.step > SignalStep::decline) {
    return std::unexpected(unknown);
  }
  signal.is_needed = signal.step == SignalStep::offer && (flags & flag_needed) != 0;
  if (signal.text.size() > text_bytes_max(signal.step)) return std::unexpected(over_limit);
  return signal;
}

void encode_signal(const Signal& signal, Bytes& out) {
  PEER_RELAY_ASSERT(signal.text.size() <= text_bytes_max(signal.step));
  Writer writer{out};
  writer.u8(static_cast<std::uint8_t>(signal.step));
  writer.u8(signal.is_needed ? flag_needed : 0);
  writer.u64(signal.number);
  writer.bytes(as_bytes(signal.text));
}

}  // namespace peer_relay
