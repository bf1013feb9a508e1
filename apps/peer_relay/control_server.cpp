// SPDX-License-Identifier: MIT
#include "control_server.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace peer_relay::app {
namespace {

void make_nonblocking(int fd) {
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  fcntl(fd, F_SETFL, O_NONBLOCK);
}

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

/// Only what is cheap to keep and to give back.
Json tag_of(const Json& request) {
  if (!request.is_object()) return {};
  const auto tag = request.find("tag");
  return tag != request.end() && (tag->is_number() || tag->is_string()) ? *tag : Json{};
}

}  // namespace

ControlServer::ControlServer(Loop& loop, std::string path, Handler handler)
    : loop_{loop}, path_{std::move(path)}, handler_{std::move(handler)} {}

ControlServer::~ControlServer() {
  while (!clients_.empty()) drop(clients_.begin()->first);
  if (listener_ < 0) return;
  loop_.unwatch(listener_);
  close(listener_);
  unlink(path_.c_str());
}

std::string ControlServer::open() {
  const auto address = control_address(path_);
  if (!address) return "the path of the state directory is too long for a socket";
  unlink(path_.c_str());
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  const auto* generic = reinterpret_cast<const sockaddr*>(&*address);
  // Nobody can connect before listen(), so nobody slips in before the mode is right.
  if (listener < 0 || bind(listener, generic, sizeof *address) != 0 ||
      chmod(path_.c_str(), S_IRUSR | S_IWUSR) != 0 || ::listen(listener, SOMAXCONN) != 0) {
    const int error = errno;
    if (listener >= 0) close(listener);
    return strerror(error);
  }
  make_nonblocking(listener);
  listener_ = listener;
  watch_listener();
  return "";
}

void ControlServer::accept_client() {
  const int socket = accept(listener_, nullptr, nullptr);
  if (socket < 0) return would_block() ? void() : pause_listening();
  make_nonblocking(socket);
  if (clients_.size() >= clients_max) {
    const std::string line = line_of(refusal("too many clients")) + "\n";
    [[maybe_unused]] const auto written = write(socket, line.data(), line.size());
    close(socket);
    return;
  }
  const ClientId id = ++last_client_;
  clients_[id].socket = socket;
  watch(id, clients_[id]);
}

/// Most likely there is no descriptor left; who waits to be accepted would wake us again and again.
void ControlServer::pause_listening() {
  loop_.unwatch(listener_);
  loop_.after(std::chrono::seconds{1}, [this] { watch_listener(); });
}

void ControlServer::watch_listener() {
  loop_.watch(listener_, POLLIN, [this](short) { accept_client(); });
}

void ControlServer::serve(ClientId id, short found) {
  const auto at = clients_.find(id);
  if (at == clients_.end()) return;
  Client& client = at->second;
  if ((found & POLLIN) != 0 && !read_from(client)) return drop(id);
  if ((found & (POLLERR | POLLHUP)) != 0 && (found & POLLIN) == 0) return drop(id);
  if (!take_lines(id, client)) return drop(id);
  flush(id);
}

/// False if the connection broke.
bool ControlServer::read_from(Client& client) {
  std::array<char, 65'536> bytes{};
  const ssize_t count = read(client.socket, bytes.data(), bytes.size());
  if (count < 0) return would_block();
  client.ended = count == 0;
  client.read.append(bytes.data(), static_cast<std::size_t>(count));
  return true;
}

/// False if a line is longer than any request, or the client asks and does not read.
bool ControlServer::take_lines(ClientId id, Client& client) {
  std::size_t from = 0;
  for (std::size_t end; (end = client.read.find('\n', from)) != std::string::npos; from = end + 1) {
    take_line(id, std::string_view{client.read}.substr(from, end - from));
    if (client.unwritten.size() > answers_bytes_max) return false;
  }
  client.read.erase(0, from);
  return client.read.size() <= request_bytes_max;
}

void ControlServer::take_line(ClientId id, std::string_view line) {
  Client& client = clients_.at(id);
  const Json request = Json::parse(line, nullptr, false);
  ++client.unanswered;
  const auto reply = [this, id, tag = tag_of(request)](Json given) {
    if (!tag.is_null()) given["tag"] = tag;
    answer(id, given);
  };
  if (!request.is_object()) return reply(refusal("a request is one JSON object on one line"));
  if (client.unanswered > unanswered_max) return reply(refusal("too many requests at once"));
  handler_(request, reply);
}

void ControlServer::answer(ClientId id, const Json& answer) {
  const auto at = clients_.find(id);
  if (at == clients_.end()) return;
  Client& client = at->second;
  --client.unanswered;
  client.unwritten += line_of(answer) + "\n";
  watch(id, client);
}

void ControlServer::flush(ClientId id) {
  Client& client = clients_.at(id);
  while (!client.unwritten.empty()) {
    const ssize_t count = write(client.socket, client.unwritten.data(), client.unwritten.size());
    if (count < 0 && would_block()) break;
    if (count < 0) return drop(id);
    client.unwritten.erase(0, static_cast<std::size_t>(count));
  }
  if (client.ended && client.unanswered == 0 && client.unwritten.empty()) return drop(id);
  watch(id, client);
}

void ControlServer::watch(ClientId id, const Client& client) {
  const int events = (client.ended ? 0 : POLLIN) | (client.unwritten.empty() ? 0 : POLLOUT);
  loop_.watch(client.socket, static_cast<short>(events),
              [this, id](short found) { serve(id, found); });
}

void ControlServer::drop(ClientId id) {
  const auto client = clients_.extract(id);
  loop_.unwatch(client.mapped().socket);
  close(client.mapped().socket);
}

Json refusal(std::string_view error) { return {{"ok", false}, {"error", error}}; }

}  // namespace peer_relay::app
