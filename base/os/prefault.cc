#include "base/os/prefault.h"

#include <elf.h>
#include <malloc.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace berth {
namespace {

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

constexpr uintptr_t kPageMask = 4095;
// execve(2) maps four times as much below the first frame.
constexpr uintptr_t kUsualStack = 32 << 10;

void Populate(uintptr_t begin, uintptr_t end, int advice) {
  begin &= ~kPageMask;
  ::madvise(reinterpret_cast<void*>(begin), ((end + kPageMask) & ~kPageMask) - begin, advice);
}

}  // namespace

void PrefaultProgram() {
  const auto* segment = reinterpret_cast<const Elf64_Phdr*>(::getauxval(AT_PHDR));
  if (segment == nullptr) return;
  const size_t count = ::getauxval(AT_PHNUM);
  // Addresses in the headers are where a program that is not relocated lies; a relocated one lies
  // as far off as its headers do.
  const auto headers = reinterpret_cast<uintptr_t>(segment);
  uintptr_t base = 0;
  for (size_t i = 0; i < count; ++i) {
    if (segment[i].p_type == PT_PHDR) base = headers - segment[i].p_vaddr;
  }
  for (size_t i = 0; i < count; ++i) {
    if (segment[i].p_type != PT_LOAD || (segment[i].p_flags & PF_W) != 0) continue;
    const uintptr_t begin = base + segment[i].p_vaddr;
    Populate(begin, begin + segment[i].p_filesz, MADV_POPULATE_READ);
  }
}

void PrefaultHeapAndStack() {
  const auto heap_end = reinterpret_cast<uintptr_t>(::sbrk(0));
  Populate(heap_end - ::mallinfo2().arena, heap_end, MADV_POPULATE_WRITE);
  const auto frame = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  Populate(frame - kUsualStack, frame, MADV_POPULATE_WRITE);
}

}  // namespace berth
