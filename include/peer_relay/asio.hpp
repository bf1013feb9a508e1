// SPDX-License-Identifier: MIT
//
// Streams for programs on Boost.Asio (1.81): AsioStream is an AsyncReadStream and AsyncWriteStream,
// so asio::async_read, async_write, async_read_until, Beast and ssl::stream run over it, with any
// completion token.
//
//   asio::io_context io;
//   auto node = peer_relay::Node::start({.bootstrap = {url}});
//   asio::co_spawn(io, [&]() -> asio::awaitable<void> {
//     peer_relay::AsioStream stream{io};
//     const peer_relay::StreamOptions options{.label = "echo"};
//     co_await stream.async_open(*node, id, options, asio::use_awaitable);
//     co_await asio::async_write(stream, asio::buffer("hi", 2), asio::use_awaitable);
//     stream.finish();
//     std::string answer;
//     const auto [error, size] = co_await asio::async_read(
//         stream, asio::dynamic_buffer(answer), asio::as_tuple(asio::use_awaitable));
//     // asio::error::eof: the other side has finished, and all was read
//   }, asio::detached);
//   io.run();
//
// (Options that stand in braces within a co_await are freed twice by g++ 12: give them a name.)
//
// What others open comes to a handler of the node, which gives it a coroutine of its own:
//
//   auto node = peer_relay::Node::start({.port = 8000}, {.stream = [&](peer_relay::Stream stream) {
//     asio::co_spawn(io, serve(peer_relay::AsioStream{io, std::move(stream)}), asio::detached);
//   }});
//
// Threads: as with a socket, one AsioStream is used by one thread at a time. Handlers run on their
// associated executor, which is the stream's where they have none, and never inside the call. An
// operation counts as work of its executors. The io_context may be any, and has to outlive its
// streams and what is under way; the node runs on a thread of its own.
//
// Cancellation: a read gives way to every kind, and what comes later is kept for the next read. A
// write or an opening gives way to the terminal kind alone; what was written may arrive or not, and
// the stream is only good to be closed then.
//
// This header is not part of node.hpp, and the library needs no Boost of its users. Who includes it
// links peer_relay::asio, of find_package(peer_relay COMPONENTS asio), and takes the version of
// Boost that the library was built with.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/append.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/system/error_code.hpp>

#include "peer_relay/node.hpp"
#include "peer_relay/stream.hpp"

namespace peer_relay {

/// "peer-relay.stream": its codes are those of StreamEnd. Each is also a condition of errc, as
/// connection_reset or host_unreachable.
const boost::system::error_category& stream_category();
boost::system::error_code make_error_code(StreamEnd end);

namespace detail {
class StreamOperations;
}

/// One at a time of each: reading, writing. Moved from, it is only to be assigned to.
template <class Executor = boost::asio::any_io_executor>
class BasicAsioStream {
 public:
  using executor_type = Executor;
  template <class Other>
  struct rebind_executor {
    using other = BasicAsioStream<Other>;
  };
  /// ssl::stream asks for it.
  using lowest_layer_type = BasicAsioStream;

  /// Of one async_write_some; it is copied.
  static constexpr std::size_t write_bytes_max = 64 << 10;

  /// Its reads are this object's from now on: no StreamEvents::data, no Stream::read elsewhere.
  explicit BasicAsioStream(const Executor& executor, Stream stream = {});
  template <std::derived_from<boost::asio::execution_context> Context>
  explicit BasicAsioStream(Context& context, Stream stream = {})
      : BasicAsioStream(context.get_executor(), std::move(stream)) {}
  BasicAsioStream(BasicAsioStream&&) noexcept = default;
  BasicAsioStream& operator=(BasicAsioStream&& other) noexcept;
  /// As close().
  ~BasicAsioStream();

  executor_type get_executor() const noexcept { return executor_; }
  lowest_layer_type& lowest_layer() { return *this; }
  const lowest_layer_type& lowest_layer() const { return *this; }

  bool is_open() const;
  /// The stream below; none if closed.
  Stream stream() const;
  /// Of the last operation that failed, with the code of a reset. An eof is no error of the stream.
  std::optional<StreamError> error() const;

  /// void(error_code): the other node has it. That nobody there takes it is said by the first read.
  template <class Token = boost::asio::default_completion_token_t<Executor>>
  auto async_open(Node& node, const NodeId& to, StreamOptions options = {}, Token&& token = {});

