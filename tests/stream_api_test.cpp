// SPDX-License-Identifier: MIT
//
// Streams of the C++ API, over real sockets on this machine.
#include <atomic>
#include <future>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "peer_relay/node.hpp"
#include "support/test_node.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;
using testing::Board;

NodeOptions quiet(std::vector<std::string> bootstrap = {}) {
  NodeOptions options;
  options.host = "127.0.0.1";
  options.bootstrap = std::move(bootstrap);
  options.webrtc.enabled = false;
  return options;
}

/// Two nodes, linked by one transport, or by a relay alone.
class StreamApi : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string way = GetParam();
    NodeOptions listening = quiet();
    (way == "tcp" ? listening.tcp_port : listening.port) = 0;
    if (way == "relay") {
      relay_ = start(listening, {});
      b_ = start(quiet({relay_->url()}), takes_streams());
      a_ = start(quiet({relay_->url()}), {});
      wait_for_joined();
    } else {
      b_ = start(listening, takes_streams());
      a_ = start(quiet({b_->url()}), {});
      wait_for_joined();
    }
  }
  void TearDown() override {
    for (auto* const node : {&a_, &b_, &relay_}) node->reset();
  }

  std::unique_ptr<Node> start(NodeOptions options, NodeEvents events) {
    events.joined = [this] { board_.change([this] { ++joined_; }); };
    auto node = Node::start(std::move(options), std::move(events));
    EXPECT_TRUE(node);
    return std::make_unique<Node>(std::move(*node));
  }
  void wait_for_joined() {
    const int all = relay_ ? 3 : 2;
    ASSERT_TRUE(board_.until([&] { return joined_ >= all; }));
  }
  NodeEvents takes_streams() {
    NodeEvents events;
    events.stream = [this](Stream stream) {
      board_.change([&] { incoming_ = std::move(stream); });
    };
    return events;
  }
  Stream incoming() {
    EXPECT_TRUE(board_.until([this] { return static_cast<bool>(incoming_); }));
    return std::exchange(incoming_, {});
  }

  static StreamRead read(Stream stream, std::size_t bytes_max = 1 << 20) {
    std::promise<StreamRead> answer;
    stream.read(bytes_max, [&](const StreamRead& read) { answer.set_value(read); });
    return answer.get_future().get();
  }
  static StreamWritten write(Stream stream, Bytes bytes) {
    std::promise<StreamWritten> answer;
    stream.write(std::move(bytes), [&](const StreamWritten& done) { answer.set_value(done); });
    return answer.get_future().get();
  }
  std::shared_ptr<std::optional<StreamError>> watch_end(Stream stream) {
    auto end = std::make_shared<std::optional<StreamError>>();
    stream.on(
        {.closed = [this, end](const StreamError& why) { board_.change([&] { *end = why; }); }});
    return end;
  }

  Board board_;
  int joined_ = 0;
  Stream incoming_;
  std::unique_ptr<Node> relay_, b_, a_;
};

Bytes pattern(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i * 31 ^ i >> 8);
  return out;
}

