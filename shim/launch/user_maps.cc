#include "shim/launch/user_maps.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/spawn.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "shim/launch/clone.h"

namespace berth::launch {
namespace {

std::string MapText(const std::vector<spec::IdMapping>& mappings) {
  std::string text;
  for (const spec::IdMapping& mapping : mappings) {
    absl::StrAppend(&text, mapping.container_id, " ", mapping.host_id, " ", mapping.size, "\n");
  }
  return text;
}

constexpr absl::Duration kToolPatience = absl::Seconds(20);

// Absolute directories only: what lies below the working directory could be anybody's.
absl::StatusOr<std::string> FindTool(absl::string_view name) {
  const char* path = ::getenv("PATH");
  for (absl::string_view directory : absl::StrSplit(path == nullptr ? "" : path, ':')) {
    std::string candidate = absl::StrCat(directory, "/", name);
    if (absl::StartsWith(directory, "/") && ::access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
  }
  return absl::FailedPreconditionError(
      absl::StrCat("mapping more than one's own id takes the program ", name,
                   ", which is not on the PATH: install the package uidmap"));
}

absl::Status RunTool(absl::string_view name, pid_t pid,
                     const std::vector<spec::IdMapping>& mappings) {
  BERTH_ASSIGN_OR_RETURN(const std::string tool, FindTool(name));
  BERTH_ASSIGN_OR_RETURN(Pipe words, MakePipe());
  SpawnOptions options;
  options.executable = tool;
  options.arguments = {std::string(name), absl::StrCat(pid)};
  for (const spec::IdMapping& mapping : mappings) {
    for (uint32_t number : {mapping.container_id, mapping.host_id, mapping.size}) {
      options.arguments.push_back(absl::StrCat(number));
    }
  }
  options.descriptors = {{2, words.write.get()}};
  BERTH_ASSIGN_OR_RETURN(ChildProcess child, Spawn(options));
  words.write.Reset();
  BERTH_ASSIGN_OR_RETURN(const ExitState ended, child.Wait(kToolPatience), _ << tool);
  if (ended.ExitCode() == 0) return absl::OkStatus();
  const std::string said = ReadAll(words.read, 4096).value_or("");
  return absl::FailedPreconditionError(
      absl::StrCat(tool, " refuses the mappings (exit code ", ended.ExitCode(),
                   "): ", absl::StripAsciiWhitespace(said), "; see /etc/sub",
                   name == "newuidmap" ? "uid" : "gid", " for what this user may map"));
}

bool IsOnly(const std::vector<spec::IdMapping>& mappings, uint32_t id) {
  return mappings.size() == 1 && mappings[0].size == 1 && mappings[0].host_id == id;
}

}  // namespace

absl::Status WriteUserMapsWithoutRoot(pid_t pid, const std::vector<spec::IdMapping>& uids,
                                      const std::vector<spec::IdMapping>& gids) {
  if (IsOnly(uids, ::geteuid())) {
    BERTH_RETURN_IF_ERROR(WriteUserMaps(pid, uids, {}));
  } else if (!uids.empty()) {
    BERTH_RETURN_IF_ERROR(RunTool("newuidmap", pid, uids)) << "$.linux.uidMappings";
  }
  if (IsOnly(gids, ::getegid())) {
    // Who could leave a group in there would reach what the group is kept from.
    BERTH_RETURN_IF_ERROR(
        WriteControlFileAt(BorrowedFd(AT_FDCWD), absl::StrCat("/proc/", pid, "/setgroups"), "deny"))
        << "$.linux.gidMappings";
    BERTH_RETURN_IF_ERROR(WriteUserMaps(pid, {}, gids));
  } else if (!gids.empty()) {
    BERTH_RETURN_IF_ERROR(RunTool("newgidmap", pid, gids)) << "$.linux.gidMappings";
  }
  return absl::OkStatus();
}

absl::Status WriteUserMaps(pid_t pid, const std::vector<spec::IdMapping>& uids,
                           const std::vector<spec::IdMapping>& gids) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd proc,
                         OpenFile(absl::StrCat("/proc/", pid), O_PATH | O_DIRECTORY));
  if (!uids.empty()) {
    BERTH_RETURN_IF_ERROR(WriteControlFileAt(proc, "uid_map", MapText(uids)))
        << "$.linux.uidMappings";
  }
  if (!gids.empty()) {
    BERTH_RETURN_IF_ERROR(WriteControlFileAt(proc, "gid_map", MapText(gids)))
        << "$.linux.gidMappings";
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> MakeUserNamespace(const std::vector<spec::IdMapping>& uids,
                                           const std::vector<spec::IdMapping>& gids) {
  BERTH_ASSIGN_OR_RETURN(Cloned child, CloneChild(CLONE_NEWUSER, BorrowedFd(-1)),
                         _ << "make a user namespace for an id-mapped mount");
  if (child.pid == 0) {
    while (true) ::pause();
  }
  absl::Status status = WriteUserMaps(child.pid, uids, gids);
  absl::StatusOr<UniqueFd> ns =
      status.ok() ? OpenFile(absl::StrCat("/proc/", child.pid, "/ns/user"), O_RDONLY)
                  : absl::StatusOr<UniqueFd>(status);
  ::syscall(SYS_pidfd_send_signal, child.pidfd.get(), SIGKILL, nullptr, 0);
  Reap(child.pidfd);
  return ns;
}

}  // namespace berth::launch
