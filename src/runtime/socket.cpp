// SPDX-License-Identifier: MIT
#include "peer_relay/socket.hpp"

#include <mutex>
#include <optional>
#include <random>
#include <utility>

#include <fmt/format.h>

#include "runtime/datagram.hpp"
#include "runtime/node_impl.hpp"

namespace peer_relay {

/// Shared by the socket, its ear at the host, and calls that are on their way to the node's thread.
/// What the mutex guards may be asked for from any thread; handlers run without it.
struct Socket::State : std::enable_shared_from_this<Socket::State> {
  std::optional<Node> own_node;
  bool owns_node = false;  // from the start to the end
  Node* node = nullptr;
  std::shared_ptr<Node::Impl> impl;
  SocketEvents events;
  std::shared_ptr<Ear> ear;

  std::mutex mutex;
  std::uint16_t port = 0;
  bool is_bound = false;
  bool is_closed = false;
  std::optional<NodeId> connected_to;
  std::uint16_t connected_port = 0;

  // On the node's thread.
  bool awaits_peer = false;
  bool has_told_close = false;
  std::vector<std::function<void()>> listening;
  std::vector<std::function<void()>> closed;

  Host& host() const { return *impl->host; }

  void attach(Node& to) {
    node = &to;
    impl = to.impl_;
    port = random_port();
    ear = std::make_shared<Ear>();
    const std::weak_ptr<State> self = weak_from_this();
    ear->message = [self](const Message& message) {
      const auto state = self.lock();
      return state != nullptr && state->hear(message);
    };
    ear->linked = [self] {
      if (const auto state = self.lock()) state->tell_listening();
    };
    ear->problem = [self](const Problem& problem) {
      const auto state = self.lock();
      if (state == nullptr || !state->events.error || state->has_told_close) return;
      state->events.error(
          fmt::format("{}: {} {}", name_of(problem.kind), problem.where, problem.detail));
    };
    ear->gone = [self] {
      if (const auto state = self.lock()) state->tell_close();
    };
    host().call([host = &host(), ear = ear] { host->add_ear(ear); });
  }

  static std::uint16_t random_port() {
    std::random_device chance;
    return static_cast<std::uint16_t>(1 + chance() % 65'535);
  }

  bool hear(const Message& message) {
    if (has_told_close) return false;
    const auto datagram = datagram_of(message.payload);
    if (!datagram) return false;
    if (events.message) {
      events.message(datagram->bytes, {.address = message.from.to_hex(),
                                       .port = datagram->port,
                                       .size = datagram->bytes.size(),
                                       .authenticated = message.authenticated});
    }
    return true;
  }

  void tell_listening() {
    if (!std::exchange(awaits_peer, false) || has_told_close) return;
    if (events.listening) events.listening();
    for (const auto& handler : std::exchange(listening, {})) handler();
  }

  void tell_close() {
    if (std::exchange(has_told_close, true)) return;
    {
      const std::lock_guard lock{mutex};
      is_closed = true;
    }
    if (events.close) events.close();
    for (const auto& done : std::exchange(closed, {})) done();
  }

  void answer(Result<std::size_t> result, Sent done) {
    if (!done && result) return;
    // Weak, as all that waits at the host: it may wait there when the host has ended, and is ours.
    host().call([self = weak_from_this(), result, done = std::move(done)] {
      if (done) return done(result);
      const auto state = self.lock();
      if (state != nullptr && state->events.error && !state->has_told_close) {
        state->events.error(std::string{describe(result.error())});
      }
    });
  }

  Result<std::size_t> send(const NodeId& to, BytesView bytes) {
    std::uint16_t from_port = 0;
    {
      const std::lock_guard lock{mutex};
      if (is_closed) return std::unexpected(Error::closed);
      from_port = port;
    }
    auto sent = host().send(to, payload_of_datagram(bytes, host().id(), from_port));
    if (!sent) return std::unexpected(sent.error());
    return bytes.size();
  }

  void close(std::function<void()> done) {
    {
      const std::lock_guard lock{mutex};
      is_closed = true;
    }
    host().call([self = weak_from_this(), done = std::move(done)] {
      const auto state = self.lock();
      if (state == nullptr) return;
      if (done) {
        if (state->has_told_close) return done();
        state->closed.push_back(done);
      }
      if (!state->owns_node) return state->tell_close();
      state->host().destroy([self] {
        if (const auto ended = self.lock()) ended->tell_close();
      });
    });
  }
};

Result<Socket, StartError> Socket::create(NodeOptions options, SocketEvents events) {
  auto node = Node::start(std::move(options));
  if (!node) return std::unexpected(std::move(node.error()));
  auto state = std::make_shared<State>();
  state->events = std::move(events);
  state->own_node.emplace(std::move(*node));
  state->owns_node = true;
  state->attach(*state->own_node);
  return Socket{std::move(state)};
}

Socket Socket::on(Node& node, SocketEvents events) {
  auto state = std::make_shared<State>();
  state->events = std::move(events);
  state->attach(node);
  return Socket{std::move(state)};
}

Socket::Socket(std::shared_ptr<State> state) : state_(std::move(state)) {}

Socket::Socket(Socket&&) noexcept = default;

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this != &other) {
    Socket old{std::move(state_)};
    state_ = std::move(other.state_);
  }
  return *this;
}

