#include "server/main/successor.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/spawn.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

extern char** environ;

namespace berth {
namespace {

constexpr char kReadyVariable[] = "BERTH_READY_FD";
constexpr int kFirstListener = 3;  // sd_listen_fds(3)
constexpr absl::Duration kCheckPatience = absl::Seconds(20);
constexpr absl::Duration kStartPatience = absl::Minutes(2);

std::vector<std::string> Environment() {
  std::vector<std::string> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    environment.emplace_back(*variable);
  }
  return environment;
}

// Until the other end writes or closes. True: it wrote.
absl::StatusOr<bool> AwaitByte(BorrowedFd fd, absl::Time deadline) {
  while (true) {
    struct pollfd polled = {fd.get(), POLLIN, 0};
    const int64_t left = absl::ToInt64Milliseconds(deadline - absl::Now());
    if (left <= 0) return absl::DeadlineExceededError("it does not serve yet");
    const int count = ::poll(&polled, 1, static_cast<int>(left));
    if (count < 0 && errno != EINTR) return ErrnoStatus(errno, "poll");
    if (count <= 0) continue;
    char byte = 0;
    const ssize_t got = ::read(fd.get(), &byte, 1);
    if (got < 0 && errno == EINTR) continue;
    return got == 1;
  }
}

}  // namespace

absl::StatusOr<Successor> Successor::Prepare(std::vector<std::string> arguments) {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return ErrnoStatus(error.value(), "readlink", "/proc/self/exe");
  return Successor(program.string(), std::move(arguments));
}

absl::Status Successor::Check() const {
  SpawnOptions options;
  options.executable = program_;
  options.arguments = arguments_;
  options.arguments.insert(options.arguments.end(), {"config", "dump"});
  options.environment = Environment();
  options.descriptors = {{2, STDERR_FILENO}};
  BERTH_ASSIGN_OR_RETURN(ChildProcess child, Spawn(options), _ << "run " << program_);
  BERTH_ASSIGN_OR_RETURN(const ExitState state, child.Wait(kCheckPatience),
                         _ << program_ << " config dump");
  if (state.ExitCode() == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(program_, " config dump ended with ", state.ExitCode(),
                   ": it does not understand this daemon's configuration, and is not started"));
}

absl::StatusOr<pid_t> Successor::Start(const std::vector<UniqueFd>& listeners,
                                       const ServiceManager& manager) const {
  BERTH_ASSIGN_OR_RETURN(Pipe ready, MakePipe());
  SpawnOptions options;
  options.executable = program_;
  options.arguments = arguments_;
  options.environment = Environment();
  options.descriptors = {{1, STDOUT_FILENO}, {2, STDERR_FILENO}};
  int number = kFirstListener;
  for (const UniqueFd& listener : listeners) {
    options.descriptors.emplace_back(number++, listener.get());
  }
  options.descriptors.emplace_back(number, ready.write.get());
  options.environment.push_back(absl::StrCat("LISTEN_FDS=", listeners.size()));
  options.environment.push_back(absl::StrCat(kHandoverVariable, "=", ::getpid()));
  options.environment.push_back(absl::StrCat(kReadyVariable, "=", number));
  if (!manager.notify_socket().empty()) {
    options.environment.push_back(absl::StrCat("NOTIFY_SOCKET=", manager.notify_socket()));
  }
  BERTH_ASSIGN_OR_RETURN(ChildProcess child, Spawn(options), _ << "start " << program_);
  const pid_t pid = child.pid();
  (void)child.Detach();  // it outlives this process
  ready.write.Reset();
  BERTH_ASSIGN_OR_RETURN(const bool serves, AwaitByte(ready.read, absl::Now() + kStartPatience),
                         _ << program_ << ", pid " << pid);
  if (serves) return pid;
  return absl::UnavailableError(
      absl::StrCat(program_, " ended before it served: its log says why; start it again"));
}

Predecessor Predecessor::FromEnvironment() {
  Predecessor result;
  const char* value = ::getenv(kReadyVariable);
  int number = -1;
  if (value != nullptr && absl::SimpleAtoi(value, &number) && number >= kFirstListener) {
    result.ready_.Reset(number);
    (void)::fcntl(number, F_SETFD, FD_CLOEXEC);  // fails only where there is no such descriptor
  }
  ::unsetenv(kReadyVariable);
  return result;
}

void Predecessor::TellReady() {
  if (!ready_.valid()) return;
  WriteAll(ready_, "1").IgnoreError();  // a predecessor that has gone needs no word
  ready_.Reset();
}

}  // namespace berth
