// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "peer_relay/limits.hpp"
#include "transport/context_impl.hpp"
#include "transport/tcp/deframer.hpp"
#include "transport/tcp/tcp_transport.hpp"

namespace peer_relay::tcp {

namespace asio = boost::asio;
using sockets::Awaitable;
using sockets::error_code;
using sockets::Remote;
using sockets::Socket;

struct Context : sockets::Context {
  Context(asio::io_context& io_context, LinkSink& link_sink, const sockets::Bounds& given,
          bool may_take_streams)
      : sockets::Context(io_context, link_sink, given), takes_streams(may_take_streams) {}

  bool takes_streams;

  /// What all links read into, one after the other: a link that has nothing to read holds nothing.
  /// A whole message of any size, if it comes at once.
  std::array<std::uint8_t, length_bytes + limits::batch_bytes_max> received{};
};

/// Waits for the first bytes of a connection that was accepted, and makes a link of it
/// (arrival.cpp).
void welcome(const std::shared_ptr<Context>& context, Socket socket, Remote remote,
             sockets::HalfOpen::Place place);

/// Makes a link of a connection, of which the first bytes may have been read, gives it to the sink,
/// and begins to read (link.cpp).
void open_link(const std::shared_ptr<Context>& context, Socket socket, MutableBytes first,
               Remote remote, std::optional<DialId> dial, Manner manner);

}  // namespace peer_relay::tcp
