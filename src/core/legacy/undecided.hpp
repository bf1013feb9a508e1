// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "core/outbox.hpp"
#include "peer_relay/events.hpp"
#include "peer_relay/limits.hpp"
#include "peer_relay/time.hpp"

namespace peer_relay {

/// Messages that were sent before there was a link to anybody, old or ours: by which network they
/// leave shows when the first is there. When it is full the newest is refused.
class Undecided {
 public:
  struct Acknowledged {
    Duration timeout{};
    bool is_probe = false;
  };
  struct Held {
    MessageId message = 0;
    NodeId to{};
    Payload payload;
    std::optional<Acknowledged> acknowledged;  ///< or best effort
    TimePoint expires{};
  };

  bool hold(Held held) {
    if (held_.size() >= count_max || bytes_ + held.payload.bytes.size() > bytes_max) return false;
    bytes_ += held.payload.bytes.size();
    wake_at_ = std::min(wake_at_, held.expires);
    held_.push_back(std::move(held));
    return true;
  }

  std::vector<Held> take_all() {
    bytes_ = 0;
    wake_at_ = never;
    return std::exchange(held_, {});
  }

  void wake(TimePoint now, Outbox& out) {
    if (now < wake_at_) return;
    wake_at_ = never;
    std::erase_if(held_, [&](const Held& held) {
      if (now < held.expires) {
        wake_at_ = std::min(wake_at_, held.expires);
        return false;
      }
      bytes_ -= held.payload.bytes.size();
      out.drop(DropReason::expired);
      if (held.acknowledged) {
        out.notify(NotifyWish::SendDone{held.message,
                                        {.outcome = SendResult::Outcome::unreachable,
                                         .reason = UnreachableReason::no_links,
                                         .elapsed = held.acknowledged->timeout}});
      }
      return true;
    });
  }

  TimePoint next_wake() const { return wake_at_; }
  bool empty() const { return held_.empty(); }
  std::size_t size() const { return held_.size(); }

 private:
  static constexpr std::size_t count_max = 1024;
  static constexpr std::size_t bytes_max = limits::waiting_bytes_max;

  std::vector<Held> held_;
  std::size_t bytes_ = 0;
  TimePoint wake_at_ = never;
};

}  // namespace peer_relay
