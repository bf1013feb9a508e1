// SPDX-License-Identifier: MIT
//
// Where everything that grows stops, with the reason beside each number. The first part is the
// protocol's, the same for all nodes; the second is each node's own choice.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "peer_relay/time.hpp"

namespace peer_relay::limits {

using namespace std::chrono_literals;

// ---- The protocol's --------------------------------------------------------------------------

/// A Noise message is at most 65,535 bytes (Noise §3), and a batch is one.
inline constexpr std::size_t batch_bytes_max = 65'535;

/// What an application sends at once: 64 KiB less room for every header and tag on its way.
inline constexpr std::size_t payload_bytes_max = 65'536 - 512;

/// log2 of a million is 20, and greedy needs about a third of that; 32 leaves room for `via`.
inline constexpr std::uint8_t hops_max = 32;

/// A contact record: 115 bytes and its addresses, each with its length. Most have one of 30 bytes.
inline constexpr std::size_t contact_addresses_max = 4;
inline constexpr std::size_t address_bytes_max = 128;
inline constexpr std::size_t contact_bytes_max = 640;
static_assert(115 + contact_addresses_max * (1 + address_bytes_max) <= contact_bytes_max);

/// Contacts in one answer or exchange: the eight siblings and as many again.
inline constexpr std::size_t contacts_per_frame_max = 16;

/// The name of a network and of the software, in handshakes.
inline constexpr std::size_t network_bytes_max = 64;
inline constexpr std::size_t agent_bytes_max = 64;

/// The siblings: links to the closest live nodes (protocol §5; Kademlia's k for the own subtree).
inline constexpr std::size_t siblings = 8;

// ---- Links -----------------------------------------------------------------------------------

inline constexpr Duration handshake_timeout = 10s;  ///< of a link, from its first byte
inline constexpr Duration ping_after = 15s;         ///< of silence
inline constexpr Duration link_dead_after = 45s;    ///< of silence: three pings unanswered
inline constexpr Duration goodbye_timeout = 5s;     ///< for the other side's last frames
static_assert(link_dead_after >= 2 * ping_after);

/// Handshakes of dialed-in links under way: each holds about 1 KiB and costs about 0.5 ms of CPU.
inline constexpr std::size_t handshakes_max = 512;
inline constexpr std::size_t handshakes_per_host_max = 64;

/// Frames that wait for a link; beyond it the newest relayed one is refused. A second of 8 Mbit/s.
inline constexpr std::size_t link_queue_bytes_max = 1 << 20;
/// The part of it that only our own control traffic (pings, goodbyes, answers) may use.
inline constexpr std::size_t link_queue_reserve_bytes = 64 << 10;

// ---- Sessions and delivery ----------------------------------------------------------------------

inline constexpr Duration session_rekey_after = 120s;   ///< as WireGuard (Donenfeld 2017, §6.1)
inline constexpr Duration session_reject_after = 180s;  ///< an older key opens nothing
inline constexpr std::uint64_t session_messages_max = std::uint64_t{1} << 32;
inline constexpr std::size_t replay_window = 2048;          ///< as WireGuard's
inline constexpr Duration session_handshake_retry = 700ms;  ///< then half as long again
inline constexpr Duration session_handshake_timeout = 10s;

/// Messages that wait for one session's handshake, and the bytes of all that wait in a node.
inline constexpr std::size_t session_waiting_max = 1024;
inline constexpr std::size_t waiting_bytes_max = 8 << 20;

/// Early data (in the first IK message) is taken if its time stamp is this close to our clock, and
/// as long as every first message of that time is remembered (RFC 8446 §8.2).
inline constexpr Duration early_data_window = 60s;
inline constexpr std::size_t early_data_seen_max = 4096;

inline constexpr Duration acknowledged_timeout = 15s;  ///< default of an acknowledged send
inline constexpr Duration resend_after_min = 300ms;    ///< before a round trip is known: 1 s
inline constexpr Duration resend_after_max = 4s;
/// Acknowledged sends in flight: 65,536 small ones, or what fits in waiting_bytes_max.
inline constexpr std::size_t acknowledged_max = 65'536;

// ---- Data channels -----------------------------------------------------------------------------

/// Offers under way, ours and others': each holds up to 100 KiB and four descriptors.
inline constexpr std::size_t negotiations_max = 64;
inline constexpr Duration negotiation_timeout = 30s;  ///< from the offer to an open channel
inline constexpr Duration offer_timeout = 10s;        ///< until its answer
/// Others' offers that we look into: each costs two milliseconds, so this is a tenth of a core.
inline constexpr std::uint64_t offers_per_second = 50;
/// A description, and one of its candidates; what a data channel needs is a tenth of it.
inline constexpr std::size_t description_bytes_max = 16 << 10;
inline constexpr std::size_t candidate_bytes_max = 256;
/// Of one side: host, server-reflexive and relayed ones of five interfaces.
inline constexpr std::size_t candidates_max = 20;

// ---- Streams -----------------------------------------------------------------------------------

/// What a new stream may carry before its reader has said a word; the protocol's.
inline constexpr std::size_t stream_window_initial = 64 << 10;
/// What a reader that keeps up grants in the end: 40 MB/s over 100 ms.
inline constexpr std::size_t stream_window_max = 4 << 20;
/// One turn of a stream on a link, and what one envelope carries of streams: small enough that an
/// urgent one beside it waits 0.1 ms at 1 Gbit/s, large enough that its headers cost 1 %.
inline constexpr std::size_t stream_turn_bytes_max = 16 << 10;
/// What a writer may leave with us beyond what its reader has granted.
inline constexpr std::size_t stream_unsent_bytes_max = 256 << 10;
/// What a stream is for, as its opener says.
inline constexpr std::size_t stream_label_bytes_max = 64;
/// With one peer, whoever opened them: each is promised a window.
inline constexpr std::size_t streams_per_peer_max = 4096;
/// Pieces of one stream that came before what they follow. A window of full turns is 256.
inline constexpr std::size_t stream_early_pieces_max = 1024;
static_assert(stream_window_max / stream_turn_bytes_max <= stream_early_pieces_max);
inline constexpr Duration stream_open_timeout = 15s;

// ---- Membership --------------------------------------------------------------------------------

inline constexpr std::size_t fingers_per_bucket = 3;
inline constexpr std::size_t leaf_links = 6;           ///< of a node that nobody can dial
inline constexpr std::size_t contacts_per_bucket = 8;  ///< Kademlia's k, for peers not linked
inline constexpr std::size_t contacts_per_subnet = 2;  ///< of those, from one /24 or /48
inline constexpr std::size_t dials_in_flight_max = 8;
inline constexpr std::size_t lookups_in_flight_max = 8;
inline constexpr Duration lookup_timeout = 3s;
inline constexpr Duration dial_timeout = 10s;            ///< TCP, TLS and the upgrade together
inline constexpr Duration sibling_exchange_every = 30s;  ///< with jitter of a half
inline constexpr Duration bucket_refresh_after = 600s;
inline constexpr Duration join_timeout = 5s;  ///< then whoever we are linked to must do
inline constexpr std::size_t bootstrap_dials_max = 3;
inline constexpr Duration bootstrap_backoff_min = 500ms;
inline constexpr Duration bootstrap_backoff_max = 60s;
inline constexpr Duration failed_contact_shunned_for = 60s;
inline constexpr std::size_t failed_contacts_max = 256;
inline constexpr Duration contact_lifetime = 24h;
inline constexpr std::size_t connects_max = 256;  ///< connect() calls under way
inline constexpr std::size_t probes_max = 4;      ///< dial-backs for others at one time
/// Contact records of hearsay whose signature we check in a second: a tenth of a core.
inline constexpr std::uint64_t proofs_per_second = 1000;
/// An answer is up to forty times its question; nobody needs more of them from one node.
inline constexpr std::uint64_t lookup_answers_per_second = 1000;
inline constexpr std::size_t peer_cache_max = 64;  ///< contacts kept for the next start
/// Nodes that carry messages of npm peer-relay 0.0.2: whose records we keep, so that they find each
/// other, and to how many of them one such node is linked for its own sake.
inline constexpr std::size_t legacy_kin_max = 32;
inline constexpr std::size_t legacy_kin_links = 8;

/// One text of the old network. 64 KiB of bytes are up to 260 KiB as it spells them; the same again
/// for applications that send large JSON. Old nodes take 100 MiB.
inline constexpr std::size_t legacy_text_bytes_max = 512 << 10;

}  // namespace peer_relay::limits

