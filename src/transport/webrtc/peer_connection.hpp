// SPDX-License-Identifier: MIT
//
// One WebRTC connection with one data channel, ordered and reliable: the state machine over ICE,
// DTLS, SCTP and DCEP. What has to travel by signalling comes out as text and goes in as text; who
// carries it is not its concern. Whoever offers opens the channel.
//
//   new ─ gathering, describing ─ ice ─ dtls ─ sctp ─ channel ─ open ─ closed, once, from any state
//
// No renegotiation and no ICE restart: a new connection is cheap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "peer_relay/bytes.hpp"
#include "peer_relay/limits.hpp"
#include "transport/webrtc/candidate.hpp"
#include "transport/webrtc/dtls.hpp"
#include "transport/webrtc/ice.hpp"
#include "transport/webrtc/sctp_stack.hpp"
#include "transport/webrtc/sdp.hpp"

namespace peer_relay::webrtc {

/// Why a connection ended; for one that did not open, how far it came.
enum class PeerConnectionEnd : std::uint8_t {
  closed_here,
  closed_by_peer,
  vanished,              ///< nothing was heard any more (RFC 7675)
  bad_description,       ///< what was signalled is no description, or not for data
  no_answer,             ///< no description came
  ice_failed,            ///< no way for datagrams was found
  dtls_failed,           ///< no agreement on keys
  fingerprint_mismatch,  ///< another certificate than was announced
  channel_failed,        ///< all but the channel itself was open
  protocol_error,        ///< too large a message, or channels without end
  no_resources,          ///< the system had no more to give
};

std::string_view name_of(PeerConnectionEnd end);

struct PeerConnectionOptions {
  bool offers = false;
  IceOptions ice = {};
  CandidatePolicy policy = {};
  /// Our own interfaces' addresses are told. Without, others find us by what servers see of us.
  bool shows_host_candidates = true;
  /// Candidates follow the description one by one; else it waits for them, for a short time.
  bool trickles = true;
  std::size_t receive_bytes_max = message_bytes_unsaid;  ///< of one message; holds any batch
  std::string label = "peer-relay";                      ///< of the channel, if we offer
  Duration timeout = std::chrono::seconds{30};           ///< until the channel is open
};

/// What is to be told; never from within a call of ours. The connection may be closed and destroyed
/// within each of these.
class PeerConnectionSink {
 public:
  virtual ~PeerConnectionSink() = default;
  /// Our offer or answer.
  virtual void connection_described(const std::string& sdp) = 0;
  /// A candidate, after the description; empty when there are no more.
  virtual void connection_candidate(const std::string& line) = 0;
  virtual void connection_opened() = 0;
  /// One whole message, which the sink may write in; valid during the call.
  virtual void connection_received(MutableBytes message, bool is_text) = 0;
  /// The buffer of a message that the stack has taken, to be filled again. No place to close or
  /// destroy anything.
  virtual void connection_taken(Bytes buffer) = 0;
  /// All that was sent has been taken by the stack.
  virtual void connection_writable() = 0;
  /// The last that is heard of it.
  virtual void connection_closed(PeerConnectionEnd end) = 0;
};

static_assert(message_bytes_unsaid >= limits::batch_bytes_max);

class Connection;

class PeerConnection {
 public:
  /// `io` and `sink` outlive it; `io` is run by one thread.
  PeerConnection(boost::asio::io_context& io, PeerConnectionSink& sink,
                 std::shared_ptr<const Certificate> certificate, std::shared_ptr<SctpStack> stack,
                 PeerConnectionOptions options);
  /// Ends at once, without a word to the sink.
  ~PeerConnection();
  PeerConnection(const PeerConnection&) = delete;
  PeerConnection& operator=(const PeerConnection&) = delete;

  /// An offerer begins with this, an answerer with set_remote.
  void start();
  /// The other side's description. A second one is ignored.
  void set_remote(std::string_view sdp);
  /// May come before the description; an empty one is the last.
  void add_candidate(std::string_view line);

  /// False, and nothing sent, before the channel is open, and for what is longer than the other
  /// side takes. Order is kept; never blocks; the caller bounds what is queued. It leaves in a
  /// later turn, together with what else was sent in this one.
  bool send(Bytes message, bool is_text = false);
  std::size_t queued_bytes() const;
  /// What the other side takes at once.
  std::size_t send_bytes_max() const;
  /// Of the other side's candidates those that are of use, so far.
  std::size_t remote_candidates() const;
  /// What was wrong with a bad description.
  std::optional<SdpError> description_error() const;

  /// Lets what is queued leave, for a short time, then closes.
  void close();

  /// The digests of both certificates, the offerer's first: what a handshake over the channel takes
  /// into its prologue, so that nobody sits between the two. Empty before DTLS is open.
  Bytes channel_binding() const;

  /// Where datagrams go: "ip:port" and the IP address.
  std::string remote() const;
  std::string remote_host() const;
  bool is_relayed() const;

 private:
  std::shared_ptr<Connection> connection_;
};

}  // namespace peer_relay::webrtc
