#include "shim/init/exec_main.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/os/prefault.h"
#include "shim/init/cgroup_join.h"
#include "shim/init/descriptors.h"
#include "shim/init/raw_open.h"
#include "shim/init/sibling.h"
#include "shim/rootfs/devices.h"

namespace berth::init {

namespace {

// Those of the plan, and `extra`.
void CloseOthers(const ExecPlan& plan, int extra) {
  constexpr size_t kMax = 64;
  int keep[kMax];
  size_t count = 0;
  keep[count++] = plan.control;
  keep[count++] = plan.init_pidfd;
  keep[count++] = plan.process.seccomp;
  keep[count++] = extra;
  for (int fd : plan.process.stdio) keep[count++] = fd;
  for (int fd : plan.process.preserved) {
    if (count < kMax) keep[count++] = fd;
  }
  CloseAllBut(keep, count);
}

void Join(Reporter& report, const ExecPlan& plan, int namespaces) {
  report.Begin(Step::kNamespaces);
  if (::setns(plan.init_pidfd, namespaces) != 0) {
    const int error = errno;
    if (error == ESRCH) report.FailVerbatim(ESRCH, "the container's init has ended");
    report.Fail(error, "join the container's namespaces");
  }
  if (!plan.user_namespace) return;
  if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0) {
    report.Fail(errno, "become the user namespace's root");
  }
}

// In all namespaces. `proc`: the host's procfs.
[[noreturn]] void BecomeExec(Reporter& report, ExecPlan& plan, int proc) {
  int root = RawOpen("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) report.Fail(errno, "open the container's root");
  ProcessBuilder builder(report, plan.process);
  builder.SetInitialAffinity();
  // In the cgroup before anything of the container's runs.
  JoinCgroup(report, proc);
  builder.SetSession();
  rootfs::Console console;
  if (plan.process.process->terminal) {
    report.Begin(Step::kConsole);
    console = rootfs::OpenPty(report, *plan.process.process, root);
  }
  builder.SetScheduling();
  builder.SetLimits();
  builder.SetLabels(proc);
  builder.LookAtSetgroups(proc);
  builder.SetHome(root);
  const int above = 3 + static_cast<int>(plan.process.preserved.size());
  for (int* fd : {&root, &proc, &console.master}) {
    if (*fd >= 0 && *fd < above) *fd = ::fcntl(*fd, F_DUPFD_CLOEXEC, above);
  }
  builder.PlaceDescriptors(console.slave);
  if (console.master >= 0) {
    report.Send(ReportKind::kReady, &console.master, 1);
    ::close(console.master);
  }
  ::close(root);
  ::close(proc);
  builder.BecomeUser();
  builder.Execute();
}

// While there is one that can be trusted: for labels.
int OpenHostProc() { return RawOpen("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC); }

}  // namespace

void KeepOnlyThePlans(const ExecPlan& plan) { CloseOthers(plan, plan.cgroup); }

void RunExec(ExecPlan& plan) {
  if (plan.shares_memory) {
    // The helper has let go of all else, and this process has its descriptors.
    if (plan.cgroup >= 0) ::close(plan.cgroup);
  } else {
    PrefaultProgram();
    CloseOthers(plan, -1);
  }
  ResetSignals(plan.changed_signals);
  Reporter report(plan.control);
  if (plan.shares_memory) report.Send(ReportKind::kBorn);
  const int proc = OpenHostProc();
  Join(report, plan, plan.namespaces);
  BecomeExec(report, plan, proc);
}

void RunExecAssistant(ExecPlan& plan) {
  PrefaultProgram();
  CloseOthers(plan, -1);
  ResetSignals(plan.changed_signals);
  Reporter report(plan.control);
  const int proc = OpenHostProc();
  Join(report, plan, plan.namespaces | CLONE_NEWPID);
  int pidfd = -1;
  const pid_t pid = CloneSibling(0, &pidfd);
  if (pid < 0) report.Fail(errno, "clone into the container");
  if (pid == 0) BecomeExec(report, plan, proc);
  report.Send(ReportKind::kInitPid, &pidfd, 1, pid);
  ::_exit(0);
}

}  // namespace berth::init
