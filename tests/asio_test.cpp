// SPDX-License-Identifier: MIT
//
// Streams as Asio's users see them, over real sockets on this machine. An io_context that runs dry
// ends each wait: no operation that is under way lets it.
#include "peer_relay/asio.hpp"

#include <future>
#include <map>
#include <optional>
#include <string>
#include <thread>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/test_node.hpp"

namespace peer_relay {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using namespace std::chrono_literals;
using boost::system::error_code;
using testing::Board;
using ::testing::ElementsAre;

static_assert(beast::is_async_stream<AsioStream>::value);
static_assert(beast::is_async_stream<BasicAsioStream<asio::io_context::executor_type>>::value);
static_assert(std::same_as<beast::executor_type<AsioStream>, asio::any_io_executor>);
static_assert(std::is_nothrow_move_constructible_v<AsioStream>);

constexpr auto awaiting = asio::as_tuple(asio::use_awaitable);

Bytes pattern(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i * 31 ^ i >> 8);
  return out;
}

/// Two nodes, linked; `b` takes streams.
class Asio : public ::testing::Test {
 protected:
  void SetUp() override {
    NodeOptions options;
    options.host = "127.0.0.1";
    options.webrtc.enabled = false;
    NodeOptions listening = options;
    listening.tcp_port = 0;
    NodeEvents takes_streams;
    takes_streams.stream = [this](Stream stream) {
      board_.change([&] { incoming_ = std::move(stream); });
    };
    b_ = start(std::move(listening), std::move(takes_streams));
    options.bootstrap = {b_->url()};
    a_ = start(std::move(options), {});
    ASSERT_TRUE(board_.until([this] { return joined_ == 2; }));
  }
  void TearDown() override {
    a_.reset();
    b_.reset();
  }

  std::unique_ptr<Node> start(NodeOptions options, NodeEvents events) {
    events.joined = [this] { board_.change([this] { ++joined_; }); };
    auto node = Node::start(std::move(options), std::move(events));
    EXPECT_TRUE(node);
    return std::make_unique<Node>(std::move(*node));
  }
  Stream incoming() {
    EXPECT_TRUE(board_.until([this] { return static_cast<bool>(incoming_); }));
    return std::exchange(incoming_, {});
  }
  /// Both ends of one.
  std::pair<AsioStream, AsioStream> streams() {
    AsioStream out{io_, a_->open_stream(b_->id())};
    return {std::move(out), AsioStream{io_, incoming()}};
  }

  /// Until there is nothing left to do.
  void run(asio::io_context& io) {
    io.restart();
    io.run_for(20s);
    EXPECT_TRUE(io.stopped()) << "something is under way still";
  }
  void run() { run(io_); }
  /// A coroutine that throws fails the test.
  void spawn(asio::awaitable<void> work) {
    asio::co_spawn(io_, std::move(work), [](const std::exception_ptr& error) {
      EXPECT_NO_THROW(if (error) std::rethrow_exception(error));
    });
  }

  /// A handler that writes down how it was called.
  struct Outcome {
    int calls = 0;
    error_code error;
    std::size_t bytes = 0;
    auto handler() {
      return [this](error_code why, std::size_t size) {
        ++calls;
        error = why;
        bytes = size;
      };
    }
  };

  Board board_;
  int joined_ = 0;
  Stream incoming_;
  std::unique_ptr<Node> b_, a_;
  asio::io_context io_;
};

TEST_F(Asio, FuturesHaveWhatWasRead) {
  auto [out, in] = streams();
  std::string got(10, '\0');
  auto wrote = out.async_write_some(asio::buffer("hello", 5), asio::use_future);
  auto read = asio::async_read(in, asio::buffer(got, 5), asio::use_future);
  run();
  EXPECT_EQ(wrote.get(), 5u);
  EXPECT_EQ(read.get(), 5u);
  EXPECT_EQ(got.substr(0, 5), "hello");
}

