// SPDX-License-Identifier: MIT
//
// A link over an upgraded WebSocket: a queue on the way out, one message at a time on the way in,
// and an end that is told once.
//
// Beast 1.81 needs three precautions. A stream must not be destroyed while an operation on its
// socket is under way, so the end is told only when every handler has run. Its close and read
// operations can wait for each other for ever if a stranger's bytes come at the wrong moment; no
// handler runs then, so a while after the socket was closed the end is told all the same. And a
// read that has failed waits for the other side to hang up without saying so: is_open() tells.
#include <array>
#include <utility>

#include <boost/smart_ptr/intrusive_ref_counter.hpp>

#include "base/assert.hpp"
#include "base/ring.hpp"
#include "transport/core_link_impl.hpp"
#include "transport/websocket/context_impl.hpp"

namespace peer_relay::websocket {

namespace {

/// For what is queued to leave and for the other side to say goodbye.
constexpr std::chrono::milliseconds close_timeout{1000};

/// For the handlers of a closed socket to run; they are due at once.
constexpr std::chrono::milliseconds reap_timeout{100};

/// Handshakes and most messages of a link that is not busy; Beast reads ahead as much.
constexpr std::size_t small_read_bytes = 1536;

/// A client masks what it sends in a buffer of its own, and Beast makes a system call for each
/// filling of it. So it is as long as a batch on a busy link and short on a quiet one.
constexpr std::size_t small_write_bytes = 1024;
constexpr std::size_t large_write_bytes = limits::batch_bytes_max;

/// Without long messages a link counts as quiet; its keepalive then shortens the buffer.
constexpr std::chrono::seconds quiet_after{5};

/// What the first message of a node of ours begins with (protocol §4).
constexpr std::string_view our_magic = "PRLY";

beast::websocket::close_code close_code_for(CloseReason reason) {
  using beast::websocket::close_code;
  switch (reason) {
    case CloseReason::protocol_error:
      return close_code::protocol_error;
    case CloseReason::busy:
    case CloseReason::too_many_handshakes:
      return close_code::try_again_later;
    case CloseReason::shutdown:
      return close_code::going_away;
    default:
      return close_code::normal;
  }
}

CloseReason reason_for(error_code error) {
  using beast::websocket::condition;
  const bool left = has_left(error) || error == beast::websocket::error::closed ||
                    error == asio::ssl::error::stream_truncated;
  if (left) return CloseReason::transport_closed;
  const bool strange = error == condition::protocol_violation ||
                       error == beast::websocket::error::message_too_big ||
                       error == beast::websocket::error::bad_frame_payload;
  return strange ? CloseReason::protocol_error : CloseReason::transport_error;
}

/// Lives as long as the Link or a handler holds it. One thread counts.
template <class Next>
class Core : public boost::intrusive_ref_counter<Core<Next>, boost::thread_unsafe_counter> {
 public:
  Core(std::shared_ptr<Context> context, LinkId id, std::unique_ptr<Stream<Next>> stream,
       Manner manner)
      : context_(std::move(context)),
        id_(id),
        stream_(std::move(stream)),
        timer_(context_->io.get_executor()),
        manner_(manner) {
    stream_->binary(true);
    stream_->auto_fragment(false);
    bound_messages();
    stream_->write_buffer_bytes(write_buffer_bytes_);
  }

  void start() {
    if (state_ == State::open) read();
  }

  void send(Bytes batch) { send(std::move(batch), false); }
  void send_text(Bytes text) { send(std::move(text), true); }

  void send(Bytes message, bool is_text) {
    if (state_ != State::open) return recycle(std::move(message));
    queued_bytes_ += message.size();
    queue_.push({std::move(message), is_text});
    // What a failed read left behind would keep this message for ever.
    if (!stream_->is_open()) return fail(failure_of_read());
    if (!writing_) write();
  }

  std::size_t queued_bytes() const { return queued_bytes_; }

  void close(CloseReason reason) {
    if (state_ != State::open) return;
    if (!stream_->is_open()) return fail(failure_of_read());
    state_ = State::draining;
    reason_ = reason;
    stop_at(close_timeout);
    if (!writing_) say_goodbye();
  }

  /// The Link is gone.
  void abandon() {
    abandoned_ = true;
    if (state_ != State::ended) fail(CloseReason::shutdown);
  }

 private:
  using Self = boost::intrusive_ptr<Core>;

  struct Message {
    Bytes bytes;
    bool is_text = false;
  };

  enum class State : std::uint8_t {
    open,
    draining,  // sends what is queued, drops what comes in
    goodbye,   // Beast exchanges close frames
    closed,    // the socket is closed; handlers are due
    ended,     // and it was told
  };

