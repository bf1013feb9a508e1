// SPDX-License-Identifier: MIT
#include "process.hpp"

#include <cstdio>
#include <fstream>
#include <string>

#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

namespace peer_relay::bench {

namespace {

constexpr int tick_every_ms = 1000;

std::int64_t micros(const timeval& time) {
  return std::int64_t{time.tv_sec} * 1'000'000 + time.tv_usec;
}

/// Of a line like "VmRSS:     1234 kB".
std::int64_t kib_of(const std::string& name) {
  std::ifstream status{"/proc/self/status"};
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ":")) return std::stoll(line.substr(name.size() + 1));
  }
  return 0;
}

}  // namespace

Json own_cost() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return {{"ns", std::chrono::duration_cast<std::chrono::nanoseconds>(now).count()},
          {"cpu_us", micros(usage.ru_utime) + micros(usage.ru_stime)},
          {"system_us", micros(usage.ru_stime)},
          {"rss_kib", kib_of("VmRSS")},
          {"anonymous_kib", kib_of("RssAnon")}};
}

void say(const Json& line) {
  std::puts(line.dump().c_str());
  std::fflush(stdout);
}

void obey_commands(const std::function<Json(const Json&)>& obey,
                   const std::function<void()>& tick) {
  std::string unread;
  for (;;) {
    pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    if (poll(&input, 1, tick_every_ms) == 0) {
      tick();
      continue;
    }
    char bytes[4096];
    const ssize_t count = read(STDIN_FILENO, bytes, sizeof bytes);
    if (count <= 0) return;
    unread.append(bytes, static_cast<std::size_t>(count));
    for (std::size_t end; (end = unread.find('\n')) != std::string::npos;) {
      const Json command = Json::parse(unread.substr(0, end));
      unread.erase(0, end + 1);
      say(obey(command));
    }
  }
}

}  // namespace peer_relay::bench
