// What is done to a task between its start and its end: signals, freezer, limits, terminal,
// numbers.
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "proto/containerd/events/task.pb.h"
#include "shim/service/live_task.h"

namespace berth::service {

absl::Status LiveTask::WatchProcess(const std::string& exec_id, Member& member, BorrowedFd pidfd) {
  BERTH_ASSIGN_OR_RETURN(
      member.watch, ProcessWatch::Start(context_.loop, pidfd, [this, exec_id](uint32_t status) {
        OnExit(exec_id, status);
      }));
  return absl::OkStatus();
}

void LiveTask::OnOom() {
  oom_killed_ = true;
  containerd::events::TaskOOM event;
  event.set_container_id(spec_.id);
  Publish("/tasks/oom", "containerd.events.TaskOOM", event);
}

absl::Status LiveTask::Kill(const std::string& exec_id, int signal, launch::KillScope scope) {
  BERTH_RETURN_IF_ERROR(task_.CheckSignal(exec_id));
  if (exec_id.empty()) {
    switch (create_phase_) {
      case CreatePhase::kStreams:
        FailCreate(absl::CancelledError("create was cancelled by a kill"));
        return absl::OkStatus();
      case CreatePhase::kContainer:
        container_->Cancel();
        return absl::OkStatus();
      case CreatePhase::kAborting:
        return absl::OkStatus();
      case CreatePhase::kOver:
        return KillContainer(signal, scope);
    }
  }
  const Member& exec = member(exec_id);
  if (!exec.pidfd.valid()) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot signal exec \"", exec_id, "\": it is starting"));
  }
  if (::syscall(SYS_pidfd_send_signal, exec.pidfd.get(), signal, nullptr, 0) != 0) {
    if (errno == ESRCH) return absl::NotFoundError("process already finished");
    return ErrnoStatus(errno, "pidfd_send_signal", exec_id);
  }
  return absl::OkStatus();
}

absl::Status LiveTask::KillContainer(int signal, launch::KillScope scope) {
  BERTH_RETURN_IF_ERROR(container_->Kill(signal, scope));
  const task::State state = task_.init().state;
  // In the v1 freezer not even SIGKILL gets through until the group is thawed.
  if (signal == SIGKILL && (state == task::State::kPaused || state == task::State::kPausing)) {
    container_->Resume([](absl::Status) {});  // a failure shows: the process does not end
  }
  return absl::OkStatus();
}

void LiveTask::Pause(StatusDone done) {
  if (absl::Status status = task_.BeginPause(); !status.ok()) return done(status);
  container_->Pause([this, done = std::move(done)](absl::Status status) mutable {
    RecordFreeze(status.ok() ? task::State::kPaused : task::State::kRunning);
    if (status.ok()) {
      containerd::events::TaskPaused event;
      event.set_container_id(spec_.id);
      Publish("/tasks/paused", "containerd.events.TaskPaused", event);
    }
    done(std::move(status));
  });
}

void LiveTask::Resume(StatusDone done) {
  if (absl::Status status = task_.BeginResume(); !status.ok()) return done(status);
  container_->Resume([this, done = std::move(done)](absl::Status status) mutable {
    RecordFreeze(status.ok() ? task::State::kRunning : task::State::kPaused);
    if (status.ok()) {
      containerd::events::TaskResumed event;
      event.set_container_id(spec_.id);
      Publish("/tasks/resumed", "containerd.events.TaskResumed", event);
    }
    done(std::move(status));
  });
}

void LiveTask::RecordFreeze(task::State state) {
  task_.FreezeFinished(state);
  Member& init = member("");
  const bool paused = task_.init().state == task::State::kPaused;
  if (std::exchange(init.record.paused, paused) != paused) WriteRecord(init, init.record.stage);
}

absl::Status LiveTask::Update(absl::string_view resources_json) {
  BERTH_RETURN_IF_ERROR(task_.CheckUpdate());
  return container_->Update(resources_json);
}

absl::Status LiveTask::Resize(const std::string& exec_id, uint16_t columns, uint16_t rows) {
  BERTH_ASSIGN_OR_RETURN(const task::Process* process, task_.Find(exec_id));
  Member& resized = member(exec_id);
  if (!process->stdio.terminal) {
    return absl::FailedPreconditionError("the process has no terminal to resize");
  }
  if (process->pid == 0) {  // kept until there is a terminal
    resized.size = {columns, rows};
    return absl::OkStatus();
  }
  if (resized.io == nullptr) return absl::NotFoundError("process already finished");
  return resized.io->Resize(columns, rows);
}

absl::Status LiveTask::CloseInput(const std::string& exec_id) {
  BERTH_RETURN_IF_ERROR(task_.Find(exec_id).status());
  Member& closed = member(exec_id);
  closed.close_input = true;
  if (closed.io != nullptr) closed.io->CloseInput();
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::pair<pid_t, std::string>>> LiveTask::Pids() const {
  BERTH_ASSIGN_OR_RETURN(const std::vector<pid_t> pids, container_->Pids());
  std::map<pid_t, std::string> execs;
  for (const std::string& exec_id : task_.ExecIds()) {
    const task::Process& process = **task_.Find(exec_id);
    if (process.state != task::State::kStopped && process.pid != 0) execs[process.pid] = exec_id;
  }
  std::vector<std::pair<pid_t, std::string>> result;
  for (const pid_t pid : pids) {
    const auto exec = execs.find(pid);
    result.emplace_back(pid, exec == execs.end() ? "" : exec->second);
  }
  return result;
}

absl::StatusOr<launch::StatsAny> LiveTask::Stats() const {
  const task::State state = task_.init().state;
  if (state == task::State::kCreating || state == task::State::kDeleting) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot measure task \"", spec_.id, "\": it is ", task::StateName(state)));
  }
  return container_->Stats();
}

}  // namespace berth::service
