#include "shim/cgroup/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/types/optional.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "shim/cgroup/limits.h"

namespace berth::cgroup {
namespace {

constexpr int kDirectoryFlags = O_PATH | O_DIRECTORY;
constexpr int kMaxNesting = 32;

absl::StatusOr<UniqueFd> OpenDirectory(const std::string& path) {
  return OpenFile(path, kDirectoryFlags);
}

// The v1 cpuset controller refuses processes in a group without processors or memory nodes, and
// gives a new group neither.
absl::Status InheritCpuset(BorrowedFd parent, BorrowedFd directory) {
  for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
    BERTH_ASSIGN_OR_RETURN(std::string own, ReadFileAt(directory, file));
    if (!own.empty() && own != "\n") continue;
    BERTH_ASSIGN_OR_RETURN(std::string inherited, ReadFileAt(parent, file));
    if (inherited == "\n") return absl::FailedPreconditionError("the parent's cpuset is empty");
    BERTH_RETURN_IF_ERROR(WriteControlFileAt(directory, file, inherited));
  }
  return absl::OkStatus();
}

// Enables in `parent` every controller it has for the groups below. A controller that cannot be
// enabled (an inner group with processes of its own) is found missing when a limit asks for it.
void EnableControllers(BorrowedFd parent) {
  absl::StatusOr<std::string> available = ReadFileAt(parent, "cgroup.controllers");
  absl::StatusOr<std::string> enabled = ReadFileAt(parent, "cgroup.subtree_control");
  if (!available.ok() || !enabled.ok()) return;
  const std::vector<std::string> have = absl::StrSplit(*enabled, absl::ByAnyChar(" \n"));
  for (absl::string_view name :
       absl::StrSplit(*available, absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
    if (std::find(have.begin(), have.end(), name) != have.end()) continue;
    WriteControlFileAt(parent, "cgroup.subtree_control", absl::StrCat("+", name))
        .IgnoreError();  // see above
  }
}

// Whether `directory` has every controller that the hierarchy's root has.
bool HasAllControllers(const Hierarchy& hierarchy, BorrowedFd directory) {
  const absl::StatusOr<std::string> all =
      ReadFile(absl::StrCat(hierarchy.mount_point, "/cgroup.controllers"));
  const absl::StatusOr<std::string> own = ReadFileAt(directory, "cgroup.controllers");
  return all.ok() && own.ok() && *all == *own;
}

// The same in few calls, where all levels but the last are there and ready, as they are after the
// first container. The last level may be left made when that turns out not to be so.
absl::optional<UniqueFd> MakeAtOnce(const Hierarchy& hierarchy, const std::string& path,
                                    bool cpuset, std::vector<std::string>& made) {
  if (::mkdir(path.c_str(), 0755) != 0) return absl::nullopt;
  made.push_back(path);
  absl::StatusOr<UniqueFd> directory = OpenDirectory(path);
  if (!directory.ok()) return absl::nullopt;
  if (hierarchy.unified && !HasAllControllers(hierarchy, *directory)) return absl::nullopt;
  if (cpuset) {
    absl::StatusOr<UniqueFd> parent = OpenDirectory(path.substr(0, path.rfind('/')));
    if (!parent.ok() || !InheritCpuset(*parent, *directory).ok()) return absl::nullopt;
  }
  return *std::move(directory);
}

// Makes `path` below `mount_point`, one level after the other, and opens it. `made` gets the levels
// that were not there.
absl::StatusOr<UniqueFd> MakeLevels(const Hierarchy& hierarchy, const std::string& path,
                                    std::vector<std::string>& made) {
  const bool cpuset = std::find(hierarchy.controllers.begin(), hierarchy.controllers.end(),
                                "cpuset") != hierarchy.controllers.end();
  absl::optional<UniqueFd> at_once = MakeAtOnce(hierarchy, path, cpuset, made);
  if (at_once) return *std::move(at_once);
  std::string at = hierarchy.mount_point;
  BERTH_ASSIGN_OR_RETURN(UniqueFd parent, OpenDirectory(at));
  for (absl::string_view part :
       absl::StrSplit(absl::string_view(path).substr(at.size()), '/', absl::SkipEmpty())) {
    const std::string name(part);
    absl::StrAppend(&at, "/", name);
    if (hierarchy.unified) EnableControllers(parent);
    if (::mkdirat(parent.get(), name.c_str(), 0755) == 0) {
      made.push_back(at);
    } else if (errno != EEXIST) {
      return ErrnoStatus(errno, "make cgroup", at);
    }
    BERTH_ASSIGN_OR_RETURN(UniqueFd child, OpenAt(parent, name, kDirectoryFlags));
    if (cpuset) {
      BERTH_RETURN_IF_ERROR(InheritCpuset(parent, child)) << "cgroup " << at;
    }
    parent = std::move(child);
  }
  return parent;
}

absl::Status AppendPids(BorrowedFd directory, std::vector<pid_t>& pids) {
  absl::StatusOr<std::string> text = ReadFileAt(directory, "cgroup.procs");
  if (!text.ok()) {
    // The group went away, or is a threaded one whose processes its domain lists.
    const int error = ErrnoOf(text.status());
    if (error == ENOENT || error == ENODEV || error == EOPNOTSUPP) return absl::OkStatus();
    return text.status();
  }
  for (absl::string_view line : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    pid_t pid = 0;
    if (absl::SimpleAtoi(line, &pid) && pid > 0) pids.push_back(pid);
  }
  return absl::OkStatus();
}

// The directories below `directory`.
absl::StatusOr<std::vector<std::string>> Subgroups(BorrowedFd directory) {
  std::vector<std::string> names;
  BERTH_ASSIGN_OR_RETURN(UniqueFd readable, OpenAt(directory, ".", O_RDONLY | O_DIRECTORY));
  // Two links are the directory's own, one more for each below: most groups have none.
  struct stat info;
  if (::fstat(readable.get(), &info) == 0 && info.st_nlink == 2) return names;
  BERTH_ASSIGN_OR_RETURN(std::vector<std::string> all, ListDirectory(readable));
  for (std::string& name : all) {
    if (::fstatat(directory.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISDIR(info.st_mode)) {
      names.push_back(std::move(name));
    }
  }
  return names;
}

absl::Status CollectPids(BorrowedFd directory, int depth, std::vector<pid_t>& pids) {
  BERTH_RETURN_IF_ERROR(AppendPids(directory, pids));
  if (depth >= kMaxNesting) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> names, Subgroups(directory));
  for (const std::string& name : names) {
    absl::StatusOr<UniqueFd> child = OpenAt(directory, name, kDirectoryFlags);
    if (!child.ok()) continue;  // gone meanwhile
    BERTH_RETURN_IF_ERROR(CollectPids(*child, depth + 1, pids));
  }
  return absl::OkStatus();
}

absl::Status RemoveGroup(BorrowedFd parent, const std::string& name, const std::string& path,
                         int depth) {
  if (::unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) {
    return absl::OkStatus();
  }
  if (errno != EBUSY && errno != ENOTEMPTY) return ErrnoStatus(errno, "remove cgroup", path);
  if (depth < kMaxNesting) {
    BERTH_ASSIGN_OR_RETURN(UniqueFd directory, OpenAt(parent, name, kDirectoryFlags));
    BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> below, Subgroups(directory));
    for (const std::string& child : below) {
      BERTH_RETURN_IF_ERROR(
          RemoveGroup(directory, child, absl::StrCat(path, "/", child), depth + 1));
    }
    if (!below.empty() && ::unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR) == 0) {
      return absl::OkStatus();
    }
  }
  return absl::FailedPreconditionError(
      absl::StrCat("cgroup ", path, " still holds processes (EBUSY)"));
}

