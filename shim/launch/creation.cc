#include "shim/launch/creation.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "shim/cgroup/intel_rdt.h"
#include "shim/cgroup/systemd_scope.h"
#include "shim/launch/rootless.h"
#include "shim/launch/user_maps.h"
#include "shim/spec/names.h"
#include "shim/spec/parse.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace berth::launch {
namespace {

// What exec joins by setns; a pid namespace is entered by the parent instead.
constexpr int kJoinable = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWUSER |
                          CLONE_NEWCGROUP | CLONE_NEWTIME;
constexpr size_t kMaxSpecBytes = 16u << 20;

// Who may manage the container's own group: the user that its process is on the host, where the
// container sees nothing but that group and may write to it.
std::optional<uid_t> DelegateTo(const spec::LaunchPlan& plan) {
  const bool writable =
      std::any_of(plan.mounts.begin(), plan.mounts.end(), [](const spec::MountPlan& mount) {
        return (mount.type == "cgroup" || mount.type == "cgroup2") &&
               (mount.attributes.set & MOUNT_ATTR_RDONLY) == 0;
      });
  if (!writable || !plan.NewNamespace(CLONE_NEWCGROUP)) return std::nullopt;
  if (plan.FindNamespace(CLONE_NEWUSER) == nullptr) return plan.process.uid;
  for (const spec::IdMapping& mapping : plan.uid_mappings) {
    if (plan.process.uid >= mapping.container_id &&
        plan.process.uid - mapping.container_id < mapping.size) {
      return mapping.host_id + (plan.process.uid - mapping.container_id);
    }
  }
  return std::nullopt;
}

bool ShowsCgroups(const spec::LaunchPlan& plan) {
  return std::any_of(plan.mounts.begin(), plan.mounts.end(), [](const spec::MountPlan& mount) {
    return mount.type == "cgroup" || mount.type == "cgroup2";
  });
}

// Hierarchies as a cgroup mount shows them: by the names they have on the host.
std::vector<rootfs::CgroupView> Views(const std::vector<cgroup::Hierarchy>& hierarchies,
                                      absl::string_view cgroups_path, absl::string_view id) {
  std::vector<rootfs::CgroupView> views;
  for (const cgroup::Hierarchy& hierarchy : hierarchies) {
    rootfs::CgroupView view;
    view.unified = hierarchy.unified;
    view.container_path = cgroup::ContainerDirectory(hierarchy, cgroups_path, id);
    if (!(hierarchy.unified && hierarchies.size() == 1)) {
      view.name = hierarchy.mount_point.substr(hierarchy.mount_point.rfind('/') + 1);
    }
    view.controllers = absl::StrJoin(hierarchy.controllers, ",");
    views.push_back(std::move(view));
  }
  return views;
}

}  // namespace

Creation::Creation(Loop& loop, CreateOptions options, ContainerState& state,
                   absl::AnyInvocable<void(absl::Status)> done)
    : loop_(loop),
      options_(std::move(options)),
      state_(state),
      done_(std::move(done)),
      seccomp_(loop),
      scope_(loop, "the caller of systemd"),
      hooks_(loop),
      step_began_(absl::Now()) {}

Creation::~Creation() { loop_.Cancel(timer_); }

void Creation::Note(const char* step) {
  const absl::Time now = absl::Now();
  state_.latency.push_back({step, absl::ToInt64Nanoseconds(now - step_began_)});
  step_began_ = now;
}

void Creation::AddTimings(const init::Report& report) {
  for (int i = 0; i < report.timing_count; ++i) {
    const auto& timing = report.timings[i];
    state_.latency.push_back(
        {init::StepName(timing.step), int64_t{timing.microseconds_of_step} * 1000});
  }
}

void Creation::Begin() {
  absl::Status status = Prepare();
  if (status.ok()) status = Launch();
  if (status.ok()) return RestartTimer();
  // Not from inside the caller's call.
  timer_ = loop_.After(absl::ZeroDuration(), [this, status] {
    timer_ = TimerId::kNone;
    Fail(status);
  });
}

void Creation::RestartTimer() {
  loop_.Cancel(timer_);
  timer_ = loop_.After(options_.timeout, [this] {
    timer_ = TimerId::kNone;
    Fail(absl::DeadlineExceededError(
        absl::StrCat("set-up of container ", state_.id, " did not end within ",
                     absl::FormatDuration(options_.timeout), ": a mount or a file may hang")));
  });
}

