// SPDX-License-Identifier: MIT
//
// What TLS 1.2 and 1.3 need: certificates to show and to trust, and the check that one is for the
// host that was meant (RFC 6125).
#pragma once

#include <memory>
#include <string>

#include "peer_relay/node.hpp"
#include "transport/websocket/streams_impl.hpp"

namespace peer_relay::websocket {

using TlsContext = std::unique_ptr<asio::ssl::context>;

Result<TlsContext, StartError> listening_tls(const TlsFiles& files);

/// With an empty `ca_file` the system's store is trusted.
Result<TlsContext, StartError> dialing_tls(const std::string& ca_file);

/// Asks for `host` by name (SNI) and lets the handshake fail unless a trusted certificate is for
/// it.
void expect_host(TlsSocket& socket, const std::string& host);

/// What was wrong with the handshake that failed with `error`, for people.
std::string tls_complaint(TlsSocket& socket, error_code error, const std::string& host);

}  // namespace peer_relay::websocket