  /// void(error_code, std::size_t).
  template <class MutableBufferSequence,
            class Token = boost::asio::default_completion_token_t<Executor>>
  auto async_read_some(const MutableBufferSequence& buffers, Token&& token = {});

  /// void(error_code, std::size_t): so many bytes are on their way, as Stream::write says.
  template <class ConstBufferSequence,
            class Token = boost::asio::default_completion_token_t<Executor>>
  auto async_write_some(const ConstBufferSequence& buffers, Token&& token = {});

  /// Nothing more will be written, and the other side reads an eof. Reading goes on.
  void finish();
  /// Gives up both directions, and what waits ends with StreamEnd::reset.
  void reset(std::uint32_t code = 0);
  /// What waits ends with operation_aborted; as for the cancellation of a write, see above.
  void cancel();
  /// The same, and lets go of the stream, which is reset unless it was finished.
  void close();

 private:
  Executor executor_;
  std::shared_ptr<detail::StreamOperations> operations_;
};

using AsioStream = BasicAsioStream<>;

/// An acknowledged send: void(SendResult). A handler without an executor runs on system_executor.
template <class Token>
auto async_send(Node& node, const NodeId& to, Payload payload, SendOptions options, Token&& token);

/// Node::connect, to an id or a URL: void(Result<Peer>). Executors as above.
template <class Target, class Token>
  requires std::same_as<Target, NodeId> || std::same_as<Target, std::string>
auto async_connect(Node& node, const Target& to, Token&& token);

// ---- How it is done ---------------------------------------------------------------------------

namespace detail {

using ErrorCode = boost::system::error_code;
using OperationNumber = std::uint64_t;

class StreamCategory final : public boost::system::error_category {
 public:
  // The id makes copies of this header in several shared libraries equal.
  constexpr StreamCategory() : error_category(0x9c4f'0e37'52d1'b6a8) {}
  const char* name() const noexcept override { return "peer-relay.stream"; }
  std::string message(int value) const override {
    return std::string{name_of(static_cast<StreamEnd>(value))};
  }
  boost::system::error_condition default_error_condition(int value) const noexcept override {
    namespace errc = boost::system::errc;
    switch (static_cast<StreamEnd>(value)) {
      case StreamEnd::reset:
      case StreamEnd::unknown:
        return errc::make_error_condition(errc::connection_reset);
      case StreamEnd::refused:
        return errc::make_error_condition(errc::connection_refused);
      case StreamEnd::limit:
        return errc::make_error_condition(errc::no_buffer_space);
      case StreamEnd::protocol_error:
        return errc::make_error_condition(errc::protocol_error);
      case StreamEnd::shutdown:
        return errc::make_error_condition(errc::connection_aborted);
      case StreamEnd::finished:  // a write after our own finish
        return errc::make_error_condition(errc::broken_pipe);
      case StreamEnd::unreachable:
        return errc::make_error_condition(errc::host_unreachable);
      case StreamEnd::timed_out:
        return errc::make_error_condition(errc::timed_out);
      case StreamEnd::count_:
        break;
    }
    return {value, *this};
  }
};

/// A handler, and the work that keeps its executors running until it is called.
template <class Handler, class Executor>
class Completion {
 public:
  Completion(Handler handler, const Executor& executor)
      : work_(executor),
        handler_work_(boost::asio::get_associated_executor(handler, executor)),
        handler_(std::move(handler)) {}

  template <class... Values>
  void post(Values... values) {
    boost::asio::post(handler_work_.get_executor(),
                      boost::asio::append(std::move(handler_), std::move(values)...));
    handler_work_.reset();
    work_.reset();
  }

 private:
  boost::asio::executor_work_guard<Executor> work_;
  boost::asio::executor_work_guard<boost::asio::associated_executor_t<Handler, Executor>>
      handler_work_;
  Handler handler_;
};

/// A callback as the node takes it: one that can be copied. A node that is gone forgets it without
/// a word; then `tell` gets `otherwise`.
template <class Value, class Tell>
std::function<void(const Value&)> exactly_once(Value otherwise, Tell tell) {
  struct Once {
    Once(Value value, Tell to) : otherwise(std::move(value)), tell(std::move(to)) {}
    Once(const Once&) = delete;
    Once& operator=(const Once&) = delete;
    ~Once() {
      if (!is_told) tell(otherwise);
    }
    Value otherwise;
    Tell tell;
    bool is_told = false;
  };
  return [once = std::make_shared<Once>(std::move(otherwise), std::move(tell))](const Value& v) {
    if (!std::exchange(once->is_told, true)) once->tell(v);
  };
}

class Operation {
 public:
  Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  virtual ~Operation() = default;
  virtual void complete(ErrorCode error, std::size_t bytes) = 0;
  /// Of a read: into the caller's buffers, which stand until its completion.
  virtual std::size_t fill(BytesView) { return 0; }
};

template <class Handler, class Executor>
class OpenOperation final : public Operation {
 public:
  explicit OpenOperation(Completion<Handler, Executor> completion)
      : completion_(std::move(completion)) {}
  void complete(ErrorCode error, std::size_t) override { completion_.post(error); }

