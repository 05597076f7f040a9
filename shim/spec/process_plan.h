// One process of a container as the specification asks for it: init, or an exec.
//
// Immutable once parsed. Owned by the LaunchPlan or by the exec that it describes.
#ifndef BERTH_SHIM_SPEC_PROCESS_PLAN_H_
#define BERTH_SHIM_SPEC_PROCESS_PLAN_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace berth::spec {

// Bit n is capability number n.
struct CapabilitySets {
  uint64_t bounding = 0;
  uint64_t effective = 0;
  uint64_t inheritable = 0;
  uint64_t permitted = 0;
  uint64_t ambient = 0;
};

struct ResourceLimit {
  int resource = 0;  // RLIMIT_*
  std::string name;
  uint64_t soft = 0;
  uint64_t hard = 0;
};

struct ConsoleSize {
  uint16_t height = 0;
  uint16_t width = 0;
};

struct Scheduler {
  int policy = 0;  // SCHED_*
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t flags = 0;  // SCHED_FLAG_*
  uint64_t runtime_ns = 0;
  uint64_t deadline_ns = 0;
  uint64_t period_ns = 0;
};

struct IoPriority {
  int io_class = 0;  // IOPRIO_CLASS_*
  int priority = 0;
};

struct ProcessPlan {
  bool terminal = false;
  std::optional<ConsoleSize> console_size;
  uid_t uid = 0;
  gid_t gid = 0;
  std::optional<mode_t> umask;
  std::vector<gid_t> additional_gids;
  std::vector<std::string> args;  // never empty
  std::vector<std::string> env;
  std::string cwd;  // absolute
  CapabilitySets capabilities;
  std::vector<ResourceLimit> limits;
  bool no_new_privileges = false;
  std::string apparmor_profile;
  std::string selinux_label;
  std::optional<int> oom_score_adj;
  std::optional<Scheduler> scheduler;
  std::optional<IoPriority> io_priority;
  std::vector<int> initial_cpus;  // execCPUAffinity, before the cgroup is joined
  std::vector<int> final_cpus;    // after it
};

}  // namespace berth::spec

#endif  // BERTH_SHIM_SPEC_PROCESS_PLAN_H_