absl::Status Creation::CheckSupported(const spec::LaunchPlan& plan) const {
  if (plan.intel_rdt) {
    BERTH_ASSIGN_OR_RETURN(const std::string mounts, ReadFile("/proc/self/mountinfo"));
    BERTH_RETURN_IF_ERROR(cgroup::FindResctrl(mounts).status()) << "config.json";
  }
  if (!plan.mount_label.empty() && ::access("/sys/fs/selinux/enforce", F_OK) != 0) {
    return absl::UnimplementedError(absl::StrCat("config.json: $.linux.mountLabel asks for \"",
                                                 plan.mount_label,
                                                 "\", but SELinux is not active here"));
  }
  if (options_.authority == Authority::kNone) {
    BERTH_RETURN_IF_ERROR(CheckRootless(plan));
  }
  if (options_.cgroup_driver == CgroupDriver::kSystemd) {
    return cgroup::CheckSystemdRuns(Manager());
  }
  return absl::OkStatus();
}

absl::Status Creation::Prepare() {
  state_.id = options_.id;
  state_.bundle = options_.bundle;
  state_.authority = options_.authority;
  state_.oom_score_policy = options_.oom_score_policy;
  BERTH_ASSIGN_OR_RETURN(std::string json,
                         ReadFile(absl::StrCat(options_.bundle, "/config.json"), kMaxSpecBytes));
  BERTH_ASSIGN_OR_RETURN(spec::LaunchPlan plan, spec::ParseSpec(std::move(json)));
  plan_ = std::make_unique<spec::LaunchPlan>(std::move(plan));
  for (std::string& variable : options_.environment) {
    plan_->process.env.push_back(std::move(variable));
  }
  for (spec::NamespacePlan& ns : plan_->namespaces) {
    // One that a user namespace of the container's own owned has gone with it.
    if (ns.clone_flag == CLONE_NEWNET && ns.path.empty() &&
        plan_->FindNamespace(CLONE_NEWUSER) == nullptr) {
      ns.path = options_.network_namespace;
    }
  }
  Note("parse config.json");
  BERTH_RETURN_IF_ERROR(CheckSupported(*plan_));
  BERTH_ASSIGN_OR_RETURN(hierarchies_, cgroup::FindHierarchies());
  unified_only_ = hierarchies_.size() == 1 && hierarchies_.front().unified;
  if (options_.cgroup_driver == CgroupDriver::kSystemd) {
    BERTH_ASSIGN_OR_RETURN(unit_,
                           cgroup::ParseSystemdUnit(plan_->cgroups_path, state_.id, Manager()));
    BERTH_ASSIGN_OR_RETURN(const std::string root, cgroup::ManagerRoot(Manager()));
    plan_->cgroups_path = absl::StrCat(root, unit_->path);
  }
  cgroups_path_ = plan_->cgroups_path;
  RememberForLater();
  // Device rules take root of the host, and callers who have none of it know.
  if (options_.authority != Authority::kHost) plan_->resources.devices.clear();
  if (options_.cgroup_denied == CgroupDenied::kGoWithout && !unit_) {
    BERTH_RETURN_IF_ERROR(TryCgroup());
  }
  if (!plan_->seccomp_json.empty()) {
    BERTH_RETURN_IF_ERROR(seccomp_.Open(plan_->seccomp_json, options_.seccomp_cache_directory));
  }
  return PlanInit();
}

// The specification goes after the clone; these go on.
void Creation::RememberForLater() {
  state_.oci_version = plan_->oci_version;
  state_.annotations_json = plan_->annotations_json;
  state_.poststart = plan_->hooks.poststart;
  state_.poststop = plan_->hooks.poststop;
  prestart_ = plan_->hooks.prestart;
  create_runtime_ = plan_->hooks.create_runtime;
  state_.seccomp_agent = {plan_->seccomp_listener_path, plan_->seccomp_listener_metadata};
  state_.terminal = plan_->process.terminal;
  for (const spec::NamespacePlan& ns : plan_->namespaces) {
    state_.namespaces |= ns.clone_flag & kJoinable;
  }
  state_.user_namespace = plan_->FindNamespace(CLONE_NEWUSER) != nullptr;
  if (options_.keyring == Keyring::kNew) state_.keyring = absl::StrCat("_ses.", state_.id);
  state_.warnings = plan_->warnings;
  uid_mappings_ = plan_->uid_mappings;
  gid_mappings_ = plan_->gid_mappings;
  oom_score_ = plan_->process.oom_score_adj;
  state_.intel_rdt = plan_->intel_rdt;
  // The specification has it for execs only: init keeps what it was born with.
  state_.exec_initial_cpus = std::exchange(plan_->process.initial_cpus, {});
  state_.exec_final_cpus = std::exchange(plan_->process.final_cpus, {});
  delegate_to_ = DelegateTo(*plan_);
}