 private:
  Completion<Handler, Executor> completion_;
};

template <class Handler, class Executor>
class WriteOperation final : public Operation {
 public:
  explicit WriteOperation(Completion<Handler, Executor> completion)
      : completion_(std::move(completion)) {}
  void complete(ErrorCode error, std::size_t bytes) override { completion_.post(error, bytes); }

 private:
  Completion<Handler, Executor> completion_;
};

template <class Handler, class Executor, class Buffers>
class ReadOperation final : public Operation {
 public:
  ReadOperation(Completion<Handler, Executor> completion, const Buffers& buffers)
      : completion_(std::move(completion)), buffers_(buffers) {}
  void complete(ErrorCode error, std::size_t bytes) override { completion_.post(error, bytes); }
  std::size_t fill(BytesView bytes) override {
    return boost::asio::buffer_copy(buffers_, boost::asio::buffer(bytes.data(), bytes.size()));
  }

 private:
  Completion<Handler, Executor> completion_;
  Buffers buffers_;
};

/// Where the owner of a stream and the node's thread meet. An operation ends when it is taken out
/// of here, under the lock: once, and with its buffers and executors still there.
///
/// Calls to the stream are made without the lock: a node that is gone answers inside of them.
class StreamOperations : public std::enable_shared_from_this<StreamOperations> {
 public:
  explicit StreamOperations(Stream stream) : stream_(std::move(stream)) {}

  Stream stream() const {
    const std::lock_guard lock{mutex_};
    return stream_;
  }
  std::optional<StreamError> error() const {
    const std::lock_guard lock{mutex_};
    return error_;
  }

  /// The number of the operation that comes next.
  template <class Handler>
  OperationNumber number_for(const Handler& handler, boost::asio::cancellation_type accepted) {
    const OperationNumber number = ++last_number_;
    auto slot = boost::asio::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) {
      slot.assign([self = weak_from_this(), number, accepted](boost::asio::cancellation_type type) {
        if ((type & accepted) == boost::asio::cancellation_type::none) return;
        if (const auto operations = self.lock()) {
          operations->end(number, boost::asio::error::operation_aborted);
        }
      });
    }
    return number;
  }

  void open(OperationNumber number, std::unique_ptr<Operation> operation, Node& node,
            const NodeId& to, StreamOptions options) {
    if (stream()) return operation->complete(boost::asio::error::already_open, 0);
    Stream stream = node.open_stream(to, std::move(options));
    {
      const std::lock_guard lock{mutex_};
      stream_ = stream;
      operations_.emplace(number, std::move(operation));
    }
    stream.on({.accepted = [self = weak_from_this(), number] { tell(self, number, {}); },
               .closed = exactly_once(StreamError{StreamEnd::shutdown, 0},
                                      [self = weak_from_this(), number](const StreamError& why) {
                                        tell(self, number, why);
                                      })});
  }

  void read(OperationNumber number, std::unique_ptr<Operation> operation, std::size_t bytes_max) {
    Stream stream;
    {
      const std::lock_guard lock{mutex_};
      if (!stream_) return operation->complete(boost::asio::error::bad_descriptor, 0);
      if (bytes_max == 0) return operation->complete({}, 0);
      if (operations_.contains(reading_)) {
        return operation->complete(boost::asio::error::already_started, 0);
      }
      if (kept_) {
        const StreamRead kept = *std::exchange(kept_, {});
        return give(*operation, kept);
      }
      reading_ = number;
      operations_.emplace(number, std::move(operation));
      if (std::exchange(has_asked_, true)) return;  // for a read that was cancelled
      stream = stream_;
    }
    stream.read(bytes_max, exactly_once(StreamRead{std::unexpected(gone())},
                                        [self = weak_from_this()](const StreamRead& read) {
                                          if (const auto to = self.lock()) to->came(read);
                                        }));
  }

