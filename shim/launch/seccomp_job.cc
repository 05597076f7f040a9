#include "shim/launch/seccomp_job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "shim/launch/clone.h"
#include "shim/security/seccomp_program.h"

namespace berth::launch {
namespace {

// An error crosses the pipe as its code in one byte and its message.
[[noreturn]] void RunCompiler(const std::string& json, const std::string& cache_directory,
                              const std::string& name, BorrowedFd program, BorrowedFd errors) {
  absl::Status status = security::CompileSeccomp(json, program);
  if (!status.ok()) {
    std::string text(1, static_cast<char>(status.raw_code()));
    absl::StrAppend(&text, status.message());
    WriteAll(errors, text).IgnoreError();  // the parent sees the exit status in any case
    ::_exit(1);
  }
  // A cache that cannot be written costs the next start a compilation, and this one nothing.
  if (!cache_directory.empty()) {
    security::StoreSeccomp(cache_directory, name, program).IgnoreError();
  }
  ::_exit(0);
}

}  // namespace

SeccompJob::~SeccompJob() {
  watch_.Reset();
  if (!child_.valid()) return;
  ::syscall(SYS_pidfd_send_signal, child_.get(), SIGKILL, nullptr, 0);
  Reap(child_);
}

absl::Status SeccompJob::Open(const std::string& json, const std::string& cache_directory) {
  cache_directory_ = cache_directory;
  if (!cache_directory.empty()) {
    name_ = security::SeccompCacheName(json);
    absl::StatusOr<UniqueFd> cached = security::OpenCachedSeccomp(cache_directory, name_);
    if (cached.ok()) {
      program_ = *std::move(cached);
      ready_ = true;
      return absl::OkStatus();
    }
  }
  program_.Reset(::memfd_create("berth-seccomp", MFD_CLOEXEC));
  return program_.valid() ? absl::OkStatus() : ErrnoStatus(errno, "memfd_create");
}

absl::Status SeccompJob::Compile(const std::string& json,
                                 absl::AnyInvocable<void(absl::Status)> done) {
  done_ = std::move(done);
  BERTH_ASSIGN_OR_RETURN(Pipe errors, MakePipe(O_NONBLOCK));
  BERTH_ASSIGN_OR_RETURN(Cloned child, CloneChild(0, BorrowedFd(-1)));
  if (child.pid == 0) RunCompiler(json, cache_directory_, name_, program_, errors.write);
  child_ = std::move(child.pidfd);
  errors_ = std::move(errors.read);
  BERTH_ASSIGN_OR_RETURN(watch_, loop_.Watch(child_, EPOLLIN, [this](uint32_t) { OnEnded(); }));
  return absl::OkStatus();
}

void SeccompJob::OnEnded() {
  watch_.Reset();
  siginfo_t info = {};
  ::waitid(static_cast<idtype_t>(3 /* P_PIDFD */), static_cast<id_t>(child_.get()), &info, WEXITED);
  child_.Reset();
  absl::Status status;
  if (info.si_code != CLD_EXITED || info.si_status != 0) {
    char text[1024];
    const ssize_t size = ::read(errors_.get(), text, sizeof(text));
    status = size > 1 ? absl::Status(static_cast<absl::StatusCode>(text[0]),
                                     absl::string_view(text + 1, static_cast<size_t>(size) - 1))
                      : absl::InternalError("the seccomp compiler ended without a word");
  }
  ready_ = status.ok();
  auto done = std::move(done_);
  done(std::move(status));
}

}  // namespace berth::launch
