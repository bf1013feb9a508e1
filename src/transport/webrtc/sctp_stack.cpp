// SPDX-License-Identifier: MIT
#include "transport/webrtc/sctp_stack.hpp"

#include <algorithm>
#include <cstdio>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include <usrsctp.h>

#include "base/assert.hpp"
#include "transport/webrtc/asio_impl.hpp"

namespace peer_relay::webrtc {

namespace {

using namespace std::chrono_literals;

constexpr auto tick = 20ms;

// A millisecond of usrsctp's: a hundredth longer than ours, so that no timer fires early. When the
// one for retransmission (T3-rtx, RFC 9260 §6.3) finds its first chunk younger than the RTO,
// usrsctp 0.9.5 forgets how many chunks it had marked to be sent again, and never sends them.
constexpr auto timer_millisecond = 1010us;

constexpr std::uint32_t send_space_bytes = 512 << 10;

std::size_t system_receive_bytes_max() {
  std::size_t out = 0;
  if (std::FILE* const file = std::fopen("/proc/sys/net/core/rmem_max", "r")) {
    if (std::fscanf(file, "%zu", &out) != 1) out = 0;  // NOLINT(cert-err34-c)
    std::fclose(file);
  }
  return out;
}

}  // namespace

struct SctpStack::Own : std::enable_shared_from_this<Own> {
  explicit Own(asio::io_context& io) : executor(io.get_executor()), timer(executor) {}

  void arm();
  void tell_marked();

  Executor executor;
  Timer timer;
  std::size_t associations = 0;
  bool is_ticking = false;
  bool is_gone = false;
  std::vector<std::uint64_t> marked;  // each once; of the associations of this stack
  Bytes buffer = Bytes(64 << 10);
};

namespace {

/// What all stacks of the process share, as usrsctp is one.
class Process {
 public:
  struct Entry {
    std::shared_ptr<SctpStack::Own> stack;
    SctpPort* port;
    bool is_marked = false;
  };

  void enter();
  std::uint64_t add(Entry entry);
  void silence(std::uint64_t id);
  void remove(std::uint64_t id);
  /// The port, if it is of this stack.
  SctpPort* find(std::uint64_t id, const SctpStack::Own& stack);
  SctpPort* take_mark(std::uint64_t id, const SctpStack::Own& stack);
  void mark(std::uint64_t id);
  int output(std::uint64_t id, BytesView packet);
  void handle_timers();

 private:
  std::mutex mutex_;  // held for a look-up, and never while usrsctp is called
  std::unordered_map<std::uint64_t, Entry> entries_;
  std::uint64_t last_id_ = 0;

  // Once begun, usrsctp goes on to the end of the process. It could be finished and begun again,
  // but then without its thread, and what that one should free stays.
  std::mutex life_;
  bool is_running_ = false;