namespace peer_relay {

/// What a node grants to others; the defaults suit a relay on a small server.
struct Limits {
  std::size_t links_max = 64;       ///< the budget; browsers have 24
  std::size_t links_hard_max = 96;  ///< with those that improve the table, before others leave
  std::size_t leaves_max = 4096;    ///< peers that nobody can dial: clients; about 4 KiB each
  std::size_t sessions_max = 4096;  ///< sealed conversations kept: about 1 KiB each
  std::size_t stream_bytes_max = 256u << 20;  ///< promised to the writers of all streams together
  /// Of one peer of npm peer-exchange: what came and the application has not done with. That wire
  /// has no credit to grant, and whoever stops reading it stops its commands, too; so beyond this
  /// the connection ends.
  std::size_t exchange_unread_bytes_max = 4 << 20;
  std::uint64_t relay_bytes_per_second = 256u << 20;  ///< forwarded for one link
  std::uint64_t relay_frames_per_second = 2'000'000;  ///< forwarded for one link
  std::size_t half_open_max = 512;          ///< connections before their handshake, in total
  std::size_t half_open_per_host_max = 64;  ///< and from one address
  std::uint64_t notices_per_second = 10;    ///< unreachable notices to one source
  /// Each linked relay is tested this often for whether it passes on what it is given;
  /// Duration::max(): not at all. With 64 links about 200 B/s, all told.
  Duration audit_every = std::chrono::seconds{120};
};

}  // namespace peer_relay
