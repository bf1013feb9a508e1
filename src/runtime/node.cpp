// SPDX-License-Identifier: MIT
#include "peer_relay/node.hpp"

#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "runtime/host.hpp"
#include "runtime/node_impl.hpp"
#include "runtime/stream_state.hpp"

#ifndef PEER_RELAY_VERSION
#define PEER_RELAY_VERSION "0.1.0"
#endif

namespace peer_relay {

namespace {

std::unexpected<StartError> no_thread(const std::system_error& error) {
  return std::unexpected(StartError{
      Error::queue_full, std::string{"cannot start the node's thread: "} + error.what()});
}

}  // namespace

Result<Node, StartError> Node::start(NodeOptions options, NodeEvents events) {
  auto host = Host::make(std::move(options), std::move(events));
  if (!host) return std::unexpected(std::move(host.error()));
  auto impl = std::make_shared<Impl>();
  impl->host = std::move(*host);
  try {
    impl->thread = std::thread{[impl] { impl->host->run(); }};
  } catch (const std::system_error& error) {
    return no_thread(error);
  }
  return Node{std::move(impl)};
}

Node::Node(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Node::Node(Node&&) noexcept = default;

Node& Node::operator=(Node&& other) noexcept {
  if (this != &other) {
    Node old{std::move(impl_)};
    impl_ = std::move(other.impl_);
  }
  return *this;
}

Node::~Node() {
  if (impl_) impl_->stop();
}

const NodeId& Node::id() const { return impl_->host->id(); }

std::uint16_t Node::port() const { return impl_->host->port(); }

std::uint16_t Node::tcp_port() const { return impl_->host->tcp_port(); }

std::string Node::url() const {
  const auto& urls = impl_->host->urls();
  return urls.empty() ? std::string{} : urls.front();
}

std::vector<std::string> Node::urls() const { return impl_->host->urls(); }

Result<void> Node::send(const NodeId& to, Payload payload) {
  return impl_->host->send(to, std::move(payload));
}

void Node::send(const NodeId& to, Payload payload, SendOptions options, SendCallback done) {
  impl_->host->send(to, std::move(payload), options, std::move(done));
}

Stream Node::open_stream(const NodeId& to, StreamOptions options) {
  auto state = std::make_shared<StreamState>(impl_->host, to, options.label, true);
  impl_->host->call(
      [state, options = std::move(options)] { state->host().open_stream(state, options); });
  return StreamState::handle_of(state);
}

void Node::connect(const NodeId& to, ConnectCallback done) {
  Host& host = *impl_->host;
  host.call([&host, to, done = std::move(done)] { host.connect(to, done); });
}

Result<void> Node::connect(const std::string& url) {
  auto address = Address::parse(url);
  if (!address) return std::unexpected(Error::address_invalid);
  Host& host = *impl_->host;
  host.call([&host, address = std::move(*address)] { host.connect(address, {}); });
  return {};
}

void Node::connect(const std::string& url, ConnectCallback done) {
  auto address = Address::parse(url);
  Host& host = *impl_->host;
  host.call([&host, address = std::move(address), done = std::move(done)] {
    if (address) return host.connect(*address, done);
    if (done) done(std::unexpected(Error::address_invalid));
  });
}

Result<std::uint16_t, StartError> Node::listen(Scheme scheme, const std::string& host,
                                               std::uint16_t port) {
  return impl_->ask([&](Host& of) { return of.listen(scheme, host, port); });
}

void Node::stop_listening(Scheme scheme) {
  Host& host = *impl_->host;
  host.call([&host, scheme] { host.stop_listening(scheme); });
}

void Node::disconnect(const NodeId& peer) {
  Host& host = *impl_->host;
  host.call([&host, peer] { host.disconnect(peer); });
}

void Node::trace(const NodeId& to, TraceCallback hop) {
  Host& host = *impl_->host;
  host.call([&host, to, hop = std::move(hop)] { host.trace(to, hop); });
}

void Node::post(std::function<void()> task) { impl_->host->call(std::move(task)); }

void Node::after(Duration delay, std::function<void()> task) {
  Host& host = *impl_->host;
  host.call([&host, delay, task = std::move(task)] { host.after(delay, task); });
}

std::vector<Peer> Node::peers() const {
  return impl_->ask([](const Host& host) { return host.peers(); });
}

Stats Node::stats() const {
  return impl_->ask([](const Host& host) { return host.stats(); });
}

void Node::destroy(std::function<void()> done) {
  Host& host = *impl_->host;
  host.call([&host, done = std::move(done)] { host.destroy(done); });
}

std::string_view version() { return PEER_RELAY_VERSION; }

}  // namespace peer_relay
