// One container's life, killed anywhere.
#include <signal.h>

#include <algorithm>
#include <optional>
#include <set>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "tests/bench/container_spec.h"
#include "tests/fault/scenario.h"

namespace berth::fault {
namespace {

constexpr uint32_t kExitCode = 41;  // of the container, after SIGTERM
constexpr uint32_t kExecCode = 3;   // of the process that is executed in it
constexpr uint32_t kKilled = 137;   // when its shim was lost, or by our own SIGKILL
constexpr absl::Duration kPatience = absl::Seconds(10);
constexpr absl::Duration kEventPatience = absl::Seconds(20);
constexpr absl::Duration kUpgradePatience = absl::Seconds(40);  // the daemon's is 30 s
constexpr int kUpgradeAttempts = 20;
constexpr absl::Duration kSignalAgain = absl::Milliseconds(150);
constexpr char kSpecType[] = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
constexpr char kProcessType[] = "types.containerd.io/opencontainers/runtime-spec/1/Process";
constexpr char kExec[] = "exec";

using containerd::v1::types::CREATED;
using containerd::v1::types::PAUSED;
using containerd::v1::types::RUNNING;
using containerd::v1::types::STOPPED;

enum class Whose { kFirst, kExec };

int CountOf(const std::vector<TaskEvent>& published, absl::string_view topic, Whose whose) {
  return static_cast<int>(
      std::count_if(published.begin(), published.end(), [&](const TaskEvent& event) {
        return event.topic == topic && (event.process == kExec) == (whose == Whose::kExec);
      }));
}

class LifeScenario : public Scenario {
 public:
  LifeScenario(std::string id, std::mt19937_64& random) : Scenario(std::move(id)) {
    with_exec_ = random() % 2 == 0;
    with_pause_ = random() % 2 == 0;
    again_ = random() % 4 == 0;
    upgrades_ = random();
    AddSteps();
  }
  ~LifeScenario() override { Settle(); }
  const char* kind() const override { return "life"; }
  void Settle() override;
  void Verify(FaultClient& client, Victims victims, Findings& findings) override;

 private:
  using Status = absl::Status;
  void AddSteps();
  void AddStart();
  void AddExec();
  void AddUpgrade(absl::string_view name);
  void AddEnd();
  Status CreateContainer(FaultClient& client);
  Status CreateTask(FaultClient& client);
  Status StartProcess(FaultClient& client, const std::string& exec_id, uint32_t* pid);
  Status ExpectExit(FaultClient& client, const std::string& exec_id, uint32_t expected,
                    absl::Duration timeout = kPatience);
  Status Upgrade(FaultClient& client);
  void WaitBeside(FaultClient& client);
  Status Signal(FaultClient& client, uint32_t signal);
  absl::StatusOr<tasks::DeleteResponse> DeleteTask(FaultClient& client);
  absl::StatusOr<containerd::v1::types::Process> Get(FaultClient& client);

  void VerifyRecords(FaultClient& client, Findings& findings);
  void VerifyRunsOn(FaultClient& client, Findings& findings);
  void VerifyWaiter(Victims victims, Findings& findings);
  void VerifyExit(FaultClient& client, Findings& findings);
  void VerifyLostShim(FaultClient& client, Findings& findings);
  void VerifyEvents(FaultClient& client, Victims victims, Findings& findings);
  void VerifyEvent(const TaskEvent& event, Victims victims, Findings& findings);
  void Remove(FaultClient& client, Findings& findings);

