// Counts what a program allocates: linked into a shim with --wrap for malloc and its kin.
//
// The sums stand in a file `allocations` in the working directory (a shim's is its bundle), two
// little-endian 64-bit numbers: allocations, and the bytes that were asked for. The file is mapped
// shared: what a child allocates before its execve counts too. One thread.
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

namespace {

struct Sums {
  uint64_t allocations;
  uint64_t bytes;
};

Sums* MapSums() {
  static Sums nowhere;
  constexpr int kHow = O_RDWR | O_CREAT | O_CLOEXEC;
  const int file = ::open("allocations", kHow, 0600);  // tidy: allow(open) within malloc
  if (file < 0 || ::ftruncate(file, sizeof(Sums)) != 0) return &nowhere;
  void* mapped = ::mmap(nullptr, sizeof(Sums), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  return mapped == MAP_FAILED ? &nowhere : static_cast<Sums*>(mapped);
}

void Count(size_t bytes) {
  static Sums* const sums = MapSums();
  ++sums->allocations;
  sums->bytes += bytes;
}

}  // namespace

// Names that the linker makes of the C library's (ld(1), --wrap).
extern "C" {

void* __real_malloc(size_t size);
void* __real_calloc(size_t count, size_t size);
void* __real_realloc(void* old, size_t size);
void* __real_aligned_alloc(size_t alignment, size_t size);

void* __wrap_malloc(size_t size) {
  Count(size);
  return __real_malloc(size);
}

void* __wrap_calloc(size_t count, size_t size) {
  Count(count * size);
  return __real_calloc(count, size);
}

void* __wrap_realloc(void* old, size_t size) {
  Count(size);
  return __real_realloc(old, size);
}

void* __wrap_aligned_alloc(size_t alignment, size_t size) {
  Count(size);
  return __real_aligned_alloc(alignment, size);
}

}  // extern "C"
