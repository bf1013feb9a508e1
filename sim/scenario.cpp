// SPDX-License-Identifier: MIT
#include "scenario.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <numeric>
#include <set>

#include <fmt/format.h>
#include <malloc.h>

#include "stage.hpp"

namespace peer_relay::sim {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t pairs = 10'000;
constexpr Duration calm = 30s;  // after the last join

double seconds_of(Duration duration) { return std::chrono::duration<double>(duration).count(); }

double log2_of(std::size_t nodes) { return std::log2(static_cast<double>(nodes)); }

// ---- What is measured in more than one scenario ------------------------------------------------

struct Counted {
  std::vector<std::uint64_t> relayed;
  std::vector<std::uint64_t> relayed_bytes;
  std::vector<std::uint64_t> bytes;
};

Counted count(Stage& stage) {
  Counted counted;
  for (const NodeNumber node : stage.living()) {
    const Stats stats = stage.world().engine(node).stats();
    counted.relayed.push_back(stats.envelopes_relayed);
    counted.relayed_bytes.push_back(stats.relayed_bytes);
    counted.bytes.push_back(stats.bytes_out);
  }
  return counted;
}

std::size_t heap_bytes() { return mallinfo2().uordblks; }

/// Fifty joins a second; in large worlds more, so that all are in after 200 seconds.
Duration growth_time(std::size_t nodes) {
  return std::clamp<Duration>(std::chrono::milliseconds{nodes * 20}, 10s, 200s);
}

void find_join_cost(Stage& stage) {
  std::uint64_t all = 0;
  for (const NodeNumber node : stage.living()) {
    const std::uint64_t own = stage.world().engine(node).stats().envelopes_originated;
    stage.report().join_envelopes.push_back(static_cast<std::uint32_t>(own));
    all += own;
  }
  const double each = static_cast<double>(all) / static_cast<double>(stage.living().size());
  const double aim = 25 * log2_of(stage.living().size());
  stage.find("envelopes for each join, all told", fmt::format("{:.1f}", each),
             fmt::format("<= {:.0f}", aim), each <= aim);
}

/// A minute in which nobody says anything: the envelopes that are transmitted each second.
double find_upkeep(Stage& stage, std::string_view when = "") {
  const Counted before = count(stage);
  const std::uint64_t transmissions = stage.world().total().transmissions;
  constexpr Duration quiet = 60s;
  stage.run_for(quiet, "nobody speaks");
  const Counted after = count(stage);
  double all = 0;
  for (std::size_t i = 0; i < before.bytes.size(); ++i) {
    const double relayed = static_cast<double>(after.relayed_bytes[i] - before.relayed_bytes[i]);
    const double bytes = static_cast<double>(after.bytes[i] - before.bytes[i]);
    stage.report().control_bytes.push_back((bytes - relayed) / 60);
    all += bytes / 60;
  }
  const double each = all / static_cast<double>(before.bytes.size());
  stage.find(fmt::format("idle upkeep of a node{}", when), fmt::format("{:.0f} B/s", each),
             "<= 1,000 B/s", each <= 1000);
  return static_cast<double>(stage.world().total().transmissions - transmissions) / 60;
}

void find_hops(Stage& stage, std::pair<std::size_t, std::size_t> range, std::size_t nodes) {
  std::vector<int> hops;
  for (std::size_t i = range.first; i < range.second; ++i) {
    if (stage.sendings()[i].arrived) hops.push_back(stage.sendings()[i].hops);
  }
  if (hops.empty()) return;
  std::ranges::sort(hops);
  const double mean =
      std::accumulate(hops.begin(), hops.end(), 0.0) / static_cast<double>(hops.size());
  const int p99 = hops[hops.size() * 99 / 100];
  const double log2 = log2_of(nodes);
  stage.find("hops, mean", fmt::format("{:.2f}", mean), fmt::format("<= {:.2f}", 0.45 * log2),
             mean <= 0.45 * log2);
  stage.find("hops, p99", std::to_string(p99), fmt::format("<= {:.1f}", log2), p99 <= log2);
}

/// By how much one node relays more than the mean of those that relay at all. What a node carries
/// goes with its links, so where budgets differ each is compared with those that have its own.
void find_load(Stage& stage, const Counted& before, Duration time, double aim) {
  struct Kind {
    std::uint64_t most = 0;
    std::uint64_t all = 0;
    std::uint64_t relays = 0;
    double ratio() const {
      return all > 0 ? static_cast<double>(most) * static_cast<double>(relays) /
                           static_cast<double>(all)
                     : 0;
    }
  };
  const Counted after = count(stage);
  std::map<std::size_t, Kind> kinds;  // by budget
  Kind any;
  for (std::size_t i = 0; i < before.relayed.size(); ++i) {
    const std::uint64_t relayed = after.relayed[i] - before.relayed[i];
    for (Kind* const kind : {&any, &kinds[stage.budget_of(stage.living()[i])]}) {
      kind->most = std::max(kind->most, relayed);
      kind->all += relayed;
      if (relayed > 0) ++kind->relays;
    }
    const double bytes = static_cast<double>(after.relayed_bytes[i] - before.relayed_bytes[i]);
    stage.report().relayed_bytes.push_back(bytes / seconds_of(time));
  }
  double ratio = 0;
  for (const auto& [budget, kind] : kinds) ratio = std::max(ratio, kind.ratio());
  const auto kinds_that_relay =
      std::ranges::count_if(kinds, [](const auto& entry) { return entry.second.relays > 0; });
  if (kinds_that_relay == 1) {
    stage.find("most relayed by one node, of the mean of relays", fmt::format("{:.1f}", ratio),
               fmt::format("<= {:.0f}", aim), ratio <= aim);
    return;
  }
  stage.find("most relayed by one node, of the mean of relays of its budget",
             fmt::format("{:.1f}", ratio), fmt::format("<= {:.0f}", aim), ratio <= aim);
  stage.find("the same, of the mean of all relays", fmt::format("{:.1f}", any.ratio()));
}

/// Where nothing is dropped these are the same thing counted at two places, but for what is on its
/// way at either end.
void find_transmissions(Stage& stage, const Stats& before) {
  const Stats after = stage.world().total();
  const std::uint64_t transmissions = after.transmissions - before.transmissions;
  const std::uint64_t hops = after.hops_arrived - before.hops_arrived;
  const double ratio = static_cast<double>(transmissions) / static_cast<double>(hops);
  stage.find("transmissions, of the hops of what arrived",
             fmt::format("{:.4f} ({} / {})", ratio, transmissions, hops), "1.00",
             std::abs(ratio - 1) < 0.002);
}

Report steadily(Stage& stage, std::size_t nodes, double load_max = 4) {
  stage.run_for(calm, "calm");
  find_join_cost(stage);
  find_upkeep(stage);
  const Stats before = stage.world().total();
  const Counted counted = count(stage);
  const auto range = stage.send_pairs(pairs, 20s, false, "messages");
  stage.run_for(10s, "the last messages arrive");
  stage.find_part("best effort delivered", stage.arrived(range), 1);
  find_hops(stage, range, nodes);
  find_load(stage, counted, 30s, load_max);
  find_transmissions(stage, before);
  stage.check_envelopes();
  return stage.finish();
}

double steady_seconds(std::size_t nodes) { return seconds_of(growth_time(nodes) + calm + 90s); }

// ---- The scenarios --------------------------------------------------------------------------

Report steady(const Scenario& scenario, const Setting& setting) {
  Stage stage{scenario, setting, steady_seconds(setting.nodes)};
  const std::size_t heap = heap_bytes();
  stage.grow(setting.nodes, growth_time(setting.nodes));
  stage.run_for(10s, "calm");
  stage.report().memory_per_node =
      static_cast<double>(heap_bytes() - heap) / static_cast<double>(setting.nodes);
  return steadily(stage, setting.nodes);
}

Report join_flood(const Scenario& scenario, const Setting& setting) {
  Stage stage{scenario, setting, 60 + 60 + 60 + 35};
  const TimePoint began = stage.world().now();
  stage.grow(setting.nodes, 60s);
  stage.storm(began, stage.world().now(), "all join");
  stage.run_for(60s, "calm");
  find_join_cost(stage);
  const auto unlinked = std::ranges::count_if(stage.living(), [&](NodeNumber node) {
    return stage.world().engine(node).stats().links == 0;
  });
  stage.find("nodes without a link", std::to_string(unlinked), "0", unlinked == 0);
  const auto range = stage.send_pairs(pairs, 20s, false, "messages");
  stage.run_for(10s, "the last messages arrive");
  stage.find_part("best effort delivered, 60 s after the last join", stage.arrived(range), 1);
  find_hops(stage, range, setting.nodes);
  return stage.finish();
}

Report churn(const Scenario& scenario, const Setting& setting) {
  const double growth = seconds_of(growth_time(setting.nodes));
  Stage stage{scenario, setting, growth + 30 + 60 + 300 + 20};
  stage.grow(setting.nodes, growth_time(setting.nodes));
  stage.run_for(calm, "calm");
  find_upkeep(stage);
  const TimePoint began = stage.world().now();
  const double deaths_a_second = static_cast<double>(setting.nodes) / 600;
  double due = 0;
  const std::size_t first = stage.sendings().size();
  constexpr int tenths = 3000;
  for (int tenth = 0; tenth < tenths; ++tenth) {
    for (due += deaths_a_second / 10; due >= 1; --due) {
      stage.kill(stage.anybody());
      NodeSpec spec;
      spec.bootstrap = {stage.anybody(), stage.anybody()};
      stage.join_one(spec);
    }
    for (int i = 0; i < 6; ++i) {
      const NodeNumber from = stage.anybody();
      const NodeNumber to = stage.anybody();
      // Whoever they are: also those that have only just come.
      if (from != to) stage.send(from, to, i % 2 == 0);
    }
    stage.run_for(100ms, "nodes come and go");
  }
  stage.storm(began, stage.world().now(), "lifetimes of 10 minutes");
  stage.run_for(20s, "the last messages arrive");
  std::array<std::size_t, 2> sent{};
  std::array<std::size_t, 2> good{};
  for (std::size_t i = first; i < stage.sendings().size(); ++i) {
    const Sending& sending = stage.sendings()[i];
    if (!stage.world().is_alive(sending.from) || !stage.world().is_alive(sending.to)) continue;
    const std::size_t kind = sending.acknowledged ? 1 : 0;
    ++sent[kind];
    if (sending.acknowledged ? sending.result && sending.result->delivered() : sending.arrived) {
      ++good[kind];
    }
  }
  const auto part = [&](std::size_t kind) {
    return static_cast<double>(good[kind]) /
           static_cast<double>(std::max<std::size_t>(1, sent[kind]));
  };
  stage.find_part(fmt::format("best effort delivered, of {}", sent[0]), part(0), 0.999);
  stage.find_part(fmt::format("acknowledged delivered, of {}", sent[1]), part(1), 0.9999);
  return stage.finish();
}

Report kill_part(const Scenario& scenario, const Setting& setting, double part, double aim,
                 Duration heal_within) {
  const double growth = seconds_of(growth_time(setting.nodes));
  Stage stage{scenario, setting, growth + 30 + 10 + 90 + 20};
  stage.grow(setting.nodes, growth_time(setting.nodes));
  stage.run_for(calm, "calm");
  stage.send_pairs(1000, 10s, false, "messages before");
  const TimePoint blow = stage.world().now();
  const auto dead = static_cast<std::size_t>(static_cast<double>(setting.nodes) * part);
  for (std::size_t i = 0; i < dead; ++i) stage.kill(stage.anybody());
  stage.storm(blow, blow, fmt::format("{:.0f} % killed", part * 100));
  const auto range = stage.send_pairs(2000, 100ms, true, "acknowledged sends");
  const auto healed = stage.time_to_whole(200, 90s, blow, "healing");
  stage.run_for(15s, "the last results");
  stage.find_part("acknowledged, sent at the instant", stage.arrived(range), aim);
  const double within = seconds_of(heal_within);
  stage.find("best effort whole again after",
             healed ? fmt::format("{:.0f} s", seconds_of(*healed)) : "not within 90 s",
             fmt::format("<= {:.0f} s", within), healed && *healed <= heal_within);
  return stage.finish();
}

Report kill25(const Scenario& scenario, const Setting& setting) {
  return kill_part(scenario, setting, 0.25, 0.99, 30s);
}
Report kill50(const Scenario& scenario, const Setting& setting) {
  return kill_part(scenario, setting, 0.5, 0.95, 60s);
}

Report partition_heal(const Scenario& scenario, const Setting& setting) {
  const double growth = seconds_of(growth_time(setting.nodes));
  Stage stage{scenario, setting, growth + 30 + 300 + 120 + 10};
  // Each knows two addresses, on either side: as operators configure it.
  stage.grow(setting.nodes, growth_time(setting.nodes), [&](NodeNumber node, NodeSpec& spec) {
    spec.bootstrap.clear();
    if (node > 0) spec.bootstrap.push_back(0);
    if (node > 1) spec.bootstrap.push_back(1);
  });
  stage.run_for(calm, "calm");
  const TimePoint torn = stage.world().now();
  stage.world().tear();
  stage.run_for(300s, "torn in two halves");
  stage.world().heal();
  const TimePoint healed_at = stage.world().now();
  stage.storm(torn, healed_at, "two halves");
  const auto healed = stage.time_to_whole(200, 120s, healed_at, "growing together");
  stage.find("one overlay, all delivered, after",
             healed ? fmt::format("{:.0f} s", seconds_of(*healed)) : "not within 120 s", "<= 60 s",
             healed && *healed <= 60s);
  return stage.finish();
}

Report mostly_not_dialable(const Scenario& scenario, const Setting& setting, bool makes_channels) {
  Stage stage{scenario, setting, steady_seconds(setting.nodes)};
  std::vector<NodeNumber> dialable;
  stage.grow(setting.nodes, growth_time(setting.nodes), [&](NodeNumber node, NodeSpec& spec) {
    spec.listens = node == 0 || stage.random().below(10) < 3;
    spec.webrtc = makes_channels;
    if (!spec.listens) spec.limits = {.links_max = 24, .links_hard_max = 36};
    spec.bootstrap.clear();
    if (!dialable.empty()) spec.bootstrap = {dialable[stage.random().below(dialable.size())]};
    if (spec.listens) dialable.push_back(node);
  });
  // Leaves are at the relays closest to them, however many there are.
  return steadily(stage, setting.nodes, makes_channels ? 4 : 5);
}

Report browsers(const Scenario& scenario, const Setting& setting) {
  return mostly_not_dialable(scenario, setting, true);
}

Report leaves(const Scenario& scenario, const Setting& setting) {
  return mostly_not_dialable(scenario, setting, false);
}

Report bootstrap_loss(const Scenario& scenario, const Setting& setting) {
  const double growth = seconds_of(growth_time(setting.nodes));
  Stage stage{scenario, setting, growth + 30 + 60 + 60 + 10};
  constexpr std::size_t bootstraps = 3;
  stage.grow(setting.nodes, growth_time(setting.nodes), [&](NodeNumber node, NodeSpec& spec) {
    spec.bootstrap.clear();
    for (NodeNumber other = 0; other < std::min(node, bootstraps); ++other) {
      spec.bootstrap.push_back(other);
    }
  });
  stage.run_for(calm, "calm");
  for (NodeNumber node = 0; node < bootstraps; ++node) stage.kill(node);
  const TimePoint lost = stage.world().now();
  // One in twenty restarts, and has nothing but its cache.
  const std::size_t restarts = setting.nodes / 20;
  for (std::size_t i = 0; i < restarts; ++i) {
    const NodeNumber node = stage.anybody();
    NodeSpec spec;
    spec.bootstrap = {0, 1, 2};
    spec.cached_contacts = stage.world().engine(node).peer_cache();
    stage.kill(node);
    stage.join_one(spec);
  }
  stage.storm(lost, lost, "all bootstrap nodes gone, 5 % restart");
  stage.run_for(60s, "finding back");
  const auto range = stage.send_pairs(pairs, 20s, false, "messages");
  stage.run_for(10s, "the last messages arrive");
  stage.find_part("best effort delivered, a minute later", stage.arrived(range), 1);
  return stage.finish();
}

// ---- Liars ----------------------------------------------------------------------------------

/// So many of ten nodes lie like that, once all have joined and talked.
Report among_liars(const Scenario& scenario, const Setting& setting, const Liar& liar,
                   std::uint64_t liars_in_ten, bool conspire = false) {
  bool is_truce = true;
  const double growth = seconds_of(growth_time(setting.nodes));
  Stage stage{scenario, setting, growth + 30 + 60 + 3 * (20 + 40) + 300};
  std::vector<bool> lies;
  std::set<NodeId> conspirators;
  stage.grow(setting.nodes, growth_time(setting.nodes), [&](NodeNumber, NodeSpec& spec) {
    lies.push_back(stage.random().below(10) < liars_in_ten);
    if (lies.back()) {
      spec.liar = [&](const Passing& passing) { return is_truce ? Lie::none : liar(passing); };
    }
  });
  stage.run_for(calm, "calm");
  // What is transmitted beside upkeep, which is that of the quiet before and after.
  const auto honest_pairs = [&](double upkeep, std::string_view what) {
    const std::uint64_t before = stage.world().total().transmissions;
    const TimePoint began = stage.world().now();
    const std::size_t first = stage.sendings().size();
    for (std::size_t i = 0; i < 4000; ++i) {
      NodeNumber from = stage.anybody();
      while (lies[from]) from = stage.anybody();
      NodeNumber to = stage.anybody();
      while (lies[to] || to == from) to = stage.anybody();
      stage.send(from, to, true);
      stage.run_for(5ms, what);
    }
    stage.run_for(20s, what);
    const std::uint64_t all = stage.world().total().transmissions - before;
    const double time = seconds_of(stage.world().now() - began);
    stage.run_for(20s, "nobody speaks");
    const auto quiet = static_cast<double>(stage.world().total().transmissions - before - all);
    return std::pair{std::pair{first, stage.sendings().size()},
                     static_cast<double>(all) - (upkeep + quiet / 20) / 2 * time};
  };
  const auto set_to_work = [&] {
    is_truce = false;
    for (NodeNumber node = 0; node < lies.size(); ++node) {
      if (lies[node]) conspirators.insert(stage.world().id(node));
    }
    if (!conspire) return;
    for (NodeNumber node = 0; node < lies.size(); ++node) {
      if (!lies[node]) continue;
      stage.world().engine(node).set_accomplices(
          [&](const NodeId& id) { return conspirators.contains(id); });
    }
  };
  // One in twenty is new, and joins off two nodes that may be liars both.
  const auto join_among_them = [&] {
    const std::size_t newcomers = setting.nodes / 20;
    for (std::size_t i = 0; i < newcomers; ++i) {
      NodeSpec spec;
      spec.bootstrap = {stage.anybody(), stage.anybody()};
      stage.join_one(spec);
      lies.push_back(false);
      stage.run_for(120s / static_cast<Duration::rep>(newcomers), "others join among the liars");
    }
  };
  const double honest_upkeep = find_upkeep(stage);
  const auto [honest, honest_transmissions] = honest_pairs(honest_upkeep, "all are honest yet");
  set_to_work();
  const TimePoint began = stage.world().now();
  const auto [surprised, surprised_transmissions] =
      honest_pairs(honest_upkeep, "liars set to work");
  join_among_them();
  stage.run_for(120s, "liars are found out");
  const double upkeep = find_upkeep(stage, ", among the liars");
  const auto [settled, settled_transmissions] = honest_pairs(upkeep, "liars at work");
  stage.storm(began, stage.world().now(), fmt::format("{} % lie", liars_in_ten * 10));
  stage.find_part("acknowledged while all are honest", stage.arrived(honest), 1);
  stage.find("acknowledged in the first seconds of lies",
             fmt::format("{:.3f} %", 100 * stage.arrived(surprised)));
  stage.find("transmissions then, of those among honest",
             fmt::format("{:.2f}", surprised_transmissions / honest_transmissions));
  stage.find_part("acknowledged five minutes later", stage.arrived(settled), 0.99);
  const double ratio = settled_transmissions / honest_transmissions;
  stage.find("transmissions then, of those among honest", fmt::format("{:.2f}", ratio), "<= 4",
             ratio <= 4);
  return stage.finish();
}

Report droppers(const Scenario& scenario, const Setting& setting) {
  const Liar liar = [](const Passing& passing) {
    return passing.goes_on ? Lie::swallow : Lie::none;
  };
  return among_liars(scenario, setting, liar, 3);
}

Report misrouters(const Scenario& scenario, const Setting& setting) {
  const Liar liar = [](const Passing& passing) {
    if (!passing.goes_on) return Lie::none;
    return passing.is_lookup ? Lie::usurp : Lie::send_anywhere;
  };
  return among_liars(scenario, setting, liar, 2, true);
}

/// A key whose id shares more leading bits with the victim than any honest node does.
SigningSeed seed_beside(const NodeId& victim, int bits, Crypto& crypto, Random& random) {
  for (;;) {
    SigningSeed seed;
    for (std::uint8_t& byte : seed) byte = static_cast<std::uint8_t>(random.next());
    if (common_prefix_bits(identity_from_seed(seed, crypto).id, victim) >= bits) return seed;
  }
}

Report eclipse(const Scenario& scenario, const Setting& setting) {
  const double growth = seconds_of(growth_time(setting.nodes));
  Stage stage{scenario, setting, growth + 30 + 60 + 40};
  stage.grow(setting.nodes, growth_time(setting.nodes));
  stage.run_for(calm, "calm");
  const NodeNumber victim = stage.anybody();
  const NodeId victim_id = stage.world().id(victim);
  // Each id is searched for, as an attacker has to: by trying keys.
  const int bits = static_cast<int>(log2_of(setting.nodes)) + 1;
  Entropy entropy{setting.seed};
  std::unique_ptr<Crypto> crypto;
  if (setting.crypto == CryptoFlavour::modelled) {
    crypto = std::make_unique<ModelledCrypto>(entropy);
  } else {
    crypto = std::make_unique<SeededCrypto>(entropy);
  }
  std::vector<NodeNumber> honest = stage.living();
  std::erase(honest, victim);
  for (int i = 0; i < 20; ++i) {
    NodeSpec spec;
    spec.bootstrap = {honest[stage.random().below(honest.size())]};
    spec.identity = seed_beside(victim_id, bits, *crypto, stage.random());
    spec.liar = [victim_id](const Passing& passing) {
      return passing.target == victim_id ? Lie::deny : Lie::none;
    };
    stage.join_one(spec);
  }
  const TimePoint began = stage.world().now();
  stage.run_for(60s, "Sybils settle round the victim");
  const std::size_t first = stage.sendings().size();
  for (int i = 0; i < 1000; ++i) {
    stage.send(honest[stage.random().below(honest.size())], victim, true);
    stage.run_for(20ms, "messages to the victim");
  }
  stage.run_for(20s, "the last results");
  stage.storm(began, stage.world().now(), "20 Sybils");
  stage.find_part("acknowledged sends to the victim",
                  stage.arrived({first, stage.sendings().size()}), 0.99);
  return stage.finish();
}

Report reconnect_storm(const Scenario& scenario, const Setting& setting) {
  const double growth = seconds_of(growth_time(setting.nodes));
  Stage stage{scenario, setting, growth + 30 + 2 + 120 + 40};
  NodeSpec hub;
  hub.limits.leaves_max = setting.nodes + 100;
  stage.join_one(hub);
  stage.grow(setting.nodes, growth_time(setting.nodes), [](NodeNumber, NodeSpec& spec) {
    spec.listens = false;
    spec.bootstrap = {0};
  });
  stage.run_for(calm, "calm");
  const TimePoint blow = stage.world().now();
  stage.world().kill(0);
  stage.run_for(2s, "the hub is away");
  stage.world().restart(0, hub);
  stage.storm(blow, stage.world().now(), "the hub restarts");
  std::optional<Duration> back;
  for (int second = 0; second < 120 && !back; ++second) {
    stage.run_for(1s, "all come back");
    if (stage.world().engine(0).stats().links == setting.nodes) back = stage.world().now() - blow;
  }
  stage.find("all links are back after",
             back ? fmt::format("{:.0f} s", seconds_of(*back))
                  : fmt::format("{} of {} after 120 s", stage.world().engine(0).stats().links,
                                setting.nodes),
             "<= 120 s", back.has_value());
  const auto range = stage.send_pairs(2000, 10s, false, "messages");
  stage.run_for(10s, "the last messages arrive");
  stage.find_part("best effort delivered then", stage.arrived(range), 1);
  return stage.finish();
}

Report slow(const Scenario& scenario, const Setting& setting) {
  Stage stage{scenario, setting, steady_seconds(setting.nodes)};
  stage.world().make_slow(50, 10'000);
  stage.grow(setting.nodes, growth_time(setting.nodes));
  return steadily(stage, setting.nodes);
}

constexpr std::array all{
    Scenario{"bootstrap-loss",
             "Every bootstrap node dies for good, and one node in twenty restarts "
             "with nothing but its peer cache.",
             bootstrap_loss},
    Scenario{"browsers", "Seven nodes in ten can't be dialed, and make data channels instead.",
             browsers},
    Scenario{"churn", "Nodes live for ten minutes on average, and others come in their place.",
             churn},
    Scenario{"droppers", "Three nodes in ten silently drop what they should forward.", droppers},
    Scenario{"eclipse", "Twenty Sybils with ids packed round a victim drop what is for it.",
             eclipse},
    Scenario{"join-flood", "All nodes join within a minute.", join_flood},
    Scenario{"kill25", "A quarter of the nodes dies at one instant.", kill25},
    Scenario{"kill50", "Half of the nodes die at one instant.", kill50},
    Scenario{"leaves", "Seven nodes in ten can't be dialed, and make no data channels.", leaves},
    Scenario{"misrouters",
             "Two nodes in ten forward to anybody, and answer lookups in place of the closest, "
             "with only each other.",
             misrouters},
    Scenario{"partition-heal", "The network is torn in two halves for five minutes.",
             partition_heal},
    Scenario{"reconnect-storm", "A hub to which all other nodes are linked restarts.",
             reconnect_storm},
    Scenario{"slow", "One link in twenty carries 10 KB/s.", slow},
    Scenario{"steady", "Nodes join one by one, and random pairs talk.", steady},
};

}  // namespace

std::span<const Scenario> scenarios() { return all; }

const Scenario* find_scenario(std::string_view name) {
  const auto at = std::ranges::find(all, name, &Scenario::name);
  return at == all.end() ? nullptr : &*at;
}

}  // namespace peer_relay::sim