  bool with_exec_ = false;
  bool with_pause_ = false;
  bool again_ = false;
  uint64_t upgrades_ = 0;  // two bits for each place where one could be
  std::thread waiter_;     // Wait, from before the start on, over all upgrades
  std::optional<absl::StatusOr<uint32_t>> waited_;
  containerd::services::snapshots::v1::PrepareSnapshotResponse prepared_;
  uint32_t pid_ = 0;
};

void LifeScenario::AddSteps() {
  Add("prepare", [this](FaultClient& client) {
    snapshots::PrepareSnapshotRequest request;
    request.set_snapshotter(kSnapshotter);
    request.set_key(id());
    request.set_parent(kBase);
    (*request.mutable_labels())["containerd.io/gc.root"] = "2020-01-01T00:00:00Z";
    return client.Call(client.snapshots_stub, &snapshots::Snapshots::Stub::Prepare, request,
                       &prepared_);
  });
  Add("container", [this](FaultClient& client) { return CreateContainer(client); });
  Add("create", [this](FaultClient& client) { return CreateTask(client); });
  AddUpgrade("upgrade-created");
  AddStart();
  AddEnd();
}

void LifeScenario::AddStart() {
  Add("start", [this](FaultClient& client) {
    WaitBeside(client);
    return StartProcess(client, "", &pid_);
  });
  AddUpgrade("upgrade");
  if (with_exec_) AddExec();
  if (with_pause_) {
    google::protobuf::Empty empty;
    Add("pause", [this, empty](FaultClient& client) mutable {
      tasks::PauseTaskRequest request;
      request.set_container_id(id());
      return client.Call(client.tasks_stub, &tasks::Tasks::Stub::Pause, request, &empty);
    });
    AddUpgrade("upgrade-paused");
    Add("resume", [this, empty](FaultClient& client) mutable {
      tasks::ResumeTaskRequest request;
      request.set_container_id(id());
      return client.Call(client.tasks_stub, &tasks::Tasks::Stub::Resume, request, &empty);
    });
  }
}

void LifeScenario::AddExec() {
  Add("exec", [this](FaultClient& client) {
    tasks::ExecProcessRequest request;
    request.set_container_id(id());
    request.set_exec_id(kExec);
    request.mutable_spec()->set_type_url(kProcessType);
    request.mutable_spec()->set_value(
        bench::ProcessSpec({"/payload", "exit", absl::StrCat(kExecCode)}));
    google::protobuf::Empty empty;
    return client.Call(client.tasks_stub, &tasks::Tasks::Stub::Exec, request, &empty);
  });
  AddUpgrade("upgrade-exec-added");
  Add("exec-start", [this](FaultClient& client) { return StartProcess(client, kExec, nullptr); });
  AddUpgrade("upgrade-exec-started");
  Add("exec-wait", [this](FaultClient& client) { return ExpectExit(client, kExec, kExecCode); });
  Add("exec-delete", [this](FaultClient& client) {
    tasks::DeleteProcessRequest request;
    request.set_container_id(id());
    request.set_exec_id(kExec);
    tasks::DeleteResponse response;
    return client.Call(client.tasks_stub, &tasks::Tasks::Stub::DeleteProcess, request, &response);
  });
}

void LifeScenario::AddEnd() {
  Add("kill", [this](FaultClient& client) { return Signal(client, SIGTERM); });
  Add("wait", [this](FaultClient& client) { return ExpectExit(client, "", kExitCode); });
  AddUpgrade("upgrade-stopped");
  Add("delete", [this](FaultClient& client) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(const tasks::DeleteResponse response, DeleteTask(client));
    if (response.exit_status() == kExitCode) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat("Delete says ", response.exit_status()));
  });
  Add("delete-container", [this](FaultClient& client) {
    containers::DeleteContainerRequest request;
    request.set_id(id());
    google::protobuf::Empty empty;
    return client.Call(client.containers_stub, &containers::Containers::Stub::Delete, request,
                       &empty);
  });
  Add("remove", [this](FaultClient& client) {
    snapshots::RemoveSnapshotRequest request;
    request.set_snapshotter(kSnapshotter);
    request.set_key(id());
    google::protobuf::Empty empty;
    return client.Call(client.snapshots_stub, &snapshots::Snapshots::Stub::Remove, request, &empty);
  });
}

// At one place of four, in the state in which the task is then.
void LifeScenario::AddUpgrade(absl::string_view name) {
  const bool here = upgrades_ % 4 == 0;
  upgrades_ /= 4;
  if (here) Add(name, [this](FaultClient& client) { return Upgrade(client); });
}

// Again while something is under way that cannot change hands, as its clients do.
absl::Status LifeScenario::Upgrade(FaultClient& client) {
  care::v1::UpgradeShimRequest request;
  request.set_container(id());
  absl::Status upgraded;
  for (int attempt = 0; attempt < kUpgradeAttempts; ++attempt) {
    care::v1::UpgradeShimResponse response;
    upgraded = client.Call(client.care_stub, &care::v1::Care::Stub::UpgradeShim, request, &response,
                           "", kUpgradePatience);
    if (upgraded.ok() || !absl::StrContains(upgraded.message(), "try again")) break;
  }
  return upgraded;
}

void LifeScenario::WaitBeside(FaultClient& client) {
  waiter_ = std::thread([this, &client] { waited_ = client.Wait(id(), "", kUpgradePatience); });
}

void LifeScenario::Settle() {
  if (waiter_.joinable()) waiter_.join();
}

