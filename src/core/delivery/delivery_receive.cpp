// SPDX-License-Identifier: MIT
//
// What other nodes send us: messages, each given to the application once, and acknowledgements.
#include <utility>

#include "core/delivery/delivery.hpp"

namespace peer_relay {

void Delivery::handle(const NodeId& from, std::uint8_t hops_left, BytesView bytes, TimePoint now,
                      Outbox& out) {
  const auto content = decode_content(bytes);
  if (!content) {
    const bool is_later_version = content.error() == DecodeError::unknown;
    return out.drop(is_later_version ? DropReason::unknown_frame : DropReason::malformed);
  }
  switch (content->kind) {
    case ContentKind::data:
      return give(from, hops_left, *content, out);
    case ContentKind::data_acked:
    case ContentKind::probe:
    case ContentKind::signal:
      return take_numbered(from, hops_left, *content, out);
    case ContentKind::acknowledge:
      return take_acknowledgement(from, *content, now, out);
    case ContentKind::stream_packet:
    case ContentKind::stream_ack:
      break;  // not decoded here: another room's
  }
}

void Delivery::take_numbered(const NodeId& from, std::uint8_t hops_left, const Content& content,
                             Outbox& out) {
  ReplayWindow& seen = window(from, content.epoch);
  const bool is_too_old = seen.next() > limits::replay_window + std::uint64_t{content.sequence};
  if (is_too_old) return out.drop(DropReason::duplicate);  // new or not: nobody can tell
  const bool is_new = seen.take(content.sequence);
  // A copy says that the acknowledgement before was lost, likely with the way it took.
  const auto attempt = static_cast<std::uint8_t>(is_new ? 0 : 1 + random_.below(notices_max));
  acknowledge(from, hops_left, content, attempt, out);
  if (!is_new) return out.drop(DropReason::duplicate);
  if (content.kind == ContentKind::data_acked) give(from, hops_left, content, out);
  if (content.kind == ContentKind::signal) {
    out.wish(SignalArrived{.from = from, .body = {content.payload.begin(), content.payload.end()}});
  }
}

void Delivery::give(const NodeId& from, std::uint8_t hops_left, const Content& content,
                    Outbox& out) {
  ++out.stats().messages_received;
  out.notify(Message{
      .from = from,
      .payload = {.type = content.type, .bytes = {content.payload.begin(), content.payload.end()}},
      .hops = hops_crossed(hops_left)});
}

void Delivery::acknowledge(const NodeId& to, std::uint8_t hops_left, const Content& content,
                           std::uint8_t attempt, Outbox& out) {
  out.wish(SealWish{.to = to,
                    .content = content_for_sealing({.kind = ContentKind::acknowledge,
                                                    .epoch = content.epoch,
                                                    .sequence = content.sequence,
                                                    .hops_left = hops_left}),
                    .attempt = attempt});
}

ReplayWindow& Delivery::window(const NodeId& from, std::uint32_t epoch) {
  Heard* heard = heard_.find(from);
  if (!heard) heard = &heard_.insert(from, Heard{}).value;
  auto& [newest, older] = heard->epochs;
  if (newest && newest->number == epoch) return newest->window;
  if (older && older->number == epoch) return older->window;
  older = std::exchange(newest, std::nullopt);
  return newest.emplace(Heard::Epoch{.number = epoch, .window = {}}).window;
}

void Delivery::take_acknowledgement(const NodeId& from, const Content& content, TimePoint now,
                                    Outbox& out) {
  const auto named = numbers_.find(number_of(content.epoch, content.sequence));
  if (named == numbers_.end()) return;  // of a copy; the first one has ended it
  const MessageId message = named->second;
  const Send& send = sends_.at(message);
  if (send.to != from) return out.drop(DropReason::forged_source);

  Target& target = targets_.at(from);
  target.has_acknowledged = true;
  // An acknowledgement can overtake the word that the content left, where it rode in a handshake.
  const bool has_left = send.attempts > 0;
  const Duration round_trip = now - (has_left ? send.left : send.handed);
  const bool is_measure = send.attempts == 1 && !send.rode_handshake && send.stage == Stage::flying;
  if (is_measure) target.round_trip.measure(round_trip);
  finish(message,
         {.outcome = SendResult::Outcome::delivered,
          .hops = hops_crossed(content.hops_left),
          .round_trip = round_trip},
         now, out);
}

}  // namespace peer_relay
