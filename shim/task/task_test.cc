#include "shim/task/task.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace berth::task {
namespace {

using absl::StatusCode;

const absl::Time kLater = absl::UnixEpoch() + absl::Hours(1);

Task Created() {
  Task task("c", Stdio{});
  task.CreateFinished(10);
  return task;
}

Task Running() {
  Task task = Created();
  EXPECT_TRUE(task.BeginStart("").ok());
  EXPECT_TRUE(task.StartFinished("", 10).empty());
  return task;
}

Task RunningWithExec() {
  Task task = Running();
  EXPECT_TRUE(task.AddExec("e", Stdio{}).ok());
  EXPECT_TRUE(task.BeginStart("e").ok());
  EXPECT_TRUE(task.StartFinished("e", 20).empty());
  return task;
}

std::vector<std::string> Ids(const std::vector<Exit>& exits) {
  std::vector<std::string> ids;
  for (const Exit& exit : exits) ids.push_back(exit.exec_id.empty() ? "init" : exit.exec_id);
  return ids;
}

using Names = std::vector<std::string>;

TEST(TaskTest, LifeOfInitPassesThroughItsStates) {
  Task task("c", Stdio{});
  EXPECT_EQ(task.init().state, State::kCreating);
  EXPECT_EQ(task.BeginStart("").code(), StatusCode::kFailedPrecondition);
  task.CreateFinished(10);
  EXPECT_EQ(task.init().state, State::kCreated);
  ASSERT_TRUE(task.BeginStart("").ok());
  EXPECT_EQ(task.BeginStart("").code(), StatusCode::kFailedPrecondition);
  task.StartFinished("", 10);
  EXPECT_EQ(task.init().state, State::kRunning);
  EXPECT_EQ(task.BeginDelete("").code(), StatusCode::kFailedPrecondition);
  const auto exits = task.Exited("", 137, kLater);
  ASSERT_EQ(Ids(exits), Names{"init"});
  EXPECT_EQ(exits[0].status, 137u);
  EXPECT_EQ(exits[0].pid, 10);
  EXPECT_EQ(task.init().state, State::kStopped);
  EXPECT_EQ(task.init().exit_status, 137u);
  EXPECT_EQ(task.init().exited_at, kLater);
  ASSERT_TRUE(task.BeginDelete("").ok());
  EXPECT_EQ(task.BeginDelete("").code(), StatusCode::kAlreadyExists);
  task.DeleteFailed("");
  EXPECT_TRUE(task.BeginDelete("").ok());
}

TEST(TaskTest, UnknownExecIsNotFound) {
  Task task = Running();
  EXPECT_EQ(task.Find("x").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(task.BeginStart("x").code(), StatusCode::kNotFound);
  EXPECT_EQ(task.BeginDelete("x").code(), StatusCode::kNotFound);
  EXPECT_EQ(task.CheckSignal("x").code(), StatusCode::kNotFound);
}

TEST(TaskTest, ExecIdIsUsedOnce) {
  Task task = RunningWithExec();
  EXPECT_EQ(task.AddExec("e", Stdio{}).code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(task.AddExec("c", Stdio{}).code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(task.AddExec("", Stdio{}).code(), StatusCode::kInvalidArgument);
  task.Exited("e", 0, kLater);
  EXPECT_EQ(task.AddExec("e", Stdio{}).code(), StatusCode::kAlreadyExists);
  ASSERT_TRUE(task.BeginDelete("e").ok());
  task.ForgetExec("e");
  EXPECT_TRUE(task.AddExec("e", Stdio{}).ok());
}

TEST(TaskTest, SignalDependsOnTheState) {
  Task task = RunningWithExec();
  ASSERT_TRUE(task.AddExec("added", Stdio{}).ok());
  EXPECT_TRUE(task.CheckSignal("").ok());
  EXPECT_TRUE(task.CheckSignal("e").ok());
  EXPECT_EQ(task.CheckSignal("added").code(), StatusCode::kFailedPrecondition);
  task.Exited("e", 0, kLater);
  EXPECT_EQ(task.CheckSignal("e"), absl::NotFoundError("process already finished"));
  task.Exited("", 0, kLater);
  EXPECT_EQ(task.CheckSignal(""), absl::NotFoundError("process already finished"));
}

TEST(TaskTest, ExitDuringStartIsToldAfterTheStart) {
  Task task = Created();
  ASSERT_TRUE(task.BeginStart("").ok());
  EXPECT_TRUE(task.Exited("", 3, kLater).empty());
  EXPECT_EQ(task.init().state, State::kStarting);
  EXPECT_EQ(Ids(task.StartFinished("", 10)), Names{"init"});
  EXPECT_EQ(task.init().exit_status, 3u);
}

TEST(TaskTest, ExecThatEndsDuringItsStartIsToldAfterTheStart) {
  Task task = Running();
  ASSERT_TRUE(task.AddExec("e", Stdio{}).ok());
  ASSERT_TRUE(task.BeginStart("e").ok());
  EXPECT_TRUE(task.Exited("e", 4, kLater).empty());
  const auto exits = task.StartFinished("e", 21);
  ASSERT_EQ(Ids(exits), Names{"e"});
  EXPECT_EQ(exits[0].pid, 21);
}

TEST(TaskTest, InitIsAnnouncedAfterTheLastExec) {
  Task task = RunningWithExec();
  ASSERT_TRUE(task.AddExec("f", Stdio{}).ok());
  ASSERT_TRUE(task.BeginStart("f").ok());
  EXPECT_TRUE(task.Exited("", 0, kLater).empty());
  EXPECT_EQ(task.init().state, State::kRunning);
  EXPECT_FALSE(task.AllExited());
  EXPECT_EQ(Ids(task.Exited("e", 137, kLater)), Names{"e"});
  EXPECT_TRUE(task.Exited("f", 137, kLater).empty());
  EXPECT_EQ(Ids(task.StartFinished("f", 22)), (Names{"f", "init"}));
  EXPECT_TRUE(task.AllExited());
}

TEST(TaskTest, ExecThatWasNeverStartedDoesNotHoldInit) {
  Task task = Running();
  ASSERT_TRUE(task.AddExec("e", Stdio{}).ok());
  EXPECT_EQ(Ids(task.Exited("", 0, kLater)), Names{"init"});
  EXPECT_EQ(task.BeginStart("e").code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(task.AddExec("f", Stdio{}).code(), StatusCode::kFailedPrecondition);
}

TEST(TaskTest, ExecCannotStartOnceInitHasEndedEvenIfItsExitIsHeld) {
  Task task = RunningWithExec();
  ASSERT_TRUE(task.AddExec("late", Stdio{}).ok());
  EXPECT_TRUE(task.Exited("", 0, kLater).empty());
  EXPECT_EQ(task.BeginStart("late").code(), StatusCode::kFailedPrecondition);
}

TEST(TaskTest, FailedExecStartIsSilentAndLeavesStatus255) {
  Task task = Running();
  ASSERT_TRUE(task.AddExec("e", Stdio{}).ok());
  ASSERT_TRUE(task.BeginStart("e").ok());
  const auto exits = task.StartFailed("e", kLater);
  ASSERT_EQ(Ids(exits), Names{"e"});
  EXPECT_EQ(exits[0].event, Exit::Event::kSilent);
  EXPECT_EQ((*task.Find("e"))->exit_status, 255u);
  EXPECT_TRUE(task.Exited("e", 1, kLater).empty());
  EXPECT_TRUE(task.BeginDelete("e").ok());
}

TEST(TaskTest, FailedInitStartEndsWithItsProcess) {
  Task task = Created();
  ASSERT_TRUE(task.BeginStart("").ok());
  EXPECT_TRUE(task.StartFailed("", kLater).empty());
  EXPECT_EQ(Ids(task.Exited("", 1, kLater)), Names{"init"});
  EXPECT_EQ(task.init().state, State::kStopped);
}

TEST(TaskTest, InitThatEndedBeforeItsStartFailedIsTold) {
  Task task = Created();
  ASSERT_TRUE(task.BeginStart("").ok());
  EXPECT_TRUE(task.Exited("", 1, kLater).empty());
  EXPECT_EQ(Ids(task.StartFailed("", kLater)), Names{"init"});
}

TEST(TaskTest, CreatedTaskThatIsKilledStops) {
  Task task = Created();
  EXPECT_TRUE(task.CheckSignal("").ok());
  EXPECT_TRUE(task.BeginDelete("").ok());
  EXPECT_EQ(task.init().state, State::kCreated);
  EXPECT_EQ(Ids(task.Exited("", 137, kLater)), Names{"init"});
  EXPECT_TRUE(task.BeginDelete("").ok());
  EXPECT_EQ(task.init().state, State::kDeleting);
}

TEST(TaskTest, PauseAndResumeNeedTheRightState) {
  Task task = Running();
  EXPECT_EQ(task.BeginResume().code(), StatusCode::kFailedPrecondition);
  ASSERT_TRUE(task.BeginPause().ok());
  EXPECT_EQ(task.init().state, State::kPausing);
  EXPECT_EQ(task.BeginPause().code(), StatusCode::kFailedPrecondition);
  task.FreezeFinished(State::kPaused);
  EXPECT_EQ(task.init().state, State::kPaused);
  EXPECT_EQ(task.AddExec("e", Stdio{}).code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(task.CheckSignal("").ok());
  ASSERT_TRUE(task.BeginResume().ok());
  task.FreezeFinished(State::kRunning);
  EXPECT_EQ(task.init().state, State::kRunning);
}

TEST(TaskTest, ExitWhilePausingIsNotUndone) {
  Task task = Running();
  ASSERT_TRUE(task.BeginPause().ok());
  EXPECT_EQ(Ids(task.Exited("", 137, kLater)), Names{"init"});
  task.FreezeFinished(State::kPaused);
  EXPECT_EQ(task.init().state, State::kStopped);
}

TEST(TaskTest, UpdateNeedsAContainer) {
  Task task("c", Stdio{});
  EXPECT_EQ(task.CheckUpdate().code(), StatusCode::kFailedPrecondition);
  task.CreateFinished(1);
  EXPECT_TRUE(task.CheckUpdate().ok());
  task.Exited("", 0, kLater);
  EXPECT_EQ(task.CheckUpdate().code(), StatusCode::kFailedPrecondition);
}

TEST(TaskGenerationTest, NextGenerationBeginsAnewAndFailingLeavesTheLastEnd) {
  Task task("c", Stdio{.in = "", .out = "first", .err = ""});
  task.CreateFinished(10);
  ASSERT_TRUE(task.BeginStart("").ok());
  (void)task.StartFinished("", 10);
  ASSERT_TRUE(task.AddExec("e", Stdio{}).ok());
  ASSERT_EQ(task.Exited("", 3, absl::FromUnixSeconds(5)).size(), 1u);
  ASSERT_TRUE(task.BeginDelete("").ok());
  task.NextGeneration(Stdio{.in = "", .out = "later", .err = ""});
  EXPECT_EQ(task.init().state, State::kCreating);
  EXPECT_EQ(task.init().stdio.out, "later");
  EXPECT_EQ(task.init().exit_status, 0u);
  EXPECT_FALSE(task.Find("e").ok());
  task.NextGenerationFailed(10, 3, absl::FromUnixSeconds(5));
  EXPECT_EQ(task.init().state, State::kStopped);
  EXPECT_EQ(task.init().exit_status, 3u);
  task.NextGeneration(Stdio{});
  task.CreateFinished(11);
  ASSERT_TRUE(task.BeginStart("").ok());
  (void)task.StartFinished("", 11);
  const std::vector<Exit> exits = task.Exited("", 0, absl::FromUnixSeconds(6));
  ASSERT_EQ(exits.size(), 1u);
  EXPECT_EQ(exits[0].pid, 11);
}

TEST(TaskHandoverTest, AnotherTaskGoesOnWithTheSameProcesses) {
  Task first("c", Stdio{.in = "", .out = "out", .err = ""});
  first.CreateFinished(10);
  ASSERT_TRUE(first.BeginStart("").ok());
  (void)first.StartFinished("", 10);
  ASSERT_TRUE(first.AddExec("runs", Stdio{}).ok());
  ASSERT_TRUE(first.BeginStart("runs").ok());
  (void)first.StartFinished("runs", 11);
  ASSERT_TRUE(first.AddExec("waits", Stdio{.in = "", .out = "w", .err = ""}).ok());
  // Held back until the exec has ended.
  ASSERT_TRUE(first.Exited("", 3, absl::FromUnixSeconds(5)).empty());

  Task second("c", Stdio{});
  ASSERT_TRUE(second.Resume(first.Save()).ok());
  EXPECT_EQ(second.init().state, State::kRunning);
  EXPECT_EQ(second.init().stdio.out, "out");
  EXPECT_EQ((*second.Find("waits"))->stdio.out, "w");
  EXPECT_FALSE(second.BeginStart("waits").ok()) << "init has ended";
  const std::vector<Exit> exits = second.Exited("runs", 4, absl::FromUnixSeconds(6));
  ASSERT_EQ(exits.size(), 2u);
  EXPECT_EQ(exits[0].exec_id, "runs");
  EXPECT_EQ(exits[1].exec_id, "");
  EXPECT_EQ(exits[1].status, 3u);
  EXPECT_EQ(exits[1].at, absl::FromUnixSeconds(5));
}

TEST(TaskHandoverTest, WhatCannotBeIsRefused) {
  const auto resume = [](std::vector<Task::Saved> processes) {
    Task task("c", Stdio{});
    return task.Resume(std::move(processes)).code();
  };
  const auto of = [](const std::string& exec_id, State state) {
    Task::Saved saved;
    saved.process.exec_id = exec_id;
    saved.process.state = state;
    return saved;
  };
  EXPECT_EQ(resume({of("", State::kRunning)}), StatusCode::kOk);
  EXPECT_EQ(resume({of("e", State::kRunning)}), StatusCode::kFailedPrecondition);
  EXPECT_EQ(resume({of("", State::kStarting)}), StatusCode::kFailedPrecondition);
  EXPECT_EQ(resume({of("", static_cast<State>(99))}), StatusCode::kFailedPrecondition);
  EXPECT_EQ(resume({of("", State::kRunning), of("", State::kRunning)}),
            StatusCode::kFailedPrecondition);
  EXPECT_EQ(resume({of("", State::kRunning), of("e", State::kAdded), of("e", State::kAdded)}),
            StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace berth::task