absl::Status LifeScenario::CreateContainer(FaultClient& client) {
  containers::CreateContainerRequest request;
  containers::Container& container = *request.mutable_container();
  container.set_id(id());
  container.set_snapshotter(kSnapshotter);
  container.set_snapshot_key(id());
  container.mutable_runtime()->set_name("io.containerd.runc.v2");
  container.mutable_spec()->set_type_url(kSpecType);
  container.mutable_spec()->set_value(bench::ContainerSpec(
      client.ns(), id(), {.arguments = {"/payload", "until-term", absl::StrCat(kExitCode)}}));
  containers::CreateContainerResponse response;
  return client.Call(client.containers_stub, &containers::Containers::Stub::Create, request,
                     &response);
}

absl::Status LifeScenario::CreateTask(FaultClient& client) {
  tasks::CreateTaskRequest request;
  request.set_container_id(id());
  *request.mutable_rootfs() = prepared_.mounts();
  tasks::CreateTaskResponse response;
  return client.Call(client.tasks_stub, &tasks::Tasks::Stub::Create, request, &response);
}

absl::Status LifeScenario::StartProcess(FaultClient& client, const std::string& exec_id,
                                        uint32_t* pid) {
  tasks::StartRequest request;
  request.set_container_id(id());
  request.set_exec_id(exec_id);
  tasks::StartResponse response;
  BERTH_RETURN_IF_ERROR(
      client.Call(client.tasks_stub, &tasks::Tasks::Stub::Start, request, &response));
  if (pid != nullptr) *pid = response.pid();
  return absl::OkStatus();
}

absl::Status LifeScenario::ExpectExit(FaultClient& client, const std::string& exec_id,
                                      uint32_t expected, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  absl::StatusOr<uint32_t> waited;
  do {
    waited = client.Wait(id(), exec_id, exec_id.empty() ? kSignalAgain : timeout);
    // A first process is deaf to signals until it asks for them.
    const bool deaf = exec_id.empty() && absl::IsDeadlineExceeded(waited.status());
    if (!deaf) break;
    Signal(client, SIGTERM).IgnoreError();  // it may have ended meanwhile
  } while (absl::Now() < deadline);
  BERTH_ASSIGN_OR_RETURN(const uint32_t status, std::move(waited));
  if (status == expected) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("Wait says ", status, " instead of ", expected));
}

absl::Status LifeScenario::Signal(FaultClient& client, uint32_t signal) {
  tasks::KillRequest request;
  request.set_container_id(id());
  request.set_signal(signal);
  google::protobuf::Empty empty;
  return client.Call(client.tasks_stub, &tasks::Tasks::Stub::Kill, request, &empty);
}

absl::StatusOr<tasks::DeleteResponse> LifeScenario::DeleteTask(FaultClient& client) {
  tasks::DeleteTaskRequest request;
  request.set_container_id(id());
  tasks::DeleteResponse response;
  BERTH_RETURN_IF_ERROR(
      client.Call(client.tasks_stub, &tasks::Tasks::Stub::Delete, request, &response));
  return response;
}

absl::StatusOr<containerd::v1::types::Process> LifeScenario::Get(FaultClient& client) {
  tasks::GetRequest request;
  request.set_container_id(id());
  tasks::GetResponse response;
  BERTH_RETURN_IF_ERROR(
      client.Call(client.tasks_stub, &tasks::Tasks::Stub::Get, request, &response));
  return response.process();
}

// What was acknowledged is there after any kill.
void LifeScenario::VerifyRecords(FaultClient& client, Findings& findings) {
  if (Acknowledged("container") && !Attempted("delete-container")) {
    containers::GetContainerRequest request;
    request.set_id(id());
    containers::GetContainerResponse response;
    const absl::Status found =
        client.Call(client.containers_stub, &containers::Containers::Stub::Get, request, &response);
    if (!found.ok()) findings.lost_objects.push_back(absl::StrCat("container: ", found.message()));
  }
  if (Acknowledged("prepare") && !Attempted("remove")) {
    snapshots::StatSnapshotRequest request;
    request.set_snapshotter(kSnapshotter);
    request.set_key(id());
    snapshots::StatSnapshotResponse response;
    const absl::Status found =
        client.Call(client.snapshots_stub, &snapshots::Snapshots::Stub::Stat, request, &response);
    if (!found.ok()) findings.lost_objects.push_back(absl::StrCat("snapshot: ", found.message()));
  }
}

