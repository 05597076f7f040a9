#include "shim/security/image_remap.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace berth::security {
namespace {

constexpr uintptr_t kPage = 4096;

uintptr_t PageDown(uintptr_t address) { return address & ~(kPage - 1); }
uintptr_t PageUp(uintptr_t address) { return PageDown(address + kPage - 1); }
void* At(uintptr_t address) { return reinterpret_cast<void*>(address); }

int Protection(const ElfW(Phdr) & segment) {
  return ((segment.p_flags & PF_R) != 0 ? PROT_READ : 0) |
         ((segment.p_flags & PF_W) != 0 ? PROT_WRITE : 0) |
         ((segment.p_flags & PF_X) != 0 ? PROT_EXEC : 0);
}

// The mapping is exchanged in one step, so this very function may lie in it.
bool MapAgain(const ElfW(Phdr) & segment, int image) {
  const uintptr_t begin = PageDown(segment.p_vaddr);
  const uintptr_t end = PageUp(segment.p_vaddr + segment.p_filesz);
  return ::mmap(At(begin), end - begin, Protection(segment), MAP_PRIVATE | MAP_FIXED | MAP_POPULATE,
                image, static_cast<off_t>(PageDown(segment.p_offset))) != MAP_FAILED;
}

// Between the copy and the exchange nothing may be written to the segment: errno is not in it.
bool MakeAnonymous(const ElfW(Phdr) & segment) {
  const uintptr_t begin = PageDown(segment.p_vaddr);
  const size_t size = PageUp(segment.p_vaddr + segment.p_filesz) - begin;
  void* copy = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (copy == MAP_FAILED) return false;
  ::memcpy(copy, At(begin), size);
  return ::mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, At(begin)) != MAP_FAILED;
}

// The bounds that the kernel keeps of this program, proc_pid_stat(5): fields 26 to 28 and 45 to 51.
bool ReadBounds(struct prctl_mm_map* bounds) {
  char line[1024];
  const int stat =
      ::open("/proc/self/stat", O_RDONLY | O_CLOEXEC);  // tidy: allow(open) before constructors
  if (stat < 0) return false;
  const ssize_t size = ::read(stat, line, sizeof(line) - 1);
  ::close(stat);
  if (size <= 0) return false;
  line[size] = '\0';
  // The name may hold anything; what follows its last parenthesis is field 3.
  const char* next = ::strrchr(line, ')');
  if (next == nullptr) return false;
  uint64_t fields[52] = {};
  int number = 3;
  for (next += 2; number < 52 && *next != '\0'; ++number) {
    fields[number] = ::strtoull(next, nullptr, 10);
    next = ::strchr(next, ' ');
    if (next == nullptr) break;
    ++next;
  }
  bounds->start_code = fields[26];
  bounds->end_code = fields[27];
  bounds->start_stack = fields[28];
  bounds->start_data = fields[45];
  bounds->end_data = fields[46];
  bounds->start_brk = fields[47];
  bounds->arg_start = fields[48];
  bounds->arg_end = fields[49];
  bounds->env_start = fields[50];
  bounds->env_end = fields[51];
  bounds->brk = reinterpret_cast<uintptr_t>(::sbrk(0));
  return number >= 51;
}

// The first form needs CAP_SYS_RESOURCE; the second needs CAP_SYS_ADMIN (CAP_CHECKPOINT_RESTORE
// from 5.9 on) and a kernel that can restore checkpoints, and wants all bounds said again.
bool ExchangeProgram(int image) {
  if (::prctl(PR_SET_MM, PR_SET_MM_EXE_FILE, image, 0, 0) == 0) return true;
  struct prctl_mm_map bounds = {};
  bounds.exe_fd = static_cast<uint32_t>(image);
  return ReadBounds(&bounds) && ::prctl(PR_SET_MM, PR_SET_MM_MAP, &bounds, sizeof(bounds), 0) == 0;
}

}  // namespace

bool RemapOntoImage(int image) {
  const auto* segments = reinterpret_cast<const ElfW(Phdr)*>(::getauxval(AT_PHDR));
  const size_t count = ::getauxval(AT_PHNUM);
  if (segments == nullptr) return false;
  // What has an interpreter, or is moved to where it runs, was not mapped as its headers say.
  for (size_t i = 0; i < count; ++i) {
    if (segments[i].p_type == PT_INTERP || segments[i].p_type == PT_DYNAMIC) return false;
  }
  uintptr_t constant_begin = 0;
  uintptr_t constant_end = 0;
  for (size_t i = 0; i < count; ++i) {
    const ElfW(Phdr)& segment = segments[i];
    if (segment.p_type == PT_GNU_RELRO) {
      constant_begin = PageDown(segment.p_vaddr);
      constant_end = PageDown(segment.p_vaddr + segment.p_memsz);
    }
    if (segment.p_type != PT_LOAD || segment.p_filesz == 0) continue;
    const bool written = (segment.p_flags & PF_W) != 0;
    if (!(written ? MakeAnonymous(segment) : MapAgain(segment, image))) return false;
  }
  // What the C library had made read-only is so again.
  if (constant_end > constant_begin &&
      ::mprotect(At(constant_begin), constant_end - constant_begin, PROT_READ) != 0) {
    return false;
  }
  return ExchangeProgram(image);
}

}  // namespace berth::security
