// SPDX-License-Identifier: MIT
//
// A byte stream between two nodes: in order, whole, sealed end to end, with back-pressure. It takes
// a direct link where there is one and is relayed where there is none, and moves from one to the
// other without a byte lost, doubled or out of place.
//
//   auto stream = node.open_stream(id, {.label = "echo"});
//   stream.write(peer_relay::Bytes{'h', 'i'});
//   stream.read(65'536, [](const peer_relay::StreamRead& read) { ... });
//
// Reading is by asking (read) or by being told (StreamEvents::data): one of the two. What is not
// read stops the writer at the other end once a window is full (64 KiB at first, more for who keeps
// up), and nothing else. peer_relay/asio.hpp makes an AsyncReadStream and AsyncWriteStream of it.
//
// Threads: every call is safe from any thread. Handlers run on the node's thread, one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "peer_relay/bytes.hpp"
#include "peer_relay/node_id.hpp"
#include "peer_relay/reasons.hpp"
#include "peer_relay/time.hpp"

namespace peer_relay {

/// Why an operation on a stream came to nothing.
struct StreamError {
  StreamEnd end = StreamEnd::finished;
  std::uint32_t code = 0;  ///< with StreamEnd::reset: the application's that gave up
};

/// The next bytes; none: the other side has finished, and all was read.
using StreamRead = std::expected<Bytes, StreamError>;
/// So many bytes were taken.
using StreamWritten = std::expected<std::size_t, StreamError>;

/// Handlers; each may be empty.
struct StreamEvents {
  std::function<void()> accepted = {};  ///< the other node has it; only for ours
  /// The next bytes, of this call only. They count as read when the handler returns.
  std::function<void(BytesView)> data = {};
  std::function<void()> finished = {};  ///< all that the other side wrote has been told
  /// The last event; all handlers are dropped after it. StreamEnd::finished: both sides have
  /// finished, and the other has all of ours.
  std::function<void(const StreamError&)> closed = {};
};

/// A handle; copies are the same stream. When the last one goes, the stream is reset; but if it was
/// finished, what was written still arrives, and what comes is thrown away. (Handlers may hold one:
/// they are dropped at the end.)
class Stream {
 public:
  /// Of writes that were not taken yet; beyond it a write fails with StreamEnd::limit.
  static constexpr std::size_t waiting_writes_max = 1024;

  Stream() = default;  ///< none: only to be assigned to
  explicit operator bool() const { return handle_ != nullptr; }

  const NodeId& peer() const;
  /// As its opener named it.
  const std::string& label() const;
  /// We have opened it.
  bool is_ours() const;

  /// In place of the handlers before. What came already is told to them.
  void on(StreamEvents events);
  /// No `data` is told until resume().
  void pause();
  void resume();

  /// `done` comes when the bytes are taken: then is the time for the next. Not yet that they have
  /// arrived: a finish that is followed by StreamEnd::finished says that.
  void write(Bytes bytes, std::function<void(const StreamWritten&)> done = {});
  /// Gives at least one byte, at most so many, as soon as there are any. One at a time.
  void read(std::size_t bytes_max, std::function<void(const StreamRead&)> done);
  /// Nothing more will be written. Reading goes on.
  void finish();
  /// Gives up both directions; `code` is told to the other side.
  void reset(std::uint32_t code = 0);
  /// The same for one that another node has opened and that nobody here takes.
  void refuse();
  /// It is reset, and everything that waits ends with StreamEnd::timed_out, unless it ends or this
  /// is called again within so long; Duration::max(): never.
  void expires_after(Duration duration);

 private:
  friend class StreamState;
  struct Handle;
  explicit Stream(std::shared_ptr<Handle> handle) : handle_(std::move(handle)) {}
  std::shared_ptr<Handle> handle_;
};

}  // namespace peer_relay