// A daemon's death is nothing that a container notices.
void LifeScenario::VerifyRunsOn(FaultClient& client, Findings& findings) {
  const auto process = Get(client);
  const bool must_be = Acknowledged("create") && !Attempted("delete");
  if (!process.ok()) {
    if (must_be || !absl::IsNotFound(process.status())) {
      findings.lost_objects.push_back(absl::StrCat("task: ", process.status().message()));
    }
    return;
  }
  if (Acknowledged("delete")) findings.leaks.push_back("a task that was deleted is there");
  if (!must_be) return;
  std::set<int> fine = {CREATED};
  if (Attempted("start")) fine.insert(RUNNING);
  if (Acknowledged("start")) fine = {RUNNING};
  if (Attempted("pause")) fine.insert(PAUSED);
  if (Acknowledged("pause") && !Attempted("resume")) fine = {PAUSED};
  if (Acknowledged("resume")) fine = {RUNNING};
  if (Attempted("kill")) fine = {RUNNING, STOPPED};
  if (Acknowledged("wait")) fine = {STOPPED};
  if (fine.count(process->status()) == 0) {
    findings.wrong_statuses.push_back(absl::StrCat("status ", process->status()));
  }
  if (Acknowledged("start") && process->status() != STOPPED && process->pid() != pid_) {
    findings.wrong_statuses.push_back(absl::StrCat("pid ", process->pid(), " was ", pid_));
  }
  if (Acknowledged("exec-start") && !Attempted("exec-delete") && process->status() != PAUSED) {
    const absl::Status status = ExpectExit(client, kExec, kExecCode);
    if (!status.ok()) findings.lost_exits.push_back(absl::StrCat("exec: ", status.message()));
  }
}

// A Wait that its daemon answered said what happened, over every upgrade.
void LifeScenario::VerifyWaiter(Victims victims, Findings& findings) {
  if (!waited_.has_value()) return;
  if (!waited_->ok()) {
    if (Acknowledged("delete") && absl::IsDeadlineExceeded(waited_->status())) {
      findings.lost_exits.push_back("a Wait is not answered by the end");
    }
    return;
  }
  const uint32_t status = **waited_;
  if (status == kExitCode && Attempted("kill")) return;
  if (status == kKilled && victims.shim) return;
  findings.wrong_statuses.push_back(absl::StrCat("a Wait said ", status));
}

// Ends what still runs, kindly; its own status must come through.
void LifeScenario::VerifyExit(FaultClient& client, Findings& findings) {
  const auto process = Get(client);
  if (!process.ok()) return;
  uint32_t expected = kExitCode;
  if (process->status() == CREATED) {
    expected = kKilled;
  } else if (process->status() != STOPPED) {
    if (process->status() == PAUSED) {
      tasks::ResumeTaskRequest request;
      request.set_container_id(id());
      google::protobuf::Empty empty;
      const absl::Status resumed =
          client.Call(client.tasks_stub, &tasks::Tasks::Stub::Resume, request, &empty);
      if (!resumed.ok()) {
        findings.lost_objects.push_back(absl::StrCat("resume: ", resumed.message()));
      }
    }
    if (const absl::Status killed = Signal(client, SIGTERM);
        !killed.ok() && !absl::IsNotFound(killed)) {
      findings.lost_objects.push_back(absl::StrCat("kill: ", killed.message()));
    }
    const absl::Status ended = ExpectExit(client, "", kExitCode, absl::Seconds(5));
    if (!ended.ok()) {
      findings.lost_exits.push_back(absl::StrCat("wait: ", ended.message()));
      Signal(client, SIGKILL).IgnoreError();  // the finding is noted
    }
  }
  const auto deleted = DeleteTask(client);
  if (!deleted.ok()) {
    findings.lost_objects.push_back(absl::StrCat("delete: ", deleted.status().message()));
  } else if (deleted->exit_status() != expected) {
    findings.wrong_statuses.push_back(
        absl::StrCat("Delete says ", deleted->exit_status(), " instead of ", expected));
  }
}

void LifeScenario::VerifyLostShim(FaultClient& client, Findings& findings) {
  const absl::Time deadline = absl::Now() + kPatience;
  absl::Status gone;
  do {
    gone = Get(client).status();
  } while (!absl::IsNotFound(gone) && absl::Now() < deadline);
  if (!absl::IsNotFound(gone)) {
    findings.leaks.push_back(absl::StrCat("the task of a lost shim stays: ", gone.message()));
  }
}

