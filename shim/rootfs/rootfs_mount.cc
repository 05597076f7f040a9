#include "shim/rootfs/rootfs_mount.h"

#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "base/os/mount_words.h"
#include "base/status/status_macros.h"
#include "shim/init/raw_open.h"
#include "shim/rootfs/inside.h"
#include "shim/rootfs/mount_api.h"
#include "shim/rootfs/root_switch.h"

namespace berth::rootfs {
namespace {

// The kernel copies one page of options, with a NUL at its end.
constexpr size_t kMaxData = 4095;

// Beside kMountWords.
constexpr MountWord kRootWords[] = {{"mand", MS_MANDLOCK, 0},
                                    {"nomand", 0, MS_MANDLOCK},
                                    {"nostrictatime", 0, MS_STRICTATIME},
                                    {"remount", MS_REMOUNT, 0}};
constexpr MountWord kPropagationWords[] = {
    {"private", MS_PRIVATE, 0},       {"rprivate", MS_PRIVATE | MS_REC, 0},
    {"slave", MS_SLAVE, 0},           {"rslave", MS_SLAVE | MS_REC, 0},
    {"shared", MS_SHARED, 0},         {"rshared", MS_SHARED | MS_REC, 0},
    {"unbindable", MS_UNBINDABLE, 0}, {"runbindable", MS_UNBINDABLE | MS_REC, 0}};

// What belongs to containerd's mount handling, not to the kernel.
bool ForTheRuntime(absl::string_view option) {
  return absl::StartsWith(option, "X-") || option == "loop";
}

void Sort(absl::string_view option, PreparedMount& mount, std::vector<std::string>& data) {
  for (const absl::Span<const MountWord> words :
       {absl::MakeConstSpan(kMountWords), absl::MakeConstSpan(kRootWords)}) {
    for (const MountWord& word : words) {
      if (word.name != option) continue;
      mount.flags = word.Apply(mount.flags);
      return;
    }
  }
  for (const MountWord& word : kPropagationWords) {
    if (word.name != option) continue;
    mount.propagation = word.set;
    return;
  }
  if (!option.empty() && !ForTheRuntime(option)) data.emplace_back(option);
}

// Takes uidmap= and gidmap= out of the options: "INSIDE:HOST:SIZE", several with commas between.
absl::Status TakeMaps(std::vector<std::string>& data, PreparedMount& mount) {
  std::vector<std::string> rest;
  for (std::string& option : data) {
    absl::string_view value = option;
    std::vector<spec::IdMapping>* maps = nullptr;
    if (absl::ConsumePrefix(&value, "uidmap=")) maps = &mount.uid_mappings;
    if (absl::ConsumePrefix(&value, "gidmap=")) maps = &mount.gid_mappings;
    if (maps == nullptr) {
      rest.push_back(std::move(option));
      continue;
    }
    for (const absl::string_view piece : absl::StrSplit(value, ',')) {
      const std::vector<absl::string_view> numbers = absl::StrSplit(piece, ':');
      spec::IdMapping map;
      if (numbers.size() != 3 || !absl::SimpleAtoi(numbers[0], &map.container_id) ||
          !absl::SimpleAtoi(numbers[1], &map.host_id) || !absl::SimpleAtoi(numbers[2], &map.size)) {
        return absl::InvalidArgumentError(
            absl::StrCat("rootfs mount option \"", option, "\": the map must be INSIDE:HOST:SIZE"));
      }
      maps->push_back(map);
    }
  }
  data = std::move(rest);
  if (mount.uid_mappings.empty() != mount.gid_mappings.empty()) {
    return absl::InvalidArgumentError("rootfs mount: uidmap= and gidmap= belong together");
  }
  if (mount.uid_mappings.empty() || mount.type != "overlay") return absl::OkStatus();
  for (absl::string_view option : data) {
    if (!absl::ConsumePrefix(&option, "lowerdir=")) continue;
    for (const absl::string_view path : absl::StrSplit(option, ':')) {
      mount.lowers.emplace_back(path);
    }
  }
  return absl::OkStatus();
}

// Covers the directory, in this mount namespace alone, with itself as the maps show it.
void CoverById(init::Reporter& report, const std::string& source, const char* place, int id_map) {
  const int tree = OpenTree(AT_FDCWD, source.c_str(), OPEN_TREE_CLONE);
  if (tree < 0) report.Fail(errno, "open the layer", source);
  Attributes attributes;
  attributes.set = MOUNT_ATTR_IDMAP;
  attributes.user_namespace = static_cast<uint64_t>(id_map);
  if (SetAttributes(tree, attributes, Reach::kMount) != 0) {
    const int error = errno;
    report.FailFormat(error, "map the ids of the layer \"%.300s\": %s (errno %d)%s", source.c_str(),
                      ::strerrordesc_np(error), error,
                      error == EINVAL ? ": its filesystem cannot be id-mapped on this kernel; make "
                                        "the snapshot without maps"
                                      : "");
  }
  const int at = RawOpen(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (at < 0 || AttachMount(tree, at) != 0) report.Fail(errno, "attach the mapped layer", source);
  ::close(at);
  ::close(tree);
}

// The longest directory, ending before a "/", that all absolute paths in overlay's options share.
std::string CommonDirectory(const std::vector<std::string>& paths) {
  if (paths.empty()) return "";
  std::string common = paths.front();
  for (const std::string& path : paths) {
    size_t same = 0;
    while (same < common.size() && same < path.size() && common[same] == path[same]) ++same;
    common.resize(same);
  }
  const size_t slash = common.rfind('/');
  return slash == std::string::npos ? "" : common.substr(0, slash);
}

// 128 layers with absolute paths do not fit one page; relative to their common directory they do.
void Shorten(std::vector<std::string>& data, PreparedMount& mount) {
  static constexpr absl::string_view kKeys[] = {"lowerdir=", "upperdir=", "workdir="};
  std::vector<std::string> paths;
  for (absl::string_view option : data) {
    for (absl::string_view key : kKeys) {
      absl::string_view value = option;
      if (!absl::ConsumePrefix(&value, key)) continue;
      for (absl::string_view path : absl::StrSplit(value, ':')) paths.emplace_back(path);
    }
  }
  mount.working_directory = CommonDirectory(paths);
  if (mount.working_directory.empty()) return;
  const std::string prefix = mount.working_directory + "/";
  for (std::string& option : data) {
    for (absl::string_view key : kKeys) {
      absl::string_view value = option;
      if (!absl::ConsumePrefix(&value, key)) continue;
      std::vector<absl::string_view> parts = absl::StrSplit(value, ':');
      for (absl::string_view& part : parts) absl::ConsumePrefix(&part, prefix);
      option = absl::StrCat(key, absl::StrJoin(parts, ":"));
      break;
    }
  }
}

// overlay's options as fsconfig takes them: each lower directory by itself, from the top.
std::vector<std::string> Split(const std::vector<std::string>& data) {
  std::vector<std::string> pieces;
  for (absl::string_view option : data) {
    absl::string_view value = option;
    if (!absl::ConsumePrefix(&value, "lowerdir=")) {
      pieces.emplace_back(option);
      continue;
    }
    for (absl::string_view path : absl::StrSplit(value, ':')) {
      pieces.push_back(absl::StrCat("lowerdir+=", path));
    }
  }
  return pieces;
}

// The attributes that mount(2) has as flags.
unsigned AttributesOf(unsigned long flags) {
  return ((flags & MS_RDONLY) != 0 ? MOUNT_ATTR_RDONLY : 0) |
         ((flags & MS_NOSUID) != 0 ? MOUNT_ATTR_NOSUID : 0) |
         ((flags & MS_NODEV) != 0 ? MOUNT_ATTR_NODEV : 0) |
         ((flags & MS_NOEXEC) != 0 ? MOUNT_ATTR_NOEXEC : 0) |
         ((flags & MS_NOATIME) != 0 ? MOUNT_ATTR_NOATIME : 0);
}

void MountByPieces(init::Reporter& report, const PreparedMount& mount, const char* target) {
  const int context = FsOpen(mount.type.c_str());
  if (context < 0) report.Fail(errno, "open filesystem", mount.type);
  for (const std::string& piece : mount.pieces) {
    const size_t equals = piece.find("=");
    const bool flag = equals == std::string::npos;
    const int result =
        flag ? FsSetFlag(context, piece.c_str())
             : FsSetString(context, piece.substr(0, equals).c_str(), piece.c_str() + equals + 1);
    if (result != 0) {
      const int error = errno;
      report.FailFormat(
          error, "mount the root filesystem: %s option \"%.300s\": %s (%s)%s", mount.type.c_str(),
          piece.c_str(), ::strerrordesc_np(error), ::strerrorname_np(error),
          error == EINVAL ? ": the layers' paths take more than a page, which needs Linux 6.7"
                          : "");
    }
  }
  if (FsCreate(context) != 0) report.Fail(errno, "create filesystem", mount.type);
  const int mounted = FsMount(context, AttributesOf(mount.flags));
  const int place = RawOpen(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (mounted < 0 || place < 0 || AttachMount(mounted, place) != 0) {
    report.Fail(errno, "attach the root filesystem", target);
  }
  ::close(place);
  ::close(mounted);
  ::close(context);
}

}  // namespace

absl::StatusOr<std::vector<PreparedMount>> PrepareRootfs(const std::vector<RootfsMount>& mounts) {
  std::vector<PreparedMount> prepared;
  for (const RootfsMount& mount : mounts) {
    PreparedMount out;
    out.type = mount.type;
    out.source = mount.source;
    out.target = mount.target;
    std::vector<std::string> data;
    for (const std::string& option : mount.options) Sort(option, out, data);
    BERTH_RETURN_IF_ERROR(TakeMaps(data, out));
    if (mount.type == "bind" && (out.flags & MS_BIND) == 0) out.flags |= MS_BIND;
    out.data = absl::StrJoin(data, ",");
    if (out.data.size() > kMaxData && mount.type == "overlay") {
      Shorten(data, out);
      out.data = absl::StrJoin(data, ",");
      if (out.data.size() > kMaxData) {
        out.pieces = Split(data);
        out.data.clear();
      }
    }
    if (out.data.size() > kMaxData) {
      return absl::InvalidArgumentError(absl::StrCat("the options of rootfs mount \"", mount.source,
                                                     "\" (", mount.type, ") take ", out.data.size(),
                                                     " bytes; the kernel takes ", kMaxData));
    }
    prepared.push_back(std::move(out));
  }
  return prepared;
}

void MountRootfs(init::Reporter& report, const std::vector<PreparedMount>& mounts,
                 const std::string& root) {
  for (const PreparedMount& mount : mounts) {
    char via_descriptor[32];
    const char* target = root.c_str();
    int place = -1;
    if (!mount.target.empty() && mount.target != "/") {
      const int root_fd = RawOpen(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
      if (root_fd < 0) report.Fail(errno, "open", root);
      place = OpenOrMakeDirectory(report, root_fd, mount.target.c_str());
      ::close(root_fd);
      ::snprintf(via_descriptor, sizeof(via_descriptor), "/proc/self/fd/%d", place);
      target = via_descriptor;
    }
    if (!mount.working_directory.empty() && ::chdir(mount.working_directory.c_str()) != 0) {
      report.Fail(errno, "enter", mount.working_directory);
    }
    for (const std::string& lower : mount.lowers) {
      SetParentPropagation(report, lower, MS_PRIVATE);
      CoverById(report, lower, lower.c_str(), mount.id_map);
    }
    const bool bind = (mount.flags & MS_BIND) != 0;
    const unsigned long first_flags = bind ? mount.flags & (MS_BIND | MS_REC) : mount.flags;
    if (!mount.pieces.empty()) {
      MountByPieces(report, mount, target);
    } else if (bind && mount.id_map >= 0) {
      CoverById(report, mount.source, target, mount.id_map);
    } else if (::mount(mount.source.c_str(), target, mount.type.c_str(), first_flags,
                       mount.data.c_str()) != 0) {
      const int error = errno;
      if (error == ENODEV) {
        report.FailFormat(error,
                          "mount the root filesystem: this kernel has no filesystem \"%s\" "
                          "(ENODEV): load its module",
                          mount.type.c_str());
      }
      report.FailFormat(
          error, "mount the root filesystem: %s \"%s\" on \"%s\" with \"%.300s\": %s (errno %d)",
          mount.type.c_str(), mount.source.c_str(), root.c_str(), mount.data.c_str(),
          ::strerrordesc_np(error), error);
    }
    // A bind takes its flags only in a second step.
    const unsigned long rest = mount.flags & ~static_cast<unsigned long>(MS_BIND | MS_REC);
    if (bind && rest != 0 &&
        ::mount(nullptr, target, nullptr, MS_BIND | MS_REMOUNT | rest, nullptr) != 0) {
      report.Fail(errno, "set the flags of", root);
    }
    if (mount.propagation != 0 &&
        ::mount(nullptr, target, nullptr, mount.propagation, nullptr) != 0) {
      report.Fail(errno, "set the propagation of", root);
    }
    if (!mount.working_directory.empty() && ::chdir("/") != 0) report.Fail(errno, "enter", "/");
    if (place >= 0) ::close(place);
  }
}

}  // namespace berth::rootfs
