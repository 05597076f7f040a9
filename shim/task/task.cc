#include "shim/task/task.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status/check.h"

namespace berth::task {
namespace {

constexpr uint32_t kStatusOfAFailedStart = 255;

}  // namespace

absl::string_view StateName(State state) {
  switch (state) {
    case State::kAdded:
      return "not started";
    case State::kCreating:
      return "creating";
    case State::kCreated:
      return "created";
    case State::kStarting:
      return "starting";
    case State::kRunning:
      return "running";
    case State::kPausing:
      return "pausing";
    case State::kPaused:
      return "paused";
    case State::kResuming:
      return "resuming";
    case State::kStopped:
      return "stopped";
    case State::kDeleting:
      return "being deleted";
  }
  return "unknown";
}

Task::Task(std::string id, Stdio stdio) : id_(std::move(id)) {
  init_.process.stdio = std::move(stdio);
  init_.process.state = State::kCreating;
}

Task::Entry* Task::FindEntry(const std::string& exec_id) {
  if (exec_id.empty()) return &init_;
  const auto found = execs_.find(exec_id);
  return found == execs_.end() ? nullptr : &found->second;
}

absl::StatusOr<const Process*> Task::Find(const std::string& exec_id) const {
  const Entry* entry = const_cast<Task*>(this)->FindEntry(exec_id);
  if (entry == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("exec \"", exec_id, "\" of task \"", id_, "\" not found"));
  }
  return &entry->process;
}

std::vector<std::string> Task::ExecIds() const {
  std::vector<std::string> ids;
  for (const auto& [id, entry] : execs_) ids.push_back(id);
  return ids;
}

absl::Status Task::WrongState(const Entry& entry, const char* verb) const {
  return absl::FailedPreconditionError(absl::StrCat(
      "cannot ", verb, " ",
      entry.process.exec_id.empty() ? absl::StrCat("task \"", id_, "\"")
                                    : absl::StrCat("exec \"", entry.process.exec_id, "\""),
      ": it is ", StateName(entry.process.state)));
}

void Task::CreateFinished(pid_t pid) {
  BERTH_CHECK(init_.process.state == State::kCreating);
  init_.process.state = State::kCreated;
  init_.process.pid = pid;
}

absl::Status Task::AddExec(const std::string& exec_id, Stdio stdio) {
  if (exec_id.empty()) return absl::InvalidArgumentError("an exec needs an id");
  if (exec_id == id_ || execs_.contains(exec_id)) {
    return absl::AlreadyExistsError(
        absl::StrCat("exec \"", exec_id, "\" of task \"", id_, "\" already exists"));
  }
  switch (init_.process.state) {
    case State::kCreated:
    case State::kStarting:
    case State::kRunning:
      break;
    default:
      return WrongState(init_, "exec in");
  }
  if (execs_.size() >= kMaxExecs) {
    return absl::ResourceExhaustedError(
        absl::StrCat("task \"", id_, "\" has ", kMaxExecs, " execs: delete some first"));
  }
  Entry& entry = execs_[exec_id];
  entry.process.exec_id = exec_id;
  entry.process.stdio = std::move(stdio);
  return absl::OkStatus();
}

absl::Status Task::BeginStart(const std::string& exec_id) {
  Entry* entry = FindEntry(exec_id);
  if (entry == nullptr) return Find(exec_id).status();
  if (exec_id.empty()) {
    if (entry->process.state != State::kCreated || entry->held.has_value()) {
      return WrongState(*entry, "start");
    }
  } else {
    if (entry->process.state != State::kAdded) return WrongState(*entry, "start");
    // An exec in a container whose init has ended has nowhere to run, announced or not.
    if (init_.held.has_value() || init_.process.state == State::kStopped) {
      return absl::FailedPreconditionError(
          absl::StrCat("cannot start exec \"", exec_id, "\": task \"", id_, "\" has stopped"));
    }
    if (init_.process.state != State::kRunning && init_.process.state != State::kCreated) {
      return WrongState(init_, "exec in");
    }
  }
  entry->process.state = State::kStarting;
  return absl::OkStatus();
}

std::vector<Exit> Task::StartFinished(const std::string& exec_id, pid_t pid) {
  Entry* entry = FindEntry(exec_id);
  BERTH_CHECK(entry != nullptr && entry->process.state == State::kStarting);
  entry->process.state = State::kRunning;
  entry->process.pid = pid;
  return ReleaseAll(*entry);
}

std::vector<Exit> Task::StartFailed(const std::string& exec_id, absl::Time at) {
  Entry* entry = FindEntry(exec_id);
  BERTH_CHECK(entry != nullptr && entry->process.state == State::kStarting);
  entry->started_failed = true;
  if (!exec_id.empty()) {
    entry->held = Exit{.exec_id = exec_id,
                       .pid = 0,
                       .status = kStatusOfAFailedStart,
                       .at = at,
                       .event = Exit::Event::kSilent};
  }
  return ReleaseAll(*entry);
}

absl::Status Task::BeginPause() {
  if (init_.process.state != State::kRunning) return WrongState(init_, "pause");
  init_.process.state = State::kPausing;
  return absl::OkStatus();
}

absl::Status Task::BeginResume() {
  if (init_.process.state != State::kPaused) return WrongState(init_, "resume");
  init_.process.state = State::kResuming;
  return absl::OkStatus();
}

void Task::FreezeFinished(State state) {
  const State now = init_.process.state;
  // It may have been killed and have stopped meanwhile.
  if (now == State::kPausing || now == State::kResuming) init_.process.state = state;
}

