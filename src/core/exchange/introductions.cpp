// SPDX-License-Identifier: MIT
//
// How peers come by peers. Each node has three parts to play: it asks one of its peers for another,
// it names one of its own to who asks, and it is the one that was named.
#include <algorithm>
#include <utility>

#include "core/exchange/old_connection.hpp"
#include "core/exchange/old_exchange.hpp"
#include "core/old_signal.hpp"
#include "peer_relay/address.hpp"

namespace peer_relay {

using exchange::FrameType;
using Step = NegotiateWish::Step;

namespace {

/// Those of other rooms count from 1, and the old relays' have the highest bit.
constexpr std::uint64_t own_bit = std::uint64_t{1} << 62;
constexpr std::uint64_t others_bit = std::uint64_t{1} << 63;

bool is_own(std::uint64_t number) { return (number & own_bit) != 0 && (number & others_bit) == 0; }

/// A node sees IPv4 as IPv6.
std::string_view without_mapping(std::string_view address) {
  constexpr std::string_view prefix = "::ffff:";
  const bool is_mapped = address.starts_with(prefix) && address.contains('.');
  return is_mapped ? address.substr(prefix.size()) : address;
}

/// Where an answer leads to, if that is a place for us.
std::optional<Address> place_of(const exchange::Answer& answer, std::string_view told_by) {
  const std::string_view host = without_mapping(answer.address);
  if (!is_ip_address(host) || answer.opts.port == 0) return std::nullopt;
  const Reach reach = reach_of_host(host);
  if (reach == Reach::nowhere) return std::nullopt;
  // Or anybody could have us knock at our own doors.
  if (reach == Reach::loopback && reach_of_host(told_by) != Reach::loopback) return std::nullopt;
  const bool is_tcp = *answer.transport == ExchangeTransport::tcp;
  Address out{.scheme = is_tcp               ? Scheme::tcp
                        : answer.opts.secure ? Scheme::wss
                                             : Scheme::ws,
              .host = std::string{host},
              .port = answer.opts.port};
  // In lower case, as addresses are.
  std::ranges::transform(out.host, out.host.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

}  // namespace

bool OldExchange::owns(DialId dial) { return is_own(static_cast<std::uint64_t>(dial)); }
bool OldExchange::owns(NegotiationId id) { return is_own(static_cast<std::uint64_t>(id)); }

// ---- Asking -----------------------------------------------------------------------------------

ExchangeRequest OldExchange::connect(const Address& address, Outbox& out) {
  const ExchangeRequest request = ++last_request_;
  const bool is_tcp = address.scheme == Scheme::tcp;
  join(address, is_tcp ? ExchangeTransport::tcp : ExchangeTransport::websocket, request, out);
  return request;
}

void OldExchange::join(const Address& address, ExchangeTransport transport, ExchangeRequest request,
                       Outbox& out) {
  if (is_shut_down_) return fail(request, ExchangeFailure::shutdown, out);
  if (dials_.size() >= exchange::requests_max) return fail(request, ExchangeFailure::limit, out);
  const DialId dial{own_bit | ++last_dial_};
  dials_.emplace(dial, Dialing{.request = request, .transport = transport});
  ++out.stats().dials;
  out.wish(DialWish{.dial = dial, .address = address, .is_stream = true});
}

void OldExchange::dial_failed(DialId dial, DialError error, Outbox& out) {
  const auto dialing = dials_.extract(dial);
  if (!dialing) return;
  ++out.stats().dials_failed;
  ++out.stats().dial_errors[static_cast<std::size_t>(error)];
  out.notify(NotifyWish::ExchangeFailed{.request = dialing.mapped().request,
                                        .why = ExchangeFailure::dial_failed,
                                        .dial_error = error});
}

ExchangeRequest OldExchange::seek_peer(std::optional<ExchangePeerId> from, TimePoint now,
                                       Outbox& out) {
  const ExchangeRequest request = ++last_request_;
  const auto refused = [&](ExchangeFailure why) {
    fail(request, why, out);
    return request;
  };
  if (is_shut_down_) return refused(ExchangeFailure::shutdown);
  if (questions_.size() >= exchange::requests_max) return refused(ExchangeFailure::limit);
  if (!from && !peers_.empty()) {
    from =
        std::next(peers_.begin(), static_cast<std::ptrdiff_t>(random_.below(peers_.size())))->first;
  }
  const auto at = from ? peers_.find(*from) : peers_.end();
  if (at == peers_.end()) return refused(ExchangeFailure::no_peers);
  const std::string question = number();
  questions_[question] = {
      .request = request, .link = at->second, .deadline = now + exchange::answer_timeout};
  arm(now + exchange::answer_timeout);
  tell(at->second, *find(at->second), exchange::get_peer_line(question), out);
  return request;
}

void OldExchange::handle(LinkId id, Connection& link, const exchange::Answer& answer, TimePoint now,
                         Outbox& out) {
  const auto at = questions_.find(answer.request);
  if (at == questions_.end() || at->second.link != id) {
    return out.drop(DropReason::contact_unwanted);
  }
  const ExchangeRequest request = at->second.request;
  questions_.erase(at);
  if (!answer.transport || answer.address.empty()) {
    return fail(request, ExchangeFailure::nobody, out);
  }
  if (*answer.transport != ExchangeTransport::webrtc) {
    const auto place = place_of(answer, link.start.remote_host);
    if (place) return join(*place, *answer.transport, request, out);
  } else if (options_.makes_channels && exchange::is_number_like(answer.nonce)) {
    if (negotiate(id, answer.nonce, request, now, out)) return;
    return fail(request, ExchangeFailure::limit, out);
  }
  out.drop(DropReason::contact_unwanted);
  fail(request, ExchangeFailure::bad_answer, out);
}

// ---- Introducing ------------------------------------------------------------------------------

std::vector<LinkId> OldExchange::accepting(ExchangeTransport transport, LinkId but) const {
  std::vector<LinkId> out;
  for (const auto& [peer, id] : peers_) {
    const Connection& link = *links_.at(id);
    const auto& opts = link.hello.accepts[static_cast<std::size_t>(transport)];
    const bool is_useful = opts && (transport == ExchangeTransport::webrtc || opts->port != 0);
    if (id != but && is_useful && !link.start.remote_host.empty()) out.push_back(id);
  }
  return out;
}

/// A transport at random, of those that would do, and then a peer.
void OldExchange::handle(LinkId id, Connection& link, const exchange::GetPeer& ask, TimePoint now,
                         Outbox& out) {
  if (!link.is_up()) return out.drop(DropReason::not_open);
  if (!exchange::is_number_like(ask.request)) return out.drop(DropReason::malformed);
  std::vector<std::pair<ExchangeTransport, std::vector<LinkId>>> choices;
  for (std::uint8_t i = 0; i < exchange_transports; ++i) {
    if (!link.hello.transports[i]) continue;
    auto peers = accepting(ExchangeTransport{i}, id);
    if (!peers.empty()) choices.emplace_back(ExchangeTransport{i}, std::move(peers));
  }
  if (choices.empty()) return tell(id, link, exchange::nobody_line(ask.request), out);
  const auto& [transport, peers] = choices[random_.below(choices.size())];
  const LinkId chosen = peers[random_.below(peers.size())];
  const Connection& other = *find(chosen);
  const exchange::Answer answer{.request = ask.request,
                                .transport = transport,
                                .opts = *other.hello.accepts[static_cast<std::size_t>(transport)],
                                .address = other.start.remote_host,
                                .nonce = number()};
  if (transport == ExchangeTransport::webrtc && !introduce(id, chosen, answer.nonce, now, out)) {
    return tell(id, link, exchange::nobody_line(ask.request), out);
  }
  tell(id, link, exchange::answer_line(answer), out);
}

/// A channel through us.
bool OldExchange::introduce(LinkId asker, LinkId chosen, const std::string& nonce, TimePoint now,
                            Outbox& out) {
  if (introductions_.size() >= exchange::introductions_max) {
    out.drop(DropReason::stream_limit);
    return false;
  }
  const std::uint64_t introduction = ++last_introduction_;
  if (!add_relay(*find(asker), nonce, {.introduction = introduction})) {
    out.drop(DropReason::stream_limit);
    return false;
  }
  if (!add_relay(*find(chosen), nonce, {.introduction = introduction})) {
    end_relay(asker, nonce, out);
    out.drop(DropReason::stream_limit);
    return false;
  }
  const TimePoint deadline = now + exchange::introduction_lasts;
  introductions_[introduction] = {
      .asker = asker, .chosen = chosen, .nonce = nonce, .deadline = deadline};
  arm(deadline);
  tell(chosen, *find(chosen), exchange::incoming_line(nonce), out);
  return true;
}

/// Byte for byte, as far as there is a place for it.
void OldExchange::pass_on(LinkId from, std::uint64_t introduction, BytesView bytes, Outbox& out) {
  const auto at = introductions_.find(introduction);
  if (at == introductions_.end()) return out.drop(DropReason::stream_unknown);
  const Introduction& both = at->second;
  const LinkId to = both.asker == from ? both.chosen : both.asker;
  std::size_t& passed = find(from)->relays.at(both.nonce).bytes;
  passed += bytes.size();
  const bool has_room = find(to)->framed_bytes() + bytes.size() <= exchange::framed_for_relays_max;
  if (passed > exchange::relay_bytes_max || !has_room) {
    out.drop(DropReason::queue_full);
    return end_introduction(at, out);
  }
  say(to, both.nonce, bytes);
}

void OldExchange::end_introduction(Introductions::iterator at, Outbox& out) {
  const Introduction both = std::move(at->second);
  introductions_.erase(at);
  end_relay(both.asker, both.nonce, out);
  end_relay(both.chosen, both.nonce, out);
}

// ---- Relays: channels through a node ------------------------------------------------------------

/// False where there are too many, or one of that name.
bool OldExchange::add_relay(Connection& link, const std::string& nonce, Relay relay) {
  if (link.relays.size() >= exchange::relays_per_link_max ||
      link.numbers_used.size() >= exchange::relay_numbers_max || link.relays.contains(nonce)) {
    return false;
  }
  relay.number = Connection::relay_number_min;
  while (link.numbers_used.contains(relay.number)) ++relay.number;
  link.numbers_used.insert(relay.number);
  link.relays.emplace(nonce, std::move(relay));
  return true;
}

/// On a channel of ours, which is opened when there is something to say.
void OldExchange::say(LinkId id, const std::string& nonce, BytesView bytes) {
  Connection& link = *find(id);
  Relay& relay = link.relays.at(nonce);
  if (!std::exchange(relay.is_open, true)) {
    exchange::append_frame(FrameType::open, relay.number, as_bytes("relay:" + nonce), link.framed);
  }
  exchange::append_frame(FrameType::opener_data, relay.number, bytes, link.framed);
  touch(id, link);
}

/// Ours. The number is free again when the other side has read the end.
void OldExchange::end_relay(LinkId id, const std::string& nonce, Outbox& out) {
  Connection* const link = find(id);
  if (link == nullptr) return;
  auto relay = link->relays.extract(nonce);
  if (!relay) return;
  if (relay.mapped().is_open) {
    exchange::append_frame(FrameType::opener_end, relay.mapped().number, {}, link->framed);
    ++out.stats().frames_out;
    touch(id, *link);
  } else {
    link->numbers_used.erase(relay.mapped().number);
  }
}

/// Theirs, or their whole connection.
void OldExchange::relay_ended(LinkId id, Connection& link, const std::string& nonce, Outbox& out) {
  const auto at = link.relays.find(nonce);
  if (at == link.relays.end()) return;
  const auto introduction = introductions_.find(at->second.introduction);
  if (introduction != introductions_.end()) return end_introduction(introduction, out);
  if (at->second.negotiation) {
    // Once all is said it does not need us any more.
    const auto negotiation = negotiations_.find(*at->second.negotiation);
    if (negotiation != negotiations_.end() && !negotiation->second.is_described) {
      end_negotiation(negotiation, ExchangeFailure::no_answer, true, out);
    }
  }
  end_relay(id, nonce, out);
}

// ---- Agreeing on a data channel ---------------------------------------------------------------

void OldExchange::handle(LinkId id, Connection& link, const exchange::Incoming& incoming,
                         TimePoint now, Outbox& out) {
  if (!link.is_up()) return out.drop(DropReason::not_open);
  const bool is_wanted = incoming.transport == ExchangeTransport::webrtc &&
                         accepts(ExchangeTransport::webrtc) && options_.makes_channels &&
                         exchange::is_number_like(incoming.nonce);
  if (!is_wanted) return out.drop(DropReason::contact_unwanted);
  if (!negotiate(id, incoming.nonce, std::nullopt, now, out)) out.drop(DropReason::stream_limit);
}

/// Who asked offers, and who was chosen waits for it.
bool OldExchange::negotiate(LinkId middle, const std::string& nonce,
                            std::optional<ExchangeRequest> request, TimePoint now, Outbox& out) {
  if (is_shut_down_ || negotiations_.size() >= exchange::negotiations_max) return false;
  const NegotiationId id{own_bit | ++last_negotiation_};
  const TimePoint relay_ends = now + 2 * exchange::introduction_lasts;
  if (!add_relay(*find(middle), nonce, {.negotiation = id, .expires = relay_ends})) return false;
  const TimePoint deadline = now + limits::negotiation_timeout;
  negotiations_[id] = {.middle = middle, .nonce = nonce, .request = request, .deadline = deadline};
  arm(deadline);
  if (request) {
    out.wish(NegotiateWish{
        .negotiation = id, .step = Step::offer, .trickles = false, .is_stream = true});
  }
  return true;
}

void OldExchange::take_signals(LinkId, Connection& link, const std::string& nonce, BytesView bytes,
                               Outbox& out) {
  Relay& relay = link.relays.at(nonce);
  if (!relay.negotiation) return out.drop(DropReason::contact_unwanted);
  const NegotiationId negotiation = *relay.negotiation;
  relay.bytes += bytes.size();
  while (const auto line = relay.lines.next(bytes)) {
    if (!take_signal(negotiation, *line, out)) break;
  }
  if (relay.bytes <= exchange::relay_bytes_max && !relay.lines.is_overlong()) return;
  out.drop(DropReason::rate_limited);
  const auto at = negotiations_.find(negotiation);
  if (at != negotiations_.end()) end_negotiation(at, ExchangeFailure::bad_answer, true, out);
}

/// False if nothing more is wanted.
bool OldExchange::take_signal(NegotiationId id, std::string_view line, Outbox& out) {
  const auto at = negotiations_.find(id);
  if (at == negotiations_.end()) return false;
  Negotiation& negotiation = at->second;
  const auto signal = read_signal(line);
  const auto refuse = [&](DropReason reason) {
    out.drop(reason);
    end_negotiation(at, ExchangeFailure::bad_answer, true, out);
    return false;
  };
  if (!signal) return refuse(DropReason::malformed);
  if (signal->step == OldSignal::Step::candidate) {
    const bool is_early = !negotiation.request && !negotiation.is_described;
    if (is_early || ++negotiation.candidates > limits::candidates_max) {
      out.drop(is_early ? DropReason::not_open : DropReason::rate_limited);
      return true;
    }
    out.wish(NegotiateWish{.negotiation = id, .step = Step::candidate, .text = signal->text});
    return true;
  }
  const bool is_answer = signal->step == OldSignal::Step::answer;
  const bool is_due = is_answer == negotiation.request.has_value();
  if (!is_due || std::exchange(negotiation.is_described, true)) {
    return refuse(DropReason::contact_unwanted);
  }
  out.wish(NegotiateWish{.negotiation = id,
                         .step = is_answer ? Step::take : Step::answer,
                         .text = signal->text,
                         .trickles = false,
                         .is_stream = true});
  return true;
}

void OldExchange::described(NegotiationId id, std::string_view sdp, Outbox& out) {
  const auto at = negotiations_.find(id);
  if (at == negotiations_.end()) return;
  const Negotiation& negotiation = at->second;
  Connection* const middle = find(negotiation.middle);
  const bool is_open = middle != nullptr && middle->relays.contains(negotiation.nonce);
  if (!is_open || sdp.size() > limits::description_bytes_max) {
    return end_negotiation(at, ExchangeFailure::no_answer, true, out);
  }
  const auto step = negotiation.request ? OldSignal::Step::offer : OldSignal::Step::answer;
  say(negotiation.middle, negotiation.nonce, as_bytes(signal_text(step, sdp) + "\n"));
}

void OldExchange::channel_failed(NegotiationId id, DialError error, Outbox& out) {
  const auto at = negotiations_.find(id);
  if (at == negotiations_.end()) return;
  ++out.stats().dials_failed;
  ++out.stats().dial_errors[static_cast<std::size_t>(error)];
  if (const auto request = std::exchange(at->second.request, std::nullopt)) {
    out.notify(NotifyWish::ExchangeFailed{
        .request = *request, .why = ExchangeFailure::dial_failed, .dial_error = error});
  }
  end_negotiation(at, ExchangeFailure::dial_failed, false, out);
}

/// The relay is left to die by itself: what still comes on it is nobody's any more.
void OldExchange::end_negotiation(Negotiations::iterator at, ExchangeFailure why, bool is_told,
                                  Outbox& out) {
  const Negotiation over = std::move(at->second);
  const NegotiationId id = at->first;
  negotiations_.erase(at);
  if (Connection* const middle = find(over.middle)) {
    const auto relay = middle->relays.find(over.nonce);
    if (relay != middle->relays.end()) {
      relay->second.negotiation.reset();
      arm(relay->second.expires);
    }
  }
  // Nothing was begun where the other side's offer has not come.
  const bool is_begun = over.request || over.is_described;
  if (is_told && is_begun) out.wish(NegotiateWish{.negotiation = id, .step = Step::abandon});
  if (over.request) fail(*over.request, why, out);
}

bool OldExchange::channel_opened(NegotiationId id, LinkId link, LinkStart start, TimePoint now,
                                 Outbox& out) {
  const auto at = negotiations_.find(id);
  if (at == negotiations_.end()) return false;
  const auto request = std::exchange(at->second.request, std::nullopt);
  end_negotiation(at, ExchangeFailure::closed, false, out);
  start.transport = ExchangeTransport::webrtc;
  begin(link, std::move(start), request ? now + exchange::greeting_held : now, now, out);
  find(link)->request = request;
  if (find(link)->stage == Connection::Stage::ended && request) {
    fail(*request, ExchangeFailure::limit, out);
  }
  return true;
}

}  // namespace peer_relay
