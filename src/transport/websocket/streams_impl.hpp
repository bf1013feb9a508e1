// SPDX-License-Identifier: MIT
//
// Asio and Beast as this room uses them; for its .cpp files and no others, because who sees Beast
// takes three times as long to compile.
//
// One thread runs everything here. So the executor is the io_context's own, without the type
// erasure that Asio's ready-made names bring along.
#pragma once

#include <chrono>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <boost/beast/websocket/stream.hpp>

namespace peer_relay::websocket {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

using Executor = asio::io_context::executor_type;
using Socket = asio::basic_stream_socket<tcp, Executor>;
using Acceptor = asio::basic_socket_acceptor<tcp, Executor>;
using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, Executor>;
using TlsSocket = asio::ssl::stream<Socket>;

/// A WebSocket without permessage-deflate: what we carry is sealed and does not compress.
template <class Next>
using Stream = beast::websocket::stream<Next, false>;

template <class T>
using Awaitable = asio::awaitable<T, Executor>;

/// Errors come back as values: auto [error, bytes] = co_await ...
inline constexpr asio::as_tuple_t<asio::use_awaitable_t<Executor>> as_values{};

inline Socket& socket_of(Stream<Socket>& stream) { return stream.next_layer(); }
inline Socket& socket_of(Stream<TlsSocket>& stream) { return stream.next_layer().next_layer(); }

}  // namespace peer_relay::websocket
