// SPDX-License-Identifier: MIT
//
// Peers of npm peer-exchange as byte streams: what an Exchange has beside its own kind. On the
// node's thread, but for the destructor, which may also run after it.
#pragma once

#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/exchange.hpp"
#include "peer_relay/exchange.hpp"
#include "runtime/host.hpp"
#include "runtime/stream_state.hpp"

namespace peer_relay {

/// As it is told of either wire.
ExchangeError wrong_network(const std::string& where, const std::string& theirs,
                            const std::string& ours);

struct OldPeer {
  ExchangePeerId id{};
  Stream stream;
  std::string transport;
  std::string remote_address;
};

class OldPeers : public std::enable_shared_from_this<OldPeers> {
 public:
  using Callback = std::function<void(std::expected<OldPeer, ExchangeError>)>;
  struct Events {
    std::function<void(OldPeer)> came;  ///< by itself
    std::function<void(ExchangePeerId, const StreamError&)> gone;
  };

  OldPeers(std::shared_ptr<Host> host, std::string network, Events events);
  /// Streams that are left end.
  ~OldPeers();
  OldPeers(const OldPeers&) = delete;
  OldPeers& operator=(const OldPeers&) = delete;

  /// Begins to hear of them.
  void listen();

  /// `done` comes once, later.
  void connect(const Address& address, Callback done);
  void get_new_peer(ExchangePeerId from, Callback done);
  void accept(ExchangeTransport transport, std::uint16_t port);
  void unaccept(ExchangeTransport transport);

 private:
  class Carrier;
  struct Held {
    std::shared_ptr<StreamState> state;
    std::optional<StreamError> end = {};  // as we have ended it
  };
  struct Request {
    std::string where;  // for people
    Callback done;
  };

  void wait_for(ExchangeRequest request, std::string where, Callback done);
  void up(const NotifyWish::ExchangePeerUp& up);
  void down(const NotifyWish::ExchangePeerDown& down);
  void failed(const NotifyWish::ExchangeFailed& failed);
  ExchangeError error_of(const NotifyWish::ExchangeFailed& failed, const std::string& where) const;
  std::shared_ptr<StreamState> find(ExchangePeerId peer) const;

  std::shared_ptr<Host> host_;
  std::string network_;
  Events events_;
  std::map<ExchangePeerId, Held> peers_;         // bounded by the engine
  std::map<ExchangeRequest, Request> requests_;  // bounded by the engine
};

}  // namespace peer_relay
