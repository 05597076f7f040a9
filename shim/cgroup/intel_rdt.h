// A container's place in resctrl: the class of service that limits its share of the processor's
// caches and memory bandwidth, and the group that counts them ($.linux.intelRdt).
//
// Invariant: a class that the specification names belongs to whoever made the name and stays; one
// that bears the container's id, and every monitoring group, goes with the container.
// Thread-compatible. Owned by the container; the root is injected, for few machines have one.
#ifndef BERTH_SHIM_CGROUP_INTEL_RDT_H_
#define BERTH_SHIM_CGROUP_INTEL_RDT_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "shim/spec/launch_plan.h"

namespace berth::cgroup {

// Where /proc/self/mountinfo's `text` says that resctrl is mounted. Errors: UNIMPLEMENTED.
absl::StatusOr<std::string> FindResctrl(absl::string_view text);

class IntelRdtGroup {
 public:
  // Finds the class of `plan` below `root` or makes it. Errors: FAILED_PRECONDITION when it should
  // be there and is not, or is there with other schemas than the specification wants.
  static absl::StatusOr<IntelRdtGroup> Open(const std::string& root, const spec::IntelRdt& plan,
                                            const std::string& container_id);
  // What Open would have found, for Remove after the container's end.
  static IntelRdtGroup At(const std::string& root, const spec::IntelRdt& plan,
                          const std::string& container_id);

  const std::string& path() const { return path_; }

  // Writes the schemas. Errors: INVALID_ARGUMENT with the kernel's own words.
  absl::Status Configure(const spec::IntelRdt& plan) const;
  // Puts `pid` into the class, and into a monitoring group of it where the plan wants one.
  absl::Status Join(const spec::IntelRdt& plan, pid_t pid) const;
  // Removes what goes with the container. Idempotent.
  absl::Status Remove() const;

 private:
  IntelRdtGroup() = default;

  std::string root_;
  std::string path_;
  std::string monitor_path_;
  bool is_containers_ = false;
};

}  // namespace berth::cgroup

#endif  // BERTH_SHIM_CGROUP_INTEL_RDT_H_
