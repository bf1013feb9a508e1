// SPDX-License-Identifier: MIT
//
// Storms, and what a network of the shipped engine makes of them. Each scenario grows a world,
// storms it, lets it calm down, measures, and says which of its aims were met. At each second of
// virtual time the laws are checked: nothing arrives that was not sent, or twice, or elsewhere, or
// from another; and each acknowledged send ends once.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "report.hpp"
#include "world.hpp"

namespace peer_relay::sim {

struct Progress {
  double done = 0;  ///< of 1
  std::string_view what;
  std::size_t nodes = 0;  ///< that live
  double seconds = 0;     ///< simulated
};

struct Setting {
  std::size_t nodes = 1000;
  std::uint64_t seed = 1;
  CryptoFlavour crypto = CryptoFlavour::modelled;
  std::size_t threads = 1;  ///< which changes nothing but the time it takes
  std::function<void(const Progress&)> progress;
};

struct Scenario {
  std::string_view name;
  std::string_view about;
  Report (*run)(const Scenario& scenario, const Setting& setting);
};

/// All there are, by name.
std::span<const Scenario> scenarios();
const Scenario* find_scenario(std::string_view name);

}  // namespace peer_relay::sim
