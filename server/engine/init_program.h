// The program that is process 1 of a container with `--init`: a copy of the shim's, which knows the
// part by its name.
//
// A copy, because the container gets it as a bind mount: the file that shims are made from is never
// within a container's reach. Invariant: the file at the path is whole, and one that containers use
// is replaced and never changed. Thread-safe; owned by Lifecycle.
#ifndef BERTH_SERVER_ENGINE_INIT_PROGRAM_H_
#define BERTH_SERVER_ENGINE_INIT_PROGRAM_H_

#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "base/os/mutex.h"

namespace berth::engine {

class InitProgram {
 public:
  // Where a container sees it.
  static constexpr char kDestination[] = "/sbin/docker-init";

  // `directory`: ROOT/init, of a filesystem that programs may be executed from.
  InitProgram(std::string source, std::string directory)
      : source_(std::move(source)), directory_(std::move(directory)) {}

  // The path of the copy, made by the first call of this daemon. Blocks.
  absl::StatusOr<std::string> Ensure();

 private:
  const std::string source_;
  const std::string directory_;
  Mutex mutex_;
  bool is_made_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_INIT_PROGRAM_H_
