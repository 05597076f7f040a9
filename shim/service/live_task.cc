#include "shim/service/live_task.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/process_identity.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "proto/containerd/events/task.pb.h"
#include "shim/io/target.h"
#include "shim/launch/clone.h"
#include "shim/launch/foreign_container.h"
#include "shim/service/timestamp.h"

namespace berth::service {
namespace {

// How long Delete waits for output that somebody still holds back.
constexpr char kCreateVerb[] = "create";
constexpr char kStartVerb[] = "start";
constexpr char kExecVerb[] = "exec";
constexpr absl::Duration kDrainLimit = absl::Seconds(10);
// And how long a restart does.
constexpr absl::Duration kTurnOverDrainLimit = absl::Seconds(2);

}  // namespace

LiveTask::LiveTask(ShimContext& context, CreateSpec spec, std::unique_ptr<journal::Writer> journal)
    : context_(context),
      spec_(std::move(spec)),
      task_(spec_.id, spec_.stdio),
      journal_(std::move(journal)),
      container_(MakeContainer()),
      stdio_(spec_.stdio) {
  members_[""] = std::make_unique<Member>();
}

LiveTask::~LiveTask() {
  context_.loop.Cancel(restart_timer_);
  for (auto& [id, one] : members_) {
    for (auto& waiter : one->waiters) {
      waiter(absl::NotFoundError(absl::StrCat("task \"", spec_.id, "\" was deleted")));
    }
  }
}

// --- Create
// ---------------------------------------------------------------------------------------

std::unique_ptr<launch::AnyContainer> LiveTask::MakeContainer() const {
  if (spec_.options.binary.empty()) return std::make_unique<launch::Container>(context_.loop);
  launch::ForeignRuntime runtime;
  runtime.binary = spec_.options.binary;
  runtime.root = absl::StrCat(
      spec_.options.root.empty() ? launch::DefaultForeignRoot(spec_.bundle) : spec_.options.root,
      "/", context_.namespace_name);
  runtime.systemd_cgroup = spec_.options.cgroups == RuntimeOptions::Cgroups::kSystemd;
  return std::make_unique<launch::ForeignContainer>(context_.loop, std::move(runtime));
}

std::unique_ptr<io::AttachHub> LiveTask::MakeHub(const task::Stdio& stdio) const {
  auto input = io::AttachHub::Input::kNone;
  // A malformed word is told when the streams are opened.
  if (const auto in = io::ParseTarget(stdio.in); in.ok() && in->kind == io::TargetKind::kAttach) {
    input = in->input_end == io::Target::InputEnd::kFirstClient ? io::AttachHub::Input::kFirstClient
                                                                : io::AttachHub::Input::kStays;
  }
  return std::make_unique<io::AttachHub>(
      context_.loop, stdio.terminal ? io::AttachHub::Terminal::kYes : io::AttachHub::Terminal::kNo,
      input);
}

absl::StatusOr<io::AttachHub*> LiveTask::FindHub(const std::string& exec_id) const {
  const auto found = members_.find(exec_id);
  if (found == members_.end() || found->second->hub == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("exec \"", exec_id, "\" of task \"", spec_.id, "\" not found"));
  }
  return found->second->hub.get();
}

std::unique_ptr<io::ProcessIo> LiveTask::MakeIo(const task::Stdio& stdio,
                                                io::AttachHub& hub) const {
  io::Request request;
  request.in = stdio.in;
  request.out = stdio.out;
  request.err = stdio.err;
  request.terminal = stdio.terminal ? io::Request::Terminal::kYes : io::Request::Terminal::kNo;
  request.container_id = spec_.id;
  request.namespace_name = context_.namespace_name;
  request.pipe_uid = spec_.options.io_uid;
  request.pipe_gid = spec_.options.io_gid;
  request.hub = &hub;
  request.fork = []() -> absl::StatusOr<io::Forked> {
    BERTH_ASSIGN_OR_RETURN(launch::Cloned cloned, launch::CloneChild(0, BorrowedFd(-1)));
    return io::Forked{.pid = cloned.pid, .pidfd = std::move(cloned.pidfd)};
  };
  return std::make_unique<io::ProcessIo>(context_.loop, std::move(request));
}

