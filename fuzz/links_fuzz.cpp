// SPDX-License-Identifier: MIT
//
// Two ends of links, and between them one who carries their messages, or alters, invents, copies
// and loses them, while either end opens, writes, closes and lets time pass. Whatever happens: each
// peer is up and down in turn, each dial ends once, nothing spins, and nothing is held in the end.
#include "core/link/links.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <variant>

#include "../sim/modelled_crypto.hpp"
#include "base/assert.hpp"
#include "base/reader.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t channels_max = 24;

struct End {
  explicit End(std::uint64_t seed)
      : entropy(seed),
        crypto(entropy),
        identity(make_identity(crypto)),
        links(identity, crypto,
              {.network = "fuzz",
               .network_hash = {1, 2, 3},
               .agent = "fuzz",
               .relay_bytes_per_second = 1 << 16,
               .relay_frames_per_second = 100}) {}

  void receive(LinkId link, MutableBytes message, TimePoint now) {
    if (auto batch = links.received(link, message, now, out)) {
      while (const auto frame = batch->next()) {
        const FrameKind kind{frame->kind};
        if (kind == FrameKind::ping || kind == FrameKind::pong || kind == FrameKind::goodbye) {
          links.handle(link, *frame, now, out);
        } else {
          static_cast<void>(links.may_relay(link, frame->body.size(), now));
        }
      }
      links.batch_done(link, batch->is_broken(), out);
    }
    take_wishes();
  }

  void take_wishes() {
    while (!out.empty()) {
      Wish wish = out.take();
      if (const auto* const up = std::get_if<LinkUp>(&wish)) {
        PEER_RELAY_ASSERT(told.emplace(up->id, up->link).second);
        if (up->dial) end_dial(*up->dial);
      } else if (const auto* const moved = std::get_if<LinkMoved>(&wish)) {
        const auto at = told.find(moved->id);
        PEER_RELAY_ASSERT(at != told.end() && at->second != moved->link);
        at->second = moved->link;
      } else if (const auto* const down = std::get_if<LinkDown>(&wish)) {
        PEER_RELAY_ASSERT(down->last_of || down->dial);
        if (down->last_of) {
          const auto at = told.find(*down->last_of);
          PEER_RELAY_ASSERT(at != told.end() && at->second == down->link);
          told.erase(at);
        }
        if (down->dial) end_dial(*down->dial);
      } else {
        PEER_RELAY_ASSERT(std::holds_alternative<NotifyWish>(wish));
      }
    }
  }

  void end_dial(DialId dial) { PEER_RELAY_ASSERT(ended_dials.insert(dial).second); }

  sim::Entropy entropy;
  sim::ModelledCrypto crypto;
  Identity identity;
  Links links;
  Outbox out;
  std::map<NodeId, LinkId> told;
  std::set<DialId> ended_dials;
};

class Wire {
 public:
  explicit Wire(BytesView input) : in_(input) {}

  void run() {
    while (in_.left() > 0 && ++steps_ < 600) {
      step();
      for (auto& end : ends_) {
        PEER_RELAY_ASSERT(end->links.queued_bytes() <=
                          end->links.size() * (limits::link_queue_bytes_max + 1024));
        PEER_RELAY_ASSERT(end->links.handshakes() <= end->links.size());
      }
    }
    finish();
  }

 private:
  struct Channel {
    std::array<std::deque<Bytes>, 2> toward;
    std::array<bool, 2> is_shut{};
    int dialer = 0;
  };

  void step() {
    const std::uint8_t choice = in_.u8();
    const std::size_t end = choice & 1;
    switch (choice >> 1 & 15) {
      case 0:
      case 1:
        return open(end);
      case 2:
      case 3:
      case 4:
        return carry(pick(), end);
      case 5:
        for (int i = 0; i < 8; ++i) carry_all();
        return;
      case 6:
        return alter(pick(), end);
      case 7:
        return invent(pick(), end);
      case 8:
        return put(pick(), end);
      case 9:
        ends_[end]->links.writable(pick());
        return transmit();
      case 10: {
        const LinkId link = pick();
        const CloseReason reason{static_cast<std::uint8_t>(in_.u8() % 12)};
        ends_[end]->links.close({link, reason}, now_, ends_[end]->out);
        return transmit();
      }
      case 11:
        return break_channel(pick());
      case 12:
        return pass(std::chrono::milliseconds{in_.u16()});
      case 13:
        return pass(std::chrono::seconds{in_.u8()});
      case 14:
        return copy(pick(), end);
      default:
        if (in_.u8() < 16) {
          ends_[end]->links.close_all(CloseReason::shutdown, now_, ends_[end]->out);
          transmit();
        }
    }
  }

  LinkId pick() { return LinkId{1 + in_.u8() % std::max<std::uint64_t>(channels_.size(), 1)}; }

  void open(std::size_t dialer) {
    if (channels_.size() == channels_max) return;
    const std::uint8_t how = in_.u8();
    const std::uint64_t number = channels_.size() + 1;
    const LinkId link{number};
    channels_[link].dialer = static_cast<int>(dialer);
    End& listener = *ends_[1 - dialer];
    End& caller = *ends_[dialer];
    listener.links.opened(
        link, {.dial = {}, .remote = "dialer", .remote_host = "10.0.0.1", .channel_binding = {}},
        now_, listener.out);
    caller.links.opened(link,
                        {.dial = DialId{number},
                         .probe = (how & 7) == 7,
                         .remote = "listener",
                         .remote_host = "10.0.0.2",
                         .channel_binding = (how >> 3 & 7) == 7 ? Bytes{1} : Bytes{}},
                        now_, caller.out);
    transmit();
  }

