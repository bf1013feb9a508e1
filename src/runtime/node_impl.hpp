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

  /// Says goodbye, and waits until all is freed. On the node's own thread it can't wait, and
  /// nothing is told any more. Once is enough.
  void stop() {
    if (!thread.joinable()) return;
    Host& stopped = *host;
    const bool is_on_thread = stopped.is_on_thread();
    if (is_on_thread) stopped.mute();
    stopped.call([&stopped] { stopped.release(); });
    if (is_on_thread) {
      thread.detach();
    } else {
      thread.join();
    }
  }

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
