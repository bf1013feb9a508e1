// SPDX-License-Identifier: MIT
//
// Links to old nodes over data channels, where one of the two can't be dialed. Who was offered a
// handshake and answers that it speaks WebRTC is the one who is called: the asker makes the offer.
#include <algorithm>
#include <utility>

#include "core/legacy/legacy.hpp"
#include "core/legacy/old_link.hpp"
#include "core/old_signal.hpp"

namespace peer_relay {

using legacy::OldMessage;
using Step = NegotiateWish::Step;

namespace {

/// Negotiations of other rooms count from 1.
constexpr std::uint64_t negotiation_bit = std::uint64_t{1} << 63;

/// Old nodes' offers have none.
constexpr std::uint64_t no_number = 0;

}  // namespace

bool Legacy::owns(NegotiationId id) {
  return (static_cast<std::uint64_t>(id) & negotiation_bit) != 0;
}

std::map<NegotiationId, Legacy::Channel>::iterator Legacy::channel_of(const NodeId& peer) {
  return std::ranges::find_if(channels_,
                              [&](const auto& entry) { return entry.second.peer == peer; });
}

/// An old node's connection takes no candidates after its channel is open, so ours stand in the
/// description.
void Legacy::begin_channel(const NodeId& peer, bool is_ours, std::string offer, TimePoint now,
                           Outbox& out) {
  if (channels_.size() >= legacy::channels_max) return out.drop(DropReason::contact_limit);
  const NegotiationId id{negotiation_bit | ++last_negotiation_};
  channels_.emplace(
      id, Channel{.peer = peer, .is_ours = is_ours, .deadline = now + limits::negotiation_timeout});
  out.wish(NegotiateWish{.negotiation = id,
                         .step = is_ours ? Step::offer : Step::answer,
                         .text = std::move(offer),
                         .trickles = false});
  arm_tick(now);
}

void Legacy::take_signal(const OldMessage& message, TimePoint now, Outbox& out) {
  if (!options_.makes_channels || is_shut_down_) return out.drop(DropReason::unknown_frame);
  auto signal = read_signal(message.content);
  if (!signal) return out.drop(DropReason::malformed);
  const auto at = channel_of(message.from);
  const bool is_known = at != channels_.end();
  switch (signal->step) {
    case OldSignal::Step::offer: {
      // Only those whom we have told that they may.
      const TimePoint* const invited = invited_.peek(message.from);
      const bool is_invited = invited != nullptr && now - *invited < legacy::invitation_lasts;
      if (is_known || !is_invited || refusal(message.from, out)) {
        return out.drop(DropReason::contact_unwanted);
      }
      invited_.erase(message.from);
      begin_channel(message.from, false, std::move(signal->text), now, out);
      const auto begun = channel_of(message.from);
      for (std::string& line : early_.take(message.from, no_number)) {
        if (begun != channels_.end()) pass_candidate(begun, std::move(line), out);
      }
      return;
    }
    case OldSignal::Step::answer:
      if (!is_known || !at->second.is_ours || std::exchange(at->second.is_answered, true)) {
        return out.drop(DropReason::contact_unwanted);
      }
      return out.wish(NegotiateWish{
          .negotiation = at->first, .step = Step::take, .text = std::move(signal->text)});
    case OldSignal::Step::candidate:
      if (is_known) return pass_candidate(at, std::move(signal->text), out);
      // Before the offer, or after the channel opened.
      return early_.keep(message.from, no_number, signal->text);
  }
}

void Legacy::pass_candidate(std::map<NegotiationId, Channel>::iterator at, std::string line,
                            Outbox& out) {
  if (++at->second.candidates > limits::candidates_max) return out.drop(DropReason::rate_limited);
  out.wish(
      NegotiateWish{.negotiation = at->first, .step = Step::candidate, .text = std::move(line)});
}

void Legacy::described(NegotiationId id, std::string_view sdp, TimePoint now, Outbox& out) {
  const auto at = channels_.find(id);
  if (at == channels_.end()) return;
  const Channel& channel = at->second;
  // One that speaks no WebRTC would die of it.
  if (speakers_.peek(channel.peer) == nullptr || sdp.size() > limits::description_bytes_max) {
    out.wish(NegotiateWish{.negotiation = id, .step = Step::abandon});
    channels_.erase(at);
    return;
  }
  const auto step = channel.is_ours ? OldSignal::Step::offer : OldSignal::Step::answer;
  originate(channel.peer, signal_data(step, sdp), now, out);
}

void Legacy::channel_failed(NegotiationId id, DialError error, Outbox& out) {
  if (channels_.erase(id) == 0) return;
  ++out.stats().dials_failed;
  ++out.stats().dial_errors[static_cast<std::size_t>(error)];
}

/// Nobody shows an id on such a link: it is the one with whom the signals were exchanged.
bool Legacy::channel_opened(NegotiationId id, LinkId link, LinkStart start, TimePoint now,
                            Outbox& out) {
  const auto at = channels_.find(id);
  if (at == channels_.end()) return false;
  const NodeId peer = at->second.peer;
  channels_.erase(at);
  early_.take(peer, no_number);
  opened(link, std::move(start), now, out);
  OldLink& old = *find(link);
  old.peer = peer;
  old.is_channel = true;
  if (const auto reason = refusal(peer, out)) {
    end(link, old, *reason, out);
  } else {
    come_up(link, old, now, out);
  }
  return true;
}

void Legacy::watch_channels(TimePoint now, Outbox& out) {
  for (auto at = channels_.begin(); at != channels_.end();) {
    if (now < at->second.deadline) {
      ++at;
      continue;
    }
    out.wish(NegotiateWish{.negotiation = at->first, .step = Step::abandon});
    ++out.stats().dials_failed;
    at = channels_.erase(at);
  }
}

}  // namespace peer_relay
