// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <expected>
#include <string_view>

namespace peer_relay {

/// What can go wrong in a call that the application made. Each has one sentence: `describe`.
enum class Error : std::uint8_t {
  invalid_argument,     ///< a value that no node could use, as an id that is not 40 hex digits
  payload_too_large,    ///< more than limits::payload_bytes_max
  queue_full,           ///< this node's own bound was reached; try again when messages have left
  to_self,              ///< a node has no route to itself
  not_linked,           ///< no link to that peer
  no_such_contact,      ///< the overlay knows no node of this id, or no way to dial it
  dial_failed,          ///< every address of the peer was tried in vain
  closed,               ///< the node was destroyed
  key_invalid,          ///< an identity that is not an Ed25519 private key
  file_unreadable,      ///< a file of the options is missing or may not be read
  file_unwritable,      ///< a file of the options may not be written
  address_invalid,      ///< an address that is not ws://, wss:// or tcp://host:port
  address_in_use,       ///< another process listens on that port
  address_unavailable,  ///< no interface of this machine has that address, or the port is not
                        ///< allowed
  tls_invalid,          ///< a certificate, key or CA file that OpenSSL does not take
  state_in_use,         ///< another process runs on that state directory
};

/// One sentence for people, without a full stop.
std::string_view describe(Error error);

template <class T, class E = Error>
using Result = std::expected<T, E>;

}  // namespace peer_relay
