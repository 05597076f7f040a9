#include "server/task/shim_binary.h"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/spawn.h"
#include "base/status/status_macros.h"

namespace berth {
namespace {

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

}  // namespace

absl::StatusOr<ShimBinary> ShimBinary::Load(absl::string_view path) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd file, OpenFile(path, O_RDONLY),
                         _ << "the shim's program (is it installed beside berthd?)");
  if (const auto sealed = MakeSealedExecutable("berth-shim", file); sealed.ok()) {
    BERTH_ASSIGN_OR_RETURN(UniqueFd program, DupFd(*sealed, kLowestFd));
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
