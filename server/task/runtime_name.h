// Which shim runs a container, from the runtime name in its record.
//
// What stock clients send (no name, runc's v2 or v1) means Berth's own shim; an alias from the
// configuration, an absolute path, or any other name of the form io.containerd.NAME.vN selects
// another shim binary, driven by the `start` protocol. Pure but for the look-up of a binary.
// Thread-safe functions.
#ifndef BERTH_SERVER_TASK_RUNTIME_NAME_H_
#define BERTH_SERVER_TASK_RUNTIME_NAME_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

// runtime name -> absolute path of a shim binary, or another runtime name.
using RuntimeAliases = std::map<std::string, std::string>;

struct ResolvedRuntime {
  std::string name;         // as asked for, with an empty name made explicit
  std::string shim_binary;  // absolute path of a foreign shim; empty for our own
};

// `search_path` is a PATH. Errors: INVALID_ARGUMENT for a name of no known form; NOT_FOUND when the
// binary that the name stands for is not installed.
absl::StatusOr<ResolvedRuntime> ResolveRuntime(absl::string_view name,
                                               const RuntimeAliases& aliases,
                                               absl::string_view search_path);

}  // namespace berth

#endif  // BERTH_SERVER_TASK_RUNTIME_NAME_H_
