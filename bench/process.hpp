// SPDX-License-Identifier: MIT
//
// How bench/run speaks with the processes it measures: one JSON object a line, on their standard
// input and output. A process ends when its input does, so none outlives the driver.
#pragma once

#include <chrono>
#include <functional>

#include <nlohmann/json.hpp>

namespace peer_relay::bench {

using Json = nlohmann::json;

/// Time, CPU and memory of this process: {"ns", "cpu_us", "rss_kib", "anonymous_kib"}.
Json own_cost();

/// Prints one line.
void say(const Json& line);

/// Reads commands ({"do": name, ...}) and prints what `obey` answers to each, until there are no
/// more. `tick` is called now and then in between.
void obey_commands(const std::function<Json(const Json&)>& obey, const std::function<void()>& tick);

}  // namespace peer_relay::bench
