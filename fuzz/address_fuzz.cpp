// SPDX-License-Identifier: MIT
//
// Addresses come in strangers' contact records, hosts in their introductions.
#include "peer_relay/address.hpp"

#include <cstddef>
#include <cstdint>

#include "base/assert.hpp"
#include "base/text.hpp"
#include "peer_relay/bytes.hpp"
#include "peer_relay/limits.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace peer_relay;
  const std::string_view text = as_text({data, size});
  (void)reach_of_host(text);
  (void)subnet_of_host(text);
  if (is_ip_address(text)) PEER_RELAY_ASSERT(text.size() <= 45);  // the longest form of IPv6

  const auto address = Address::parse(text);
  if (!address) return 0;
  const std::string again = address->to_string();
  PEER_RELAY_ASSERT(again.size() <= text.size() && text.size() <= limits::address_bytes_max);
  PEER_RELAY_ASSERT(is_plain_text(again));
  PEER_RELAY_ASSERT(Address::parse(again) == address);
  PEER_RELAY_ASSERT(address->port != 0 && address->path.starts_with('/'));
  PEER_RELAY_ASSERT(address->reach() == reach_of_host(address->host));
  return 0;
}
