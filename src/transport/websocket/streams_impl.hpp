// SPDX-License-Identifier: MIT
//
// Beast as this room uses it; for its .cpp files and no others, because who sees Beast takes three
// times as long to compile.
#pragma once

#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <boost/beast/websocket/stream.hpp>

#include "transport/sockets_impl.hpp"

namespace peer_relay::websocket {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using namespace sockets;

using TlsSocket = asio::ssl::stream<Socket>;

/// A WebSocket without permessage-deflate: what we carry is sealed and does not compress.
template <class Next>
using Stream = beast::websocket::stream<Next, false>;

inline Socket& socket_of(Stream<Socket>& stream) { return stream.next_layer(); }
inline Socket& socket_of(Stream<TlsSocket>& stream) { return stream.next_layer().next_layer(); }

}  // namespace peer_relay::websocket
