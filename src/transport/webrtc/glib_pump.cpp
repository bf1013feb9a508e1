// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "transport/webrtc/glib_pump_impl.hpp"

namespace peer_relay::webrtc {

namespace {

// Four descriptors are usual: a socket per interface, and GLib's own. More only come a turn later.
constexpr int events_per_turn_max = 32;

bool same(const GPollFD& a, const GPollFD& b) { return a.fd == b.fd && a.events == b.events; }

/// GLib ends the process where it gets none for a context; libnice's sockets come on top.
bool has_spare_descriptors() {
  std::array<int, 3> spare{};
  bool all = true;
  for (int& each : spare) {
    each = ::eventfd(0, EFD_CLOEXEC);
    all &= each >= 0;
  }
  for (const int each : spare) {
    if (each >= 0) ::close(each);
  }
  return all;
}

/// GLib's bits are poll's, and those are epoll's.
std::uint32_t epoll_events(gushort events) { return events; }

}  // namespace

std::shared_ptr<GlibPump> GlibPump::make(const Executor& executor) {
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return nullptr;
  if (!has_spare_descriptors()) {
    ::close(epoll);
    return nullptr;
  }
  // Without the flag a source that is added by the thread which has polled wakes nothing up.
  GMainContext* const context =
      g_main_context_new_with_flags(G_MAIN_CONTEXT_FLAGS_OWNERLESS_POLLING);
  return std::shared_ptr<GlibPump>(new GlibPump(executor, context, epoll));
}

GlibPump::GlibPump(const Executor& executor, GMainContext* context, int epoll)
    : context_(context), epoll_(executor, epoll), timer_(executor) {}

GlibPump::~GlibPump() { g_main_context_unref(context_); }

void GlibPump::start() { wait(); }

void GlibPump::stop() {
  is_stopped_ = true;
  ++round_;
  timer_.cancel();
  error_code ignored;
  epoll_.close(ignored);
}

void GlibPump::wait() {
  if (is_stopped_ || !g_main_context_acquire(context_)) return;
  g_main_context_prepare(context_, &priority_);
  int timeout_ms = -1;
  int count = 0;
  do {
    wanted_.resize(std::max<std::size_t>(wanted_.size(), static_cast<std::size_t>(count)));
    count = g_main_context_query(context_, priority_, &timeout_ms, wanted_.data(),
                                 static_cast<int>(wanted_.size()));
  } while (static_cast<std::size_t>(count) > wanted_.size());
  wanted_.resize(static_cast<std::size_t>(count));
  g_main_context_release(context_);
  if (!std::ranges::equal(wanted_, watched_, same)) watch(wanted_);

  const std::uint64_t round = ++round_;
  if (timeout_ms == 0) {
    asio::post(timer_.get_executor(), [self = shared_from_this(), round] {
      if (self->round_ == round) self->turn();
    });
  } else if (timeout_ms > 0) {
    timer_.expires_after(std::chrono::milliseconds{timeout_ms});
    timer_.async_wait([self = shared_from_this(), round](error_code error) {
      if (!error && self->round_ == round) self->turn();
    });
  }
  if (is_waiting_) return;
  is_waiting_ = true;
  epoll_.async_wait(Descriptor::wait_read, [self = shared_from_this()](error_code error) {
    self->is_waiting_ = false;
    if (!error) self->turn();
  });
}

void GlibPump::turn() {
  if (is_stopped_) return;
  std::array<epoll_event, events_per_turn_max> events{};
  const int count = ::epoll_wait(epoll_.native_handle(), events.data(), events_per_turn_max, 0);
  for (GPollFD& each : watched_) each.revents = 0;
  for (int i = 0; i < count; ++i) {
    GPollFD& at = watched_[events[static_cast<std::size_t>(i)].data.u32];
    at.revents = static_cast<gushort>(events[static_cast<std::size_t>(i)].events);
  }
  if (!g_main_context_acquire(context_)) return;
  g_main_context_check(context_, priority_, watched_.data(), static_cast<int>(watched_.size()));
  g_main_context_dispatch(context_);
  g_main_context_release(context_);
  wait();
}

/// Makes the private epoll hold these and no others.
void GlibPump::watch(const std::vector<GPollFD>& wanted) {
  const int epoll = epoll_.native_handle();
  // A closed descriptor has left the set by itself; removing it again does no harm.
  for (const GPollFD& each : watched_) ::epoll_ctl(epoll, EPOLL_CTL_DEL, each.fd, nullptr);
  watched_ = wanted;
  for (std::uint32_t i = 0; i < watched_.size(); ++i) {
    epoll_event event{.events = epoll_events(watched_[i].events), .data = {.u32 = i}};
    if (::epoll_ctl(epoll, EPOLL_CTL_ADD, watched_[i].fd, &event) == 0) continue;
    // Two sources may watch one descriptor: the later entry stands for both.
    for (std::uint32_t j = 0; j < i; ++j) {
      if (watched_[j].fd == watched_[i].fd) event.events |= epoll_events(watched_[j].events);
    }
    ::epoll_ctl(epoll, EPOLL_CTL_MOD, watched_[i].fd, &event);
  }
}

}  // namespace peer_relay::webrtc
