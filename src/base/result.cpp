// SPDX-License-Identifier: MIT
#include "peer_relay/result.hpp"

namespace peer_relay {

std::string_view describe(Error error) {
  using enum Error;
  switch (error) {
    case invalid_argument:
      return "a value was given that no node could use";
    case payload_too_large:
      return "the payload is larger than one message may be";
    case queue_full:
      return "as much as this node keeps is waiting already; try again later";
    case to_self:
      return "a node cannot send to itself";
    case not_linked:
      return "there is no link to that peer";
    case no_such_contact:
      return "nobody in the network knows how to reach that id";
    case dial_failed:
      return "none of the peer's addresses could be reached";
    case closed:
      return "the node has been closed";
    case key_invalid:
      return "the identity is not an Ed25519 private key";
    case file_unreadable:
      return "the file is missing or may not be read";
    case file_unwritable:
      return "the file may not be written";
    case address_invalid:
      return "the address is not of the form ws://host:port, wss://host:port or tcp://host:port";
    case address_in_use:
      return "another process listens on that port";
    case address_unavailable:
      return "this machine may not listen on that address or port";
    case tls_invalid:
      return "the certificate, key or CA file cannot be used for TLS";
    case state_in_use:
      return "another process uses that state directory";
  }
  return "unknown error";
}

}  // namespace peer_relay