launch::Stdio LiveTask::TakeStdio(io::ProcessIo& io) const {
  io::ChildEnds ends = io.TakeChildEnds();
  return launch::Stdio{
      .in = std::move(ends.in), .out = std::move(ends.out), .err = std::move(ends.err)};
}

void LiveTask::Create(Done<pid_t> done) {
  create_done_ = std::move(done);
  BeginCreate();
}

void LiveTask::BeginCreate() {
  Member& init = member("");
  init.record.stage = journal::Stage::kCreating;
  if (absl::Status status = journal_->Write(init.record); !status.ok()) {
    return FailCreate(std::move(status));
  }
  init.hub = MakeHub(stdio_);
  if (attach_ == nullptr) {
    auto attach =
        io::AttachServer::Start(context_.loop, spec_.bundle,
                                [this](const std::string& exec_id) { return FindHub(exec_id); });
    if (!attach.ok()) return FailCreate(Annotate(attach.status(), "attach socket"));
    attach_ = *std::move(attach);
  }
  init.io = MakeIo(stdio_, *init.hub);
  init.io->Open([this](absl::Status opened) { CreateContainer(std::move(opened)); });
}

void LiveTask::CreateContainer(absl::Status opened) {
  if (!opened.ok()) return FailCreate(std::move(opened));
  create_phase_ = CreatePhase::kContainer;
  launch::CreateOptions options;
  options.namespace_name = context_.namespace_name;
  options.id = spec_.id;
  options.bundle = spec_.bundle;
  options.rootfs_mounts = spec_.rootfs_mounts;
  options.stdio = TakeStdio(*member("").io);
  if (spec_.options.pivot == RuntimeOptions::Pivot::kNo) {
    options.root_switch = launch::RootSwitch::kMoveMount;
  }
  if (spec_.options.cgroups == RuntimeOptions::Cgroups::kSystemd) {
    options.cgroup_driver = launch::CgroupDriver::kSystemd;
  }
  if (spec_.options.new_keyring == RuntimeOptions::NewKeyring::kNo) {
    options.keyring = launch::Keyring::kInherit;
  }
  options.seccomp_cache_directory = context_.seccomp_cache_directory;
  options.on_cgroup = [this](const std::vector<std::string>& paths) {
    return NoteResources(paths);
  };
  if (network_.valid()) options.network_namespace = absl::StrCat("/proc/self/fd/", network_.get());
  container_->Create(std::move(options),
                     [this](absl::Status status) { ContainerCreated(std::move(status)); });
}

void LiveTask::ContainerCreated(absl::Status status) {
  if (!status.ok()) return FailCreate(std::move(status));
  if (absl::Status taken = TakeOverInit(); !taken.ok()) return AbortCreate(std::move(taken));
  create_phase_ = CreatePhase::kOver;
  task_.CreateFinished(container_->init_pid());
  PublishCreate();
  KeepSteps(kCreateVerb);
  Done<pid_t> done = std::move(create_done_);
  done(container_->init_pid());
  // Parsing the spec took memory that nothing needs from here on.
  ::malloc_trim(0);
}

absl::Status LiveTask::NoteResources(const std::vector<std::string>& cgroup_paths) {
  return journal_->SetResources(
      {.cgroup_paths = cgroup_paths,
       .stdio = journal::Stdio{
           .in = stdio_.in, .out = stdio_.out, .err = stdio_.err, .terminal = stdio_.terminal}});
}

absl::Status LiveTask::TakeOverInit() {
  Member& init = member("");
  BERTH_RETURN_IF_ERROR(WatchProcess("", init, container_->init_pidfd())) << "watch init";
  init.record.process = ProcessIdentity{.pid = container_->init_pid(),
                                        .start_time_ticks = container_->init_start_time_ticks()};
  init.record.stage = journal::Stage::kCreated;
  if (container_->cgroup_paths().empty()) {  // nothing has noted them
    BERTH_RETURN_IF_ERROR(NoteResources({}));
  }
  BERTH_RETURN_IF_ERROR(journal_->Write(init.record));
  BERTH_RETURN_IF_ERROR(ConnectIo(init, container_->TakeConsole()));
  // For tools that look there, as beside runc.
  const absl::Status pid_file =
      ReplaceFileAt(BorrowedFd(AT_FDCWD), absl::StrCat(spec_.bundle, "/init.pid"),
                    absl::StrCat(container_->init_pid()), 0644, Durability::kUnsynced);
  if (!pid_file.ok()) context_.log.Warning(pid_file.message());
  const absl::Status oom = container_->WatchOom([this] { OnOom(); });
  if (!oom.ok()) context_.log.Warning(absl::StrCat("no OOM events, ignoring: ", oom.message()));
  for (const std::string& warning : container_->TakeWarnings()) context_.log.Warning(warning);
  HoldNetwork();
  return absl::OkStatus();
}

