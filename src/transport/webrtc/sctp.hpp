// SPDX-License-Identifier: MIT
//
// One SCTP association over DTLS (RFC 8261, RFC 8831 §6): whole messages in order on numbered
// streams, with flow control. Both sides begin it (RFC 8841 §9.3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "peer_relay/bytes.hpp"
#include "transport/webrtc/dcep.hpp"

namespace peer_relay::webrtc {

class SctpStack;

/// Each costs memory from the start on, used or not; one channel per connection needs two of them.
inline constexpr std::uint16_t sctp_streams_max = 64;

/// What is to be told; the association is never destroyed within one of these.
class SctpSink {
 public:
  virtual ~SctpSink() = default;
  virtual void sctp_send(BytesView packet) = 0;
  /// Streams that both sides have.
  virtual void sctp_opened(std::uint16_t streams) = 0;
  /// One whole message, valid during the call.
  virtual void sctp_received(std::uint16_t stream, Ppid ppid, MutableBytes message) = 0;
  /// The other side has closed its half of the stream (RFC 6525).
  virtual void sctp_reset(std::uint16_t stream) = 0;
  /// The buffer of a message that the stack has taken, to be filled again.
  virtual void sctp_taken(Bytes buffer) = 0;
  /// All that was sent has been taken by the stack.
  virtual void sctp_writable() = 0;
  /// By the other side, or because nothing gets through any more.
  virtual void sctp_closed() = 0;
  /// A message of more than we said that we take.
  virtual void sctp_overrun() = 0;
};

struct SctpOptions {
  std::uint16_t local_port = 5000;
  std::uint16_t remote_port = 5000;
  std::size_t receive_bytes_max = 65'536;  ///< of one message
};

class Sctp {
 public:
  /// `stack` and `sink` outlive it.
  Sctp(SctpStack& stack, SctpSink& sink, const SctpOptions& options);
  /// Silent; after abort() the other side knows.
  ~Sctp();
  Sctp(const Sctp&) = delete;
  Sctp& operator=(const Sctp&) = delete;

  /// False where the system has no more to give.
  bool connect();
  void handle(BytesView packet);

  /// Queues a message behind those of all streams. It leaves in a later turn, in one packet with
  /// what else was sent in this one, and sctp_writable follows.
  void send(std::uint16_t stream, Ppid ppid, Bytes message);
  /// Bytes that the stack has not taken yet.
  std::size_t queued_bytes() const;

  /// Closes our half of the stream, behind all that was sent on it.
  void reset(std::uint16_t stream);
  /// Ends it at once and tells the other side. Nothing more is heard of it.
  void abort();

 private:
  struct Association;
  std::unique_ptr<Association> association_;
};

}  // namespace peer_relay::webrtc
