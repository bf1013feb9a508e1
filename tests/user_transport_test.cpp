// SPDX-License-Identifier: MIT
//
// A transport of an application's own: here over sockets of the local domain, whose addresses are
// paths.
#include "peer_relay/user_transport.hpp"

#include <array>
#include <filesystem>
#include <future>
#include <mutex>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "peer_relay/exchange.hpp"
#include "support/party.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;
using boost::asio::local::stream_protocol;
using ::testing::HasSubstr;
using Kind = ExchangeError::Kind;

class PathConnection final : public UserConnection {
 public:
  PathConnection(stream_protocol::socket socket, std::string remote)
      : socket_(std::make_shared<stream_protocol::socket>(std::move(socket))),
        remote_(std::move(remote)) {}
  ~PathConnection() override {
    boost::asio::post(socket_->get_executor(), [socket = socket_] {
      boost::system::error_code ignored;
      socket->close(ignored);
    });
  }

  void read(std::function<void(Bytes)> done) override {
    const auto buffer = std::make_shared<Bytes>(7000);  // cuts messages anywhere
    boost::asio::post(socket_->get_executor(), [socket = socket_, buffer, done] {
      socket->async_read_some(boost::asio::buffer(*buffer),
                              [socket, buffer, done](const auto& error, std::size_t bytes) {
                                buffer->resize(error ? 0 : bytes);
                                done(std::move(*buffer));
                              });
    });
  }

  void write(Bytes bytes, std::function<void(bool)> done) override {
    const auto held = std::make_shared<Bytes>(std::move(bytes));
    boost::asio::post(socket_->get_executor(), [socket = socket_, held, done] {
      boost::asio::async_write(
          *socket, boost::asio::buffer(*held),
          [socket, held, done](const auto& error, std::size_t) { done(!error); });
    });
  }

  std::string remote_address() const override { return remote_; }

 private:
  std::shared_ptr<stream_protocol::socket> socket_;
  std::string remote_;
};

/// With a thread of its own, as a library that knows nothing of Asio's would have.
class PathTransport final : public UserTransport {
 public:
  ~PathTransport() override {
    unaccept();
    work_.reset();
    io_.stop();
  }

  void connect(const std::string& host, const TransportOptions&,
               std::function<void(Connected)> done) override {
    boost::asio::post(io_, [this, host, done] {
      stream_protocol::socket socket{io_};
      boost::system::error_code error;
      socket.connect(stream_protocol::endpoint{host}, error);
      if (error) return done(std::unexpected(error.message()));
      done(std::make_unique<PathConnection>(std::move(socket), host));
    });
  }

  std::expected<std::uint16_t, std::string> accept(
      const TransportOptions& options,
      std::function<void(std::unique_ptr<UserConnection>)> arrived) override {
    try {
      acceptor_ =
          std::make_shared<stream_protocol::acceptor>(io_, stream_protocol::endpoint{options.host});
    } catch (const boost::system::system_error& error) {
      return std::unexpected(std::string{error.what()});
    }
    await(acceptor_, std::move(arrived));
    return 0;
  }

  void unaccept() override {
    if (!acceptor_) return;
    boost::asio::post(io_, [acceptor = std::exchange(acceptor_, {})] { acceptor->close(); });
  }

 private:
  static void await(const std::shared_ptr<stream_protocol::acceptor>& acceptor,
                    std::function<void(std::unique_ptr<UserConnection>)> arrived) {
    acceptor->async_accept([acceptor, arrived](const auto& error, stream_protocol::socket socket) {
      if (error) return;
      arrived(std::make_unique<PathConnection>(std::move(socket), "somewhere"));
      await(acceptor, arrived);
    });
  }

  boost::asio::io_context io_;
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work_{
      io_.get_executor()};
  std::shared_ptr<stream_protocol::acceptor> acceptor_;
  std::jthread thread_{[this] { io_.run(); }};
};

class Party : public testing::Party {
 public:
  explicit Party(const std::string& network = "net") : testing::Party(options(), network) {}

  auto accept(const std::string& path) { return testing::Party::accept("path", {.host = path}); }
  auto connect(const std::string& path) { return testing::Party::connect("path", path, {}); }

 private:
  static ExchangeOptions options() {
    ExchangeOptions options;
    options.node.webrtc.enabled = false;
    options.transports["path"] = std::make_shared<PathTransport>();
    options.transports["a:path"] = options.transports["path"];
    options.transports["nothing"] = nullptr;
    return options;
  }
};