  std::mutex clock_;
  Clock::time_point ticked_{};
};

Process& process() {
  static Process it;
  return it;
}

void* as_address(std::uint64_t id) { return reinterpret_cast<void*>(id); }  // NOLINT

int on_output(void* address, void* packet, std::size_t bytes, std::uint8_t, std::uint8_t) {
  return process().output(reinterpret_cast<std::uint64_t>(address),
                          {static_cast<std::uint8_t*>(packet), bytes});
}

void settle_options() {
  // What data channels don't use is off: less to be attacked.
  usrsctp_sysctl_set_sctp_ecn_enable(0);
  usrsctp_sysctl_set_sctp_asconf_enable(0);
  usrsctp_sysctl_set_sctp_auth_enable(0);
  usrsctp_sysctl_set_sctp_nrsack_enable(0);
  usrsctp_sysctl_set_sctp_pktdrop_enable(0);
  usrsctp_sysctl_set_sctp_pr_enable(1);
  usrsctp_sysctl_set_sctp_reconfig_enable(1);

  usrsctp_sysctl_set_sctp_sendspace(send_space_bytes);
  usrsctp_sysctl_set_sctp_recvspace(static_cast<std::uint32_t>(sctp_receive_window()));
  usrsctp_sysctl_set_sctp_max_burst_default(4);  // browsers' sockets hold little
  usrsctp_sysctl_set_sctp_initial_cwnd(10);      // RFC 6928
  usrsctp_sysctl_set_sctp_delayed_sack_time_default(20);
  usrsctp_sysctl_set_sctp_rto_min_default(200);
  usrsctp_sysctl_set_sctp_rto_initial_default(1000);
  usrsctp_sysctl_set_sctp_rto_max_default(10'000);
  usrsctp_sysctl_set_sctp_init_rto_max_default(10'000);
  usrsctp_sysctl_set_sctp_heartbeat_interval_default(10'000);
  // Tags need no rest before they are used again: a late packet of an association that is gone goes
  // with its keys. Else each end is remembered for a minute.
  usrsctp_sysctl_set_sctp_vtag_time_wait(0);
}

void Process::enter() {
  const std::lock_guard lock{life_};
  if (std::exchange(is_running_, true)) return;
  // Not usrsctp_init(): that starts threads and, for root, opens raw sockets.
  usrsctp_init_nothreads(0, on_output, nullptr);
  settle_options();
  const std::lock_guard clock{clock_};
  ticked_ = Clock::now();
}

std::uint64_t Process::add(Entry entry) {
  const std::lock_guard lock{mutex_};
  entries_.emplace(++last_id_, std::move(entry));
  return last_id_;
}

void Process::silence(std::uint64_t id) {
  const std::lock_guard lock{mutex_};
  const auto at = entries_.find(id);
  if (at != entries_.end()) at->second.port = nullptr;
}

void Process::remove(std::uint64_t id) {
  const std::lock_guard lock{mutex_};
  entries_.erase(id);
}

SctpPort* Process::find(std::uint64_t id, const SctpStack::Own& stack) {
  const std::lock_guard lock{mutex_};
  const auto at = entries_.find(id);
  return at != entries_.end() && at->second.stack.get() == &stack ? at->second.port : nullptr;
}

SctpPort* Process::take_mark(std::uint64_t id, const SctpStack::Own& stack) {
  const std::lock_guard lock{mutex_};
  const auto at = entries_.find(id);
  if (at == entries_.end() || at->second.stack.get() != &stack) return nullptr;
  at->second.is_marked = false;
  return at->second.port;
}

/// May come from the thread of another stack, whose call made the common timers run.
void Process::mark(std::uint64_t id) {
  const std::lock_guard lock{mutex_};
  const auto at = entries_.find(id);
  if (at == entries_.end() || std::exchange(at->second.is_marked, true)) return;
  const auto& stack = at->second.stack;
  if (stack->executor.running_in_this_thread()) return stack->marked.push_back(id);
  asio::post(stack->executor, [stack, id] {
    process().handle_timers();
    if (SctpPort* const port = process().take_mark(id, *stack)) port->sctp_events();
  });
}

int Process::output(std::uint64_t id, BytesView packet) {
  SctpPort* port = nullptr;
  {
    const std::lock_guard lock{mutex_};
    const auto at = entries_.find(id);
    if (at == entries_.end() || at->second.port == nullptr) return 0;  // late, and for nobody
    const auto& stack = at->second.stack;
    if (!stack->executor.running_in_this_thread()) {
      asio::post(stack->executor, [stack, id, copy = Bytes(packet.begin(), packet.end())] {
        if (SctpPort* const own = process().find(id, *stack)) own->sctp_output(copy);
      });
      return 0;
    }
    port = at->second.port;
  }
  port->sctp_output(packet);  // only this thread could remove it
  return 0;
}

/// The time that has passed is told once, whoever's timer it is; also before anything that may
/// start a timer, or that one would count from the last tick.
void Process::handle_timers() {
  std::unique_lock lock{clock_, std::try_to_lock};
  if (!lock) return;
  const auto passed = (Clock::now() - ticked_) / timer_millisecond;
  if (passed < 1) return;
  ticked_ += passed * timer_millisecond;
  usrsctp_handle_timers(static_cast<std::uint32_t>(passed));
}

}  // namespace

std::size_t sctp_receive_window() {
  // The system doubles what a socket asks for, and counts twice what a packet holds; half of that
  // again, for packets that are not full.
  return std::clamp<std::size_t>(system_receive_bytes_max() / 2, 128 << 10, 1 << 20);
}

/// While there are associations, and no longer.
void SctpStack::Own::arm() {
  if (is_ticking || is_gone || associations == 0) return;
  is_ticking = true;
  timer.expires_after(tick);
  timer.async_wait([self = shared_from_this()](error_code) {
    self->is_ticking = false;
    if (self->is_gone) return;
    process().handle_timers();
    self->tell_marked();
    self->arm();
  });
}

void SctpStack::Own::tell_marked() {
  // A port that is told may lead to further marks; they have their turn in the same loop.
  while (!marked.empty()) {
    const std::uint64_t id = marked.back();
    marked.pop_back();
    if (SctpPort* const port = process().take_mark(id, *this)) port->sctp_events();
  }
}

SctpStack::SctpStack(asio::io_context& io) : own_(std::make_shared<Own>(io)) { process().enter(); }

SctpStack::~SctpStack() {
  PEER_RELAY_ASSERT(own_->associations == 0);
  own_->is_gone = true;
  own_->timer.cancel();
}

std::uint64_t SctpStack::add(SctpPort& port) {
  const std::uint64_t id = process().add({.stack = own_, .port = &port});
  usrsctp_register_address(as_address(id));
  ++own_->associations;
  own_->arm();
  return id;
}

void SctpStack::silence(std::uint64_t id) { process().silence(id); }

void SctpStack::remove(std::uint64_t id) {
  usrsctp_deregister_address(as_address(id));
  process().remove(id);
  --own_->associations;
}

void SctpStack::input(std::uint64_t id, BytesView packet) {
  process().handle_timers();
  usrsctp_conninput(as_address(id), packet.data(), packet.size(), 0);
  own_->tell_marked();
}

void SctpStack::wake(std::uint64_t id) {
  asio::post(own_->executor, [own = own_, id] {
    process().handle_timers();
    if (SctpPort* const port = process().find(id, *own)) port->sctp_events();
    own->tell_marked();
  });
}

void SctpStack::mark(std::uint64_t id) { process().mark(id); }

MutableBytes SctpStack::buffer() { return own_->buffer; }

}  // namespace peer_relay::webrtc
