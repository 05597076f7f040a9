// A task on its way to the program that takes over.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "proto/berth/shim/v1/handover.pb.h"
#include "shim/handover/packer.h"
#include "shim/handover/unpacker.h"
#include "shim/launch/foreign_container.h"
#include "shim/service/live_task.h"
#include "shim/service/policy_codec.h"
#include "shim/service/timestamp.h"

namespace berth::service {
namespace {

namespace v1 = berth::shim::v1;
using handover::FromNanoseconds;
using handover::Kind;
using handover::ToNanoseconds;

void Encode(const task::Stdio& from, v1::ProcessStdio& to) {
  to.set_in(from.in);
  to.set_out(from.out);
  to.set_err(from.err);
  to.set_terminal(from.terminal);
}

task::Stdio Decode(const v1::ProcessStdio& from) {
  return {.in = from.in(), .out = from.out(), .err = from.err(), .terminal = from.terminal()};
}

void Encode(const task::Task::Saved& from, v1::ProcessState& to) {
  to.set_exec_id(from.process.exec_id);
  Encode(from.process.stdio, *to.mutable_stdio());
  to.set_state(static_cast<uint32_t>(from.process.state));
  to.set_pid(from.process.pid);
  to.set_exit_status(from.process.exit_status);
  to.set_exited_at(ToNanoseconds(from.process.exited_at));
  to.set_start_failed(from.start_failed);
  if (!from.held.has_value()) return;
  to.mutable_held()->set_pid(from.held->pid);
  to.mutable_held()->set_status(from.held->status);
  to.mutable_held()->set_at(ToNanoseconds(from.held->at));
  to.mutable_held()->set_silent(from.held->event == task::Exit::Event::kSilent);
}

task::Task::Saved Decode(const v1::ProcessState& from) {
  task::Task::Saved to;
  to.process.exec_id = from.exec_id();
  to.process.stdio = Decode(from.stdio());
  to.process.state = static_cast<task::State>(from.state());
  to.process.pid = from.pid();
  to.process.exit_status = from.exit_status();
  to.process.exited_at = FromNanoseconds(from.exited_at());
  to.start_failed = from.start_failed();
  if (from.has_held()) {
    to.held = task::Exit{
        .exec_id = from.exec_id(),
        .pid = from.held().pid(),
        .status = from.held().status(),
        .at = FromNanoseconds(from.held().at()),
        .event = from.held().silent() ? task::Exit::Event::kSilent : task::Exit::Event::kPublish};
  }
  return to;
}

void Encode(const journal::ProcessRecord& from, v1::JournalRecord& to) {
  to.set_stage(static_cast<uint32_t>(from.stage));
  to.set_pid(from.process.pid);
  to.set_start_time_ticks(from.process.start_time_ticks);
  to.set_exit_status(from.exit_status);
  to.set_exited_at(ToNanoseconds(from.exited_at));
  to.set_exit_announced(from.exit_announced);
  to.set_delete_announced(from.delete_announced);
  to.set_generation(from.generation);
}

absl::StatusOr<journal::ProcessRecord> Decode(const v1::JournalRecord& from,
                                              const std::string& exec_id) {
  if (from.stage() == 0 || from.stage() > static_cast<uint32_t>(journal::Stage::kDeleted) ||
      from.generation() == 0) {
    return absl::FailedPreconditionError("a process has no record that this program knows");
  }
  return journal::ProcessRecord{
      .exec_id = exec_id,
      .stage = static_cast<journal::Stage>(from.stage()),
      .process = {.pid = from.pid(), .start_time_ticks = from.start_time_ticks()},
      .exit_status = from.exit_status(),
      .exited_at = FromNanoseconds(from.exited_at()),
      .exit_announced = from.exit_announced(),
      .delete_announced = from.delete_announced(),
      .generation = from.generation()};
}

void Encode(const RuntimeOptions& from, v1::TaskState::Options& to) {
  to.set_no_pivot(from.pivot == RuntimeOptions::Pivot::kNo);
  to.set_no_new_keyring(from.new_keyring == RuntimeOptions::NewKeyring::kNo);
  to.set_systemd_cgroup(from.cgroups == RuntimeOptions::Cgroups::kSystemd);
  to.set_binary(from.binary);
  to.set_root(from.root);
  to.set_shim_cgroup(from.shim_cgroup);
  to.set_io_uid(from.io_uid);
  to.set_io_gid(from.io_gid);
}

RuntimeOptions Decode(const v1::TaskState::Options& from) {
  RuntimeOptions to;
  if (from.no_pivot()) to.pivot = RuntimeOptions::Pivot::kNo;
  if (from.no_new_keyring()) to.new_keyring = RuntimeOptions::NewKeyring::kNo;
  if (from.systemd_cgroup()) to.cgroups = RuntimeOptions::Cgroups::kSystemd;
  to.binary = from.binary();
  to.root = from.root();
  to.shim_cgroup = from.shim_cgroup();
  to.io_uid = from.io_uid();
  to.io_gid = from.io_gid();
  return to;
}

void Encode(const CreateSpec& from, v1::TaskState& to) {
  to.set_id(from.id);
  to.set_bundle(from.bundle);
  for (const launch::RootfsMount& mount : from.rootfs_mounts) {
    auto& saved = *to.add_rootfs();
    saved.set_type(mount.type);
    saved.set_source(mount.source);
    saved.set_target(mount.target);
    for (const std::string& option : mount.options) saved.add_options(option);
  }
  Encode(from.stdio, *to.mutable_first_stdio());
  Encode(from.options, *to.mutable_options());
}

CreateSpec DecodeSpec(const v1::TaskState& from) {
  CreateSpec to;
  to.id = from.id();
  to.bundle = from.bundle();
  for (const auto& mount : from.rootfs()) {
    to.rootfs_mounts.push_back({.type = mount.type(),
                                .source = mount.source(),
                                .target = mount.target(),
                                .options = {mount.options().begin(), mount.options().end()}});
  }
  to.stdio = Decode(from.first_stdio());
  to.options = Decode(from.options());
  return to;
}

absl::Status Busy(absl::string_view what) {
  return absl::UnavailableError(absl::StrCat(what, " is under way"));
}

}  // namespace

absl::Status LiveTask::CheckAtRest() const {
  if (create_phase_ != CreatePhase::kOver || create_done_) return Busy("a create");
  if (turning_over_ || delete_parts_ != 0) return Busy("a restart or a delete");
  for (const auto& [id, one] : members_) {
    if (one->start_done) return Busy("a start");
    if (!one->deleters.empty()) return Busy("a delete");
    switch ((*task_.Find(id))->state) {
      case task::State::kCreating:
      case task::State::kStarting:
      case task::State::kPausing:
      case task::State::kResuming:
      case task::State::kDeleting:
        return Busy("a change of state");
      default:
        break;
    }
  }
  return absl::OkStatus();
}

absl::Status LiveTask::SaveMember(const std::string& exec_id, const task::Task::Saved& process,
                                  handover::Packer& packer, v1::MemberState& state) const {
  const Member& from = *members_.at(exec_id);
  Encode(process, *state.mutable_process());
  Encode(from.record, *state.mutable_record());
  state.set_process_json(from.process_json);
  if (from.hub != nullptr) from.hub->Save(packer, *state.mutable_attach());
  if (from.io != nullptr) {
    BERTH_RETURN_IF_ERROR(from.io->Save(packer, *state.mutable_streams()));
  }
  state.set_pidfd(packer.Pack(from.pidfd));
  if (from.watch != nullptr && from.watch->watch().active()) {
    state.set_watched(true);
    packer.Count(from.watch->watch());
  }
  state.set_close_input(from.close_input);
  if (from.size.has_value()) {
    state.mutable_size()->set_columns(from.size->first);
    state.mutable_size()->set_rows(from.size->second);
  }
  return absl::OkStatus();
}

absl::Status LiveTask::Save(handover::Packer& packer, v1::TaskState& state) const {
  BERTH_RETURN_IF_ERROR(CheckAtRest());
  Encode(spec_, state);
  Encode(stdio_, *state.mutable_stdio());
  state.set_journal(packer.Pack(journal_->file()));
  if (attach_ != nullptr) attach_->Save(packer, *state.mutable_attach());
  for (const task::Task::Saved& process : task_.Save()) {
    BERTH_RETURN_IF_ERROR(
        SaveMember(process.process.exec_id, process, packer, *state.add_members()));
  }
  BERTH_RETURN_IF_ERROR(container_->Save(packer, state));
  v1::SetPolicyRequest& policy = *state.mutable_policy();
  EncodePolicy(policy_, *policy.mutable_restart());
  if (policy_.health.has_value()) EncodeHealth(*policy_.health, *policy.mutable_health());
  policy.set_explicitly_stopped(policy_.user_stopped == task::UserStopped::kYes);
  state.set_backoff(absl::ToInt64Nanoseconds(rule_.backoff()));
  state.set_restarts(rule_.restarts());
  state.set_generation(generation_);
  state.set_started(started_);
  state.set_delete_published(delete_published_);
  state.set_nothing_made(nothing_made_);
  state.set_oom_killed(oom_killed_);
  state.set_started_at(ToNanoseconds(started_at_));
  state.set_next_start_at(ToNanoseconds(next_start_));
  state.set_restart_left(packer.Count(restart_timer_));
  if (last_end_.has_value()) {
    v1::Exit& end = *state.mutable_last_exit();
    end.set_generation(last_end_generation_);
    end.set_pid(last_end_->pid);
    end.set_status(last_end_->status);
    SetTimestamp(last_end_->at, end.mutable_at());
  }
  state.set_last_start_error(last_start_error_);
  state.set_network(packer.Pack(network_));
  for (const uint32_t one : remembered_generations_) state.add_remembered_generations(one);
  if (health_ != nullptr) {
    EncodeHealth(health_->check(), *state.mutable_health()->mutable_check());
    state.mutable_health()->set_generation(health_generation_);
    health_->Save(packer, *state.mutable_health());
  }
  FillSteps(*state.mutable_steps());
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<LiveTask>> LiveTask::Resume(ShimContext& context,
                                                           const v1::TaskState& state,
                                                           handover::Unpacker& unpacker) {
  if (state.id().empty() || state.bundle().empty() || state.members_size() == 0 ||
      state.generation() == 0 || state.has_native() == state.has_foreign()) {
    return absl::FailedPreconditionError("a task lacks what it needs");
  }
  BERTH_ASSIGN_OR_RETURN(UniqueFd file, unpacker.Take(state.journal(), Kind::kFile, "a journal"));
  BERTH_ASSIGN_OR_RETURN(
      auto journal, journal::Writer::Resume(
                        std::move(file), journal::Header{.boot_id = "",
                                                         .namespace_name = context.namespace_name,
                                                         .container_id = state.id(),
                                                         .shim = context.self}));
  auto task = std::make_unique<LiveTask>(context, DecodeSpec(state), std::move(journal));
  task->create_phase_ = CreatePhase::kOver;
  task->stdio_ = Decode(state.stdio());
  if (state.has_attach()) {
    BERTH_ASSIGN_OR_RETURN(
        task->attach_, io::AttachServer::Resume(context.loop, state.attach(), unpacker,
                                                [self = task.get()](const std::string& exec_id) {
                                                  return self->FindHub(exec_id);
                                                }));
  }
  BERTH_RETURN_IF_ERROR(task->ResumeContainer(state, unpacker));
  BERTH_RETURN_IF_ERROR(task->ResumeProcesses(state, unpacker));
  BERTH_RETURN_IF_ERROR(task->ResumePolicy(state, unpacker));
  task->ResumeSteps(state.steps());
  return task;
}

absl::Status LiveTask::ResumeContainer(const v1::TaskState& state, handover::Unpacker& unpacker) {
  if (state.has_native()) {
    BERTH_ASSIGN_OR_RETURN(container_,
                           launch::Container::Resume(context_.loop, state.native(), unpacker));
  } else {
    BERTH_ASSIGN_OR_RETURN(
        container_, launch::ForeignContainer::Resume(context_.loop, state.foreign(), unpacker));
  }
  const bool watched = state.has_native() ? state.native().has_oom() : state.foreign().has_oom();
  return watched ? container_->WatchOom([this] { OnOom(); }) : absl::OkStatus();
}

absl::Status LiveTask::ResumeProcesses(const v1::TaskState& state, handover::Unpacker& unpacker) {
  std::vector<task::Task::Saved> processes;
  for (const v1::MemberState& member : state.members()) {
    processes.push_back(Decode(member.process()));
  }
  BERTH_RETURN_IF_ERROR(task_.Resume(std::move(processes)));
  for (const v1::MemberState& member : state.members()) {
    BERTH_RETURN_IF_ERROR(ResumeMember(member, unpacker))
        << "process \"" << member.process().exec_id() << "\" of task \"" << spec_.id << "\"";
  }
  return absl::OkStatus();
}

absl::Status LiveTask::ResumeMember(const v1::MemberState& state, handover::Unpacker& unpacker) {
  const std::string& exec_id = state.process().exec_id();
  auto to = std::make_unique<Member>();
  BERTH_ASSIGN_OR_RETURN(to->record, Decode(state.record(), exec_id));
  to->record.paused = static_cast<task::State>(state.process().state()) == task::State::kPaused;
  to->process_json = state.process_json();
  const task::Stdio& stdio = (*task_.Find(exec_id))->stdio;
  if (state.has_attach()) {
    to->hub = MakeHub(stdio);
    BERTH_RETURN_IF_ERROR(to->hub->Resume(state.attach(), unpacker));
  }
  if (state.has_streams()) {
    if (to->hub == nullptr) return absl::FailedPreconditionError("streams without a hub");
    to->io = MakeIo(stdio, *to->hub);
    BERTH_RETURN_IF_ERROR(to->io->Resume(state.streams(), unpacker));
  }
  if (state.pidfd() != 0) {
    BERTH_ASSIGN_OR_RETURN(to->pidfd,
                           unpacker.TakePidFd(state.pidfd(), state.process().pid(), "an exec"));
  }
  if (state.watched()) {
    const BorrowedFd pidfd = exec_id.empty() ? container_->init_pidfd() : BorrowedFd(to->pidfd);
    if (!pidfd.valid()) return absl::FailedPreconditionError("it runs and has no pidfd");
    BERTH_RETURN_IF_ERROR(WatchProcess(exec_id, *to, pidfd));
  }
  to->close_input = state.close_input();
  if (state.has_size()) to->size = {state.size().columns(), state.size().rows()};
  members_[exec_id] = std::move(to);
  return absl::OkStatus();
}

absl::Status LiveTask::ResumePolicy(const v1::TaskState& state, handover::Unpacker& unpacker) {
  BERTH_ASSIGN_OR_RETURN(policy_, DecodePolicy(state.policy()));
  rule_.SetPolicy(policy_.restart, policy_.earlier_restarts);
  rule_.Resume(absl::Nanoseconds(state.backoff()), state.restarts());
  generation_ = state.generation();
  started_ = state.started();
  delete_published_ = state.delete_published();
  nothing_made_ = state.nothing_made();
  oom_killed_ = state.oom_killed();
  started_at_ = FromNanoseconds(state.started_at());
  next_start_ = FromNanoseconds(state.next_start_at());
  if (state.restart_left() >= 0) {
    restart_timer_ =
        context_.loop.After(absl::Nanoseconds(state.restart_left()), [this] { BeginRestart(); });
  }
  if (state.has_last_exit()) {
    last_end_ = Ended{.pid = static_cast<pid_t>(state.last_exit().pid()),
                      .status = state.last_exit().status(),
                      .at = TimeOf(state.last_exit().at())};
    last_end_generation_ = state.last_exit().generation();
  }
  last_start_error_ = state.last_start_error();
  BERTH_ASSIGN_OR_RETURN(network_,
                         unpacker.TakeIfAny(state.network(), Kind::kAny, "a network namespace"));
  remembered_generations_.assign(state.remembered_generations().begin(),
                                 state.remembered_generations().end());
  if (!state.has_health()) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(HealthCheck check, DecodeHealth(state.health().check()));
  BERTH_ASSIGN_OR_RETURN(
      health_, HealthMonitor::Resume(context_.loop, std::move(check), state.health(), unpacker,
                                     HealthExec(), HealthChanged()));
  health_generation_ = state.health().generation();
  return absl::OkStatus();
}

void LiveTask::ResumeSteps(const v1::GetStepsResponse& steps) {
  const auto keep = [this](const std::string& name) {
    return step_names_.emplace_back(name).c_str();
  };
  for (const v1::VerbSteps& verb : steps.verbs()) {
    VerbSteps& kept =
        steps_.emplace_back(VerbSteps{keep(verb.verb()), TimeOf(verb.ended_at()), {}});
    for (const auto& step : verb.steps()) {
      kept.steps.push_back({keep(step.name()), step.nanoseconds()});
    }
  }
}

}  // namespace berth::service
