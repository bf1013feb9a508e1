// SPDX-License-Identifier: MIT
//
// What a world is made of: nodes, the wires between them, what is going to happen, and the shards
// that threads take care of.
#pragma once

#include <array>
#include <map>
#include <set>
#include <utility>
#include <variant>

#include "agenda.hpp"
#include "base/gentle_growth.hpp"
#include "world.hpp"

namespace peer_relay::sim {

inline constexpr std::uint16_t port = 8000;
inline constexpr std::uint32_t nobody = 0xffffffff;
inline constexpr std::uint64_t hash_of_nothing = 14695981039346656037u;

/// FNV-1a, a word at a time.
constexpr std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  return (hash ^ value) * 1099511628211u;
}

std::string host_of(NodeNumber node);

/// What is going to happen at a node.
struct World::Event {
  enum class Kind : std::uint8_t {
    arrive,    ///< `batch`, by `link`
    writable,  ///< `link` is
    closed,    ///< `link`, by the node itself
    gone,      ///< `link`: the other end was closed, for `reason`
    wake,      ///< if that is still when it wants to be woken
    call,
  };
  TimePoint at{};
  std::uint64_t order = 0;  ///< by whose doing, and what it has done before
  Kind kind = Kind::call;
  CloseReason reason = CloseReason::shutdown;
  std::uint32_t node = 0;
  LinkId link{};
  Bytes batch{};
  std::unique_ptr<Happening> call{};

  bool operator<(const Event& other) const {
    return at != other.at ? at > other.at : order > other.order;
  }
};

/// An end of a link, or a place where one may be. Only its own node's thread touches it.
struct World::Wire {
  enum class State : std::uint8_t { free, dialed, open };

  LinkId other{};                ///< of the other end, once it is open
  std::uint32_t node = nobody;   ///< at the other end; nobody: a stranger
  std::uint32_t generation = 0;  ///< of this place, so that no number comes twice
  std::uint32_t latency_us = 0;
  State state = State::free;
  bool is_dark = false;
  bool is_stalled = false;
  bool is_slow = false;

  Duration latency() const { return Duration{latency_us}; }
};

struct World::Place {
  float x = 0;
  float y = 0;
  float detour = 0;  // ms
};

/// What an application was told; for the small worlds of tests.
struct World::Diary {
  std::vector<Message> inbox;
  std::map<MessageId, SendResult> results;
  std::vector<NotifyWish::PeerLost> lost;
  std::vector<Problem> problems;
  std::vector<TraceHop> hops;
  std::optional<NotifyWish::ConnectDone> connect_done;
  std::map<StreamId, StreamPage> streams;
  std::set<StreamId> unread_streams;
};

/// What the audience will be told when the threads have met.
struct World::Told {
  TimePoint at{};
  std::uint32_t node = 0;
  std::variant<Message, NotifyWish::SendDone> event;
};

/// The nodes that one thread takes care of, and all that they share. Engines of several threads
/// share nothing.
struct alignas(128) World::Shard {
  std::size_t number = 0;
  TimePoint now{};
  Entropy entropy;
  std::unique_ptr<Crypto> crypto;
  std::shared_ptr<ContactPool> contact_pool = make_contact_pool();
  Agenda<Event> agenda;
  std::vector<LinkId> writable;  // what the node that is driven has just transmitted on
  std::vector<Told> told;
  std::uint64_t data_channels = 0;

  // What few wires have: a stranger at the other end, messages held while stalled, and when what
  // was sent so far has left a slow one.
  using End = std::pair<std::uint32_t, LinkId>;
  std::map<End, Stranger*> strangers;
  std::map<End, std::vector<Event>> held;
  std::map<End, TimePoint> busy_until;

  // For each other shard what was planned for it in this window, and in the one before, which it
  // takes now; and when the next event is due, of which other threads read what was said last.
  struct Plans {
    std::vector<std::vector<Event>> events;
    TimePoint earliest = never;
  };
  std::array<Plans, 2> plans;
  std::size_t window = 0;
  TimePoint window_end{};
};

struct World::Node {
  World* world = nullptr;
  Shard* shard = nullptr;
  std::uint32_t number = 0;
  std::uint32_t planned = 0;  // events, so far
  bool listens = true;
  bool is_silent = false;
  bool is_plugged = true;
  Place place;
  Random entropy{0};
  Identity identity;
  std::optional<Engine> engine;
  std::uint64_t life = 0;  // engines so far: what was meant for an earlier one is void
  std::uint64_t events = hash_of_nothing;
  TimePoint wake = never;
  std::vector<Wire> wires;
  std::unique_ptr<Tamper> tamper;
  std::unique_ptr<Diary> diary;

  TimePoint now() const { return shard->now; }
  /// The engine, whose turn it is.
  Engine& turn() {
    shard->entropy.set_turn(entropy);
    return *engine;
  }
  Diary& write() {
    if (diary == nullptr) diary = std::make_unique<Diary>();
    return *diary;
  }

