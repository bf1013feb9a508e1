// SPDX-License-Identifier: MIT
//
// What nodes of npm peer-exchange 0.4.1 tell each other on the channel "pxp": JSON objects, one a
// line. The member `command` says what it is; an answer to getPeer has there what its question had
// as `reqId`.
//
// Some lines end the process of a node that reads them. So nothing is written here that holds a
// stranger's text where such a node looks up a name: transports are those we know, and what is
// echoed (`reqId`, `nonce`) must look like a number.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/exchange.hpp"
#include "peer_relay/bytes.hpp"

namespace peer_relay::exchange {

/// Of one line. A hello is 200 bytes, a WebRTC description up to 8 KiB; nodes keep any length.
inline constexpr std::size_t line_bytes_max = 64 << 10;
/// Objects within each other: `accepts` has options, which may hold anything.
inline constexpr std::size_t line_depth_max = 16;
/// Of a network, as it comes; ours are shorter.
inline constexpr std::size_t network_bytes_max = 1024;
/// Of a `reqId` and of a `nonce`: a node writes 32 digits.
inline constexpr std::size_t number_bytes_max = 64;

/// Lines out of bytes that are cut anywhere. Empty lines are left out.
class LineReader {
 public:
  /// The next line, without its end, taken from the front of `bytes`: valid until the next call.
  std::optional<std::string_view> next(BytesView& bytes);
  /// There was one longer than line_bytes_max. It says nothing more.
  bool is_overlong() const { return overlong_; }

 private:
  std::string line_;
  bool given_ = false;
  bool overlong_ = false;
};

/// How a transport is dialed, as its node declares it.
struct Opts {
  std::uint16_t port = 0;  ///< 0: none was said
  bool secure = false;     ///< wss
  bool operator==(const Opts&) const = default;
};

template <class T>
using ByTransport = std::array<T, exchange_transports>;

struct Hello {
  std::string network;
  bool is_version_0 = false;
  /// Nothing where the sender takes no connections by it. Others than ours are left out.
  ByTransport<std::optional<Opts>> accepts{};
  ByTransport<bool> transports{};  ///< that the sender can dial
};
struct HelloAck {};
struct Accept {
  std::optional<ExchangeTransport> transport;  ///< nothing: one that we don't know
  Opts opts;
};
struct Unaccept {
  std::optional<ExchangeTransport> transport;
};
struct GetPeer {
  std::string request;
};
struct Incoming {
  std::string nonce;
  std::optional<ExchangeTransport> transport;
};
/// Whatever else: an answer, if we have asked so.
struct Answer {
  std::string request;
  std::optional<ExchangeTransport> transport;  ///< nothing, also: nobody
  Opts opts;
  std::string address;  ///< empty: nobody
  std::string nonce;
};
using Command = std::variant<Hello, HelloAck, Accept, Unaccept, GetPeer, Incoming, Answer>;

enum class LineFault : std::uint8_t {
  broken,   ///< a node ends the connection for it: no JSON, or null; or not what its command needs
  ignored,  ///< a node passes over it: JSON that is no command
};

std::expected<Command, LineFault> read_command(std::string_view line);

/// Whether this can be echoed: letters and digits, one digit at least. No name that means something
/// to a node is like that.
bool is_number_like(std::string_view text);

// ---- What we write: whole lines -------------------------------------------------------------

struct OwnHello {
  std::string_view network;
  ByTransport<std::optional<std::uint16_t>> accepts{};  ///< ports; any for webrtc
  ByTransport<bool> transports{};
  std::string_view receiver_address = {};  ///< the other side's; empty: not told
};
std::string hello_line(const OwnHello& hello);
std::string helloack_line();
std::string accept_line(ExchangeTransport transport, std::uint16_t port);
std::string unaccept_line(ExchangeTransport transport);
std::string get_peer_line(std::string_view request);
std::string incoming_line(std::string_view nonce);
std::string nobody_line(std::string_view request);
/// `address` is an IP address; the answer's transport is there.
std::string answer_line(const Answer& answer);

}  // namespace peer_relay::exchange
