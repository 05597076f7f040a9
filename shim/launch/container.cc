#include "shim/launch/container.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <list>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "proto/berth/shim/v1/handover.pb.h"
#include "shim/cgroup/oom_source.h"
#include "shim/cgroup/stats.h"
#include "shim/handover/packer.h"
#include "shim/handover/unpacker.h"
#include "shim/launch/container_state.h"
#include "shim/launch/container_state_handover.h"
#include "shim/launch/creation.h"
#include "shim/launch/detached.h"
#include "shim/launch/exec_job.h"
#include "shim/launch/hook_runner.h"
#include "shim/launch/report_channel.h"
#include "shim/launch/teardown.h"
#include "shim/spec/names.h"
#include "shim/spec/parse.h"

namespace berth::launch {
namespace {

constexpr absl::Duration kStartTimeout = absl::Minutes(2);
constexpr absl::Duration kFreezePatience = absl::Seconds(10);
constexpr absl::Duration kFreezePoll = absl::Milliseconds(2);
constexpr absl::Duration kOomLookInterval = absl::Milliseconds(10);
constexpr int kOomLooks = 100;

}  // namespace

// What the facade is made of. Jobs end by themselves; a finished one is destroyed by the loop's
// next round, because its own handlers are still on the stack when it says that it is done.
class Container::Impl {
 public:
  explicit Impl(Loop& loop) : loop_(loop), hooks_(loop) {}
  ~Impl() {
    loop_.Cancel(timer_);
    loop_.Cancel(freeze_timer_);
    loop_.Cancel(oom_timer_);
    *alive_ = false;
  }

  void Create(CreateOptions options, Done done) {
    creation_ =
        std::make_unique<Creation>(loop_, std::move(options), state_,
                                   [this, done = std::move(done)](absl::Status status) mutable {
                                     created_ = status.ok();
                                     Later(std::move(creation_));
                                     done(std::move(status));
                                   });
    creation_->Begin();
  }

  void Cancel() {
    if (creation_) creation_->Cancel();
  }

  void Start(Done done);
  void Exec(ExecOptions options, ExecDone done) {
    if (!state_.init_pidfd.valid()) {
      return Soon(std::move(done),
                  absl::FailedPreconditionError("cannot exec in a container that is not created"));
    }
    state_.latency.clear();
    // The job is known by its place, which must exist before it.
    auto place = execs_.emplace(execs_.end());
    *place = std::make_unique<ExecJob>(
        loop_, state_, std::move(options),
        [this, place, done = std::move(done)](absl::StatusOr<ExecProcess> result) mutable {
          Later(std::move(*place));
          execs_.erase(place);
          done(std::move(result));
        });
    (*place)->Begin();
  }

  absl::Status Kill(int signal, KillScope scope);
  void Freeze(cgroup::FreezerState wanted, Done done);
  absl::Status WatchOom(absl::AnyInvocable<void()> on_oom);
  void InitEnded();
  void Cleanup(Done done);
  absl::Status Save(handover::Packer& packer, berth::shim::v1::NativeContainer& state) const;
  absl::Status Resume(const berth::shim::v1::NativeContainer& state, handover::Unpacker& unpacker);

  Loop& loop_;
  ContainerState state_;
  bool created_ = false;

 private:
  // Destroys `job` when nothing of it is on the stack any more.
  template <typename Job>
  void Later(std::unique_ptr<Job> job) {
    loop_.Post([job = std::move(job)]() mutable { job.reset(); });
  }
  // Calls `done` from the loop, unless we are gone by then.
  template <typename Callback, typename Result>
  void Soon(Callback done, Result result) {
    loop_.Post([alive = alive_, done = std::move(done), result = std::move(result)]() mutable {
      if (*alive) done(std::move(result));
    });
  }

  void OnStartReport(ReceivedReport& received);
  void OnStartEnd();
  void FinishStart(absl::Status status);
  void LookForKills(int looks_left);
  void PollFreezer(cgroup::FreezerState wanted, absl::Time deadline);