TEST_P(StreamApi, WhatIsWrittenIsReadInOrderUntilItsEnd) {
  Stream out = a_->open_stream(b_->id(), {.label = "file"});
  const Bytes whole = pattern(3'000'000);
  out.write(whole);
  out.finish();
  Stream in = incoming();
  EXPECT_EQ(in.label(), "file");
  EXPECT_EQ(in.peer(), a_->id());
  EXPECT_FALSE(in.is_ours());
  const auto ended = watch_end(out);
  Bytes got;
  for (;;) {
    const StreamRead more = read(in, 100'000);
    ASSERT_TRUE(more);
    if (more->empty()) break;
    EXPECT_LE(more->size(), 100'000u);
    got.insert(got.end(), more->begin(), more->end());
  }
  EXPECT_TRUE(got == whole);
  // The other half is open still.
  in.write(pattern(5));
  in.finish();
  EXPECT_EQ(*read(out), pattern(5));
  ASSERT_TRUE(board_.until([&] { return ended->has_value(); }));
  EXPECT_EQ((*ended)->end, StreamEnd::finished);
}

TEST_P(StreamApi, TellsWhatComesIfAskedTo) {
  Stream out = a_->open_stream(b_->id());
  out.write(pattern(500'000));
  out.finish();
  Stream in = incoming();
  Bytes got;
  bool is_finished = false;
  in.on({.data =
             [&](BytesView bytes) {
               board_.change([&] { got.insert(got.end(), bytes.begin(), bytes.end()); });
             },
         .finished = [&] { board_.change([&] { is_finished = true; }); }});
  ASSERT_TRUE(board_.until([&] { return is_finished; }));
  EXPECT_TRUE(got == pattern(500'000));
  in.reset();
}

TEST_P(StreamApi, TellsWhoListensLaterThatItWasAccepted) {
  Stream out = a_->open_stream(b_->id());
  Stream in = incoming();
  in.write(pattern(1));
  ASSERT_TRUE(read(out));  // so it must have been accepted
  int accepted = 0;
  const StreamEvents events{.accepted = [&] { board_.change([&] { ++accepted; }); }};
  out.on(events);
  ASSERT_TRUE(board_.until([&] { return accepted == 1; }));
  out.on(events);
  in.write(pattern(1));
  ASSERT_TRUE(read(out));
  EXPECT_EQ(accepted, 1);
}

TEST_P(StreamApi, AWriterWaitsForItsReader) {
  Stream out = a_->open_stream(b_->id());
  ASSERT_TRUE(write(out, pattern(1000)));
  Stream in = incoming();
  std::atomic<int> taken = 0;
  for (int i = 0; i < 100; ++i) {
    out.write(pattern(100'000), [&](const StreamWritten& done) { taken += done ? 1 : 0; });
  }
  EXPECT_FALSE(testing::eventually([&] { return taken > 10; }, 300ms));
  std::size_t got = 0;
  while (got < 10'001'000) {
    const StreamRead more = read(in);
    ASSERT_TRUE(more);
    got += more->size();
  }
  EXPECT_EQ(taken, 100);
}

TEST_P(StreamApi, AResetEndsWhatWaitsWithItsCode) {
  Stream out = a_->open_stream(b_->id());
  ASSERT_TRUE(write(out, pattern(10)));
  Stream in = incoming();
  EXPECT_EQ(read(in)->size(), 10u);
  std::promise<StreamRead> waiting;
  in.read(10, [&](const StreamRead& read) { waiting.set_value(read); });
  out.reset(42);
  const StreamRead broken = waiting.get_future().get();
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().end, StreamEnd::reset);
  EXPECT_EQ(broken.error().code, 42u);
  const StreamWritten late = write(in, pattern(1));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().end, StreamEnd::reset);
}

TEST_P(StreamApi, IsRefusedByWhoTakesNone) {
  static_cast<void>(watch_end(b_->open_stream(a_->id())));  // goes with its handle, at once
  Stream held = b_->open_stream(a_->id());
  const auto refused = watch_end(held);
  ASSERT_TRUE(board_.until([&] { return refused->has_value(); }));
  EXPECT_EQ((*refused)->end, StreamEnd::refused);
}

TEST_P(StreamApi, ADeadlineEndsIt) {
  Stream out = a_->open_stream(b_->id());
  Stream in = incoming();
  const auto theirs = watch_end(in);
  out.expires_after(50ms);
  const StreamRead late = read(out);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().end, StreamEnd::timed_out);
  ASSERT_TRUE(board_.until([&] { return theirs->has_value(); }));
  EXPECT_EQ((*theirs)->end, StreamEnd::reset);
}

TEST_P(StreamApi, LettingGoOfAFinishedOneLosesNothing) {
  {
    Stream out = a_->open_stream(b_->id());
    out.write(pattern(800'000));
    out.finish();
  }
  Stream in = incoming();
  Bytes got;
  for (StreamRead more = read(in); more && !more->empty(); more = read(in)) {
    got.insert(got.end(), more->begin(), more->end());
  }
  EXPECT_TRUE(got == pattern(800'000));
}

TEST_P(StreamApi, EndsWithItsNode) {
  Stream out = a_->open_stream(b_->id());
  Stream in = incoming();
  const auto ours = watch_end(out), theirs = watch_end(in);
  a_.reset();
  ASSERT_TRUE(board_.until([&] { return ours->has_value() && theirs->has_value(); }));
  EXPECT_EQ((*ours)->end, StreamEnd::shutdown);
  EXPECT_EQ((*theirs)->end, StreamEnd::shutdown);
}

INSTANTIATE_TEST_SUITE_P(By, StreamApi, ::testing::Values("tcp", "websocket", "relay"),
                         [](const auto& each) { return std::string{each.param}; });

}  // namespace
}  // namespace peer_relay
