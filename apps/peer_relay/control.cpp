// SPDX-License-Identifier: MIT
#include "control.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "command.hpp"
#include "output.hpp"

namespace peer_relay::app {
namespace {

using namespace std::chrono_literals;

constexpr auto answer_patience = 5s;
constexpr std::size_t answer_bytes_max = 4 << 20;

std::string connect_error(int error, const std::string& state_dir) {
  const std::string where = home_shortened(state_dir);
  if (error == ENOENT || error == ECONNREFUSED) {
    return fmt::format(
        "no node runs on {} (start one with `peer-relay serve`, or name its "
        "directory with --state-dir)",
        where);
  }
  if (error == EACCES) return fmt::format("the node on {} belongs to another user", where);
  return fmt::format("the node on {} can't be asked: {}", where, strerror(error));
}

}  // namespace

std::string control_path(const std::string& state_dir) { return state_dir + "/control.sock"; }

std::optional<sockaddr_un> control_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return std::nullopt;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

std::expected<ControlClient, std::string> ControlClient::connect(const std::string& state_dir) {
  const auto address = control_address(control_path(state_dir));
  if (!address) return std::unexpected("the path is too long for a socket: " + state_dir);
  ControlClient client{socket(AF_UNIX, SOCK_STREAM, 0)};
  fcntl(client.socket_, F_SETFD, FD_CLOEXEC);
  const auto* generic = reinterpret_cast<const sockaddr*>(&*address);
  if (::connect(client.socket_, generic, sizeof *address) != 0) {
    return std::unexpected(connect_error(errno, state_dir));
  }
  return client;
}

ControlClient::ControlClient(ControlClient&& other) noexcept
    : socket_{std::exchange(other.socket_, -1)}, read_{std::move(other.read_)} {}

ControlClient::~ControlClient() {
  if (socket_ >= 0) close(socket_);
}

std::expected<Json, std::string> ControlClient::ask(const Json& request) {
  if (!write_all(socket_, line_of(request) + "\n")) return std::unexpected("the node went away");
  const auto line = read_line();
  if (!line) return std::unexpected(line.error());
  Json answer = Json::parse(*line, nullptr, false);
  if (!answer.is_object()) return std::unexpected("the node's answer is no JSON object");
  if (!flag_in(answer, "ok")) {
    return std::unexpected(text_in(answer, "error", "the node gives no reason"));
  }
  return answer;
}

std::expected<std::string, std::string> ControlClient::read_line() {
  const auto until = std::chrono::steady_clock::now() + answer_patience;
  while (read_.find('\n') == std::string::npos) {
    const auto left = until - std::chrono::steady_clock::now();
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    pollfd found{socket_, POLLIN, 0};
    if (ms <= 0 || poll(&found, 1, static_cast<int>(ms)) == 0) {
      return std::unexpected("the node does not answer");
    }
    std::array<char, 65'536> bytes{};
    const ssize_t count = read(socket_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return std::unexpected("the node went away");
    read_.append(bytes.data(), static_cast<std::size_t>(count));
    if (read_.size() > answer_bytes_max) return std::unexpected("the node's answer is too long");
  }
  const std::size_t end = read_.find('\n');
  std::string line = read_.substr(0, end);
  read_.erase(0, end + 1);
  return line;
}

}  // namespace peer_relay::app
