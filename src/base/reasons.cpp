// SPDX-License-Identifier: MIT
#include "peer_relay/reasons.hpp"

namespace peer_relay {

std::string_view name_of(DropReason reason) {
  using enum DropReason;
  switch (reason) {
    case dead_end:
      return "dead_end";
    case hops_spent:
      return "hops_spent";
    case queue_full:
      return "queue_full";
    case rate_limited:
      return "rate_limited";
    case malformed:
      return "malformed";
    case unknown_frame:
      return "unknown_frame";
    case forged_source:
      return "forged_source";
    case not_open:
      return "not_open";
    case no_session:
      return "no_session";
    case seal_broken:
      return "seal_broken";
    case replayed:
      return "replayed";
    case handshake_failed:
      return "handshake_failed";
    case handshake_crossed:
      return "handshake_crossed";
    case session_limit:
      return "session_limit";
    case duplicate:
      return "duplicate";
    case stream_unknown:
      return "stream_unknown";
    case stream_limit:
      return "stream_limit";
    case waiting_full:
      return "waiting_full";
    case expired:
      return "expired";
    case contact_forged:
      return "contact_forged";
    case contact_expired:
      return "contact_expired";
    case contact_unwanted:
      return "contact_unwanted";
    case contact_limit:
      return "contact_limit";
    case notice_unasked:
      return "notice_unasked";
    case count_:
      break;
  }
  return "unknown";
}

std::string_view name_of(CloseReason reason) {
  using enum CloseReason;
  switch (reason) {
    case shutdown:
      return "shutdown";
    case busy:
      return "busy";
    case duplicate:
      return "duplicate";
    case surplus:
      return "surplus";
    case protocol_error:
      return "protocol_error";
    case wrong_network:
      return "wrong_network";
    case wrong_version:
      return "wrong_version";
    case handshake_failed:
      return "handshake_failed";
    case self:
      return "self";
    case disconnected:
      return "disconnected";
    case probe_done:
      return "probe_done";
    case too_many_handshakes:
      return "too_many_handshakes";
    case handshake_timeout:
      return "handshake_timeout";
    case keepalive_timeout:
      return "keepalive_timeout";
    case transport_closed:
      return "transport_closed";
    case transport_error:
      return "transport_error";
    case queue_stalled:
      return "queue_stalled";
    case goodbye_timeout:
      return "goodbye_timeout";
    case unread:
      return "unread";
    case count_:
      break;
  }
  return "unknown";
}

std::string_view name_of(DialError error) {
  using enum DialError;
  switch (error) {
    case refused:
      return "refused";
    case timed_out:
      return "timed_out";
    case name_unknown:
      return "name_unknown";
    case unreachable:
      return "unreachable";
    case tls_failed:
      return "tls_failed";
    case upgrade_refused:
      return "upgrade_refused";
    case limit:
      return "limit";
    case unsupported:
      return "unsupported";
    case cancelled:
      return "cancelled";
    case no_answer:
      return "no_answer";
    case declined:
      return "declined";
    case bad_description:
      return "bad_description";
    case ice_failed:
      return "ice_failed";
    case dtls_failed:
      return "dtls_failed";
    case fingerprint_mismatch:
      return "fingerprint_mismatch";
    case channel_failed:
      return "channel_failed";
    case superseded:
      return "superseded";
    case count_:
      break;
  }
  return "unknown";
}

std::string_view name_of(UnreachableReason reason) {
  using enum UnreachableReason;
  switch (reason) {
    case none:
      return "none";
    case dead_end:
      return "dead_end";
    case hops_spent:
      return "hops_spent";
    case queue_full:
      return "queue_full";
    case rate_limited:
      return "rate_limited";
    case no_links:
      return "no_links";
    case session_refused:
      return "session_refused";
    case count_:
      break;
  }
  return "unknown";
}

std::string_view name_of(StreamEnd end) {
  using enum StreamEnd;
  switch (end) {
    case reset:
      return "reset";
    case refused:
      return "refused";
    case limit:
      return "limit";
    case unknown:
      return "unknown_stream";
    case protocol_error:
      return "protocol_error";
    case shutdown:
      return "shutdown";
    case finished:
      return "finished";
    case unreachable:
      return "unreachable";
    case timed_out:
      return "timed_out";
    case count_:
      break;
  }
  return "unknown";
}

}  // namespace peer_relay
