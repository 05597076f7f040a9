#include "base/os/prefault.h"

#include <elf.h>
#include <malloc.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace berth {
namespace {

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

constexpr uintptr_t kPageBytes = 4096;
constexpr uintptr_t kPageMask = kPageBytes - 1;
// execve(2) maps four times as much below the first frame.
constexpr uintptr_t kUsualStack = 32 << 10;

void Advise(uintptr_t begin, uintptr_t end, int advice) {
  begin &= ~kPageMask;
  ::madvise(reinterpret_cast<void*>(begin), ((end + kPageMask) & ~kPageMask) - begin, advice);
}

// The pages of a range that are there, as few stretches as they make.
void PopulateTouched(uintptr_t begin, uintptr_t end) {
  constexpr uintptr_t kMostPages = 256;
  begin &= ~kPageMask;
  end = std::min((end + kPageMask) & ~kPageMask, begin + kMostPages * kPageBytes);
  unsigned char is_there[kMostPages];
  if (::mincore(reinterpret_cast<void*>(begin), end - begin, is_there) != 0) return;
  const uintptr_t count = (end - begin) / kPageBytes;
  uintptr_t first = 0;
  for (uintptr_t i = 0; i <= count; ++i) {
    if (i < count && (is_there[i] & 1) != 0) continue;
    if (i > first) {
      Advise(begin + first * kPageBytes, begin + i * kPageBytes, MADV_POPULATE_WRITE);
    }
    first = i + 1;
  }
}

// Segments that are read from the program's file and never written, with `flags` (PF_X).
void AdviseProgram(Elf64_Word flags, int advice) {
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
    if ((segment[i].p_flags & flags) != flags) continue;
    const uintptr_t begin = base + segment[i].p_vaddr;
    Advise(begin, begin + segment[i].p_filesz, advice);
  }
}

}  // namespace

void DropProgram() { AdviseProgram(PF_X, MADV_DONTNEED); }

void PrefaultProgram() { AdviseProgram(0, MADV_POPULATE_READ); }

void PrefaultFreeHeapAndStack() {
  const auto heap_end = reinterpret_cast<uintptr_t>(::sbrk(0));
  Advise(heap_end - ::mallinfo2().keepcost, heap_end, MADV_POPULATE_WRITE);
  const auto frame = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  Advise(frame - kUsualStack, frame, MADV_POPULATE_WRITE);
}

void UnshareHeapAndStack() {
  const auto heap_end = reinterpret_cast<uintptr_t>(::sbrk(0));
  PopulateTouched(heap_end - ::mallinfo2().arena, heap_end);
  const auto frame = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  PopulateTouched(frame - kUsualStack, frame);
}

}  // namespace berth
