#include "server/task/bundle.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/unique_fd.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "nlohmann/json.hpp"
#include "proto/containerd/runc/v1/options.pb.h"

namespace berth {
namespace {

constexpr char kTaskDirectory[] = "io.containerd.runtime.v2.task";
constexpr char kRuncOptions[] = "containerd.runc.v1.Options";
constexpr mode_t kParentMode = 0711;
constexpr int kMaxUnmounts = 128;  // stacked mounts on one rootfs

// The host's group for the container's group 0, or 0 where no user namespace maps it: that group
// must be able to enter the bundle, because the container's root is somebody else on the host.
absl::StatusOr<uint32_t> MappedRootGroup(const std::string& config_json) {
  // Most specs have no mappings; parsing tens of kilobytes to learn that costs more than a search.
  if (config_json.find("\"gidMappings\"") == std::string::npos) return 0;
  const nlohmann::json spec = nlohmann::json::parse(config_json, nullptr, false);
  if (spec.is_discarded() || !spec.is_object()) {
    return absl::InvalidArgumentError("the container's spec is not a JSON object");
  }
  const auto linux_section = spec.find("linux");
  if (linux_section == spec.end() || !linux_section->is_object()) return 0;
  const auto mappings = linux_section->find("gidMappings");
  if (mappings == linux_section->end() || !mappings->is_array()) return 0;
  for (const auto& mapping : *mappings) {
    if (!mapping.is_object()) continue;
    const auto container_id = mapping.find("containerID");
    const auto host_id = mapping.find("hostID");
    if (container_id == mapping.end() || host_id == mapping.end()) continue;
    if (!container_id->is_number_unsigned() || !host_id->is_number_unsigned()) continue;
    if (container_id->get<uint64_t>() == 0) return host_id->get<uint32_t>();
  }
  return 0;
}

// runc's options as runc's own shim stores them beside the spec.
std::string OptionsJson(const google::protobuf::Any& any) {
  containerd::runc::v1::Options options;
  if (any.type_url().empty() || !options.ParseFromString(any.value())) return "";
  const std::string name = any.type_url().substr(any.type_url().rfind('/') + 1);
  if (name != kRuncOptions) return "";
  nlohmann::json json = nlohmann::json::object();
  if (options.no_pivot_root()) json["no_pivot_root"] = true;
  if (options.no_new_keyring()) json["no_new_keyring"] = true;
  if (!options.shim_cgroup().empty()) json["shim_cgroup"] = options.shim_cgroup();
  if (options.io_uid() != 0) json["io_uid"] = options.io_uid();
  if (options.io_gid() != 0) json["io_gid"] = options.io_gid();
  if (!options.binary_name().empty()) json["binary_name"] = options.binary_name();
  if (!options.root().empty()) json["root"] = options.root();
  if (options.systemd_cgroup()) json["systemd_cgroup"] = true;
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

absl::Status MakeDirectory(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) != 0) return ErrnoStatus(errno, "mkdir", path);
  return absl::OkStatus();
}

absl::Status WriteNewFile(const std::string& path, absl::string_view data, mode_t mode) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd file,
                         OpenFile(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
  BERTH_RETURN_IF_ERROR(WriteAll(file, data)) << "write " << path;
  return absl::OkStatus();
}

// Moves `parent`/`name` out of the way under a name that no task and no other removal has: a
// killed daemon leaves either the whole directory or one that List removes. The new path; empty
// when there is no such directory.
absl::StatusOr<std::string> HideDirectory(const std::string& parent, const std::string& name) {
  const std::string path = absl::StrCat(parent, "/", name);
  uint64_t unique = 0;
  if (::getrandom(&unique, sizeof unique, 0) != sizeof unique) {
    return ErrnoStatus(errno, "getrandom", "for a name to remove a bundle under");
  }
  std::string hidden = absl::StrCat(parent, "/.", absl::Hex(unique, absl::kZeroPad16));
  if (::rename(path.c_str(), hidden.c_str()) == 0) return hidden;
  if (errno == ENOENT) return std::string();
  return ErrnoStatus(errno, "rename", path);
}

absl::Status DiscardDirectory(const std::string& path) {
  if (path.empty()) return absl::OkStatus();
  return Annotate(RemoveTreeAt(BorrowedFd(AT_FDCWD), path), absl::StrCat("remove ", path));
}

absl::Status RemoveDirectory(const std::string& parent, const std::string& name) {
  BERTH_ASSIGN_OR_RETURN(const std::string hidden, HideDirectory(parent, name));
  return DiscardDirectory(hidden);
}

// Foreign runtimes mount on the host. umount2 says EINVAL where nothing is mounted (any more).
absl::Status DetachMounts(const std::string& rootfs) {
  for (int i = 0; i < kMaxUnmounts; ++i) {
    if (::umount2(rootfs.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) continue;
    if (errno == EINVAL || errno == ENOENT) return absl::OkStatus();
    return ErrnoStatus(errno, "umount", rootfs);
  }
  return absl::FailedPreconditionError(
      absl::StrCat("more than ", kMaxUnmounts, " mounts are stacked on ", rootfs));
}

// Calls `each(its namespace's directory, key)` for every entry of a directory of namespaces.
absl::Status WalkTasks(const std::string& parent,
                       absl::FunctionRef<void(BorrowedFd, const TaskKey&)> each) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd top, OpenFile(parent, O_RDONLY | O_DIRECTORY));
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> namespaces, ListDirectory(top));
  for (const std::string& ns : namespaces) {
    const auto directory = OpenAt(top, ns, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!directory.ok()) continue;  // a stray file is not ours to judge
    BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(*directory));
    for (const std::string& name : names) each(*directory, {ns, name});
  }
  return absl::OkStatus();
}

}  // namespace

