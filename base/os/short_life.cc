#include "base/os/short_life.h"

#include <malloc.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>

namespace berth {
namespace {

constexpr int kHeapBytes = 8 << 20;
constexpr uintptr_t kHugePage = 2 << 20;

}  // namespace

void PrepareShortLife() {
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_MMAP_THRESHOLD, 2 * kHeapBytes);
  ::mallopt(M_TRIM_THRESHOLD, 8 * kHeapBytes);
  ::mallopt(M_TOP_PAD, kHeapBytes);
  // The heap grows once, here; what is not touched of it is not there.
  void* heap = std::malloc(kHeapBytes);
  if (heap == nullptr) return;
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(heap) + kHugePage - 1) & ~(kHugePage - 1);
  const uintptr_t end = (reinterpret_cast<uintptr_t>(heap) + 2 * kHeapBytes) & ~(kHugePage - 1);
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
  std::free(heap);
}

}  // namespace berth
