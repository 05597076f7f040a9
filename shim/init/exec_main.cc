#include "shim/init/exec_main.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "shim/init/descriptors.h"
#include "shim/init/raw_open.h"
#include "shim/rootfs/devices.h"

namespace berth::init {

void RunExec(ExecPlan& plan) {
  constexpr size_t kMax = 64;
  int keep[kMax];
  size_t count = 0;
  keep[count++] = plan.control;
  keep[count++] = plan.init_pidfd;
  keep[count++] = plan.process.seccomp;
  for (int fd : plan.process.stdio) keep[count++] = fd;
  for (int fd : plan.process.preserved) {
    if (count < kMax) keep[count++] = fd;
  }
  CloseAllBut(keep, count);
  ResetSignals();
  Reporter report(plan.control);
  report.Begin(Step::kNamespaces);
  // The host's procfs, for labels, while there is one that can be trusted.
  int proc = RawOpen("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (::setns(plan.init_pidfd, plan.namespaces) != 0) {
    const int error = errno;
    if (error == ESRCH) report.FailVerbatim(ESRCH, "the container's init has ended");
    report.Fail(error, "join the container's namespaces");
  }
  if (plan.user_namespace) {
    if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0) {
      report.Fail(errno, "become the user namespace's root");
    }
  }
  int root = RawOpen("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) report.Fail(errno, "open the container's root");
  ProcessBuilder builder(report, plan.process);
  builder.SetInitialAffinity();
  // In the cgroup before anything of the container's runs.
  report.Begin(Step::kJoinCgroup);
  report.Await(CommandKind::kPlaced);
  builder.SetSession();
  rootfs::Console console;
  if (plan.process.process->terminal) {
    report.Begin(Step::kConsole);
    console = rootfs::OpenPty(report, *plan.process.process, root);
  }
  builder.SetScheduling();
  builder.SetLimits();
  builder.SetLabels(proc);
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

}  // namespace berth::init
