// The program that the daemon starts for each container, held so that nobody can change it.
//
// Invariant: all shims of one daemon generation run from one sealed memfd: their pages are shared,
// a container that escapes into its shim's /proc/<pid>/exe cannot overwrite it, and an upgrade of
// the file on disk takes effect with the next daemon. Where the kernel forbids to execute memfds, a
// read-only descriptor of the file serves. Immutable; owned by server/main, outlives what it
// spawns.
#ifndef BERTH_SERVER_TASK_SHIM_BINARY_H_
#define BERTH_SERVER_TASK_SHIM_BINARY_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"

namespace berth {

class ShimBinary {
 public:
  // Blocks: reads the file. Errors: NOT_FOUND naming `path`.
  static absl::StatusOr<ShimBinary> Load(absl::string_view path);

  // What Spawn executes.
  std::string executable() const;
  // The same for another process of this host.
  std::string executable_for_others() const;
  const std::string& path() const { return path_; }
  bool is_sealed() const { return is_sealed_; }

 private:
  ShimBinary(UniqueFd program, std::string path, bool is_sealed)
      : program_(std::move(program)), path_(std::move(path)), is_sealed_(is_sealed) {}

  UniqueFd program_;
  std::string path_;
  bool is_sealed_;
};

}  // namespace berth

#endif  // BERTH_SERVER_TASK_SHIM_BINARY_H_
