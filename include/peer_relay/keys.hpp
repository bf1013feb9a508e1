// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>

namespace peer_relay {

using PublicKey = std::array<std::uint8_t, 32>;     ///< Ed25519 (RFC 8032 §5.1.5)
using Signature = std::array<std::uint8_t, 64>;     ///< Ed25519 (RFC 8032 §5.1.6)
using SigningSeed = std::array<std::uint8_t, 32>;   ///< the private key of RFC 8032
using AgreementKey = std::array<std::uint8_t, 32>;  ///< X25519, public or private (RFC 7748 §5)
using SymmetricKey = std::array<std::uint8_t, 32>;  ///< ChaCha20-Poly1305 (RFC 8439)

}  // namespace peer_relay
