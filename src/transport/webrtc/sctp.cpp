// SPDX-License-Identifier: MIT
#include "transport/webrtc/sctp.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/socket.h>
#include <usrsctp.h>

#include "base/ring.hpp"
#include "transport/webrtc/dtls.hpp"
#include "transport/webrtc/sctp_packet.hpp"
#include "transport/webrtc/sctp_stack.hpp"

namespace peer_relay::webrtc {

namespace {

/// usrsctp adds SCTP's own header on top of what it takes for the path's MTU here.
constexpr std::size_t sctp_header_bytes = 12;
constexpr std::size_t path_bytes_max =
    datagram_bytes_max - record_overhead_bytes - sctp_header_bytes;

sockaddr_conn address_of(std::uint64_t id, std::uint16_t port) {
  sockaddr_conn out{};
  out.sconn_family = AF_CONN;
  out.sconn_port = htons(port);
  out.sconn_addr = reinterpret_cast<void*>(id);  // NOLINT(performance-no-int-to-ptr)
  return out;
}

template <class T>
bool set(struct socket* socket, int level, int option, const T& value) {
  return usrsctp_setsockopt(socket, level, option, &value, sizeof value) == 0;
}

bool subscribe(struct socket* socket, std::uint16_t event) {
  return set(socket, IPPROTO_SCTP, SCTP_EVENT,
             sctp_event{.se_assoc_id = SCTP_ALL_ASSOC, .se_type = event, .se_on = 1});
}

void on_upcall(struct socket*, void* id, int) {
  SctpStack::mark(reinterpret_cast<std::uint64_t>(id));
}

}  // namespace

struct Sctp::Association final : SctpPort {
  Association(SctpStack& the_stack, SctpSink& the_sink, const SctpOptions& the_options)
      : stack(the_stack), sink(the_sink), options(the_options), id(stack.add(*this)) {}
  ~Association() override {
    stack.silence(id);
    close();
    stack.remove(id);
  }

  void sctp_output(BytesView packet) override { sink.sctp_send(packet); }
  void sctp_events() override;

  bool open();
  void close();
  bool limit_path();
  bool flush();
  void hold_back(bool more_follows);
  void read();
  void take(BytesView part, int flags, const sctp_rcvinfo& info);
  void take_notification(BytesView bytes);
  void changed(const sctp_assoc_change& change);
  void was_reset(BytesView bytes);
  void end(void (SctpSink::*how)());

  struct Message {
    std::uint16_t stream = 0;
    Ppid ppid = Ppid::binary;
    Bytes bytes;
    std::size_t taken = 0;  // by usrsctp
  };

