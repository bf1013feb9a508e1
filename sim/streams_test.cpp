// SPDX-License-Identifier: MIT
//
// Streams between whole nodes, over links that die and relays that come and go.
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "world.hpp"

namespace peer_relay::sim {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::Gt;
using ::testing::Lt;

/// Bytes that tell where they belong.
Bytes bytes_from(std::uint64_t from, std::size_t count) {
  Bytes out(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t at = from + i;
    out[i] = static_cast<std::uint8_t>((at * 0x9e3779b97f4a7c15) >> 56);
  }
  return out;
}

class StreamsTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t usual_seed = 61;

  /// Writes so many bytes as fast as they are taken, then finishes.
  void pour(NodeNumber node, StreamId stream, std::size_t count, std::size_t piece = 10'000) {
    poured_ = 0;
    while (poured_ < count) {
      const std::size_t size = std::min(piece, count - poured_);
      if (world.write(node, stream, bytes_from(poured_, size))) {
        poured_ += size;
      } else {
        const bool has_room = world.run_until(
            [&] {
              const StreamPage& page = world.streams(node).at(stream);
              return page.is_writable || page.end.has_value();
            },
            120s);
        if (!has_room || world.streams(node).at(stream).end) break;
      }
    }
    world.finish(node, stream);
  }

  /// The only stream that others opened to that node.
  StreamId incoming(NodeNumber node) {
    StreamId found = 0;
    world.run_until(
        [&] {
          for (const auto& [id, page] : world.streams(node)) {
            if (!page.is_ours) found = id;
          }
          return found != 0;
        },
        30s);
    return found;
  }

  bool has_all(NodeNumber node, StreamId stream, std::size_t count) {
    const StreamPage& page = world.streams(node).at(stream);
    EXPECT_EQ(page.bytes.size(), count);
    return page.bytes == bytes_from(0, count);
  }

  /// The first and the last can't be dialed, and so are linked to those in the middle only.
  void make_line(std::size_t middles) {
    std::vector<NodeNumber> between{world.add()};
    while (between.size() < middles) between.push_back(world.add({.bootstrap = {between[0]}}));
    first_ = world.add({.bootstrap = between, .listens = false});
    last_ = world.add({.bootstrap = between, .listens = false});
    middle_ = between;
    world.run_for(20s);
    ASSERT_FALSE(world.are_linked(first_, last_));
    for (const NodeNumber each : between) {
      ASSERT_TRUE(world.are_linked(first_, each));
      ASSERT_TRUE(world.are_linked(each, last_));
    }
  }

  /// A network where not everybody is linked to everybody, and two who are not.
  static constexpr std::size_t crowd = 30;
  static NodeSpec few_links(std::vector<NodeNumber> bootstrap) {
    NodeSpec spec{.bootstrap = std::move(bootstrap)};
    spec.limits.links_max = 9;
    spec.limits.links_hard_max = crowd;
    return spec;
  }
  static void make_crowd(World& in, NodeNumber& first, NodeNumber& last) {
    const NodeNumber hub = in.add(few_links({}));
    while (in.size() < crowd) in.add(few_links({hub}));
    in.run_for(60s);
    for (first = 1; first < crowd; ++first) {
      for (last = first + 1; last < crowd; ++last) {
        if (!in.are_linked(first, last)) return;
      }
    }
    FAIL() << "all are linked";
  }

  World world{seed_from_environment(usual_seed)};
  std::size_t poured_ = 0;
  NodeNumber first_ = 0, last_ = 0;
  std::vector<NodeNumber> middle_;
};

