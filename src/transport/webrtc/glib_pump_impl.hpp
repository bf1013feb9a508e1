// SPDX-License-Identifier: MIT
//
// Runs a GLib main context on an io_context: libnice lives on the one, we on the other. Each agent
// has a pump of its own, because GLib looks at all sources of a context each time it wakes: on a
// shared one every packet of a busy link would pay for all idle links.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <glib.h>

#include "transport/webrtc/asio_impl.hpp"

namespace peer_relay::webrtc {

class GlibPump : public std::enable_shared_from_this<GlibPump> {
 public:
  /// Nothing, if the system has no file descriptors left.
  static std::shared_ptr<GlibPump> make(const Executor& executor);
  ~GlibPump();
  GlibPump(const GlibPump&) = delete;
  GlibPump& operator=(const GlibPump&) = delete;

  GMainContext* context() const { return context_; }

  void start();
  /// Nothing of the context is run from then on. Not from within what it runs.
  void stop();

 private:
  GlibPump(const Executor& executor, GMainContext* context, int epoll);

  void wait();
  void turn();
  void watch(const std::vector<GPollFD>& wanted);

  GMainContext* context_;
  Descriptor epoll_;  // holds the context's descriptors, and is watched by Asio's own epoll
  Timer timer_;
  std::vector<GPollFD> wanted_, watched_;
  int priority_ = 0;
  std::uint64_t round_ = 0;  // a timer of an earlier round has nothing to say
  bool is_waiting_ = false;
  bool is_stopped_ = false;
};

}  // namespace peer_relay::webrtc