absl::Status CheckUnused(const Cgroup& group) {
  BERTH_ASSIGN_OR_RETURN(const std::vector<pid_t> pids, group.Pids());
  if (!pids.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("cgroup ", group.paths().front(), " is not empty: process ", pids.front(),
                     pids.size() > 1 ? " and others are in it" : " is in it",
                     "; end it, or choose another $.linux.cgroupsPath"));
  }
  absl::StatusOr<FreezerState> state = group.Frozen();
  if (state.ok() && *state != FreezerState::kThawed) {
    return absl::FailedPreconditionError(
        absl::StrCat("cgroup ", group.paths().front(), " is frozen; thaw or remove it"));
  }
  return absl::OkStatus();
}

}  // namespace

bool Directory::Has(absl::string_view controller) const {
  return std::find(controllers.begin(), controllers.end(), controller) != controllers.end();
}

absl::StatusOr<Cgroup> Cgroup::Create(const std::vector<Hierarchy>& hierarchies,
                                      absl::string_view cgroups_path, absl::string_view id,
                                      Occupied occupied, Denied denied) {
  Cgroup group;
  std::vector<std::string> made;
  absl::Status status;
  bool existed = false;
  for (const Hierarchy& hierarchy : hierarchies) {
    Directory directory;
    directory.path = ContainerDirectory(hierarchy, cgroups_path, id);
    if (directory.path == hierarchy.mount_point) {
      return absl::InvalidArgumentError(
          "$.linux.cgroupsPath: the root cgroup cannot be a container's");
    }
    directory.unified = hierarchy.unified;
    directory.controllers = hierarchy.controllers;
    absl::StatusOr<UniqueFd> fd = MakeLevels(hierarchy, directory.path, made);
    if (!fd.ok()) {
      const int error = ErrnoOf(fd.status());
      if (denied == Denied::kSkip && (error == EACCES || error == EPERM || error == EROFS))
        continue;
      status = fd.status();
      break;
    }
    if (made.empty() || made.back() != directory.path) existed = true;
    directory.fd = *std::move(fd);
    group.paths_.push_back(directory.path);
    group.directories_.push_back(std::move(directory));
  }
  if (status.ok() && existed && occupied == Occupied::kRefuse) status = CheckUnused(group);
  if (status.ok()) return group;
  for (auto path = made.rbegin(); path != made.rend(); ++path) {
    ::rmdir(path->c_str());  // what is in use meanwhile stays
  }
  return status;
}