  void transmit() {
    for (std::size_t end = 0; end < 2; ++end) {
      Links& links = ends_[end]->links;
      int count = 0;
      while (auto outgoing = links.next_outgoing(now_, ends_[end]->out)) {
        PEER_RELAY_ASSERT(++count < 1000);
        if (outgoing->has_message) {
          PEER_RELAY_ASSERT(outgoing->message.size() <= limits::batch_bytes_max);
          channels_.at(outgoing->link).toward[1 - end].push_back(std::move(outgoing->message));
        }
        if (outgoing->then_close) shut(end, outgoing->link, *outgoing->then_close);
      }
      ends_[end]->take_wishes();
    }
  }

  void carry(LinkId link, std::size_t to) {
    const auto at = channels_.find(link);
    if (at == channels_.end() || at->second.is_shut[to]) return;
    Channel& channel = at->second;
    if (channel.toward[to].empty()) {
      if (channel.is_shut[1 - to]) shut(to, link, CloseReason::transport_closed);
      return transmit();
    }
    Bytes message = std::move(channel.toward[to].front());
    channel.toward[to].pop_front();
    ends_[to]->receive(link, message, now_);
    ends_[1 - to]->links.recycle(std::move(message));
    ends_[1 - to]->links.writable(link);
    transmit();
  }

  void carry_all() {
    for (std::uint64_t link = 1; link <= channels_.size(); ++link) {
      for (std::size_t to = 0; to < 2; ++to) carry(LinkId{link}, to);
    }
  }

  Bytes* next_toward(LinkId link, std::size_t to) {
    const auto at = channels_.find(link);
    if (at == channels_.end() || at->second.toward[to].empty()) return nullptr;
    return &at->second.toward[to].front();
  }

  void alter(LinkId link, std::size_t to) {
    const std::uint8_t how = in_.u8();
    const std::uint16_t where = in_.u16();
    const std::uint8_t value = in_.u8();
    Bytes* const message = next_toward(link, to);
    if (message == nullptr) return;
    if (how < 160 && !message->empty()) {
      (*message)[where % message->size()] ^= value;
    } else if (how < 200) {
      message->resize(std::min<std::size_t>(message->size(), where));
    } else {
      message->resize(message->size() + where);
    }
  }

  void invent(LinkId link, std::size_t to) {
    const BytesView bytes = in_.bytes_u8();
    const auto at = channels_.find(link);
    if (at == channels_.end() || at->second.is_shut[to]) return;
    Bytes message(bytes.begin(), bytes.end());
    ends_[to]->receive(link, message, now_);
    transmit();
  }

  void copy(LinkId link, std::size_t to) {
    const LinkId onto = pick();
    const Bytes* const message = next_toward(link, to);
    const auto at = channels_.find(onto);
    if (message == nullptr || at == channels_.end() || at->second.toward[to].size() > 64) return;
    at->second.toward[to].push_back(Bytes{*message});
  }

  /// Frames of any kind and size, as any room would send them: some many at once.
  void put(LinkId link, std::size_t from) {
    const FrameKind kind{in_.u8()};
    const std::uint8_t size = in_.u8();
    const std::uint8_t count = in_.u8();
    const BytesView start = in_.bytes(std::min<std::size_t>(size, in_.left()));
    Bytes body(start.begin(), start.end());
    if (size > 200) body.resize(std::size_t{size} * 250);
    for (int i = 0; i <= count % 40; ++i) {
      ends_[from]->links.send({.link = link, .kind = kind, .body = body}, ends_[from]->out);
    }
    transmit();
  }

  void break_channel(LinkId link) {
    if (!channels_.contains(link)) return;
    for (std::size_t end = 0; end < 2; ++end) shut(end, link, CloseReason::transport_error);
    transmit();
  }

  void shut(std::size_t end, LinkId link, CloseReason reason) {
    Channel& channel = channels_.at(link);
    if (std::exchange(channel.is_shut[end], true)) return;
    channel.toward[end].clear();
    ends_[end]->links.closed(link, reason, ends_[end]->out);
    ends_[end]->take_wishes();
  }

  void pass(Duration duration) {
    const TimePoint until = now_ + duration;
    for (;;) {
      const TimePoint next = std::min(ends_[0]->links.next_wake(), ends_[1]->links.next_wake());
      if (next > until) break;
      now_ = std::max(now_, next);
      for (auto& end : ends_) {
        end->links.wake(now_, end->out);
        PEER_RELAY_ASSERT(end->links.next_wake() > now_);
      }
      transmit();
    }
    now_ = until;
  }

  /// Everything arrives, then both go away.
  void finish() {
    for (int i = 0; i < 100; ++i) carry_all();
    for (auto& end : ends_) end->links.close_all(CloseReason::shutdown, now_, end->out);
    transmit();
    for (int i = 0; i < 100; ++i) carry_all();
    pass(60s);
    for (int i = 0; i < 4; ++i) carry_all();
    for (auto& end : ends_) {
      PEER_RELAY_ASSERT(end->links.size() == 0 && end->links.handshakes() == 0);
      PEER_RELAY_ASSERT(end->links.queued_bytes() == 0 && end->told.empty());
    }
    PEER_RELAY_ASSERT(ends_[0]->ended_dials.size() + ends_[1]->ended_dials.size() ==
                      channels_.size());
  }

  Reader in_;
  TimePoint now_{100s};
  std::array<std::unique_ptr<End>, 2> ends_{std::make_unique<End>(1), std::make_unique<End>(2)};
  std::map<LinkId, Channel> channels_;
  int steps_ = 0;
};

}  // namespace
}  // namespace peer_relay

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  peer_relay::Wire{{data, size}}.run();
  return 0;
}
