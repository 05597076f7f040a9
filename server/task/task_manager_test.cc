// What the Tasks service promises, with shims that behave and shims that do not.
#include <signal.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/containerd/runc/v1/options.pb.h"
#include "server/task/testing/task_fixture.h"

namespace berth {
namespace {

namespace api = containerd::services::tasks::v1;
using containerd::v1::types::Status;
using testing::ElementsAre;
using testing::HasSubstr;

using TaskManagerTest = TaskFixture;

bool IsAlive(pid_t pid) { return ::kill(pid, 0) == 0; }

TEST_F(TaskManagerTest, ATaskLivesFromCreateToDeleteAndLeavesNothing) {
  AddContainer("web");
  ASSERT_EQ(Create("web"), absl::OkStatus());
  EXPECT_EQ(Get("web")->status(), Status::CREATED);
  EXPECT_EQ(Get("web")->id(), "web");
  ASSERT_EQ(Start("web"), absl::OkStatus());
  EXPECT_EQ(Get("web")->status(), Status::RUNNING);
  const pid_t shim = ShimPid("web");
  ASSERT_GT(shim, 0);
  EXPECT_EQ(::getsid(shim), shim);

  auto wait = BeginWait("web");
  EXPECT_EQ(Delete("web").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(wait.IsDone());
  ASSERT_TRUE(Kill("web", SIGTERM).ok());
  EXPECT_EQ(wait.Get()->exit_status(), 143u);
  EXPECT_EQ(Kill("web", SIGTERM).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(BeginWait("web").Get()->exit_status(), 143u);

  const auto deleted = Delete("web");
  ASSERT_TRUE(deleted.ok()) << deleted.status();
  EXPECT_EQ(deleted->exit_status(), 143u);
  EXPECT_EQ(deleted->id(), "web");
  EXPECT_GT(deleted->exited_at().seconds(), 0);
  EXPECT_EQ(Get("web").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Delete("web").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Call(&TaskManager::List, api::ListTasksRequest())->tasks_size(), 0);
  // What nobody sees any more goes after the answer.
  EXPECT_TRUE(WaitForRemoval("web"));
  EXPECT_EQ(::access(launcher_->SocketPath({"default", "web"}).c_str(), F_OK), -1);
  EXPECT_FALSE(IsAlive(shim));
  EXPECT_TRUE(Events().empty());  // the shim itself reports what it does
}

TEST_F(TaskManagerTest, AnIdThatWasDeletedIsFreeAtOnce) {
  AddContainer("web");
  for (int life = 0; life < 20; ++life) {
    ASSERT_EQ(Create("web"), absl::OkStatus()) << life;
    ASSERT_EQ(Start("web"), absl::OkStatus());
    auto wait = BeginWait("web");
    ASSERT_TRUE(Kill("web", SIGKILL).ok());
    ASSERT_EQ(wait.Get()->exit_status(), 137u);
    ASSERT_TRUE(Delete("web").ok());
  }
  EXPECT_TRUE(WaitForRemoval("web"));
}

TEST_F(TaskManagerTest, TheBundleHasContainerdsShape) {
  AddContainer("web");
  ASSERT_EQ(Create("web"), absl::OkStatus());
  for (const char* file : {"config.json", "rootfs", "work", "journal"}) {
    EXPECT_EQ(::access(absl::StrCat(BundleOf("web"), "/", file).c_str(), F_OK), 0) << file;
  }
}

TEST_F(TaskManagerTest, NamesAreCheckedAndKeptApart) {
  AddContainer("web");
  ASSERT_EQ(Create("web"), absl::OkStatus());
  EXPECT_EQ(Create("web").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Create("unknown").code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(BundleExists("unknown"));
  EXPECT_EQ(Create("../web").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Get("").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Get("other").status().code(), absl::StatusCode::kNotFound);
  Pending<api::GetResponse> elsewhere;
  api::GetRequest request;
  request.set_container_id("web");
  manager_->Get({"moby", absl::InfiniteFuture()}, request, elsewhere.Done());
  EXPECT_EQ(elsewhere.Get().status().code(), absl::StatusCode::kNotFound);
}

TEST_F(TaskManagerTest, CheckpointsAreUnimplemented) {
  AddContainer("web");
  api::CreateTaskRequest restore;
  restore.set_container_id("web");
  restore.mutable_checkpoint()->set_digest("sha256:00");
  EXPECT_EQ(Call(&TaskManager::Create, restore).status().code(), absl::StatusCode::kUnimplemented);
  restore.clear_checkpoint();
  containerd::runc::v1::Options options;
  options.set_criu_image_path("/image");
  restore.mutable_options()->set_type_url("containerd.runc.v1.Options");
  restore.mutable_options()->set_value(options.SerializeAsString());
  EXPECT_EQ(Call(&TaskManager::Create, restore).status().code(), absl::StatusCode::kUnimplemented);
  ASSERT_EQ(Create("web"), absl::OkStatus());
  api::CheckpointTaskRequest checkpoint;
  checkpoint.set_container_id("web");
  EXPECT_EQ(Call(&TaskManager::Checkpoint, checkpoint).status().code(),
            absl::StatusCode::kUnimplemented);
}

TEST_F(TaskManagerTest, AFailedCreateTellsTheShimsReasonAndFreesTheId) {
  AddContainer("web", "fail-create");
  const absl::Status failed = Create("web");
  EXPECT_EQ(failed.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(failed.message(), "the spec is bad");
  EXPECT_FALSE(BundleExists("web"));
  AddContainer("web");
  EXPECT_EQ(Create("web"), absl::OkStatus());
  EXPECT_TRUE(Events().empty());
}

TEST_F(TaskManagerTest, AShimThatDiesInCreateIsCleanedUpAndItsLastWordsAreTold) {
  AddContainer("web", "crash-create");
  const absl::Status failed = Create("web");
  EXPECT_EQ(failed.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(failed.message()), HasSubstr("fake shim gives up"));
  EXPECT_FALSE(BundleExists("web"));
  EXPECT_TRUE(Events().empty());  // a container that never was has no exit
}

TEST_F(TaskManagerTest, KillCancelsARunningCreate) {
  for (const char* behaviour : {"hang-create", "deaf-create"}) {
    AddContainer("web", behaviour);
    api::CreateTaskRequest request;
    request.set_container_id("web");
    auto create = Begin<api::CreateTaskResponse>(&TaskManager::Create, request);
    // The shim's own record says that Create has reached it.
    const absl::Time deadline = absl::Now() + kPatience;
    while (ShimPid("web") < 0 && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(2));  // tidy: allow(sleep) polls, bounded
    }
    EXPECT_EQ(Get("web").status().code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(Create("web").code(), absl::StatusCode::kAlreadyExists);
    EXPECT_TRUE(Kill("web", SIGKILL).ok());
    EXPECT_EQ(create.Get().status().code(), absl::StatusCode::kCancelled) << behaviour;
    EXPECT_FALSE(BundleExists("web"));
  }
}

TEST_F(TaskManagerTest, AClientThatLeavesDuringCreateTakesTheTaskAlong) {
  AddContainer("web", "hang-create");
  api::CreateTaskRequest request;
  request.set_container_id("web");
  auto create = Begin<api::CreateTaskResponse>(&TaskManager::Create, request);
  manager_->CancelCreate({"default", "web"});
  EXPECT_EQ(create.Get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(BundleExists("web"));
}

TEST_F(TaskManagerTest, ACreateThatMissesItsDeadlineIsUndone) {
  AddContainer("web", "deaf-create");
  api::CreateTaskRequest request;
  request.set_container_id("web");
  const auto late =
      Call(&TaskManager::Create, request, absl::Now() + absl::Milliseconds(300)).status();
  EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(BundleExists("web"));
}

TEST_F(TaskManagerTest, AHungStartHoldsUpOnlyItsContainersChanges) {
  AddContainer("hung", "hang-start");
  AddContainer("web");
  ASSERT_EQ(Create("hung"), absl::OkStatus());
  ASSERT_EQ(Create("web"), absl::OkStatus());
  api::StartRequest start;
  start.set_container_id("hung");
  auto hung =
      Begin<api::StartResponse>(&TaskManager::Start, start, absl::Now() + absl::Milliseconds(600));
  // Others are not concerned, and neither are calls that do not change this one.
  EXPECT_EQ(Start("web"), absl::OkStatus());
  EXPECT_TRUE(Get("hung").ok());
  EXPECT_TRUE(Kill("hung", SIGKILL).ok());
  api::DeleteTaskRequest remove;
  remove.set_container_id("hung");
  EXPECT_EQ(
      Call(&TaskManager::Delete, remove, absl::Now() + absl::Milliseconds(100)).status().code(),
      absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(hung.Get().status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(Delete("hung").ok());
}

TEST_F(TaskManagerTest, ListShowsEveryTaskEvenOneWhoseShimHangs) {
  AddContainer("a");
  AddContainer("b", "hang-state");
  AddContainer("c");
  for (const char* id : {"c", "a", "b"}) ASSERT_EQ(Create(id), absl::OkStatus());
  ASSERT_EQ(Start("c"), absl::OkStatus());
  const auto list = Call(&TaskManager::List, api::ListTasksRequest());
  ASSERT_TRUE(list.ok());
  ASSERT_EQ(list->tasks_size(), 3);
  EXPECT_EQ(list->tasks(0).id(), "a");
  EXPECT_EQ(list->tasks(0).status(), Status::CREATED);
  EXPECT_EQ(list->tasks(1).id(), "b");
  EXPECT_EQ(list->tasks(1).status(), Status::CREATED);  // as its journal says
  EXPECT_GT(list->tasks(1).pid(), 0u);
  EXPECT_EQ(list->tasks(2).status(), Status::RUNNING);
  // Later lists do not wait for it: this one would give up before its answer.
  const auto again = Call(&TaskManager::List, api::ListTasksRequest());
  ASSERT_EQ(again->tasks_size(), 3);
  EXPECT_EQ(again->tasks(1).status(), Status::CREATED);
  Pending<api::ListTasksResponse> elsewhere;
  manager_->List({"moby", absl::InfiniteFuture()}, {}, elsewhere.Done());
  EXPECT_EQ(elsewhere.Get()->tasks_size(), 0);
}

TEST_F(TaskManagerTest, MetricsComeForWhatTheFilterNames) {
  AddContainer("a");
  AddContainer("b");
  ASSERT_EQ(Create("a"), absl::OkStatus());
  ASSERT_EQ(Create("b"), absl::OkStatus());
  api::MetricsRequest request;
  EXPECT_EQ(Call(&TaskManager::Metrics, request)->metrics_size(), 2);
  request.add_filters("id==b");
  const auto metrics = Call(&TaskManager::Metrics, request);
  ASSERT_EQ(metrics->metrics_size(), 1);
  EXPECT_EQ(metrics->metrics(0).id(), "b");
  EXPECT_EQ(metrics->metrics(0).data().type_url(), "io.containerd.cgroups.v1.Metrics");
  request.add_filters("id==");
  EXPECT_EQ(Call(&TaskManager::Metrics, request).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(TaskManagerTest, ExecsHaveTheirOwnLifeAndExit) {
  AddContainer("web");
  ASSERT_EQ(Create("web"), absl::OkStatus());
  ASSERT_EQ(Start("web"), absl::OkStatus());
  api::ExecProcessRequest exec;
  exec.set_container_id("web");
  EXPECT_EQ(Call(&TaskManager::Exec, exec).status().code(), absl::StatusCode::kInvalidArgument);
  exec.set_exec_id("probe");
  ASSERT_TRUE(Call(&TaskManager::Exec, exec).ok());
  EXPECT_EQ(Call(&TaskManager::Exec, exec).status().code(), absl::StatusCode::kAlreadyExists);
  api::StartRequest start;
  start.set_container_id("web");
  start.set_exec_id("probe");
  EXPECT_TRUE(Call(&TaskManager::Start, start).ok());
  auto wait = BeginWait("web", "probe");
  api::KillRequest kill;
  kill.set_container_id("web");
  kill.set_exec_id("probe");
  kill.set_signal(SIGKILL);
  EXPECT_TRUE(Call(&TaskManager::Kill, kill).ok());
  EXPECT_EQ(wait.Get()->exit_status(), 137u);
  api::DeleteProcessRequest remove;
  remove.set_container_id("web");
  EXPECT_EQ(Call(&TaskManager::DeleteProcess, remove).status().code(),
            absl::StatusCode::kInvalidArgument);
  remove.set_exec_id("probe");
  const auto removed = Call(&TaskManager::DeleteProcess, remove);
  ASSERT_TRUE(removed.ok());
  EXPECT_EQ(removed->id(), "probe");
  EXPECT_EQ(removed->exit_status(), 137u);
  EXPECT_EQ(BeginWait("web", "probe").Get().status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Get("web")->status(), Status::RUNNING);
}

TEST_F(TaskManagerTest, ManyWaitersAreAnsweredAndACancelledOneIsNot) {
  AddContainer("web");
  ASSERT_EQ(Create("web"), absl::OkStatus());
  ASSERT_EQ(Start("web"), absl::OkStatus());
  std::vector<Pending<api::WaitResponse>> waits;
  for (int i = 0; i < 50; ++i) waits.push_back(BeginWait("web"));
  Pending<api::WaitResponse> cancelled;
  api::WaitRequest request;
  request.set_container_id("web");
  const auto ticket =
      manager_->Wait({"default", absl::InfiniteFuture()}, request, cancelled.Done());
  manager_->CancelWait(ticket);
  ASSERT_TRUE(Kill("web", SIGKILL).ok());
  for (auto& wait : waits) EXPECT_EQ(wait.Get()->exit_status(), 137u);
  EXPECT_FALSE(cancelled.IsDone());
}

TEST_F(TaskManagerTest, ALostShimIsReconciledAndItsWaitersAnswered) {
  AddContainer("web");
  ASSERT_EQ(Create("web"), absl::OkStatus());
  ASSERT_EQ(Start("web"), absl::OkStatus());
  auto wait = BeginWait("web");
  ASSERT_TRUE(Get("web").ok());  // the wait is under way
  ::kill(ShimPid("web"), SIGKILL);
  EXPECT_EQ(wait.Get()->exit_status(), 137u);
  ASSERT_TRUE(WaitForRemoval("web"));
  EXPECT_THAT(Events(), ElementsAre("exit web 137", "delete web 137"));
  // The id is free at once for whoever asks again.
  EXPECT_EQ(Create("web"), absl::OkStatus());
}

TEST_F(TaskManagerTest, TheExitThatALostShimRecordedIsTheOneThatIsPublished) {
  AddContainer("web", "exit-7");
  ASSERT_EQ(Create("web"), absl::OkStatus());
  ASSERT_EQ(Start("web"), absl::OkStatus());
  ASSERT_EQ(BeginWait("web").Get()->exit_status(), 7u);
  ::kill(ShimPid("web"), SIGKILL);
  ASSERT_TRUE(WaitForRemoval("web"));
  EXPECT_THAT(Events(), ElementsAre("exit web 7", "delete web 7"));
}

TEST_F(TaskManagerTest, ExecsOfALostShimEndBeforeInit) {
  AddContainer("web");
  ASSERT_EQ(Create("web"), absl::OkStatus());
  ASSERT_EQ(Start("web"), absl::OkStatus());
  for (const char* exec_id : {"one", "two"}) {
    api::ExecProcessRequest exec;
    exec.set_container_id("web");
    exec.set_exec_id(exec_id);
    ASSERT_TRUE(Call(&TaskManager::Exec, exec).ok());
  }
  api::StartRequest start;
  start.set_container_id("web");
  start.set_exec_id("one");  // "two" never starts, and so never ends
  ASSERT_TRUE(Call(&TaskManager::Start, start).ok());
  auto wait = BeginWait("web", "one");
  ASSERT_TRUE(Get("web").ok());
  ::kill(ShimPid("web"), SIGKILL);
  EXPECT_EQ(wait.Get()->exit_status(), 137u);
  ASSERT_TRUE(WaitForRemoval("web"));
  EXPECT_THAT(Events(), ElementsAre("exit one 137", "exit web 137", "delete web 137"));
}

TEST_F(TaskManagerTest, ADeleteCommandThatFailsIsTriedAgainAndTheExitIsToldMeanwhile) {
  AddContainer("web");
  ASSERT_EQ(Create("web"), absl::OkStatus());
  ASSERT_EQ(Start("web"), absl::OkStatus());
  const std::string obstacle = absl::StrCat(BundleOf("web"), "/fail-delete");
  ASSERT_EQ(::symlink("/", obstacle.c_str()), 0);
  auto wait = BeginWait("web");
  ::kill(ShimPid("web"), SIGKILL);
  EXPECT_EQ(wait.Get()->exit_status(), 255u);
  EXPECT_TRUE(BundleExists("web"));
  const auto list = Call(&TaskManager::List, api::ListTasksRequest());
  ASSERT_EQ(list->tasks_size(), 1);
  EXPECT_EQ(list->tasks(0).status(), Status::UNKNOWN);
  EXPECT_EQ(Get("web").status().code(), absl::StatusCode::kUnavailable);
  ASSERT_EQ(::unlink(obstacle.c_str()), 0);
  ASSERT_TRUE(WaitForRemoval("web"));
  EXPECT_THAT(Events(), ElementsAre("exit web 255", "delete web 255"));
}

TEST_F(TaskManagerTest, StopAnswersWaitersAndLeavesShims) {
  AddContainer("web");
  ASSERT_EQ(Create("web"), absl::OkStatus());
  ASSERT_EQ(Start("web"), absl::OkStatus());
  auto wait = BeginWait("web");
  ASSERT_TRUE(Get("web").ok());
  const pid_t shim = ShimPid("web");
  manager_->Stop();
  EXPECT_EQ(wait.Get().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Get("web").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(IsAlive(shim));
  EXPECT_TRUE(Events().empty());
}

}  // namespace
}  // namespace berth
