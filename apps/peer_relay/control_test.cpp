// SPDX-License-Identifier: MIT
#include "control.hpp"

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control_server.hpp"
#include "loop.hpp"
#include "output.hpp"

namespace peer_relay::app {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

/// A server on a directory of its own that answers `echo`, and `later` when it is told to.
class Control : public ::testing::Test {
 protected:
  // As the command itself: a peer that hangs up is an error of the write, not the end.
  static void SetUpTestSuite() { std::signal(SIGPIPE, SIG_IGN); }

  Control() {
    std::string pattern = (std::filesystem::temp_directory_path() / "control-XXXXXX").string();
    dir_ = mkdtemp(pattern.data());
    server_.emplace(loop_, control_path(dir_), [this](const Json& request, auto reply) {
      if (text_in(request, "cmd") == "later") return later_.push_back(reply);
      reply({{"ok", true}, {"echo", request}});
    });
    EXPECT_EQ(server_->open(), "");
  }
  ~Control() override {
    server_.reset();
    std::filesystem::remove_all(dir_);
  }

  /// Runs the loop while a client is at work on another thread.
  template <class Work>
  void with_client(Work work) {
    std::thread client{[&] {
      work();
      loop_.post([this] { loop_.stop(0); });
    }};
    loop_.run();
    client.join();
  }

  int connected_socket() const {
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    const auto address = control_address(control_path(dir_));
    EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&*address), sizeof *address), 0);
    return fd;
  }

  static std::string read_all(int fd) {
    std::string text;
    std::array<char, 4096> bytes{};
    for (ssize_t n; (n = read(fd, bytes.data(), bytes.size())) > 0;) {
      text.append(bytes.data(), static_cast<std::size_t>(n));
    }
    return text;
  }

  Loop loop_;
  std::string dir_;
  std::vector<ControlServer::Reply> later_;
  std::optional<ControlServer> server_;
};

TEST_F(Control, AnswersOneQuestionAfterTheOther) {
  with_client([this] {
    auto client = ControlClient::connect(dir_);
    ASSERT_TRUE(client) << client.error();
    for (int i = 0; i < 3; ++i) {
      const auto answer = client->ask({{"cmd", "echo"}, {"i", i}});
      ASSERT_TRUE(answer) << answer.error();
      EXPECT_EQ((*answer)["echo"]["i"], i);
    }
  });
}

TEST_F(Control, IsForItsOwnerOnly) {
  struct stat facts{};
  ASSERT_EQ(stat(control_path(dir_).c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600u);
}

TEST_F(Control, GivesTagsBackAndHearsAClientOutThatSaysNoMore) {
  with_client([this] {
    const int fd = connected_socket();
    write_all(fd, "{\"cmd\":\"echo\",\"tag\":7}\nnonsense\n");
    shutdown(fd, SHUT_WR);
    const std::string answers = read_all(fd);
    EXPECT_THAT(answers, HasSubstr("\"tag\":7"));
    EXPECT_THAT(answers, HasSubstr("one JSON object on one line"));
    close(fd);
  });
}

TEST_F(Control, ClosesOnALineWithoutEnd) {
  with_client([this] {
    const int fd = connected_socket();
    write_all(fd, std::string(request_bytes_max + 70'000, 'x'));
    EXPECT_EQ(read_all(fd), "");
    close(fd);
  });
}

TEST_F(Control, SurvivesAnAnswerThatComesTooLate) {
  with_client([this] {
    const int fd = connected_socket();
    write_all(fd, "{\"cmd\":\"later\"}\n");
    close(fd);
  });
  for (int i = 0; i < 5; ++i) {
    loop_.after(10ms, [this] { loop_.stop(0); });
    loop_.run();
  }
  for (const auto& reply : later_) reply({{"ok", true}});
}

TEST_F(Control, SaysThatNoNodeRuns) {
  server_.reset();
  const auto client = ControlClient::connect(dir_);
  ASSERT_FALSE(client);
  EXPECT_THAT(client.error(), HasSubstr("no node runs on " + dir_));
}

TEST_F(Control, RefusesAPathThatNoSocketCanHave) {
  ControlServer server{loop_, control_path("/tmp/" + std::string(200, 'x')), {}};
  EXPECT_THAT(server.open(), HasSubstr("too long"));
}

}  // namespace
}  // namespace peer_relay::app
