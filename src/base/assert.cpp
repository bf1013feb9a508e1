// SPDX-License-Identifier: MIT
#include "base/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace peer_relay {

void assertion_failed(const char* belief, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: believed, and wrong: %s\n", file, line, belief);
  std::abort();
}

}  // namespace peer_relay
