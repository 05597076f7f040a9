#include "shim/launch/detached.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/spawn.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "shim/cgroup/hierarchy.h"
#include "shim/cgroup/systemd_scope.h"
#include "shim/cgroup/systemd_unit.h"
#include "shim/init/protocol.h"
#include "shim/launch/report_channel.h"
#include "shim/launch/rootless.h"
#include "shim/launch/start_socket.h"
#include "shim/security/seccomp_program.h"
#include "shim/spec/names.h"
#include "shim/spec/parse.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace berth::launch {
namespace {

// An init whose shim has gone ends at the next word that it expects.
constexpr absl::Duration kInitEnds = absl::Seconds(3);

constexpr int kJoinable[] = {CLONE_NEWNS,   CLONE_NEWNET,    CLONE_NEWIPC, CLONE_NEWUTS,
                             CLONE_NEWUSER, CLONE_NEWCGROUP, CLONE_NEWTIME};

// The namespaces of `pid`, made by `plan`, that are not ours. An ordinary user may not look at an
// init that has yet to become its program.
int DifferentNamespaces(pid_t pid, const spec::LaunchPlan& plan) {
  int flags = 0;
  for (int flag : kJoinable) {
    struct stat ours;
    struct stat theirs;
    const std::string file(spec::NamespaceFile(flag));
    if (::stat(absl::StrCat("/proc/self/ns/", file).c_str(), &ours) != 0) continue;
    const bool differs = ::stat(absl::StrCat("/proc/", pid, "/ns/", file).c_str(), &theirs) == 0
                             ? ours.st_ino != theirs.st_ino
                             : plan.FindNamespace(flag) != nullptr;
    if (differs) flags |= flag;
  }
  return flags;
}

// A pidfd for the very process of the record, or NOT_FOUND.
absl::StatusOr<UniqueFd> OpenRecorded(const CleanupRecord& record) {
  if (record.init_pid <= 0) return absl::NotFoundError("no init is recorded");
  BERTH_ASSIGN_OR_RETURN(UniqueFd pidfd, OpenPidFd(record.init_pid));
  if (StartTimeTicks(record.init_pid) != record.init_start_time_ticks) {
    return absl::NotFoundError("process already finished: not found");
  }
  return pidfd;
}

std::string IdOf(const CleanupRecord& record) {
  return record.id.empty() ? record.bundle.substr(record.bundle.rfind('/') + 1) : record.id;
}

absl::StatusOr<spec::LaunchPlan> ReadPlan(const std::string& bundle) {
  BERTH_ASSIGN_OR_RETURN(std::string json, ReadFile(absl::StrCat(bundle, "/config.json")));
  return spec::ParseSpec(std::move(json));
}

// Runs the hooks that `list` picks from the specification, each with `status` as the container's
// state. Errors: the first failure; the others run all the same.
absl::Status RunHooks(const CleanupRecord& record, const spec::LaunchPlan& plan, const char* kind,
                      absl::string_view status, std::vector<spec::Hook> spec::Hooks::*list,
                      absl::Time deadline) {
  ContainerState state;
  state.id = IdOf(record);
  state.bundle = record.bundle;
  state.oci_version = plan.oci_version;
  state.annotations_json = plan.annotations_json;
  const std::string json = StateJson(state, status, status == "stopped" ? 0 : record.init_pid);
  absl::Status first;
  for (const spec::Hook& hook : plan.hooks.*list) {
    UniqueFd input(::memfd_create("state", MFD_CLOEXEC));
    if (!input.valid()) return ErrnoStatus(errno, "memfd_create");
    BERTH_RETURN_IF_ERROR(WriteAll(input, json));
    if (::lseek(input.get(), 0, SEEK_SET) < 0) return ErrnoStatus(errno, "lseek");
    SpawnOptions options;
    options.executable = hook.path;
    options.arguments = hook.args.empty() ? std::vector<std::string>{hook.path} : hook.args;
    options.environment = hook.env;
    options.descriptors = {{0, input.get()}};
    options.working_directory = record.bundle;
    absl::StatusOr<ChildProcess> child = Spawn(options);
    absl::Status result = child.status();
    if (child.ok()) {
      const absl::Duration left = std::max(deadline - absl::Now(), absl::Seconds(1));
      absl::StatusOr<ExitState> ended = child->Wait(std::min(hook.timeout, left));
      result = ended.status();
      if (ended.ok() && ended->ExitCode() != 0) {
        result = absl::FailedPreconditionError(absl::StrCat("exit status ", ended->ExitCode()));
      }
    }
    first.Update(result.ok() ? result
                             : Annotate(result, absl::StrCat(kind, " hook \"", hook.path, "\"")));
  }
  return first;
}

// Where the groups of a bundle's container would be: a shim that was killed while it made them had
// no time to record them.
std::vector<std::string> PlannedCgroups(const CleanupRecord& record) {
  const auto plan = ReadPlan(record.bundle);
  const auto hierarchies = cgroup::FindHierarchies();
  if (!plan.ok() || !hierarchies.ok()) return {};
  const auto manager = OwnAuthority() == Authority::kHost ? cgroup::SystemdManager::kSystem
                                                          : cgroup::SystemdManager::kUser;
  const std::string root = cgroup::ManagerRoot(manager).value_or("");
  std::vector<std::string> paths;
  for (const cgroup::Hierarchy& hierarchy : *hierarchies) {
    std::string path = cgroup::ContainerDirectory(hierarchy, plan->cgroups_path, IdOf(record));
    if (path != hierarchy.mount_point) paths.push_back(std::move(path));
    // Which driver was asked for is not known any more; a directory that is not there does no harm.
    const auto unit = cgroup::ParseSystemdUnit(plan->cgroups_path, IdOf(record), manager);
    if (unit.ok()) paths.push_back(absl::StrCat(hierarchy.mount_point, root, unit->path));
  }
  return paths;
}

// Gives init's seccomp listener to the agent; without one, init would wait for ever, and is killed.
absl::Status HandOverListener(const CleanupRecord& record, BorrowedFd listener) {
  BERTH_ASSIGN_OR_RETURN(const spec::LaunchPlan plan, ReadPlan(record.bundle));
  ContainerState state;
  state.id = IdOf(record);
  state.bundle = record.bundle;
  state.oci_version = plan.oci_version;
  state.annotations_json = plan.annotations_json;
  absl::Status status = SendSeccompListener(
      {plan.seccomp_listener_path, plan.seccomp_listener_metadata}, listener, record.init_pid,
      plan.oci_version, StateJson(state, "created", record.init_pid));
  absl::StatusOr<UniqueFd> init = OpenRecorded(record);
  if (!status.ok() && init.ok()) {
    ::syscall(SYS_pidfd_send_signal, init->get(), SIGKILL, nullptr, 0);
  }
  return status;
}

absl::Status SeeThroughStart(const CleanupRecord& record, const std::string& socket_path) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd socket, ConnectForStart(socket_path));
  const init::Command command{init::CommandKind::kStart};
  if (::send(socket.get(), &command, sizeof(command), MSG_NOSIGNAL) < 0) {
    return ErrnoStatus(errno, "talk to the container's init");
  }
  bool executing = false;
  while (true) {
    ReceivedReport received;
    const ssize_t got = ReceiveReport(socket, 0, received);
    if (got != sizeof(init::Report)) break;
    if (received.report.kind == init::ReportKind::kFailed) return ToStatus(received.report);
    if (received.report.kind == init::ReportKind::kSeccompListener &&
        !received.descriptors.empty()) {
      BERTH_RETURN_IF_ERROR(HandOverListener(record, received.descriptors[0]));
    }
    executing |= received.report.kind == init::ReportKind::kExecuting;
  }
  if (executing) return absl::OkStatus();
  return absl::FailedPreconditionError("init ended before the program ran");
}

}  // namespace

