// SPDX-License-Identifier: MIT
//
// Who has shown the certificate that was signalled may send whatever SCTP packets it likes: usrsctp
// reads them in C. Two associations of ours meet here; what passes from the one to the other is
// altered, cut, repeated, left out, or invented, with ports, tag and checksum put right, since
// whoever holds the keys can do so. The input is a list of steps, see Step.
//
// usrsctp draws its tags and numbers from the system, so a crash may need its input more than once.
#include "transport/webrtc/sctp.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <memory>
#include <utility>

#include <boost/asio/io_context.hpp>

#include "base/assert.hpp"
#include "transport/webrtc/dcep.hpp"
#include "transport/webrtc/sctp_stack.hpp"

// SctpStack calls it by the clock of the machine, for which no fuzzer has the time.
extern "C" void usrsctp_handle_timers(std::uint32_t elapsed_ms);

namespace peer_relay::webrtc {
namespace {

enum class Step : std::uint8_t {
  pass,     ///< the next packet to ours
  pass_to,  ///< the next packet from ours
  settle,   ///< all packets both ways, until there are none
  bend,     ///< u8 count, and as often u16 where and u8 what: the next packet to ours, altered
  cut,      ///< u16 length: the next packet to ours, shortened
  lose,     ///< the next packet to ours
  repeat,   ///< the last packet that came to ours, again
  invent,   ///< u16 length, and so many bytes of chunks
  invent_untagged,  ///< the same with no tag, as for an INIT
  peer_sends,       ///< u8 stream, u8 kind, u16 length
  ours_sends,       ///< u8 stream, u8 kind, u16 length
  peer_resets,      ///< u8 stream
  ours_resets,      ///< u8 stream
  time,             ///< u8 tens of milliseconds
  count_,
};

/// For a handshake and what two windows hold; the rest is lost, as on a wire.
constexpr std::size_t packets_max = 512;
constexpr std::size_t steps_max = 200;
constexpr std::size_t queued_bytes_max = 1 << 20;
constexpr std::size_t message_bytes_max = 65'536;

constexpr std::size_t header_bytes = 12;  // ports, tag, checksum (RFC 9260 §3.1)

/// CRC32c as RFC 9260 appendix A puts it into a packet: its least byte first.
void put_checksum(Bytes& packet) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> out{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0x82F63B78u : 0);
      out[i] = value;
    }
    return out;
  }();
  std::fill_n(packet.begin() + 8, 4, std::uint8_t{0});
  std::uint32_t sum = ~0u;
  for (const std::uint8_t each : packet) sum = sum >> 8 ^ table[(sum ^ each) & 0xFF];
  sum = ~sum;
  for (std::size_t i = 0; i < 4; ++i) packet[8 + i] = static_cast<std::uint8_t>(sum >> 8 * i);
}

/// That ours are as usrsctp's, or all that is bent would fall at the first check.
bool has_right_checksum(BytesView packet) {
  Bytes copy(packet.begin(), packet.end());
  put_checksum(copy);
  PEER_RELAY_ASSERT(std::ranges::equal(copy, packet));
  return true;
}

class Input {
 public:
  explicit Input(BytesView bytes) : bytes_(bytes) {}
  bool is_over() const { return bytes_.empty(); }
  std::uint8_t u8() {
    if (bytes_.empty()) return 0;
    const std::uint8_t out = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return out;
  }
  std::uint16_t u16() {
    const unsigned high = u8();
    return static_cast<std::uint16_t>(high << 8 | u8());
  }
  BytesView bytes(std::size_t count) {
    const BytesView out = bytes_.first(std::min(count, bytes_.size()));
    bytes_ = bytes_.subspan(out.size());
    return out;
  }

 private:
  BytesView bytes_;
};

/// One end, which treats what it hears as a connection does.
class End final : public SctpSink {
 public:
  End(SctpStack& stack, std::deque<Bytes>& wire)
      : wire_(wire), sctp_(stack, *this, {.receive_bytes_max = message_bytes_max}) {
    PEER_RELAY_ASSERT(sctp_.connect());
  }

  void handle(BytesView packet) {
    // Of exactly this size, so that the sanitizer sees a read past its end.
    const Bytes copy(packet.begin(), packet.end());
    sctp_.handle(copy);
  }
  void send(std::uint8_t stream, std::uint8_t kind, std::size_t length) {
    constexpr std::array kinds{Ppid::dcep, Ppid::text, Ppid::binary, Ppid::empty_text,
                               Ppid::empty_binary};
    if (!is_open_ || sctp_.queued_bytes() + length > queued_bytes_max) return;
    sctp_.send(stream, kinds[kind % kinds.size()], Bytes(std::max<std::size_t>(length, 1), kind));
  }
  void reset(std::uint8_t stream) { sctp_.reset(stream); }

