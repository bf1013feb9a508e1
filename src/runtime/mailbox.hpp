// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <utility>
#include <variant>
#include <vector>

#include "peer_relay/node.hpp"

namespace peer_relay {

struct SendOrder {
  NodeId to{};
  Payload payload;
};
struct AcknowledgedOrder {
  NodeId to{};
  Payload payload;
  SendOptions options;
  SendCallback done;
};
/// Anything that is not done a million times a second.
using CallOrder = std::function<void()>;

using Order = std::variant<SendOrder, AcknowledgedOrder, CallOrder>;

/// What the application's threads leave for the node's thread, which takes it all at once: many
/// orders cost one wake-up.
class Mailbox {
 public:
  /// Messages that wait for the node's thread: a busy moment's. When full the newest is refused,
  /// and its sender knows at once.
  static constexpr std::size_t messages_max = 65'536;
  static constexpr std::size_t bytes_max = 64 << 20;

  enum class Put { refused, queued, first };

  /// `first`: the box was empty, and the node's thread must be told.
  Put put_message(Order order, std::size_t payload_bytes) {
    const std::lock_guard lock{mutex_};
    if (is_closed_) return Put::refused;
    if (messages_ >= messages_max || bytes_ + payload_bytes > bytes_max) return Put::refused;
    ++messages_;
    bytes_ += payload_bytes;
    return put(std::move(order));
  }

  /// Calls are as many as the application has made, and none may be lost while there is a thread.
  Put put_call(CallOrder call) {
    const std::lock_guard lock{mutex_};
    if (is_closed_) return Put::refused;
    return put(std::move(call));
  }

  /// All there is, in the place of `orders`, whose memory is used again.
  void take(std::vector<Order>& orders) {
    orders.clear();
    const std::lock_guard lock{mutex_};
    orders_.swap(orders);
    messages_ = 0;
    bytes_ = 0;
  }

  /// Nobody comes for orders any more: those that are there go, and no more are taken. They may
  /// hold what holds the box.
  void close() {
    std::vector<Order> left;  // goes after the lock: an order may put another
    const std::lock_guard lock{mutex_};
    is_closed_ = true;
    left.swap(orders_);
  }

 private:
  Put put(Order order) {
    orders_.push_back(std::move(order));
    return orders_.size() == 1 ? Put::first : Put::queued;
  }

  std::mutex mutex_;
  std::vector<Order> orders_;
  std::size_t messages_ = 0;
  std::size_t bytes_ = 0;
  bool is_closed_ = false;
};

}  // namespace peer_relay