absl::Status AdoptState(const CleanupRecord& record, const std::string& seccomp_cache_directory,
                        ContainerState& state) {
  BERTH_ASSIGN_OR_RETURN(state.init_pidfd, OpenRecorded(record));
  BERTH_ASSIGN_OR_RETURN(const spec::LaunchPlan plan, ReadPlan(record.bundle));
  state.id = IdOf(record);
  state.bundle = record.bundle;
  state.authority = OwnAuthority();
  state.oci_version = plan.oci_version;
  state.annotations_json = plan.annotations_json;
  state.poststart = plan.hooks.poststart;
  state.poststop = plan.hooks.poststop;
  state.poststop_due = true;
  state.init_pid = record.init_pid;
  state.init_start_time_ticks = record.init_start_time_ticks;
  state.cgroup = cgroup::Cgroup::Open(record.cgroup_paths);
  state.namespaces = DifferentNamespaces(record.init_pid, plan);
  state.user_namespace = (state.namespaces & CLONE_NEWUSER) != 0;
  state.seccomp_agent = {plan.seccomp_listener_path, plan.seccomp_listener_metadata};
  state.terminal = plan.process.terminal;
  state.exec_initial_cpus = plan.process.initial_cpus;
  state.exec_final_cpus = plan.process.final_cpus;
  state.keyring = absl::StrCat("_ses.", state.id);
  if (plan.seccomp_json.empty()) return absl::OkStatus();
  absl::StatusOr<UniqueFd> cached = security::OpenCachedSeccomp(
      seccomp_cache_directory, security::SeccompCacheName(plan.seccomp_json));
  if (cached.ok()) {
    state.seccomp = *std::move(cached);
    return absl::OkStatus();
  }
  // This process is short-lived by itself, so libseccomp's heap does not matter.
  state.seccomp.Reset(::memfd_create("berth-seccomp", MFD_CLOEXEC));
  if (!state.seccomp.valid()) return ErrnoStatus(errno, "memfd_create");
  return security::CompileSeccomp(plan.seccomp_json, state.seccomp);
}

