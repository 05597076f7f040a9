#include "server/engine/root_view.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::engine {
namespace {

struct OverlayPlan {
  std::vector<std::string> lower;  // top down
  std::string upper;
  std::string work;
  std::vector<std::string> other;  // words and key=value
};

OverlayPlan PlanOf(const snapshots::Mount& mount, RootView::Access access) {
  OverlayPlan plan;
  for (absl::string_view option : mount.options) {
    if (absl::ConsumePrefix(&option, "lowerdir=")) {
      for (absl::string_view lower : absl::StrSplit(option, ':', absl::SkipEmpty())) {
        plan.lower.emplace_back(lower);
      }
    } else if (absl::ConsumePrefix(&option, "upperdir=")) {
      plan.upper = std::string(option);
    } else if (absl::ConsumePrefix(&option, "workdir=")) {
      plan.work = std::string(option);
    } else if (option != "ro" && option != "rw") {
      plan.other.emplace_back(option);
    }
  }
  if (access == RootView::Access::kReadOnly && !plan.upper.empty()) {
    // As one more layer below nothing: what is written to it meanwhile may or may not be seen.
    plan.lower.insert(plan.lower.begin(), plan.upper);
    plan.upper.clear();
    plan.work.clear();
  }
  return plan;
}

bool SetString(BorrowedFd context, const char* key, const std::string& value) {
  return ::fsconfig(context.get(), FSCONFIG_SET_STRING, key, value.c_str(), 0) == 0;
}

bool Configure(BorrowedFd context, const OverlayPlan& plan) {
  for (const std::string& lower : plan.lower) {
    if (!SetString(context, "lowerdir+", lower)) return false;
  }
  if (!plan.upper.empty() &&
      (!SetString(context, "upperdir", plan.upper) || !SetString(context, "workdir", plan.work))) {
    return false;
  }
  for (const std::string& word : plan.other) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(word, absl::MaxSplits('=', 1));
    const bool set =
        absl::StrContains(word, '=')
            ? SetString(context, parts.first.c_str(), parts.second)
            : ::fsconfig(context.get(), FSCONFIG_SET_FLAG, word.c_str(), nullptr, 0) == 0;
    if (!set) return false;
  }
  return ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0;
}

// Errors: UNIMPLEMENTED where the kernel does not take an overlay's options so (before 6.8).
absl::StatusOr<UniqueFd> MountDetached(const OverlayPlan& plan) {
  const UniqueFd context(::fsopen("overlay", FSOPEN_CLOEXEC));
  if (!context.valid() || !Configure(context, plan)) {
    return absl::UnimplementedError("overlay options are not taken by fsconfig");
  }
  UniqueFd root(::fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  if (!root.valid()) return ErrnoStatus(errno, "fsmount overlay");
  return root;
}

// In a mount namespace of this thread's own; the descriptor outlives both.
absl::StatusOr<UniqueFd> MountInThread(const OverlayPlan& plan) {
  absl::StatusOr<UniqueFd> result = absl::InternalError("not run");
  std::thread thread([&] {
    if (::unshare(CLONE_FS | CLONE_NEWNS) != 0) {
      result = ErrnoStatus(errno, "unshare a mount namespace");
      return;
    }
    if (::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) != 0) {
      result = ErrnoStatus(errno, "make the mounts private");
      return;
    }
    std::vector<std::string> options = plan.other;
    options.push_back(absl::StrCat("lowerdir=", absl::StrJoin(plan.lower, ":")));
    if (!plan.upper.empty()) {
      options.push_back(absl::StrCat("upperdir=", plan.upper));
      options.push_back(absl::StrCat("workdir=", plan.work));
    }
    if (::mount("overlay", "/proc", "overlay", MS_NOSUID | MS_NODEV,
                absl::StrJoin(options, ",").c_str()) != 0) {
      result = ErrnoStatus(errno, "mount overlay");
      return;
    }
    result = OpenFile("/proc", O_PATH | O_DIRECTORY);
  });
  thread.join();
  return result;
}

}  // namespace

absl::StatusOr<RootView> RootView::OfMounts(const std::vector<snapshots::Mount>& mounts,
                                            Access access) {
  if (mounts.size() != 1) {
    return absl::UnimplementedError("a root of several mounts can only be seen by running it");
  }
  const snapshots::Mount& mount = mounts[0];
  if (mount.type != "overlay") {
    BERTH_ASSIGN_OR_RETURN(UniqueFd root, OpenFile(mount.source, O_PATH | O_DIRECTORY));
    return RootView(std::move(root));
  }
  const OverlayPlan plan = PlanOf(mount, access);
  if (plan.upper.empty() && plan.lower.size() == 1) {
    BERTH_ASSIGN_OR_RETURN(UniqueFd root, OpenFile(plan.lower[0], O_PATH | O_DIRECTORY));
    return RootView(std::move(root));
  }
  absl::StatusOr<UniqueFd> root = MountDetached(plan);
  if (absl::IsUnimplemented(root.status())) root = MountInThread(plan);
  BERTH_RETURN_IF_ERROR(root.status()) << "open the container's root";
  return RootView(*std::move(root));
}

absl::StatusOr<RootView> RootView::OfProcess(pid_t pid) {
  BERTH_ASSIGN_OR_RETURN(UniqueFd root,
                         OpenFile(absl::StrCat("/proc/", pid, "/root"), O_PATH | O_DIRECTORY));
  return RootView(std::move(root));
}

}  // namespace berth::engine