Socket::~Socket() {
  if (!state_) return;
  state_->close({});
  // Its own node says goodbye, and the last event is told, before the rest goes.
  state_->own_node.reset();
}

void Socket::send(BytesView bytes, std::size_t offset, std::size_t length, std::uint16_t port,
                  std::string_view id, Sent done) {
  if (offset > bytes.size() || length > bytes.size() - offset) {
    return state_->answer(std::unexpected(Error::invalid_argument), std::move(done));
  }
  send(bytes.subspan(offset, length), port, id, std::move(done));
}

void Socket::send(BytesView bytes, std::uint16_t port, std::string_view id, Sent done) {
  static_cast<void>(port);  // of the other side, where it chooses nothing
  const auto to = NodeId::from_hex(id);
  if (!to) return state_->answer(std::unexpected(Error::invalid_argument), std::move(done));
  state_->answer(state_->send(*to, bytes), std::move(done));
}

void Socket::send(std::span<const BytesView> list, std::uint16_t port, std::string_view id,
                  Sent done) {
  Bytes whole;
  for (const BytesView part : list) whole.insert(whole.end(), part.begin(), part.end());
  send(BytesView{whole}, port, id, std::move(done));
}

void Socket::send(BytesView bytes, Sent done) {
  std::optional<NodeId> to;
  {
    const std::lock_guard lock{state_->mutex};
    to = state_->connected_to;
  }
  if (!to) return state_->answer(std::unexpected(Error::not_linked), std::move(done));
  state_->answer(state_->send(*to, bytes), std::move(done));
}

Result<void> Socket::connect(std::uint16_t port, std::string_view id) {
  const auto to = NodeId::from_hex(id);
  if (!to) return std::unexpected(Error::invalid_argument);
  const std::lock_guard lock{state_->mutex};
  state_->connected_to = *to;
  state_->connected_port = port;
  return {};
}

Result<void> Socket::bind(std::uint16_t port, std::function<void()> listening) {
  {
    const std::lock_guard lock{state_->mutex};
    if (state_->is_closed) return std::unexpected(Error::closed);
    if (std::exchange(state_->is_bound, true)) return std::unexpected(Error::invalid_argument);
    if (port != 0) state_->port = port;
  }
  state_->host().call([self = std::weak_ptr{state_}, listening = std::move(listening)] {
    const auto state = self.lock();
    if (state == nullptr) return;
    if (listening) state->listening.push_back(listening);
    state->awaits_peer = true;
    if (!state->host().peers().empty() || state->host().stats().joined) state->tell_listening();
  });
  return {};
}

SocketAddress Socket::address() const {
  const std::lock_guard lock{state_->mutex};
  return {.address = state_->host().id().to_hex(), .port = state_->port};
}

void Socket::close(std::function<void()> done) { state_->close(std::move(done)); }

Node& Socket::node() { return *state_->node; }

}  // namespace peer_relay