  // A link's number: the generation of its place, and the place.
  static std::size_t place_of(LinkId link) { return static_cast<std::uint32_t>(link); }
  LinkId link_at(std::size_t place_of_it) const {
    return LinkId{std::uint64_t{wires[place_of_it].generation} << 32 | place_of_it};
  }
  /// Null where it is no more.
  Wire* wire(LinkId link) {
    Wire& wire = wires[place_of(link)];
    return wire.generation == static_cast<std::uint64_t>(link) >> 32 ? &wire : nullptr;
  }
  Wire* open_wire(LinkId link) {
    Wire* const found = wire(link);
    return found != nullptr && found->state == Wire::State::open ? found : nullptr;
  }

  void open(LinkId link, LinkId other) {
    Wire& opened = *wire(link);
    opened.state = Wire::State::open;
    opened.other = other;
  }

  // The host's side of drive().
  void perform(Action action) {
    std::visit([this](auto&& one) { act(std::forward<decltype(one)>(one)); }, std::move(action));
  }
  void wake_at(TimePoint at) {
    if (at == never || at == wake) return;
    wake = at;
    world->later(*this, std::max(at - now(), Duration{}),
                 {.kind = Event::Kind::wake, .node = number});
  }

  void act(Transmit transmit) { world->transmit(*this, transmit.link, std::move(transmit.batch)); }
  void act(const Dial& dial) { world->dial(*this, dial.dial, dial.address); }
  void act(const Negotiate& what) { world->negotiate(*this, what); }
  void act(const CloseLink& close) { world->close(*this, close.link, close.reason); }
  void act(Notify notify) {
    std::visit([this](auto&& event) { note(std::forward<decltype(event)>(event)); },
               std::move(notify.event));
  }

  void tell(std::variant<Message, NotifyWish::SendDone> event) {
    shard->told.push_back({now(), number, std::move(event)});
    if (!world->is_crew_at_work_) world->tell_audience();
  }
  void note(Message message) {
    if (world->audience_ != nullptr) return tell(std::move(message));
    write().inbox.push_back(std::move(message));
  }
  void note(const NotifyWish::SendDone& done) {
    if (world->audience_ != nullptr) return tell(done);
    if (!write().results.emplace(done.message, done.result).second) {
      std::fprintf(stderr, "a send ended twice\n");
      std::abort();
    }
  }
  void note(const NotifyWish::PeerUp&) {}
  void note(const NotifyWish::PeerLost& peer) {
    if (world->audience_ == nullptr) write().lost.push_back(peer);
  }
  void note(const NotifyWish::ConnectDone& done) { write().connect_done = done; }
  void note(const NotifyWish::AddressDone&) {}
  // No node of a world speaks with npm peer-exchange.
  void note(const NotifyWish::ExchangePeerUp&) {}
  void note(const NotifyWish::ExchangeBytes&) {}
  void note(const NotifyWish::ExchangeWritable&) {}
  void note(const NotifyWish::ExchangeEnded&) {}
  void note(const NotifyWish::ExchangePeerDown&) {}
  void note(const NotifyWish::ExchangeFailed&) {}
  void note(const NotifyWish::Traced& traced) { write().hops.push_back(traced.hop); }
  void note(Problem problem) {
    if (world->audience_ == nullptr) write().problems.push_back(std::move(problem));
  }
  void note(const NotifyWish::Joined&) {}
  void note(NotifyWish::StreamOpened opened) {
    StreamPage& page = write().streams[opened.stream];
    page.peer = opened.peer;
    page.label = std::move(opened.label);
    page.is_ours = false;
  }
  void note(const NotifyWish::StreamAccepted& accepted) {
    write().streams[accepted.stream].is_accepted = true;
  }
  void note(const NotifyWish::StreamBytes& more) {
    StreamPage& page = write().streams[more.stream];
    page.bytes.insert(page.bytes.end(), more.bytes.begin(), more.bytes.end());
    page.unread_bytes += more.bytes.size();
    if (!write().unread_streams.contains(more.stream)) read(more.stream);
  }
  void note(const NotifyWish::StreamFinished& finished) {
    write().streams[finished.stream].has_finished = true;
  }
  void note(const NotifyWish::StreamWritable& writable) {
    write().streams[writable.stream].is_writable = true;
  }
  void note(const NotifyWish::StreamClosed& closed) {
    StreamPage& page = write().streams[closed.stream];
    if (page.end) {
      std::fprintf(stderr, "a stream ended twice\n");
      std::abort();
    }
    page.end = closed.end;
    page.code = closed.code;
  }

  // Not from inside of what the engine tells.
  void read(StreamId stream) {
    world->later(*this, number, Duration{}, [this, stream, in = life] {
      if (in != life || !engine) return;
      const std::size_t bytes = std::exchange(write().streams[stream].unread_bytes, 0);
      if (bytes == 0) return;
      turn().stream_consumed(stream, bytes, now());
      world->drive(*this);
    });
  }
};

}  // namespace peer_relay::sim
