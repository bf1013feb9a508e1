// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace peer_relay {

/// Makes room for one more, an eighth at a time: for rows that live as long as the node does, where
/// doubling would leave a third of them empty for ever.
template <class T>
void grow_gently(std::vector<T>& row) {
  if (row.size() < row.capacity()) return;
  row.reserve(row.size() + std::max<std::size_t>(4, row.size() / 8));
}

}  // namespace peer_relay
