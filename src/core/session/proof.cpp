// SPDX-License-Identifier: MIT
#include "core/session/proof.hpp"

#include <algorithm>
#include <string_view>

namespace peer_relay {

std::array<std::uint8_t, session_prologue_bytes> session_prologue(const NetworkHash& network,
                                                                  const NodeId& opener,
                                                                  const NodeId& other) {
  constexpr std::string_view name = "peer-relay session 1";
  static_assert(name.size() + std::tuple_size_v<NetworkHash> + 2 * NodeId::size ==
                session_prologue_bytes);
  std::array<std::uint8_t, session_prologue_bytes> out;
  auto at = std::ranges::copy(as_bytes(name), out.begin()).out;
  at = std::ranges::copy(network, at).out;
  at = std::ranges::copy(opener.bytes, at).out;
  std::ranges::copy(other.bytes, at);
  return out;
}

std::optional<AgreementKey> agreement_key_of(const NodeId& id, const PublicKey& key,
                                             Crypto& crypto) {
  if (node_id_of(key, crypto) != id) return std::nullopt;
  AgreementKey out;
  if (!crypto.to_agreement(key, out)) return std::nullopt;
  return out;
}

bool proves(const NodeId& id, const PublicKey& key, const std::optional<AgreementKey>& shown,
            Crypto& crypto) {
  return shown && agreement_key_of(id, key, crypto) == shown;
}

}  // namespace peer_relay
