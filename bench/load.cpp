// SPDX-License-Identifier: MIT
#include "load.hpp"

#include <algorithm>
#include <cstring>

namespace peer_relay::bench {

namespace {

// Both ends run on one machine and were built together, so a message begins with this struct.
struct Header {
  enum Kind : std::uint32_t { message = 1, answer = 2 };
  std::uint32_t kind = message;
  std::uint32_t answer_bytes = 0;  // of a message: how its answer should look
  std::uint32_t answer_every = 0;
  std::uint32_t reserved = 0;
  std::uint64_t sequence = 0;
};

Bytes make_message(const Header& header, std::size_t bytes) {
  Bytes message(std::max(bytes, sizeof header));
  std::memcpy(message.data(), &header, sizeof header);
  return message;
}

Json percentiles(std::vector<std::uint32_t> times_ns) {
  if (times_ns.empty()) return {};
  std::ranges::sort(times_ns);
  const auto at = [&](double share) {
    const auto index = static_cast<std::size_t>(share * static_cast<double>(times_ns.size() - 1));
    return times_ns[index] / 1000.0;
  };
  return {{"count", times_ns.size()}, {"p50_us", at(0.5)}, {"p99_us", at(0.99)}};
}

}  // namespace

Load Load::from(const Json& command) {
  Load load;
  load.bytes = command.at("bytes");
  load.window = command.at("window");
  load.answer_every = std::max<std::uint64_t>(1, load.window / 4);
  // Ping-pong sends back what it got; a stream only says how far it has come.
  load.answer_bytes = load.window == 1 ? load.bytes : sizeof(Header);
  return load;
}

void End::start(const Load& load) {
  const std::lock_guard lock{mutex_};
  load_ = load;
  is_running_ = true;
  answered_ = sent_;
  fill_window();
}

void End::stop() {
  const std::lock_guard lock{mutex_};
  is_running_ = false;
}

void End::received(BytesView message) {
  Header header;
  if (message.size() < sizeof header) return;
  std::memcpy(&header, message.data(), sizeof header);
  const std::lock_guard lock{mutex_};
  if (header.kind == Header::answer) return answered(header.sequence);
  ++received_;
  if (++received_since_answer_ < header.answer_every) return;
  received_since_answer_ = 0;
  header.kind = Header::answer;
  static_cast<void>(send_(make_message(header, header.answer_bytes)));
}

void End::answered(std::uint64_t sequence) {
  if (sequence <= answered_) return;
  answered_ = sequence;
  if (load_.window == 1) {
    const auto waited = std::chrono::nanoseconds{Clock::now() - sent_at_};
    round_trips_ns_.push_back(static_cast<std::uint32_t>(waited.count()));
  }
  fill_window();
}

void End::fill_window() {
  while (is_running_ && sent_ - answered_ < load_.window) {
    const Header header{.answer_bytes = static_cast<std::uint32_t>(load_.answer_bytes),
                        .answer_every = static_cast<std::uint32_t>(load_.answer_every),
                        .sequence = sent_ + 1};
    if (load_.window == 1) sent_at_ = Clock::now();
    if (!send_(make_message(header, load_.bytes))) return;
    ++sent_;
  }
}

void End::unstick() {
  const std::lock_guard lock{mutex_};
  const bool has_moved = answered_ != std::exchange(answered_at_last_look_, answered_);
  if (!is_running_ || has_moved) return;
  ++stuck_;
  answered_ = sent_;
  fill_window();
}

Json End::report() {
  const std::lock_guard lock{mutex_};
  return {{"sent", sent_},
          {"received", received_},
          {"answered", answered_},
          {"stuck", stuck_},
          {"round_trips", percentiles(std::exchange(round_trips_ns_, {}))}};
}

}  // namespace peer_relay::bench