  SctpStack& stack;
  SctpSink& sink;
  SctpOptions options;
  std::uint64_t id;
  struct socket* socket = nullptr;
  bool is_open = false;
  bool is_ended = false;
  bool is_holding_back = false;
  Ring<Message> queue;  // bounded by who sends
  std::size_t queued_bytes = 0;
  Bytes partial;  // of a message that comes in parts; at most receive_bytes_max
  std::uint16_t partial_stream = 0;
};

Sctp::Sctp(SctpStack& stack, SctpSink& sink, const SctpOptions& options)
    : association_(std::make_unique<Association>(stack, sink, options)) {}

Sctp::~Sctp() = default;

bool Sctp::connect() { return association_->open(); }

void Sctp::handle(BytesView packet) {
  if (association_->is_ended || association_->socket == nullptr) return;
  if (!is_sound_packet(packet)) return;  // as if it had been lost
  association_->stack.input(association_->id, packet);
}

void Sctp::send(std::uint16_t stream, Ppid ppid, Bytes message) {
  Association& own = *association_;
  if (own.is_ended) return;
  own.queued_bytes += message.size();
  own.queue.push({.stream = stream, .ppid = ppid, .bytes = std::move(message)});
  // A queue that was not empty has its flush before it, or waits for room.
  if (own.is_open && own.queue.size() == 1) own.stack.wake(own.id);
}

std::size_t Sctp::queued_bytes() const { return association_->queued_bytes; }

void Sctp::reset(std::uint16_t stream) {
  Association& own = *association_;
  if (own.socket == nullptr) return;
  // The structure ends in a list of as many streams as it says.
  alignas(sctp_reset_streams) std::array<std::uint8_t, sizeof(sctp_reset_streams) + 2> bytes{};
  auto* const request = reinterpret_cast<sctp_reset_streams*>(bytes.data());
  request->srs_assoc_id = SCTP_ALL_ASSOC;
  request->srs_flags = SCTP_STREAM_RESET_OUTGOING;
  request->srs_number_streams = 1;
  request->srs_stream_list[0] = stream;
  usrsctp_setsockopt(own.socket, IPPROTO_SCTP, SCTP_RESET_STREAMS, bytes.data(),
                     static_cast<socklen_t>(sizeof(sctp_reset_streams) + sizeof stream));
}

void Sctp::abort() {
  association_->is_ended = true;
  association_->close();
}

void Sctp::Association::close() {
  if (socket == nullptr) return;
  usrsctp_set_upcall(socket, nullptr, nullptr);
  usrsctp_close(std::exchange(socket, nullptr));  // does not linger: an ABORT leaves
}

bool Sctp::Association::open() {
  socket = usrsctp_socket(AF_CONN, SOCK_STREAM, IPPROTO_SCTP, nullptr, nullptr, 0, nullptr);
  if (socket == nullptr || usrsctp_set_non_blocking(socket, 1) != 0) return false;
  const linger no_linger{.l_onoff = 1, .l_linger = 0};
  const int on = 1;
  sctp_initmsg streams{};
  streams.sinit_num_ostreams = sctp_streams_max;
  streams.sinit_max_instreams = sctp_streams_max;
  sctp_assoc_value resets{};
  resets.assoc_id = SCTP_ALL_ASSOC;
  resets.assoc_value = SCTP_ENABLE_RESET_STREAM_REQ;
  const bool is_set = set(socket, SOL_SOCKET, SO_LINGER, no_linger) &&
                      set(socket, IPPROTO_SCTP, SCTP_NODELAY, on) &&
                      set(socket, IPPROTO_SCTP, SCTP_RECVRCVINFO, on) &&
                      set(socket, IPPROTO_SCTP, SCTP_EXPLICIT_EOR, on) &&
                      set(socket, IPPROTO_SCTP, SCTP_INITMSG, streams) &&
                      set(socket, IPPROTO_SCTP, SCTP_ENABLE_STREAM_RESET, resets) &&
                      subscribe(socket, SCTP_ASSOC_CHANGE) &&
                      subscribe(socket, SCTP_STREAM_RESET_EVENT) &&
                      subscribe(socket, SCTP_SHUTDOWN_EVENT);
  if (!is_set) return false;
  usrsctp_set_upcall(socket, on_upcall, reinterpret_cast<void*>(id));  // NOLINT

  sockaddr_conn local = address_of(id, options.local_port);
  sockaddr_conn remote = address_of(id, options.remote_port);
  if (usrsctp_bind(socket, reinterpret_cast<sockaddr*>(&local), sizeof local) != 0) return false;
  const int result = usrsctp_connect(socket, reinterpret_cast<sockaddr*>(&remote), sizeof remote);
  if (result != 0 && errno != EINPROGRESS) return false;
  return limit_path();
}

bool Sctp::Association::limit_path() {
  sctp_paddrparams path{};
  const sockaddr_conn remote = address_of(id, options.remote_port);
  std::memcpy(&path.spp_address, &remote, sizeof remote);
  path.spp_flags = SPP_PMTUD_DISABLE;
  path.spp_pathmtu = path_bytes_max;
  return set(socket, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, path);
}

void Sctp::Association::sctp_events() {
  if (is_ended || socket == nullptr) return;
  read();
  if (!is_open || queue.empty() || is_ended) return;
  if (flush()) sink.sctp_writable();
}

/// Whether the stack took everything. No other message may come between the parts of one.
bool Sctp::Association::flush() {
  while (!queue.empty()) {
    Message& message = queue.front();
    hold_back(queue.size() > 1);
    sctp_sndinfo info{};
    info.snd_sid = message.stream;
    info.snd_flags = SCTP_EOR;
    info.snd_ppid = htonl(static_cast<std::uint32_t>(message.ppid));
    const ssize_t taken = usrsctp_sendv(socket, message.bytes.data() + message.taken,
                                        message.bytes.size() - message.taken, nullptr, 0, &info,
                                        sizeof info, SCTP_SENDV_SNDINFO, 0);
    if (taken <= 0) return false;  // no room, or an end of which we shall hear
    message.taken += static_cast<std::size_t>(taken);
    queued_bytes -= static_cast<std::size_t>(taken);
    if (message.taken == message.bytes.size()) sink.sctp_taken(queue.pop().bytes);
  }
  return true;
}

/// While more follows a packet waits until it is full; with the last message it leaves.
void Sctp::Association::hold_back(bool more_follows) {
  if (std::exchange(is_holding_back, more_follows) == more_follows) return;
  const int no_delay = more_follows ? 0 : 1;
  set(socket, IPPROTO_SCTP, SCTP_NODELAY, no_delay);
}

void Sctp::Association::read() {
  const MutableBytes buffer = stack.buffer();
  while (!is_ended && socket != nullptr) {
    sctp_rcvinfo info{};
    socklen_t info_bytes = sizeof info;
    unsigned kind = 0;
    int flags = 0;
    const ssize_t got = usrsctp_recvv(socket, buffer.data(), buffer.size(), nullptr, nullptr, &info,
                                      &info_bytes, &kind, &flags);
    if (got < 0 && (errno == EWOULDBLOCK || errno == EAGAIN || errno == ENOTCONN)) return;
    if (got <= 0) return end(&SctpSink::sctp_closed);
    const auto bytes = static_cast<std::size_t>(got);
    if ((flags & MSG_NOTIFICATION) != 0) {
      take_notification(buffer.first(bytes));
    } else if (kind == SCTP_RECVV_RCVINFO) {
      take(buffer.first(bytes), flags, info);
    }
  }
}

void Sctp::Association::take(BytesView part, int flags, const sctp_rcvinfo& info) {
  const bool is_last = (flags & MSG_EOR) != 0;
  const bool is_strange = !partial.empty() && partial_stream != info.rcv_sid;
  if (is_strange || part.size() > options.receive_bytes_max - partial.size()) {
    return end(&SctpSink::sctp_overrun);
  }
  const auto ppid = static_cast<Ppid>(ntohl(info.rcv_ppid));
  if (is_last && partial.empty()) {
    // The part lies in the stack's buffer, which nobody needs before the next read.
    return sink.sctp_received(info.rcv_sid, ppid, stack.buffer().first(part.size()));
  }
  partial_stream = info.rcv_sid;
  partial.insert(partial.end(), part.begin(), part.end());
  if (!is_last) return;
  Bytes whole = std::exchange(partial, {});
  sink.sctp_received(info.rcv_sid, ppid, whole);
}

void Sctp::Association::take_notification(BytesView bytes) {
  sctp_notification::sctp_tlv head{};
  if (bytes.size() < sizeof head) return;
  std::memcpy(&head, bytes.data(), sizeof head);
  if (head.sn_type == SCTP_ASSOC_CHANGE && bytes.size() >= sizeof(sctp_assoc_change)) {
    sctp_assoc_change change{};
    std::memcpy(&change, bytes.data(), sizeof change);
    changed(change);
  } else if (head.sn_type == SCTP_STREAM_RESET_EVENT) {
    was_reset(bytes);
  } else if (head.sn_type == SCTP_SHUTDOWN_EVENT) {
    end(&SctpSink::sctp_closed);
  }
}

void Sctp::Association::changed(const sctp_assoc_change& change) {
  switch (change.sac_state) {
    case SCTP_COMM_UP:
      if (std::exchange(is_open, true)) return;
      return sink.sctp_opened(std::min(change.sac_inbound_streams, change.sac_outbound_streams));
    case SCTP_COMM_LOST:
    case SCTP_SHUTDOWN_COMP:
    case SCTP_CANT_STR_ASSOC:
      return end(&SctpSink::sctp_closed);
    default:  // a restart, which is no news over DTLS
      return;
  }
}

void Sctp::Association::was_reset(BytesView bytes) {
  sctp_stream_reset_event event{};
  if (bytes.size() < sizeof event) return;
  std::memcpy(&event, bytes.data(), sizeof event);
  if ((event.strreset_flags & SCTP_STREAM_RESET_INCOMING_SSN) == 0) return;
  for (std::size_t at = sizeof event; at + sizeof(std::uint16_t) <= bytes.size() && !is_ended;
       at += sizeof(std::uint16_t)) {
    std::uint16_t stream = 0;
    std::memcpy(&stream, bytes.data() + at, sizeof stream);
    sink.sctp_reset(stream);
  }
}

void Sctp::Association::end(void (SctpSink::*how)()) {
  if (std::exchange(is_ended, true)) return;
  (sink.*how)();
}

}  // namespace peer_relay::webrtc
