// SPDX-License-Identifier: MIT
//
// A link over a TCP connection: a queue on the way out, of which as much as possible leaves by one
// call, one reader of whole messages on the way in, and an end that is told once.
#include <array>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

#include "base/assert.hpp"
#include "base/ring.hpp"
#include "transport/core_link_impl.hpp"
#include "transport/tcp/context_impl.hpp"

namespace peer_relay::tcp {

namespace {

/// For what is queued to leave and for the other side to hang up.
constexpr std::chrono::milliseconds close_timeout{1000};

/// Messages that leave by one call: with their lengths half of what Asio passes on at once, and
/// more bytes than a kernel takes.
constexpr std::size_t gathered_max = 16;

/// Lengths and messages, as Asio wants to see what is written.
class Gathered {
 public:
  void add(BytesView bytes) { all_[count_++] = asio::buffer(bytes.data(), bytes.size()); }
  const asio::const_buffer* begin() const { return all_.data(); }
  const asio::const_buffer* end() const { return all_.data() + count_; }

 private:
  std::array<asio::const_buffer, 2 * gathered_max> all_;
  std::size_t count_ = 0;
};

CloseReason reason_for(error_code error) {
  return sockets::has_left(error) ? CloseReason::transport_closed : CloseReason::transport_error;
}

/// Lives as long as the Link or a handler holds it. One thread counts.
class Core : public boost::intrusive_ref_counter<Core, boost::thread_unsafe_counter> {
 public:
  Core(std::shared_ptr<Context> context, LinkId id, Socket socket, MutableBytes first,
       Manner manner)
      : context_(std::move(context)),
        id_(id),
        socket_(std::move(socket)),
        timer_(context_->io.get_executor()),
        deframer_(context_->read_buffers),
        carries_bytes_(manner == Manner::bytes) {
    error_code ignored;
    socket_.non_blocking(true, ignored);
    if (carries_bytes_) {
      early_.assign(first.begin(), first.end());
      return;
    }
    // It takes more than the opening to make a message.
    const auto none = deframer_.next(first);
    PEER_RELAY_ASSERT(!none);
  }

  void start() {
    if (Bytes early = std::exchange(early_, {}); !early.empty()) deliver(early);
    if (state_ == State::open) read();
  }

  void send(Bytes message) {
    if (state_ != State::open) return recycle(std::move(message));
    queued_bytes_ += message.size();
    queue_.push(std::move(message));
    if (!writing_) write();
  }

  /// There are no old nodes at this end, so nobody should; it is as if it had been lost.
  void send_text(Bytes text) { recycle(std::move(text)); }

  std::size_t queued_bytes() const { return queued_bytes_; }

  void close(CloseReason reason) {
    if (state_ != State::open) return;
    state_ = State::draining;
    reason_ = reason;
    timer_.expires_after(close_timeout);
    timer_.async_wait([self = Self{this}](error_code error) {
      if (!error) self->fail(CloseReason::goodbye_timeout);
    });
    if (!writing_) say_goodbye();
  }

  /// The Link is gone.
  void abandon() {
    abandoned_ = true;
    fail(CloseReason::shutdown);
  }

 private:
  using Self = boost::intrusive_ptr<Core>;

  enum class State : std::uint8_t {
    open,
    draining,  // sends what is queued, drops what comes in, and waits for the other side to hang up
    closed,    // the socket is closed; that will be told
  };

  void read() {
    socket_.async_wait(Socket::wait_read,
                       [self = Self{this}](error_code error) { self->on_readable(error); });
  }

  void on_readable(error_code error) {
    if (state_ == State::closed) return;
    if (error) return fail(reason_for(error));
    // The rest of an unfinished message goes where it belongs, and what follows is looked at here.
    const MutableBytes room = deframer_.room();
    const std::array<asio::mutable_buffer, 2> buffers{asio::buffer(room.data(), room.size()),
                                                      asio::buffer(context_->received)};
    const std::size_t bytes = socket_.read_some(buffers, error);
    if (error == asio::error::would_block || error == asio::error::interrupted) return read();
    if (error) return fail(reason_for(error));
    const std::size_t in_room = std::min(bytes, room.size());
    deframer_.filled(in_room);
    if (state_ == State::open) deliver(MutableBytes{context_->received}.first(bytes - in_room));
    if (state_ != State::closed) read();
  }

