#include "shim/launch/status_child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "shim/launch/clone.h"

namespace berth::launch {
namespace {

// An error crosses the pipe as its code in one byte and its message.
[[noreturn]] void EndWith(const absl::Status& status, BorrowedFd errors) {
  if (status.ok()) ::_exit(0);
  std::string text(1, static_cast<char>(status.raw_code()));
  absl::StrAppend(&text, status.message());
  WriteAll(errors, text).IgnoreError();  // the parent sees the exit status in any case
  ::_exit(1);
}

}  // namespace

StatusChild::~StatusChild() {
  watch_.Reset();
  if (!child_.valid()) return;
  ::syscall(SYS_pidfd_send_signal, child_.get(), SIGKILL, nullptr, 0);
  Reap(child_);
}

absl::Status StatusChild::Start(absl::FunctionRef<absl::Status()> work,
                                absl::AnyInvocable<void(absl::Status)> done) {
  done_ = std::move(done);
  BERTH_ASSIGN_OR_RETURN(Pipe errors, MakePipe(O_NONBLOCK));
  BERTH_ASSIGN_OR_RETURN(Cloned child, CloneChild(0, BorrowedFd(-1)));
  if (child.pid == 0) EndWith(work(), errors.write);
  child_ = std::move(child.pidfd);
  errors_ = std::move(errors.read);
  BERTH_ASSIGN_OR_RETURN(watch_, loop_.Watch(child_, EPOLLIN, [this](uint32_t) { OnEnded(); }));
  return absl::OkStatus();
}

void StatusChild::OnEnded() {
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
                      : absl::InternalError(absl::StrCat(name_, " ended without a word"));
  }
  auto done = std::move(done_);
  done(std::move(status));
}

}  // namespace berth::launch