TEST_F(StreamsTest, CarriesBytesBothWaysOverALink) {
  const NodeNumber alice = world.add();
  const NodeNumber bob = world.add({.bootstrap = {alice}});
  world.run_for(5s);
  const StreamId out = world.open_stream(alice, world.id(bob), {.label = "greeting"});
  pour(alice, out, 1'000'000);
  const StreamId in = incoming(bob);
  ASSERT_NE(in, 0u);
  EXPECT_EQ(world.streams(bob).at(in).label, "greeting");
  EXPECT_EQ(world.streams(bob).at(in).peer, world.id(alice));
  world.run_for(10s);
  EXPECT_TRUE(has_all(bob, in, 1'000'000));
  EXPECT_TRUE(world.streams(bob).at(in).has_finished);
  // Half is closed; the other half still goes.
  EXPECT_FALSE(world.streams(bob).at(in).end);
  pour(bob, in, 300'000);
  world.run_for(10s);
  EXPECT_TRUE(has_all(alice, out, 300'000));
  EXPECT_EQ(world.streams(alice).at(out).end, StreamEnd::finished);
  EXPECT_EQ(world.streams(bob).at(in).end, StreamEnd::finished);
  EXPECT_EQ(world.total().stream_bytes_resent, 0u);
}

TEST_F(StreamsTest, IsRelayedWhereThereIsNoLink) {
  make_line(3);
  const StreamId out = world.open_stream(first_, world.id(last_), {.label = "far"});
  pour(first_, out, 2'000'000);
  const StreamId in = incoming(last_);
  ASSERT_NE(in, 0u);
  pour(last_, in, 500'000);
  world.run_for(60s);
  EXPECT_TRUE(has_all(last_, in, 2'000'000));
  EXPECT_TRUE(has_all(first_, out, 500'000));
  EXPECT_EQ(world.streams(first_).at(out).end, StreamEnd::finished);
  EXPECT_EQ(world.streams(last_).at(in).end, StreamEnd::finished);
  EXPECT_FALSE(world.are_linked(first_, last_));
}

TEST_F(StreamsTest, OutlivesItsRelays) {
  make_line(3);
  const StreamId out = world.open_stream(first_, world.id(last_));
  std::size_t written = 0;
  for (int step = 0; step < 300; ++step) {
    if (world.write(first_, out, bytes_from(written, 5'000))) written += 5'000;
    world.run_for(20ms);
    if (step == 100) world.kill(middle_[1]);
    if (step == 200) world.unplug(middle_[2]);  // in silence
  }
  world.finish(first_, out);
  const StreamId in = incoming(last_);
  ASSERT_NE(in, 0u);
  world.run_for(120s);
  EXPECT_TRUE(has_all(last_, in, written));
  EXPECT_GT(written, 1'000'000u);
}

TEST_F(StreamsTest, MovesToALinkThatComesUpMeanwhile) {
  make_crowd(world, first_, last_);
  const StreamId out = world.open_stream(first_, world.id(last_), {.seeks_link = false});
  std::size_t written = 0;
  const auto write = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      if (world.write(first_, out, bytes_from(written, 5'000))) written += 5'000;
      world.run_for(20ms);
    }
  };
  write(50);
  EXPECT_GT(world.engine(first_).stats().stream_packets, 10u);
  world.connect(first_, world.id(last_));
  write(100);
  EXPECT_TRUE(world.are_linked(first_, last_));
  world.cut(first_, last_);
  write(100);
  world.finish(first_, out);
  const StreamId in = incoming(last_);
  world.run_for(60s);
  EXPECT_TRUE(has_all(last_, in, written));
  EXPECT_GT(written, 1'000'000u);
}

TEST_F(StreamsTest, AsksForALinkOfItsOwn) {
  make_crowd(world, first_, last_);
  const StreamId out = world.open_stream(first_, world.id(last_));
  std::size_t written = 0;
  for (int second = 0; second < 10; ++second) {
    if (world.write(first_, out, bytes_from(written, 30'000))) written += 30'000;
    world.run_for(1s);
  }
  EXPECT_TRUE(world.are_linked(first_, last_));
  world.finish(first_, out);
  const StreamId in = incoming(last_);
  world.run_for(30s);
  EXPECT_TRUE(has_all(last_, in, written));
}

TEST_F(StreamsTest, AReaderThatStopsStopsItsWriterAlone) {
  const NodeNumber alice = world.add();
  const NodeNumber bob = world.add({.bootstrap = {alice}});
  world.run_for(5s);
  const StreamId slow = world.open_stream(alice, world.id(bob), {.label = "slow"});
  world.run_for(1s);
  const StreamId slow_in = incoming(bob);
  world.set_reading(bob, slow_in, false);
  std::size_t taken = 0;
  while (world.write(alice, slow, bytes_from(taken, 10'000))) {
    taken += 10'000;
    world.run_for(100ms);
    ASSERT_LT(taken, 10'000'000u);
  }
  const std::size_t held = world.streams(bob).at(slow_in).bytes.size();
  EXPECT_EQ(held, limits::stream_window_initial);
  EXPECT_LE(taken, held + limits::stream_unsent_bytes_max + 10'000);

  // Others go on, and so do messages.
  const StreamId other = world.open_stream(alice, world.id(bob), {.label = "other"});
  pour(alice, other, 1'000'000);
  world.send(alice, world.id(bob), "still here");
  world.run_for(10s);
  EXPECT_EQ(world.streams(bob).at(slow_in).bytes.size(), held);
  EXPECT_TRUE(has_all(bob, slow_in + 1, 1'000'000));
  EXPECT_THAT(world.texts(bob), ::testing::ElementsAre("still here"));

  world.set_reading(bob, slow_in, true);
  world.finish(alice, slow);
  world.run_for(10s);
  EXPECT_TRUE(has_all(bob, slow_in, taken));
}

TEST_F(StreamsTest, AThousandAtOnce) {
  for (const bool is_relayed : {false, true}) {
    if (is_relayed) {
      make_line(2);
    } else {
      first_ = world.add();
      last_ = world.add({.bootstrap = {first_}});
      world.run_for(5s);
    }
    std::vector<StreamId> streams;
    for (int i = 0; i < 1000; ++i) {
      streams.push_back(world.open_stream(first_, world.id(last_), {.label = std::to_string(i)}));
      ASSERT_NE(streams.back(), 0u) << i;
    }
    for (const StreamId each : streams) {
      ASSERT_TRUE(world.write(first_, each, bytes_from(0, 3'000)));
      world.finish(first_, each);
    }
    world.run_for(30s);
    std::size_t whole = 0;
    for (const auto& [id, page] : world.streams(last_)) {
      if (page.has_finished && page.bytes == bytes_from(0, 3'000)) ++whole;
      world.finish(last_, id);
    }
    EXPECT_EQ(whole, 1000u) << is_relayed;
    world.run_for(30s);
    for (const StreamId each : streams) {
      EXPECT_EQ(world.streams(first_).at(each).end, StreamEnd::finished);
    }
    EXPECT_EQ(world.engine(first_).stats().streams, 0u);
    EXPECT_EQ(world.engine(last_).stats().streams, 0u);
  }
}

TEST_F(StreamsTest, AResetEndsBothSidesWithItsCode) {
  for (const bool is_relayed : {false, true}) {
    if (is_relayed) {
      make_line(2);
    } else {
      first_ = world.add();
      last_ = world.add({.bootstrap = {first_}});
      world.run_for(5s);
    }
    // Before the other side knows it, after, in the middle of bytes, after one finish.
    for (const int step : {0, 1, 2, 3, 4}) {
      const StreamId out =
          world.open_stream(first_, world.id(last_), {.label = std::to_string(step)});
      if (step >= 1) world.run_for(1s);
      if (step >= 2) world.write(first_, out, bytes_from(0, 200'000));
      if (step >= 3) world.finish(first_, out);
      const bool by_reader = step == 4;
      if (by_reader) {
        world.run_for(3s);
        for (const auto& [id, page] : world.streams(last_)) {
          if (page.label == "4" && !page.end) world.reset(last_, id, 7);
        }
      } else {
        world.reset(first_, out, 7);
      }
      world.run_for(5s);
      EXPECT_EQ(world.streams(first_).at(out).end, StreamEnd::reset) << step;
      EXPECT_EQ(world.streams(first_).at(out).code, 7u) << step;
      for (const auto& [id, page] : world.streams(last_)) {
        EXPECT_EQ(page.end, StreamEnd::reset) << step << ' ' << page.label;
        EXPECT_EQ(page.code, 7u) << step;
      }
    }
    EXPECT_EQ(world.engine(first_).stats().streams, 0u);
    EXPECT_EQ(world.engine(last_).stats().streams, 0u);
  }
}

TEST_F(StreamsTest, NobodyThereIsSaid) {
  make_line(2);
  const NodeId nobody = NodeId::from_hex("00112233445566778899aabbccddeeff00112233").value();
  const StreamId out = world.open_stream(first_, nobody);
  world.write(first_, out, bytes_from(0, 100));
  world.run_for(20s);
  // Which of the two is `session`'s to say.
  EXPECT_THAT(world.streams(first_).at(out).end,
              ::testing::AnyOf(StreamEnd::unreachable, StreamEnd::timed_out));
}

TEST_F(StreamsTest, AKilledReaderIsNoticed) {
  make_line(2);
  const StreamId out = world.open_stream(first_, world.id(last_));
  world.run_for(2s);
  world.kill(last_);
  world.write(first_, out, bytes_from(0, 100));
  world.run_for(120s);
  EXPECT_EQ(world.streams(first_).at(out).end, StreamEnd::timed_out);
}

TEST_F(StreamsTest, ARestartedReaderDoesNotKnowItAnyLonger) {
  make_line(2);
  const StreamId out = world.open_stream(first_, world.id(last_));
  world.write(first_, out, bytes_from(0, 100));
  world.run_for(2s);
  world.kill(last_);
  world.restart(last_, {.bootstrap = middle_, .listens = false});
  world.run_for(10s);
  world.write(first_, out, bytes_from(100, 100));
  world.run_for(20s);
  EXPECT_EQ(world.streams(first_).at(out).end, StreamEnd::unknown);
}

TEST_F(StreamsTest, AShutDownNodeSaysSo) {
  make_line(2);
  const StreamId relayed = world.open_stream(first_, world.id(last_));
  const StreamId direct = world.open_stream(middle_[0], world.id(last_));
  world.run_for(2s);
  world.shut_down(last_);
  world.run_for(5s);
  EXPECT_EQ(world.streams(first_).at(relayed).end, StreamEnd::shutdown);
  EXPECT_EQ(world.streams(middle_[0]).at(direct).end, StreamEnd::shutdown);
}

// Random chunks, both ways, while relays die, links come and go, and go dark.
TEST_F(StreamsTest, NoByteIsLostDoubledOrOutOfOrderWhateverHappens) {
  for (std::uint64_t run = 0; run < 12; ++run) {
    const std::uint64_t seed = world.seed() + run;
    SCOPED_TRACE("run with seed " + std::to_string(seed));
    World w{seed};
    Random random{seed};
    NodeNumber a = 0, b = 0;
    make_crowd(w, a, b);
    const auto other = [&] {
      NodeNumber one = a;
      while (one == a || one == b) one = random.below(crowd);
      return one;
    };
    int killed = 0;
    const StreamId out = w.open_stream(a, w.id(b), {.seeks_link = random.below(2) == 0});
    constexpr std::size_t whole = 1'000'000;
    std::size_t written[2] = {0, 0};
    StreamId in = 0;
    for (int step = 0; step < 4000 && (written[0] < whole || written[1] < whole); ++step) {
      for (const auto& [id, page] : w.streams(b)) in = id;
      const auto write = [&](NodeNumber node, StreamId stream, std::size_t& so_far) {
        const std::size_t count = std::min<std::size_t>(1 + random.below(30'000), whole - so_far);
        if (count > 0 && stream != 0 && w.write(node, stream, bytes_from(so_far, count))) {
          so_far += count;
        }
      };
      write(a, out, written[0]);
      write(b, in, written[1]);
      const NodeNumber relay = other();
      switch (random.below(12)) {
        case 0:
          if (!w.are_linked(a, b)) {
            w.connect(a, w.id(b));
          } else {
            w.cut(a, b);
          }
          break;
        case 1:
          if (w.are_linked(a, relay)) w.cut(a, relay);
          break;
        case 2:
          if (w.are_linked(relay, b)) w.cut(relay, b);
          break;
        case 3:
          if (random.below(10) == 0 && w.are_linked(a, relay)) w.go_dark(a, relay);
          if (random.below(40) == 0 && killed < 10 && w.is_alive(relay)) {
            w.kill(relay);
            ++killed;
          }
          break;
        case 4:
          w.set_reading(b, in, random.below(3) != 0);
          break;
        default:
          break;
      }
      w.run_for(random.between(1ms, 200ms));
    }
    w.set_reading(b, in, true);
    w.finish(a, out);
    w.finish(b, in);
    w.run_for(200s);
    ASSERT_NE(in, 0u);
    ASSERT_EQ(w.streams(b).at(in).bytes.size(), whole);
    ASSERT_EQ(w.streams(a).at(out).bytes.size(), whole);
    ASSERT_TRUE(w.streams(b).at(in).bytes == bytes_from(0, whole));
    ASSERT_TRUE(w.streams(a).at(out).bytes == bytes_from(0, whole));
    ASSERT_EQ(w.streams(a).at(out).end, StreamEnd::finished);
    ASSERT_EQ(w.streams(b).at(in).end, StreamEnd::finished);
  }
}

}  // namespace
}  // namespace peer_relay::sim
