#include "shim/launch/hook_runner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::launch {
namespace {

constexpr size_t kMaxErrorText = 2048;

std::string ReadErrorText(BorrowedFd fd) {
  char text[kMaxErrorText];
  const ssize_t size = ::read(fd.get(), text, sizeof(text));
  std::string out(text, size > 0 ? static_cast<size_t>(size) : 0);
  while (!out.empty() && (out.back() == '\n' || out.back() == ' ')) out.pop_back();
  return out;
}

}  // namespace

HookRunner::~HookRunner() { Abort(); }

void HookRunner::Abort() {
  loop_.Cancel(timer_);
  timer_ = TimerId::kNone;
  child_watch_.Reset();
  child_ = ChildProcess();  // which kills and reaps
  errors_.Reset();
  hooks_.clear();
  done_ = nullptr;
}

void HookRunner::Run(const char* kind, std::vector<spec::Hook> hooks, std::string state_json,
                     std::string working_directory, OnHookFailure policy, Done done) {
  kind_ = kind;
  hooks_ = std::move(hooks);
  index_ = 0;
  state_json_ = std::move(state_json);
  working_directory_ = std::move(working_directory);
  policy_ = policy;
  done_ = std::move(done);
  Next();
}

std::string HookRunner::Describe() const {
  return absl::StrCat(kind_, " hook [", index_, "] \"", hooks_[index_].path, "\"");
}

void HookRunner::Next() {
  while (index_ < hooks_.size()) {
    absl::Status status = StartHook(hooks_[index_]);
    if (status.ok()) return;  // OnEnded goes on
    if (policy_ == OnHookFailure::kStop) return Finish(Annotate(status, Describe()));
    warnings_.push_back(absl::StrCat(Describe(), ": ", status.message()));
    ++index_;
  }
  Finish(absl::OkStatus());
}

void HookRunner::Finish(absl::Status status) {
  Done done = std::move(done_);
  hooks_.clear();
  done(std::move(status));
}

absl::Status HookRunner::StartHook(const spec::Hook& hook) {
  // A memfd, so that a hook that never reads its input cannot make us wait.
  UniqueFd input(::memfd_create("state", MFD_CLOEXEC));
  if (!input.valid()) return ErrnoStatus(errno, "memfd_create");
  BERTH_RETURN_IF_ERROR(WriteAll(input, state_json_));
  if (::lseek(input.get(), 0, SEEK_SET) < 0) return ErrnoStatus(errno, "lseek");
  BERTH_ASSIGN_OR_RETURN(Pipe errors, MakePipe(O_NONBLOCK));
  SpawnOptions options;
  options.executable = hook.path;
  options.arguments = hook.args.empty() ? std::vector<std::string>{hook.path} : hook.args;
  options.environment = hook.env;
  options.descriptors = {{0, input.get()}, {1, errors.write.get()}, {2, errors.write.get()}};
  options.working_directory = working_directory_;
  BERTH_ASSIGN_OR_RETURN(child_, Spawn(options));
  errors_ = std::move(errors.read);
  timed_out_ = false;
  BERTH_ASSIGN_OR_RETURN(child_watch_,
                         loop_.Watch(child_.pidfd(), EPOLLIN, [this](uint32_t) { OnEnded(); }));
  if (hook.timeout != absl::InfiniteDuration()) {
    timer_ = loop_.After(hook.timeout, [this] {
      timer_ = TimerId::kNone;
      timed_out_ = true;
      child_.Signal(SIGKILL).IgnoreError();  // it may have ended this moment
    });
  }
  return absl::OkStatus();
}

void HookRunner::OnEnded() {
  child_watch_.Reset();
  loop_.Cancel(timer_);
  timer_ = TimerId::kNone;
  absl::StatusOr<ExitState> ended = child_.Wait(absl::Seconds(1));
  const std::string text = ReadErrorText(errors_);
  errors_.Reset();
  absl::Status status;
  if (timed_out_) {
    status = absl::DeadlineExceededError(absl::StrCat(
        Describe(), " did not end within ", absl::FormatDuration(hooks_[index_].timeout)));
  } else if (!ended.ok()) {
    status = Annotate(ended.status(), Describe());
  } else if (ended->code != 0 || ended->signal != 0) {
    status = absl::FailedPreconditionError(
        absl::StrCat(Describe(), " failed with ",
                     ended->signal != 0 ? absl::StrCat("signal ", ended->signal)
                                        : absl::StrCat("exit status ", ended->code),
                     text.empty() ? "" : ": ", text));
  }
  if (!status.ok() && policy_ == OnHookFailure::kStop) return Finish(std::move(status));
  if (!status.ok()) warnings_.emplace_back(status.message());
  ++index_;
  Next();
}

}  // namespace berth::launch
