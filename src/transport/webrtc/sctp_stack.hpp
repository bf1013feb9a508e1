// SPDX-License-Identifier: MIT
//
// usrsctp, of which there is one in a process: its settings, its clock, and which association a
// packet or an event of it belongs to. Each io_context that has associations has a SctpStack; they
// share what is below, and each hears only of its own, on its own thread.
//
// An association goes by a number that is never used twice. usrsctp takes it for an address and
// speaks of it late, after the association has gone, and to the other side (it is in cookies): so
// it is no pointer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "peer_relay/bytes.hpp"

namespace boost::asio {
class io_context;
}

namespace peer_relay::webrtc {

/// What usrsctp has for an association.
class SctpPort {
 public:
  virtual ~SctpPort() = default;
  /// A packet that should leave.
  virtual void sctp_output(BytesView packet) = 0;
  /// There may be something to read, or room to write. Comes when usrsctp has returned.
  virtual void sctp_events() = 0;
};

class SctpStack {
 public:
  /// `io` outlives it, and is run by one thread.
  explicit SctpStack(boost::asio::io_context& io);
  /// After its associations.
  ~SctpStack();
  SctpStack(const SctpStack&) = delete;
  SctpStack& operator=(const SctpStack&) = delete;

  std::uint64_t add(SctpPort& port);
  /// What usrsctp still wants to say for it goes nowhere.
  void silence(std::uint64_t id);
  /// When its socket is closed.
  void remove(std::uint64_t id);

  /// A packet that came for the association.
  void input(std::uint64_t id, BytesView packet);
  /// Events for the association in a turn of their own, once for however many calls.
  void wake(std::uint64_t id);
  /// For usrsctp's upcall, which runs while its locks are held: only remembers.
  static void mark(std::uint64_t id);

  /// Room for what is read, for one association after the other.
  MutableBytes buffer();

  struct Own;

 private:
  std::shared_ptr<Own> own_;
};

/// The window that we offer; what a socket of ours holds unread is of this order, or packets are
/// lost at full speed.
std::size_t sctp_receive_window();

}  // namespace peer_relay::webrtc
