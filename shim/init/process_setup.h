// From a privileged child inside the container to the process that the specification describes.
//
// Used alike by init and by exec. The order is the kernel's: what needs privilege first, the user
// and the capabilities then, the seccomp filter last (kept for after the start barrier, so that it
// need not allow set-up's own calls). For the child after clone3; the plan's strings live in the
// parent's copy.
#ifndef BERTH_SHIM_INIT_PROCESS_SETUP_H_
#define BERTH_SHIM_INIT_PROCESS_SETUP_H_

#include <climits>
#include <string>
#include <vector>

#include "shim/init/reporter.h"
#include "shim/security/seccomp_program.h"
#include "shim/spec/process_plan.h"

namespace berth::init {

struct ProcessSetup {
  const spec::ProcessPlan* process = nullptr;
  std::vector<char*> arguments;    // null-terminated, into `process`
  std::vector<char*> environment;  // null-terminated, with room for one more before the null
  int stdio[3] = {-1, -1, -1};
  std::vector<int> preserved;     // become 3, 4, ...
  int seccomp = -1;               // a compiled program, or -1
  const char* keyring = nullptr;  // the new session keyring's name, or null: keep the caller's
  bool apparmor_runs = false;     // looked at only where a profile is wanted
  bool selinux_runs = false;      // the same for a label
  bool user_namespace = false;    // in one that is not the host's
  bool setgroups_denied = false;  // such a one may say so: LookAtSetgroups
};

// Fills arguments, environment and what `process` needs to know of the host, in the parent.
// `process` must outlive the setup.
void Bind(ProcessSetup& setup, const spec::ProcessPlan& process);

class ProcessBuilder {
 public:
  ProcessBuilder(Reporter& report, ProcessSetup& setup) : report_(report), setup_(setup) {}

  // setsid, keyring, scheduling, limits, personality, labels. `proc` is a descriptor of a procfs
  // that the image cannot have forged, or -1 without labels to write.
  void SetSession();
  void SetInitialAffinity();  // execCPUAffinity's, before the cgroup is joined
  void SetScheduling();
  void SetLimits();
  void SetLabels(int proc);
  void LookAtSetgroups(int proc);
  // stdio and preserved descriptors to their numbers; `console` (a pty's slave, or -1) becomes the
  // controlling terminal.
  void PlaceDescriptors(int console);
  // HOME from the passwd file below `root` when the environment has none.
  void SetHome(int root);
  // Working directory, groups, user, capabilities (with what seccomp still needs), program lookup.
  void BecomeUser();
  // Drops what BecomeUser kept. For hooks and for the program itself.
  void DropKept();
  // Loads the filter and executes the program. `tell_executing` sends kExecuting first.
  [[noreturn]] void Execute();

 private:
  void EnterDirectory(bool may_retry);
  void SetIdentity();

  Reporter& report_;
  ProcessSetup& setup_;
  security::LoadedProgram filter_;
  spec::CapabilitySets sets_;
  uint64_t kept_ = 0;
  bool entered_ = false;
  char program_[PATH_MAX];
  char home_[PATH_MAX];
};

}  // namespace berth::init

#endif  // BERTH_SHIM_INIT_PROCESS_SETUP_H_