  void write(OperationNumber number, std::unique_ptr<Operation> operation, Bytes bytes) {
    Stream stream;
    {
      const std::lock_guard lock{mutex_};
      if (!stream_) return operation->complete(boost::asio::error::bad_descriptor, 0);
      if (bytes.empty()) return operation->complete({}, 0);
      operations_.emplace(number, std::move(operation));
      stream = stream_;
    }
    stream.write(std::move(bytes),
                 exactly_once(StreamWritten{std::unexpected(gone())},
                              [self = weak_from_this(), number](const StreamWritten& written) {
                                if (written) {
                                  tell(self, number, {}, *written);
                                } else {
                                  tell(self, number, written.error());
                                }
                              }));
  }

  void cancel() {
    const std::lock_guard lock{mutex_};
    abort_all();
  }

  void close() {
    Stream stream;
    const std::lock_guard lock{mutex_};
    stream = std::exchange(stream_, {});
    abort_all();
  }

 private:
  static StreamError gone() { return {StreamEnd::shutdown, 0}; }

  static void tell(const std::weak_ptr<StreamOperations>& to, OperationNumber number,
                   const std::optional<StreamError>& why, std::size_t bytes = 0) {
    const auto operations = to.lock();
    if (!operations) return;
    operations->end(number, why ? make_error_code(why->end) : ErrorCode{}, bytes, why);
  }

  void end(OperationNumber number, ErrorCode error, std::size_t bytes = 0,
           const std::optional<StreamError>& why = {}) {
    const std::lock_guard lock{mutex_};
    if (const auto found = operations_.extract(number)) {
      if (why) error_ = why;
      found.mapped()->complete(error, bytes);
    }
  }

  void came(const StreamRead& read) {
    const std::lock_guard lock{mutex_};
    has_asked_ = false;
    if (const auto found = operations_.extract(reading_)) return give(*found.mapped(), read);
    if (stream_) kept_ = read;
  }

  void give(Operation& operation, const StreamRead& read) {
    if (!read) {
      error_ = read.error();
      return operation.complete(make_error_code(read.error().end), 0);
    }
    if (read->empty()) return operation.complete(boost::asio::error::eof, 0);
    const std::size_t size = operation.fill(*read);
    if (size < read->size()) {
      kept_ = Bytes{read->begin() + static_cast<std::ptrdiff_t>(size), read->end()};
    }
    operation.complete({}, size);
  }

  void abort_all() {
    for (const auto& [number, operation] : operations_) {
      operation->complete(boost::asio::error::operation_aborted, 0);
    }
    operations_.clear();
  }