absl::Status LiveTask::ConnectIo(Member& member, UniqueFd console) {
  if (console.valid()) {
    BERTH_RETURN_IF_ERROR(member.io->AttachConsole(std::move(console)));
  }
  if (member.size.has_value()) {
    // Too late to refuse it: the client's next resize tells.
    member.io->Resize(member.size->first, member.size->second).IgnoreError();
  }
  if (member.close_input) member.io->CloseInput();
  return absl::OkStatus();
}

void LiveTask::AbortCreate(absl::Status reason) {
  create_phase_ = CreatePhase::kAborting;
  container_->Cleanup([this, reason = std::move(reason)](absl::Status cleaned) {
    if (!cleaned.ok()) context_.log.Warning(cleaned.message());
    FailCreate(reason);
  });
}

void LiveTask::FailCreate(absl::Status reason) {
  create_phase_ = CreatePhase::kOver;
  Member& init = member("");
  init.io.reset();
  WriteRecord(init, journal::Stage::kAdded);  // a failed create leaves nothing
  Done<pid_t> done = std::move(create_done_);
  done(std::move(reason));
}

void LiveTask::PublishCreate() {
  containerd::events::TaskCreate event;
  event.set_container_id(spec_.id);
  event.set_bundle(spec_.bundle);
  for (const launch::RootfsMount& mount : spec_.rootfs_mounts) {
    auto& added = *event.add_rootfs();
    added.set_type(mount.type);
    added.set_source(mount.source);
    added.set_target(mount.target);
    for (const std::string& option : mount.options) added.add_options(option);
  }
  auto& io = *event.mutable_io();
  io.set_stdin(stdio_.in);
  io.set_stdout(stdio_.out);
  io.set_stderr(stdio_.err);
  io.set_terminal(stdio_.terminal);
  event.set_pid(container_->init_pid());
  Publish("/tasks/create", "containerd.events.TaskCreate", event);
}

// --- Start and exec ------------------------------------------------------------------------------

absl::Status LiveTask::AddExec(const std::string& exec_id, task::Stdio stdio,
                               std::string process_json) {
  for (const absl::string_view reserved : {kHealthPrefix, journal::kGenerationPrefix}) {
    if (absl::StartsWith(exec_id, reserved)) {
      return absl::InvalidArgumentError(absl::StrCat("exec ids that begin with \"", reserved,
                                                     "\" are the shim's own: choose another"));
    }
  }
  BERTH_RETURN_IF_ERROR(task_.AddExec(exec_id, std::move(stdio)));
  auto exec = std::make_unique<Member>();
  exec->record.exec_id = exec_id;
  exec->record.stage = journal::Stage::kAdded;
  exec->record.generation = generation_;
  // Takes the room for the exit record now, so that it cannot be missing later.
  if (absl::Status status = journal_->Write(exec->record); !status.ok()) {
    task_.ForgetExec(exec_id);
    return Annotate(status, "journal of the exec");
  }
  exec->process_json = std::move(process_json);
  exec->hub = MakeHub((*task_.Find(exec_id))->stdio);
  members_[exec_id] = std::move(exec);
  containerd::events::TaskExecAdded event;
  event.set_container_id(spec_.id);
  event.set_exec_id(exec_id);
  Publish("/tasks/exec-added", "containerd.events.TaskExecAdded", event);
  return absl::OkStatus();
}