  void deliver(MutableBytes bytes) {
    if (carries_bytes_) {
      if (bytes.empty() || context_->sink == nullptr) return;
      return context_->sink->link_received_stream(id_, bytes, ExchangeTransport::tcp);
    }
    while (state_ == State::open) {
      const auto message = deframer_.next(bytes);
      if (!message) break;
      if (context_->sink != nullptr) context_->sink->link_received(id_, *message);
    }
    if (deframer_.is_broken()) fail(CloseReason::protocol_error);
  }

  void write() {
    writing_ = true;
    Gathered buffers;
    const std::size_t count = std::min(queue_.size(), gathered_max);
    for (std::size_t i = 0; i < count && carries_bytes_; ++i) {
      buffers.add(BytesView{queue_[i]}.subspan(i == 0 ? sent_of_first_ : 0));
    }
    for (std::size_t i = 0; i < count && !carries_bytes_; ++i) {
      lengths_[i] = length_field(queue_[i].size());
      // Of the first some may have left.
      const std::size_t left = i == 0 ? sent_of_first_ : 0;
      buffers.add(BytesView{lengths_[i]}.subspan(std::min(left, length_bytes)));
      buffers.add(BytesView{queue_[i]}.subspan(left - std::min(left, length_bytes)));
    }
    socket_.async_write_some(buffers, [self = Self{this}](error_code error, std::size_t bytes) {
      self->on_written(error, bytes);
    });
  }

  void on_written(error_code error, std::size_t bytes) {
    writing_ = false;
    if (state_ == State::closed) return;
    if (error) return fail(reason_for(error));
    sent_of_first_ += bytes;
    while (!queue_.empty() && sent_of_first_ >= length_before() + queue_.front().size()) {
      Bytes sent = queue_.pop();
      sent_of_first_ -= length_before() + sent.size();
      queued_bytes_ -= sent.size();
      recycle(std::move(sent));
    }
    if (!queue_.empty()) return write();
    if (state_ == State::draining) return say_goodbye();
    if (context_->sink != nullptr) context_->sink->link_writable(id_);
  }

  /// Bytes that stand before each message.
  std::size_t length_before() const { return carries_bytes_ ? 0 : length_bytes; }

  /// Closing at once would reset the connection if bytes of the other side are unread, and take
  /// away what we said last.
  void say_goodbye() {
    error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
  }

  /// Ends the connection. The first reason that was found stays.
  void fail(CloseReason reason) {
    if (state_ == State::closed) return;
    if (!reason_) reason_ = reason;
    state_ = State::closed;
    timer_.cancel();
    error_code ignored;
    socket_.close(ignored);
    // Always a later turn: whoever called send() or close() hears nothing before it has returned.
    asio::post(context_->io, [self = Self{this}] { self->end(); });
  }

  void end() {
    while (!queue_.empty()) recycle(queue_.pop());
    queued_bytes_ = 0;
    deframer_.clear();
    if (!abandoned_ && context_->sink != nullptr) context_->sink->link_closed(id_, *reason_);
  }

  void recycle(Bytes buffer) {
    if (context_->sink != nullptr) context_->sink->recycle(std::move(buffer));
  }

  std::shared_ptr<Context> context_;
  LinkId id_;
  Socket socket_;
  sockets::Timer timer_;
  Deframer deframer_;
  Ring<Bytes> queue_;  // bounded by the engine, which stops at its budget of bytes
  std::size_t queued_bytes_ = 0;
  std::size_t sent_of_first_ = 0;                    // with its length
  std::array<LengthField, gathered_max> lengths_{};  // of those that are being written
  std::optional<CloseReason> reason_;
  State state_ = State::open;
  Bytes early_;  // of those that were read before there was a link
  bool carries_bytes_;
  bool writing_ = false;
  bool abandoned_ = false;
};

}  // namespace

void open_link(const std::shared_ptr<Context>& context, Socket socket, MutableBytes first,
               Remote remote, std::optional<DialId> dial, Manner manner) {
  const LinkId id = context->sink->next_link_id();
  const boost::intrusive_ptr core{new Core(context, id, std::move(socket), first, manner)};
  sockets::open_link(*context, id, core, std::move(remote), dial);
}

}  // namespace peer_relay::tcp
