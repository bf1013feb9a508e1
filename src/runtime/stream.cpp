// SPDX-License-Identifier: MIT
#include "peer_relay/stream.hpp"

#include <algorithm>
#include <utility>

#include "runtime/host.hpp"
#include "runtime/stream_state.hpp"

namespace peer_relay {

namespace {

/// A large write goes to the engine in pieces, so that it holds little more than its bound.
constexpr std::size_t piece_bytes = 64 << 10;

}  // namespace

/// What copies of a Stream share: when it goes, nobody can say another word.
struct Stream::Handle {
  explicit Handle(std::shared_ptr<StreamState> of) : state(std::move(of)) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    const auto host = state->shared_host();  // the last of it may hang on us
    host->call([state = std::move(state)] { state->let_go(); });
  }

  template <class Call>
  void call(Call call) const {
    state->host().call([state = state, call = std::move(call)]() mutable { call(*state); });
  }

  std::shared_ptr<StreamState> state;
};

const NodeId& Stream::peer() const { return handle_->state->peer(); }
const std::string& Stream::label() const { return handle_->state->label(); }
bool Stream::is_ours() const { return handle_->state->is_ours(); }

void Stream::on(StreamEvents events) {
  handle_->call([events = std::move(events)](StreamState& state) { state.on(events); });
}

void Stream::pause() {
  handle_->call([](StreamState& state) { state.pause(); });
}

void Stream::resume() {
  handle_->call([](StreamState& state) { state.resume(); });
}

void Stream::write(Bytes bytes, std::function<void(const StreamWritten&)> done) {
  handle_->call([bytes = std::move(bytes), done = std::move(done)](StreamState& state) mutable {
    state.write(std::move(bytes), std::move(done));
  });
}

void Stream::read(std::size_t bytes_max, std::function<void(const StreamRead&)> done) {
  handle_->call([bytes_max, done = std::move(done)](StreamState& state) mutable {
    state.read(bytes_max, std::move(done));
  });
}

void Stream::finish() {
  handle_->call([](StreamState& state) { state.finish(); });
}

void Stream::reset(std::uint32_t code) {
  handle_->call([code](StreamState& state) { state.reset(StreamEnd::reset, code); });
}

void Stream::refuse() {
  handle_->call([](StreamState& state) { state.reset(StreamEnd::refused, 0); });
}

void Stream::expires_after(Duration duration) {
  handle_->call([duration](StreamState& state) { state.expires_after(duration); });
}

// ---- On the node's thread ----

StreamState::StreamState(std::shared_ptr<Host> host, NodeId peer, std::string label, bool is_ours)
    : host_(std::move(host)), peer_(peer), label_(std::move(label)), is_ours_(is_ours) {}

Stream StreamState::handle_of(const std::shared_ptr<StreamState>& state) {
  return Stream{std::make_shared<Stream::Handle>(state)};
}

void StreamState::opened(std::unique_ptr<StreamCarrier> carrier) {
  carrier_ = std::move(carrier);
  write_on();
}

void StreamState::accepted() {
  is_accepted_ = true;
  tell_accepted();
}

void StreamState::tell_accepted() {
  if (!is_accepted_ || has_told_accepted_ || !events_.accepted) return;
  has_told_accepted_ = true;
  const auto handler = events_.accepted;  // it may put another in its place
  handler();
}

void StreamState::arrived(Bytes bytes) {
  unread_.push(std::move(bytes));
  tell_read();
}

void StreamState::finished() {
  other_has_finished_ = true;
  tell_read();
}

void StreamState::closed(const StreamError& error) {
  host_->set_stream_deadline(*this, Duration::max());
  carrier_.reset();
  has_closed_ = true;
  end_ = error;
  tell_read();
}

void StreamState::on(StreamEvents events) {
  events_ = std::move(events);
  tell_accepted();
  tell_read();
}

void StreamState::resume() {
  is_paused_ = false;
  tell_read();
}

void StreamState::write(Bytes bytes, std::function<void(const StreamWritten&)> done) {
  if (has_closed_ || has_finished_ || writes_.size() >= Stream::waiting_writes_max) {
    const StreamError error = has_closed_     ? end_
                              : has_finished_ ? StreamError{StreamEnd::finished, 0}
                                              : StreamError{StreamEnd::limit, 0};
    if (done) done(std::unexpected(error));
    return;
  }
  writes_.push({.bytes = std::move(bytes), .taken = 0, .done = std::move(done)});
  write_on();
}

