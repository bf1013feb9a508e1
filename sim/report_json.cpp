// SPDX-License-Identifier: MIT
#include <algorithm>
#include <numeric>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "report.hpp"
#include "svg_plot.hpp"

namespace peer_relay::sim {
namespace {

using Json = nlohmann::ordered_json;

/// What ten thousand nodes come to; null for what nothing has.
template <typename T>
Json summary_of(std::vector<T> values) {
  Json summary{{"min", nullptr}, {"mean", nullptr}, {"p50", nullptr},
               {"p99", nullptr}, {"max", nullptr},  {"count", values.size()}};
  if (values.empty()) return summary;
  std::ranges::sort(values);
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  summary["min"] = values.front();
  summary["mean"] = sum / static_cast<double>(values.size());
  summary["p50"] = quantile_of(values, 0.5);
  summary["p99"] = quantile_of(values, 0.99);
  summary["max"] = values.back();
  return summary;
}

Json json_of(const std::vector<Finding>& findings) {
  Json list = Json::array();
  for (const Finding& finding : findings) {
    list.push_back({{"name", finding.name},
                    {"value", finding.value},
                    {"aim", finding.aim},
                    {"passed", finding.passed ? Json(*finding.passed) : Json()}});
  }
  return list;
}

Json json_of(const std::vector<DeliveryPoint>& delivery) {
  Json list = Json::array();
  for (const DeliveryPoint& point : delivery) {
    list.push_back(
        {{"second", point.second}, {"sent", point.sent}, {"delivered", point.delivered}});
  }
  return list;
}

Json json_of(const std::vector<Storm>& storms) {
  Json list = Json::array();
  for (const Storm& storm : storms) {
    list.push_back({{"from", storm.from}, {"to", storm.to}, {"what", storm.what}});
  }
  return list;
}

Json json_of(const std::vector<std::pair<std::string, std::uint64_t>>& dropped) {
  Json object = Json::object();
  for (const auto& [reason, count] : dropped) object[reason] = count;
  return object;
}

}  // namespace

std::string json_of(const Report& report) {
  const Json object{{"scenario", report.scenario},
                    {"about", report.about},
                    {"nodes", report.nodes},
                    {"seed", report.seed},
                    {"command", report.command},
                    {"event_hash", fmt::format("{:016x}", report.event_hash)},
                    {"virtual_seconds", report.virtual_seconds},
                    {"findings", json_of(report.findings)},
                    {"hops", report.hops},
                    {"delivery", json_of(report.delivery)},
                    {"storms", json_of(report.storms)},
                    {"links", summary_of(report.links)},
                    {"control_bytes", summary_of(report.control_bytes)},
                    {"relayed_bytes", summary_of(report.relayed_bytes)},
                    {"join_envelopes", summary_of(report.join_envelopes)},
                    {"dropped", json_of(report.dropped)},
                    {"machine",
                     {{"wall_seconds", report.wall_seconds},
                      {"threads", report.threads},
                      {"memory_per_node", report.memory_per_node}}},
                    {"passed", report.passed()}};
  return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace peer_relay::sim
