// SPDX-License-Identifier: MIT
//
// What our relay is measured against: the WebSocket forwarder that a reasonable engineer writes
// first. One message a frame, a queue for each connection, no routing, no sealing, no compression,
// TCP_NODELAY. Two connections make a pair, in the order in which they come, and each gets what the
// other sends.
#include <atomic>
#include <deque>
#include <memory>
#include <thread>

#include <CLI/CLI.hpp>
#include <boost/asio.hpp>
#include <boost/beast.hpp>

#include "load.hpp"
#include "process.hpp"

namespace peer_relay::bench {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Receive = std::function<void(BytesView)>;

  explicit Connection(tcp::socket socket) : stream_(std::move(socket)) {
    stream_.next_layer().set_option(tcp::no_delay{true});
    stream_.binary(true);
    stream_.auto_fragment(false);
  }

  beast::websocket::stream<tcp::socket>& stream() { return stream_; }

  void start(Receive receive) {
    receive_ = std::move(receive);
    read();
  }

  void send(Bytes message) {
    queue_.push_back(std::move(message));
    if (queue_.size() == 1) write();
  }

 private:
  void read() {
    stream_.async_read(buffer_, [self = shared_from_this()](error_code error, std::size_t) {
      if (error) return;
      const auto data = self->buffer_.data();
      self->receive_({static_cast<const std::uint8_t*>(data.data()), data.size()});
      self->buffer_.consume(self->buffer_.size());
      self->read();
    });
  }

  void write() {
    stream_.async_write(asio::buffer(queue_.front()),
                        [self = shared_from_this()](error_code error, std::size_t) {
                          if (error) return;
                          self->queue_.pop_front();
                          if (!self->queue_.empty()) self->write();
                        });
  }

  beast::websocket::stream<tcp::socket> stream_;
  beast::flat_buffer buffer_;
  std::deque<Bytes> queue_;
  Receive receive_;
};

using ConnectionPtr = std::shared_ptr<Connection>;

/// Accepts for ever, one connection after the other.
class Listener {
 public:
  using Opened = std::function<void(ConnectionPtr)>;

  Listener(asio::io_context& io, Opened opened)
      : acceptor_(io, {asio::ip::make_address("127.0.0.1"), 0}), opened_(std::move(opened)) {
    accept();
  }

  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

 private:
  void accept() {
    acceptor_.async_accept([this](error_code error, tcp::socket socket) {
      if (error) return;
      auto connection = std::make_shared<Connection>(std::move(socket));
      connection->stream().async_accept([this, connection](error_code refused) {
        if (!refused) opened_(connection);
      });
      accept();
    });
  }

  tcp::acceptor acceptor_;
  Opened opened_;
};

ConnectionPtr dial(asio::io_context& io, std::uint16_t port) {
  tcp::socket socket{io};
  socket.connect({asio::ip::make_address("127.0.0.1"), port});
  auto connection = std::make_shared<Connection>(std::move(socket));
  connection->stream().handshake("127.0.0.1", "/");
  return connection;
}

void run_forwarder() {
  asio::io_context io{1};
  ConnectionPtr waiting;
  std::atomic<std::uint64_t> forwarded = 0;
  const auto join = [&](const ConnectionPtr& from, const ConnectionPtr& to) {
    from->start([to, &forwarded](BytesView message) {
      to->send({message.begin(), message.end()});
      ++forwarded;
    });
  };
  Listener listener{io, [&](ConnectionPtr connection) {
                      if (!waiting) {
                        waiting = std::move(connection);
                        return;
                      }
                      join(waiting, connection);
                      join(connection, std::exchange(waiting, nullptr));
                    }};
  std::thread network{[&] { io.run(); }};
  say({{"ready", true}, {"port", listener.port()}});
  obey_commands(
      [&](const Json&) {
        Json cost = own_cost();
        cost["relayed"] = forwarded.load();
        return cost;
      },
      [] {});
  io.stop();
  network.join();
}

void run_end(std::optional<std::uint16_t> port) {
  asio::io_context io{1};
  auto work = asio::make_work_guard(io);
  ConnectionPtr connection;
  End end{[&](Bytes message) {
    connection->send(std::move(message));
    return true;
  }};
  const auto opened = [&](ConnectionPtr fresh) {
    connection = std::move(fresh);
    connection->start([&end](BytesView message) { end.received(message); });
  };
  std::optional<Listener> listener;
  if (port) {
    opened(dial(io, *port));
  } else {
    listener.emplace(io, opened);
  }
  std::thread network{[&] { io.run(); }};
  say({{"ready", true}, {"port", listener ? listener->port() : 0}});
  // A connection belongs to its thread.
  const auto on_network = [&](std::function<void()> act) { asio::post(io, std::move(act)); };
  obey_commands(
      [&](const Json& command) {
        const std::string what = command.at("do");
        if (what == "start") on_network([&end, load = Load::from(command)] { end.start(load); });
        if (what == "stop") end.stop();
        Json cost = own_cost();
        cost.update(end.report());
        return cost;
      },
      [&] { on_network([&end] { end.unstick(); }); });
  io.stop();
  network.join();
}

}  // namespace
}  // namespace peer_relay::bench

int main(int argc, char** argv) {
  using namespace peer_relay::bench;
  CLI::App app{"A process of the bench; bench/run starts it and says what to do."};
  std::optional<std::uint16_t> port;
  auto* const forwarder = app.add_subcommand("forward", "listen and pass on");
  auto* const end = app.add_subcommand("end", "send, and answer; without --dial: listen");
  end->add_option("--dial", port, "port of a forwarder or of another end");
  app.require_subcommand(1);
  CLI11_PARSE(app, argc, argv);

  if (*forwarder) run_forwarder();
  if (*end) run_end(port);
}