BundleStore::BundleStore(absl::string_view state, absl::string_view root)
    : bundles_(absl::StrCat(state, "/", kTaskDirectory)),
      works_(absl::StrCat(root, "/", kTaskDirectory)) {}

std::string BundleStore::PathOf(const TaskKey& key) const {
  return absl::StrCat(bundles_, "/", key.ns, "/", key.id);
}

absl::Status BundleStore::Create(const TaskKey& key, const BundleContents& contents) const {
  if (contents.config_json.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("container \"", key.id, "\" has no spec; create it with one"));
  }
  BERTH_RETURN_IF_ERROR(EnsureDirectory(absl::StrCat(bundles_, "/", key.ns), kParentMode));
  BERTH_RETURN_IF_ERROR(EnsureDirectory(absl::StrCat(works_, "/", key.ns), kParentMode));
  const std::string path = PathOf(key);
  const std::string work = absl::StrCat(works_, "/", key.ns, "/", key.id);
  BERTH_RETURN_IF_ERROR(MakeDirectory(path, 0700)) << "create the bundle of " << key.id;
  const absl::Status filled = Fill(path, work, contents);
  // The first error is the one to tell; a rest is found by List.
  if (!filled.ok()) Remove(key).IgnoreError();
  return filled;
}

absl::Status BundleStore::Fill(const std::string& path, const std::string& work,
                               const BundleContents& contents) const {
  BERTH_ASSIGN_OR_RETURN(const uint32_t group, MappedRootGroup(contents.config_json));
  if (group != 0) {
    if (::chown(path.c_str(), static_cast<uid_t>(-1), group) != 0) {
      return ErrnoStatus(errno, "chown", path);
    }
    if (::chmod(path.c_str(), 0710) != 0) return ErrnoStatus(errno, "chmod", path);
  }
  BERTH_RETURN_IF_ERROR(MakeDirectory(absl::StrCat(path, "/rootfs"), kParentMode));
  if (::mkdir(work.c_str(), kParentMode) != 0) {
    if (errno != EEXIST) return ErrnoStatus(errno, "mkdir", work);
    const size_t slash = work.rfind('/');
    BERTH_RETURN_IF_ERROR(RemoveDirectory(work.substr(0, slash), work.substr(slash + 1)));
    BERTH_RETURN_IF_ERROR(MakeDirectory(work, kParentMode));
  }
  if (::symlink(work.c_str(), absl::StrCat(path, "/work").c_str()) != 0) {
    return ErrnoStatus(errno, "symlink", absl::StrCat(path, "/work"));
  }
  BERTH_RETURN_IF_ERROR(
      WriteNewFile(absl::StrCat(path, "/config.json"), contents.config_json, 0644));
  const std::string options = OptionsJson(contents.options);
  if (!options.empty()) {
    BERTH_RETURN_IF_ERROR(WriteNewFile(absl::StrCat(path, "/options.json"), options, 0600));
  }
  if (!contents.address.empty()) {
    BERTH_RETURN_IF_ERROR(WriteNewFile(absl::StrCat(path, "/address"), contents.address, 0600));
  }
  if (!contents.shim_binary.empty()) {
    BERTH_RETURN_IF_ERROR(
        WriteNewFile(absl::StrCat(path, "/shim-binary-path"), contents.shim_binary, 0600));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> BundleStore::ShimBinaryOf(const TaskKey& key) const {
  absl::StatusOr<std::string> binary =
      ReadFile(absl::StrCat(PathOf(key), "/shim-binary-path"), 4096);
  if (!binary.ok() && ErrnoOf(binary.status()) == ENOENT) return std::string();
  return binary;
}

absl::StatusOr<HiddenBundle> BundleStore::Hide(const TaskKey& key) const {
  BERTH_RETURN_IF_ERROR(DetachMounts(absl::StrCat(PathOf(key), "/rootfs")));
  HiddenBundle hidden;
  BERTH_ASSIGN_OR_RETURN(hidden.bundle, HideDirectory(absl::StrCat(bundles_, "/", key.ns), key.id));
  BERTH_ASSIGN_OR_RETURN(hidden.work, HideDirectory(absl::StrCat(works_, "/", key.ns), key.id));
  return hidden;
}

absl::Status BundleStore::Discard(const HiddenBundle& hidden) const {
  BERTH_RETURN_IF_ERROR(DiscardDirectory(hidden.bundle));
  return DiscardDirectory(hidden.work);
}

absl::Status BundleStore::Remove(const TaskKey& key) const {
  BERTH_ASSIGN_OR_RETURN(const HiddenBundle hidden, Hide(key));
  return Discard(hidden);
}

absl::StatusOr<std::vector<TaskKey>> BundleStore::List() const {
  std::vector<TaskKey> found;
  absl::flat_hash_set<std::string> have_bundles;
  BERTH_RETURN_IF_ERROR(EnsureDirectory(bundles_, kParentMode));
  const absl::Status walked = WalkTasks(bundles_, [&](BorrowedFd directory, const TaskKey& key) {
    if (key.id[0] != '.') {
      have_bundles.insert(PathOf(key));
      return found.push_back(key);
    }
    // Kept on failure: the next start tries again, and no task can have such a name.
    RemoveTreeAt(directory, key.id).IgnoreError();
  });
  BERTH_RETURN_IF_ERROR(walked);
  // A bundle goes before its work directory: one that is alone is what a killed daemon left.
  const absl::Status works = WalkTasks(works_, [&](BorrowedFd directory, const TaskKey& key) {
    if (have_bundles.contains(PathOf(key))) return;
    RemoveTreeAt(directory, key.id).IgnoreError();  // as above
  });
  if (!works.ok() && ErrnoOf(works) != ENOENT) return works;
  return found;
}

}  // namespace berth
