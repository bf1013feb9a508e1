// SPDX-License-Identifier: MIT
#include "stage.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include <fmt/format.h>

namespace peer_relay::sim {

using namespace std::chrono_literals;

namespace {

constexpr Duration patience = 5s;  // for a best-effort message
constexpr std::uint64_t broken_told_max = 10;

double seconds_of(TimePoint at) {
  return std::chrono::duration<double>(at.time_since_epoch()).count();
}

std::string percent(double part) {
  // Never says that all arrived where one did not.
  const double shown = part < 1 ? std::min(part * 100, 99.999) : 100;
  return fmt::format("{:.3f} %", shown);
}

}  // namespace

Stage::Stage(const Scenario& scenario, const Setting& setting, double seconds)
    : setting_(setting),
      world_(setting.seed, setting.crypto, setting.threads),
      random_(setting.seed ^ 0x57a6e),
      seconds_(seconds),
      started_(std::chrono::steady_clock::now()) {
  world_.set_audience(this);
  world_.set_internet_latency();
  report_.scenario = scenario.name;
  report_.about = scenario.about;
  report_.nodes = setting.nodes;
  report_.seed = setting.seed;
  report_.threads = setting.threads;
  report_.command = fmt::format("peer-relay sim --scenario {} --nodes {} --seed {}{}",
                                scenario.name, setting.nodes, setting.seed,
                                setting.crypto == CryptoFlavour::sodium ? " --crypto sodium" : "");
}

// ---- Nodes ----------------------------------------------------------------------------------

void Stage::grow(std::size_t count, Duration over,
                 const std::function<void(NodeNumber, NodeSpec&)>& spec_of) {
  const TimePoint began = world_.now();
  for (std::size_t i = 0; i < count; ++i) {
    NodeSpec spec;
    if (!living_.empty()) spec.bootstrap = {anybody()};
    if (spec_of) spec_of(world_.size(), spec);
    join_one(spec);
    const TimePoint next =
        began + over * static_cast<Duration::rep>(i + 1) / static_cast<Duration::rep>(count);
    if (next > world_.now()) run_for(next - world_.now(), "nodes join");
  }
}

NodeNumber Stage::join_one(const NodeSpec& like) {
  const NodeNumber node = world_.add(like);
  place_in_living_.resize(world_.size());
  place_in_living_[node] = living_.size();
  living_.push_back(node);
  budgets_.resize(world_.size());
  budgets_[node] = like.limits.links_max;
  return node;
}

void Stage::kill(NodeNumber node) {
  world_.kill(node);
  const std::size_t place = place_in_living_[node];
  living_[place] = living_.back();
  place_in_living_[living_[place]] = place;
  living_.pop_back();
}

NodeNumber Stage::anybody() { return living_[random_.below(living_.size())]; }

// ---- Time -----------------------------------------------------------------------------------

void Stage::run_for(Duration duration, std::string_view what) {
  const TimePoint end = world_.now() + duration;
  while (world_.now() < end) {
    world_.run_for(std::min<Duration>(1s, end - world_.now()));
    tell(what);
  }
}

void Stage::tell(std::string_view what) {
  if (!setting_.progress) return;
  const double now = seconds_of(world_.now());
  setting_.progress(
      {.done = now / seconds_, .what = what, .nodes = living_.size(), .seconds = now});
}

// ---- Messages -------------------------------------------------------------------------------

std::size_t Stage::send(NodeNumber from, NodeNumber to, bool acknowledged) {
  const std::size_t number = sendings_.size();
  sendings_.push_back(
      {.from = from, .to = to, .at = world_.now(), .acknowledged = acknowledged, .result = {}});
  const std::string text = std::to_string(number);
  if (!acknowledged) {
    world_.send(from, world_.id(to), text);
    return number;
  }
  sending_now_ = number;
  const MessageId message = world_.send_acknowledged(from, world_.id(to), text);
  if (sending_now_) unfinished_[{from, message}] = number;
  sending_now_.reset();
  return number;
}

std::pair<std::size_t, std::size_t> Stage::send_pairs(std::size_t count, Duration over,
                                                      bool acknowledged, std::string_view what) {
  const std::size_t first = sendings_.size();
  const TimePoint began = world_.now();
  for (std::size_t i = 0; i < count; ++i) {
    const NodeNumber from = anybody();
    NodeNumber to = anybody();
    while (to == from) to = anybody();
    send(from, to, acknowledged);
    const TimePoint next =
        began + over * static_cast<Duration::rep>(i + 1) / static_cast<Duration::rep>(count);
    if (next > world_.now()) world_.run_for(next - world_.now());
    if (i % 256 == 0) tell(what);
  }
  return {first, sendings_.size()};
}

double Stage::arrived(std::pair<std::size_t, std::size_t> range) const {
  std::size_t counted = 0;
  std::size_t arrived = 0;
  for (std::size_t i = range.first; i < range.second; ++i) {
    const Sending& sending = sendings_[i];
    if (!world_.is_alive(sending.from) || !world_.is_alive(sending.to)) continue;
    ++counted;
    const bool is_done =
        sending.acknowledged ? sending.result && sending.result->delivered() : sending.arrived;
    if (is_done) ++arrived;
  }
  return counted == 0 ? 1 : static_cast<double>(arrived) / static_cast<double>(counted);
}

std::optional<Duration> Stage::time_to_whole(std::size_t per_second, Duration at_most,
                                             TimePoint since, std::string_view what) {
  std::vector<std::pair<std::size_t, std::size_t>> rounds;
  std::vector<TimePoint> began;
  while (world_.now() < since + at_most) {
    began.push_back(world_.now());
    rounds.push_back(send_pairs(per_second, 1s, false, what));
  }
  run_for(patience, what);
  // From which second on did all arrive?
  std::optional<Duration> whole;
  for (std::size_t i = rounds.size(); i-- > 0 && arrived(rounds[i]) == 1;) {
    whole = began[i] - since;
  }
  return whole;
}

void Stage::message(NodeNumber at, const Message& message) {
  std::size_t number = 0;
  const std::string_view text = message.payload.text();
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec != std::errc{} || number >= sendings_.size()) return broken("what was sent arrives");
  Sending& sending = sendings_[number];
  if (sending.to != at) return broken("it arrives where it was sent");
  if (world_.id(sending.from) != message.from) return broken("it is from whom it says");
  if (sending.arrived) return broken("it arrives once");
  sending.arrived = true;
  sending.hops = static_cast<std::uint8_t>(message.hops);
}