absl::Status StartByListener(const CleanupRecord& record, const std::string& socket_path) {
  BERTH_RETURN_IF_ERROR(SeeThroughStart(record, socket_path));
  BERTH_ASSIGN_OR_RETURN(const spec::LaunchPlan plan, ReadPlan(record.bundle));
  return RunHooks(record, plan, "poststart", "running", &spec::Hooks::poststart,
                  absl::InfiniteFuture());
}

absl::Status RemoveByRecord(const CleanupRecord& record, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  absl::StatusOr<UniqueFd> init = OpenRecorded(record);
  if (init.ok()) ::syscall(SYS_pidfd_send_signal, init->get(), SIGKILL, nullptr, 0);
  const bool recorded = !record.cgroup_paths.empty() || record.has_no_cgroup;
  cgroup::Cgroup group =
      cgroup::Cgroup::Open(recorded ? record.cgroup_paths : PlannedCgroups(record));
  // An unrecorded group holds at most an init that ends with its shim; if there is more in it, then
  // somebody else was there first, and the create was about to be refused.
  const absl::Time give_up = recorded ? deadline : std::min(deadline, absl::Now() + kInitEnds);
  absl::Status status;
  absl::Duration wait = absl::Milliseconds(1);
  while (!(status = group.Remove()).ok()) {
    // A planned group that is not ours to remove is not ours.
    if (!recorded && IsDenied(status)) break;
    if (!absl::IsFailedPrecondition(status)) return status;
    if (absl::Now() >= give_up) {
      if (!recorded) break;
      return absl::DeadlineExceededError(status.message());
    }
    if (recorded) group.SignalAll(SIGKILL).IgnoreError();  // what is left shows in the next attempt
    // No event tells when a dying process has left its v1 cgroup.
    absl::SleepFor(wait);  // tidy: allow(sleep)
    wait = std::min(wait * 2, absl::Milliseconds(50));
  }
  if (init.ok()) {
    struct pollfd gone = {init->get(), POLLIN, 0};
    const absl::Duration left = std::max(deadline - absl::Now(), absl::ZeroDuration());
    if (::poll(&gone, 1, static_cast<int>(absl::ToInt64Milliseconds(left))) == 0) {
      return absl::DeadlineExceededError(
          absl::StrCat("init ", record.init_pid, " does not end by SIGKILL"));
    }
  }
  const absl::StatusOr<spec::LaunchPlan> plan = ReadPlan(record.bundle);
  if (!plan.ok()) return absl::OkStatus();
  if (plan->intel_rdt) {
    // What cannot be removed is in use by others by now.
    LeaveIntelRdt(*plan->intel_rdt, IdOf(record)).IgnoreError();
  }
  // A poststop hook's failure keeps nothing from being removed.
  RunHooks(record, *plan, "poststop", "stopped", &spec::Hooks::poststop, deadline).IgnoreError();
  return absl::OkStatus();
}

}  // namespace berth::launch
