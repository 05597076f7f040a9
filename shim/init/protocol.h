// What parent and child say to each other while a container or an exec is set up.
//
//   parent (the shim)                              child (init, before it is the program)
//   clone3 ----------------------------------------> namespaces
//                                    <-- kInitPid     only from an assistant: of a user namespace,
//                                                    or of who is not root of the host
//   maps written
//                                    <-- kBorn        only from an exec that shares our memory
//   kMapped ------------------------------------->   only with a user namespace; before all
//                                                    else for who is not root of the host
//   cgroup made, seccomp compiled
//   kJoin + descriptors ------------------------->   moves itself into the cgroup (needed before
//                                                    cgroup mounts); rootfs, mounts
//                                    <-- kMountsDone  only with prestart or createRuntime hooks
//   runtime hooks
//   kHooksDone ---------------------------------->   createContainer hooks, masks, pivot, identity
//                                    <-- kReady + descriptors (root, console)
//   ... "created" ...
//   kStart -------------------------------------->   startContainer hooks
//                                    <-- kExecuting   then execve; end of file: it succeeded
//                                    <-- kFailed      at any time, followed by the child's end
//
// One SOCK_SEQPACKET pair carries both directions, one fixed-size record at a time; the end of file
// is the other side's death (or the child's execve, which closes its end). Immutable types.
#ifndef BERTH_SHIM_INIT_PROTOCOL_H_
#define BERTH_SHIM_INIT_PROTOCOL_H_

#include <cstdint>

namespace berth::init {

// Where a child is. The latency record, the error record and the benchmarks share these.
enum class Step : uint8_t {
  kNone,
  kNamespaces,
  kUserMapping,
  kNetwork,
  kPropagation,
  kRootfs,
  kBindSources,
  kMounts,
  kDevices,
  kJoinCgroup,
  kRuntimeHooks,
  kCreateContainerHooks,
  kMaskedPaths,
  kPivotRoot,
  kSysctls,
  kConsole,
  kSession,
  kScheduling,
  kLimits,
  kLabels,
  kUser,
  kCapabilities,
  kWorkingDirectory,
  kFindProgram,
  kReady,
  kStartContainerHooks,
  kSeccomp,
  kExec,
  kCount,
};

const char* StepName(Step step);

enum class ReportKind : uint8_t {
  kFailed,
  kInitPid,
  kMountsDone,
  kReady,
  kExecuting,
  kSeccompListener,
  kBorn,  // from an exec that shares the parent's memory, first of all
};

inline constexpr int kMaxTimings = static_cast<int>(Step::kCount) + 4;

// From child to parent.
struct Report {
  ReportKind kind = ReportKind::kFailed;
  Step step = Step::kNone;
  // `detail` is the whole message; else it is "what" and "object" separated by a NUL.
  uint8_t verbatim = 0;
  uint8_t timing_count = 0;
  int32_t error_number = 0;
  int32_t pid = 0;
  int32_t descriptor_count = 0;
  struct Timing {
    Step step;
    uint32_t microseconds_of_step;
  } timings[kMaxTimings];
  char detail[1024];
};

// kJoin: with the files through which the child moves itself into its cgroup (cgroup_join.h).
// kLetGo: the creating process is about to end, and whoever connects says kStart.
enum class CommandKind : uint8_t { kMapped, kJoin, kHooksDone, kLetGo, kStart };

// How many descriptors come with a kJoin at most: one for each hierarchy of version 1.
inline constexpr int kMaxJoinFiles = 32;

// From parent to child.
struct Command {
  CommandKind kind = CommandKind::kJoin;
};

}  // namespace berth::init

#endif  // BERTH_SHIM_INIT_PROTOCOL_H_