void StreamState::write_on() {
  while (carrier_ && !writes_.empty()) {
    Write& write = writes_.front();
    while (write.taken < write.bytes.size()) {
      const std::size_t size = std::min(piece_bytes, write.bytes.size() - write.taken);
      const bool is_whole = write.taken == 0 && size == write.bytes.size();
      const auto from = write.bytes.begin() + static_cast<std::ptrdiff_t>(write.taken);
      if (!carrier_->has_room()) return;
      Bytes piece =
          is_whole ? std::move(write.bytes) : Bytes{from, from + static_cast<std::ptrdiff_t>(size)};
      carrier_->write(std::move(piece));
      write.taken += size;
      if (is_whole) break;
    }
    const Write done = writes_.pop();
    if (done.done) done.done(done.taken);
  }
  if (carrier_ && has_finished_ && writes_.empty()) carrier_->finish();
}

void StreamState::read(std::size_t bytes_max, std::function<void(const StreamRead&)> done) {
  if (!done) return;
  if (reader_ || bytes_max == 0) return done(std::unexpected(StreamError{StreamEnd::limit, 0}));
  read_bytes_max_ = bytes_max;
  reader_ = std::move(done);
  tell_read();
}

/// Whoever reads gets what there is; then the end, once there is no more.
void StreamState::tell_read() {
  if (std::exchange(is_telling_, true)) return;
  const auto self = shared_from_this();  // a handler may drop the rest
  while (!unread_.empty()) {
    const std::size_t left = unread_.front().size() - read_of_first_;
    if (reader_) {
      const std::size_t size = std::min(left, read_bytes_max_);
      Bytes bytes;
      if (size == unread_.front().size()) {
        bytes = unread_.pop();
      } else {
        const auto from = unread_.front().begin() + static_cast<std::ptrdiff_t>(read_of_first_);
        bytes.assign(from, from + static_cast<std::ptrdiff_t>(size));
        read_of_first_ += size;
        if (size == left) {
          unread_.pop();
          read_of_first_ = 0;
        }
      }
      consumed(size);
      std::exchange(reader_, {})(std::move(bytes));
    } else if (events_.data && !is_paused_) {
      const Bytes bytes = unread_.pop();
      const auto handler = events_.data;  // it may put another in its place
      handler(BytesView{bytes}.subspan(std::exchange(read_of_first_, 0)));
      consumed(left);
    } else {
      break;
    }
  }
  is_telling_ = false;
  // What came before a reset is lost to who has not read it, as with TCP.
  const bool is_broken = has_closed_ && end_.end != StreamEnd::finished;
  if (!unread_.empty() && !is_broken) return;
  if (is_broken) {
    unread_.clear();
    while (!writes_.empty()) {
      const Write write = writes_.pop();
      if (write.done) write.done(std::unexpected(end_));
    }
    if (reader_) std::exchange(reader_, {})(std::unexpected(end_));
  } else if (other_has_finished_) {
    if (reader_) std::exchange(reader_, {})(Bytes{});
    if (!std::exchange(has_told_finished_, true) && events_.finished) events_.finished();
  }
  if (!has_closed_) return;
  const StreamEvents last = std::exchange(events_, {});
  if (last.closed) last.closed(end_);
}

void StreamState::consumed(std::size_t bytes) {
  if (carrier_) carrier_->consumed(bytes);
}

void StreamState::finish() {
  if (std::exchange(has_finished_, true)) return;
  write_on();
}

void StreamState::expires_after(Duration duration) {
  if (carrier_) host_->set_stream_deadline(*this, duration);
}

// What was finished still arrives; nobody is there to read.
void StreamState::let_go() {
  if (!has_finished_) return reset(StreamEnd::reset, 0);
  is_paused_ = false;
  on({.data = [](BytesView) {}});
}

void StreamState::reset(StreamEnd end, std::uint32_t code) {
  if (carrier_) carrier_->reset(end, code);
}

}  // namespace peer_relay
