// SPDX-License-Identifier: MIT
//
// Connections: their channels, their commands, what leaves by them. Who meets whom is in
// introductions.cpp.
#include "core/exchange/old_exchange.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/text.hpp"
#include "core/exchange/old_connection.hpp"

namespace peer_relay {

using exchange::FrameType;

namespace {

constexpr std::string_view commands_name = "pxp";
constexpr std::string_view data_name = "data";
constexpr std::string_view relay_prefix = "relay:";

}  // namespace

OldExchange::OldExchange(Random random, Options options)
    : random_(random), options_(std::move(options)) {}

OldExchange::~OldExchange() = default;

OldExchange::Connection* OldExchange::find(LinkId link) {
  const auto at = links_.find(link);
  return at == links_.end() ? nullptr : at->second.get();
}

OldExchange::Connection* OldExchange::find(ExchangePeerId peer) {
  const auto at = peers_.find(peer);
  return at == peers_.end() ? nullptr : find(at->second);
}

const OldExchange::Connection* OldExchange::find(ExchangePeerId peer) const {
  const auto at = peers_.find(peer);
  return at == peers_.end() ? nullptr : links_.at(at->second).get();
}

void OldExchange::arm(TimePoint at) { wake_at_ = std::min(wake_at_, at); }

std::string OldExchange::number() {
  constexpr std::string_view hex = "0123456789abcdef";
  std::string out;
  do {
    out.clear();
    for (int word = 0; word < 2; ++word) {
      for (std::uint64_t bits = random_.next(), i = 0; i < 16; ++i, bits >>= 4) {
        out += hex[bits & 15];
      }
    }
  } while (!exchange::is_number_like(out));
  return out;
}

void OldExchange::fail(ExchangeRequest request, ExchangeFailure why, Outbox& out) {
  out.notify(NotifyWish::ExchangeFailed{.request = request, .why = why});
}

// ---- Links ------------------------------------------------------------------------------------

void OldExchange::opened(LinkId id, LinkStart start, TimePoint now, Outbox& out) {
  begin(id, std::move(start), now, now, out);
}

void OldExchange::begin(LinkId id, LinkStart start, TimePoint greets_at, TimePoint now,
                        Outbox& out) {
  auto fresh = std::make_unique<Connection>();
  Connection& link = *fresh;
  link.start = std::move(start);
  if (link.start.dial) {
    if (const auto dialing = dials_.extract(*link.start.dial)) {
      link.request = dialing.mapped().request;
      link.start.transport = dialing.mapped().transport;
    }
  }
  const bool is_full = links_.size() >= exchange::links_max || has_many_strangers(link.start);
  const bool inserted = links_.emplace(id, std::move(fresh)).second;
  PEER_RELAY_ASSERT(inserted);
  if (is_shut_down_) return end(id, link, CloseReason::shutdown, false, now, out);
  if (is_full) {
    ++out.stats().refused_connections;
    return end(id, link, CloseReason::busy, false, now, out);
  }
  link.deadline = now + options_.handshake_timeout;
  arm(link.deadline);
  link.greets_at = greets_at;
  arm(greets_at);
  if (now >= greets_at) greet(id, link, out);
}

void OldExchange::greet(LinkId id, Connection& link, Outbox& out) {
  link.greets_at = never;
  exchange::append_frame(FrameType::open, Connection::commands_number, as_bytes(commands_name),
                         link.framed);
  exchange::OwnHello hello{.network = options_.network, .accepts = accepts_};
  hello.transports = {true, true, options_.makes_channels};
  if (link.start.transport != ExchangeTransport::websocket) {
    hello.receiver_address = link.start.remote_host;
  }
  link.told = accepts_;
  tell(id, link, exchange::hello_line(hello), out);
}

/// Of one host, that have not said hello.
bool OldExchange::has_many_strangers(const LinkStart& start) const {
  if (start.dial) return false;
  const auto count = std::ranges::count_if(links_, [&](const auto& entry) {
    const Connection& link = *entry.second;
    return link.stage == Connection::Stage::hello_awaited && !link.start.dial &&
           link.start.remote_host == start.remote_host;
  });
  return static_cast<std::size_t>(count) >= limits::handshakes_per_host_max;
}

/// A line of ours on "pxp".
void OldExchange::tell(LinkId id, Connection& link, std::string_view line, Outbox& out) {
  if (link.stage == Connection::Stage::ended) return;
  exchange::append_frame(FrameType::opener_data, Connection::commands_number, as_bytes(line),
                         link.framed);
  ++out.stats().frames_out;
  touch(id, link);
}

void OldExchange::touch(LinkId id, Connection& link) {
  if (link.is_dirty) return;
  link.is_dirty = true;
  dirty_.push(id);
}

void OldExchange::received(LinkId id, BytesView bytes, TimePoint now, Outbox& out) {
  Connection* const link = find(id);
  if (link == nullptr || link->stage == Connection::Stage::ended) return;
  out.stats().bytes_in += bytes.size();
  if (link->greets_at != never) greet(id, *link, out);
  while (link->stage != Connection::Stage::ended) {
    const auto piece = link->frames.next(bytes);
    if (!piece) break;
    if (piece->is_last) ++out.stats().frames_in;
    switch (piece->type) {
      case FrameType::open:
        take_open(*link, piece->channel, as_text(piece->bytes), out);
        break;
      case FrameType::opener_data:
        take_data(id, *link, piece->channel, piece->bytes, piece->is_last, now, out);
        break;
      case FrameType::receiver_data:
        // Shared channels are written by those who opened them, so nobody writes on ours.
        if (piece->is_last) out.drop(DropReason::stream_unknown);
        break;
      case FrameType::receiver_end:
        take_answered_end(*link, piece->channel);
        break;
      case FrameType::opener_end:
        take_end(id, *link, piece->channel, out);
        break;
      case FrameType::receiver_destroy:
        take_answered_destroy(id, *link, piece->channel, now, out);
        break;
      case FrameType::opener_destroy:
        take_destroy(id, *link, piece->channel, now, out);
        break;
      case FrameType::nothing:
        break;
    }
  }
  if (link->frames.is_broken() && link->stage != Connection::Stage::ended) {
    out.drop(DropReason::malformed);
    end(id, *link, CloseReason::protocol_error, false, now, out);
  }
  if (link->framed_bytes() > exchange::framed_bytes_max &&
      link->stage != Connection::Stage::ended) {
    out.drop(DropReason::queue_full);
    end(id, *link, CloseReason::queue_stalled, false, now, out);
  }
}

/// A name is matched once. What means nothing is not kept: what comes on it is dropped.
void OldExchange::take_open(Connection& link, std::uint32_t channel, std::string_view name,
                            Outbox& out) {
  using Kind = Connection::Theirs::Kind;
  link.theirs.erase(channel);
  if (name == commands_name && !std::exchange(link.has_commands, true)) {
    link.theirs[channel] = {.kind = Kind::commands};
  } else if (name == data_name && !std::exchange(link.has_data, true)) {
    link.theirs[channel] = {.kind = Kind::data};
  } else if (name.starts_with(relay_prefix) && link.theirs.size() < exchange::channels_max) {
    const auto relay = link.relays.find(std::string{name.substr(relay_prefix.size())});
    if (relay == link.relays.end() || std::exchange(relay->second.is_matched, true)) {
      return out.drop(DropReason::stream_unknown);
    }
    link.theirs[channel] = {.kind = Kind::relay, .nonce = relay->first};
  } else {
    out.drop(DropReason::stream_unknown);
  }
}

void OldExchange::take_data(LinkId id, Connection& link, std::uint32_t channel, BytesView bytes,
                            bool is_last, TimePoint now, Outbox& out) {
  using Kind = Connection::Theirs::Kind;
  const auto at = link.theirs.find(channel);
  if (at == link.theirs.end()) {
    if (is_last) out.drop(DropReason::stream_unknown);
    return;
  }
  switch (at->second.kind) {
    case Kind::commands: {
      if (link.is_commands_ended) {
        out.drop(DropReason::malformed);
        return end(id, link, CloseReason::protocol_error, false, now, out);
      }
      while (link.stage != Connection::Stage::ended) {
        const auto line = link.lines.next(bytes);
        if (!line) break;
        take_line(id, link, *line, now, out);
      }
      if (!link.lines.is_overlong()) return;
      out.drop(DropReason::malformed);
      return end(id, link, CloseReason::protocol_error, false, now, out);
    }
    case Kind::data:
      if (link.is_data_ended) return out.drop(DropReason::stream_unknown);
      return take_bytes(id, link, bytes, now, out);
    case Kind::relay: {
      const auto relay = link.relays.find(at->second.nonce);
      if (relay == link.relays.end()) return out.drop(DropReason::stream_unknown);
      const std::string nonce = relay->first;  // it may go meanwhile
      if (relay->second.introduction != 0) {
        return pass_on(id, relay->second.introduction, bytes, out);
      }
      return take_signals(id, link, nonce, bytes, out);
    }
  }
}

void OldExchange::take_bytes(LinkId id, Connection& link, BytesView bytes, TimePoint now,
                             Outbox& out) {
  if (bytes.empty()) return;
  link.unread_bytes += bytes.size();
  if (!link.is_up()) {
    if (link.early.size() + bytes.size() > exchange::early_bytes_max) {
      out.drop(DropReason::not_open);
      return end(id, link, CloseReason::protocol_error, false, now, out);
    }
    link.early.insert(link.early.end(), bytes.begin(), bytes.end());
    return;
  }
  if (link.unread_bytes > options_.unread_bytes_max) {
    out.drop(DropReason::queue_full);
    return end(id, link, CloseReason::unread, false, now, out);
  }
  out.notify(
      NotifyWish::ExchangeBytes{.peer = link.peer, .bytes = Bytes(bytes.begin(), bytes.end())});
}

void OldExchange::take_end(LinkId id, Connection& link, std::uint32_t channel, Outbox& out) {
  using Kind = Connection::Theirs::Kind;
  const auto at = link.theirs.find(channel);
  if (at == link.theirs.end()) return out.drop(DropReason::stream_unknown);
  switch (at->second.kind) {
    case Kind::commands:
      if (std::exchange(link.is_commands_ended, true)) return;
      break;
    case Kind::data:
      if (std::exchange(link.is_data_ended, true)) return;
      if (link.is_up()) out.notify(NotifyWish::ExchangeEnded{link.peer});
      break;
    case Kind::relay: {
      const std::string nonce = at->second.nonce;
      link.theirs.erase(at);
      relay_ended(id, link, nonce, out);
      break;
    }
  }
  exchange::append_frame(FrameType::receiver_end, channel, {}, link.framed);
  touch(id, link);
}

void OldExchange::take_destroy(LinkId id, Connection& link, std::uint32_t channel, TimePoint now,
                               Outbox& out) {
  const auto at = link.theirs.find(channel);
  if (at == link.theirs.end()) return out.drop(DropReason::stream_unknown);
  if (at->second.kind != Connection::Theirs::Kind::relay) {
    return end(id, link, CloseReason::transport_closed, false, now, out);
  }
  const std::string nonce = at->second.nonce;
  link.theirs.erase(at);
  relay_ended(id, link, nonce, out);
}

/// The other side has read the end of one of ours.
void OldExchange::take_answered_end(Connection& link, std::uint32_t channel) {
  const bool is_in_use = std::ranges::any_of(
      link.relays, [&](const auto& entry) { return entry.second.number == channel; });
  if (!is_in_use) link.numbers_used.erase(channel);
}

void OldExchange::take_answered_destroy(LinkId id, Connection& link, std::uint32_t channel,
                                        TimePoint now, Outbox& out) {
  if (channel <= Connection::data_number) {
    return end(id, link, CloseReason::transport_closed, false, now, out);
  }
  const auto relay = std::ranges::find_if(
      link.relays, [&](const auto& entry) { return entry.second.number == channel; });
  if (relay == link.relays.end()) return take_answered_end(link, channel);
  const std::string nonce = relay->first;
  relay_ended(id, link, nonce, out);
}

/// From now on nothing is read, and nothing new is written. Who ends gracefully lets what the
/// application wrote leave first; in any case our own commands still do.
void OldExchange::end(LinkId id, Connection& link, CloseReason reason, bool is_graceful,
                      TimePoint now, Outbox& out) {
  if (link.stage == Connection::Stage::ended) return;
  lose(id, link, reason, out);
  link.stage = Connection::Stage::ended;
  if (!is_graceful) {
    link.data.clear();
    link.data_bytes = link.data_taken = 0;
  }
  if (reason == CloseReason::queue_stalled) {
    link.framed.clear();
    link.framed_taken = 0;
  }
  link.close_after_flush = reason;
  link.greets_at = never;
  link.deadline = now + exchange::flush_timeout;
  arm(link.deadline);
  touch(id, link);
}

/// Tells everybody whom it concerns.
void OldExchange::lose(LinkId id, Connection& link, CloseReason reason, Outbox& out) {
  if (link.is_up()) {
    peers_.erase(link.peer);
    out.notify(NotifyWish::ExchangePeerDown{.peer = link.peer, .reason = reason});
  } else if (const auto request = std::exchange(link.request, std::nullopt)) {
    ExchangeFailure why = ExchangeFailure::closed;
    if (reason == CloseReason::wrong_network) why = ExchangeFailure::wrong_network;
    if (reason == CloseReason::wrong_version) why = ExchangeFailure::wrong_version;
    if (reason == CloseReason::shutdown) why = ExchangeFailure::shutdown;
    out.notify(NotifyWish::ExchangeFailed{
        .request = *request, .why = why, .close_reason = reason, .network = link.hello.network});
  }
  std::erase_if(questions_, [&](const auto& entry) {
    if (entry.second.link != id) return false;
    fail(entry.second.request, ExchangeFailure::no_answer, out);
    return true;
  });
  while (!link.relays.empty()) {
    const std::string nonce = link.relays.begin()->first;
    relay_ended(id, link, nonce, out);
    link.relays.erase(nonce);
  }
  link.theirs.clear();
}

void OldExchange::closed(LinkId id, CloseReason reason, Outbox& out) {
  const auto at = links_.find(id);
  if (at == links_.end()) return;
  Connection& link = *at->second;
  const bool was_ended = link.stage == Connection::Stage::ended;
  if (!was_ended) lose(id, link, reason, out);
  ++out.stats().links_closed;
  ++out.stats().closed[static_cast<std::size_t>(reason)];
  links_.erase(at);
}

void OldExchange::writable(LinkId id) {
  Connection* const link = find(id);
  if (link == nullptr) return;
  link->in_flight_bytes = 0;
  if (link->framed_bytes() > 0 || link->data_bytes > 0 || link->close_after_flush) {
    touch(id, *link);
  }
}

std::optional<OldExchange::Outgoing> OldExchange::next_outgoing(Outbox& out) {
  while (!dirty_.empty()) {
    const LinkId id = dirty_.pop();
    Connection* const link = find(id);
    if (link == nullptr) continue;
    link->is_dirty = false;
    Outgoing outgoing{.link = id};
    if (link->in_flight_bytes < exchange::in_flight_bytes_max) {
      take_outgoing(*link, outgoing.bytes);
    }
    if (!outgoing.bytes.empty()) {
      link->in_flight_bytes += outgoing.bytes.size();
      out.stats().bytes_out += outgoing.bytes.size();
      if (link->framed_bytes() > 0 || link->data_bytes > 0) touch(id, *link);
      if (link->owes_writable && link->data_bytes <= limits::stream_unsent_bytes_max / 2) {
        link->owes_writable = false;
        if (link->is_up()) out.notify(NotifyWish::ExchangeWritable{link->peer});
      }
    }
    if (link->close_after_flush && link->framed_bytes() == 0 && link->data_bytes == 0) {
      outgoing.then_close = std::exchange(link->close_after_flush, std::nullopt);
      link->deadline = never;
    }
    if (!outgoing.bytes.empty() || outgoing.then_close) return outgoing;
  }
  return std::nullopt;
}

/// What is framed already comes first, whole: a frame of data must not come between.
void OldExchange::take_outgoing(Connection& link, Bytes& out) {
  if (link.framed_bytes() > 0) {
    const BytesView waiting = BytesView{link.framed}.subspan(link.framed_taken);
    const BytesView now = waiting.first(std::min(waiting.size(), exchange::message_bytes_max));
    out.assign(now.begin(), now.end());
    link.framed_taken += now.size();
    if (link.framed_bytes() == 0) {
      link.framed = {};
      link.framed_taken = 0;
    }
    return;
  }
  std::size_t left = std::min(link.data_bytes, exchange::data_frame_bytes_max);
  if (left == 0) return;
  out.reserve(left + 16);
  if (!std::exchange(link.is_data_open, true)) {
    exchange::append_frame(FrameType::open, Connection::data_number, as_bytes(data_name), out);
  }
  exchange::append_frame_header(FrameType::opener_data, Connection::data_number, left, out);
  link.data_bytes -= left;
  while (left > 0) {
    const BytesView first = BytesView{link.data.front()}.subspan(link.data_taken);
    const BytesView part = first.first(std::min(first.size(), left));
    out.insert(out.end(), part.begin(), part.end());
    left -= part.size();
    link.data_taken += part.size();
    if (part.size() < first.size()) continue;
    link.data.pop();
    link.data_taken = 0;
  }
}

void OldExchange::wake(TimePoint now, Outbox& out) {
  if (now < wake_at_) return;
  wake_at_ = never;
  for (auto& [id, link] : links_) {
    if (now >= link->deadline) {
      if (link->stage == Connection::Stage::ended) {
        link->framed.clear();
        link->framed_taken = link->data_bytes = link->data_taken = 0;
        link->data.clear();
        link->deadline = never;
        touch(id, *link);
      } else {
        end(id, *link, CloseReason::handshake_timeout, false, now, out);
      }
    }
    if (now >= link->greets_at) greet(id, *link, out);
    arm(std::min(link->deadline, link->greets_at));
    watch_relays(id, *link, now, out);
  }
  std::erase_if(questions_, [&](const auto& entry) {
    arm(entry.second.deadline > now ? entry.second.deadline : never);
    if (now < entry.second.deadline) return false;
    fail(entry.second.request, ExchangeFailure::no_answer, out);
    return true;
  });
  for (auto at = introductions_.begin(); at != introductions_.end();) {
    const auto here = at++;
    if (now >= here->second.deadline) {
      end_introduction(here, out);
    } else {
      arm(here->second.deadline);
    }
  }
  for (auto at = negotiations_.begin(); at != negotiations_.end();) {
    const auto here = at++;
    if (now >= here->second.deadline) {
      end_negotiation(here, ExchangeFailure::no_answer, true, out);
    } else {
      arm(here->second.deadline);
    }
  }
}

void OldExchange::watch_relays(LinkId id, Connection& link, TimePoint now, Outbox& out) {
  for (auto at = link.relays.begin(); at != link.relays.end();) {
    const auto here = at++;
    if (now >= here->second.expires) {
      end_relay(id, std::string{here->first}, out);
    } else {
      arm(here->second.expires);
    }
  }
}

void OldExchange::shut_down(TimePoint now, Outbox& out) {
  is_shut_down_ = true;
  for (const auto& [dial, dialing] : std::exchange(dials_, {})) {
    fail(dialing.request, ExchangeFailure::shutdown, out);
  }
  for (const auto& [request, asking] : std::exchange(questions_, {})) {
    fail(asking.request, ExchangeFailure::shutdown, out);
  }
  while (!negotiations_.empty()) {
    end_negotiation(negotiations_.begin(), ExchangeFailure::shutdown, true, out);
  }
  for (auto& [id, link] : links_) end(id, *link, CloseReason::shutdown, true, now, out);
}

std::size_t OldExchange::queued_bytes() const {
  std::size_t bytes = 0;
  for (const auto& [id, link] : links_) bytes += link->framed_bytes() + link->data_bytes;
  return bytes;
}

// ---- Commands ---------------------------------------------------------------------------------

void OldExchange::take_line(LinkId id, Connection& link, std::string_view line, TimePoint now,
                            Outbox& out) {
  const auto command = exchange::read_command(line);
  if (command) {
    return std::visit([&](const auto& each) { handle(id, link, each, now, out); }, *command);
  }
  if (command.error() == exchange::LineFault::ignored) return out.drop(DropReason::unknown_frame);
  out.drop(DropReason::malformed);
  end(id, link, CloseReason::protocol_error, false, now, out);
}

void OldExchange::handle(LinkId id, Connection& link, const exchange::Hello& hello, TimePoint now,
                         Outbox& out) {
  if (std::exchange(link.has_hello, true)) {
    out.drop(DropReason::malformed);
    return end(id, link, CloseReason::protocol_error, false, now, out);
  }
  link.hello = hello;
  if (!hello.is_version_0) return refuse(id, link, CloseReason::wrong_version, hello, now, out);
  if (hello.network != options_.network) {
    return refuse(id, link, CloseReason::wrong_network, hello, now, out);
  }
  tell(id, link, exchange::helloack_line(), out);
  if (link.has_ack) come_up(id, link, out);
}

/// The other side learns of it from our own hello.
void OldExchange::refuse(LinkId id, Connection& link, CloseReason reason,
                         const exchange::Hello& hello, TimePoint now, Outbox& out) {
  const bool is_shown = hello.network.size() <= limits::network_bytes_max;
  if (!is_shown || !is_plain_text(hello.network)) link.hello.network.clear();
  const bool is_version = reason == CloseReason::wrong_version;
  out.notify(
      Problem{.kind = is_version ? Problem::Kind::wrong_version : Problem::Kind::wrong_network,
              .where = link.start.remote,
              .detail = is_version ? std::string{} : link.hello.network});
  end(id, link, reason, false, now, out);
}

void OldExchange::handle(LinkId id, Connection& link, const exchange::HelloAck&, TimePoint now,
                         Outbox& out) {
  if (std::exchange(link.has_ack, true)) {
    out.drop(DropReason::malformed);
    return end(id, link, CloseReason::protocol_error, false, now, out);
  }
  if (link.has_hello) come_up(id, link, out);
}

void OldExchange::come_up(LinkId id, Connection& link, Outbox& out) {
  link.stage = Connection::Stage::up;
  link.deadline = never;
  link.peer = ExchangePeerId{++last_peer_};
  peers_.emplace(link.peer, id);
  ++out.stats().links_opened;
  out.notify(NotifyWish::ExchangePeerUp{.peer = link.peer,
                                        .transport = link.start.transport,
                                        .remote = link.start.remote,
                                        .remote_host = link.start.remote_host,
                                        .request = std::exchange(link.request, std::nullopt)});
  if (!link.early.empty()) {
    out.notify(NotifyWish::ExchangeBytes{.peer = link.peer, .bytes = std::move(link.early)});
    link.early = {};
  }
  if (link.is_data_ended) out.notify(NotifyWish::ExchangeEnded{link.peer});
  tell_accepts(id, link, out);
}

void OldExchange::handle(LinkId, Connection& link, const exchange::Accept& accept, TimePoint,
                         Outbox& out) {
  if (!link.is_up()) return out.drop(DropReason::not_open);
  if (!accept.transport) return out.drop(DropReason::unknown_frame);
  link.hello.accepts[static_cast<std::size_t>(*accept.transport)] = accept.opts;
}

void OldExchange::handle(LinkId, Connection& link, const exchange::Unaccept& unaccept, TimePoint,
                         Outbox& out) {
  if (!link.is_up()) return out.drop(DropReason::not_open);
  if (!unaccept.transport) return out.drop(DropReason::unknown_frame);
  link.hello.accepts[static_cast<std::size_t>(*unaccept.transport)].reset();
}

// ---- The application --------------------------------------------------------------------------

bool OldExchange::write(ExchangePeerId peer, Bytes bytes) {
  Connection* const link = find(peer);
  if (link == nullptr || bytes.empty()) return link != nullptr;
  if (link->data_bytes >= limits::stream_unsent_bytes_max) {
    link->owes_writable = true;
    return false;
  }
  link->data_bytes += bytes.size();
  link->data.push(std::move(bytes));
  link->owes_writable = link->data_bytes >= limits::stream_unsent_bytes_max;
  touch(peers_.at(peer), *link);
  return true;
}

bool OldExchange::has_room(ExchangePeerId peer) const {
  const Connection* const link = find(peer);
  return link != nullptr && link->data_bytes < limits::stream_unsent_bytes_max;
}

void OldExchange::close(ExchangePeerId peer, TimePoint now, Outbox& out) {
  const auto at = peers_.find(peer);
  if (at == peers_.end()) return;
  const LinkId id = at->second;
  end(id, *find(id), CloseReason::disconnected, true, now, out);
}

void OldExchange::consumed(ExchangePeerId peer, std::size_t bytes) {
  if (Connection* const link = find(peer)) {
    link->unread_bytes -= std::min(bytes, link->unread_bytes);
  }
}

void OldExchange::accept(ExchangeTransport transport, std::uint16_t port, Outbox& out) {
  auto& slot = accepts_[static_cast<std::size_t>(transport)];
  if (transport == ExchangeTransport::webrtc && !options_.makes_channels) return;
  slot = port;
  for (const auto& [peer, id] : peers_) tell_accepts(id, *find(id), out);
}

void OldExchange::unaccept(ExchangeTransport transport, Outbox& out) {
  accepts_[static_cast<std::size_t>(transport)].reset();
  for (const auto& [peer, id] : peers_) tell_accepts(id, *find(id), out);
}

/// A node loses what it is told before it is ready, so what changed meanwhile is told then.
void OldExchange::tell_accepts(LinkId id, Connection& link, Outbox& out) {
  for (std::uint8_t i = 0; i < exchange_transports; ++i) {
    if (link.told[i] == accepts_[i]) continue;
    link.told[i] = accepts_[i];
    const ExchangeTransport each{i};
    tell(id, link,
         accepts_[i] ? exchange::accept_line(each, *accepts_[i]) : exchange::unaccept_line(each),
         out);
  }
}

}  // namespace peer_relay