  void read() {
    reading_ = true;
    const MutableBytes room = large_.empty() ? MutableBytes{small_} : MutableBytes{large_};
    stream_->async_read_some(
        asio::buffer(room.data() + filled_, room.size() - filled_),
        [self = Self{this}](error_code error, std::size_t bytes) { self->on_read(error, bytes); });
  }

  void on_read(error_code error, std::size_t bytes) {
    reading_ = false;
    if (state_ == State::closed) return end_if_idle();
    if (error) return on_read_failed(error);
    filled_ += bytes;
    if (manner_ == Manner::undecided) decide();
    if (manner_ == Manner::bytes) {
      deliver_bytes();
    } else if (stream_->is_message_done()) {
      deliver();
    } else if (filled_ == (large_.empty() ? small_.size() : large_.size())) {
      make_room();
    }
    if (state_ == State::open || state_ == State::draining) read();
  }

  /// Who speaks, by the first message's first bytes.
  void decide() {
    const std::size_t known = std::min(filled_, our_magic.size());
    const bool could_be_ours =
        std::equal(our_magic.begin(), our_magic.begin() + known, small_.begin(),
                   [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
    if (stream_->got_text() || (could_be_ours && known == our_magic.size())) {
      manner_ = Manner::messages;
    } else if (known > 0 && (!could_be_ours || stream_->is_message_done())) {
      // The lower three bits are a frame's type, and 0 opens a channel.
      manner_ = (small_[0] & 7) == 0 ? Manner::bytes : Manner::messages;
    }
    if (manner_ != Manner::undecided) bound_messages();
  }

  /// With old nodes around the bound depends on the kind of message: see on_read().
  void bound_messages() {
    const bool has_bound = !takes_text() && manner_ == Manner::messages;
    stream_->read_message_max(has_bound ? limits::batch_bytes_max : 0);
  }

  void deliver_bytes() {
    const BytesView bytes{large_.empty() ? small_.data() : large_.data(), filled_};
    filled_ = 0;
    if (state_ == State::open && context_->sink != nullptr && !bytes.empty()) {
      context_->sink->link_received_stream(id_, bytes, ExchangeTransport::websocket);
    }
    // Who sends much has a buffer for it.
    const bool is_much = bytes.size() == small_.size();
    if (large_.empty() && is_much && state_ == State::open) large_ = context_->read_buffers.take();
  }

  bool takes_text() const { return context_->options.old_text_bytes_max > 0; }

  /// For the rest of a message that is longer than what we have for it.
  void make_room() {
    if (large_.empty()) {
      large_ = context_->read_buffers.take();
      std::copy(small_.begin(), small_.end(), large_.begin());
    } else if (!stream_->got_text()) {
      fail(CloseReason::protocol_error);
    } else if (filled_ < context_->options.old_text_bytes_max) {
      large_.resize(std::min(2 * large_.size(), context_->options.old_text_bytes_max));
    } else {
      is_overlong_ = true;
      filled_ = 0;  // what follows is read over it
    }
  }

  void on_read_failed(error_code error) {
    // While Beast says goodbye it reads by itself, and this read was only called off.
    if (state_ != State::goodbye) fail(reason_for(error));
  }

  void deliver() {
    const MutableBytes message{large_.empty() ? small_.data() : large_.data(), filled_};
    filled_ = 0;
    const bool is_overlong = std::exchange(is_overlong_, false);
    if (state_ == State::open && context_->sink != nullptr) {
      if (is_overlong) {
        context_->sink->text_too_long();
      } else if (!stream_->got_text()) {
        context_->sink->link_received(id_, message);
      } else if (takes_text()) {
        context_->sink->link_received_text(id_, message);
      } else {
        close(CloseReason::protocol_error);
      }
    }
    if (!large_.empty()) context_->read_buffers.give_back(std::exchange(large_, {}));
  }

  void write() {
    writing_ = true;
    const Bytes& message = queue_.front().bytes;
    fit_write_buffer(message.size());
    stream_->text(queue_.front().is_text);
    stream_->async_write(asio::buffer(message), [self = Self{this}](error_code error, std::size_t) {
      self->on_written(error);
    });
  }

  void fit_write_buffer(std::size_t message_bytes) {
    if (message_bytes <= small_write_bytes && write_buffer_bytes_ == small_write_bytes) return;
    const auto now = std::chrono::steady_clock::now();
    if (message_bytes > small_write_bytes) long_message_at_ = now;
    const bool is_quiet = now - long_message_at_ > quiet_after;
    const std::size_t wanted = is_quiet ? small_write_bytes : large_write_bytes;
    if (wanted != write_buffer_bytes_) stream_->write_buffer_bytes(write_buffer_bytes_ = wanted);
  }

  void on_written(error_code error) {
    writing_ = false;
    Bytes sent = queue_.pop().bytes;
    queued_bytes_ -= sent.size();
    recycle(std::move(sent));
    if (state_ == State::closed) return end_if_idle();
    if (error) return fail(reason_for(error));
    if (!queue_.empty()) return write();
    if (state_ == State::draining) return say_goodbye();
    if (state_ == State::open && context_->sink != nullptr) context_->sink->link_writable(id_);
  }

  void say_goodbye() {
    state_ = State::goodbye;
    saying_goodbye_ = true;
    stream_->async_close(close_code_for(*reason_), [self = Self{this}](error_code) {
      self->saying_goodbye_ = false;
      self->fail(CloseReason::transport_closed);
    });
  }

  /// Ends the socket. The first reason that was found stays.
  void fail(CloseReason reason) {
    if (state_ == State::closed || state_ == State::ended) return end_if_idle();
    if (!reason_) reason_ = reason;
    state_ = State::closed;
    error_code ignored;
    socket_of(*stream_).close(ignored);
    // Always a later turn: whoever called send() or close() hears nothing before it has returned.
    stop_at(reading_ || writing_ || saying_goodbye_ ? Timer::duration{reap_timeout}
                                                    : Timer::duration{0});
  }

  /// What a read made of the stream that is closed though nobody here closed it.
  CloseReason failure_of_read() const {
    const bool peer_closed = stream_->reason().code != beast::websocket::close_code::none;
    return peer_closed ? CloseReason::transport_closed : CloseReason::protocol_error;
  }

  void stop_at(Timer::duration delay) {
    timer_.expires_after(delay);
    // A stop that was due already when it was replaced must not end a stream whose handlers are
    // due.
    timer_.async_wait([self = Self{this}, number = ++stops_](error_code error) {
      if (error || number != self->stops_) return;
      if (self->state_ == State::closed) return self->end();
      self->fail(CloseReason::goodbye_timeout);
    });
  }

  void end_if_idle() {
    if (state_ == State::closed && !reading_ && !writing_ && !saying_goodbye_) end();
  }

  void end() {
    if (state_ == State::ended) return;
    const Self self{this};
    state_ = State::ended;
    timer_.cancel();
    // Handlers that never ran hold us, and the stream holds them.
    stream_ = nullptr;
    while (!queue_.empty()) recycle(queue_.pop().bytes);
    queued_bytes_ = 0;
    if (!large_.empty()) context_->read_buffers.give_back(std::exchange(large_, {}));
    if (!abandoned_ && context_->sink != nullptr) context_->sink->link_closed(id_, *reason_);
  }

  void recycle(Bytes buffer) {
    if (context_->sink != nullptr) context_->sink->recycle(std::move(buffer));
  }

  std::shared_ptr<Context> context_;
  LinkId id_;
  std::unique_ptr<Stream<Next>> stream_;
  Timer timer_;
  Ring<Message> queue_;  // bounded by the engine, which stops at its budget of bytes
  std::size_t queued_bytes_ = 0;
  std::size_t filled_ = 0;  // of the message that is being read
  std::size_t write_buffer_bytes_ = small_write_bytes;
  std::chrono::steady_clock::time_point long_message_at_{};
  std::optional<CloseReason> reason_;
  unsigned stops_ = 0;
  State state_ = State::open;
  bool reading_ = false;
  bool writing_ = false;
  bool saying_goodbye_ = false;
  bool abandoned_ = false;
  bool is_overlong_ = false;  // the text that is being read
  Manner manner_;
  Bytes large_;  // for the rest of a message that does not fit below, and only as long as that
  std::array<std::uint8_t, small_read_bytes> small_;
};

}  // namespace

template <class Next>
void open_link(const std::shared_ptr<Context>& context, std::unique_ptr<Stream<Next>> stream,
               Remote remote, std::optional<DialId> dial, Manner manner) {
  const LinkId id = context->sink->next_link_id();
  const boost::intrusive_ptr core{new Core<Next>(context, id, std::move(stream), manner)};
  sockets::open_link(*context, id, core, std::move(remote), dial);
}

template void open_link(const std::shared_ptr<Context>&, std::unique_ptr<Stream<Socket>>, Remote,
                        std::optional<DialId>, Manner);
template void open_link(const std::shared_ptr<Context>&, std::unique_ptr<Stream<TlsSocket>>, Remote,
                        std::optional<DialId>, Manner);

}  // namespace peer_relay::websocket
