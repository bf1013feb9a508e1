// SPDX-License-Identifier: MIT
//
// How a world's time passes: event by event, and side by side in threads.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/assert.hpp"
#include "base/prefetch.hpp"
#include "core/engine/drive.hpp"
#include "world_parts.hpp"

namespace peer_relay::sim {

static_assert(World::least_latency >= Agenda<int>::slot_time);

void World::later(Node& from, NodeNumber at, Duration wait, Happening happen) {
  later(from, wait,
        {.kind = Event::Kind::call,
         .node = static_cast<std::uint32_t>(at),
         .call = std::make_unique<Happening>(std::move(happen))});
}

void World::later(Node& from, Duration wait, Event event) {
  event.at = from.now() + wait;
  event.order = std::uint64_t{from.number} << 32 | from.planned++;
  Shard& there = *nodes_[event.node]->shard;
  if (&there == from.shard || !is_crew_at_work_) return there.agenda.add(std::move(event));
  PEER_RELAY_ASSERT(event.at > from.shard->window_end);
  Shard::Plans& plans = from.shard->plans[from.shard->window % 2];
  plans.earliest = std::min(plans.earliest, event.at);
  plans.events[there.number].push_back(std::move(event));
}

void World::happen(Event event) {
  Node& node = *nodes_[event.node];
  switch (event.kind) {
    case Event::Kind::arrive:
      return arrive(node, event.link, event.batch);
    case Event::Kind::writable:
      if (node.open_wire(event.link) == nullptr) return;
      node.turn().link_writable(event.link, node.now());
      return drive(node);
    case Event::Kind::closed:
      if (!node.engine) return;
      node.turn().link_closed(event.link, event.reason, node.now());
      return drive(node);
    case Event::Kind::gone:
      return hear_gone(node, event.link, event.reason);
    case Event::Kind::wake:
      return wake(node);
    case Event::Kind::call:
      return (*event.call)();
  }
}

void World::wake(Node& node) {
  if (!node.engine || node.wake != node.now()) return;
  node.wake = never;
  node.turn().wake(node.now());
  drive(node);
  // A room that is due again at once would keep a real host spinning.
  if (node.engine->next_wake() <= node.now()) {
    std::fprintf(stderr, "node %u was woken, and is due still\n", node.number);
    std::abort();
  }
}

void World::drive(Node& node) {
  std::vector<LinkId>& writable = node.shard->writable;
  while (node.engine.has_value()) {
    peer_relay::drive(node.turn(), node);
    if (writable.empty()) return;
    for (const LinkId link : writable) node.engine->link_writable(link, node.now());
    writable.clear();
  }
}

// A large world does not fit into caches, and each event is of another node: what it will need is
// fetched in steps, each by what the step before it has brought, while others are at work.
void World::foresee(const Shard& shard) {
  const auto is_foreseen = [](const Event& event) {
    return event.kind == Event::Kind::wake || event.kind == Event::Kind::arrive;
  };
  if (const Event* const event = shard.agenda.peek(9); event != nullptr && is_foreseen(*event)) {
    prefetch(nodes_[event->node]);
  }
  if (const Event* const event = shard.agenda.peek(7); event != nullptr && is_foreseen(*event)) {
    prefetch(*nodes_[event->node]);
  }
  if (const Event* const event = shard.agenda.peek(5); event != nullptr && is_foreseen(*event)) {
    const Node& node = *nodes_[event->node];
    if (node.engine) node.engine->foresee();
    if (event->kind == Event::Kind::arrive) {
      prefetch(node.wires.data() + Node::place_of(event->link), sizeof(Wire));
      prefetch(event->batch.data(), event->batch.size());
    }
  }
  for (const bool is_next : {false, true}) {
    const Event* const event = shard.agenda.peek(is_next ? 1 : 3);
    if (event == nullptr || event->kind != Event::Kind::arrive) continue;
    const Node& node = *nodes_[event->node];
    if (node.engine) node.engine->foresee(event->link, is_next);
  }
}

void World::pass(Shard& shard, TimePoint until) {
  while (auto event = shard.agenda.pop(until)) {
    shard.now = event->at;
    foresee(shard);
    happen(std::move(*event));
  }
}

// Conservative parallel simulation (Chandy and Misra 1979) with a window that all share: what a
// node does to another takes least_latency, so what happens within one slot of the agenda has no
// effect on other shards in that slot. They meet after each, and pass on what they have planned for
// one another.
void World::pass_side_by_side(std::size_t member) {
  Shard& shard = *shards_[member];
  for (;;) {
    Shard::Plans& said = shard.plans[shard.window % 2];
    said.earliest = std::min(said.earliest, shard.agenda.earliest());
    crew_->meet();
    const std::size_t last = shard.window++ % 2;
    TimePoint next = never;
    for (const auto& other : shards_) {
      next = std::min(next, other->plans[last].earliest);
      for (Event& event : other->plans[last].events[member]) shard.agenda.add(std::move(event));
      other->plans[last].events[member].clear();
    }
    // The one before the last: all have read it.
    shard.plans[shard.window % 2].earliest = never;
    if (next > end_) return;
    shard.window_end = std::min(end_, Agenda<Event>::end_of_slot(next));
    pass(shard, shard.window_end);
  }
}

void World::run_for(Duration duration) {
  end_ = now_ + duration;
  if (crew_ == nullptr) {
    pass(*shards_.front(), end_);
  } else {
    is_crew_at_work_ = true;
    crew_->work();
    is_crew_at_work_ = false;
    tell_audience();
  }
  now_ = end_;
  for (const auto& shard : shards_) shard->now = now_;
}

void World::tell_audience() {
  std::vector<Told> told;
  for (const auto& shard : shards_) {
    std::ranges::move(shard->told, std::back_inserter(told));
    shard->told.clear();
  }
  std::ranges::stable_sort(told, [](const Told& a, const Told& b) {
    return std::pair{a.at, a.node} < std::pair{b.at, b.node};
  });
  for (const Told& one : told) {
    if (const Message* const message = std::get_if<Message>(&one.event)) {
      audience_->message(one.node, *message);
    } else {
      const auto& done = std::get<NotifyWish::SendDone>(one.event);
      audience_->sent(one.node, done.message, done.result);
    }
  }
}

bool World::run_until(const std::function<bool()>& condition, Duration at_most) {
  const TimePoint end = now_ + at_most;
  while (!condition()) {
    if (now_ >= end) return false;
    run_for(std::min(end - now_, Duration{std::chrono::milliseconds{10}}));
  }
  return true;
}

}  // namespace peer_relay::sim
