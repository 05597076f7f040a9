#include "shim/init/init_main.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "base/os/prefault.h"
#include "shim/init/cgroup_join.h"
#include "shim/init/child_hooks.h"
#include "shim/init/container_setup.h"
#include "shim/init/descriptors.h"
#include "shim/init/network_devices.h"
#include "shim/init/raw_open.h"
#include "shim/init/sibling.h"
#include "shim/rootfs/devices.h"
#include "shim/rootfs/inside.h"
#include "shim/rootfs/masks.h"
#include "shim/rootfs/mount_api.h"
#include "shim/rootfs/root_switch.h"
#include "shim/spec/names.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace berth::init {
namespace {

constexpr int kNamespaceKinds[] = {CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS,
                                   CLONE_NEWTIME};

// The descriptors the child goes on with.
void KeepOnlyThePlans(const InitPlan& plan) {
  constexpr size_t kMax = 512;
  int keep[kMax];
  size_t count = 0;
  auto add = [&](int fd) {
    if (fd >= 0 && count < kMax) keep[count++] = fd;
  };
  add(plan.control);
  add(plan.listener);
  add(plan.process.seccomp);
  for (int fd : plan.process.stdio) add(fd);
  for (int fd : plan.process.preserved) add(fd);
  for (int fd : plan.id_maps) add(fd);
  for (const rootfs::PreparedMount& mount : plan.rootfs_mounts) add(mount.id_map);
  for (const JoinedNamespace& ns : plan.joined) add(ns.fd);
  CloseAllBut(keep, count);
}

// The pid that the host knows us by: what the host's procfs says "self" is.
pid_t HostPid(int proc) {
  char text[32] = "";
  const ssize_t size = ::readlinkat(proc, "self", text, sizeof(text) - 1);
  return size > 0 ? static_cast<pid_t>(::strtol(text, nullptr, 10)) : 0;
}

class Init {
 public:
  Init(InitPlan& plan, Reporter& report, NetworkDevices& devices)
      : plan_(plan),
        spec_(*plan.spec),
        report_(report),
        devices_(devices),
        builder_(report, plan.process) {}

