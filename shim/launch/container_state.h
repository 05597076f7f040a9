// What is kept of a container while it exists: the facts that exec, teardown and stats need.
//
// Small on purpose: the specification itself is gone by the time a container runs. Loop-only. Owned
// by the Container; Creation fills it, Teardown empties it.
#ifndef BERTH_SHIM_LAUNCH_CONTAINER_STATE_H_
#define BERTH_SHIM_LAUNCH_CONTAINER_STATE_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/os/unique_fd.h"
#include "shim/cgroup/cgroup.h"
#include "shim/launch/container.h"
#include "shim/launch/rootfs_dropper.h"
#include "shim/launch/seccomp_notify.h"
#include "shim/spec/launch_plan.h"

namespace berth::launch {

struct ContainerState {
  std::string id;
  std::string bundle;
  Authority authority = Authority::kHost;  // of this process
  std::string oci_version;
  std::string annotations_json;
  std::string root_path;  // absolute
  std::vector<spec::Hook> poststart;
  std::vector<spec::Hook> poststop;
  bool poststop_due = false;  // runtime hooks ran, so their undoing must
  cgroup::Cgroup cgroup;
  pid_t init_pid = -1;
  UniqueFd init_pidfd;
  uint64_t init_start_time_ticks = 0;
  UniqueFd control;  // until started
  UniqueFd console;
  UniqueFd rootfs;                 // keeps the root filesystem mounted beyond init's end
  bool rootfs_is_callers = false;  // bound from where it stays mounted: letting go of it is quick
  std::unique_ptr<RootfsDropper> rootfs_dropper;  // has taken `rootfs`
  UniqueFd seccomp;                               // the compiled program, for execs
  SeccompAgent seccomp_agent;
  std::optional<spec::IntelRdt> intel_rdt;
  std::string keyring;  // empty: execs keep the caller's
  int namespaces = 0;   // CLONE_NEW* that differ from ours, without pid
  bool user_namespace = false;
  bool terminal = false;
  // execCPUAffinity of the container's own process: for execs that bring none.
  std::vector<int> exec_initial_cpus;
  std::vector<int> exec_final_cpus;
  // Of this process, which changes none once it serves; asked at the first exec.
  std::optional<uint64_t> changed_signals;
  OomScorePolicy oom_score_policy = OomScorePolicy::kClamp;
  std::vector<StepTime> latency;
  std::vector<std::string> warnings;
};

// The OCI state as hooks get it. `status`: creating, created, running, stopped.
std::string StateJson(const ContainerState& state, absl::string_view status, pid_t pid);
// The same up to the pid, which a child learns only itself; pid and "}" complete it.
std::string StateJsonHead(const ContainerState& state, absl::string_view status);

// Field 22 of /proc/<pid>/stat: with the pid it names a process for ever (of this boot). 0: gone.
uint64_t StartTimeTicks(pid_t pid);

// Writes /proc/<pid>/oom_score_adj; where the kernel refuses (no CAP_SYS_RESOURCE), kClamp leaves
// the nearest that is allowed and adds a warning.
absl::Status SetOomScore(pid_t pid, int score, OomScorePolicy policy,
                         std::vector<std::string>& warnings);

// Whether a child moves itself into the v1 groups (shim/init/cgroup_join.h).
bool JoinsByItself(const ContainerState& state);

// Puts init into its class of service, if the specification wants one; takes away what is its own.
absl::Status JoinIntelRdt(const ContainerState& state);
absl::Status LeaveIntelRdt(const spec::IntelRdt& plan, const std::string& id);

// The longest wait that these hooks may need.
absl::Duration TotalTimeout(const std::vector<spec::Hook>& hooks);

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_CONTAINER_STATE_H_
