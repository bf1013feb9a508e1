// SPDX-License-Identifier: MIT
//
// How the two ends of a session handshake prove their ids to each other. For this room alone.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "core/crypto/crypto.hpp"
#include "core/crypto/identity.hpp"
#include "core/wire/hello.hpp"
#include "core/wire/sealed.hpp"

namespace peer_relay {

inline constexpr std::size_t session_prologue_bytes = 20 + 16 + 2 * NodeId::size;

/// What both ends mix into the handshake, so that it holds for these two and this network only.
std::array<std::uint8_t, session_prologue_bytes> session_prologue(const NetworkHash& network,
                                                                  const NodeId& opener,
                                                                  const NodeId& other);

/// The X25519 form of a key that is the key of this id; nothing for another's.
std::optional<AgreementKey> agreement_key_of(const NodeId& id, const PublicKey& key,
                                             Crypto& crypto);

/// Whether the node of this id is who holds the static key that the handshake has proven.
bool proves(const NodeId& id, const PublicKey& key, const std::optional<AgreementKey>& shown,
            Crypto& crypto);

}  // namespace peer_relay