TEST_F(Asio, CoroutinesCarryAMegabyteBothWaysUntilItsEnd) {
  auto [out, in] = streams();
  const Bytes whole = pattern(1 << 20);
  const auto pour = [](AsioStream& stream, const Bytes& bytes) -> asio::awaitable<void> {
    const std::size_t size =
        co_await asio::async_write(stream, asio::buffer(bytes), asio::use_awaitable);
    EXPECT_EQ(size, bytes.size());
    stream.finish();
  };
  const auto drain = [](AsioStream& stream, Bytes& into) -> asio::awaitable<void> {
    const auto [error, size] =
        co_await asio::async_read(stream, asio::dynamic_buffer(into), awaiting);
    EXPECT_EQ(error, asio::error::eof);
    EXPECT_EQ(size, into.size());
    std::uint8_t more = 0;
    const auto [again, none] = co_await stream.async_read_some(asio::buffer(&more, 1), awaiting);
    EXPECT_EQ(again, asio::error::eof);
    EXPECT_EQ(none, 0u);
  };
  Bytes there, back;
  spawn(pour(out, whole));
  spawn(pour(in, whole));
  spawn(drain(in, there));
  spawn(drain(out, back));
  run();
  EXPECT_TRUE(there == whole);
  EXPECT_TRUE(back == whole);
  EXPECT_FALSE(in.error());
}

TEST_F(Asio, LinesAreReadOneByOne) {
  auto [out, in] = streams();
  std::vector<std::string> lines;
  const auto read_lines = [](AsioStream& stream,
                             std::vector<std::string>& into) -> asio::awaitable<void> {
    std::string waiting;
    for (;;) {
      const auto [error, size] =
          co_await asio::async_read_until(stream, asio::dynamic_buffer(waiting), '\n', awaiting);
      if (error) break;
      into.push_back(waiting.substr(0, size - 1));
      waiting.erase(0, size);
    }
    EXPECT_EQ(waiting, "rest");
  };
  spawn(read_lines(in, lines));
  std::string text = "first\nsecond\nthird\nrest";
  asio::async_write(out, asio::buffer(text), [&](error_code, std::size_t) { out.finish(); });
  run();
  EXPECT_THAT(lines, ElementsAre("first", "second", "third"));
}

TEST_F(Asio, DeferredOperationsStartWhenTheyAreAsked) {
  auto [out, in] = streams();
  auto later = out.async_write_some(asio::buffer("x", 1), asio::deferred);
  Outcome wrote;
  std::move(later)(wrote.handler());
  run();
  EXPECT_EQ(wrote.calls, 1);
  EXPECT_EQ(wrote.bytes, 1u);
}

TEST_F(Asio, AnExecutorMayBringItsToken) {
  using Awaited = asio::use_awaitable_t<>::as_default_on_t<AsioStream>;
  Awaited out{io_};
  std::size_t wrote = 0;
  const auto write = [](Awaited& stream, Node& node, NodeId to,
                        std::size_t& size) -> asio::awaitable<void> {
    const StreamOptions options;
    co_await stream.async_open(node, to, options);
    size = co_await stream.async_write_some(asio::buffer("hi", 2));
  };
  spawn(write(out, *a_, b_->id(), wrote));
  run();
  EXPECT_EQ(wrote, 2u);
}

