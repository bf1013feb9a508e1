// SPDX-License-Identifier: MIT
#include "runtime/user_link.hpp"

#include <optional>
#include <utility>

#include "base/ring.hpp"
#include "runtime/host.hpp"
#include "transport/tcp/deframer.hpp"

namespace peer_relay {

namespace {

/// For what is queued to leave.
constexpr std::chrono::milliseconds close_timeout{1000};

}  // namespace

/// On the node's thread. What the connection answers comes by a task, which holds it weakly.
class UserLink::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(std::unique_ptr<UserConnection> connection, LinkId id, LinkSink& sink,
       std::weak_ptr<Host> host)
      : connection_(std::move(connection)), id_(id), sink_(sink), host_(std::move(host)) {}

  void start() {
    later(host_, [self = weak_from_this()] {
      if (const auto core = self.lock()) core->read();
    });
  }

  void send(Bytes message) {
    if (!connection_ || reason_) return sink_.recycle(std::move(message));
    queued_bytes_ += message.size();
    queue_.push(std::move(message));
    if (!is_writing_) write();
  }

  std::size_t queued_bytes() const { return queued_bytes_; }

  void close(CloseReason reason) {
    if (!connection_ || reason_) return;
    reason_ = reason;
    if (!is_writing_) return end();
    host_.lock()->after(close_timeout, [self = weak_from_this()] {
      if (const auto core = self.lock()) core->end();
    });
  }

  void abandon() {
    is_abandoned_ = true;
    end();
  }

 private:
  /// From any thread; not if the node is gone.
  template <class Task>
  static void later(const std::weak_ptr<Host>& host, Task task) {
    if (const auto runs = host.lock()) runs->call(std::move(task));
  }

  void read() {
    if (!connection_) return;
    connection_->read([self = weak_from_this(), host = host_](Bytes bytes) {
      later(host, [self, bytes = std::move(bytes)]() mutable {
        if (const auto core = self.lock()) core->received(std::move(bytes));
      });
    });
  }

  void received(Bytes bytes) {
    if (!connection_) return;
    if (bytes.empty()) return fail(CloseReason::transport_closed);
    MutableBytes rest{bytes};
    while (connection_ && !reason_) {
      const auto message = deframer_.next(rest);
      if (!message) break;
      sink_.link_received(id_, *message);
    }
    if (deframer_.is_broken()) return fail(CloseReason::protocol_error);
    read();
  }

  void write() {
    is_writing_ = true;
    Bytes message = queue_.pop();
    in_flight_bytes_ = message.size();
    const tcp::LengthField length = tcp::length_field(message.size());
    Bytes bytes;
    bytes.reserve(length.size() + message.size());
    bytes.insert(bytes.end(), length.begin(), length.end());
    bytes.insert(bytes.end(), message.begin(), message.end());
    sink_.recycle(std::move(message));
    connection_->write(std::move(bytes), [self = weak_from_this(), host = host_](bool is_taken) {
      later(host, [self, is_taken] {
        if (const auto core = self.lock()) core->written(is_taken);
      });
    });
  }

  void written(bool is_taken) {
    if (!connection_ || !is_writing_) return;
    is_writing_ = false;
    queued_bytes_ -= in_flight_bytes_;
    if (!is_taken) return fail(CloseReason::transport_error);
    if (!queue_.empty()) return write();
    if (reason_) return end();
    sink_.link_writable(id_);
  }

  /// The first reason that was found stays.
  void fail(CloseReason reason) {
    if (!reason_) reason_ = reason;
    end();
  }

  void end() {
    if (!connection_) return;
    connection_.reset();
    if (is_abandoned_) return;
    // Whoever called send() or close() hears nothing before it has returned.
    later(host_, [self = shared_from_this()] {
      while (!self->queue_.empty()) self->sink_.recycle(self->queue_.pop());
      self->queued_bytes_ = 0;
      if (!self->is_abandoned_) self->sink_.link_closed(self->id_, *self->reason_);
    });
  }

  std::unique_ptr<UserConnection> connection_;  // null once it is closed
  LinkId id_;
  LinkSink& sink_;
  std::weak_ptr<Host> host_;
  ReadBuffers buffers_;
  tcp::Deframer deframer_{buffers_};
  Ring<Bytes> queue_;             // bounded by the engine, which stops at its budget of bytes
  std::size_t queued_bytes_ = 0;  // with those in flight
  std::size_t in_flight_bytes_ = 0;
  std::optional<CloseReason> reason_;
  bool is_writing_ = false;
  bool is_abandoned_ = false;
};

UserLink::UserLink(std::unique_ptr<UserConnection> connection, std::string remote, LinkId id,
                   LinkSink& sink, std::weak_ptr<Host> host)
    : core_(std::make_shared<Core>(std::move(connection), id, sink, std::move(host))),
      remote_(std::move(remote)) {
  core_->start();
}

UserLink::~UserLink() { core_->abandon(); }

void UserLink::send(Bytes batch) { core_->send(std::move(batch)); }
/// There are no old nodes at this end, so nobody should.
void UserLink::send_text(Bytes) {}
std::size_t UserLink::queued_bytes() const { return core_->queued_bytes(); }
void UserLink::close(CloseReason reason) { core_->close(reason); }

}  // namespace peer_relay
