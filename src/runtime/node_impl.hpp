// SPDX-License-Identifier: MIT
//
// For node.cpp, socket.cpp and exchange.cpp: what stands behind a Node.
#pragma once

#include <future>
#include <memory>
#include <thread>

#include "peer_relay/node.hpp"
#include "runtime/host.hpp"

namespace peer_relay {

/// The host, and the thread that runs it. The thread holds it too, so that a handler may destroy
/// the Node it is called by.
struct Node::Impl {
  std::shared_ptr<Host> host;
  std::thread thread;

  /// Asks on the node's thread and waits; answers at once where we are on it.
  template <class Ask>
  auto ask(Ask ask) const {
    if (host->is_on_thread()) return ask(*host);
    std::promise<decltype(ask(*host))> promise;
    auto answer = promise.get_future();
    host->call([&promise, &ask, this] { promise.set_value(ask(*host)); });
    return answer.get();
  }
};

}  // namespace peer_relay