absl::Status Creation::PlanInit() {
  init_ = std::make_unique<init::InitPlan>();
  init::InitPlan& plan = *init_;
  plan.spec = plan_.get();
  plan.bundle = options_.bundle;
  plan.root_path = absl::StartsWith(plan_->root_path, "/")
                       ? plan_->root_path
                       : absl::StrCat(options_.bundle, "/", plan_->root_path);
  state_.root_path = plan.root_path;
  state_.rootfs_is_callers = options_.rootfs_mounts.empty();
  BERTH_ASSIGN_OR_RETURN(plan.rootfs_mounts, rootfs::PrepareRootfs(options_.rootfs_mounts));
  if (ShowsCgroups(*plan_)) {
    plan.cgroups = Views(hierarchies_, plan_->cgroups_path, state_.id);
    // Where it gets none of its own, a container stays in its maker's.
    for (size_t i = 0; may_go_without_cgroup_ && i < plan.cgroups.size(); ++i) {
      const auto& own = state_.cgroup.paths();
      if (std::find(own.begin(), own.end(), plan.cgroups[i].container_path) == own.end()) {
        plan.cgroups[i].container_path =
            absl::StrCat(hierarchies_[i].mount_point, hierarchies_[i].own_path);
      }
    }
  }
  plan.root_switch = options_.root_switch == RootSwitch::kPivotRoot ? init::RootSwitch::kPivotRoot
                                                                    : init::RootSwitch::kMoveMount;
  plan.new_user_namespace = plan_->NewNamespace(CLONE_NEWUSER);
  plan.joined_user_namespace = state_.user_namespace && !plan.new_user_namespace;
  plan.is_rootless = options_.authority == Authority::kNone;
  plan.state_creating = StateJsonHead(state_, "creating");
  plan.state_created = StateJsonHead(state_, "created");
  BERTH_RETURN_IF_ERROR(OpenNamespaces());
  BERTH_RETURN_IF_ERROR(MakeIdMaps());

  init::Bind(plan.process, plan_->process);
  BERTH_ASSIGN_OR_RETURN(null_, OpenFile("/dev/null", O_RDWR));
  UniqueFd* const stdio[3] = {&options_.stdio.in, &options_.stdio.out, &options_.stdio.err};
  for (int i = 0; i < 3; ++i) {
    // With a terminal the ends stay here: somebody may wait for the last copy of them to close.
    plan.process.stdio[i] =
        stdio[i]->valid() && !plan_->process.terminal ? stdio[i]->get() : null_.get();
  }
  for (const UniqueFd& fd : options_.preserved_fds) plan.process.preserved.push_back(fd.get());
  plan.process.user_namespace = state_.user_namespace || options_.authority != Authority::kHost;
  plan.process.seccomp = seccomp_.program().get();
  plan.process.keyring = state_.keyring.empty() ? nullptr : state_.keyring.c_str();
  plan.listener = options_.start_listener.get();
  return absl::OkStatus();
}

absl::Status Creation::OpenNamespaces() {
  for (size_t i = 0; i < plan_->namespaces.size(); ++i) {
    const spec::NamespacePlan& ns = plan_->namespaces[i];
    if (ns.path.empty()) continue;
    BERTH_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(ns.path, O_RDONLY),
                           _ << "$.linux.namespaces[" << i << "].path");
    init_->joined.push_back({ns.clone_flag, fd.get()});
    opened_.push_back(std::move(fd));
  }
  return absl::OkStatus();
}