Cgroup Cgroup::Open(const std::vector<std::string>& paths) {
  Cgroup group;
  for (const std::string& path : paths) {
    absl::StatusOr<UniqueFd> fd = OpenDirectory(path);
    if (!fd.ok()) continue;
    Directory directory;
    directory.path = path;
    struct statfs info;
    if (::fstatfs(fd->get(), &info) != 0) continue;
    directory.unified = info.f_type == CGROUP2_SUPER_MAGIC;
    if (!directory.unified && info.f_type != CGROUP_SUPER_MAGIC) continue;
    if (!directory.unified) {
      // /sys/fs/cgroup/<controllers>/...
      const std::vector<std::string> parts = absl::StrSplit(path, '/');
      if (parts.size() > 4) directory.controllers = absl::StrSplit(parts[4], ',');
    }
    directory.fd = *std::move(fd);
    group.paths_.push_back(path);
    group.directories_.push_back(std::move(directory));
  }
  return group;
}

BorrowedFd Cgroup::unified() const {
  for (const Directory& directory : directories_) {
    if (directory.unified) return directory.fd;
  }
  return BorrowedFd(-1);
}

const Directory* Cgroup::FindController(absl::string_view controller) const {
  for (const Directory& directory : directories_) {
    if (directory.Has(controller)) return &directory;
  }
  return nullptr;
}

void Cgroup::Append(Cgroup more) {
  for (Directory& directory : more.directories_) directories_.push_back(std::move(directory));
  for (std::string& path : more.paths_) paths_.push_back(std::move(path));
}

