#include "server/task/shim_binary.h"

#include <fcntl.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/spawn.h"
#include "base/status/status_macros.h"

namespace berth {
namespace {

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
  BERTH_ASSIGN_OR_RETURN(UniqueFd file, OpenFile(path, O_RDONLY),
                         _ << "the shim's program (is it installed beside berthd?)");
  absl::StatusOr<UniqueFd> sealed = MakeSealedExecutable("berth-shim", file);
  if (sealed.ok() && CanExecute(*sealed)) {
    return ShimBinary(*std::move(sealed), std::string(path), true);
  }
  return ShimBinary(std::move(file), std::string(path), false);
}

std::string ShimBinary::executable() const { return DescriptorPath(program_); }

}  // namespace berth
