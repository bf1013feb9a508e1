// SPDX-License-Identifier: MIT
//
// What a node keeps on disk: its key (identity.pem), the contacts to start from next time
// (peers.cache), and a lock, because two nodes of one identity would take each other's messages.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "peer_relay/bytes.hpp"
#include "peer_relay/node.hpp"

namespace peer_relay {

class StateDir {
 public:
  /// Makes the directory (mode 0700) where it is missing, and locks it until the object goes.
  static Result<std::unique_ptr<StateDir>, StartError> open(std::filesystem::path path);

  ~StateDir();
  StateDir(const StateDir&) = delete;
  StateDir& operator=(const StateDir&) = delete;

  std::filesystem::path identity_file() const { return path_ / "identity.pem"; }

  struct Cache {
    std::vector<Bytes> contacts;  ///< not checked; the engine does that
    std::size_t unreadable = 0;   ///< lines that were skipped
  };
  /// Empty where there is none. Strangers' nodes told us what is in it: never an error.
  Cache read_cache() const;

  /// The whole cache or nothing of it is replaced, even if the power fails. False with errno.
  bool write_cache(const std::vector<Bytes>& contacts) const;

 private:
  StateDir(std::filesystem::path path, int lock);

  std::filesystem::path path_;
  int lock_;
};

}  // namespace peer_relay
