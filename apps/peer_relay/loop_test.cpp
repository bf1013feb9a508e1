// SPDX-License-Identifier: MIT
#include "loop.hpp"

#include <chrono>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

namespace peer_relay::app {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

TEST(Loop, RunsWhatOtherThreadsPost) {
  Loop loop;
  std::vector<int> seen;
  std::thread other{[&] {
    for (int i = 0; i < 3; ++i) loop.post([&seen, i] { seen.push_back(i); });
    loop.post([&] { loop.stop(5); });
  }};
  EXPECT_EQ(loop.run(), 5);
  other.join();
  EXPECT_THAT(seen, ElementsAre(0, 1, 2));
}

TEST(Loop, RunsTimersInTheOrderOfTheirTime) {
  Loop loop;
  std::vector<int> seen;
  // Far enough apart for a machine that pauses between two of these lines.
  loop.after(200ms, [&] { seen.push_back(2); });
  loop.after(1ms, [&] { seen.push_back(1); });
  loop.cancel(loop.after(0ms, [&] { seen.push_back(0); }));
  loop.after(400ms, [&] { loop.stop(0); });
  loop.run();
  EXPECT_THAT(seen, ElementsAre(1, 2));
}

TEST(Loop, RefusesWhatIsOfferedBeyondItsBacklog) {
  Loop loop;
  EXPECT_TRUE(loop.offer(Loop::backlog_bytes_max / 2, [] {}));
  EXPECT_TRUE(loop.offer(Loop::backlog_bytes_max / 2, [] {}));
  EXPECT_FALSE(loop.offer(1, [] {}));
  loop.post([&] { loop.stop(0); });
  loop.run();
  EXPECT_TRUE(loop.offer(1, [] {}));
}

TEST(Loop, StopsWith130AtASignalUnlessSomebodyKnowsBetter) {
  Loop loop;
  kill(getpid(), SIGINT);
  EXPECT_EQ(loop.run(), 130);
  EXPECT_TRUE(loop.interrupted());
}

TEST(Loop, TellsOfASignal) {
  Loop loop;
  loop.on_interrupt([&] { loop.stop(0); });
  kill(getpid(), SIGTERM);
  EXPECT_EQ(loop.run(), 0);
}

TEST(LoopDeathTest, EndsAtOnceAtTheSecondSignal) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        Loop loop;
        kill(getpid(), SIGINT);
        // Two of a kind at once would be one, so the first must have been taken.
        for (sigset_t waiting; sigpending(&waiting) == 0 && sigismember(&waiting, SIGINT) == 1;) {
          std::this_thread::sleep_for(1ms);
        }
        kill(getpid(), SIGINT);
        std::this_thread::sleep_for(10s);  // a main thread that is stuck
      },
      ::testing::ExitedWithCode(130), "");
}

}  // namespace
}  // namespace peer_relay::app
