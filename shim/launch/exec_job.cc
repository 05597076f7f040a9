#include "shim/launch/exec_job.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "shim/init/descriptors.h"
#include "shim/launch/clone.h"
#include "shim/launch/rootless.h"
#include "shim/spec/parse.h"

namespace berth::launch {
namespace {

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

constexpr absl::Duration kTimeout = absl::Minutes(1);
// How long a killed child may still stand on our memory.
constexpr absl::Duration kLeavePatience = absl::Seconds(1);

// docs/adr/0013-execs-that-share-memory.md says why not always.
bool MayShareMemory(const ContainerState& state) {
  // Who is not root of the host needs an assistant; a time namespace takes nobody who shares
  // memory (setns(2)).
  if (state.authority != Authority::kHost || (state.namespaces & CLONE_NEWTIME) != 0) return false;
  // With it the OOM killer kills all who share the memory of any process in the group.
  if (!state.cgroup.unified().valid()) return true;
  const absl::StatusOr<std::string> group =
      ReadFileAt(state.cgroup.unified(), "memory.oom.group", 8);
  return !group.ok() || group->substr(0, 1) != "1";
}

}  // namespace

ExecJob::ExecJob(Loop& loop, ContainerState& state, ExecOptions options, Container::ExecDone done)
    : loop_(loop), state_(state), options_(std::move(options)), done_(std::move(done)) {}

ExecJob::~ExecJob() {
  loop_.Cancel(timer_);
  if (shared_child_ == nullptr || shared_child_->WaitUntilLeft(absl::ZeroDuration())) return;
  // Nobody waits for it any more.
  AdoptChild().IgnoreError();
  if (process_.pidfd.valid()) {
    ::syscall(SYS_pidfd_send_signal, process_.pidfd.get(), SIGKILL, nullptr, 0);
  }
  if (!shared_child_->WaitUntilLeft(kLeavePatience)) (void)plans_.release();
}

void ExecJob::Begin() {
  absl::Status status = Launch();
  if (status.ok()) {
    timer_ = loop_.After(kTimeout, [this] {
      timer_ = TimerId::kNone;
      Fail(absl::DeadlineExceededError(absl::StrCat("set-up of exec ", options_.exec_id,
                                                    " did not end within ",
                                                    absl::FormatDuration(kTimeout))));
    });
    return;
  }
  timer_ = loop_.After(absl::ZeroDuration(), [this, status] {
    timer_ = TimerId::kNone;
    Fail(status);
  });
}

absl::Status ExecJob::Launch() {
  spec::ProcessPlan& process = plans_->process;
  init::ExecPlan& plan = plans_->exec;
  BERTH_ASSIGN_OR_RETURN(process,
                         spec::ParseProcess(std::move(options_.process_json), state_.warnings));
  if (process.initial_cpus.empty() && process.final_cpus.empty()) {
    process.initial_cpus = state_.exec_initial_cpus;
    process.final_cpus = state_.exec_final_cpus;
  }
  BERTH_ASSIGN_OR_RETURN(SocketPair sockets, MakeSocketPair(SOCK_SEQPACKET));
  BERTH_ASSIGN_OR_RETURN(null_, OpenFile("/dev/null", O_RDWR));
  control_ = std::move(sockets.second);
  init::Bind(plan.process, process);
  const UniqueFd* const stdio[3] = {&options_.stdio.in, &options_.stdio.out, &options_.stdio.err};
  for (int i = 0; i < 3; ++i) {
    plan.process.stdio[i] = stdio[i]->valid() ? stdio[i]->get() : null_.get();
  }
  for (const UniqueFd& fd : options_.preserved_fds) plan.process.preserved.push_back(fd.get());
  plan.process.seccomp = state_.seccomp.get();
  plan.process.keyring = state_.keyring.empty() ? nullptr : state_.keyring.c_str();
  if (!state_.changed_signals) state_.changed_signals = init::ChangedSignals();
  plan.changed_signals = *state_.changed_signals;
  plan.control = control_.get();
  plan.init_pidfd = state_.init_pidfd.get();
  plan.namespaces = state_.namespaces;
  plan.user_namespace = state_.user_namespace;
  plan.process.user_namespace = state_.user_namespace || state_.authority != Authority::kHost;
  oom_score_ = process.oom_score_adj;
  is_in_cgroup_ = state_.authority == Authority::kHost && state_.cgroup.unified().valid() &&
                  options_.cgroup_subpaths.empty();
  const bool is_shared = CloneShared();
  if (!is_shared) {
    BERTH_RETURN_IF_ERROR(Clone());
    control_.Reset();
    LetGoOfStdio();
  }
  BERTH_RETURN_IF_ERROR(channel_.Open(
      loop_, std::move(sockets.first), [this](ReceivedReport& report) { OnReport(report); },
      [this] { OnChannelEnd(); }));
  const bool has_no_pid = is_shared || assistant_.valid();
  return has_no_pid && IsPlacedByPid() ? absl::OkStatus() : Place();
}

bool ExecJob::CloneShared() {
  if (!MayShareMemory(state_)) return false;
  plans_->exec.shares_memory = true;
  SharedChild::Options child;
  child.pid_namespace = state_.init_pidfd;
  child.cgroup = is_in_cgroup_ ? state_.cgroup.unified() : BorrowedFd(-1);
  child.entry = [](void* plan) { init::RunExec(*static_cast<init::ExecPlan*>(plan)); };
  child.let_go = [](void* plan) { init::KeepOnlyThePlans(*static_cast<init::ExecPlan*>(plan)); };
  child.argument = &plans_->exec;
  child.control = control_;
  plans_->exec.cgroup = child.cgroup.get();
  if (auto started = SharedChild::Start(child); started.ok()) {
    shared_child_ = *std::move(started);
    control_.Reset();
  }
  plans_->exec.shares_memory = shared_child_ != nullptr;
  return shared_child_ != nullptr;
}

absl::Status ExecJob::Clone() {
  // Who is not root of the host would not find back from the container's pid namespace.
  if (state_.authority != Authority::kHost) {
    std::optional<OomScoreMoment> score;
    if (oom_score_) {
      score.emplace(*std::exchange(oom_score_, std::nullopt), state_.oom_score_policy,
                    state_.warnings);
      BERTH_RETURN_IF_ERROR(score->status());
    }
    BERTH_ASSIGN_OR_RETURN(Cloned assistant, CloneChild(0, BorrowedFd(-1)));
    if (assistant.pid == 0) init::RunExecAssistant(plans_->exec);
    assistant_ = std::move(assistant.pidfd);
    return absl::OkStatus();
  }
  BERTH_ASSIGN_OR_RETURN(Cloned child, CloneIntoPidNamespace(state_.init_pidfd, 0,
                                                             is_in_cgroup_ ? state_.cgroup.unified()
                                                                           : BorrowedFd(-1)));
  if (child.pid == 0) init::RunExec(plans_->exec);
  process_.pid = child.pid;
  process_.pidfd = std::move(child.pidfd);
  return absl::OkStatus();
}

void ExecJob::LetGoOfStdio() {
  null_.Reset();
  options_.stdio = Stdio();
  options_.preserved_fds.clear();
}

absl::Status ExecJob::AdoptChild() {
  if (process_.pidfd.valid()) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(Cloned child, shared_child_->Take());
  process_.pid = child.pid;
  process_.pidfd = std::move(child.pidfd);
  return absl::OkStatus();
}

void ExecJob::OnBorn() {
  absl::Status status = AdoptChild();
  if (status.ok()) {
    LetGoOfStdio();
    if (IsPlacedByPid()) status = Place();
  }
  if (!status.ok()) Fail(std::move(status));
}

bool ExecJob::MovesItself() const {
  return JoinsByItself(state_) && options_.cgroup_subpaths.empty();
}

absl::Status ExecJob::Place() {
  using Placement = cgroup::Cgroup::Placement;
  std::vector<UniqueFd> join_files;
  absl::Status status;
  if (MovesItself()) {
    BERTH_ASSIGN_OR_RETURN(join_files, state_.cgroup.OpenJoinFiles());
  } else {
    status =
        state_.cgroup.AddProcess(process_.pid, Placement::kEverywhere, options_.cgroup_subpaths);
  }
  if (state_.authority != Authority::kHost && IsDenied(status)) {
    state_.warnings.push_back(
        absl::StrCat("the process is not in the container's cgroup: ", status.message()));
    status = absl::OkStatus();
  }
  BERTH_RETURN_IF_ERROR(status);
  if (oom_score_) {
    BERTH_RETURN_IF_ERROR(
        SetOomScore(process_.pid, *oom_score_, state_.oom_score_policy, state_.warnings));
  }
  // A dead child shows as end of file.
  channel_.Send(init::CommandKind::kJoin, join_files).IgnoreError();
  return absl::OkStatus();
}

// From the assistant, which ends.
void ExecJob::OnPid(ReceivedReport& received) {
  if (received.descriptors.size() != 1) {
    return Fail(absl::InternalError("the assistant sent no pidfd"));
  }
  process_.pid = received.report.pid;
  process_.pidfd = std::move(received.descriptors[0]);
  Reap(assistant_);
  assistant_.Reset();
  absl::Status status = Place();
  if (!status.ok()) Fail(std::move(status));
}

void ExecJob::OnReport(ReceivedReport& received) {
  for (int i = 0; i < received.report.timing_count; ++i) {
    const auto& timing = received.report.timings[i];
    state_.latency.push_back(
        {init::StepName(timing.step), int64_t{timing.microseconds_of_step} * 1000});
  }
  switch (received.report.kind) {
    case init::ReportKind::kFailed:
      return Fail(ToStatus(received.report));
    case init::ReportKind::kInitPid:
      return OnPid(received);
    case init::ReportKind::kBorn:
      return OnBorn();
    case init::ReportKind::kReady:
      if (!received.descriptors.empty()) process_.console = std::move(received.descriptors[0]);
      return;
    case init::ReportKind::kExecuting:
      executing_ = true;
      return;
    case init::ReportKind::kSeccompListener: {
      if (received.descriptors.empty()) return;
      absl::Status status =
          SendSeccompListener(state_.seccomp_agent, received.descriptors[0], process_.pid,
                              state_.oci_version, StateJson(state_, "running", state_.init_pid));
      if (!status.ok()) Fail(std::move(status));
      return;
    }
    default:
      return;
  }
}

void ExecJob::OnChannelEnd() {
  // The socket closes at execve; without the announcement it closed at the process's death.
  if (executing_) return Finish(std::move(process_));
  if (shared_child_ != nullptr) {
    if (absl::Status made = AdoptChild(); !made.ok()) return Fail(std::move(made));
  }
  Fail(absl::FailedPreconditionError(
      absl::StrCat("the process of exec ", options_.exec_id,
                   " was killed during set-up (did the container stop, or run out of memory?)")));
}

void ExecJob::Fail(absl::Status status) {
  if (failing_) return;
  failing_ = true;
  failure_ = std::move(status);
  if (shared_child_ != nullptr) AdoptChild().IgnoreError();
  channel_.Close();
  loop_.Cancel(timer_);
  timer_ = TimerId::kNone;
  if (assistant_.valid()) {
    // It ends by itself or by this, at once.
    ::syscall(SYS_pidfd_send_signal, assistant_.get(), SIGKILL, nullptr, 0);
    Reap(assistant_);
    assistant_.Reset();
  }
  if (!process_.pidfd.valid()) return Finish(failure_);
  ::syscall(SYS_pidfd_send_signal, process_.pidfd.get(), SIGKILL, nullptr, 0);
  absl::StatusOr<FdWatch> watch = loop_.Watch(process_.pidfd, EPOLLIN, [this](uint32_t) {
    watch_.Reset();
    Reap(process_.pidfd);
    process_.pidfd.Reset();
    Finish(failure_);
  });
  if (!watch.ok()) return Finish(failure_);
  watch_ = *std::move(watch);
}

void ExecJob::Finish(absl::StatusOr<ExecProcess> result) {
  loop_.Cancel(timer_);
  timer_ = TimerId::kNone;
  auto done = std::move(done_);
  done(std::move(result));
}

}  // namespace berth::launch
