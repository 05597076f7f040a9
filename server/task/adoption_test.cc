// What a daemon finds that starts after another, and what it makes of it.
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/journal/journal_format.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/ttrpc/client.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/containerd/task/v2/task.pb.h"
#include "server/task/testing/task_fixture.h"

namespace berth {
namespace {

namespace api = containerd::services::tasks::v1;
using containerd::v1::types::Status;
using testing::ElementsAre;
using testing::IsEmpty;

class AdoptionTest : public TaskFixture {
 protected:
  // Ends a shim while no daemon runs. This process is its parent, as the daemon was.
  void KillShim(const std::string& id) {
    const pid_t shim = ShimPid(id);
    ASSERT_GT(shim, 0);
    ::kill(shim, SIGKILL);
    ASSERT_EQ(::waitpid(shim, nullptr, 0), shim);
  }
  // Calls a shim as a daemon would, while none runs.
  void AskShim(const std::string& id, const std::string& method, std::string payload) {
    auto loop = Loop::Create();
    ASSERT_TRUE(loop.ok());
    auto socket = ConnectUnix(launcher_->SocketPath({"default", id}), SOCK_NONBLOCK);
    ASSERT_TRUE(socket.ok()) << socket.status();
    ttrpc::Client client(**loop, *std::move(socket), [](const absl::Status&) {});
    bool answered = false;
    client.Call("containerd.task.v2.Task", method, std::move(payload), {}, kPatience,
                [&](absl::StatusOr<std::string> answer) {
                  EXPECT_TRUE(answer.ok()) << answer.status();
                  answered = true;
                });
    while (!answered) ASSERT_TRUE((*loop)->RunOnce(kPatience).ok());
  }
  void RunContainer(const std::string& id, const std::string& behaviour = "") {
    AddContainer(id, behaviour);
    ASSERT_EQ(Create(id), absl::OkStatus());
    ASSERT_EQ(Start(id), absl::OkStatus());
  }
};

TEST_F(AdoptionTest, RunningTasksAreListedAndObeyTheNextDaemon) {
  for (const char* id : {"a", "b", "c"}) RunContainer(id);
  Restart();
  const auto list = Call(&TaskManager::List, api::ListTasksRequest());
  ASSERT_EQ(list->tasks_size(), 3);
  for (const auto& task : list->tasks()) EXPECT_EQ(task.status(), Status::RUNNING);
  EXPECT_EQ(Create("a").code(), absl::StatusCode::kAlreadyExists);
  auto wait = BeginWait("a");
  ASSERT_TRUE(Kill("a", SIGKILL).ok());
  EXPECT_EQ(wait.Get()->exit_status(), 137u);
  EXPECT_EQ(Delete("a")->exit_status(), 137u);
  EXPECT_TRUE(WaitForRemoval("a"));
  EXPECT_THAT(Events(), IsEmpty());
}

TEST_F(AdoptionTest, ListsComeFromJournalsAndSayWhatTheShimsSay) {
  for (const char* id : {"asked", "mute"}) {
    AddContainer(id, id == absl::string_view("mute") ? "hang-state" : "");
    api::CreateTaskRequest create;
    create.set_container_id(id);
    create.set_stdout("file:///dev/null");
    create.set_terminal(true);
    ASSERT_TRUE(Call(&TaskManager::Create, create).ok());
    ASSERT_EQ(Start(id), absl::OkStatus());
  }
  for (int daemon = 0; daemon < 2; ++daemon, Restart()) {
    const auto list = Call(&TaskManager::List, api::ListTasksRequest());
    ASSERT_TRUE(list.ok()) << list.status();
    ASSERT_EQ(list->tasks_size(), 2);
    const auto got = Get("asked");
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_EQ(list->tasks(0).DebugString(), got->DebugString());
    // Streams, which the answer for a shim that was asked in vain does not have.
    EXPECT_EQ(list->tasks(1).stdout(), "file:///dev/null");
    EXPECT_TRUE(list->tasks(1).terminal());
    EXPECT_EQ(list->tasks(1).status(), Status::RUNNING);
  }
}

TEST_F(AdoptionTest, AShimWhoseJournalDoesNotTellAllIsAsked) {
  RunContainer("old", "old-journal");
  RunContainer("mute", "old-journal hang-state");
  Restart();
  const auto list = Call(&TaskManager::List, api::ListTasksRequest());
  ASSERT_TRUE(list.ok()) << list.status();
  ASSERT_EQ(list->tasks_size(), 2);
  EXPECT_EQ(list->tasks(0).id(), "mute");
  EXPECT_EQ(list->tasks(0).status(), Status::RUNNING);  // as its journal says, in the end
  EXPECT_EQ(list->tasks(1).DebugString(), Get("old")->DebugString());
}

TEST_F(AdoptionTest, AnExitWhileNoDaemonRanIsKnownToTheShim) {
  RunContainer("web", "exit-7");
  ASSERT_EQ(BeginWait("web").Get()->exit_status(), 7u);
  Restart();
  EXPECT_EQ(Get("web")->status(), Status::STOPPED);
  EXPECT_EQ(BeginWait("web").Get()->exit_status(), 7u);
  EXPECT_EQ(Delete("web")->exit_status(), 7u);
}

TEST_F(AdoptionTest, AShimThatDiedWhileNoDaemonRanIsReconciled) {
  RunContainer("killed");
  RunContainer("ended", "exit-7");
  ASSERT_EQ(BeginWait("ended").Get()->exit_status(), 7u);
  EndDaemon();
  KillShim("killed");
  KillShim("ended");
  StartDaemon();
  ASSERT_TRUE(WaitForRemoval("killed"));
  ASSERT_TRUE(WaitForRemoval("ended"));
  EXPECT_THAT(Events(), testing::UnorderedElementsAre("exit killed 137", "delete killed 137",
                                                      "exit ended 7", "delete ended 7"));
  Restart();  // told once
  EXPECT_EQ(Call(&TaskManager::List, api::ListTasksRequest())->tasks_size(), 0);
  EXPECT_EQ(Events().size(), 4u);
}

TEST_F(AdoptionTest, WhatAKilledDaemonHasToldIsNotToldAgain) {
  RunContainer("web");
  EndDaemon();
  KillShim("web");
  ASSERT_TRUE(OpenFile(absl::StrCat(BundleOf("web"), "/announced"), O_WRONLY | O_CREAT, 0600).ok());
  StartDaemon();
  ASSERT_TRUE(WaitForRemoval("web"));
  EXPECT_THAT(Events(), IsEmpty());
}

TEST_F(AdoptionTest, ALostShimOfAnAdoptedTaskIsNoticed) {
  RunContainer("web");
  Restart();
  auto wait = BeginWait("web");
  ASSERT_TRUE(Get("web").ok());
  ::kill(ShimPid("web"), SIGKILL);
  EXPECT_EQ(wait.Get()->exit_status(), 137u);
  ASSERT_TRUE(WaitForRemoval("web"));
  EXPECT_THAT(Events(), ElementsAre("exit web 137", "delete web 137"));
}

TEST_F(AdoptionTest, TasksOfAnotherBootEndedWithIt) {
  RunContainer("web");
  EndDaemon();
  KillShim("web");
  auto header = journal::DecodeHeader(*ReadFile(absl::StrCat(BundleOf("web"), "/journal")));
  ASSERT_TRUE(header.ok());
  header->boot_id = "00000000-0000-0000-0000-000000000000";
  const std::string bytes = *journal::EncodeHeader(*header);
  const auto file = OpenFile(absl::StrCat(BundleOf("web"), "/journal"), O_WRONLY);
  ASSERT_EQ(::pwrite(file->get(), bytes.data(), bytes.size(), 0),
            static_cast<ssize_t>(bytes.size()));
  // Its command would fail: after a boot there is nothing to run it for.
  ASSERT_EQ(::symlink("/", absl::StrCat(BundleOf("web"), "/fail-delete").c_str()), 0);
  StartDaemon();
  ASSERT_TRUE(WaitForRemoval("web"));
  EXPECT_THAT(Events(), ElementsAre("exit web 255", "delete web 255"));
}

TEST_F(AdoptionTest, HalfMadeBundlesAreRemovedWithoutNews) {
  EndDaemon();
  const std::string bare = BundleOf("bare");
  ASSERT_TRUE(EnsureDirectory(absl::StrCat(bare, "/rootfs"), 0711).ok());
  ASSERT_TRUE(EnsureDirectory(BundleOf(".half-removed"), 0711).ok());
  StartDaemon();
  ASSERT_TRUE(WaitForRemoval("bare"));
  ASSERT_TRUE(WaitForRemoval(".half-removed"));
  EXPECT_THAT(Events(), IsEmpty());
  AddContainer("bare");
  EXPECT_EQ(Create("bare"), absl::OkStatus());
}

TEST_F(AdoptionTest, ACreateThatNobodyWaitsForAnyMoreIsUndone) {
  AddContainer("web", "deaf-create");
  api::CreateTaskRequest request;
  request.set_container_id("web");
  auto create = Begin<api::CreateTaskResponse>(&TaskManager::Create, request);
  const absl::Time deadline = absl::Now() + kPatience;
  while (ShimPid("web") < 0 && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(2));  // tidy: allow(sleep) polls, bounded
  }
  const pid_t shim = ShimPid("web");
  EndDaemon();
  EXPECT_EQ(create.Get().status().code(), absl::StatusCode::kUnavailable);
  StartDaemon();
  ASSERT_TRUE(WaitForRemoval("web"));
  EXPECT_EQ(::kill(shim, 0), -1);
  EXPECT_THAT(Events(), IsEmpty());
}

TEST_F(AdoptionTest, ADeleteThatWasCutShortIsFinished) {
  for (const bool shim_lives : {true, false}) {
    RunContainer("web", "exit-7");
    ASSERT_EQ(BeginWait("web").Get()->exit_status(), 7u);
    EndDaemon();
    // What the daemon has done when it is killed after the shim's answer to Delete.
    containerd::task::v2::DeleteRequest request;
    request.set_id("web");
    AskShim("web", "Delete", request.SerializeAsString());
    const pid_t shim = ShimPid("web");
    if (!shim_lives) KillShim("web");
    StartDaemon();
    EXPECT_EQ(Get("web").status().code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(Call(&TaskManager::List, api::ListTasksRequest())->tasks_size(), 0);
    ASSERT_TRUE(WaitForRemoval("web"));
    EXPECT_EQ(::kill(shim, 0), -1);
  }
  // The living shim tells by itself; for the killed one, whose news nobody acknowledged, we do.
  EXPECT_THAT(Events(), ElementsAre("exit web 7", "delete web 7"));
}

TEST_F(AdoptionTest, CreateWaitsForTheRemovalOfAnEarlierDaemonsRemains) {
  RunContainer("web");
  EndDaemon();
  KillShim("web");
  StartDaemon();
  EXPECT_EQ(Create("web"), absl::OkStatus());
  EXPECT_EQ(Get("web")->status(), Status::CREATED);
  EXPECT_THAT(Events(), ElementsAre("exit web 137", "delete web 137"));
}

}  // namespace
}  // namespace berth
