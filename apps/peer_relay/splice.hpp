// SPDX-License-Identifier: MIT
//
// Bytes between a stream and file descriptors of this process.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "loop.hpp"
#include "peer_relay/stream.hpp"

namespace peer_relay::app {

/// Carries both ways until both have ended, with back-pressure: what the stream does not take is
/// not read, and what is not read of the stream stops its writer. The end of one way is passed on,
/// and the other goes on.
class Splice : public std::enable_shared_from_this<Splice> {
 public:
  struct Ends {
    int in = -1;   ///< read from; -1: nothing is said
    int out = -1;  ///< written to
    /// They are a socket's, twice (dup), and are closed in the end. Others are left open, but `out`
    /// leads to nowhere once all is written, so that its reader sees the end.
    bool is_socket = false;
  };
  /// Nothing: both ways have ended well.
  using Ended = std::function<void(const std::optional<StreamError>&)>;

  /// Made by make_shared; `loop` outlives it.
  Splice(Loop& loop, Stream stream, Ends ends, Ended ended);
  ~Splice();
  Splice(const Splice&) = delete;
  Splice& operator=(const Splice&) = delete;

  void start();
  /// Ends both ways at once.
  void give_up();

  const Stream& stream() const { return stream_; }
  std::uint64_t bytes_out() const { return bytes_out_; }  ///< taken by the stream
  std::uint64_t bytes_in() const { return bytes_in_; }    ///< written to `out`

 private:
  void watch_in();
  void read_in();
  void say_finished();
  void taken(const StreamWritten& written);
  void ask();
  void got(StreamRead read);
  void pass_on_end();
  void flush();
  void closed(const StreamError& error);
  void end_if_done();

  Loop& loop_;
  Stream stream_;
  Ends ends_;
  const bool out_may_block_;
  Ended ended_;
  Bytes unwritten_;  // one read of the stream
  std::size_t written_ = 0;
  int writes_ = 0;  // of ours that the stream has not taken yet
  bool in_has_ended_ = false;
  std::optional<StreamError> closed_;
  std::uint64_t bytes_out_ = 0, bytes_in_ = 0;
};

}  // namespace peer_relay::app
