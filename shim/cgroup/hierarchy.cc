#include "shim/cgroup/hierarchy.h"

#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"

namespace berth::cgroup {
namespace {

bool IsFilesystem(const std::string& path, long magic) {
  struct statfs info;
  return ::statfs(path.c_str(), &info) == 0 && info.f_type == magic;
}

// A v1 hierarchy is mounted under its controllers as /proc lists them, or under one of them.
std::string FindV1Mount(absl::string_view root, absl::string_view controllers) {
  absl::string_view name = controllers;
  absl::ConsumePrefix(&name, "name=");
  std::string whole = absl::StrCat(root, "/", name);
  if (IsFilesystem(whole, CGROUP_SUPER_MAGIC)) return whole;
  for (absl::string_view one : absl::StrSplit(name, ',')) {
    std::string path = absl::StrCat(root, "/", one);
    if (IsFilesystem(path, CGROUP_SUPER_MAGIC)) return path;
  }
  return "";
}

std::string FindUnifiedMount(absl::string_view root) {
  for (std::string path : {std::string(root), absl::StrCat(root, "/unified")}) {
    if (IsFilesystem(path, CGROUP2_SUPER_MAGIC)) return path;
  }
  return "";
}

}  // namespace

std::string CleanPath(absl::string_view path) {
  std::vector<absl::string_view> parts;
  for (absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (part == ".") continue;
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
      continue;
    }
    parts.push_back(part);
  }
  return absl::StrCat("/", absl::StrJoin(parts, "/"));
}

absl::StatusOr<std::vector<Hierarchy>> FindHierarchies(absl::string_view proc_cgroup,
                                                       absl::string_view root) {
  std::vector<Hierarchy> found;
  for (absl::string_view line : absl::StrSplit(proc_cgroup, '\n', absl::SkipEmpty())) {
    // number:controllers:path; a v2 line has no controllers.
    const std::vector<absl::string_view> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    Hierarchy hierarchy;
    hierarchy.unified = fields[1].empty();
    hierarchy.own_path = std::string(fields[2]);
    if (hierarchy.unified) {
      hierarchy.mount_point = FindUnifiedMount(root);
    } else {
      hierarchy.mount_point = FindV1Mount(root, fields[1]);
      hierarchy.controllers = absl::StrSplit(fields[1], ',');
    }
    if (!hierarchy.mount_point.empty()) found.push_back(std::move(hierarchy));
  }
  if (found.empty()) {
    return absl::FailedPreconditionError(absl::StrCat("no cgroup filesystem is mounted below ",
                                                      root, "; mount cgroup2 there and try again"));
  }
  return found;
}

absl::StatusOr<std::vector<Hierarchy>> FindHierarchies() {
  BERTH_ASSIGN_OR_RETURN(const std::string text, ReadFile("/proc/self/cgroup"));
  return FindHierarchies(text, "/sys/fs/cgroup");
}

std::string ContainerDirectory(const Hierarchy& hierarchy, absl::string_view cgroups_path,
                               absl::string_view id) {
  std::string inner;
  if (absl::StartsWith(cgroups_path, "/")) {
    inner = CleanPath(cgroups_path);
  } else {
    // v2 allows no processes in inner groups, so a relative path is beside the caller's own group.
    std::string parent = hierarchy.own_path;
    if (hierarchy.unified) parent = parent.substr(0, parent.rfind('/'));
    inner = CleanPath(absl::StrCat(parent, CleanPath(cgroups_path.empty() ? id : cgroups_path)));
  }
  return absl::StrCat(hierarchy.mount_point, inner == "/" ? "" : inner);
}

}  // namespace berth::cgroup
