// Programs for running shims to become, other than the one that new shims run.
//
// Invariant: the one named last is kept, so that many shims that become it one after the other
// share its pages; a file that was changed since is loaded anew. What Load gave stays open as long
// as its holder keeps it. Thread-safe. Owned by the service that upgrades shims.
#ifndef BERTH_SERVER_TASK_SHIM_PROGRAMS_H_
#define BERTH_SERVER_TASK_SHIM_PROGRAMS_H_

#include <sys/stat.h>

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "base/os/mutex.h"
#include "server/task/shim_binary.h"

namespace berth {

class ShimPrograms {
 public:
  // Blocks: reads the file. Errors: INVALID_ARGUMENT for a path that is not absolute or no file's;
  // as open(2).
  absl::StatusOr<std::shared_ptr<const ShimBinary>> Load(const std::string& path);

 private:
  Mutex mutex_;
  std::string path_ ABSL_GUARDED_BY(mutex_);
  struct stat seen_ ABSL_GUARDED_BY(mutex_) = {};
  std::shared_ptr<const ShimBinary> last_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth

#endif  // BERTH_SERVER_TASK_SHIM_PROGRAMS_H_
