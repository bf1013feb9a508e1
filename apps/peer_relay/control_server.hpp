// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "control.hpp"
#include "loop.hpp"

namespace peer_relay::app {

/// The node's side of control.hpp: hears several clients at once from the main thread's loop, and
/// waits for none of them.
class ControlServer {
 public:
  static constexpr std::size_t clients_max = 32;
  static constexpr std::size_t unanswered_max = 4096;        ///< requests of one client
  static constexpr std::size_t answers_bytes_max = 4 << 20;  ///< that one client has not read yet

  /// Answers one request, now or later; if the client has left by then, nobody hears it.
  using Reply = std::function<void(Json answer)>;
  using Handler = std::function<void(const Json& request, Reply reply)>;

  ControlServer(Loop& loop, std::string path, Handler handler);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  /// Empty, or why there will be no control socket. The path is ours alone: the state directory is
  /// locked by now, so a socket that is there was left by a process that died.
  std::string open();

 private:
  using ClientId = std::uint64_t;
  struct Client {
    int socket = -1;
    std::string read, unwritten;
    std::size_t unanswered = 0;
    bool ended = false;  ///< will ask nothing more, but may still listen
  };

  void accept_client();
  void pause_listening();
  void watch_listener();
  void serve(ClientId id, short found);
  bool read_from(Client& client);
  bool take_lines(ClientId id, Client& client);
  void take_line(ClientId id, std::string_view line);
  void answer(ClientId id, const Json& answer);
  void flush(ClientId id);
  void watch(ClientId id, const Client& client);
  void drop(ClientId id);

  Loop& loop_;
  const std::string path_;
  Handler handler_;
  int listener_ = -1;
  ClientId last_client_ = 0;
  std::map<ClientId, Client> clients_;
};

Json refusal(std::string_view error);

}  // namespace peer_relay::app
