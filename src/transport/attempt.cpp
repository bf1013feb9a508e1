// SPDX-License-Identifier: MIT
#include <utility>

#include "transport/attempt_impl.hpp"

namespace peer_relay::sockets {

void Attempts::call_off_all() {
  for (Attempt* attempt : all_) attempt->call_off();
}

Attempt::Attempt(std::shared_ptr<Attempts> attempts, const Executor& executor)
    : attempts_(std::move(attempts)), deadline_(executor) {
  attempts_->all_.insert(this);
}

Attempt::~Attempt() {
  attempts_->all_.erase(this);
  *state_ = State{.deadlines = state_->deadlines + 1};
}

void Attempt::watch(Socket& socket) {
  state_->socket = &socket;
  state_->timer = nullptr;
}

void Attempt::watch(Timer& timer) {
  state_->timer = &timer;
  state_->socket = nullptr;
}

void Attempt::watch_nothing() {
  state_->socket = nullptr;
  state_->timer = nullptr;
}

void Attempt::set_deadline(std::chrono::steady_clock::time_point deadline) {
  state_->late = false;
  deadline_.expires_at(deadline);
  deadline_.async_wait([state = state_, number = ++state_->deadlines](error_code error) {
    if (error || number != state->deadlines) return;
    state->late = true;
    state->stop();
  });
}

void Attempt::call_off() {
  state_->called_off = true;
  state_->stop();
}

void Attempt::State::stop() const {
  error_code ignored;
  if (socket != nullptr) socket->close(ignored);
  if (timer != nullptr) timer->cancel();
}

}  // namespace peer_relay::sockets