void LiveTask::Start(const std::string& exec_id, Done<pid_t> done) {
  // A client that did not wait for the first answer repeats its call: it gets the same one.
  if (const auto process = task_.Find(exec_id);
      process.ok() && (*process)->state == task::State::kStarting && member(exec_id).start_done) {
    Member& starting = member(exec_id);
    starting.start_done = [first = std::move(starting.start_done),
                           second = std::move(done)](absl::StatusOr<pid_t> pid) mutable {
      first(pid);
      second(std::move(pid));
    };
    return;
  }
  if (absl::Status status = task_.BeginStart(exec_id); !status.ok()) return done(status);
  Member& started = member(exec_id);
  started.start_done = std::move(done);
  if (exec_id.empty()) {
    container_->Start([this](absl::Status status) { InitStarted(std::move(status)); });
    return;
  }
  started.io = MakeIo((*task_.Find(exec_id))->stdio, *started.hub);
  started.io->Open([this, exec_id](absl::Status opened) { StartExec(exec_id, std::move(opened)); });
}

void LiveTask::InitStarted(absl::Status status) {
  for (const std::string& warning : container_->TakeWarnings()) context_.log.Warning(warning);
  if (!status.ok()) return FailStart("", std::move(status));
  Member& init = member("");
  // An exit that came first is in the journal already, and is the later stage.
  if (init.record.stage == journal::Stage::kCreated) WriteRecord(init, journal::Stage::kRunning);
  started_ = true;
  started_at_ = absl::Now();
  oom_killed_ = false;
  const std::vector<task::Exit> exits = task_.StartFinished("", container_->init_pid());
  containerd::events::TaskStart event;
  event.set_container_id(spec_.id);
  event.set_pid(container_->init_pid());
  Publish("/tasks/start", "containerd.events.TaskStart", event);
  KeepSteps(kStartVerb);
  StartHealth();
  Done<pid_t> done = std::move(init.start_done);
  done(container_->init_pid());
  Announce(exits);
}

void LiveTask::StartExec(const std::string& exec_id, absl::Status opened) {
  if (!opened.ok()) return FailStart(exec_id, std::move(opened));
  Member& exec = member(exec_id);
  launch::ExecOptions options;
  options.exec_id = exec_id;
  options.process_json = std::move(exec.process_json);
  options.stdio = TakeStdio(*exec.io);
  std::string().swap(exec.process_json);
  container_->Exec(std::move(options),
                   [this, exec_id](absl::StatusOr<launch::ExecProcess> process) {
                     ExecStarted(exec_id, std::move(process));
                   });
}

void LiveTask::ExecStarted(const std::string& exec_id,
                           absl::StatusOr<launch::ExecProcess> process) {
  if (!process.ok()) return FailStart(exec_id, process.status());
  const pid_t pid = process->pid;
  if (absl::Status taken = TakeOverExec(exec_id, *std::move(process)); !taken.ok()) {
    return FailStart(exec_id, std::move(taken));
  }
  const std::vector<task::Exit> exits = task_.StartFinished(exec_id, pid);
  containerd::events::TaskExecStarted event;
  event.set_container_id(spec_.id);
  event.set_exec_id(exec_id);
  event.set_pid(pid);
  Publish("/tasks/exec-started", "containerd.events.TaskExecStarted", event);
  KeepSteps(kExecVerb);
  Done<pid_t> done = std::move(member(exec_id).start_done);
  done(pid);
  Announce(exits);
}

absl::Status LiveTask::TakeOverExec(const std::string& exec_id, launch::ExecProcess process) {
  Member& exec = member(exec_id);
  exec.pidfd = std::move(process.pidfd);
  BERTH_RETURN_IF_ERROR(WatchProcess(exec_id, exec, exec.pidfd)) << "watch the exec";
  auto identity = ReadProcessIdentity(process.pid);
  if (identity.ok()) exec.record.process = *identity;
  WriteRecord(exec, journal::Stage::kRunning);
  return ConnectIo(exec, std::move(process.console));
}

void LiveTask::FailStart(const std::string& exec_id, absl::Status reason) {
  const absl::Time now = absl::Now();
  Member& failed = member(exec_id);
  const std::vector<task::Exit> exits = task_.StartFailed(exec_id, now);
  if (!exec_id.empty()) {
    // It may run already, when it is our side that failed.
    if (failed.pidfd.valid()) {
      ::syscall(SYS_pidfd_send_signal, failed.pidfd.get(), SIGKILL, nullptr, 0);
    }
    failed.record.exit_status = EndOf(exec_id).status;
    failed.record.exited_at = now;
    failed.io.reset();
    WriteRecord(failed, journal::Stage::kExited);
  }
  Done<pid_t> done = std::move(failed.start_done);
  done(std::move(reason));
  Announce(exits);
}

