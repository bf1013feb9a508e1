// SPDX-License-Identifier: MIT
//
// How another process asks a running node: a socket beside its state, for its owner only. One JSON
// object a line each way; a `tag` in a request comes back in its answer, which is
// {"ok":true,...} or {"ok":false,"error":"..."}. Answers may come in another order.
//
//   {"cmd":"status"}  {"cmd":"peers"}
//   {"cmd":"send","to":ID, one of "text","json","base64": "...", "timeout_ms":5000}
//   {"cmd":"ping","to":ID,"timeout_ms":5000}
#pragma once

#include <cstddef>
#include <expected>
#include <optional>
#include <string>

#include <sys/un.h>

#include "json.hpp"

namespace peer_relay::app {

/// A payload in JSON's longest escapes, six bytes for one, and some room.
inline constexpr std::size_t request_bytes_max = 6 * 65'536 + 4096;

std::string control_path(const std::string& state_dir);

/// Nothing if the path is longer than such an address can be (107 bytes on Linux).
std::optional<sockaddr_un> control_address(const std::string& path);

/// A connection to a running node, for one question after the other.
class ControlClient {
 public:
  /// An error is a sentence for people.
  static std::expected<ControlClient, std::string> connect(const std::string& state_dir);

  ControlClient(ControlClient&& other) noexcept;
  ControlClient& operator=(ControlClient&&) = delete;
  ~ControlClient();

  /// Waits for the answer, a few seconds at most.
  std::expected<Json, std::string> ask(const Json& request);

 private:
  explicit ControlClient(int socket) : socket_{socket} {}

  std::expected<std::string, std::string> read_line();

  int socket_ = -1;
  std::string read_;
};

}  // namespace peer_relay::app
