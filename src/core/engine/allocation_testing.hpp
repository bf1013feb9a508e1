// SPDX-License-Identifier: MIT
//
// For tests and benches alone: counts what the program takes from the heap. It replaces operator
// new for the whole program, so one source file of it includes this, and no more than one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace peer_relay::testing {

// Per thread: others may allocate what they like meanwhile.
inline thread_local std::uint64_t allocations = 0;

inline void* counted(void* memory) {
  if (memory == nullptr) std::abort();
  ++allocations;
  return memory;
}

}  // namespace peer_relay::testing

// g++ 12 sees malloc and free behind the pair that stands here, and takes it for a mismatch.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

void* operator new(std::size_t size) { return peer_relay::testing::counted(std::malloc(size)); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return peer_relay::testing::counted(std::malloc(size));
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto align = static_cast<std::size_t>(alignment);
  return peer_relay::testing::counted(
      std::aligned_alloc(align, (size + align - 1) / align * align));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