  std::unique_ptr<Creation> creation_;
  std::unique_ptr<Teardown> teardown_;
  std::list<std::unique_ptr<ExecJob>> execs_;
  std::unique_ptr<ReportChannel> starting_;
  bool executing_ = false;
  Done start_done_;
  HookRunner hooks_;
  TimerId timer_ = TimerId::kNone;
  Done freeze_done_;
  TimerId freeze_timer_ = TimerId::kNone;
  std::optional<cgroup::OomSource> oom_;
  FdWatch oom_watch_;
  TimerId oom_timer_ = TimerId::kNone;
  absl::AnyInvocable<void()> on_oom_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

void Container::Impl::Start(Done done) {
  if (!created_ || !state_.control.valid()) {
    return Soon(std::move(done),
                absl::FailedPreconditionError("cannot start a container that is not created"));
  }
  state_.latency.clear();
  start_done_ = std::move(done);
  starting_ = std::make_unique<ReportChannel>();
  absl::Status status = starting_->Open(
      loop_, std::move(state_.control), [this](ReceivedReport& report) { OnStartReport(report); },
      [this] { OnStartEnd(); });
  if (status.ok()) status = starting_->Send(init::CommandKind::kStart);
  if (!status.ok()) {
    timer_ = loop_.After(absl::ZeroDuration(), [this, status] { FinishStart(status); });
    return;
  }
  timer_ = loop_.After(kStartTimeout, [this] {
    timer_ = TimerId::kNone;
    FinishStart(absl::DeadlineExceededError(
        absl::StrCat("the program did not start within ", absl::FormatDuration(kStartTimeout))));
  });
}

void Container::Impl::OnStartReport(ReceivedReport& received) {
  for (int i = 0; i < received.report.timing_count; ++i) {
    const auto& timing = received.report.timings[i];
    state_.latency.push_back(
        {init::StepName(timing.step), int64_t{timing.microseconds_of_step} * 1000});
  }
  if (received.report.kind == init::ReportKind::kExecuting) executing_ = true;
  if (received.report.kind == init::ReportKind::kFailed) {
    return FinishStart(ToStatus(received.report));
  }
  if (received.report.kind == init::ReportKind::kSeccompListener && !received.descriptors.empty()) {
    absl::Status status =
        SendSeccompListener(state_.seccomp_agent, received.descriptors[0], state_.init_pid,
                            state_.oci_version, StateJson(state_, "created", state_.init_pid));
    if (status.ok()) return;
    Kill(SIGKILL, KillScope::kInit).IgnoreError();
    FinishStart(std::move(status));
  }
}

void Container::Impl::OnStartEnd() {
  if (!executing_) {
    return FinishStart(absl::FailedPreconditionError(
        "init ended before the program ran (killed from outside, or out of memory?)"));
  }
  if (state_.poststart.empty()) return FinishStart(absl::OkStatus());
  loop_.Cancel(timer_);
  timer_ = TimerId::kNone;
  hooks_.Run("poststart", state_.poststart, StateJson(state_, "running", state_.init_pid),
             state_.bundle, OnHookFailure::kStop, [this](absl::Status status) {
               // Since version 1.3 of the specification a failing poststart hook fails the start.
               if (!status.ok()) Kill(SIGKILL, KillScope::kInit).IgnoreError();
               FinishStart(std::move(status));
             });
}

void Container::Impl::FinishStart(absl::Status status) {
  loop_.Cancel(timer_);
  timer_ = TimerId::kNone;
  if (starting_) starting_->Close();
  Later(std::move(starting_));
  auto done = std::move(start_done_);
  done(std::move(status));
}

absl::Status Container::Impl::Kill(int signal, KillScope scope) {
  if (scope == KillScope::kAll && !state_.cgroup.empty()) return state_.cgroup.SignalAll(signal);
  if (!state_.init_pidfd.valid()) return absl::NotFoundError("process already finished: not found");
  if (::syscall(SYS_pidfd_send_signal, state_.init_pidfd.get(), signal, nullptr, 0) == 0) {
    return absl::OkStatus();
  }
  if (errno == ESRCH) return absl::NotFoundError("process already finished: not found");
  return ErrnoStatus(errno, absl::StrCat("send signal ", signal, " to init"));
}

void Container::Impl::Freeze(cgroup::FreezerState wanted, Done done) {
  if (freeze_done_) {
    return Soon(std::move(done),
                absl::FailedPreconditionError("another pause or resume is in progress"));
  }
  absl::Status status = state_.cgroup.SetFrozen(wanted);
  if (!status.ok()) return Soon(std::move(done), std::move(status));
  freeze_done_ = std::move(done);
  const absl::Time deadline = absl::Now() + kFreezePatience;
  freeze_timer_ = loop_.After(absl::ZeroDuration(),
                              [this, wanted, deadline] { PollFreezer(wanted, deadline); });
}

void Container::Impl::PollFreezer(cgroup::FreezerState wanted, absl::Time deadline) {
  freeze_timer_ = TimerId::kNone;
  absl::StatusOr<cgroup::FreezerState> now = state_.cgroup.Frozen();
  absl::Status status = now.status();
  if (status.ok() && *now != wanted) {
    if (absl::Now() < deadline) {
      // v1 may stay at FREEZING while tasks fork: writing again makes it look again.
      if (wanted == cgroup::FreezerState::kFrozen) {
        state_.cgroup.SetFrozen(wanted).IgnoreError();
      }
      freeze_timer_ =
          loop_.After(kFreezePoll, [this, wanted, deadline] { PollFreezer(wanted, deadline); });
      return;
    }
    status = absl::DeadlineExceededError(
        absl::StrCat("the container did not freeze or thaw within ",
                     absl::FormatDuration(kFreezePatience), ": a process hangs in the kernel"));
    if (wanted == cgroup::FreezerState::kFrozen) {
      state_.cgroup.SetFrozen(cgroup::FreezerState::kThawed).IgnoreError();
    }
  }
  auto done = std::move(freeze_done_);
  freeze_done_ = nullptr;
  done(std::move(status));
}

absl::Status Container::Impl::WatchOom(absl::AnyInvocable<void()> on_oom) {
  if (!oom_) {
    BERTH_ASSIGN_OR_RETURN(cgroup::OomSource source, cgroup::OomSource::Open(state_.cgroup));
    oom_.emplace(std::move(source));
  }
  on_oom_ = std::move(on_oom);
  BERTH_ASSIGN_OR_RETURN(
      oom_watch_, loop_.Watch(oom_->fd(), EPOLLIN, [this](uint32_t) { LookForKills(kOomLooks); }));
  return absl::OkStatus();
}

// With cgroup v1 the event comes when the group is out of memory and the kill is counted a moment
// later, so the counter is looked at again for a while. What comes later still, Cleanup finds.
void Container::Impl::LookForKills(int looks_left) {
  loop_.Cancel(oom_timer_);
  oom_timer_ = TimerId::kNone;
  if (oom_->TakeKills() > 0) return on_oom_();
  if (looks_left == 0) return;
  oom_timer_ = loop_.After(kOomLookInterval, [this, looks_left] {
    oom_timer_ = TimerId::kNone;
    LookForKills(looks_left - 1);
  });
}

void Container::Impl::InitEnded() {
  if (creation_ || teardown_) return;  // they do it
  // After an error Cleanup tries again.
  const absl::Status status = Teardown::StartToDrop(loop_, state_);
  if (!status.ok()) state_.warnings.push_back(std::string(status.message()));
}

void Container::Impl::Cleanup(Done done) {
  if (teardown_) {
    return Soon(std::move(done), absl::FailedPreconditionError("cleanup is in progress"));
  }
  if (oom_ && oom_->TakeKills() > 0) on_oom_();
  loop_.Cancel(oom_timer_);
  oom_timer_ = TimerId::kNone;
  oom_watch_.Reset();
  oom_.reset();
  teardown_ = std::make_unique<Teardown>(loop_, state_);
  teardown_->Run([this, done = std::move(done)](absl::Status status) mutable {
    Later(std::move(teardown_));
    created_ = created_ && !status.ok();
    done(std::move(status));
  });
}

absl::Status Container::Impl::Save(handover::Packer& packer,
                                   berth::shim::v1::NativeContainer& state) const {
  const bool is_dropping = state_.rootfs_dropper != nullptr && state_.rootfs_dropper->running();
  if (creation_ || teardown_ || is_dropping || !execs_.empty() || starting_ || start_done_ ||
      freeze_done_) {
    return absl::UnavailableError("a container is being created, started, paused or deleted");
  }
  SaveState(state_, packer, state);
  state.set_created(created_);
  if (!oom_) return absl::OkStatus();
  oom_->Save(packer, *state.mutable_oom());
  packer.Count(oom_watch_);
  state.mutable_oom()->set_looking(packer.Count(oom_timer_) != handover::kNotSet);
  return absl::OkStatus();
}

absl::Status Container::Impl::Resume(const berth::shim::v1::NativeContainer& state,
                                     handover::Unpacker& unpacker) {
  BERTH_RETURN_IF_ERROR(ResumeState(state, unpacker, state_));
  created_ = state.created();
  if (!state.has_oom()) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(cgroup::OomSource source,
                         cgroup::OomSource::Resume(state.oom(), unpacker));
  oom_.emplace(std::move(source));
  if (state.oom().looking()) {
    oom_timer_ = loop_.After(absl::ZeroDuration(), [this] { LookForKills(kOomLooks); });
  }
  return absl::OkStatus();
}

Container::Container(Loop& loop) : impl_(std::make_unique<Impl>(loop)) {}
Container::~Container() = default;

void Container::Create(CreateOptions options, Done done) {
  impl_->Create(std::move(options), std::move(done));
}
void Container::Cancel() { impl_->Cancel(); }
absl::Status Container::LetGo() {
  const init::Command command{init::CommandKind::kLetGo};
  if (::send(impl_->state_.control.get(), &command, sizeof(command), MSG_NOSIGNAL) < 0) {
    return ErrnoStatus(errno, "let go of the container's init");
  }
  return absl::OkStatus();
}

void Container::Start(Done done) { impl_->Start(std::move(done)); }
void Container::Exec(ExecOptions options, ExecDone done) {
  impl_->Exec(std::move(options), std::move(done));
}
pid_t Container::init_pid() const { return impl_->state_.init_pid; }
BorrowedFd Container::init_pidfd() const { return impl_->state_.init_pidfd; }
uint64_t Container::init_start_time_ticks() const { return impl_->state_.init_start_time_ticks; }
const std::string& Container::oci_version() const { return impl_->state_.oci_version; }
const std::string& Container::annotations_json() const { return impl_->state_.annotations_json; }
const std::string& Container::root_path() const { return impl_->state_.root_path; }
bool Container::terminal() const { return impl_->state_.terminal; }
UniqueFd Container::TakeConsole() { return std::move(impl_->state_.console); }
const std::vector<std::string>& Container::cgroup_paths() const {
  return impl_->state_.cgroup.paths();
}
const std::vector<StepTime>& Container::latency() const { return impl_->state_.latency; }
std::vector<std::string> Container::TakeWarnings() {
  return std::exchange(impl_->state_.warnings, {});
}

absl::Status Container::Kill(int signal, KillScope scope) { return impl_->Kill(signal, scope); }
void Container::Pause(Done done) { impl_->Freeze(cgroup::FreezerState::kFrozen, std::move(done)); }
void Container::Resume(Done done) { impl_->Freeze(cgroup::FreezerState::kThawed, std::move(done)); }

absl::Status Container::Update(absl::string_view resources_json) {
  BERTH_ASSIGN_OR_RETURN(spec::Resources resources,
                         spec::ParseResources(std::string(resources_json)));
  return impl_->state_.cgroup.Apply(resources);
}

absl::StatusOr<StatsAny> Container::Stats() const {
  const cgroup::Cgroup& group = impl_->state_.cgroup;
  if (group.empty()) return absl::FailedPreconditionError("the container has no cgroup");
  if (cgroup::UsesV1(group)) {
    return StatsAny{"io.containerd.cgroups.v1.Metrics",
                    cgroup::CollectV1(group).SerializeAsString()};
  }
  return StatsAny{"io.containerd.cgroups.v2.Metrics", cgroup::CollectV2(group).SerializeAsString()};
}

absl::StatusOr<std::vector<pid_t>> Container::Pids() const { return impl_->state_.cgroup.Pids(); }

absl::Status Container::WatchOom(absl::AnyInvocable<void()> on_oom) {
  return impl_->WatchOom(std::move(on_oom));
}
void Container::InitEnded() { impl_->InitEnded(); }
void Container::Cleanup(Done done) { impl_->Cleanup(std::move(done)); }

absl::Status Container::Save(handover::Packer& packer, berth::shim::v1::TaskState& state) const {
  return impl_->Save(packer, *state.mutable_native());
}

absl::StatusOr<std::unique_ptr<Container>> Container::Resume(
    Loop& loop, const berth::shim::v1::NativeContainer& state, handover::Unpacker& unpacker) {
  auto container = std::make_unique<Container>(loop);
  BERTH_RETURN_IF_ERROR(container->impl_->Resume(state, unpacker)) << "the container";
  return container;
}

absl::StatusOr<std::unique_ptr<Container>> Container::Attach(
    Loop& loop, const CleanupRecord& record, const std::string& seccomp_cache_directory) {
  auto container = std::make_unique<Container>(loop);
  ContainerState& state = container->impl_->state_;
  BERTH_RETURN_IF_ERROR(AdoptState(record, seccomp_cache_directory, state));
  container->impl_->created_ = true;
  return container;
}

absl::Status Container::StartDetached(const CleanupRecord& record, const std::string& socket_path) {
  return StartByListener(record, socket_path);
}

absl::Status Container::CleanupFromRecord(const CleanupRecord& record, absl::Duration timeout) {
  return RemoveByRecord(record, timeout);
}

}  // namespace berth::launch
