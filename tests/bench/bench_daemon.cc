#include "tests/bench/bench_daemon.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/os/fd_factories.h"
#include "base/status/status_macros.h"

namespace berth::bench {

std::string SocketOf(const std::string& directory) { return directory + "/state/berth.sock"; }

absl::StatusOr<ChildProcess> StartDaemon(const std::string& bin, const std::string& program,
                                         const std::string& directory,
                                         const std::vector<std::string>& more) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  BERTH_ASSIGN_OR_RETURN(const UniqueFd log,
                         OpenFile(directory + "/daemon.log", O_WRONLY | O_CREAT | O_APPEND, 0644));
  SpawnOptions spawn;
  spawn.executable = absl::StrCat(bin, "/", program);
  spawn.arguments = {
      program,     "--root",           directory + "/root", "--state", directory + "/state",
      "--address", SocketOf(directory)};
  spawn.arguments.insert(spawn.arguments.end(), more.begin(), more.end());
  spawn.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  spawn.descriptors = {{2, log.get()}};
  return Spawn(spawn);
}

absl::Status AwaitListener(const std::string& socket, absl::Time deadline) {
  while (!ConnectUnix(socket, SOCK_NONBLOCK).ok()) {
    if (absl::Now() > deadline) {
      return absl::DeadlineExceededError(absl::StrCat(socket, ": nobody listens"));
    }
    absl::SleepFor(absl::Microseconds(200));  // tidy: allow(sleep) nothing tells of a socket
  }
  return absl::OkStatus();
}

std::vector<pid_t> ShimsOf(const std::string& directory) {
  std::vector<pid_t> shims;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    int pid = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
    const auto bundle = std::filesystem::read_symlink(entry.path() / "cwd", error);
    if (!error && absl::StartsWith(bundle.string(), directory + "/state/")) shims.push_back(pid);
  }
  return shims;
}

}  // namespace berth::bench