absl::Status Creation::MakeIdMaps() {
  init_->id_maps.assign(plan_->mounts.size(), -1);
  for (size_t i = 0; i < plan_->mounts.size(); ++i) {
    const spec::MountPlan& mount = plan_->mounts[i];
    if (mount.id_map == spec::IdMapScope::kNone) continue;
    const bool own = !mount.uid_mappings.empty();
    if (!own && plan_->uid_mappings.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("config.json: $.mounts[", i,
                       "]: idmap needs mappings of its own, or a user "
                       "namespace with mappings"));
    }
    BERTH_ASSIGN_OR_RETURN(UniqueFd ns,
                           MakeUserNamespace(own ? mount.uid_mappings : plan_->uid_mappings,
                                             own ? mount.gid_mappings : plan_->gid_mappings),
                           _ << "$.mounts[" << i << "]");
    init_->id_maps[i] = ns.get();
    opened_.push_back(std::move(ns));
  }
  for (rootfs::PreparedMount& mount : init_->rootfs_mounts) {
    if (mount.uid_mappings.empty()) continue;
    BERTH_ASSIGN_OR_RETURN(UniqueFd ns, MakeUserNamespace(mount.uid_mappings, mount.gid_mappings),
                           _ << "the root filesystem's maps of ids");
    mount.id_map = ns.get();
    opened_.push_back(std::move(ns));
  }
  return absl::OkStatus();
}

// An ordinary user's new user namespace: init is born in it, for outside of it nothing could be
// prepared.
absl::StatusOr<Cloned> Creation::CloneRootlessInit() {
  const DumpableMoment dumpable;  // until it is mapped
  uint64_t flags = CLONE_NEWUSER;
  if (plan_->NewNamespace(CLONE_NEWPID)) flags |= CLONE_NEWPID;
  absl::StatusOr<Cloned> child = CloneChild(flags, BorrowedFd(-1));
  if (child.ok() && child->pid == 0) init::RunInit(*init_);
  if (child.ok()) return child;
  const int error = ErrnoOf(child.status());
  return Annotate(child.status(), error == ENOSPC ? "make a user namespace (see /proc/sys/user/"
                                                    "max_user_namespaces)"
                                  : error == EPERM
                                      ? "make a user namespace (this host forbids it to its users: "
                                        "see kernel.unprivileged_userns_clone and "
                                        "kernel.apparmor_restrict_unprivileged_userns)"
                                      : "make a user namespace");
}

// Whoever may be refused is moved there later.
BorrowedFd Creation::Birthplace() const {
  return IsInUnified() ? state_.cgroup.unified() : BorrowedFd(-1);
}

absl::StatusOr<Cloned> Creation::CloneAssistant() {
  absl::StatusOr<Cloned> child = CloneChild(0, Birthplace());
  if (child.ok() && child->pid == 0) init::RunAssistant(*init_);
  return child;
}

absl::StatusOr<Cloned> Creation::CloneInit() {
  const uint64_t flags = plan_->NewNamespace(CLONE_NEWPID) ? CLONE_NEWPID : 0;
  const BorrowedFd group = Birthplace();
  absl::StatusOr<Cloned> child;
  auto pid = std::find_if(init_->joined.begin(), init_->joined.end(),
                          [](const auto& ns) { return ns.clone_flag == CLONE_NEWPID; });
  if (pid != init_->joined.end()) {
    const BorrowedFd target(pid->fd);
    init_->joined.erase(pid);
    child = CloneIntoPidNamespace(target, flags, group);
  } else {
    child = CloneChild(flags, group);
  }
  if (child.ok() && child->pid == 0) init::RunInit(*init_);
  return child;
}