// --- Exit ----------------------------------------------------------------------------------------

void LiveTask::OnExit(const std::string& exec_id, uint32_t status) {
  const absl::Time now = absl::Now();
  Member& ended = member(exec_id);
  if (create_phase_ == CreatePhase::kAborting) return;
  ended.record.exit_status = status;
  ended.record.exited_at = now;
  WriteRecord(ended, journal::Stage::kExited);
  if (exec_id.empty()) {
    if (health_ != nullptr) health_->Stop();
    // Without a pid namespace of its own the rest of the container would run on. Nothing left is
    // the usual answer.
    container_->Kill(SIGKILL, launch::KillScope::kAll).IgnoreError();
  }
  if (ended.io != nullptr) ended.io->ProcessEnded();
  Announce(task_.Exited(exec_id, status, now));
  if (exec_id.empty()) container_->InitEnded();
}

void LiveTask::Announce(const std::vector<task::Exit>& exits) {
  for (const task::Exit& exit : exits) AnnounceOne(exit);
}

void LiveTask::AnnounceOne(const task::Exit& exit) {
  const std::string exec_id = exit.exec_id;
  if (exit.event == task::Exit::Event::kPublish) {
    containerd::events::TaskExit event;
    event.set_container_id(spec_.id);
    event.set_id(exec_id.empty() ? spec_.id : exec_id);
    event.set_pid(exit.pid);
    event.set_exit_status(exit.status);
    SetTimestamp(exit.at, event.mutable_exited_at());
    const EventQueue::Then then{
        .kind = EventQueue::Then::Kind::kExit, .task = spec_.id, .exec_id = exec_id};
    Publish("/tasks/exit", "containerd.events.TaskExit", event, EventQueue::Weight::kExit,
            AcknowledgedBy(then), then);
  }
  Member& ended = member(exec_id);
  for (Done<Ended>& waiter : std::exchange(ended.waiters, {})) waiter(EndOf(exec_id));
  // A delete of a task that was only created waited for this.
  if (!exec_id.empty()) return;
  last_end_ = EndOf("");
  last_end_generation_ = generation_;
  if (!ended.deleters.empty()) {
    if (task_.BeginDelete("").ok()) RunDelete("");
    return;
  }
  // What was never started, or failed to at its first start, is its client's to start again.
  if (started_ || generation_ > 1) {
    ConsiderRestart(exit.status, started_ ? exit.at - started_at_ : absl::ZeroDuration());
  }
}

Ended LiveTask::EndOf(const std::string& exec_id) const {
  const task::Process& process = **task_.Find(exec_id);
  return Ended{.pid = process.pid, .status = process.exit_status, .at = process.exited_at};
}

void LiveTask::Wait(const std::string& exec_id, Done<Ended> done) {
  const auto process = task_.Find(exec_id);
  if (!process.ok()) return done(process.status());
  const task::State state = (*process)->state;
  if (state == task::State::kStopped || state == task::State::kDeleting) {
    return done(EndOf(exec_id));
  }
  member(exec_id).waiters.push_back(std::move(done));
}

// --- Delete --------------------------------------------------------------------------------------

void LiveTask::Delete(const std::string& exec_id, Done<Ended> done) {
  const absl::Status begun = task_.BeginDelete(exec_id);
  if (!begun.ok() && !absl::IsAlreadyExists(begun)) return done(begun);
  if (exec_id.empty()) EndPolicy();
  member(exec_id).deleters.push_back(std::move(done));
  if (absl::IsAlreadyExists(begun)) return;  // joined
  if ((*task_.Find(exec_id))->state == task::State::kCreated) {
    // Its exit brings RunDelete.
    container_->Kill(SIGKILL, launch::KillScope::kAll).IgnoreError();
    return;
  }
  RunDelete(exec_id);
}

void LiveTask::RunDelete(const std::string& exec_id) {
  if (exec_id.empty()) return DeleteInit();
  Member& exec = member(exec_id);
  if (exec.io == nullptr) return FinishDelete(exec_id, absl::OkStatus());
  exec.io->Drain(kDrainLimit, [this, exec_id] { FinishDelete(exec_id, absl::OkStatus()); });
}

