// SPDX-License-Identifier: MIT
//
// Streams with Boost.Asio's coroutines: one node says everything back, another asks it.
//
//   echo hello
#include <iostream>
#include <string>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <peer_relay/asio.hpp>

namespace asio = boost::asio;
using peer_relay::AsioStream;
using peer_relay::Node;

asio::awaitable<void> serve(AsioStream stream) {
  char bytes[4096];
  for (;;) {
    const auto [error, size] =
        co_await stream.async_read_some(asio::buffer(bytes), asio::as_tuple(asio::use_awaitable));
    if (error) break;
    co_await asio::async_write(stream, asio::buffer(bytes, size), asio::use_awaitable);
  }
  stream.finish();
}

asio::awaitable<void> ask(AsioStream& stream, Node& node, const peer_relay::NodeId& id,
                          std::string question) {
  const peer_relay::StreamOptions options{.label = "echo"};
  co_await stream.async_open(node, id, options, asio::use_awaitable);
  co_await asio::async_write(stream, asio::buffer(question), asio::use_awaitable);
  stream.finish();
  std::string answer;
  const auto [error, size] = co_await asio::async_read(stream, asio::dynamic_buffer(answer),
                                                       asio::as_tuple(asio::use_awaitable));
  std::cout << answer << " (" << error.message() << ")" << std::endl;
}

int main(int argc, char** argv) {
  asio::io_context io;
  auto server =
      Node::start({.port = 0}, {.stream = [&](peer_relay::Stream stream) {
                    asio::co_spawn(io, serve(AsioStream{io, std::move(stream)}), asio::detached);
                  }});
  if (!server) return 1;
  auto client = Node::start({.bootstrap = {server->url()}});
  if (!client) return 1;

  AsioStream stream{io};
  asio::co_spawn(io, ask(stream, *client, server->id(), argc > 1 ? argv[1] : "hello"),
                 [](const std::exception_ptr& error) {
                   if (error) std::rethrow_exception(error);
                 });
  io.run();
}
