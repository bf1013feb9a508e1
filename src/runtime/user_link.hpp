// SPDX-License-Identifier: MIT
//
// A link over a connection of the application's own transport: each message stands behind its
// length, as over TCP.
#pragma once

#include <memory>
#include <string>

#include "peer_relay/user_transport.hpp"
#include "transport/transport.hpp"

namespace peer_relay {

class Host;

class UserLink final : public Link {
 public:
  /// `sink` is the host's. Begins to read in a later turn.
  UserLink(std::unique_ptr<UserConnection> connection, std::string remote, LinkId id,
           LinkSink& sink, std::weak_ptr<Host> host);
  ~UserLink() override;
  UserLink(const UserLink&) = delete;
  UserLink& operator=(const UserLink&) = delete;

  void send(Bytes batch) override;
  void send_text(Bytes text) override;
  std::size_t queued_bytes() const override;
  void close(CloseReason reason) override;
  const std::string& remote() const override { return remote_; }
  bool may_be_old() const override { return false; }

 private:
  class Core;
  std::shared_ptr<Core> core_;
  std::string remote_;
};

}  // namespace peer_relay
