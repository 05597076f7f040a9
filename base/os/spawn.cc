#include "base/os/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth {
namespace {

// Every source is first copied above this number, so that no dup2 in the child can overwrite a
// later source.
constexpr int kStagingFloor = 32;

std::vector<char*> Pointers(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

#ifdef __SANITIZE_ADDRESS__
// Where a finding is reported is in the environment, and belongs to every program of ours.
std::vector<std::string> EnvironmentOf(const SpawnOptions& options) {
  std::vector<std::string> environment = options.environment;
  for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"}) {
    const char* value = ::getenv(name);
    if (value != nullptr) environment.push_back(absl::StrCat(name, "=", value));
  }
  return environment;
}
#else
const std::vector<std::string>& EnvironmentOf(const SpawnOptions& options) {
  return options.environment;
}
#endif

}  // namespace

ChildProcess::ChildProcess(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}
ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this != &other) {
    KillAndReap();
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::move(other.pidfd_);
  }
  return *this;
}
ChildProcess::~ChildProcess() { KillAndReap(); }

void ChildProcess::KillAndReap() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);  // the pid is ours until it is reaped
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

absl::Status ChildProcess::Signal(int signal) const {
  if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0) != 0) {
    return ErrnoStatus(errno, "pidfd_send_signal", absl::StrCat(pid_));
  }
  return absl::OkStatus();
}

absl::StatusOr<ExitState> ChildProcess::Wait(absl::Duration timeout) {
  if (pid_ < 0) return absl::FailedPreconditionError("no child to wait for");
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    struct pollfd waiting = {pidfd_.get(), POLLIN, 0};
    const int64_t left_ms =
        std::clamp<int64_t>(absl::ToInt64Milliseconds(deadline - absl::Now()), 0, 1 << 30);
    const int ready = ::poll(&waiting, 1, static_cast<int>(left_ms));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return ErrnoStatus(errno, "poll");
    if (ready == 0 && absl::Now() >= deadline) {
      return absl::DeadlineExceededError(absl::StrCat("process ", pid_, " still runs"));
    }
    if (ready == 0) continue;
    int status = 0;
    const pid_t reaped = ::waitpid(pid_, &status, 0);
    if (reaped < 0 && errno == EINTR) continue;
    const pid_t pid = std::exchange(pid_, -1);
    if (reaped < 0) return ErrnoStatus(errno, "waitpid", absl::StrCat(pid));
    ExitState state;
    if (WIFSIGNALED(status)) {
      state.signal = WTERMSIG(status);
    } else {
      state.code = WEXITSTATUS(status);
    }
    return state;
  }
}

UniqueFd ChildProcess::Detach() {
  pid_ = -1;
  return std::move(pidfd_);
}

absl::StatusOr<ChildProcess> Spawn(const SpawnOptions& options) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  const auto destroy = absl::MakeCleanup([&] {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  });

  std::vector<UniqueFd> staged;
  bool standard_listed[3] = {false, false, false};
  for (const auto& [target, source] : options.descriptors) {
    if (target < 0 || target >= kStagingFloor) {
      return absl::InvalidArgumentError(absl::StrCat("descriptor number ", target, " in a child"));
    }
    if (target < 3) standard_listed[target] = true;
    staged.emplace_back(::fcntl(source, F_DUPFD_CLOEXEC, kStagingFloor));
    if (!staged.back().valid()) return ErrnoStatus(errno, "fcntl(F_DUPFD_CLOEXEC)");
    ::posix_spawn_file_actions_adddup2(&actions, staged.back().get(), target);
  }
  for (int number = 0; number < 3; ++number) {
    if (standard_listed[number]) continue;
    ::posix_spawn_file_actions_addopen(&actions, number, "/dev/null",
                                       number == 0 ? O_RDONLY : O_WRONLY, 0);
  }
  if (!options.working_directory.empty()) {
    ::posix_spawn_file_actions_addchdir_np(&actions, options.working_directory.c_str());
  }
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  if (options.session == SpawnOptions::Session::kNew) flags |= POSIX_SPAWN_SETSID;
  ::posix_spawnattr_setflags(&attributes, static_cast<short>(flags));

  std::vector<char*> arguments = Pointers(options.arguments);
  const std::vector<std::string>& words = EnvironmentOf(options);
  std::vector<char*> environment = Pointers(words);
  pid_t pid = -1;
  const int failed = ::posix_spawn(&pid, options.executable.c_str(), &actions, &attributes,
                                   arguments.data(), environment.data());
  if (failed != 0) return ErrnoStatus(failed, "start", options.executable);
  ChildProcess child(pid, UniqueFd());
  BERTH_ASSIGN_OR_RETURN(UniqueFd pidfd, OpenPidFd(pid));
  (void)child.Detach();
  return ChildProcess(pid, std::move(pidfd));
}

}  // namespace berth
