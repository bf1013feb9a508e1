// SPDX-License-Identifier: MIT
//
// One stream of an application, on the node's thread: what waits to be read, and to be written.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/ring.hpp"
#include "peer_relay/events.hpp"
#include "peer_relay/stream.hpp"

namespace peer_relay {

class Host;

class StreamState : public std::enable_shared_from_this<StreamState> {
 public:
  StreamState(std::shared_ptr<Host> host, NodeId peer, std::string label, bool is_ours);

  /// Lets go of it when the last copy is gone.
  static Stream handle_of(const std::shared_ptr<StreamState>& state);

  /// 0 until it is open, and once it has ended.
  StreamId id() const { return id_; }
  const NodeId& peer() const { return peer_; }
  const std::string& label() const { return label_; }
  bool is_ours() const { return is_ours_; }
  Host& host() const { return *host_; }
  std::shared_ptr<Host> shared_host() const { return host_; }

  // ---- From the host ------------------------------------------------------------------------

  void opened(StreamId id);
  void accepted();
  void arrived(Bytes bytes);
  void finished();
  void writable() { write_on(); }
  /// The last; the host forgets it.
  void closed(const StreamError& error);

  // ---- From the application -----------------------------------------------------------------

  void on(StreamEvents events);
  void pause() { is_paused_ = true; }
  void resume();
  void write(Bytes bytes, std::function<void(const StreamWritten&)> done);
  void read(std::size_t bytes_max, std::function<void(const StreamRead&)> done);
  void finish();
  void reset(StreamEnd end, std::uint32_t code);
  /// Nobody holds the stream any longer.
  void let_go();

 private:
  struct Write {
    Bytes bytes;
    std::size_t taken = 0;
    std::function<void(const StreamWritten&)> done;
  };

  void write_on();
  void tell_read();
  void consumed(std::size_t bytes);

  std::shared_ptr<Host> host_;
  NodeId peer_;
  std::string label_;
  bool is_ours_;
  StreamId id_ = 0;
  StreamEvents events_;

  Ring<Bytes> unread_;  // bounded by the window that the engine grants
  std::size_t read_of_first_ = 0;
  std::size_t read_bytes_max_ = 0;
  std::function<void(const StreamRead&)> reader_;
  Ring<Write> writes_;  // at most Stream::waiting_writes_max
  bool is_paused_ = false;
  bool is_telling_ = false;
  bool has_finished_ = false;  // we
  bool other_has_finished_ = false;
  bool has_told_finished_ = false;
  bool has_closed_ = false;
  StreamError end_{};
};

}  // namespace peer_relay
