// SPDX-License-Identifier: MIT
#include "core/stream/streams.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "core/wire/sealed.hpp"

namespace peer_relay {

namespace {

using What = SaidOfStream::What;

/// Whether an empty conversation can be forgotten.
constexpr Duration look_again = std::chrono::seconds{1};

/// Who uses up half a window in less than this gets a larger one.
constexpr Duration soon = std::chrono::milliseconds{250};

/// First hops that are tried in turn, the best among them.
constexpr std::uint8_t ways_max = 4;

/// For a link, where there was none before.
constexpr Duration ask_again_after = std::chrono::seconds{30};

/// Then the best way gets another chance.
constexpr Duration other_way_for = std::chrono::seconds{30};

std::size_t bytes_of(const SaidOfStream& last_word) {
  return last_word.what == What::reset ? stream_reset_frame_bytes : stream_window_frame_bytes;
}

}  // namespace

Streams::Streams(Random random, Options options, Surroundings surroundings)
    : random_(random),
      options_(options),
      surroundings_(surroundings),
      key_secret_(random_.next()) {}

Streams::Conversation* Streams::conversation_with(const NodeId& peer, TimePoint now) {
  const auto at = conversations_.find(peer);
  if (at != conversations_.end()) return &at->second;
  if (conversations_.size() >= conversations_max) return nullptr;
  Conversation& with =
      conversations_.try_emplace(peer, static_cast<std::uint32_t>(random_.next())).first->second;
  with.peer = peer;
  with.token = ++last_token_;
  with.way_until = with.asks_again = now;
  with.is_linked = surroundings_.is_linked(surroundings_.context, peer);
  with.last_heard = with.last_pinged = now;
  return &with;
}

std::size_t Streams::waiting(const NodeId& peer) const {
  const auto at = conversations_.find(peer);
  return at == conversations_.end() ? 0 : at->second.ready.size() + at->second.last_words.size();
}

bool Streams::can_promise() const {
  return promised_bytes_ + limits::stream_window_initial <= options_.bytes_max;
}

// Last words that wait count as streams: none of them can be left out.
bool Streams::has_place(const Conversation& with) {
  return with.streams.size() + with.last_words.size() < limits::streams_per_peer_max;
}

// The other side draws the numbers, and must not know which of them fall into one bucket.
StreamKey Streams::key_of(const Conversation& with, StreamNumber number) const {
  const std::uint64_t mixed = (number ^ key_secret_) * 0x9e3779b97f4a7c15;
  return {with.peer, mixed ^ mixed >> 32};
}

Streams::Stream* Streams::find(StreamId id) {
  const auto at = streams_.find(id);
  return at == streams_.end() ? nullptr : &at->second;
}

StreamId Streams::add(Conversation& with, StreamNumber number, bool is_ours, TimePoint now,
                      Outbox& out) {
  const StreamId id = ++last_stream_;
  Stream& stream = streams_[id];
  stream.peer = with.peer;
  stream.number = number;
  stream.is_ours = is_ours;
  stream.granted_at = now;
  promised_bytes_ += stream.window;
  with.streams.emplace(number, id);
  ++out.stats().streams_opened;
  return id;
}

// ---- The application's ----

Result<StreamId> Streams::open(const NodeId& to, StreamOpening opening, TimePoint now,
                               Outbox& out) {
  if (opening.label.size() > limits::stream_label_bytes_max) {
    return std::unexpected(Error::invalid_argument);
  }
  // Without a promise to spare nobody becomes a conversation, which nothing would end.
  Conversation* const with = can_promise() ? conversation_with(to, now) : nullptr;
  if (with == nullptr || !has_place(*with)) return std::unexpected(Error::queue_full);
  const StreamId id = add(*with, random_.next(), true, now, out);
  Stream& stream = streams_.at(id);
  stream.label = std::move(opening.label);
  with->seeks_link = with->seeks_link || opening.seeks_link;
  stream.opening_due = true;
  openings_.arm(now + opening.timeout, id);
  mark_ready(*with, id, stream);
  speak(*with, now, out);
  return id;
}

bool Streams::write(StreamId id, Bytes bytes, TimePoint now, Outbox& out) {
  Stream* const stream = find(id);
  if (stream == nullptr || stream->is_finished || bytes.empty()) return true;
  if (!has_room(id)) return false;
  PEER_RELAY_ASSERT(stream->buffer.end() + bytes.size() <= stream_bytes_max);
  stream->buffer.append(std::move(bytes));
  stream->awaits_room = stream->unsent() >= limits::stream_unsent_bytes_max;
  Conversation& with = conversations_.at(stream->peer);
  mark_ready(with, id, *stream);
  speak(with, now, out);
  return true;
}

bool Streams::has_room(StreamId id) {
  Stream* const stream = find(id);
  if (stream == nullptr || stream->unsent() < limits::stream_unsent_bytes_max) return true;
  stream->awaits_room = true;
  return false;
}

void Streams::finish(StreamId id, TimePoint now, Outbox& out) {
  Stream* const stream = find(id);
  if (stream == nullptr || std::exchange(stream->is_finished, true)) return;
  stream->awaits_room = false;
  Conversation& with = conversations_.at(stream->peer);
  mark_ready(with, id, *stream);
  speak(with, now, out);
}

void Streams::reset(StreamId id, StreamEnd how, std::uint32_t code, TimePoint now, Outbox& out) {
  const Stream* const stream = find(id);
  if (stream == nullptr) return;
  Conversation& with = conversations_.at(stream->peer);
  end(id, how, code, true, out);
  speak(with, now, out);
}

void Streams::consumed(StreamId id, std::size_t bytes, TimePoint now, Outbox& out) {
  Stream* const stream = find(id);
  if (stream == nullptr) return;
  stream->consumed += bytes;
  PEER_RELAY_ASSERT(stream->consumed <= stream->arrived.received());
  if (stream->final_size) return;
  // Half a window at a time: a word for each read would be as many frames as there are reads.
  if (stream->consumed + stream->window < stream->granted + stream->window / 2) return;
  grant_more(*stream, now);
  Conversation& with = conversations_.at(stream->peer);
  mark_ready(with, id, *stream);
  speak(with, now, out);
}

void Streams::grant_more(Stream& stream, TimePoint now) {
  const bool keeps_up = now - stream.granted_at < soon;
  if (keeps_up && stream.window < limits::stream_window_max &&
      promised_bytes_ + stream.window <= options_.bytes_max) {
    promised_bytes_ += stream.window;
    stream.window *= 2;
  }
  stream.granted_at = now;
  stream.granted = std::max(stream.granted, stream.consumed + stream.window);
  stream.window_due = true;
}

// ---- What arrives ----

void Streams::handle(const NodeId& from, StreamFrame frame, TimePoint now, Outbox& out) {
  Conversation* const with = conversation_with(from, now);
  if (with == nullptr) return out.drop(DropReason::stream_limit);
  handle_frame(*with, frame, now, out);
  speak(*with, now, out);
}

void Streams::handle(const NodeId& from, BytesView content, TimePoint now, Outbox& out) {
  if (const auto ack = decode_stream_ack(content)) return handle_ack(from, *ack, now, out);
  const auto packet = decode_stream_packet(content);
  if (!packet) return out.drop(DropReason::malformed);
  Conversation* const with = conversation_with(from, now);
  if (with == nullptr) return out.drop(DropReason::stream_limit);
  with->last_heard = now;
  with->was_heard = true;
  with->is_unheard = packet->way != 0;
  const bool at_once = with->arrivals.note(packet->epoch, packet->number);
  Reader frames{packet->frames};
  while (const auto frame = next_stream_frame(frames)) handle_frame(*with, *frame, now, out);
  if (!frames.ok()) out.drop(DropReason::malformed);
  if (at_once) {
    send_acknowledgement(*with, out);
  } else {
    with->acknowledge_at = std::min(with->acknowledge_at, now + Recovery::ack_delay_max);
  }
  speak(*with, now, out);
}

void Streams::handle_ack(const NodeId& from, const StreamAck& ack, TimePoint now, Outbox& out) {
  const auto at = conversations_.find(from);
  if (at == conversations_.end()) return out.drop(DropReason::stream_unknown);
  Conversation& with = at->second;
  with.last_heard = now;
  with.was_heard = true;
  hear(with, with.recovery.acknowledged(ack, now), out);
  speak(with, now, out);
}

void Streams::handle_frame(Conversation& with, const StreamFrame& frame, TimePoint now,
                           Outbox& out) {
  switch (frame.kind) {
    case FrameKind::stream_data: {
      const auto data = decode_stream_data(frame.body);
      if (!data) return out.drop(DropReason::malformed);
      return handle_data(with, *data, now, out);
    }
    case FrameKind::stream_window: {
      const auto window = decode_stream_window(frame.body);
      if (!window) return out.drop(DropReason::malformed);
      return handle_window(with, *window, out);
    }
    case FrameKind::stream_reset: {
      const auto reset = decode_stream_reset(frame.body);
      if (!reset) return out.drop(DropReason::malformed);
      return handle_reset(with, *reset, out);
    }
    default:
      out.drop(DropReason::unknown_frame);
  }
}

void Streams::handle_data(Conversation& with, const StreamData& data, TimePoint now, Outbox& out) {
  const auto at = with.streams.find(data.number);
  if (at != with.streams.end()) return take(at->second, streams_.at(at->second), data, out);
  if (!data.opens || ended_.peek(key_of(with, data.number)) != nullptr) {
    return answer_for_ended(with, data.number, out);
  }
  const StreamId id = accept(with, data, now, out);
  if (id != 0) take(id, streams_.at(id), data, out);
}

// 0 if there is no room.
StreamId Streams::accept(Conversation& with, const StreamData& data, TimePoint now, Outbox& out) {
  if (!can_promise() || !has_place(with)) {
    out.drop(DropReason::stream_limit);
    put_answer(with, {.what = What::reset, .end = StreamEnd::limit, .number = data.number});
    return 0;
  }
  const StreamId id = add(with, data.number, false, now, out);
  Stream& stream = streams_.at(id);
  stream.is_confirmed = true;
  stream.window_due = true;  // says that we have it
  mark_ready(with, id, stream);
  out.notify(
      NotifyWish::StreamOpened{.stream = id, .peer = with.peer, .label = std::string{data.label}});
  return id;
}

void Streams::take(StreamId id, Stream& stream, const StreamData& data, Outbox& out) {
  confirm(id, stream, out);
  const std::uint64_t data_end = data.offset + data.bytes.size();
  const bool is_beyond = data_end > stream.granted ||
                         (stream.final_size && data_end > *stream.final_size) ||
                         (data.finish && data_end < stream.arrived.highest()) ||
                         (data.finish && stream.final_size && data_end != *stream.final_size);
  if (is_beyond) {
    out.drop(DropReason::malformed);
    return end(id, StreamEnd::protocol_error, 0, true, out);
  }
  if (!stream.arrived.add(data.offset, data.bytes)) {
    out.drop(DropReason::stream_limit);
    return end(id, StreamEnd::limit, 0, true, out);
  }
  if (data.finish) stream.final_size = data_end;
  while (auto bytes = stream.arrived.next()) {
    out.stats().stream_bytes_in += bytes->size();
    out.notify(NotifyWish::StreamBytes{.stream = id, .bytes = std::move(*bytes)});
  }
  if (stream.final_size == stream.arrived.received()) {
    // Also where it had come before: then our word of it was lost.
    stream.window_due = true;
    if (!std::exchange(stream.has_ended, true)) {
      out.notify(NotifyWish::StreamFinished{.stream = id});
    }
  }
  // The writer keeps what is not confirmed.
  const std::uint64_t news = stream.received() - std::min(stream.confirmed, stream.received());
  if (news >= stream.window / 2) stream.window_due = true;
  mark_ready(conversations_.at(stream.peer), id, stream);
  end_if_done(id, out);
}

void Streams::handle_window(Conversation& with, const StreamWindow& window, Outbox& out) {
  const auto at = with.streams.find(window.number);
  if (at == with.streams.end()) {
    // To one that has finished it says nothing new. A reset may have been lost with its link, or
    // have overtaken what opened the stream.
    const SaidOfStream* const last_word = ended_.peek(key_of(with, window.number));
    if (last_word != nullptr && last_word->what == What::last_window) return;
    return answer_for_ended(with, window.number, out);
  }
  const StreamId id = at->second;
  Stream& stream = streams_.at(id);
  confirm(id, stream, out);
  if (window.received > stream.sent) {
    out.drop(DropReason::malformed);
    return end(id, StreamEnd::protocol_error, 0, true, out);
  }
  stream.buffer.release(std::min(window.received, stream.buffer.end()));
  stream.lost.drop_before(window.received);
  // Who grants without end and confirms nothing must not make us hold all that was ever written.
  stream.limit = std::max(
      stream.limit, std::min(window.limit, stream.buffer.begin() + limits::stream_window_max));
  // An older frame may come after the one that said so.
  stream.finish_arrived |= stream.is_finished && window.received == stream.end();
  mark_ready(with, id, stream);
  end_if_done(id, out);
}

void Streams::handle_reset(Conversation& with, const StreamReset& reset, Outbox& out) {
  const auto at = with.streams.find(reset.number);
  if (at == with.streams.end()) {  // an answer to it would go back and forth for ever
    if (ended_.peek(key_of(with, reset.number)) == nullptr) out.drop(DropReason::stream_unknown);
    return;
  }
  end(at->second, reset.end, reset.code, false, out);
}

// The other side still speaks of a stream that is no more, or never was.
void Streams::answer_for_ended(Conversation& with, StreamNumber number, Outbox& out) {
  out.drop(DropReason::stream_unknown);
  const SaidOfStream* const last_word = ended_.find(key_of(with, number));
  put_answer(with,
             last_word != nullptr
                 ? *last_word
                 : SaidOfStream{.what = What::reset, .end = StreamEnd::unknown, .number = number});
}

void Streams::confirm(StreamId id, Stream& stream, Outbox& out) {
  if (std::exchange(stream.is_confirmed, true)) return;
  stream.opening_due = false;
  stream.label.clear();
  out.notify(NotifyWish::StreamAccepted{.stream = id});
}

// ---- The end of a stream ----

void Streams::end_if_done(StreamId id, Outbox& out) {
  const Stream* const stream = find(id);
  if (stream == nullptr || !stream->has_ended || !stream->finish_arrived) return;
  end(id, StreamEnd::finished, 0, stream->window_due, out);
}

void Streams::end(StreamId id, StreamEnd how, std::uint32_t code, bool tells_peer, Outbox& out) {
  const auto at = streams_.find(id);
  PEER_RELAY_ASSERT(at != streams_.end());
  const Stream stream = std::move(at->second);
  streams_.erase(at);
  Conversation& with = conversations_.at(stream.peer);
  with.streams.erase(stream.number);
  promised_bytes_ -= stream.window;
  SaidOfStream last_word{.what = What::reset,
                         .end = how <= StreamEnd::shutdown ? how : StreamEnd::reset,
                         .code = code,
                         .number = stream.number};
  if (how == StreamEnd::finished) {
    last_word.what = What::last_window;
    last_word.bytes.to = stream.received();
  }
  if (tells_peer) with.last_words.push(last_word);
  ended_.insert(key_of(with, stream.number), last_word);
  ++out.stats().streams_closed;
  out.notify(NotifyWish::StreamClosed{.stream = id, .end = how, .code = code});
}

void Streams::end_all(Conversation& with, StreamEnd how, Outbox& out) {
  while (!with.streams.empty()) end(with.streams.begin()->second, how, 0, true, out);
}

void Streams::handle(const ContentFailed& failed, TimePoint now, Outbox& out) {
  for (auto& [peer, with] : conversations_) {
    if (with.token != failed.token) continue;
    // Who was there a moment ago is asked again; who never was is not there.
    if (with.was_heard || with.is_linked || with.streams.empty()) return;
    end_all(with,
            failed.outcome == SendResult::Outcome::unreachable ? StreamEnd::unreachable
                                                               : StreamEnd::timed_out,
            out);
    with.last_words.clear();
    with.recovery.forget();
    static_cast<void>(now);
    return;
  }
}

void Streams::stop(TimePoint now, Outbox& out) {
  std::vector<NodeId> peers;
  for (const auto& [peer, with] : conversations_) peers.push_back(peer);
  std::ranges::sort(peers);
  for (const NodeId& peer : peers) {
    Conversation& with = conversations_.at(peer);
    end_all(with, StreamEnd::shutdown, out);
    if (!with.is_linked) {
      send_packet(with, now, out);
      continue;
    }
    // Not left for the link to ask for: its goodbye is next.
    while (!with.last_words.empty()) {
      const SaidOfStream word = with.last_words.pop();
      if (word.what != What::reset) continue;
      Bytes frame;
      append_stream_reset({.number = word.number, .end = word.end, .code = word.code}, frame);
      frame.erase(frame.begin(), frame.begin() + frame_header_bytes);
      out.wish(
          PeerFrameWish{.to = peer, .kind = FrameKind::stream_reset, .body = std::move(frame)});
    }
  }
}

// ---- Which way ----

void Streams::link_changed(const NodeId& peer, TimePoint now, Outbox& out) {
  const auto at = conversations_.find(peer);
  if (at == conversations_.end()) return;
  Conversation& with = at->second;
  with.is_linked = surroundings_.is_linked(surroundings_.context, peer);
  with.last_heard = now;
  say_again(with);
  speak(with, now, out);
}

// All that is not confirmed, by another way.
void Streams::say_again(Conversation& with) {
  with.recovery.forget();
  for (const auto& [number, id] : with.streams) {
    Stream& stream = streams_.at(id);
    stream.lost.add({stream.finish_arrived ? stream.sent : stream.buffer.begin(), stream.sent});
    stream.opening_due = !stream.is_confirmed;
    stream.window_due = stream.is_confirmed;
    mark_ready(with, id, stream);
  }
}

void Streams::say_again(Conversation& with, const std::vector<SaidOfStream>& said) {
  for (const SaidOfStream& each : said) {
    if (each.what == What::reset || each.what == What::last_window) {
      with.last_words.push(each);
      continue;
    }
    Stream* const stream = find(each.stream);
    if (stream == nullptr) {
      // It confirmed the other side's end before it ended, and nobody else would say so again.
      const SaidOfStream* const last_word = ended_.peek(key_of(with, each.number));
      const bool is_owed = last_word != nullptr && last_word->what == What::last_window;
      if (each.what == What::window && is_owed) with.last_words.push(*last_word);
      continue;
    }
    if (each.what == What::window) {
      stream->window_due = true;
    } else {
      stream->opening_due = !stream->is_confirmed;
      const std::uint64_t known = stream->finish_arrived ? stream->sent : stream->buffer.begin();
      stream->lost.add({std::max(each.bytes.from, known), each.bytes.to});
    }
    mark_ready(with, each.stream, *stream);
  }
}

void Streams::mark_ready(Conversation& with, StreamId id, Stream& stream) {
  if (stream.is_ready || !stream.has_to_say()) return;
  stream.is_ready = true;
  with.ready.push(id);
  // Those that have ended meanwhile are still in it: while nothing can be sent, a peer that opens
  // and resets would fill it for ever.
  if (with.ready.size() <= 2 * with.streams.size() + 16) return;
  for (std::size_t left = with.ready.size(); left > 0; --left) {
    const StreamId each = with.ready.pop();
    if (streams_.contains(each)) with.ready.push(each);
  }
}

void Streams::put_answer(Conversation& with, const SaidOfStream& word) {
  if (with.last_words.size() < answers_max) with.last_words.push(word);
}

void Streams::hear(Conversation& with, const Recovery::News& news, Outbox& out) {
  out.stats().stream_packets_lost += news.packets_lost;
  say_again(with, news.lost);
}

// ---- What leaves ----

void Streams::speak(Conversation& with, TimePoint now, Outbox& out) {
  if (with.is_linked) {
    if (with.has_to_say()) out.wish(StreamsWaiting{.peer = with.peer});
  } else {
    while ((with.has_to_say() || with.ping_due) && with.recovery.may_send()) {
      send_packet(with, now, out);
    }
    if (with.seeks_link && with.was_heard && now >= with.asks_again && !with.streams.empty()) {
      with.asks_again = now + ask_again_after;
      out.wish(LinkWanted{.peer = with.peer});
    }
  }
  arm(with, now);
}

void Streams::send_packet(Conversation& with, TimePoint now, Outbox& out) {
  Bytes content;
  content.reserve(session_data_header_bytes + stream_packet_header_bytes +
                  limits::stream_turn_bytes_max + session_tag_bytes);
  content.resize(session_data_header_bytes);
  encode_stream_packet_header(
      {.epoch = with.recovery.epoch(), .number = with.recovery.next_number(), .way = with.way},
      content);
  const std::size_t header = content.size();
  std::vector<SaidOfStream> said;
  append_frames(with, content, header + limits::stream_turn_bytes_max, &said, out);
  if (content.size() == header && !std::exchange(with.ping_due, false)) return;
  with.recovery.sent(content.size() - header, std::move(said), now);
  ++out.stats().stream_packets;
  out.wish(SealWish{
      .to = with.peer, .content = std::move(content), .token = with.token, .attempt = with.way});
}

void Streams::send_acknowledgement(Conversation& with, Outbox& out) {
  with.acknowledge_at = never;
  const StreamAck ack = with.arrivals.acknowledge();
  const auto send = [&](std::uint8_t attempt) {
    Bytes content;
    content.reserve(session_data_header_bytes + stream_ack_bytes + session_tag_bytes);
    content.resize(session_data_header_bytes);
    encode_stream_ack(ack, content);
    out.wish(SealWish{.to = with.peer, .content = std::move(content), .attempt = attempt});
  };
  send(0);
  // Which of our ways loses them we can't know: this one may, or another.
  if (with.is_unheard) send(static_cast<std::uint8_t>(1 + random_.below(ways_max - 1)));
}

bool Streams::fill(const NodeId& peer, Bytes& batch, std::size_t bytes_max, Outbox& out) {
  const auto at = conversations_.find(peer);
  if (at == conversations_.end()) return false;
  append_frames(at->second, batch, batch.size() + bytes_max, nullptr, out);
  return at->second.has_to_say();
}

// Until `batch` is `end` bytes long or nobody has anything to say. What was said goes to `said`, if
// somebody keeps account.
void Streams::append_frames(Conversation& with, Bytes& batch, std::size_t end,
                            std::vector<SaidOfStream>* said, Outbox& out) {
  while (!with.last_words.empty()) {
    const SaidOfStream& word = with.last_words.front();
    if (batch.size() + bytes_of(word) > end) return;
    if (word.what == What::reset) {
      append_stream_reset({.number = word.number, .end = word.end, .code = word.code}, batch);
    } else {
      append_stream_window(
          {.number = word.number, .received = word.bytes.to, .limit = word.bytes.to}, batch);
    }
    if (said != nullptr) said->push_back(word);
    ++out.stats().frames_out;
    with.last_words.pop();
  }
  while (!with.ready.empty()) {
    const StreamId id = with.ready.front();
    Stream* const stream = find(id);
    if (stream == nullptr || !stream->has_to_say()) {
      if (stream != nullptr) stream->is_ready = false;
      with.ready.pop();
      continue;
    }
    if (!append_turn(id, *stream, batch, end, said, out)) return;
    with.ready.pop();
    if (stream->has_to_say()) {
      with.ready.push(id);
    } else {
      stream->is_ready = false;
    }
  }
}

// One turn of a stream; false if the batch is full before anything of it was said.
bool Streams::append_turn(StreamId id, Stream& stream, Bytes& batch, std::size_t end,
                          std::vector<SaidOfStream>* said, Outbox& out) {
  const std::size_t start = batch.size();
  if (stream.window_due) {
    if (batch.size() + stream_window_frame_bytes > end) return false;
    append_stream_window(
        {.number = stream.number, .received = stream.received(), .limit = stream.granted}, batch);
    stream.window_due = false;
    stream.confirmed = stream.received();
    if (said != nullptr) {
      said->push_back({.what = What::window, .stream = id, .number = stream.number});
    }
    ++out.stats().frames_out;
  }
  std::size_t turn = limits::stream_turn_bytes_max;
  while (turn > 0 && (stream.opening_due || !stream.lost.empty() || stream.may_write_more())) {
    StreamData data{.number = stream.number,
                    .opens = stream.is_ours && !stream.is_confirmed,
                    .label = stream.label};
    const std::size_t header = stream_data_header_bytes(data);
    if (batch.size() + header >= end) break;
    const std::size_t room = std::min(turn, end - batch.size() - header);
    Range part{stream.sent, stream.sent};
    if (const auto lost = stream.lost.take(room)) {
      part = *lost;
      out.stats().stream_bytes_resent += part.to - part.from;
    } else if (stream.may_write_more()) {
      part.to = std::min({stream.sent + room, stream.buffer.end(), stream.limit});
      part.to = std::max(part.from, part.to);
      if (part.to == stream.buffer.end() && stream.is_finished) ++part.to;
      out.stats().stream_bytes_out += part.to - part.from;
      stream.sent = part.to;
    }
    const std::uint64_t bytes_end = std::min(part.to, stream.buffer.end());
    data.offset = std::min(part.from, bytes_end);
    data.finish = part.to > stream.buffer.end();
    append_stream_data_header(data, bytes_end - data.offset, batch);
    stream.buffer.copy(data.offset, bytes_end, batch);
    stream.opening_due = false;
    turn -= std::min<std::size_t>(turn, std::max<std::uint64_t>(1, part.to - part.from));
    if (said != nullptr) said->push_back({.what = What::data, .stream = id, .bytes = part});
    ++out.stats().frames_out;
  }
  if (stream.awaits_room && stream.unsent() <= limits::stream_unsent_bytes_max / 2) {
    stream.awaits_room = false;
    out.notify(NotifyWish::StreamWritable{.stream = id});
  }
  return batch.size() > start;
}

// ---- Time ----

void Streams::wake(TimePoint now, Outbox& out) {
  while (const auto id = openings_.pop_due(now)) {
    const Stream* const stream = find(*id);
    if (stream == nullptr || stream->is_confirmed) continue;
    Conversation& with = conversations_.at(stream->peer);
    end(*id, StreamEnd::timed_out, 0, true, out);
    speak(with, now, out);
  }
  while (const auto peer = timers_.pop_due(now)) {
    const auto at = conversations_.find(*peer);
    if (at == conversations_.end()) continue;
    Conversation& with = at->second;
    if (with.armed_soon > now && with.armed_late > now) continue;  // stale
    if (with.armed_soon <= now) with.armed_soon = never;
    if (with.armed_late <= now) with.armed_late = never;
    attend(with, now, out);
    const bool is_over = with.streams.empty() && !with.has_to_say() && !with.arrivals.owes() &&
                         now - with.last_heard >= forgotten_after;
    if (is_over) conversations_.erase(at);
  }
}

void Streams::attend(Conversation& with, TimePoint now, Outbox& out) {
  if (now >= with.acknowledge_at) send_acknowledgement(with, out);
  if (!with.is_linked) {
    if (is_dead(with, now)) {
      end_all(with, StreamEnd::timed_out, out);
      with.last_words.clear();
      with.recovery.forget();
    }
    const Recovery::News news = with.recovery.wake(now);
    hear(with, news, out);
    if (news.is_probe) {
      with.way = static_cast<std::uint8_t>((with.way + 1) % ways_max);
      with.way_until = now + other_way_for;
    } else if (now >= with.way_until) {
      with.way = 0;
    }
    const bool is_silent = !with.streams.empty() &&
                           now - std::max(with.last_heard, with.last_pinged) >= options_.ping_after;
    if (is_silent) ask_for_all(with);
    if (is_silent || (news.is_probe && !with.has_to_say())) {
      with.ping_due = true;
      with.last_pinged = now;
    }
  }
  speak(with, now, out);
}

// A node that was started anew acknowledges packets, and knows none of these streams.
void Streams::ask_for_all(Conversation& with) {
  for (const auto& [number, id] : with.streams) {
    Stream& stream = streams_.at(id);
    stream.window_due = stream.window_due || stream.is_confirmed;
    mark_ready(with, id, stream);
  }
}

bool Streams::is_dead(const Conversation& with, TimePoint now) const {
  const TimePoint waits = with.recovery.waits_since();
  return waits != never && now - waits >= options_.dead_after;
}

// For what it waits for next. What is far off and only moves on keeps its entry among the timers,
// or each acknowledgement that waits would leave one more of them behind.
void Streams::arm(Conversation& with, TimePoint now) {
  TimePoint soonest = with.acknowledge_at;
  TimePoint late = never;
  if (!with.is_linked) soonest = std::min(soonest, with.recovery.next_wake());
  if (with.streams.empty()) {
    late = std::max(with.last_heard + forgotten_after, now + look_again);
  } else if (!with.is_linked) {
    late = std::max(with.last_heard, with.last_pinged) + options_.ping_after;
  }
  const auto set = [&](TimePoint at, TimePoint& armed) {
    if (at >= armed) return;
    armed = at;
    timers_.arm(at, with.peer);
  };
  set(soonest, with.armed_soon);
  set(late, with.armed_late);
}

}  // namespace peer_relay
