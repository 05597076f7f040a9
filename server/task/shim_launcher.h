// Starts Berth's own shims, and knows the command lines of all shims.
//
// Invariant: a launched shim is in a session of its own, holds its listening socket as fd 3 and its
// bundle as fd 4 and nothing else of the daemon's, has the NOFILE limit that the daemon was started
// with (containers inherit it) and an OOM score one above the daemon's. The socket's path depends
// on address, namespace and id only, so that a later daemon finds it. Blocks: Launch; it runs on an
// executor. Thread-safe. Owned by TaskManager.
#ifndef BERTH_SERVER_TASK_SHIM_LAUNCHER_H_
#define BERTH_SERVER_TASK_SHIM_LAUNCHER_H_

#include <sys/resource.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/spawn.h"
#include "base/os/unique_fd.h"
#include "server/task/bundle.h"
#include "server/task/shim_binary.h"

namespace berth {

// A shim that was just started. The pidfd's owner reaps it.
struct LaunchedShim {
  pid_t pid = -1;
  UniqueFd pidfd;
  UniqueFd connection;  // to its ttrpc service, non-blocking
};

class ShimLauncher {
 public:
  struct Options {
    std::string state;          // STATE
    std::string address;        // of the daemon's gRPC socket
    std::string ttrpc_address;  // of the daemon's ttrpc socket
    // What the daemon had before it raised its own; none: the daemon's as it is.
    std::optional<struct rlimit> nofile;
    enum class Verbosity { kNormal, kDebug } verbosity = Verbosity::kNormal;
    std::string
        search_path;  // PATH for shims: foreign runtimes and log drivers are looked up there
  };

  // `binary` must outlive this.
  ShimLauncher(Options options, const ShimBinary& binary);

  const ShimBinary& binary() const { return binary_; }

  // <state>/s/<sha256 of "<address>/<namespace>/<id>">.
  std::string SocketPath(const TaskKey& key) const;
  // Binds the socket, starts the shim in its bundle and connects. After an error no process is
  // left.
  absl::StatusOr<LaunchedShim> Launch(const TaskKey& key, const std::string& bundle) const;

  // The command that cleans up after a lost shim and prints task.v2's DeleteResponse.
  SpawnOptions DeleteCommand(const TaskKey& key, const std::string& bundle,
                             const std::string& foreign_binary) const;
  // The command that starts a foreign shim and prints its address.
  SpawnOptions StartCommand(const TaskKey& key, const std::string& bundle,
                            const std::string& foreign_binary) const;

 private:
  std::vector<std::string> Arguments(const TaskKey& key, absl::string_view program) const;
  std::vector<std::string> ForeignEnvironment(const TaskKey& key) const;

  const Options options_;
  const ShimBinary& binary_;
};

}  // namespace berth

#endif  // BERTH_SERVER_TASK_SHIM_LAUNCHER_H_
