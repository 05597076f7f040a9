#include "tests/fault/syscall_tracer.h"

#include <seccomp.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"

namespace berth::fault {
namespace {

constexpr long kFollow = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
                         PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
// Containers are not followed: only the shim's own calls count.
constexpr long kShimOnly = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;

void* Number(long value) { return reinterpret_cast<void*>(value); }

pid_t ThreadGroupOf(pid_t tid) {
  const auto status = ReadFile(absl::StrCat("/proc/", tid, "/status"));
  if (!status.ok()) return -1;
  for (absl::string_view line : absl::StrSplit(*status, '\n')) {
    int group = -1;
    if (absl::StartsWith(line, "Tgid:") && absl::SimpleAtoi(line.substr(5), &group)) return group;
  }
  return -1;
}

std::string PointOf(pid_t tid) {
  struct __ptrace_syscall_info info = {};
  ::ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info);
  if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
    char* name = ::seccomp_syscall_resolve_num_arch(info.arch, static_cast<int>(info.entry.nr));
    const std::string point = absl::StrCat(name == nullptr ? "?" : name, ">");
    std::free(name);
    return point;
  }
  // The number of a call that returned is in the register that it was asked by.
  const auto text = ReadFile(absl::StrCat("/proc/", tid, "/syscall"));
  int number = -1;
  if (text.ok()) {
    const std::vector<absl::string_view> words = absl::StrSplit(*text, ' ');
    (void)absl::SimpleAtoi(words[0], &number);
  }
  char* name = number < 0 ? nullptr : ::seccomp_syscall_resolve_num_arch(info.arch, number);
  const std::string point = absl::StrCat(name == nullptr ? "?" : name, "<");
  std::free(name);
  return point;
}

}  // namespace

absl::Status SyscallTracer::Follow(pid_t daemon) {
  if (::ptrace(PTRACE_SEIZE, daemon, nullptr, Number(kFollow)) != 0) {
    return ErrnoStatus(errno, "ptrace(PTRACE_SEIZE)", absl::StrCat(daemon));
  }
  daemon_ = daemon;
  tracees_[daemon] = Role::kDaemon;
  running_.insert(daemon);
  ::ptrace(PTRACE_INTERRUPT, daemon, nullptr, nullptr);
  return absl::OkStatus();
}

void SyscallTracer::Arm(Target target, uint64_t number) {
  target_ = target;
  number_ = number;
  stops_ = 0;
  fired_ = false;
  point_.clear();
  // Each is stopped once, to be resumed until its next system call.
  for (const auto& [tid, role] : tracees_) ::ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr);
}

void SyscallTracer::Resume(pid_t tid, Role role, int signal) const {
  const bool counts = !fired_ && ((target_ == Target::kDaemon && role == Role::kDaemon) ||
                                  (target_ == Target::kShim && role == Role::kShim));
  ::ptrace(counts ? PTRACE_SYSCALL : PTRACE_CONT, tid, nullptr, Number(signal));
}

bool SyscallTracer::Pump(absl::FunctionRef<bool()> done, absl::Duration patience) {
  const absl::Time deadline = absl::Now() + patience;
  sigset_t child;
  ::sigemptyset(&child);
  ::sigaddset(&child, SIGCHLD);
  while (true) {
    Drain();
    if (done()) return true;
    if (absl::Now() > deadline) return false;
    const struct timespec moment = {0, 1'000'000};
    ::sigtimedwait(&child, nullptr, &moment);
  }
}

void SyscallTracer::Drain() {
  while (true) {
    int status = 0;
    // Only what this thread traces or started: the client's threads have no children.
    const pid_t tid = ::waitpid(-1, &status, __WALL | __WNOTHREAD | WNOHANG);
    if (tid <= 0) return;
    if (WIFSTOPPED(status)) {
      OnStop(tid, status);
      continue;
    }
    tracees_.erase(tid);
    running_.erase(tid);
  }
}

void SyscallTracer::OnStop(pid_t tid, int status) {
  const int signal = WSTOPSIG(status);
  const int event = status >> 16;
  auto found = tracees_.find(tid);
  if (found == tracees_.end()) {
    const bool thread = ThreadGroupOf(tid) == daemon_;
    found = tracees_.emplace(tid, thread ? Role::kDaemon : Role::kSpawned).first;
  }
  const Role role = found->second;
  if (signal == (SIGTRAP | 0x80)) return OnSyscall(tid, role);
  if (event == PTRACE_EVENT_EXEC) return OnExec(tid);
  if (event == PTRACE_EVENT_STOP && signal != SIGTRAP) {
    ::ptrace(PTRACE_LISTEN, tid, nullptr, nullptr);
    return;
  }
  Resume(tid, role, event != 0 ? 0 : signal);
}

void SyscallTracer::OnExec(pid_t tid) {
  if (tid == daemon_) return Resume(tid, Role::kDaemon, 0);
  const auto line = ReadFile(absl::StrCat("/proc/", tid, "/cmdline"));
  const bool shim = line.ok() && absl::StartsWith(*line, std::string("berth-shim\0", 11)) &&
                    !absl::EndsWith(*line, std::string("delete\0", 7));
  if (!shim) {
    tracees_.erase(tid);
    ::ptrace(PTRACE_DETACH, tid, nullptr, nullptr);
    return;
  }
  ::ptrace(PTRACE_SETOPTIONS, tid, nullptr, Number(kShimOnly));
  tracees_[tid] = Role::kShim;
  running_.insert(tid);
  Resume(tid, Role::kShim, 0);
}

void SyscallTracer::OnSyscall(pid_t tid, Role role) {
  const bool counts = (target_ == Target::kDaemon && role == Role::kDaemon) ||
                      (target_ == Target::kShim && role == Role::kShim);
  if (counts && !fired_ && ++stops_ == number_) {
    point_ = PointOf(tid);
    fired_ = true;
    ::kill(role == Role::kDaemon ? daemon_ : tid, SIGKILL);
    return;
  }
  Resume(tid, role, 0);
}

std::set<pid_t> SyscallTracer::Shims() const {
  std::set<pid_t> shims = running_;
  shims.erase(daemon_);
  return shims;
}

void SyscallTracer::Kill(pid_t pid) {
  ::kill(pid, SIGKILL);
  Pump([&] { return !alive(pid); }, absl::Seconds(10));
}

}  // namespace berth::fault
