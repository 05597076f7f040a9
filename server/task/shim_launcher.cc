#include "server/task/shim_launcher.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/digest/hasher.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth {
namespace {

constexpr int kSocketFd = 3;
constexpr int kBundleFd = 4;
constexpr int kBacklog = 128;
constexpr char kShimLog[] = "shim.log";

}  // namespace

ShimLauncher::ShimLauncher(Options options, const ShimBinary& binary)
    : options_(std::move(options)), binary_(binary) {}

std::string ShimLauncher::SocketPath(const TaskKey& key) const {
  const Digest name = HashString(absl::StrCat(options_.address, "/", key.ns, "/", key.id));
  return absl::StrCat(options_.state, "/s/", std::string(name.hex()));
}

std::vector<std::string> ShimLauncher::Arguments(const TaskKey& key,
                                                 absl::string_view program) const {
  std::vector<std::string> arguments = {
      std::string(program), "-namespace", key.ns, "-id", key.id, "-address", options_.address};
  if (options_.verbosity == Options::Verbosity::kDebug) arguments.push_back("-debug");
  return arguments;
}

absl::StatusOr<LaunchedShim> ShimLauncher::Launch(const TaskKey& key,
                                                  const std::string& bundle) const {
  const std::string socket_path = SocketPath(key);
  BERTH_RETURN_IF_ERROR(EnsureDirectory(absl::StrCat(options_.state, "/s"), 0711));
  BERTH_ASSIGN_OR_RETURN(const UniqueFd listener, ListenUnix(socket_path, 0600, kBacklog),
                         _ << "listen for the shim of " << key.id);
  BERTH_ASSIGN_OR_RETURN(const UniqueFd directory, OpenFile(bundle, O_RDONLY | O_DIRECTORY));
  // A file, not the daemon's stderr: a pipe there that nobody reads any more would block the shim.
  BERTH_ASSIGN_OR_RETURN(const UniqueFd log,
                         OpenAt(directory, kShimLog, O_WRONLY | O_CREAT | O_APPEND, 0600));
  SpawnOptions spawn;
  spawn.executable = binary_.executable();
  spawn.arguments = Arguments(key, "berth-shim");
  spawn.environment = {absl::StrCat("TTRPC_ADDRESS=", options_.ttrpc_address),
                       absl::StrCat("BERTH_SHIM_FD=", kSocketFd),
                       absl::StrCat("PATH=", options_.search_path)};
  spawn.descriptors = {{2, log.get()}, {kSocketFd, listener.get()}, {kBundleFd, directory.get()}};
  spawn.working_directory = bundle;
  spawn.session = SpawnOptions::Session::kNew;
  BERTH_ASSIGN_OR_RETURN(ChildProcess child, Spawn(spawn), _ << "start the shim of " << key.id);
  // The shim starts nothing before its first call comes, so that this reaches all its children.
  if (options_.nofile.has_value() &&
      ::prlimit(child.pid(), RLIMIT_NOFILE, &*options_.nofile, nullptr) != 0) {
    return ErrnoStatus(errno, "prlimit(RLIMIT_NOFILE)", absl::StrCat(child.pid()));
  }
  BERTH_ASSIGN_OR_RETURN(UniqueFd connection, ConnectUnix(socket_path, SOCK_NONBLOCK));
  LaunchedShim shim;
  shim.pid = child.pid();
  shim.connection = std::move(connection);
  shim.pidfd = child.Detach();
  return shim;
}

std::vector<std::string> ShimLauncher::ForeignEnvironment(const TaskKey& key) const {
  return {absl::StrCat("TTRPC_ADDRESS=", options_.ttrpc_address),
          absl::StrCat("GRPC_ADDRESS=", options_.address),
          absl::StrCat("NAMESPACE=", key.ns),
          "MAX_SHIM_VERSION=2",
          "GOMAXPROCS=2",
          absl::StrCat("PATH=", options_.search_path)};
}

SpawnOptions ShimLauncher::DeleteCommand(const TaskKey& key, const std::string& bundle,
                                         const std::string& foreign_binary) const {
  SpawnOptions spawn;
  const bool own = foreign_binary.empty();
  spawn.executable = own ? binary_.executable() : foreign_binary;
  spawn.arguments = Arguments(key, own ? "berth-shim" : foreign_binary);
  spawn.arguments.insert(spawn.arguments.end(), {"-bundle", bundle, "delete"});
  spawn.environment = ForeignEnvironment(key);
  spawn.working_directory = bundle;
  spawn.session = SpawnOptions::Session::kNew;
  return spawn;
}

SpawnOptions ShimLauncher::StartCommand(const TaskKey& key, const std::string& bundle,
                                        const std::string& foreign_binary) const {
  SpawnOptions spawn;
  spawn.executable = foreign_binary;
  spawn.arguments = Arguments(key, foreign_binary);
  // The program that older shims run to publish events; ours take ttrpc, so it is never started.
  spawn.arguments.insert(spawn.arguments.end(), {"-publish-binary", "/bin/false", "start"});
  spawn.environment = ForeignEnvironment(key);
  spawn.working_directory = bundle;
  return spawn;
}

}  // namespace berth
