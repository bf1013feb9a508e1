// SPDX-License-Identifier: MIT
#include "runtime/old_peers.hpp"

#include <utility>

#include <fmt/format.h>

namespace peer_relay {

namespace {

using Kind = ExchangeError::Kind;

StreamEnd end_of(CloseReason reason) {
  switch (reason) {
    case CloseReason::shutdown:
      return StreamEnd::shutdown;
    case CloseReason::protocol_error:
      return StreamEnd::protocol_error;
    case CloseReason::unread:
      return StreamEnd::limit;
    case CloseReason::keepalive_timeout:
    case CloseReason::queue_stalled:
      return StreamEnd::timed_out;
    default:
      return StreamEnd::reset;  // as far as that wire tells
  }
}

}  // namespace

ExchangeError wrong_network(const std::string& where, const std::string& theirs,
                            const std::string& ours) {
  return {Kind::wrong_network,
          fmt::format("{} belongs to the network '{}', not to '{}'", where, theirs, ours)};
}

/// That wire has one end for both directions: finish() says it when all is written.
class OldPeers::Carrier final : public StreamCarrier {
 public:
  Carrier(OldPeers& peers, ExchangePeerId id) : peers_{peers}, id_{id} {}

  bool has_room() override { return peers_.host_->exchange_has_room(id_); }
  void write(Bytes bytes) override { peers_.host_->exchange_write(id_, std::move(bytes)); }
  void finish() override { reset(StreamEnd::finished, 0); }
  void reset(StreamEnd end, std::uint32_t code) override {
    const auto at = peers_.peers_.find(id_);
    if (at == peers_.peers_.end() || at->second.end) return;
    at->second.end = {end, code};
    peers_.host_->exchange_close(id_);
  }
  void consumed(std::size_t bytes) override { peers_.host_->exchange_consumed(id_, bytes); }

 private:
  OldPeers& peers_;  // outlives us: its streams close before it goes
  ExchangePeerId id_;
};

OldPeers::OldPeers(std::shared_ptr<Host> host, std::string network, Events events)
    : host_(std::move(host)), network_(std::move(network)), events_(std::move(events)) {}

OldPeers::~OldPeers() {
  for (auto& [id, held] : std::exchange(peers_, {})) held.state->closed({StreamEnd::shutdown, 0});
}

void OldPeers::listen() {
  const auto with = [self = weak_from_this()](auto hear) {
    return [self, hear](auto&& event) {
      if (const auto peers = self.lock()) hear(*peers, std::forward<decltype(event)>(event));
    };
  };
  host_->set_exchange_ear({
      .up = with([](OldPeers& peers, const auto& up) { peers.up(up); }),
      .bytes = with([](OldPeers& peers, auto&& bytes) {
        if (const auto state = peers.find(bytes.peer)) state->arrived(std::move(bytes.bytes));
      }),
      .writable = with([](OldPeers& peers, ExchangePeerId id) {
        if (const auto state = peers.find(id)) state->writable();
      }),
      .ended = with([](OldPeers& peers, ExchangePeerId id) {
        if (const auto state = peers.find(id)) state->finished();
      }),
      .down = with([](OldPeers& peers, const auto& down) { peers.down(down); }),
      .failed = with([](OldPeers& peers, const auto& failed) { peers.failed(failed); }),
  });
}

void OldPeers::connect(const Address& address, Callback done) {
  wait_for(host_->exchange_connect(address), address.to_string(), std::move(done));
}

void OldPeers::get_new_peer(ExchangePeerId from, Callback done) {
  wait_for(host_->exchange_get_new_peer(from), "a new peer", std::move(done));
}

void OldPeers::wait_for(ExchangeRequest request, std::string where, Callback done) {
  if (request == 0) return done(std::unexpected(ExchangeError{Kind::closed, "the node goes away"}));
  requests_[request] = {std::move(where), std::move(done)};
}

void OldPeers::accept(ExchangeTransport transport, std::uint16_t port) {
  host_->exchange_accept(transport, port);
}

void OldPeers::unaccept(ExchangeTransport transport) { host_->exchange_unaccept(transport); }

std::shared_ptr<StreamState> OldPeers::find(ExchangePeerId peer) const {
  const auto at = peers_.find(peer);
  return at == peers_.end() ? nullptr : at->second.state;
}

void OldPeers::up(const NotifyWish::ExchangePeerUp& up) {
  const auto request =
      up.request ? requests_.extract(*up.request) : decltype(requests_.extract(0)){};
  const auto state =
      std::make_shared<StreamState>(host_, NodeId{}, std::string{}, up.request.has_value());
  peers_.emplace(up.peer, Held{.state = state});
  state->opened(std::make_unique<Carrier>(*this, up.peer));
  OldPeer peer{.id = up.peer,
               .stream = StreamState::handle_of(state),
               .transport = std::string{name_of(up.transport)},
               .remote_address = up.remote_host};
  if (request) {
    request.mapped().done(std::move(peer));
  } else {
    events_.came(std::move(peer));
  }
}

void OldPeers::down(const NotifyWish::ExchangePeerDown& down) {
  const auto held = peers_.extract(down.peer);
  if (!held) return;
  const StreamError end = held.mapped().end.value_or(StreamError{end_of(down.reason), 0});
  held.mapped().state->closed(end);
  events_.gone(down.peer, end);
}

void OldPeers::failed(const NotifyWish::ExchangeFailed& failed) {
  const auto request = requests_.extract(failed.request);
  if (!request) return;
  request.mapped().done(std::unexpected(error_of(failed, request.mapped().where)));
}

ExchangeError OldPeers::error_of(const NotifyWish::ExchangeFailed& failed,
                                 const std::string& where) const {
  switch (failed.why) {
    case ExchangeFailure::no_peers:
      return {Kind::not_connected, "not connected to any peers"};
    case ExchangeFailure::nobody:
      return {Kind::no_new_peer, "that peer has no other to offer"};
    case ExchangeFailure::no_answer:
      return {Kind::timed_out, "no answer"};
    case ExchangeFailure::bad_answer:
      return {Kind::no_new_peer, "that peer's answer is none that can be used"};
    case ExchangeFailure::dial_failed:
      return {Kind::connect_failed,
              fmt::format("{}: {}", where,
                          failed.detail.empty() ? name_of(failed.dial_error) : failed.detail)};
    case ExchangeFailure::wrong_network:
      return wrong_network(where, failed.network, network_);
    case ExchangeFailure::wrong_version:
      return {Kind::connect_failed, where + ": it speaks another version of peer-exchange"};
    case ExchangeFailure::closed:
      return {Kind::connect_failed, fmt::format("{}: nobody of npm peer-exchange is there ({})",
                                                where, name_of(failed.close_reason))};
    case ExchangeFailure::limit:
      return {Kind::connect_failed, where + ": as many are under way as are kept"};
    case ExchangeFailure::shutdown:
      return {Kind::closed, "the node goes away"};
  }
  std::unreachable();
}

}  // namespace peer_relay
