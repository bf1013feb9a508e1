// SPDX-License-Identifier: MIT
#include "words.hpp"

#include <fmt/format.h>

#include "text.hpp"

namespace peer_relay::app {
namespace {

std::string ended_at(const NodeId& where) {
  return where == NodeId{} ? "" : fmt::format(" (the way ended at {})", where.short_hex());
}

/// The name of a DialError, or what the system said.
std::string dial_sentence(const std::string& detail) {
  if (detail == name_of(DialError::refused)) return "nobody listens there";
  if (detail == name_of(DialError::timed_out)) return "no answer in time";
  if (detail == name_of(DialError::name_unknown)) return "no such name";
  if (detail == name_of(DialError::upgrade_refused)) return "no node there, but a web server";
  if (detail == name_of(CloseReason::transport_closed) ||
      detail == name_of(CloseReason::protocol_error)) {
    return "who listens there is no node, or has no room";
  }
  if (detail == name_of(CloseReason::handshake_timeout)) return "who listens there says nothing";
  const bool is_name = detail.find(' ') == std::string::npos;
  return detail.empty() ? "no link" : escaped(is_name ? in_words(detail) : detail, 200);
}

}  // namespace

std::string sentence_of(UnreachableReason reason, const NodeId& where) {
  using enum UnreachableReason;
  switch (reason) {
    case dead_end:
      return "no node of that id is in the network" + ended_at(where);
    case hops_spent:
      return "the way was too long" + ended_at(where);
    case queue_full:
      return "too much traffic on the way" + ended_at(where);
    case rate_limited:
      return "a relay limits our traffic" + ended_at(where);
    case no_links:
      return "we are linked to nobody";
    case session_refused:
      return "who answered could not prove that id";
    default:
      return in_words(name_of(reason)) + ended_at(where);
  }
}

std::string sentence_of(const SendResult& result) {
  using enum SendResult::Outcome;
  switch (result.outcome) {
    case unreachable:
      return "unreachable: " + sentence_of(result.reason, result.where);
    case refused:
      return std::string{describe(result.error)};
    case timed_out:
      return fmt::format("timed out: no answer within {} ({})", duration_text(result.elapsed),
                         counted(static_cast<std::uint64_t>(result.attempts), "attempt"));
    case delivered:
      return "delivered: " + delivery_text(result);
    case unconfirmed:
      return "sent into the old network, where nobody confirms anything";
  }
  return "";
}

std::string sentence_of(const StreamError& error) {
  using enum StreamEnd;
  switch (error.end) {
    case reset:
      return error.code == 0 ? "the other side gave up"
                             : fmt::format("the other side gave up, with code {}", error.code);
    case refused:
      return "the other side takes no such stream";
    case limit:
      return "as many streams as one of the two nodes keeps stand already";
    case unknown:
      return "the other node was started anew and does not know the stream any longer";
    case protocol_error:
      return "the other node sent what no node of this protocol sends";
    case shutdown:
      return "the other node went away";
    case unreachable:
      return "no way to that node was found";
    case timed_out:
      return "no answer from that node";
    case finished:
    case count_:
      break;
  }
  return "it ended";
}

std::string sentence_of(const Problem& problem) {
  using enum Problem::Kind;
  const std::string detail = escaped(problem.detail, 200);
  switch (problem.kind) {
    case wrong_network:
      return fmt::format("belongs to the network '{}', not to ours", detail);
    case wrong_version:
      return "speaks another version of the protocol" + (detail.empty() ? "" : ": " + detail);
    case bootstrap_failed:
    case dial_failed:
      return dial_sentence(problem.detail);
    case isolated:
      return "the last link is lost; trying to get back";
    default:
      return detail.empty() ? in_words(name_of(problem.kind)) : in_words(detail);
  }
}

std::string sentence_of(CloseReason reason) {
  switch (reason) {
    case CloseReason::shutdown:
      return "it shut down";
    case CloseReason::transport_closed:
      return "the connection was closed";
    case CloseReason::transport_error:
      return "the connection broke";
    case CloseReason::keepalive_timeout:
      return "nothing was heard of it any more";
    default:
      return in_words(name_of(reason));
  }
}

std::string delivery_text(const SendResult& result) {
  const std::string again =
      result.attempts > 1 ? fmt::format(", {} attempts", result.attempts) : "";
  return fmt::format("{}, {}{}", counted(static_cast<std::uint64_t>(result.hops), "hop"),
                     duration_text(result.round_trip), again);
}

}  // namespace peer_relay::app
