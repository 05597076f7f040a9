#include "server/engine/spec_mounts.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status/status_macros.h"
#include "server/engine/init_program.h"
#include "server/engine/modes.h"

namespace berth::engine {
namespace {

using oci::Json;

constexpr int64_t kShmBytes = 64 << 20;

Json Entry(absl::string_view destination, absl::string_view type, absl::string_view source,
           std::vector<std::string> options) {
  return {{"destination", std::string(destination)},
          {"type", std::string(type)},
          {"source", std::string(source)},
          {"options", std::move(options)}};
}

void AddShm(const SpecInput& input, NamespaceMode ipc, Json& mounts) {
  if (ipc.kind == NamespaceMode::Kind::kNone) return;
  if (ipc.kind == NamespaceMode::Kind::kHost) {
    mounts.push_back(Entry("/dev/shm", "bind", "/dev/shm", {"rbind", "rprivate"}));
    return;
  }
  if (!input.shared_shm.empty()) {
    mounts.push_back(Entry("/dev/shm", "bind", input.shared_shm, {"rbind", "rprivate"}));
    return;
  }
  const int64_t asked = input.container.host_config().shm_size_bytes();
  mounts.push_back(Entry("/dev/shm", "tmpfs", "shm",
                         {"nosuid", "noexec", "nodev", "mode=1777",
                          absl::StrCat("size=", asked > 0 ? asked : kShmBytes)}));
}

absl::StatusOr<Json> DefaultMounts(const SpecInput& input) {
  const v1::HostConfig& host = input.container.host_config();
  const char* access = host.privileged() ? "rw" : "ro";
  Json mounts = Json::array();
  mounts.push_back(Entry("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}));
  mounts.push_back(
      Entry("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}));
  mounts.push_back(
      Entry("/dev/pts", "devpts", "devpts",
            {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}));
  mounts.push_back(Entry("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", access}));
  mounts.push_back(
      Entry("/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", access}));
  mounts.push_back(Entry("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}));
  BERTH_ASSIGN_OR_RETURN(const NamespaceMode ipc, ParseIpcMode(host.ipc_mode()));
  AddShm(input, ipc, mounts);
  return mounts;
}

// The kernel's own tmpfs defaults of Docker; words of the user take them back one by one.
Json Tmpfs(const v1::Mount& mount) {
  std::vector<std::string> options = {"nosuid", "nodev", "noexec"};
  for (const std::string& word : mount.tmpfs_options()) {
    std::erase(options, absl::StrCat("no", word));
    options.push_back(word);
  }
  if (mount.tmpfs_size_bytes() > 0) {
    options.push_back(absl::StrCat("size=", mount.tmpfs_size_bytes()));
  }
  if (mount.tmpfs_mode() != 0) {
    options.push_back(absl::StrFormat("mode=%o", mount.tmpfs_mode()));
  }
  if (mount.read_only()) options.push_back("ro");
  return Entry(mount.target(), "tmpfs", "tmpfs", std::move(options));
}

Json Bind(const v1::MountPoint& point) {
  std::vector<std::string> options = {point.non_recursive() ? "bind" : "rbind"};
  if (!point.writable()) {
    options.push_back("ro");
    // Docker 25 and later: read-only holds for what is mounted below, where the kernel can do it.
    if (!point.read_only_non_recursive() && !point.non_recursive()) options.push_back("rro");
  }
  options.push_back(point.propagation().empty() ? "rprivate" : point.propagation());
  return Entry(point.destination(), "bind", point.source(), std::move(options));
}

bool HasMountAt(const v1::Container& container, absl::string_view destination) {
  return std::any_of(
      container.mounts().begin(), container.mounts().end(),
      [&](const v1::MountPoint& point) { return point.destination() == destination; });
}

void AddOwnFiles(const SpecInput& input, Json& mounts) {
  const auto add = [&](absl::string_view destination, const std::string& source) {
    if (source.empty() || HasMountAt(input.container, destination)) return;
    std::vector<std::string> options = {"rbind", "rprivate"};
    if (input.container.host_config().read_only_root()) options.push_back("ro");
    mounts.push_back(Entry(destination, "bind", source, std::move(options)));
  };
  add("/etc/resolv.conf", input.resolv_conf_path);
  add("/etc/hostname", input.hostname_path);
  add("/etc/hosts", input.hosts_path);
}

size_t Depth(const std::string& path) { return std::count(path.begin(), path.end(), '/'); }

}  // namespace

absl::StatusOr<Json> MountsSpec(const SpecInput& input) {
  BERTH_ASSIGN_OR_RETURN(Json mounts, DefaultMounts(input));
  AddOwnFiles(input, mounts);
  if (!input.init_path.empty()) {
    mounts.push_back(
        Entry(InitProgram::kDestination, "bind", input.init_path, {"bind", "ro", "rprivate"}));
  }
  // Parents first: /data before /data/cache.
  std::vector<std::pair<size_t, Json>> own;
  for (const v1::MountPoint& point : input.container.mounts()) {
    own.emplace_back(Depth(point.destination()), Bind(point));
  }
  for (const v1::Mount& mount : input.container.host_config().mounts()) {
    if (mount.type() == v1::Mount::TYPE_TMPFS)
      own.emplace_back(Depth(mount.target()), Tmpfs(mount));
  }
  std::stable_sort(own.begin(), own.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [depth, entry] : own) {
    // A mount of the user's goes in place of a default one (/dev/shm, /sys/fs/cgroup).
    const std::string destination = entry["destination"];
    mounts.erase(
        std::remove_if(mounts.begin(), mounts.end(),
                       [&](const Json& other) { return other["destination"] == destination; }),
        mounts.end());
    mounts.push_back(std::move(entry));
  }
  return mounts;
}

}  // namespace berth::engine
