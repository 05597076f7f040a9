#include "server/worker/mount_plan.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status/status_macros.h"

namespace berth::worker {
namespace {

bool HasOption(const MountSpec& mount, absl::string_view option) {
  return std::find(mount.options.begin(), mount.options.end(), option) != mount.options.end();
}

// The kernel's separator is ':', and '\' takes its meaning away.
std::vector<std::string> SplitLowers(absl::string_view text) {
  std::vector<std::string> lowers(1);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      lowers.back() += text[++i];
    } else if (text[i] == ':') {
      lowers.emplace_back();
    } else {
      lowers.back() += text[i];
    }
  }
  lowers.erase(std::remove(lowers.begin(), lowers.end(), ""), lowers.end());
  return lowers;
}

absl::StatusOr<MountPlan> PlanOverlay(const MountSpec& mount) {
  MountPlan plan;
  plan.kind = MountPlan::Kind::kOverlay;
  std::vector<std::string> lowers;
  for (const std::string& option : mount.options) {
    absl::string_view value = option;
    if (absl::ConsumePrefix(&value, "upperdir=")) {
      plan.layers.emplace_back(value);
      plan.access = MountPlan::Access::kWritable;
    } else if (value = option; absl::ConsumePrefix(&value, "lowerdir+=")) {
      lowers.emplace_back(value);
    } else if (value = option; absl::ConsumePrefix(&value, "lowerdir=")) {
      for (std::string& lower : SplitLowers(value)) lowers.push_back(std::move(lower));
    } else if (option == "userxattr") {
      plan.marks = MountPlan::Marks::kUser;
    }
  }
  if (lowers.empty()) {
    return absl::InvalidArgumentError("an overlay mount has no lowerdir option");
  }
  plan.layers.insert(plan.layers.end(), lowers.begin(), lowers.end());
  if (HasOption(mount, "ro")) plan.access = MountPlan::Access::kReadOnly;
  return plan;
}

}  // namespace

absl::StatusOr<MountPlan> PlanMounts(absl::Span<const MountSpec> mounts) {
  if (mounts.empty()) return MountPlan();
  if (mounts.size() > 1 || !mounts[0].target.empty()) {
    return absl::UnimplementedError(
        absl::StrCat("a tree of ", mounts.size(),
                     " mounts is not supported here; use a snapshotter that returns one mount "
                     "(overlayfs, native)"));
  }
  const MountSpec& mount = mounts[0];
  if (mount.type == "overlay") return PlanOverlay(mount);
  MountPlan plan;
  plan.access =
      HasOption(mount, "ro") ? MountPlan::Access::kReadOnly : MountPlan::Access::kWritable;
  if (mount.type == "bind" || HasOption(mount, "bind") || HasOption(mount, "rbind")) {
    if (mount.source.empty()) return absl::InvalidArgumentError("a bind mount has no source");
    plan.kind = MountPlan::Kind::kBind;
    plan.layers.push_back(mount.source);
    return plan;
  }
  plan.kind = MountPlan::Kind::kOther;
  return plan;
}

bool IsOneLayerAbove(const MountPlan& left, const MountPlan& right) {
  if (left.kind == MountPlan::Kind::kOther || right.kind == MountPlan::Kind::kOther) return false;
  // A bind of a copied tree (native snapshotter) is a layer of its own only over nothing.
  return right.layers.size() == left.layers.size() + 1 &&
         std::equal(left.layers.begin(), left.layers.end(), right.layers.begin() + 1);
}

}  // namespace berth::worker