void Stage::sent(NodeNumber from, MessageId message, const SendResult& result) {
  std::size_t number = 0;
  const auto at = unfinished_.find({from, message});
  if (at != unfinished_.end()) {
    number = at->second;
    unfinished_.erase(at);
  } else if (sending_now_) {
    number = *sending_now_;
    sending_now_.reset();
  } else {
    return broken("a send ends once");
  }
  if (result.delivered() && !sendings_[number].arrived) return broken("delivered is delivered");
  sendings_[number].result = result;
}

void Stage::broken(std::string_view law) {
  if (++broken_ <= broken_told_max) {
    std::fprintf(
        stderr, "%s\n",
        fmt::format("at {:.3f} s this law was broken: {}", seconds_of(world_.now()), law).c_str());
  }
}

// ---- Findings -------------------------------------------------------------------------------

void Stage::find(std::string name, std::string value) {
  report_.findings.push_back({std::move(name), std::move(value), "", {}});
}

void Stage::find(std::string name, std::string value, std::string aim, bool passed) {
  report_.findings.push_back({std::move(name), std::move(value), std::move(aim), passed});
}

void Stage::find_part(std::string name, double part, double aim) {
  find(std::move(name), percent(part), fmt::format(">= {} %", aim * 100), part >= aim);
}

void Stage::storm(TimePoint from, TimePoint to, std::string what) {
  report_.storms.push_back({seconds_of(from), seconds_of(to), std::move(what)});
}

void Stage::check_envelopes() {
  const std::uint64_t sent_before = world_.total().envelopes_originated;
  run_for(2s, "what is on its way ends");
  const Stats total = world_.total();
  std::uint64_t dropped = 0;
  for (const DropReason reason :
       {DropReason::dead_end, DropReason::hops_spent, DropReason::queue_full,
        DropReason::rate_limited, DropReason::forged_source}) {
    dropped += total.dropped_for(reason);
  }
  const std::uint64_t ended = total.envelopes_arrived + dropped;
  const std::uint64_t in_flight = total.envelopes_originated - ended;
  find("envelopes sent = arrived + dropped + in flight",
       fmt::format("{} = {} + {} + {}", total.envelopes_originated, total.envelopes_arrived,
                   dropped, in_flight),
       "those of the last 2 s", ended <= total.envelopes_originated && ended >= sent_before);
}

Report Stage::finish() {
  std::map<std::uint64_t, DeliveryPoint> seconds;
  for (const Sending& sending : sendings_) {
    if (sending.arrived) {
      if (sending.hops >= report_.hops.size()) report_.hops.resize(sending.hops + 1u);
      ++report_.hops[sending.hops];
    }
    const auto second = static_cast<std::uint64_t>(seconds_of(sending.at));
    DeliveryPoint& point = seconds[second];
    point.second = static_cast<double>(second);
    ++point.sent;
    if (sending.arrived) ++point.delivered;
  }
  for (const auto& [second, point] : seconds) report_.delivery.push_back(point);
  for (const NodeNumber node : living_) {
    report_.links.push_back(static_cast<std::uint32_t>(world_.engine(node).stats().links));
  }
  const Stats total = world_.total();
  for (std::size_t i = 0; i < std::size(total.dropped); ++i) {
    if (total.dropped[i] == 0) continue;
    report_.dropped.emplace_back(name_of(static_cast<DropReason>(i)), total.dropped[i]);
  }
  std::ranges::sort(report_.dropped, std::greater{},
                    &std::pair<std::string, std::uint64_t>::second);
  find("laws broken", std::to_string(broken_), "0", broken_ == 0);
  report_.event_hash = world_.event_hash();
  report_.virtual_seconds = seconds_of(world_.now());
  report_.wall_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  return std::move(report_);
}

}  // namespace peer_relay::sim