absl::StatusOr<std::vector<UniqueFd>> Cgroup::OpenJoinFiles() const {
  std::vector<UniqueFd> files;
  for (const Directory& directory : directories_) {
    if (directory.unified) continue;
    BERTH_ASSIGN_OR_RETURN(UniqueFd file, OpenAt(directory.fd, "tasks", O_WRONLY),
                           _ << "join cgroup " << directory.path);
    files.push_back(std::move(file));
  }
  return files;
}

absl::Status Cgroup::AddProcess(pid_t pid, Placement placement,
                                const std::vector<std::string>& subpaths) const {
  std::vector<std::string> inner(directories_.size());
  for (const std::string& subpath : subpaths) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(subpath, absl::MaxSplits(':', 1));
    const bool is_for_all = !absl::StrContains(subpath, ':');
    const std::string path = CleanPath(is_for_all ? subpath : parts.second).substr(1);
    for (absl::string_view controller : absl::StrSplit(is_for_all ? "" : parts.first, ',')) {
      bool known = is_for_all;
      for (size_t i = 0; i < directories_.size(); ++i) {
        if (!is_for_all && !directories_[i].Has(controller)) continue;
        known = true;
        inner[i] = path.empty() ? "" : absl::StrCat(path, "/");
      }
      if (!known) {
        return absl::InvalidArgumentError(absl::StrCat(
            "--cgroup: \"", subpath, "\": no cgroup v1 hierarchy has the controller ", controller));
      }
    }
  }
  const std::string text = absl::StrCat(pid);
  for (size_t i = 0; i < directories_.size(); ++i) {
    const Directory& directory = directories_[i];
    if (!directory.unified && placement == Placement::kUnified) continue;
    absl::Status status =
        WriteControlFileAt(directory.fd, absl::StrCat(inner[i], "cgroup.procs"), text);
    if (!status.ok()) return Annotate(status, absl::StrCat("join cgroup ", directory.path));
  }
  return absl::OkStatus();
}

absl::Status Cgroup::Delegate(uid_t uid) const {
  const BorrowedFd directory = unified();
  if (!directory.valid()) return absl::OkStatus();
  if (::fchownat(directory.get(), "", uid, static_cast<gid_t>(-1), AT_EMPTY_PATH) != 0) {
    return ErrnoStatus(errno, absl::StrCat("give the cgroup to user ", uid));
  }
  const absl::StatusOr<std::string> listed = ReadFile("/sys/kernel/cgroup/delegate");
  const std::string names =
      listed.ok() ? *listed : "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";
  for (absl::string_view name : absl::StrSplit(names, '\n', absl::SkipEmpty())) {
    const std::string file(name);
    // A file of a controller that is not enabled here is not there.
    if (::fchownat(directory.get(), file.c_str(), uid, static_cast<gid_t>(-1), 0) != 0 &&
        errno != ENOENT) {
      return ErrnoStatus(errno, absl::StrCat("give to user ", uid, " the cgroup's file"), file);
    }
  }
  return absl::OkStatus();
}

absl::Status Cgroup::Apply(const spec::Resources& resources) const {
  return ApplyLimits(*this, resources);
}

absl::StatusOr<std::vector<pid_t>> Cgroup::Pids() const {
  std::vector<pid_t> pids;
  if (directories_.empty()) return pids;
  // Any hierarchy lists them all; v2 has one file for threads and processes alike.
  const Directory* best = &directories_.front();
  for (const Directory& directory : directories_) {
    if (directory.unified) best = &directory;
  }
  BERTH_RETURN_IF_ERROR(CollectPids(best->fd, 0, pids)) << "cgroup " << best->path;
  return pids;
}

