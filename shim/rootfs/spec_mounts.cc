#include "shim/rootfs/spec_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/match.h"
#include "shim/init/raw_open.h"
#include "shim/rootfs/copy_up.h"
#include "shim/rootfs/filesystem.h"
#include "shim/rootfs/inside.h"
#include "shim/rootfs/mount_api.h"

namespace berth::rootfs {
namespace {

// A filesystem whose superblock the container shares with others: nothing but the mount may change.
void SetMountAttributes(init::Reporter& report, const spec::MountPlan& mount, int tree) {
  Attributes attributes;
  if (!mount.attributes.empty()) {
    attributes.set = mount.attributes.set;
    attributes.clear = mount.attributes.clear;
    if (SetAttributes(tree, attributes, Reach::kMount) != 0) {
      report.Fail(errno, "set the attributes of", mount.destination);
    }
  }
  if (!mount.tree.empty()) {
    attributes.set = mount.tree.set;
    attributes.clear = mount.tree.clear;
    if (SetAttributes(tree, attributes, Reach::kTree) != 0) {
      report.Fail(errno, "set the recursive attributes of", mount.destination);
    }
  }
}

void SetPropagation(init::Reporter& report, const spec::MountPlan& mount, int tree) {
  if (mount.propagation == 0) return;
  Attributes attributes;
  attributes.propagation = mount.propagation;
  const Reach reach = mount.recursive_propagation ? Reach::kTree : Reach::kMount;
  if (SetAttributes(tree, attributes, reach) != 0) {
    report.Fail(errno, "set the propagation of", mount.destination);
  }
}

// The link itself, as the image would hold it: what it points to is looked up inside.
void CopyLink(init::Reporter& report, const spec::MountPlan& mount, const MountContext& context,
              int link) {
  char target[PATH_MAX];
  const ssize_t size = ::readlinkat(link, "", target, sizeof(target) - 1);
  if (size < 0) report.Fail(errno, "read the link", mount.source);
  target[size] = '\0';
  const Place place = OpenParent(report, context.root, mount.destination.c_str());
  if (::symlinkat(target, place.directory, place.name) != 0) {
    const int error = errno;
    char there[PATH_MAX];
    const ssize_t length = ::readlinkat(place.directory, place.name, there, sizeof(there));
    if (error != EEXIST || length != size ||
        ::memcmp(there, target, static_cast<size_t>(length)) != 0) {
      report.Fail(error, "copy a link to", mount.destination);
    }
  }
  ::close(place.directory);
}

void AttachBind(init::Reporter& report, const spec::MountPlan& mount, const MountContext& context,
                int tree) {
  struct stat info;
  if (::fstat(tree, &info) != 0) report.Fail(errno, "stat bind source", mount.source);
  if (mount.copy_symlink && S_ISLNK(info.st_mode)) return CopyLink(report, mount, context, tree);
  const TargetKind kind = S_ISDIR(info.st_mode) ? TargetKind::kDirectory : TargetKind::kFile;
  const uint64_t extra = mount.destination_no_follow ? RESOLVE_NO_SYMLINKS : 0;
  const int target = OpenOrMakeTarget(report, context.root, mount.destination.c_str(), kind, extra);
  SetMountAttributes(report, mount, tree);
  if (AttachMount(tree, target) != 0) report.Fail(errno, "attach bind mount", mount.destination);
  ::close(target);
  SetPropagation(report, mount, tree);
}

// What is mounted at the target already gets other attributes.
void Change(init::Reporter& report, const spec::MountPlan& mount, const MountContext& context) {
  const int target = OpenInside(context.root, mount.destination.c_str(), O_PATH);
  if (target < 0) report.Fail(errno, "open mount target", mount.destination);
  SetMountAttributes(report, mount, target);
  SetPropagation(report, mount, target);
  ::close(target);
}

bool HasMode(const spec::MountPlan& mount) {
  return std::any_of(mount.data.begin(), mount.data.end(),
                     [](const std::string& option) { return absl::StartsWith(option, "mode="); });
}

bool IsThere(int root, const char* path) {
  const int fd = OpenInside(root, path, O_PATH);
  if (fd >= 0) ::close(fd);
  return fd >= 0;
}

int MountPlain(init::Reporter& report, const spec::MountPlan& mount, const MountContext& context,
               uint64_t attributes) {
  // CVE-2019-19921's class: a /proc that is a link could be pointed elsewhere by another container.
  const bool strict = mount.destination_no_follow || mount.type == "proc" || mount.type == "sysfs";
  const bool covers = mount.type == "tmpfs" && IsThere(context.root, mount.destination.c_str());
  const int target = OpenOrMakeTarget(report, context.root, mount.destination.c_str(),
                                      TargetKind::kDirectory, strict ? RESOLVE_NO_SYMLINKS : 0);
  FilesystemRequest request;
  request.type = mount.type.c_str();
  request.source = mount.source.c_str();
  request.flags = &mount.filesystem_flags;
  request.data = &mount.data;
  request.attributes = attributes;
  request.root = context.root;
  request.target_name = mount.destination.c_str();
  if (context.mount_label != nullptr && !context.mount_label->empty() &&
      (mount.type == "tmpfs" || mount.type == "devpts" || mount.type == "mqueue")) {
    request.label = context.mount_label->c_str();
  }
  // A tmpfs over a directory of the image keeps that directory's mode unless the options say
  // otherwise; elsewhere it is everybody's, as the kernel makes it.
  char mode[32];
  struct stat info;
  if (covers && !HasMode(mount) && ::fstat(target, &info) == 0) {
    ::snprintf(mode, sizeof(mode), "mode=%o", info.st_mode & 07777);
    request.first_option = mode;
  }
  const int mounted = MountFilesystem(report, request, target);
  if (mount.copy_up && covers) CopyUp(report, target, mounted, mount.destination.c_str());
  ::close(target);
  if (!mount.tree.empty()) {
    Attributes tree;
    tree.set = mount.tree.set;
    tree.clear = mount.tree.clear;
    if (SetAttributes(mounted, tree, Reach::kTree) != 0) {
      report.Fail(errno, "set the recursive attributes of", mount.destination);
    }
  }
  SetPropagation(report, mount, mounted);
  return mounted;
}

// One hierarchy's mount at `target`: the container's own part of it.
void MountHierarchy(init::Reporter& report, const spec::MountPlan& mount,
                    const MountContext& context, const CgroupView& view, int target) {
  if (context.new_cgroup_namespace) {
    static const std::vector<std::string> kNone;
    const std::vector<std::string> data =
        view.unified ? kNone : std::vector<std::string>{view.controllers};
    FilesystemRequest request;
    request.type = view.unified ? "cgroup2" : "cgroup";
    request.source = "cgroup";
    request.data = &data;
    request.attributes = mount.attributes.set;
    request.root = context.root;
    request.target_name = mount.destination.c_str();
    ::close(MountFilesystem(report, request, target));
    return;
  }
  const int tree = OpenTree(AT_FDCWD, view.container_path.c_str(), OPEN_TREE_CLONE);
  if (tree < 0) report.Fail(errno, "open the container's cgroup", view.container_path);
  Attributes attributes;
  attributes.set = mount.attributes.set;
  if (SetAttributes(tree, attributes, Reach::kMount) != 0 || AttachMount(tree, target) != 0) {
    report.Fail(errno, "attach the container's cgroup", view.container_path);
  }
  ::close(tree);
}

void MountCgroups(init::Reporter& report, const spec::MountPlan& mount,
                  const MountContext& context) {
  context.ensure_cgroup();
  const int target = OpenOrMakeTarget(report, context.root, mount.destination.c_str(),
                                      TargetKind::kDirectory, RESOLVE_NO_SYMLINKS);
  // Options such as nsdelegate are the whole hierarchy's: the host has chosen them, and the kernel
  // takes none from a cgroup namespace.
  for (const CgroupView& view : *context.cgroups) {
    if (!view.unified || (mount.type != "cgroup2" && context.cgroups->size() > 1)) continue;
    MountHierarchy(report, mount, context, view, target);
    ::close(target);
    return;
  }
  if (mount.type == "cgroup2") {
    report.FailFormat(ENODEV, "mount cgroup2 on \"%s\": this host has no such hierarchy (ENODEV)",
                      mount.destination.c_str());
  }
  const std::vector<std::string> data = {"mode=755"};
  FilesystemRequest request;
  request.type = "tmpfs";
  request.source = "tmpfs";
  request.data = &data;
  request.attributes = mount.attributes.set & ~uint64_t{MOUNT_ATTR_RDONLY};
  request.root = context.root;
  request.target_name = mount.destination.c_str();
  const int tmpfs = MountFilesystem(report, request, target);
  for (const CgroupView& view : *context.cgroups) {
    if (::mkdirat(tmpfs, view.name.c_str(), 0755) != 0) report.Fail(errno, "make", view.name);
    const int place = RawOpenAt(tmpfs, view.name.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (place < 0) report.Fail(errno, "open", view.name);
    MountHierarchy(report, mount, context, view, place);
    ::close(place);
    // Hierarchies with several controllers are also found by each of their names.
    if (view.name.find(',') == std::string::npos) continue;
    size_t at = 0;
    while (at < view.name.size()) {
      const size_t end = std::min(view.name.find(',', at), view.name.size());
      const std::string one = view.name.substr(at, end - at);
      if (::symlinkat(view.name.c_str(), tmpfs, one.c_str()) != 0) {
        // The controller is still there by the name of its hierarchy.
      }
      at = end + 1;
    }
  }
  if ((mount.attributes.set & MOUNT_ATTR_RDONLY) != 0) {
    Attributes attributes;
    attributes.set = MOUNT_ATTR_RDONLY;
    if (SetAttributes(tmpfs, attributes, Reach::kMount) != 0) {
      report.Fail(errno, "make read-only", mount.destination);
    }
  }
  ::close(tmpfs);
  ::close(target);
}

}  // namespace

void OpenBindSources(init::Reporter& report, const spec::LaunchPlan& plan, int bundle,
                     const std::vector<int>& id_maps, std::vector<int>& sources) {
  for (size_t i = 0; i < plan.mounts.size(); ++i) {
    const spec::MountPlan& mount = plan.mounts[i];
    if (!mount.bind || mount.remount) continue;
    unsigned flags = OPEN_TREE_CLONE;
    if (mount.recursive) flags |= AT_RECURSIVE;
    if (mount.source_no_follow || mount.copy_symlink) flags |= AT_SYMLINK_NOFOLLOW;
    sources[i] = OpenTree(bundle, mount.source.c_str(), flags);
    if (sources[i] < 0) {
      const int error = errno;
      if (error == ENOENT) {
        report.FailFormat(error,
                          "bind source \"%s\" for \"%s\": no such file or directory (ENOENT)",
                          mount.source.c_str(), mount.destination.c_str());
      }
      report.Fail(error, "open bind source", mount.source);
    }
    if (mount.id_map == spec::IdMapScope::kNone) continue;
    Attributes attributes;
    attributes.set = MOUNT_ATTR_IDMAP;
    attributes.user_namespace = static_cast<uint64_t>(id_maps[i]);
    const Reach reach = mount.id_map == spec::IdMapScope::kTree ? Reach::kTree : Reach::kMount;
    if (SetAttributes(sources[i], attributes, reach) != 0) {
      const int error = errno;
      report.FailFormat(
          error, "id-map the mount of \"%s\" on \"%s\": %s (%s)%s", mount.source.c_str(),
          mount.destination.c_str(), ::strerrordesc_np(error), ::strerrorname_np(error),
          error == EINVAL ? ": its filesystem cannot be id-mapped on this kernel" : "");
    }
  }
}

void MountAll(init::Reporter& report, const spec::LaunchPlan& plan, const MountContext& context,
              const std::vector<int>& sources) {
  // A read-only tmpfs stays writable until everything that mounts below it has its directory.
  constexpr size_t kMaxDeferred = 64;
  int deferred[kMaxDeferred];
  size_t deferred_count = 0;
  for (size_t i = 0; i < plan.mounts.size(); ++i) {
    const spec::MountPlan& mount = plan.mounts[i];
    if (sources[i] >= 0) {
      AttachBind(report, mount, context, sources[i]);
      ::close(sources[i]);
    } else if (mount.remount || mount.type.empty()) {
      Change(report, mount, context);
    } else if (mount.type == "cgroup" || (mount.type == "cgroup2" && !context.cgroups->empty())) {
      MountCgroups(report, mount, context);
    } else {
      uint64_t attributes = mount.attributes.set;
      const bool defer = mount.type == "tmpfs" && (attributes & MOUNT_ATTR_RDONLY) != 0 &&
                         deferred_count < kMaxDeferred;
      if (defer) attributes &= ~uint64_t{MOUNT_ATTR_RDONLY};
      const int mounted = MountPlain(report, mount, context, attributes);
      if (defer) {
        deferred[deferred_count++] = mounted;
      } else {
        ::close(mounted);
      }
    }
  }
  for (size_t i = 0; i < deferred_count; ++i) {
    Attributes attributes;
    attributes.set = MOUNT_ATTR_RDONLY;
    if (SetAttributes(deferred[i], attributes, Reach::kMount) != 0) {
      report.Fail(errno, "make a tmpfs read-only");
    }
    ::close(deferred[i]);
  }
}

}  // namespace berth::rootfs