void LifeScenario::VerifyEvent(const TaskEvent& event, Victims victims, Findings& findings) {
  const std::string what = absl::StrCat(event.topic, " with status ", event.status);
  if (event.process == kExec) {
    // What a lost shim's container does to its processes is another matter.
    if (event.status == kExecCode || (event.status == kKilled && victims.shim)) return;
    findings.wrong_statuses.push_back(absl::StrCat("exec: ", what));
    return;
  }
  const bool stopped_kindly = Attempted("kill") || !victims.shim;  // by Verify at the latest
  const bool killed = victims.shim || !Acknowledged("start");
  const bool right = event.status == kExitCode ? stopped_kindly : event.status == kKilled && killed;
  const bool known = Acknowledged("wait") && event.status != kExitCode;
  if (!right || known) findings.wrong_statuses.push_back(what);
}

// Whoever was killed, subscribers that come back hear of every end of what was created.
void LifeScenario::VerifyEvents(FaultClient& client, Victims victims, Findings& findings) {
  if (!Acknowledged("create")) return;
  const bool exec_ends = Acknowledged("exec-start") && !victims.shim;
  // What was published may still be on its way to us.
  const absl::Time late = absl::Now() + kEventPatience;
  std::vector<TaskEvent> published;
  int exits = 0, deletes = 0, execs = 0;
  do {
    published = client.Events(id());
    exits = CountOf(published, "/tasks/exit", Whose::kFirst);
    deletes = CountOf(published, "/tasks/delete", Whose::kFirst);
    execs = CountOf(published, "/tasks/exit", Whose::kExec);
    if (exits > 0 && deletes > 0 && (execs > 0 || !exec_ends)) break;
    // This question sets the pace.
  } while (absl::Now() < late && !Get(client).ok());
  for (const TaskEvent& event : published) VerifyEvent(event, victims, findings);
  const auto lost = [&](absl::string_view what) {
    findings.lost_exits.push_back(
        absl::StrCat(what, " at ", absl::FormatTime("%H:%M:%E3S", absl::Now(), absl::UTCTimeZone()),
                     " (", client.Notes(), ")"));
  };
  if (exits == 0) lost("no exit event");
  if (deletes == 0) lost("no delete event");
  if (exec_ends && execs == 0) lost("no exit event of the exec");
  // A kill between an acknowledgement and the note of it leaves the event to be told twice, with
  // the same status (docs/formats/shim.md); never more often.
  if (exits > 2) findings.wrong_statuses.push_back(absl::StrCat(exits, " exit events"));
  if (deletes > 2) findings.wrong_statuses.push_back(absl::StrCat(deletes, " delete events"));
}

void LifeScenario::Remove(FaultClient& client, Findings& findings) {
  const auto check = [&](absl::string_view what, const absl::Status& status) {
    if (status.ok() || absl::IsNotFound(status)) return;
    findings.lost_objects.push_back(absl::StrCat(what, ": ", status.message()));
  };
  google::protobuf::Empty empty;
  containers::DeleteContainerRequest container;
  container.set_id(id());
  check("delete container", client.Call(client.containers_stub,
                                        &containers::Containers::Stub::Delete, container, &empty));
  snapshots::RemoveSnapshotRequest snapshot;
  snapshot.set_snapshotter(kSnapshotter);
  snapshot.set_key(id());
  check("remove snapshot",
        client.Call(client.snapshots_stub, &snapshots::Snapshots::Stub::Remove, snapshot, &empty));
}

void LifeScenario::Verify(FaultClient& client, Victims victims, Findings& findings) {
  VerifyRecords(client, findings);
  if (victims.shim) VerifyLostShim(client, findings);
  if (!victims.shim) VerifyRunsOn(client, findings);
  VerifyWaiter(victims, findings);
  VerifyExit(client, findings);
  VerifyEvents(client, victims, findings);
  Remove(client, findings);
  // The id can be used again: a whole life, undisturbed.
  if (!again_) return;
  std::mt19937_64 same(0);
  LifeScenario second(id(), same);
  if (const absl::Status lived = second.Run(client); !lived.ok()) {
    findings.lost_objects.push_back(
        absl::StrCat("a second life fails at ", second.under_way(), ": ", lived.message()));
    second.Remove(client, findings);
  }
}

}  // namespace

std::unique_ptr<Scenario> MakeLifeScenario(std::string id, std::mt19937_64& random) {
  return std::make_unique<LifeScenario>(std::move(id), random);
}

}  // namespace berth::fault
