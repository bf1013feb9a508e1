// SPDX-License-Identifier: MIT
//
// The first byte chooses a decoder, the others are for it.
#include <cstddef>
#include <cstdint>

#include "base/assert.hpp"
#include "wire_formats.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace peer_relay;
  const BytesView input{data, size};
  if (input.empty() || input[0] >= formats.size()) return 0;
  PEER_RELAY_ASSERT(keeps_its_promise(formats[input[0]], input.subspan(1)));
  (void)reply_kind(input.subspan(1));
  return 0;
}
