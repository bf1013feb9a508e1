// SPDX-License-Identifier: MIT
//
// The simulator is a program of its own, beside this one: it shares no code with the verbs, and who
// runs a relay does not need it.
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include "command.hpp"
#include "output.hpp"

namespace peer_relay::app {

int sim(Arguments arguments) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  std::string program =
      (error ? std::filesystem::path{"."} : self.parent_path()) / "peer-relay-sim";
  std::vector<char*> words{program.data()};
  for (std::string& word : arguments.words) words.push_back(word.data());
  words.push_back(nullptr);
  signal(SIGPIPE, SIG_DFL);
  execv(program.c_str(), words.data());
  complain(fmt::format("can't run {}: {}", program, std::strerror(errno)));
  return status_error;
}

}  // namespace peer_relay::app