  mutable std::mutex mutex_;
  Stream stream_;
  OperationNumber last_number_ = 0;  // the owner's
  OperationNumber reading_ = 0;      // the last read, under way or not
  std::map<OperationNumber, std::unique_ptr<Operation>> operations_;  // bounded by the stream
  bool has_asked_ = false;                                            // for the next bytes
  std::optional<StreamRead> kept_;  // came when nobody read: of a cancelled read
  std::optional<StreamError> error_;
};

}  // namespace detail

inline const boost::system::error_category& stream_category() {
  static const detail::StreamCategory category;
  return category;
}

inline boost::system::error_code make_error_code(StreamEnd end) {
  return {static_cast<int>(end), stream_category()};
}

template <class Executor>
BasicAsioStream<Executor>::BasicAsioStream(const Executor& executor, Stream stream)
    : executor_(executor),
      operations_(std::make_shared<detail::StreamOperations>(std::move(stream))) {}

template <class Executor>
BasicAsioStream<Executor>& BasicAsioStream<Executor>::operator=(BasicAsioStream&& other) noexcept {
  BasicAsioStream old{std::move(*this)};  // is closed at the end
  executor_ = std::move(other.executor_);
  operations_ = std::move(other.operations_);
  return *this;
}

template <class Executor>
BasicAsioStream<Executor>::~BasicAsioStream() {
  if (operations_) operations_->close();
}

template <class Executor>
bool BasicAsioStream<Executor>::is_open() const {
  return static_cast<bool>(stream());
}

template <class Executor>
Stream BasicAsioStream<Executor>::stream() const {
  return operations_->stream();
}

template <class Executor>
std::optional<StreamError> BasicAsioStream<Executor>::error() const {
  return operations_->error();
}

template <class Executor>
template <class Token>
auto BasicAsioStream<Executor>::async_open(Node& node, const NodeId& to, StreamOptions options,
                                           Token&& token) {
  return boost::asio::async_initiate<Token, void(detail::ErrorCode)>(
      [executor = executor_, operations = operations_, &node](auto handler, const NodeId& id,
                                                              StreamOptions how) {
        using Handler = decltype(handler);
        const auto number =
            operations->number_for(handler, boost::asio::cancellation_type::terminal);
        operations->open(number,
                         std::make_unique<detail::OpenOperation<Handler, Executor>>(
                             detail::Completion<Handler, Executor>{std::move(handler), executor}),
                         node, id, std::move(how));
      },
      token, to, std::move(options));
}

template <class Executor>
template <class MutableBufferSequence, class Token>
auto BasicAsioStream<Executor>::async_read_some(const MutableBufferSequence& buffers,
                                                Token&& token) {
  return boost::asio::async_initiate<Token, void(detail::ErrorCode, std::size_t)>(
      [executor = executor_, operations = operations_](auto handler,
                                                       const MutableBufferSequence& into) {
        using Handler = decltype(handler);
        const auto number = operations->number_for(handler, boost::asio::cancellation_type::all);
        operations->read(
            number,
            std::make_unique<detail::ReadOperation<Handler, Executor, MutableBufferSequence>>(
                detail::Completion<Handler, Executor>{std::move(handler), executor}, into),
            boost::asio::buffer_size(into));
      },
      token, buffers);
}

template <class Executor>
template <class ConstBufferSequence, class Token>
auto BasicAsioStream<Executor>::async_write_some(const ConstBufferSequence& buffers,
                                                 Token&& token) {
  return boost::asio::async_initiate<Token, void(detail::ErrorCode, std::size_t)>(
      [executor = executor_, operations = operations_](auto handler,
                                                       const ConstBufferSequence& from) {
        using Handler = decltype(handler);
        Bytes bytes(std::min(boost::asio::buffer_size(from), write_bytes_max));
        boost::asio::buffer_copy(boost::asio::buffer(bytes), from);
        const auto number =
            operations->number_for(handler, boost::asio::cancellation_type::terminal);
        operations->write(number,
                          std::make_unique<detail::WriteOperation<Handler, Executor>>(
                              detail::Completion<Handler, Executor>{std::move(handler), executor}),
                          std::move(bytes));
      },
      token, buffers);
}

template <class Executor>
void BasicAsioStream<Executor>::finish() {
  if (Stream open = stream()) open.finish();
}

template <class Executor>
void BasicAsioStream<Executor>::reset(std::uint32_t code) {
  if (Stream open = stream()) open.reset(code);
}

template <class Executor>
void BasicAsioStream<Executor>::cancel() {
  operations_->cancel();
}

template <class Executor>
void BasicAsioStream<Executor>::close() {
  operations_->close();
}

template <class Token>
auto async_send(Node& node, const NodeId& to, Payload payload, SendOptions options, Token&& token) {
  return boost::asio::async_initiate<Token, void(SendResult)>(
      [&node](auto handler, const NodeId& id, Payload what, SendOptions how) {
        detail::Completion completion{std::move(handler), boost::asio::system_executor{}};
        SendResult closed;
        closed.outcome = SendResult::Outcome::refused;
        closed.error = Error::closed;
        node.send(id, std::move(what), how,
                  detail::exactly_once(
                      closed, [completion = std::move(completion)](
                                  const SendResult& result) mutable { completion.post(result); }));
      },
      token, to, std::move(payload), options);
}

template <class Target, class Token>
  requires std::same_as<Target, NodeId> || std::same_as<Target, std::string>
auto async_connect(Node& node, const Target& to, Token&& token) {
  return boost::asio::async_initiate<Token, void(Result<Peer>)>(
      [&node](auto handler, const Target& id_or_url) {
        detail::Completion completion{std::move(handler), boost::asio::system_executor{}};
        node.connect(id_or_url, detail::exactly_once(Result<Peer>{std::unexpected(Error::closed)},
                                                     [completion = std::move(completion)](
                                                         const Result<Peer>& result) mutable {
                                                       completion.post(result);
                                                     }));
      },
      token, to);
}

}  // namespace peer_relay

template <>
struct boost::system::is_error_code_enum<peer_relay::StreamEnd> : std::true_type {};
