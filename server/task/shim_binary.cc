#include "server/task/shim_binary.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/spawn.h"
#include "base/status/status_macros.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace berth {
namespace {

constexpr size_t kHugePage = 2 << 20;
// Spawn fills the child's lower numbers, one of which would else be the program itself.
constexpr int kLowestFd = 32;
constexpr absl::Duration kProbeTimeout = absl::Seconds(5);

std::string DescriptorPath(const UniqueFd& fd) { return absl::StrCat("/proc/self/fd/", fd.get()); }

// Security modules refuse memfds only when they are executed, so that only a real try tells.
bool CanExecute(const UniqueFd& program) {
  SpawnOptions options;
  options.executable = DescriptorPath(program);
  options.arguments = {"berth-shim", "-v"};
  absl::StatusOr<ChildProcess> child = Spawn(options);
  if (!child.ok()) return false;
  return child->Wait(kProbeTimeout).ok();
}

// Gathers the program's pages as far as they fill huge ones (MADV_COLLAPSE, Linux 6.1, madvise(2);
// whatever /sys/kernel/mm/transparent_hugepage says). Each shim takes the program into page tables
// of its own, as do its children, and takes it out again at its end: at 4 KB a step that is half of
// what an execve and the exit cost. A kernel that cannot leaves the pages as they are.
void GatherIntoHugePages(const UniqueFd& program) {
  struct stat status = {};
  if (::fstat(program.get(), &status) != 0) return;
  const size_t bytes = static_cast<size_t>(status.st_size) / kHugePage * kHugePage;
  if (bytes == 0) return;
  // A mapping has huge pages only where its addresses are multiples of theirs.
  const size_t reserved = bytes + kHugePage;
  void* space = ::mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (space == MAP_FAILED) return;
  const auto begin = (reinterpret_cast<uintptr_t>(space) + kHugePage - 1) & ~(kHugePage - 1);
  // Private: sealed files refused shared mappings before Linux 6.7.
  void* mapping = ::mmap(reinterpret_cast<void*>(begin), bytes, PROT_READ, MAP_PRIVATE | MAP_FIXED,
                         program.get(), 0);
  if (mapping != MAP_FAILED) ::madvise(mapping, bytes, MADV_COLLAPSE);
  ::munmap(space, reserved);
}

}  // namespace

absl::StatusOr<ShimBinary> ShimBinary::Load(absl::string_view path) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd file, OpenFile(path, O_RDONLY),
                         _ << "the shim's program (is it installed beside berthd?)");
  if (const auto sealed = MakeSealedExecutable("berth-shim", file); sealed.ok()) {
    BERTH_ASSIGN_OR_RETURN(UniqueFd program, DupFd(*sealed, kLowestFd));
    GatherIntoHugePages(program);
    if (CanExecute(program)) return ShimBinary(std::move(program), std::string(path), true);
  }
  BERTH_ASSIGN_OR_RETURN(UniqueFd program, DupFd(file, kLowestFd));
  return ShimBinary(std::move(program), std::string(path), false);
}

std::string ShimBinary::executable() const { return DescriptorPath(program_); }

std::string ShimBinary::executable_for_others() const {
  return absl::StrCat("/proc/", ::getpid(), "/fd/", program_.get());
}

}  // namespace berth