  void sctp_send(BytesView packet) override {
    PEER_RELAY_ASSERT(packet.size() >= header_bytes);
    [[maybe_unused]] static const bool is_checked = has_right_checksum(packet);
    if (wire_.size() < packets_max) wire_.emplace_back(packet.begin(), packet.end());
  }
  void sctp_opened(std::uint16_t streams) override {
    PEER_RELAY_ASSERT(!is_open_ && !is_ended_);
    PEER_RELAY_ASSERT(streams <= sctp_streams_max);
    is_open_ = true;
  }
  void sctp_received(std::uint16_t stream, Ppid ppid, MutableBytes message) override {
    PEER_RELAY_ASSERT(!is_ended_ && message.size() <= message_bytes_max);
    if (ppid != Ppid::dcep || is_over_) return;
    const auto decoded = decode_dcep(message);
    if (!decoded) {
      is_over_ = true;  // and is taken down in a later turn
    } else if (std::holds_alternative<ChannelOpen>(*decoded)) {
      sctp_.send(stream, Ppid::dcep, encode(ChannelAck{}));
    }
  }
  void sctp_reset(std::uint16_t stream) override { sctp_.reset(stream); }
  void sctp_taken(Bytes) override {}
  void sctp_writable() override { PEER_RELAY_ASSERT(sctp_.queued_bytes() == 0); }
  void sctp_closed() override { end(); }
  void sctp_overrun() override { end(); }

 private:
  void end() { PEER_RELAY_ASSERT(!std::exchange(is_ended_, true)); }

  std::deque<Bytes>& wire_;
  bool is_open_ = false;
  bool is_ended_ = false;
  bool is_over_ = false;
  Sctp sctp_;
};

class Meeting {
 public:
  explicit Meeting(SctpStack& stack) : peer_(stack, to_ours_), ours_(stack, to_peer_) {}

  void step(Input& input);

 private:
  Bytes next() {
    if (to_ours_.empty()) return {};
    Bytes out = std::move(to_ours_.front());
    to_ours_.pop_front();
    return out;
  }

  void deliver(Bytes packet) {
    if (packet.empty()) return;
    last_ = std::move(packet);
    // What an INIT has for a tag is for none of the later packets.
    const bool is_tagged =
        last_.size() >= header_bytes && std::any_of(last_.begin() + 4, last_.begin() + 8,
                                                    [](std::uint8_t each) { return each != 0; });
    if (is_tagged) std::copy_n(last_.begin(), header_.size(), header_.begin());
    ours_.handle(last_);
  }

  static void send(End& end, Input& input) {
    const std::uint8_t stream = input.u8();
    const std::uint8_t kind = input.u8();
    end.send(stream, kind, input.u16());
  }

  void pass_to() {
    if (to_peer_.empty()) return;
    const Bytes packet = std::move(to_peer_.front());
    to_peer_.pop_front();
    peer_.handle(packet);
  }

  void settle() {
    for (std::size_t i = 0; i < packets_max && !(to_ours_.empty() && to_peer_.empty()); ++i) {
      deliver(next());
      pass_to();
    }
  }

  void bend(Bytes packet, Input& input) {
    const std::size_t changes = input.u8() % 16;
    for (std::size_t i = 0; i < changes; ++i) {
      const std::size_t at = input.u16();
      const std::uint8_t value = input.u8();
      if (packet.size() > header_bytes) {
        packet[header_bytes + at % (packet.size() - header_bytes)] = value;
      }
    }
    mend(std::move(packet));
  }

  void mend(Bytes packet) {
    if (packet.size() < header_bytes) return;
    put_checksum(packet);
    deliver(std::move(packet));
  }

  void invent(BytesView chunks, bool is_tagged) {
    Bytes packet(header_bytes);
    std::copy_n(header_.begin(), is_tagged ? 8 : 4, packet.begin());
    packet.insert(packet.end(), chunks.begin(), chunks.end());
    mend(std::move(packet));
  }

  std::deque<Bytes> to_ours_, to_peer_;  // packets_max each
  std::array<std::uint8_t, 8> header_{0x13, 0x88, 0x13, 0x88};
  Bytes last_;
  End peer_, ours_;
};

void Meeting::step(Input& input) {
  switch (static_cast<Step>(input.u8() % static_cast<unsigned>(Step::count_))) {
    case Step::pass:
      return deliver(next());
    case Step::pass_to:
      return pass_to();
    case Step::settle:
      return settle();
    case Step::bend:
      return bend(next(), input);
    case Step::cut: {
      Bytes packet = next();
      packet.resize(std::min<std::size_t>(packet.size(), input.u16()));
      return mend(std::move(packet));
    }
    case Step::lose:
      next();
      return;
    case Step::repeat:
      return deliver(last_);
    case Step::invent:
      return invent(input.bytes(input.u16()), true);
    case Step::invent_untagged:
      return invent(input.bytes(input.u16()), false);
    case Step::peer_sends:
      return send(peer_, input);
    case Step::ours_sends:
      return send(ours_, input);
    case Step::peer_resets:
      return peer_.reset(input.u8());
    case Step::ours_resets:
      return ours_.reset(input.u8());
    case Step::time:
      return usrsctp_handle_timers(10u * input.u8());
    case Step::count_:
      return;
  }
}

}  // namespace
}  // namespace peer_relay::webrtc

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace peer_relay::webrtc;
  static boost::asio::io_context io;
  static SctpStack stack{io};
  {
    Meeting meeting{stack};
    Input input{{data, size}};
    for (std::size_t i = 0; i < steps_max && !input.is_over(); ++i) {
      meeting.step(input);
      io.poll();
      io.restart();
    }
  }
  // What usrsctp keeps of the dead for a while.
  for (int i = 0; i < 4; ++i) usrsctp_handle_timers(1000);
  return 0;
}