absl::Status Task::CheckSignal(const std::string& exec_id) const {
  auto process = Find(exec_id);
  if (!process.ok()) return process.status();
  switch ((*process)->state) {
    case State::kStopped:
    case State::kDeleting:
      return absl::NotFoundError("process already finished");
    case State::kAdded:
      return absl::FailedPreconditionError(
          absl::StrCat("cannot signal exec \"", exec_id, "\": it is not started"));
    default:
      return absl::OkStatus();
  }
}

absl::Status Task::CheckUpdate() const {
  switch (init_.process.state) {
    case State::kCreating:
    case State::kStopped:
    case State::kDeleting:
      return WrongState(init_, "update");
    default:
      return absl::OkStatus();
  }
}

bool Task::Live(const Entry& entry) {
  switch (entry.process.state) {
    case State::kAdded:
    case State::kStopped:
    case State::kDeleting:
      return false;
    default:
      return true;
  }
}

bool Task::AllExited() const {
  if (Live(init_)) return false;
  for (const auto& [id, entry] : execs_) {
    if (Live(entry)) return false;
  }
  return true;
}

std::vector<Exit> Task::Exited(const std::string& exec_id, uint32_t status, absl::Time at) {
  Entry* entry = FindEntry(exec_id);
  BERTH_CHECK(entry != nullptr);
  // Once only: an exec whose start failed was given its status then.
  if (!Live(*entry) || entry->held.has_value()) return {};
  entry->held = Exit{.exec_id = exec_id, .pid = entry->process.pid, .status = status, .at = at};
  return ReleaseAll(*entry);
}

void Task::Release(Entry& entry, std::vector<Exit>& exits) {
  if (!entry.held.has_value()) return;
  entry.process.state = State::kStopped;
  entry.process.exit_status = entry.held->status;
  entry.process.exited_at = entry.held->at;
  entry.held->pid = entry.process.pid;
  exits.push_back(*std::move(entry.held));
  entry.held.reset();
}

std::vector<Exit> Task::ReleaseAll(Entry& first) {
  std::vector<Exit> exits;
  // While a start runs, its result has to be told first.
  const bool first_waits = first.process.state == State::kStarting && !first.started_failed;
  if (&first != &init_ && !first_waits) Release(first, exits);
  if (!init_.held.has_value()) return exits;
  if (init_.process.state == State::kStarting && !init_.started_failed) return exits;
  for (const auto& [id, entry] : execs_) {
    if (Live(entry)) return exits;
  }
  Release(init_, exits);
  return exits;
}

absl::Status Task::BeginDelete(const std::string& exec_id) {
  Entry* entry = FindEntry(exec_id);
  if (entry == nullptr) return Find(exec_id).status();
  switch (entry->process.state) {
    case State::kDeleting:
      return absl::AlreadyExistsError("a delete of this process is running");
    case State::kAdded:
    case State::kStopped:
      entry->process.state = State::kDeleting;
      return absl::OkStatus();
    case State::kCreated:  // stays: it is to be killed, and to exit, first
      return absl::OkStatus();
    default:
      return WrongState(*entry, "delete");
  }
}

void Task::DeleteFailed(const std::string& exec_id) {
  Entry* entry = FindEntry(exec_id);
  if (entry != nullptr && entry->process.state == State::kDeleting) {
    entry->process.state = State::kStopped;
  }
}

void Task::ForgetExec(const std::string& exec_id) { execs_.erase(exec_id); }

std::vector<Task::Saved> Task::Save() const {
  std::vector<Saved> processes;
  processes.push_back({init_.process, init_.started_failed, init_.held});
  for (const auto& [id, entry] : execs_) {
    processes.push_back({entry.process, entry.started_failed, entry.held});
  }
  return processes;
}

absl::Status Task::Resume(std::vector<Saved> processes) {
  for (size_t i = 0; i < processes.size(); ++i) {
    Saved& saved = processes[i];
    switch (saved.process.state) {
      case State::kAdded:
      case State::kCreated:
      case State::kRunning:
      case State::kPaused:
      case State::kStopped:
        break;
      default:
        return absl::FailedPreconditionError(
            absl::StrCat("a process of task \"", id_, "\" is in a state that cannot be taken"));
    }
    const std::string exec_id = saved.process.exec_id;
    if (exec_id.empty() != (i == 0) || execs_.contains(exec_id)) {
      return absl::FailedPreconditionError(
          absl::StrCat("the processes of task \"", id_, "\" are not one init and its execs"));
    }
    if (saved.held.has_value()) saved.held->exec_id = exec_id;
    (i == 0 ? init_ : execs_[exec_id]) =
        Entry{std::move(saved.process), saved.start_failed, std::move(saved.held)};
  }
  return absl::OkStatus();
}

void Task::NextGeneration(Stdio stdio) {
  BERTH_CHECK(init_.process.state == State::kDeleting || init_.process.state == State::kStopped);
  init_ = Entry();
  init_.process.stdio = std::move(stdio);
  init_.process.state = State::kCreating;
  execs_.clear();
}

void Task::NextGenerationFailed(pid_t pid, uint32_t status, absl::Time at) {
  BERTH_CHECK(init_.process.state == State::kCreating);
  init_.process.state = State::kStopped;
  init_.process.pid = pid;
  init_.process.exit_status = status;
  init_.process.exited_at = at;
}

}  // namespace berth::task
