// SPDX-License-Identifier: MIT
//
// What nodes of npm peer-relay 0.0.2 say to each other: JSON texts. The first on a link is the
// sender's id, every later one a routed message:
//
//   {"to":ID,"from":ID,"path":["<40 hex>",...],"nonce":"123","data":{"type":"...","data":...}}
//
// An id is read in three forms (40 hex digits, a Buffer object, an array of 20 numbers) and written
// as hex; only the first message of a link is written as a Buffer object, as every version does.
//
// One text that is not quite right ends the process of an old node, and relays carry it there. So
// nothing is read here that we would not dare to write: what does not follow these rules to the
// letter is a fault, and goes no further. What the rules leave open (content of applications,
// fields that nobody knows) is carried on as it was spelled.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "peer_relay/bytes.hpp"
#include "peer_relay/events.hpp"
#include "peer_relay/limits.hpp"
#include "peer_relay/node_id.hpp"

namespace peer_relay::legacy {

inline constexpr std::size_t text_bytes_max = limits::legacy_text_bytes_max;

/// Objects and arrays within each other. Old nodes die of 200,000.
inline constexpr std::size_t depth_max = 128;

/// Old nodes relay no message with so many ids in its path. At its target it may have crossed one
/// link more, and begins with the same id twice if it was written without a link.
inline constexpr std::size_t path_max = 20;
inline constexpr std::size_t path_read_max = path_max + 2;

/// A nonce is 1 to 15 digits. Others pass, for their senders know them by it.
inline constexpr std::size_t nonce_bytes_max = 64;

/// Fields beside the five, carried on.
inline constexpr std::size_t extra_fields_max = 16;

/// An answer to findPeers has up to 20 ids; we look at no more of them.
inline constexpr std::size_t found_max = 20;

/// Why a text is none that we take, or send.
enum class Fault : std::uint8_t {
  too_large,     ///< beyond text_bytes_max
  too_deep,      ///< beyond depth_max
  no_json,       ///< not one JSON value in UTF-8
  no_id,         ///< a first message that is no id of 20 bytes
  no_message,    ///< not an object with the five fields, each once
  bad_target,    ///< `to` is no id
  bad_source,    ///< `from` is no id
  bad_path,      ///< `path` is no array of ids in hex, or too long
  bad_nonce,     ///< `nonce` is no short text
  bad_data,      ///< `data` is no object, or not what its type needs
  many_fields,   ///< more than extra_fields_max of them
  not_as_we_do,  ///< of what we send: readable, but not in the form that we write
};

enum class OldType : std::uint8_t {
  user,
  find_peers,
  found_peers,
  handshake_offer,
  handshake_answer,
  signal,
  other,  ///< relayed; means nothing to a target
};

/// A routed message. Views are of the text that it was read from.
struct OldMessage {
  struct Field {
    std::string_view key;    ///< as spelled, with its quotes
    std::string_view value;  ///< as spelled
  };

  NodeId to{};
  NodeId from{};
  std::vector<NodeId> path{};  ///< who has sent it so far, its source first
  std::string nonce{};         ///< what it says
  std::string_view nonce_text{};
  OldType type = OldType::other;
  std::string_view data{};     ///< the whole object
  std::string_view content{};  ///< its member `data`; empty if it has none
  std::vector<Field> extra{};

  std::optional<NodeId> sought{};  ///< with find_peers
  std::vector<NodeId> found{};     ///< with found_peers: the first found_max
  std::string ws{};                ///< with handshake_answer: an address; empty for none
  bool wrtc = false;               ///< with handshake_answer
};

/// The first text of a link.
std::expected<NodeId, Fault> read_id(std::string_view text);
std::expected<OldMessage, Fault> read_message(std::string_view text);

/// Whether an application may send this as JSON: one value, not too deep.
bool is_json(std::string_view text);

/// A user message's content as a payload: a Buffer object as bytes, all else as the JSON it is, and
/// `null` where there is none (JavaScript's undefined).
Payload payload_of(std::string_view content);

// ---- What we write
// --------------------------------------------------------------------------------

std::string id_text(const NodeId& id);

/// The same message one hop further: `self` at the end of its path, ids as hex.
std::string relayed_text(const OldMessage& message, const NodeId& self);

/// A message of our own, which `data` belongs to: one of those below.
std::string message_text(const NodeId& to, const NodeId& self, std::string_view nonce,
                         std::string_view data);

/// Bytes as the JSON form of a Node.js Buffer, which is how an old node sends one.
std::string buffer_json(BytesView bytes);

std::string user_data(const Payload& payload);
std::string find_peers_data(const NodeId& sought);
std::string found_peers_data(const std::vector<NodeId>& found);
std::string handshake_offer_data();
/// An empty `ws` means: no way to dial me. `wrtc`: a signal may be sent to me.
std::string handshake_answer_data(std::string_view ws, bool wrtc = false);

/// What is wrong with a text that is about to be sent, or nothing: the strict judge of all that
/// leaves us. `is_first` is for the first text of a link.
std::optional<Fault> fault_of(std::string_view text, bool is_first);

std::string_view name_of(Fault fault);

}  // namespace peer_relay::legacy
