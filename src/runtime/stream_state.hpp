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

/// What carries an open stream: the engine's streams, or a peer of npm peer-exchange.
class StreamCarrier {
 public:
  virtual ~StreamCarrier() = default;

  /// Without room StreamState::writable follows.
  virtual bool has_room() = 0;
  virtual void write(Bytes bytes) = 0;
  virtual void finish() = 0;
  virtual void reset(StreamEnd end, std::uint32_t code) = 0;
  /// So many bytes of StreamState::arrived are done with.
  virtual void consumed(std::size_t bytes) = 0;
};

class StreamState : public std::enable_shared_from_this<StreamState> {
 public:
  StreamState(std::shared_ptr<Host> host, NodeId peer, std::string label, bool is_ours);

  /// Lets go of it when the last copy is gone.
  static Stream handle_of(const std::shared_ptr<StreamState>& state);

  const NodeId& peer() const { return peer_; }
  const std::string& label() const { return label_; }
  bool is_ours() const { return is_ours_; }
  Host& host() const { return *host_; }
  std::shared_ptr<Host> shared_host() const { return host_; }

  // ---- From its carrier ---------------------------------------------------------------------

  void opened(std::unique_ptr<StreamCarrier> carrier);
  void accepted();
  void arrived(Bytes bytes);
  void finished();
  void writable() { write_on(); }
  /// The last; the carrier is gone with it.
  void closed(const StreamError& error);

  // ---- From the application -----------------------------------------------------------------

  void on(StreamEvents events);
  void pause() { is_paused_ = true; }
  void resume();
  void write(Bytes bytes, std::function<void(const StreamWritten&)> done);
  void read(std::size_t bytes_max, std::function<void(const StreamRead&)> done);
  void finish();
  void reset(StreamEnd end, std::uint32_t code);
  void expires_after(Duration duration);
  /// Nobody holds the stream any longer.
  void let_go();

 private:
  struct Write {
    Bytes bytes;
    std::size_t taken = 0;
    std::function<void(const StreamWritten&)> done;
  };

  void write_on();
  void tell_accepted();
  void tell_read();
  void consumed(std::size_t bytes);

  std::shared_ptr<Host> host_;
  NodeId peer_;
  std::string label_;
  bool is_ours_;
  std::unique_ptr<StreamCarrier> carrier_;  // null until it is open, and once it has ended
  StreamEvents events_;

  Ring<Bytes> unread_;  // bounded by the window that the engine grants
  std::size_t read_of_first_ = 0;
  std::size_t read_bytes_max_ = 0;
  std::function<void(const StreamRead&)> reader_;
  Ring<Write> writes_;  // at most Stream::waiting_writes_max
  bool is_paused_ = false;
  bool is_telling_ = false;
  bool is_accepted_ = false;
  bool has_told_accepted_ = false;
  bool has_finished_ = false;  // we
  bool other_has_finished_ = false;
  bool has_told_finished_ = false;
  bool has_closed_ = false;
  StreamError end_{};
};

}  // namespace peer_relay
