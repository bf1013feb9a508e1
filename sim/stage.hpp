// SPDX-License-Identifier: MIT
//
// A world with an audience that keeps the books: what was sent, what arrived, and whether the laws
// were kept.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.hpp"
#include "scenario.hpp"

namespace peer_relay::sim {

/// One message of the books.
struct Sending {
  NodeNumber from = 0;
  NodeNumber to = 0;
  TimePoint at{};
  bool acknowledged = false;
  std::uint8_t hops = 0;  ///< once it arrived
  bool arrived = false;
  std::optional<SendResult> result;
};

class Stage final : public Audience {
 public:
  /// `seconds`: how long in virtual time it will take in all, for the progress.
  Stage(const Scenario& scenario, const Setting& setting, double seconds);

  World& world() { return world_; }
  Random& random() { return random_; }
  Report& report() { return report_; }

  // ---- Nodes --------------------------------------------------------------------------------

  /// Joins them, evenly spread over that time, each off a random earlier one; `spec_of` may alter
  /// what they are.
  void grow(std::size_t count, Duration over,
            const std::function<void(NodeNumber, NodeSpec&)>& spec_of = {});
  NodeNumber join_one(const NodeSpec& like);
  void kill(NodeNumber node);
  /// A random living one.
  NodeNumber anybody();
  const std::vector<NodeNumber>& living() const { return living_; }
  /// Of links.
  std::size_t budget_of(NodeNumber node) const { return budgets_[node]; }

  // ---- Time ---------------------------------------------------------------------------------

  void run_for(Duration duration, std::string_view what);

  // ---- Messages -----------------------------------------------------------------------------

  /// Which Sending it is.
  std::size_t send(NodeNumber from, NodeNumber to, bool acknowledged);
  /// Random pairs, evenly over that time. The first and the last place in sendings().
  std::pair<std::size_t, std::size_t> send_pairs(std::size_t count, Duration over,
                                                 bool acknowledged, std::string_view what);
  const std::vector<Sending>& sendings() const { return sendings_; }
  /// The part that arrived (or was acknowledged), of those whose two ends live still; of 1.
  double arrived(std::pair<std::size_t, std::size_t> range) const;
  /// Sends `per_second` best-effort messages each second until all of three seconds in a row
  /// arrived, or the time is up; says how long after `since` the first of those seconds was.
  std::optional<Duration> time_to_whole(std::size_t per_second, Duration at_most, TimePoint since,
                                        std::string_view what);

  // ---- Findings -----------------------------------------------------------------------------

  void find(std::string name, std::string value);
  void find(std::string name, std::string value, std::string aim, bool passed);
  void find_part(std::string name, double part, double aim);
  void storm(TimePoint from, TimePoint to, std::string what);
  /// The law of envelopes: each arrives, is dropped for a reason, or was sent in the last two
  /// seconds. For networks in which no link dies.
  void check_envelopes();
  /// Fills in what all reports have, and gives it away.
  Report finish();

  // From the world.
  void message(NodeNumber at, const Message& message) override;
  void sent(NodeNumber from, MessageId message, const SendResult& result) override;

 private:
  void tell(std::string_view what);
  void broken(std::string_view law);

  const Setting& setting_;
  World world_;
  Random random_;
  Report report_;
  double seconds_;
  std::chrono::steady_clock::time_point started_;
  std::vector<NodeNumber> living_;
  std::vector<std::size_t> place_in_living_;
  std::vector<std::size_t> budgets_;
  std::vector<Sending> sendings_;
  std::map<std::pair<NodeNumber, MessageId>, std::size_t> unfinished_;
  std::optional<std::size_t> sending_now_;  // a result may come before send() returns
  std::uint64_t broken_ = 0;
};

}  // namespace peer_relay::sim