absl::Status Creation::Launch() {
  BERTH_ASSIGN_OR_RETURN(SocketPair sockets, MakeSocketPair(SOCK_SEQPACKET));
  init_->control = sockets.second.get();
  resources_ = plan_->resources;
  if (!unit_ && IsInUnified()) {
    BERTH_RETURN_IF_ERROR(MakeBirthplace());
  }
  const bool is_rootless = options_.authority == Authority::kNone;
  const bool is_born_mapped = is_rootless && plan_->NewNamespace(CLONE_NEWUSER);
  // Who is not root of the host would not find back from a joined pid namespace.
  const bool joins_pid = std::any_of(init_->joined.begin(), init_->joined.end(),
                                     [](const auto& ns) { return ns.clone_flag == CLONE_NEWPID; });
  const bool with_assistant =
      !is_born_mapped &&
      (state_.user_namespace || (joins_pid && options_.authority != Authority::kHost));
  std::optional<OomScoreMoment> score;
  if (is_rootless && oom_score_) {
    score.emplace(*std::exchange(oom_score_, std::nullopt), state_.oom_score_policy,
                  state_.warnings);
    BERTH_RETURN_IF_ERROR(score->status());
  }
  BERTH_ASSIGN_OR_RETURN(Cloned child, is_born_mapped   ? CloneRootlessInit()
                                       : with_assistant ? CloneAssistant()
                                                        : CloneInit());
  score.reset();
  Note("clone");
  if (with_assistant) {
    assistant_ = std::move(child.pidfd);
  } else {
    state_.init_pid = child.pid;
    state_.init_pidfd = std::move(child.pidfd);
    init_reaped_ = false;
  }
  sockets.second.Reset();
  BERTH_RETURN_IF_ERROR(channel_.Open(
      loop_, std::move(sockets.first), [this](ReceivedReport& report) { OnReport(report); },
      [this] { OnChannelEnd(); }));
  if (is_born_mapped) {
    BERTH_RETURN_IF_ERROR(MapInit());
  }
  if (seccomp_.program().valid() && !seccomp_.ready()) {
    BERTH_RETURN_IF_ERROR(seccomp_.Compile(
        plan_->seccomp_json, [this](absl::Status status) { OnSeccomp(std::move(status)); }));
  }
  // The child is at its mounts by now; the groups of version 1 are made beside it.
  if (!unit_) {
    BERTH_RETURN_IF_ERROR(MakeCgroup(cgroup::Cgroup::Occupied::kRefuse));
  }
  if (!with_assistant) {
    BERTH_RETURN_IF_ERROR(unit_ ? StartScope() : PlaceInCgroup());
  }
  ReleasePlan();
  return absl::OkStatus();
}

absl::Status Creation::MapInit() {
  BERTH_RETURN_IF_ERROR(
      options_.authority == Authority::kNone
          ? WriteUserMapsWithoutRoot(state_.init_pid, uid_mappings_, gid_mappings_)
          : WriteUserMaps(state_.init_pid, uid_mappings_, gid_mappings_));
  return channel_.Send(init::CommandKind::kMapped);
}

// Everything that only the child needs goes back to the kernel while the child works.
void Creation::ReleasePlan() {
  init_.reset();
  plan_.reset();
  opened_.clear();
  null_.Reset();
  options_.stdio = Stdio();
  options_.preserved_fds.clear();
  options_.start_listener.Reset();
  options_.rootfs_mounts.clear();
}

void Creation::SendJoinWhenReady() {
  if (!may_join_ || join_sent_ || failing_) return;
  if (seccomp_.program().valid() && !seccomp_.ready()) return;
  join_sent_ = true;
  // A dead child shows as end of file.
  channel_.Send(init::CommandKind::kJoin, join_files_).IgnoreError();
  join_files_.clear();
}

void Creation::OnSeccomp(absl::Status status) {
  if (!status.ok()) return Fail(std::move(status));
  SendJoinWhenReady();
}

void Creation::OnReport(ReceivedReport& received) {
  AddTimings(received.report);
  RestartTimer();
  switch (received.report.kind) {
    case init::ReportKind::kFailed:
      return Fail(ToStatus(received.report));
    case init::ReportKind::kInitPid:
      return OnInitPid(received);
    case init::ReportKind::kMountsDone:
      return OnMountsDone();
    case init::ReportKind::kReady:
      return OnReady(received);
    case init::ReportKind::kBorn:  // only an exec says it
    case init::ReportKind::kExecuting:
    case init::ReportKind::kSeccompListener:
      return Fail(absl::InternalError("init went on before it was told to"));
  }
}

void Creation::OnInitPid(ReceivedReport& received) {
  if (received.descriptors.size() != 1) {
    return Fail(absl::InternalError("the assistant sent no pidfd"));
  }
  state_.init_pid = received.report.pid;
  state_.init_pidfd = std::move(received.descriptors[0]);
  init_reaped_ = false;
  absl::StatusOr<FdWatch> watch = loop_.Watch(assistant_, EPOLLIN, [this](uint32_t) {
    assistant_watch_.Reset();
    Reap(assistant_);
    assistant_.Reset();
    if (failing_) OnChildEnded();
  });
  if (!watch.ok()) return Fail(watch.status());
  assistant_watch_ = *std::move(watch);
  absl::Status status = MapInit();
  if (status.ok()) status = unit_ ? StartScope() : PlaceInCgroup();
  if (!status.ok()) Fail(std::move(status));
}