class UserTransports : public ::testing::Test {
 protected:
  UserTransports() {
    char name[] = "/tmp/peer-relay-XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  ~UserTransports() override { std::filesystem::remove_all(directory_); }
  std::string path(const char* name) const { return directory_ / name; }

 private:
  std::filesystem::path directory_;
};

Bytes read_all(ExchangePeer peer, std::size_t size) {
  Bytes all;
  while (all.size() < size) {
    std::promise<StreamRead> some;
    peer.stream().read(size - all.size(), [&](const StreamRead& read) { some.set_value(read); });
    const StreamRead read = some.get_future().get();
    if (!read || read->empty()) break;
    all.insert(all.end(), read->begin(), read->end());
  }
  return all;
}

TEST_F(UserTransports, CarriesPeersAndTheirBytes) {
  Party alice, bob;
  ASSERT_TRUE(alice.accept(path("alice")));
  const auto peer = bob.connect(path("alice"));
  ASSERT_TRUE(peer) << peer.error().message;
  EXPECT_EQ(peer->id(), alice->node_id());
  EXPECT_EQ(peer->transport(), "path");
  EXPECT_EQ(ExchangePeer{*peer}.remote_address(), path("alice"));
  ASSERT_TRUE(alice.board.until([&] { return alice.peers.size() == 1; }));
  EXPECT_EQ(alice.peers[0].transport(), "path");
  EXPECT_EQ(alice.peers[0].remote_address(), "somewhere");

  Bytes much(3'000'000);
  for (std::size_t i = 0; i < much.size(); ++i) much[i] = static_cast<std::uint8_t>(i * i >> 3);
  ExchangePeer{*peer}.stream().write(much);
  alice.peers[0].stream().write(much);
  EXPECT_TRUE(read_all(alice.peers[0], much.size()) == much);
  EXPECT_TRUE(read_all(*peer, much.size()) == much);

  alice.peers[0].destroy();
  EXPECT_TRUE(bob.board.until([&] { return bob.gone.size() == 1; }));
}

TEST_F(UserTransports, PeersNameEachOtherByThem) {
  Party middle, chosen, asker;
  ASSERT_TRUE(chosen.accept(path("chosen")));
  ASSERT_TRUE(middle.accept(path("middle")));
  ASSERT_TRUE(middle.connect(path("chosen")));
  ASSERT_TRUE(asker.connect(path("middle")));
  const auto fresh = asker.get_new_peer();
  ASSERT_TRUE(fresh) << fresh.error().message;
  EXPECT_EQ(fresh->id(), chosen->node_id());
  EXPECT_EQ(fresh->transport(), "path");
}

TEST_F(UserTransports, AreDialedAgainAndAgain) {
  Party alice, bob;
  ASSERT_TRUE(alice.accept(path("alice")));
  for (int i = 0; i < 50; ++i) {
    const auto peer = bob.connect(path("alice"));
    ASSERT_TRUE(peer) << i << ": " << peer.error().message;
  }
}

TEST_F(UserTransports, SaysWhatIsWrong) {
  Party alice, bob, other{"another net"};
  ASSERT_TRUE(alice.accept(path("alice")));
  EXPECT_EQ(alice.accept(path("alice")).error().kind, Kind::already_accepting);
  EXPECT_EQ(bob.accept(path("alice")).error().kind, Kind::listen_failed);  // taken

  const auto nobody = bob.connect(path("nobody"));
  EXPECT_EQ(nobody.error().kind, Kind::connect_failed);
  EXPECT_THAT(nobody.error().message, HasSubstr("No such file"));
  const auto wrong = other.connect(path("alice"));
  EXPECT_EQ(wrong.error().kind, Kind::wrong_network);
  EXPECT_THAT(wrong.error().message, HasSubstr("'net', not to 'another net'"));

  std::promise<ExchangeError> unknown;
  bob->accept("a:path", {}, [&](const auto& port) { unknown.set_value(port.error()); });
  EXPECT_EQ(unknown.get_future().get().kind, Kind::unknown_transport);

  alice->unaccept("path");
  EXPECT_TRUE(testing::eventually([&] { return !bob.connect(path("alice")); }, 5s));
  EXPECT_EQ(bob.connect(path("alice")).error().kind, Kind::connect_failed);

  ASSERT_TRUE(alice.accept(path("alice again")));
  ASSERT_TRUE(bob.connect(path("alice again")));
  alice->close();
  EXPECT_TRUE(testing::eventually([&] { return !bob.connect(path("alice again")); }, 5s));
}

/// Says nothing and something else than a node, and ends in the middle.
TEST_F(UserTransports, StrangersHurtNobody) {
  Party alice, bob;
  ASSERT_TRUE(alice.accept(path("alice")));
  boost::asio::io_context io;
  std::vector<std::unique_ptr<stream_protocol::socket>> strangers;
  for (const std::string& said : {std::string{}, std::string{"GET / HTTP/1.1\r\n\r\n"},
                                  std::string(100'000, '\xff'), std::string(5, '\0')}) {
    auto& stranger = strangers.emplace_back(std::make_unique<stream_protocol::socket>(io));
    stranger->connect(stream_protocol::endpoint{path("alice")});
    boost::system::error_code ignored;
    boost::asio::write(*stranger, boost::asio::buffer(said), ignored);
  }
  strangers.pop_back();
  const auto peer = bob.connect(path("alice"));
  ASSERT_TRUE(peer) << peer.error().message;
}

/// What the transport answers late finds nobody.
TEST_F(UserTransports, EndsBesideOperationsUnderWay) {
  for (int i = 0; i < 20; ++i) {
    Party alice, bob;
    ASSERT_TRUE(alice.accept(path(std::to_string(i).c_str())));
    bob->connect("path", path(std::to_string(i).c_str()), {}, [](const auto&) {});
    if (i % 2 == 0) continue;
    ASSERT_TRUE(alice.board.until([&] { return alice.peers.size() == 1; }));
    alice.peers[0].stream().write(Bytes(2'000'000));
  }
}

}  // namespace
}  // namespace peer_relay
