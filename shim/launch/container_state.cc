#include "shim/launch/container_state.h"

#include <errno.h>
#include <fcntl.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/json/writer.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "shim/cgroup/intel_rdt.h"
#include "shim/init/protocol.h"

namespace berth::launch {

std::string StateJsonHead(const ContainerState& state, absl::string_view status) {
  json::Writer head;
  head.BeginObject().Key("ociVersion").String(state.oci_version).Key("id").String(state.id);
  head.Key("bundle").String(state.bundle).Key("status").String(status).Key("annotations");
  head.Raw(state.annotations_json.empty() ? "{}" : state.annotations_json);
  head.Key("pid");
  return head.Take();
}

absl::Status JoinIntelRdt(const ContainerState& state) {
  if (!state.intel_rdt) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(const std::string mounts, ReadFile("/proc/self/mountinfo"));
  BERTH_ASSIGN_OR_RETURN(const std::string root, cgroup::FindResctrl(mounts));
  BERTH_ASSIGN_OR_RETURN(const cgroup::IntelRdtGroup group,
                         cgroup::IntelRdtGroup::Open(root, *state.intel_rdt, state.id));
  absl::Status status = group.Configure(*state.intel_rdt);
  if (status.ok()) status = group.Join(*state.intel_rdt, state.init_pid);
  return status;
}

absl::Status LeaveIntelRdt(const spec::IntelRdt& plan, const std::string& id) {
  BERTH_ASSIGN_OR_RETURN(const std::string mounts, ReadFile("/proc/self/mountinfo"));
  const absl::StatusOr<std::string> root = cgroup::FindResctrl(mounts);
  if (!root.ok()) return absl::OkStatus();  // what is not mounted holds nothing of ours
  return cgroup::IntelRdtGroup::At(*root, plan, id).Remove();
}

std::string StateJson(const ContainerState& state, absl::string_view status, pid_t pid) {
  return absl::StrCat(StateJsonHead(state, status), pid, "}");
}

uint64_t StartTimeTicks(pid_t pid) {
  absl::StatusOr<std::string> stat = ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  if (!stat.ok()) return 0;
  // The command in parentheses may hold anything, also spaces: count from behind it.
  const size_t close = stat->rfind(')');
  if (close == std::string::npos) return 0;
  const std::vector<absl::string_view> fields =
      absl::StrSplit(absl::string_view(*stat).substr(close + 1), ' ', absl::SkipEmpty());
  constexpr size_t kStartTime = 22 - 3;
  uint64_t ticks = 0;
  if (fields.size() <= kStartTime || !absl::SimpleAtoi(fields[kStartTime], &ticks)) return 0;
  return ticks;
}

absl::Status SetOomScore(pid_t pid, int score, OomScorePolicy policy,
                         std::vector<std::string>& warnings) {
  const std::string path = absl::StrCat("/proc/", pid, "/oom_score_adj");
  absl::Status status = WriteControlFileAt(BorrowedFd(AT_FDCWD), path, absl::StrCat(score));
  const int error = ErrnoOf(status);
  if (status.ok() || (error != EACCES && error != EPERM)) return status;
  if (policy == OomScorePolicy::kStrict) {
    return Annotate(status,
                    absl::StrCat("$.process.oomScoreAdj: ", score,
                                 " is lower than this host allows without CAP_SYS_RESOURCE"));
  }
  absl::StatusOr<std::string> now = ReadFile(path);
  warnings.push_back(absl::StrCat(
      "oom_score_adj ", score, " needs CAP_SYS_RESOURCE, which this host withholds; it stays at ",
      now.ok() ? *now : "what it was"));
  if (!warnings.back().empty() && warnings.back().back() == '\n') warnings.back().pop_back();
  return absl::OkStatus();
}

bool JoinsByItself(const ContainerState& state) {
  return state.authority == Authority::kHost &&
         state.cgroup.directories().size() <= init::kMaxJoinFiles;
}

absl::Duration TotalTimeout(const std::vector<spec::Hook>& hooks) {
  absl::Duration total = absl::ZeroDuration();
  for (const spec::Hook& hook : hooks) total += hook.timeout;
  return total;
}

}  // namespace berth::launch
