// SPDX-License-Identifier: MIT
//
// Shows what old nodes have received to the strict judge: legacy_judge TAP ID... Each line of TAP
// is
// {"id":whose,"first":bool,"text":"..."}; those of the given ids are judged. Prints how many they
// are, then what is wrong with which; the exit status says whether anything is.
#include <cstdio>
#include <fstream>
#include <set>
#include <string>

#include <nlohmann/json.hpp>

#include "core/legacy/old_message.hpp"

int main(int count, char** words) {
  using namespace peer_relay;
  if (count < 3) return 2;
  const std::set<std::string> judged(words + 2, words + count);
  std::ifstream tap{words[1]};
  std::size_t texts = 0;
  std::string complaints;
  for (std::string line; std::getline(tap, line);) {
    if (tap.eof()) break;  // it is still being written
    const auto entry = nlohmann::json::parse(line);
    if (!judged.contains(entry["id"].get<std::string>())) continue;
    ++texts;
    const auto text = entry["text"].get<std::string>();
    if (const auto fault = legacy::fault_of(text, entry["first"].get<bool>())) {
      complaints += std::string{legacy::name_of(*fault)} + ": " + text.substr(0, 500) + "\n";
    }
  }
  std::printf("%zu texts\n%s", texts, complaints.c_str());
  return complaints.empty() ? 0 : 1;
}