void Creation::OnMountsDone() {
  // Hooks have time limits of their own.
  loop_.Cancel(timer_);
  timer_ = TimerId::kNone;
  state_.poststop_due = true;
  hooks_.Run("prestart", std::move(prestart_), StateJson(state_, "creating", state_.init_pid),
             state_.bundle, OnHookFailure::kStop, [this](absl::Status status) {
               if (!status.ok()) return Fail(std::move(status));
               hooks_.Run("createRuntime", std::move(create_runtime_),
                          StateJson(state_, "creating", state_.init_pid), state_.bundle,
                          OnHookFailure::kStop, [this](absl::Status status) {
                            if (status.ok()) status = channel_.Send(init::CommandKind::kHooksDone);
                            if (!status.ok()) return Fail(std::move(status));
                            RestartTimer();
                          });
             });
}

void Creation::OnReady(ReceivedReport& received) {
  if (received.descriptors.empty()) return Fail(absl::InternalError("init sent no root"));
  state_.rootfs = std::move(received.descriptors[0]);
  if (received.descriptors.size() > 1) state_.console = std::move(received.descriptors[1]);
  state_.seccomp = seccomp_.TakeProgram();
  state_.init_start_time_ticks = StartTimeTicks(state_.init_pid);
  state_.poststop_due = true;
  state_.control = channel_.Release();
  Finish(absl::OkStatus());
}

void Creation::OnChannelEnd() {
  Fail(absl::InternalError(absl::StrCat(
      "init of container ", state_.id,
      " ended during set-up without saying why (killed from outside, or out of memory?)")));
}

void Creation::Cancel() { Fail(absl::CancelledError("create was cancelled")); }

void Creation::Fail(absl::Status status) {
  if (failing_) return;
  failing_ = true;
  failure_ = std::move(status);
  loop_.Cancel(timer_);
  timer_ = TimerId::kNone;
  channel_.Close();
  hooks_.Abort();
  for (const UniqueFd* child : {&assistant_, &state_.init_pidfd}) {
    if (child->valid()) ::syscall(SYS_pidfd_send_signal, child->get(), SIGKILL, nullptr, 0);
  }
  auto watch = [this](const UniqueFd& fd, FdWatch& out) {
    if (!fd.valid() || out.active()) return;
    absl::StatusOr<FdWatch> watch = loop_.Watch(fd, EPOLLIN, [this](uint32_t) { OnChildEnded(); });
    if (watch.ok()) out = *std::move(watch);
  };
  watch(assistant_, assistant_watch_);
  if (!init_reaped_) watch(state_.init_pidfd, init_watch_);
  if (!assistant_watch_.active() && !init_watch_.active()) {
    timer_ = loop_.After(absl::ZeroDuration(), [this] {
      timer_ = TimerId::kNone;
      AfterChildren();
    });
    return;
  }
  timer_ = loop_.After(absl::Seconds(30), [this] {
    timer_ = TimerId::kNone;
    assistant_watch_.Reset();
    init_watch_.Reset();
    failure_ = Annotate(failure_, "init does not end by SIGKILL (it hangs in the kernel)");
    AfterChildren();
  });
}

void Creation::OnChildEnded() {
  // Which one it was shows by asking: an ended child's pidfd is readable for good.
  for (auto [fd, watch] :
       {std::pair(&assistant_, &assistant_watch_), std::pair(&state_.init_pidfd, &init_watch_)}) {
    if (!watch->active() || !fd->valid()) continue;
    siginfo_t info = {};
    constexpr idtype_t kPidFd = static_cast<idtype_t>(3);
    if (::waitid(kPidFd, static_cast<id_t>(fd->get()), &info, WEXITED | WNOHANG) == 0 &&
        info.si_pid == 0) {
      continue;  // still there
    }
    watch->Reset();
    fd->Reset();
  }
  if (assistant_watch_.active() || init_watch_.active()) return;
  loop_.Cancel(timer_);
  timer_ = TimerId::kNone;
  AfterChildren();
}

void Creation::AfterChildren() {
  state_.init_pidfd.Reset();
  teardown_ = std::make_unique<Teardown>(loop_, state_);
  teardown_->Run([this](absl::Status status) {
    if (!status.ok()) state_.warnings.push_back(std::string(status.message()));
    Finish(failure_);
  });
}

void Creation::Finish(absl::Status status) {
  loop_.Cancel(timer_);
  timer_ = TimerId::kNone;
  auto done = std::move(done_);
  done(std::move(status));
}

}  // namespace berth::launch
