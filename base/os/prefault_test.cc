#include "base/os/prefault.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>

namespace berth {
namespace {

constexpr uintptr_t kPage = 4096;
constexpr size_t kBytes = 24 * kPage;  // of the heap: malloc maps what is larger

struct Free {
  void operator()(char* memory) const { std::free(memory); }
};

// The whole pages inside `memory` that are there.
int TouchedPages(const char* memory) {
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(memory) + kPage - 1) & ~(kPage - 1);
  unsigned char is_there[kBytes / kPage - 1];
  EXPECT_EQ(::mincore(reinterpret_cast<void*>(begin), sizeof(is_there) * kPage, is_there), 0);
  int touched = 0;
  for (const unsigned char page : is_there) touched += page & 1;
  return touched;
}

// Of files, in pages: proc(5), statm.
int64_t ResidentFilePages() {
  int64_t size = 0, resident = 0, shared = 0;
  std::ifstream("/proc/self/statm") >> size >> resident >> shared;
  return shared;
}

TEST(PrefaultTest, CodeThatIsDroppedComesBackWithItsUse) {
  PrefaultProgram();
  const int64_t before = ResidentFilePages();
  DropProgram();
  EXPECT_LT(ResidentFilePages(), before);
}

#if !defined(__SANITIZE_ADDRESS__)  // whose malloc has no heap of the kernel's kind
TEST(PrefaultTest, UnsharingTakesNoPageThatNobodyTouched) {
  const std::unique_ptr<char, Free> memory(static_cast<char*>(std::malloc(kBytes)));
  std::memset(memory.get() + kBytes / 2, 'x', kBytes / 2);
  const int touched = TouchedPages(memory.get());
  ASSERT_LT(touched, static_cast<int>(kBytes / kPage - 1));

  UnshareHeapAndStack();

  EXPECT_EQ(TouchedPages(memory.get()), touched);
  for (size_t i = kBytes / 2; i < kBytes; ++i) ASSERT_EQ(memory.get()[i], 'x') << i;
}

TEST(PrefaultTest, WhatIsGivenOutNextIsThere) {
  // The top of the heap grows by more than this at a time.
  std::unique_ptr<char, Free>(static_cast<char*>(std::malloc(kBytes)));
  PrefaultFreeHeapAndStack();
  PrefaultProgram();
  const std::unique_ptr<char, Free> memory(static_cast<char*>(std::malloc(kBytes)));
  EXPECT_EQ(TouchedPages(memory.get()), static_cast<int>(kBytes / kPage - 1));
}
#endif

}  // namespace
}  // namespace berth