void LiveTask::DeleteInit() {
  if (nothing_made_) return FinishDelete("", absl::OkStatus());
  // At the same time: killing the cgroup ends those who still hold the pipes.
  delete_parts_ = 2;
  delete_status_ = absl::OkStatus();
  container_->Cleanup([this](absl::Status status) { DeleteInitPart(std::move(status)); });
  member("").io->Drain(turning_over_ ? kTurnOverDrainLimit : kDrainLimit,
                       [this] { DeleteInitPart(absl::OkStatus()); });
}

void LiveTask::DeleteInitPart(absl::Status status) {
  delete_status_.Update(status);
  if (--delete_parts_ == 0) FinishDelete("", delete_status_);
}

void LiveTask::FinishDelete(const std::string& exec_id, absl::Status status) {
  Member& deleted = member(exec_id);
  // A client's delete that came meanwhile is what counts.
  if (exec_id.empty() && std::exchange(turning_over_, false) && deleted.deleters.empty()) {
    return TurnOver(std::move(status));
  }
  std::vector<Done<Ended>> deleters = std::exchange(deleted.deleters, {});
  if (!status.ok()) {
    task_.DeleteFailed(exec_id);
    for (Done<Ended>& done : deleters) done(status);
    return;
  }
  const Ended ended = EndOf(exec_id);
  if (exec_id.empty()) {
    for (const std::string& warning : container_->TakeWarnings()) context_.log.Warning(warning);
    WriteRecord(deleted, journal::Stage::kDeleted);
    // The task is gone when the daemon acknowledges this; its journal is not.
    PublishDelete(ended,
                  [journal = journal_, record = deleted.record]() mutable {
                    record.delete_announced = true;
                    journal->Write(record).IgnoreError();  // worst, the event comes twice
                  },
                  {EventQueue::Then::Kind::kOther});
  } else {
    for (Done<Ended>& waiter : std::exchange(deleted.waiters, {})) {
      waiter(absl::NotFoundError(absl::StrCat("exec \"", exec_id, "\" was deleted unstarted")));
    }
    if (absl::Status freed = journal_->Forget(exec_id); !freed.ok()) {
      context_.log.Warning(freed.message());
    }
    // This may run inside a callback of the member's own streams.
    context_.loop.Post([old = std::shared_ptr<Member>(std::move(members_.at(exec_id)))] {});
    members_.erase(exec_id);
    task_.ForgetExec(exec_id);
    if (members_.size() == 1) ::malloc_trim(0);
  }
  for (Done<Ended>& done : deleters) done(ended);
}

void LiveTask::WriteRecord(Member& member, journal::Stage stage) {
  member.record.stage = stage;
  // Its room was allocated before, so this can hardly fail; what would refuse an exit for it?
  if (absl::Status status = journal_->Write(member.record); !status.ok()) {
    context_.log.Warning(absl::StrCat("journal, ignoring: ", status.message()));
  }
}

void LiveTask::Publish(absl::string_view topic, absl::string_view type,
                       const google::protobuf::MessageLite& event, EventQueue::Weight weight,
                       EventQueue::OnAcknowledged on_acknowledged, EventQueue::Then then) {
  context_.events.Publish(topic, type, event.SerializeAsString(), weight,
                          std::move(on_acknowledged), std::move(then));
}

void LiveTask::KeepSteps(const char* verb) {
  std::erase_if(steps_,
                [verb](const VerbSteps& kept) { return absl::string_view(kept.verb) == verb; });
  steps_.push_back({verb, absl::Now(), container_->latency()});
  if (!context_.log.debug()) return;
  std::string line = absl::StrCat(verb, " took");
  for (const launch::StepTime& step : container_->latency()) {
    absl::StrAppend(&line, " ", step.step, "=", step.nanoseconds / 1000, "us");
  }
  context_.log.Debug(line);
}

void LiveTask::FillSteps(berth::shim::v1::GetStepsResponse& steps) const {
  for (const VerbSteps& kept : steps_) {
    auto& verb = *steps.add_verbs();
    verb.set_verb(kept.verb);
    SetTimestamp(kept.ended_at, verb.mutable_ended_at());
    for (const launch::StepTime& step : kept.steps) {
      auto& added = *verb.add_steps();
      added.set_name(step.step);
      added.set_nanoseconds(step.nanoseconds);
    }
  }
}

}  // namespace berth::service