TEST_F(Asio, SpeaksHttp) {
  auto [client, server] = streams();
  const auto serve = [](AsioStream& stream) -> asio::awaitable<void> {
    beast::flat_buffer buffer;
    http::request<http::string_body> request;
    co_await http::async_read(stream, buffer, request, asio::use_awaitable);
    http::response<http::string_body> response{http::status::ok, 11};
    response.body() = "you said: " + request.body();
    response.prepare_payload();
    co_await http::async_write(stream, response, asio::use_awaitable);
    stream.finish();
  };
  std::string answer;
  const auto ask = [](AsioStream& stream, std::string& body) -> asio::awaitable<void> {
    http::request<http::string_body> request{http::verb::post, "/", 11};
    request.body() = std::string(100'000, 'q');
    request.prepare_payload();
    co_await http::async_write(stream, request, asio::use_awaitable);
    beast::flat_buffer buffer;
    http::response<http::string_body> response;
    co_await http::async_read(stream, buffer, response, asio::use_awaitable);
    body = response.body();
  };
  spawn(serve(server));
  spawn(ask(client, answer));
  run();
  EXPECT_EQ(answer, "you said: " + std::string(100'000, 'q'));
}

TEST_F(Asio, CarriesTls) {
  auto [out, in] = streams();
  asio::ssl::context context{asio::ssl::context::tls_client};
  asio::ssl::stream<AsioStream&> tls{out, context};
  error_code failed;
  tls.async_handshake(asio::ssl::stream_base::client, [&](error_code error) { failed = error; });
  std::string first(3, '\0');
  const auto hear = [](AsioStream& stream, std::string& into) -> asio::awaitable<void> {
    co_await asio::async_read(stream, asio::buffer(into), asio::use_awaitable);
    stream.finish();
  };
  spawn(hear(in, first));
  run();
  EXPECT_EQ(first.substr(0, 2), "\x16\x03");  // RFC 8446 §5.1: a handshake
  EXPECT_TRUE(failed);
}

TEST_F(Asio, AResetIsAnErrorWithItsCode) {
  auto [out, in] = streams();
  Outcome read, late;
  char byte = 0;
  in.async_read_some(asio::buffer(&byte, 1), read.handler());
  out.reset(42);
  run();
  EXPECT_EQ(read.error, StreamEnd::reset);
  EXPECT_EQ(read.error, boost::system::errc::connection_reset);
  ASSERT_TRUE(in.error());
  EXPECT_EQ(in.error()->code, 42u);
  in.async_write_some(asio::buffer("x", 1), late.handler());
  run();
  EXPECT_EQ(late.error, StreamEnd::reset);
}

TEST_F(Asio, NothingIsWrittenAfterOurFinish) {
  auto [out, in] = streams();
  Outcome wrote;
  out.finish();
  out.async_write_some(asio::buffer("x", 1), wrote.handler());
  run();
  EXPECT_EQ(wrote.error, boost::system::errc::broken_pipe);
}

TEST_F(Asio, AnOperationIsWorkOfItsExecutors) {
  auto [out, in] = streams();
  asio::io_context other;
  Outcome read;
  char byte = 0;
  in.async_read_some(asio::buffer(&byte, 1), asio::bind_executor(other, read.handler()));
  io_.poll();
  other.poll();
  EXPECT_FALSE(io_.stopped());
  EXPECT_FALSE(other.stopped());
  Outcome wrote;
  out.async_write_some(asio::buffer("x", 1), wrote.handler());
  run(other);
  run();
  EXPECT_EQ(read.calls, 1);
  EXPECT_EQ(byte, 'x');
}

TEST_F(Asio, HandlersRunOnTheirExecutor) {
  auto [out, in] = streams();
  auto strand = asio::make_strand(io_);
  bool is_on_strand = false;
  std::thread::id by_default;
  char byte = 0;
  in.async_read_some(asio::buffer(&byte, 1), asio::bind_executor(strand, [&](auto&&...) {
                       is_on_strand = strand.running_in_this_thread();
                     }));
  out.async_write_some(asio::buffer("x", 1),
                       [&](auto&&...) { by_default = std::this_thread::get_id(); });
  run();
  EXPECT_TRUE(is_on_strand);
  EXPECT_EQ(by_default, std::this_thread::get_id());
}

TEST_F(Asio, HandlersNeedNoCopies) {
  auto [out, in] = streams();
  char byte = 0;
  auto owned = std::make_unique<int>(0);
  int& calls = *owned;
  const auto count = [&](auto keep) { ++*keep; };
  // Each owns the next.
  in.async_read_some(
      asio::buffer(&byte, 1), [&, keep = std::move(owned)](error_code, std::size_t) mutable {
        ++*keep;
        in.async_write_some(asio::buffer("y", 1), [&, keep = std::move(keep)](auto&&...) mutable {
          count(std::move(keep));
          EXPECT_FALSE(keep);
        });
        EXPECT_EQ(calls, 1);
      });
  out.async_write_some(asio::buffer("x", 1), [](auto&&...) {});
  run();
  EXPECT_EQ(byte, 'x');
}

TEST_F(Asio, NoHandlerRunsInsideTheCall) {
  auto [out, in] = streams();
  AsioStream none{io_};
  char byte = 0;
  Outcome nothing_read, nothing_written, not_open, waits, second;
  // On a thread of the io_context, where dispatch() would.
  asio::post(io_, [&] {
    in.async_read_some(asio::mutable_buffer{}, nothing_read.handler());
    in.async_write_some(asio::const_buffer{}, nothing_written.handler());
    none.async_read_some(asio::buffer(&byte, 1), not_open.handler());
    in.async_read_some(asio::buffer(&byte, 1), waits.handler());
    in.async_read_some(asio::buffer(&byte, 1), second.handler());
    in.close();
    for (const Outcome* each : {&nothing_read, &nothing_written, &not_open, &waits, &second}) {
      EXPECT_EQ(each->calls, 0);
    }
  });
  run();
  for (const Outcome* each : {&nothing_read, &nothing_written, &not_open, &waits, &second}) {
    EXPECT_EQ(each->calls, 1);
  }
  EXPECT_FALSE(nothing_read.error);
  EXPECT_FALSE(nothing_written.error);
  EXPECT_EQ(not_open.error, asio::error::bad_descriptor);
  EXPECT_EQ(waits.error, asio::error::operation_aborted);
  EXPECT_EQ(second.error, asio::error::already_started);
}

TEST_F(Asio, AStreamThatGoesEndsWhatWaitsOnce) {
  Outcome read, wrote, theirs;
  auto [out, in] = streams();
  char byte = 0, other = 0;
  {
    AsioStream gone = std::move(in);
    gone.async_read_some(asio::buffer(&byte, 1), read.handler());
    gone.async_write_some(asio::buffer("x", 1), wrote.handler());
  }
  asio::async_read(out, asio::buffer(&other, 1), theirs.handler());
  run();
  EXPECT_EQ(read.calls, 1);
  EXPECT_EQ(read.error, asio::error::operation_aborted);
  EXPECT_EQ(wrote.calls, 1);
  EXPECT_EQ(theirs.calls, 1);  // with the byte, or with a reset that was faster
}

TEST_F(Asio, AStreamThatIsReplacedEndsWhatWaits) {
  auto [out, in] = streams();
  Outcome read;
  char byte = 0;
  in.async_read_some(asio::buffer(&byte, 1), read.handler());
  in = AsioStream{io_};
  EXPECT_FALSE(in.is_open());
  run();
  EXPECT_EQ(read.error, asio::error::operation_aborted);
}

TEST_F(Asio, ANodeThatGoesEndsWhatWaits) {
  auto [out, in] = streams();
  Outcome ours, theirs, late_read, late_write;
  char byte = 0, other = 0;
  out.async_read_some(asio::buffer(&byte, 1), ours.handler());
  in.async_read_some(asio::buffer(&other, 1), theirs.handler());
  a_.reset();
  run();
  EXPECT_EQ(ours.error, StreamEnd::shutdown);
  EXPECT_EQ(theirs.error, StreamEnd::shutdown);
  out.async_read_some(asio::buffer(&byte, 1), late_read.handler());
  out.async_write_some(asio::buffer("x", 1), late_write.handler());
  EXPECT_EQ(late_read.calls, 0);
  run();
  EXPECT_EQ(late_read.error, StreamEnd::shutdown);
  EXPECT_EQ(late_write.error, StreamEnd::shutdown);
  for (const Outcome* each : {&ours, &theirs, &late_read, &late_write}) EXPECT_EQ(each->calls, 1);
}

TEST_F(Asio, ACancelledReadLosesNothing) {
  auto [out, in] = streams();
  asio::cancellation_signal signal;
  Outcome cancelled, first, second;
  std::string got(100, '\0');
  in.async_read_some(asio::buffer(got),
                     asio::bind_cancellation_slot(signal.slot(), cancelled.handler()));
  signal.emit(asio::cancellation_type::total);
  run();
  EXPECT_EQ(cancelled.error, asio::error::operation_aborted);
  // What the cancelled one asked for comes in one piece, and is for two.
  Outcome wrote;
  out.async_write_some(asio::buffer("0123456789", 10), wrote.handler());
  in.async_read_some(asio::buffer(got, 4), first.handler());
  run();
  EXPECT_EQ(first.bytes, 4u);
  in.async_read_some(asio::buffer(got.data() + 4, 90), second.handler());
  run();
  EXPECT_EQ(second.bytes, 6u);
  EXPECT_EQ(got.substr(0, 10), "0123456789");
  signal.emit(asio::cancellation_type::all);  // after its operation: nothing
  EXPECT_EQ(cancelled.calls, 1);
}

TEST_F(Asio, WhatComesWhenNobodyReadsIsKept) {
  auto [out, in] = streams();
  Outcome cancelled, wrote;
  std::string got(100, '\0');
  in.async_read_some(asio::buffer(got), cancelled.handler());
  in.cancel();
  out.async_write_some(asio::buffer("0123456789", 10), wrote.handler());
  ASSERT_TRUE(testing::eventually([&] { return b_->stats().stream_bytes_in >= 10; }));
  run();
  EXPECT_EQ(cancelled.error, asio::error::operation_aborted);
  out.finish();
  Outcome read;
  asio::async_read(in, asio::buffer(got), read.handler());
  run();
  EXPECT_EQ(read.error, asio::error::eof);
  EXPECT_EQ(got.substr(0, read.bytes), "0123456789");
}

TEST_F(Asio, AWriteGivesWayToTerminalCancellationAlone) {
  auto [out, in] = streams();
  asio::cancellation_signal signal;
  Outcome before, last;
  const Bytes much = pattern(AsioStream::write_bytes_max);
  // Nobody reads at the other end: these are far more than all that can be on the way.
  for (int i = 0; i < 300; ++i) out.async_write_some(asio::buffer(much), before.handler());
  out.async_write_some(asio::buffer(much),
                       asio::bind_cancellation_slot(signal.slot(), last.handler()));
  signal.emit(asio::cancellation_type::total);
  io_.poll();
  EXPECT_EQ(last.calls, 0);
  signal.emit(asio::cancellation_type::terminal);
  io_.poll();
  EXPECT_EQ(last.calls, 1);
  EXPECT_EQ(last.error, asio::error::operation_aborted);
  out.cancel();
  run();
  EXPECT_EQ(before.calls, 300);
  EXPECT_EQ(last.calls, 1);
}

TEST_F(Asio, OpensAStreamOnceTheOtherNodeHasIt) {
  const auto open = [](Node& node, NodeId to, AsioStream& stream) -> asio::awaitable<void> {
    const StreamOptions options{.label = "echo"};
    co_await stream.async_open(node, to, options, asio::use_awaitable);
    const auto [again] = co_await stream.async_open(node, to, options, awaiting);
    EXPECT_EQ(again, asio::error::already_open);
  };
  AsioStream out{io_};
  spawn(open(*a_, b_->id(), out));
  run();
  EXPECT_TRUE(out.is_open());
  EXPECT_EQ(incoming().label(), "echo");
}

TEST_F(Asio, AnOpeningThatFailsSaysWhy) {
  AsioStream to_self{io_}, to_nobody{io_};
  error_code refused, unreachable;
  to_self.async_open(*a_, a_->id(), {}, [&](error_code error) { refused = error; });
  NodeId nobody = b_->id();
  nobody.bytes.back() ^= 1;
  to_nobody.async_open(*a_, nobody, {}, [&](error_code error) { unreachable = error; });
  run();
  EXPECT_EQ(refused, StreamEnd::refused);
  EXPECT_EQ(refused, boost::system::errc::connection_refused);
  EXPECT_EQ(unreachable, StreamEnd::unreachable);
}

TEST_F(Asio, AnOpeningThatIsClosedIsAborted) {
  std::promise<void> may_go_on;
  bool is_busy = false;
  b_->post([&, go_on = may_go_on.get_future().share()] {
    board_.change([&] { is_busy = true; });
    go_on.wait();
  });
  ASSERT_TRUE(board_.until([&] { return is_busy; }));  // and answers nobody
  AsioStream out{io_};
  error_code aborted;
  out.async_open(*a_, b_->id(), {}, [&](error_code error) { aborted = error; });
  out.close();
  run();
  may_go_on.set_value();
  EXPECT_EQ(aborted, asio::error::operation_aborted);
}

// As with a TCP socket in a backlog: the node has it, and then nobody wants it.
TEST_F(Asio, AReadSaysThatNobodyTookTheStream) {
  AsioStream out{io_};
  Outcome read;
  char byte = 0;
  out.async_open(*b_, a_->id(), {},
                 [&](error_code) { out.async_read_some(asio::buffer(&byte, 1), read.handler()); });
  run();
  EXPECT_EQ(read.error, StreamEnd::refused);
}

TEST_F(Asio, SendsAndConnects) {
  const auto talk = [](Node& from, NodeId to, std::string url) -> asio::awaitable<void> {
    const Result<Peer> by_id = co_await async_connect(from, to, asio::use_awaitable);
    EXPECT_TRUE(by_id && by_id->id == to);
    const Result<Peer> by_url = co_await async_connect(from, url, asio::use_awaitable);
    EXPECT_TRUE(by_url && by_url->id == to);
    const SendResult sent =
        co_await async_send(from, to, Payload::of_text("hi"), SendOptions{}, asio::use_awaitable);
    EXPECT_TRUE(sent.delivered());
  };
  spawn(talk(*a_, b_->id(), b_->url()));
  run();
}

TEST_F(Asio, ASendThatItsNodeForgetsIsRefused) {
  a_->destroy();
  auto sent = async_send(*a_, b_->id(), Payload::of_text("hi"), {}, asio::use_future);
  EXPECT_FALSE(sent.get().delivered());
  auto peer = async_connect(*a_, b_->id(), asio::use_future);
  EXPECT_FALSE(peer.get());
}

TEST(AsioErrors, EachEndIsOneOfItsOwnAndACondition) {
  namespace errc = boost::system::errc;
  const std::map<StreamEnd, errc::errc_t> conditions = {
      {StreamEnd::reset, errc::connection_reset},
      {StreamEnd::refused, errc::connection_refused},
      {StreamEnd::limit, errc::no_buffer_space},
      {StreamEnd::unknown, errc::connection_reset},
      {StreamEnd::protocol_error, errc::protocol_error},
      {StreamEnd::shutdown, errc::connection_aborted},
      {StreamEnd::finished, errc::broken_pipe},
      {StreamEnd::unreachable, errc::host_unreachable},
      {StreamEnd::timed_out, errc::timed_out},
  };
  for (const auto& [end, condition] : conditions) {
    const error_code error = end;
    EXPECT_TRUE(error);
    EXPECT_EQ(error, condition);
    EXPECT_EQ(error.message(), name_of(end));
    EXPECT_STREQ(error.category().name(), "peer-relay.stream");
  }
}

}  // namespace
}  // namespace peer_relay