  // In the mount namespace where the rootfs is mounted, with the host's privileges.
  void PrepareOnHostSide() {
    report_.Begin(Step::kPropagation);
    // A joined mount namespace keeps its propagation: others live in it.
    if (spec_.NewNamespace(CLONE_NEWNS)) {
      rootfs::SetRootPropagation(report_, spec_.rootfs_propagation);
    }
    report_.Begin(Step::kBindSources);
    bundle_ = RawOpen(plan_.bundle.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (bundle_ < 0) report_.Fail(errno, "open the bundle", plan_.bundle);
    sources_.assign(spec_.mounts.size(), -1);
    rootfs::OpenBindSources(report_, spec_, bundle_, plan_.id_maps, sources_);
    report_.Begin(Step::kRootfs);
    // A slave's mounts reach nobody either, and a root that is to follow the host's needs it so.
    const bool follows =
        spec_.NewNamespace(CLONE_NEWNS) && (spec_.rootfs_propagation & MS_SLAVE) != 0;
    rootfs::SetParentPropagation(report_, plan_.root_path, follows ? MS_SLAVE : MS_PRIVATE);
    if (!plan_.rootfs_mounts.empty()) {
      rootfs::MountRootfs(report_, plan_.rootfs_mounts, plan_.root_path);
    } else {
      rootfs::BindOnItself(report_, plan_.root_path);
    }
  }

  [[noreturn]] void Continue() {
    proc_ = RawOpen("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (proc_ < 0) report_.Fail(errno, "open", "/proc");
    if (spec_.NewNamespace(CLONE_NEWNET)) RaiseLoopback(report_);
    devices_.Configure();
    OpenRoot();
    MountEverything();
    RunHooksBeforePivot();
    report_.Begin(Step::kMaskedPaths);
    MakeWorkingDirectory();
    builder_.SetHome(root_);
    rootfs::Console console;
    if (spec_.process.terminal) {
      report_.Begin(Step::kConsole);
      console = rootfs::MakeConsole(report_, spec_, root_);
    }
    rootfs::MaskPaths(report_, spec_, root_);
    SwitchRoot();
    WriteSysctls(report_, spec_, proc_);
    SetNames(report_, spec_);
    BecomeProcess(console);
    ReportReady(console);
    AwaitStart();
    RunStartHooks();
    builder_.Execute();
  }

 private:
  void OpenRoot() {
    report_.Begin(Step::kRootfs);
    // A mount copied into a less privileged namespace is locked: only a new bind of it can become
    // root.
    if (plan_.new_user_namespace || plan_.joined_user_namespace) {
      rootfs::BindOnItself(report_, plan_.root_path);
    }
    root_ = RawOpen(plan_.root_path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_ < 0) report_.Fail(errno, "open the root filesystem", plan_.root_path);
  }

  void MountEverything() {
    report_.Begin(Step::kMounts);
    ::umask(0);
    auto ensure_cgroup = [this] { EnsurePlaced(); };
    rootfs::MountContext context{root_,
                                 bundle_,
                                 spec_.FindNamespace(CLONE_NEWCGROUP) != nullptr,
                                 spec_.FindNamespace(CLONE_NEWNET) != nullptr,
                                 &plan_.cgroups,
                                 &spec_.mount_label,
                                 ensure_cgroup};
    rootfs::MountAll(report_, spec_, context, sources_);
    report_.Begin(Step::kDevices);
    const bool bind_nodes = plan_.new_user_namespace || plan_.joined_user_namespace;
    rootfs::MakeDevices(report_, spec_, root_,
                        bind_nodes ? rootfs::NodeMethod::kBind : rootfs::NodeMethod::kMake);
    EnsurePlaced();
    if (bundle_ >= 0) ::close(bundle_);
  }

  // The container's cgroup becomes the root of a cgroup namespace.
  void EnsurePlaced() {
    if (placed_) return;
    placed_ = true;
    const Step before = report_.step();
    JoinCgroup(report_, proc_);
    if (spec_.NewNamespace(CLONE_NEWCGROUP)) MakeNamespaces(report_, spec_, CLONE_NEWCGROUP);
    report_.Begin(before);
  }

  std::string State(const std::string& head) const {
    return head + std::to_string(HostPid(proc_)) + "}";
  }

  void RunHooksBeforePivot() {
    if (!spec_.hooks.prestart.empty() || !spec_.hooks.create_runtime.empty()) {
      report_.Send(ReportKind::kMountsDone);
      report_.Begin(Step::kRuntimeHooks);
      report_.Await(CommandKind::kHooksDone);
    }
    if (spec_.hooks.create_container.empty()) return;
    report_.Begin(Step::kCreateContainerHooks);
    RunChildHooks(report_, "createContainer", spec_.hooks.create_container,
                  State(plan_.state_creating), [] {});
  }

  // A missing working directory is made, as Docker's WORKDIR promises; on a read-only root it must
  // exist.
  void MakeWorkingDirectory() {
    const int fd = rootfs::OpenInside(root_, spec_.process.cwd.c_str(), O_PATH | O_DIRECTORY);
    if (fd >= 0) {
      ::close(fd);
      return;
    }
    if (errno != ENOENT) return;  // entering it will say what is wrong
    const int made = rootfs::OpenOrMakeDirectory(report_, root_, spec_.process.cwd.c_str());
    ::close(made);
  }

  void SwitchRoot() {
    report_.Begin(Step::kPivotRoot);
    state_created_ = spec_.hooks.start_container.empty() ? "" : State(plan_.state_created);
    if (spec_.FindNamespace(CLONE_NEWNS)->path.empty()) {
      if (plan_.root_switch == RootSwitch::kPivotRoot) {
        rootfs::PivotRoot(report_, root_);
      } else {
        rootfs::MoveRoot(report_, root_, plan_.root_path);
      }
      rootfs::SetFinalPropagation(report_, spec_.rootfs_propagation);
    } else {
      // Others live in this namespace: their root stays.
      if (::fchdir(root_) != 0 || ::chroot(".") != 0 || ::chdir("/") != 0) {
        report_.Fail(errno, "chroot to the root filesystem");
      }
    }
  }

  void BecomeProcess(const rootfs::Console& console) {
    builder_.SetSession();
    builder_.SetScheduling();
    builder_.SetLimits();
    builder_.SetLabels(proc_);
    SetPersonality(report_, spec_);
    SetMemoryPolicy(report_, spec_);
    builder_.LookAtSetgroups(proc_);
    ::close(proc_);
    // Descriptors that must survive PlaceDescriptors are out of its targets' way.
    const int above = 3 + static_cast<int>(plan_.process.preserved.size());
    for (int* fd : {&root_, &plan_.listener, &master_}) {
      if (*fd >= 0 && *fd < above) *fd = ::fcntl(*fd, F_DUPFD_CLOEXEC, above);
    }
    master_ = console.master;
    if (master_ >= 0 && master_ < above) master_ = ::fcntl(master_, F_DUPFD_CLOEXEC, above);
    builder_.PlaceDescriptors(console.slave);
    builder_.BecomeUser();
  }

  void ReportReady(const rootfs::Console& console) {
    report_.Begin(Step::kReady);
    const int descriptors[2] = {root_, master_};
    report_.Send(ReportKind::kReady, descriptors, console.master >= 0 ? 2 : 1);
    ::close(root_);
    if (master_ >= 0) ::close(master_);
  }

  void AwaitStart() {
    if (plan_.listener >= 0) {
      // Only so may an ordinary user execute something in here before the start. What is left of
      // the host in this process is the socket.
      if (plan_.is_rootless) ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
      // A creator that dies before it has recorded us takes us with it.
      report_.Await(CommandKind::kLetGo);
      // Whoever runs `start` connects here; from then on it is the parent that hears us.
      int connection;
      do {
        connection = ::accept4(plan_.listener, nullptr, nullptr, SOCK_CLOEXEC);
      } while (connection < 0 && (errno == EINTR || errno == ECONNABORTED));
      if (connection < 0) report_.Fail(errno, "wait for start");
      ::close(report_.control());
      ::close(plan_.listener);
      report_.set_control(connection);
    }
    report_.Await(CommandKind::kStart);
  }

  void RunStartHooks() {
    if (spec_.hooks.start_container.empty()) return;
    report_.Begin(Step::kStartContainerHooks);
    RunChildHooks(report_, "startContainer", spec_.hooks.start_container, state_created_,
                  [this] { builder_.DropKept(); });
  }

  InitPlan& plan_;
  const spec::LaunchPlan& spec_;
  Reporter& report_;
  NetworkDevices& devices_;
  ProcessBuilder builder_;
  std::vector<int> sources_;
  std::string state_created_;
  int bundle_ = -1;
  int root_ = -1;
  int proc_ = -1;
  int master_ = -1;
  bool placed_ = false;
};

int NewFlags(const spec::LaunchPlan& spec) {
  int flags = 0;
  for (int kind : kNamespaceKinds) {
    if (spec.NewNamespace(kind)) flags |= kind;
  }
  return flags;
}

void BecomeNamespaceRoot(Reporter& report, const char* otherwise) {
  if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0) report.Fail(errno, otherwise);
}

void AwaitMapping(Reporter& report) {
  report.Begin(Step::kUserMapping);
  report.Await(CommandKind::kMapped);
}

constexpr char kMustMapRoot[] = "become the user namespace's root: $.linux.uidMappings must map 0";
constexpr char kJoinedRoot[] = "become the joined user namespace's root";

}  // namespace

void RunInit(InitPlan& plan) {
  PrefaultProgram();
  KeepOnlyThePlans(plan);
  ResetSignals(ChangedSignals());
  Reporter report(plan.control);
  if (plan.is_rootless) {
    AwaitMapping(report);
    BecomeNamespaceRoot(report, kMustMapRoot);
  }
  NetworkDevices devices(report, *plan.spec);
  report.Begin(Step::kNamespaces);
  JoinNamespaces(report, plan.joined);
  MakeNamespaces(report, *plan.spec, NewFlags(*plan.spec));
  // For the mapping, and for the offsets of a time namespace.
  if (plan.is_rootless) ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  devices.MoveInto("/proc/self/ns/net");
  Init init(plan, report, devices);
  init.PrepareOnHostSide();
  init.Continue();
}

void RunAssistant(InitPlan& plan) {
  PrefaultProgram();
  KeepOnlyThePlans(plan);
  ResetSignals(ChangedSignals());
  Reporter report(plan.control);
  const spec::LaunchPlan& spec = *plan.spec;
  NetworkDevices devices(report, spec);
  report.Begin(Step::kNamespaces);
  // Joined namespaces belong to the host's user namespace as a rule, so they come before a new one;
  // a joined user namespace comes last, for what it owns can then no longer be left.
  std::vector<JoinedNamespace> user;
  std::vector<JoinedNamespace> others;
  for (const JoinedNamespace& ns : plan.joined) {
    (ns.clone_flag == CLONE_NEWUSER ? user : others).push_back(ns);
  }
  if (plan.is_rootless) {
    // Who is nobody on the host may join what the user namespace owns only from inside of it.
    JoinNamespaces(report, user);
    user.clear();
    BecomeNamespaceRoot(report, kJoinedRoot);
  }
  JoinNamespaces(report, others);
  const bool new_mounts = spec.NewNamespace(CLONE_NEWNS);
  if (new_mounts && ::unshare(CLONE_NEWNS) != 0) report.Fail(errno, "make a mount namespace");
  Init init(plan, report, devices);
  init.PrepareOnHostSide();
  report.Begin(Step::kNamespaces);
  if (!user.empty()) {
    JoinNamespaces(report, user);
    // The joined namespace's root is who works there.
    BecomeNamespaceRoot(report, kJoinedRoot);
  }
  int flags = NewFlags(spec) & ~CLONE_NEWTIME;
  if (spec.NewNamespace(CLONE_NEWUSER)) flags |= CLONE_NEWUSER;
  if (spec.NewNamespace(CLONE_NEWPID)) flags |= CLONE_NEWPID;
  int pidfd = -1;
  const pid_t pid = CloneSibling(static_cast<uint64_t>(flags), &pidfd);
  if (pid < 0) {
    const int error = errno;
    report.FailFormat(error, "clone into a user namespace: %s (%s)%s", ::strerrordesc_np(error),
                      ::strerrorname_np(error),
                      error == ENOSPC ? ": see /proc/sys/user/max_user_namespaces" : "");
  }
  if (pid == 0) {
    AwaitMapping(report);
    if (plan.new_user_namespace) BecomeNamespaceRoot(report, kMustMapRoot);
    if (spec.NewNamespace(CLONE_NEWTIME)) {
      // The procfs files of an undumpable process belong to the host's root, whom we no longer are.
      ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
      MakeNamespaces(report, spec, CLONE_NEWTIME);
      ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
    init.Continue();
  }
  // init goes on only when the parent has heard of it.
  const std::string network = spec.NewNamespace(CLONE_NEWNET)
                                  ? "/proc/" + std::to_string(pid) + "/ns/net"
                                  : "/proc/self/ns/net";
  devices.MoveInto(network.c_str());
  report.Send(ReportKind::kInitPid, &pidfd, 1, pid);
  ::_exit(0);
}

}  // namespace berth::init