absl::Status Cgroup::SignalAll(int signal) const {
  if (signal == SIGKILL && unified().valid() &&
      WriteControlFileAt(unified(), "cgroup.kill", "1").ok()) {
    // Beside v1 hierarchies the freezer is one of those, and who is frozen there dies on thawing.
    return FindController("freezer") == nullptr ? absl::OkStatus()
                                                : SetFrozen(FreezerState::kThawed);
  }
  // Frozen, so that nothing forks away from the walk; a frozen v1 group takes the signal on
  // thawing.
  const bool freeze = signal == SIGKILL && SetFrozen(FreezerState::kFrozen).ok();
  absl::StatusOr<std::vector<pid_t>> pids = Pids();
  if (pids.ok()) {
    for (pid_t pid : *pids) ::kill(pid, signal);  // one that is gone meanwhile is no fault
  }
  if (freeze) {
    BERTH_RETURN_IF_ERROR(SetFrozen(FreezerState::kThawed));
  }
  return pids.status();
}

absl::Status Cgroup::SetFrozen(FreezerState wanted) const {
  if (directories_.empty()) {
    return absl::FailedPreconditionError("the container has no cgroup that could be frozen");
  }
  const bool freeze = wanted != FreezerState::kThawed;
  if (const Directory* freezer = FindController("freezer")) {
    return WriteControlFileAt(freezer->fd, "freezer.state", freeze ? "FROZEN" : "THAWED");
  }
  if (!unified().valid()) {
    return absl::UnimplementedError("no freezer: mount the freezer hierarchy or cgroup2");
  }
  return WriteControlFileAt(unified(), "cgroup.freeze", freeze ? "1" : "0");
}

absl::StatusOr<FreezerState> Cgroup::Frozen() const {
  if (const Directory* freezer = FindController("freezer")) {
    BERTH_ASSIGN_OR_RETURN(const std::string state, ReadFileAt(freezer->fd, "freezer.state"));
    if (absl::StartsWith(state, "FROZEN")) return FreezerState::kFrozen;
    return absl::StartsWith(state, "FREEZING") ? FreezerState::kFreezing : FreezerState::kThawed;
  }
  if (!unified().valid()) return FreezerState::kThawed;
  BERTH_ASSIGN_OR_RETURN(const std::string events, ReadFileAt(unified(), "cgroup.events"));
  if (absl::StrContains(events, "frozen 1")) return FreezerState::kFrozen;
  BERTH_ASSIGN_OR_RETURN(const std::string asked, ReadFileAt(unified(), "cgroup.freeze"));
  return absl::StartsWith(asked, "1") ? FreezerState::kFreezing : FreezerState::kThawed;
}

// systemd hears that a scope's group ran empty by an event of the group's own, which is lost when
// the group goes first; the unit would then stay for ever. So it removes the group itself, for
// which it gets some rounds.
bool Cgroup::IsSystemdsToRemove(const Directory& directory) {
  constexpr int kRounds = 40;
  if (left_to_systemd_ >= kRounds || !absl::EndsWith(directory.path, ".scope") ||
      (!directory.unified && !directory.Has("name=systemd")) ||
      ::access("/run/systemd/system", F_OK) != 0) {
    return false;
  }
  return ::access(directory.path.c_str(), F_OK) == 0;
}

absl::Status Cgroup::Remove() {
  absl::Status first;
  for (Directory& directory : directories_) {
    if (IsSystemdsToRemove(directory)) {
      first.Update(absl::FailedPreconditionError(
          absl::StrCat("cgroup ", directory.path, " is being removed by systemd")));
      continue;
    }
    if (::rmdir(directory.path.c_str()) == 0) continue;
    const size_t slash = directory.path.rfind('/');
    absl::StatusOr<UniqueFd> parent = OpenDirectory(directory.path.substr(0, slash));
    if (!parent.ok()) {
      if (ErrnoOf(parent.status()) != ENOENT) first.Update(parent.status());
      continue;
    }
    first.Update(RemoveGroup(*parent, directory.path.substr(slash + 1), directory.path, 0));
  }
  if (first.ok()) {
    directories_.clear();
    paths_.clear();
  } else {
    ++left_to_systemd_;
  }
  return first;
}

}  // namespace berth::cgroup
