// SPDX-License-Identifier: MIT
//
// A node on real sockets, and all that it told, for tests that wait for events and never sleep.
#pragma once

#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "peer_relay/node.hpp"

namespace peer_relay::testing {

/// Values that one thread leaves and another waits for.
class Board {
 public:
  /// Changes what is on the board, and wakes those who wait: in the lock, for whoever sees the
  /// change may be the last to need the board.
  template <class Change>
  void change(Change change) {
    const std::lock_guard lock{mutex_};
    change();
    changed_.notify_all();
  }

  /// Waits until something on the board is so; false after a long time.
  [[nodiscard]] bool until(const std::function<bool()>& is_so,
                           std::chrono::milliseconds at_most = std::chrono::seconds{20}) {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, at_most, is_so);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
};

/// Waits for what no event tells; `is_so` is asked again and again.
[[nodiscard]] inline bool eventually(const std::function<bool()>& is_so,
                                     std::chrono::milliseconds at_most = std::chrono::seconds{20}) {
  const auto deadline = std::chrono::steady_clock::now() + at_most;
  while (!is_so()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    Board pause;
    static_cast<void>(pause.until([] { return false; }, std::chrono::milliseconds{5}));
  }
  return true;
}

class TestNode {
 public:
  explicit TestNode(NodeOptions options) {
    auto started = Node::start(std::move(options), events());
    if (!started) throw std::runtime_error(started.error().detail);
    node_ = std::make_unique<Node>(std::move(*started));
  }
  /// The node goes before the board that its handlers write on.
  ~TestNode() { node_ = nullptr; }
  TestNode(const TestNode&) = delete;
  TestNode& operator=(const TestNode&) = delete;

  Node* operator->() { return node_.get(); }
  Node& operator*() { return *node_; }
  NodeId id() const { return node_->id(); }

  [[nodiscard]] bool until(const std::function<bool()>& is_so,
                           std::chrono::milliseconds at_most = std::chrono::seconds{20}) {
    return board.until(is_so, at_most);
  }
  [[nodiscard]] bool until_joined() {
    return until([this] { return joined > 0; });
  }
  [[nodiscard]] bool until_linked(const NodeId& id) {
    return until([&] {
      return std::ranges::any_of(peers, [&](const Peer& peer) { return peer.id == id; });
    });
  }

  /// Sends with acknowledgement and waits for what comes of it.
  SendResult send_and_wait(const NodeId& to, Payload payload, SendOptions options = {}) {
    SendResult out;
    bool is_done = false;
    node_->send(to, std::move(payload), options, [&](const SendResult& result) {
      board.change([&] {
        out = result;
        is_done = true;
      });
    });
    if (!until([&] { return is_done; }, std::chrono::seconds{40})) {
      throw std::runtime_error("no result of a send");
    }
    return out;
  }

  /// Asks for a link and waits for the answer.
  Result<Peer> connect_and_wait(const NodeId& to) {
    std::promise<Result<Peer>> done;
    node_->connect(to, [&](const Result<Peer>& result) { done.set_value(result); });
    return done.get_future().get();
  }

  // Touched under the board's lock: by change() and in until().
  Board board;
  std::vector<Message> messages;
  std::vector<Peer> peers;
  std::vector<std::pair<NodeId, CloseReason>> lost;
  std::vector<Problem> problems;
  int joined = 0;

 private:
  NodeEvents events() {
    return {
        .message = [this](const Message& m) { board.change([&] { messages.push_back(m); }); },
        .peer = [this](const Peer& peer) { board.change([&] { peers.push_back(peer); }); },
        .peer_lost =
            [this](const NodeId& id, CloseReason reason) {
              board.change([&] { lost.emplace_back(id, reason); });
            },
        .error = [this](const Problem& p) { board.change([&] { problems.push_back(p); }); },
        .joined = [this] { board.change([&] { ++joined; }); },
    };
  }

  std::unique_ptr<Node> node_;
};

}  // namespace peer_relay::testing
