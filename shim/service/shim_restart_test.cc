// Restart policies and health checks of the built berth-shim, with real containers.
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <string>

#include "proto/berth/shim/v1/supervisor.pb.h"
#include "shim/service/shim_fixture.h"

namespace berth::service {
namespace {

namespace v1 = berth::shim::v1;
using Policy = v1::RestartPolicy;
using Phase = v1::GetStatusResponse;

class ShimRestartTest : public ShimTest {
 protected:
  template <typename Response, typename Request>
  absl::StatusOr<Response> Supervise(const char* method, Request request) {
    request.set_id("c");
    auto result = std::make_shared<Result<Response>>();
    client_->Call("berth.shim.v1.Supervisor", method, request.SerializeAsString(), {},
                  absl::Seconds(20), [result](absl::StatusOr<std::string> payload) {
                    if (!payload.ok()) {
                      *result = payload.status();
                      return;
                    }
                    Response response;
                    EXPECT_TRUE(response.ParseFromString(*payload));
                    *result = std::move(response);
                  });
    if (!RunUntil([&] { return result->has_value(); })) return absl::InternalError("no answer");
    return **result;
  }
  absl::Status SetPolicy(const v1::SetPolicyRequest& request) {
    return Supervise<v1::SetPolicyResponse>("SetPolicy", request).status();
  }
  absl::Status SetRestart(Policy::Mode mode, int first_backoff_ms = 10) {
    v1::SetPolicyRequest request;
    request.mutable_restart()->set_mode(mode);
    request.mutable_restart()->mutable_first_backoff()->set_nanos(first_backoff_ms * 1'000'000);
    return SetPolicy(request);
  }
  absl::Status MarkStopped() {
    v1::MarkStoppedRequest request;
    request.set_stopped(true);
    return Supervise<v1::MarkStoppedResponse>("MarkStopped", request).status();
  }
  v1::GetStatusResponse GetStatus() {
    const auto status = Supervise<v1::GetStatusResponse>("GetStatus", v1::GetStatusRequest());
    EXPECT_TRUE(status.ok()) << status.status();
    return status.value_or(v1::GetStatusResponse());
  }
  bool WaitForGeneration(uint32_t generation, Phase::Phase phase) {
    return RunUntil([&] {
      const auto status = GetStatus();
      return status.generation() == generation && status.phase() == phase;
    });
  }
  std::string Counter() {
    const auto text = ReadFile(absl::StrCat(bundle_, "/rootfs/tmp/count"));
    return text.ok() ? *text : "";
  }
};

TEST_F(ShimRestartTest, EachRestartIsAGenerationWithItsEventsInOrder) {
  // The same root filesystem: what the generations wrote adds up.
  RunTask(
      "until [ -e /tmp/go ]; do sleep 0.01; done; echo x >> /tmp/count; "
      "[ $(wc -l < /tmp/count) -ge 3 ] && sleep 100; exit 7");
  ASSERT_TRUE(SetRestart(Policy::ALWAYS).ok());
  ASSERT_EQ(::mkdir(absl::StrCat(bundle_, "/rootfs/tmp/go").c_str(), 0755), 0);
  ASSERT_TRUE(WaitForGeneration(3, Phase::RUNNING)) << ShimLog();
  ASSERT_TRUE(RunUntil([&] { return events_.size() >= 10; }));
  EXPECT_EQ(events_, (Names{"create", "start", "exit c 7", "delete", "create", "start", "exit c 7",
                            "delete", "create", "start"}));
  const auto status = GetStatus();
  EXPECT_EQ(status.restarts(), 2u);
  EXPECT_EQ(status.last_exit().generation(), 2u);
  EXPECT_EQ(status.last_exit().status(), 7u);
  EXPECT_NE(status.last_exit().pid(), status.pid());
  EXPECT_EQ(State()->pid(), status.pid());
  EXPECT_TRUE(RunUntil([&] { return Counter() == "x\nx\nx\n"; })) << Counter();
  ASSERT_TRUE(RunUntil([&] {
    const auto journal = journal::ReadJournal(bundle_);
    return journal.ok() && journal->generations.empty();
  }));
  EXPECT_EQ(journal::ReadJournal(bundle_)->init.generation, 3u);
  // A user stops it: MarkStopped first, then the signal.
  ASSERT_TRUE(MarkStopped().ok());
  ASSERT_TRUE(Kill(SIGKILL).ok());
  EXPECT_EQ(WaitStatus(), 137);
  ASSERT_TRUE(loop_->RunOnce(absl::Milliseconds(200)).ok());
  EXPECT_EQ(GetStatus().phase(), Phase::STOPPED);
  EXPECT_EQ(Delete()->exit_status(), 137u);
  EXPECT_TRUE(CgroupDirectories().empty());
}

TEST_F(ShimRestartTest, WaitIsForTheGenerationItWasAskedInAndAnotherClientsKillIsNoStop) {
  RunTask("sleep 100");
  ASSERT_TRUE(SetRestart(Policy::UNLESS_STOPPED).ok());
  const auto first = Send<v2::WaitResponse>("Wait", Of<v2::WaitRequest>());
  ASSERT_TRUE(Kill(SIGKILL).ok());
  ASSERT_TRUE(RunUntil([&] { return first->has_value(); }));
  EXPECT_EQ((**first)->exit_status(), 137u);
  ASSERT_TRUE(WaitForGeneration(2, Phase::RUNNING)) << ShimLog();
  const auto second = Send<v2::WaitResponse>("Wait", Of<v2::WaitRequest>());
  ASSERT_TRUE(loop_->RunOnce(absl::Milliseconds(100)).ok());
  EXPECT_FALSE(second->has_value());
  ASSERT_TRUE(SetRestart(Policy::NO).ok());
  KillAndDelete();
  EXPECT_TRUE(second->has_value());
}

TEST_F(ShimRestartTest, DeleteInBackOffEndsThePolicy) {
  RunTask("exit 1");
  ASSERT_TRUE(SetRestart(Policy::ON_FAILURE, 900).ok());
  // The first end may have come before the policy: kill nothing, look what the shim says.
  v1::SetPolicyRequest again;
  again.mutable_restart()->set_mode(Policy::ON_FAILURE);
  again.mutable_restart()->mutable_first_backoff()->set_nanos(900'000'000);
  again.mutable_restart()->set_start_if_stopped(true);
  ASSERT_TRUE(SetPolicy(again).ok());
  ASSERT_TRUE(WaitForGeneration(1, Phase::RESTARTING));
  EXPECT_TRUE(GetStatus().has_next_start());
  EXPECT_EQ(State()->status(), Status::STOPPED);
  EXPECT_EQ(WaitStatus(), 1);
  EXPECT_EQ(Delete()->exit_status(), 1u);
  ASSERT_TRUE(RunUntil([&] { return shim_.Wait(absl::ZeroDuration()).ok(); }));
  EXPECT_EQ(events_, (Names{"create", "start", "exit c 1", "delete"}));
}

TEST_F(ShimRestartTest, RestartsWhileTheDaemonIsAwayAndTellsItLater) {
  RunTask("echo x >> /tmp/count; [ $(wc -l < /tmp/count) -ge 3 ] && sleep 100; exit 7");
  daemon_.reset();
  ASSERT_TRUE(::unlink(absl::StrCat(directory_, "/daemon.ttrpc").c_str()) == 0);
  v1::SetPolicyRequest request;
  request.mutable_restart()->set_mode(Policy::ON_FAILURE);
  request.mutable_restart()->mutable_first_backoff()->set_nanos(1'000'000);
  request.mutable_restart()->set_start_if_stopped(true);
  ASSERT_TRUE(SetPolicy(request).ok());
  ASSERT_TRUE(WaitForGeneration(3, Phase::RUNNING)) << ShimLog();
  // What a daemon finds if the shim is killed now.
  const auto journal = journal::ReadJournal(bundle_);
  ASSERT_TRUE(journal.ok());
  ASSERT_EQ(journal->generations.size(), 2u);
  EXPECT_EQ(journal->generations[0].exit_status, 7u);
  EXPECT_FALSE(journal->generations[1].delete_announced);
  StartDaemon();
  ASSERT_TRUE(RunUntil([&] {
    return !events_.empty() && events_.back() == "start" &&
           std::count(events_.begin(), events_.end(), "exit c 7") == 2;
  })) << absl::StrJoin(events_, ", ");
  EXPECT_EQ(std::count(events_.begin(), events_.end(), "delete"), 2);
  ASSERT_TRUE(SetRestart(Policy::NO).ok());
  KillAndDelete();
}

TEST_F(ShimRestartTest, FailingRestartIsTriedAgainAndSaysWhy) {
  RunTask("sleep 100");
  ASSERT_TRUE(SetRestart(Policy::ALWAYS).ok());
  const std::string config = absl::StrCat(bundle_, "/config.json");
  ASSERT_EQ(::rename(config.c_str(), (config + ".away").c_str()), 0);
  ASSERT_TRUE(Kill(SIGKILL).ok());
  ASSERT_TRUE(RunUntil([&] { return GetStatus().restarts() >= 3; }));
  const auto status = GetStatus();
  EXPECT_TRUE(absl::StrContains(status.last_start_error(), "config.json"));
  EXPECT_EQ(State()->exit_status(), 137u);
  ASSERT_EQ(::rename((config + ".away").c_str(), config.c_str()), 0);
  ASSERT_TRUE(RunUntil([&] { return GetStatus().phase() == Phase::RUNNING; }));
  EXPECT_EQ(GetStatus().last_start_error(), "");
  ASSERT_TRUE(RunUntil([&] { return !events_.empty() && events_.back() == "start"; }));
  EXPECT_EQ(events_, (Names{"create", "start", "exit c 137", "delete", "create", "start"}));
  ASSERT_TRUE(SetRestart(Policy::NO).ok());
  KillAndDelete();
}

TEST_F(ShimRestartTest, NetworkNamespaceStaysTheSame) {
  WriteConfig("sleep 100");
  const std::string path = absl::StrCat(bundle_, "/config.json");
  const std::string config = absl::StrReplaceAll(
      *ReadFile(path), {{"{\"type\": \"pid\"},", "{\"type\": \"pid\"}, {\"type\": \"network\"},"}});
  ASSERT_TRUE(ReplaceFileAt(BorrowedFd(AT_FDCWD), path, config, 0600, Durability::kUnsynced).ok());
  StartShim();
  ASSERT_TRUE(Create().ok());
  ASSERT_TRUE(SetRestart(Policy::ALWAYS).ok());
  ASSERT_TRUE(Start().ok());
  const auto network = [&](pid_t pid) {
    char target[64] = {};
    EXPECT_GT(::readlink(absl::StrCat("/proc/", pid, "/ns/net").c_str(), target, sizeof(target)),
              0);
    return std::string(target);
  };
  const std::string before = network(GetStatus().pid());
  EXPECT_NE(before, network(::getpid()));
  ASSERT_TRUE(Kill(SIGKILL).ok());
  ASSERT_TRUE(WaitForGeneration(2, Phase::RUNNING)) << ShimLog();
  EXPECT_EQ(network(GetStatus().pid()), before);
  ASSERT_TRUE(SetRestart(Policy::NO).ok());
  KillAndDelete();
}

TEST_F(ShimRestartTest, PolicyThatMakesNoSenseIsRefused) {
  RunTask("sleep 100");
  v1::SetPolicyRequest request;
  request.mutable_restart()->mutable_first_backoff()->set_seconds(-1);
  EXPECT_EQ(SetPolicy(request).code(), absl::StatusCode::kInvalidArgument);
  request.Clear();
  request.mutable_health()->set_process_json("{}");
  request.mutable_health()->mutable_interval()->set_seconds(-1);
  EXPECT_EQ(SetPolicy(request).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Exec("berth-health-1", "true").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Exec("berth-generation-1", "true").code(), absl::StatusCode::kInvalidArgument);
  KillAndDelete();
}

TEST_F(ShimRestartTest, HealthGoesFromStartingToHealthyToUnhealthy) {
  RunTask("sleep 100");
  v1::SetPolicyRequest request;
  auto& health = *request.mutable_health();
  health.set_process_json(Fill(kExec, "echo asked; test -e /tmp/well", false));
  health.mutable_interval()->set_nanos(50'000'000);
  health.mutable_start_period()->set_seconds(600);
  health.mutable_start_interval()->set_nanos(50'000'000);
  health.set_retries(2);
  ASSERT_TRUE(SetPolicy(request).ok());
  const auto is = [&](v1::Health::Status status) {
    return RunUntil([&] { return GetStatus().health().status() == status; });
  };
  // Failures in the start period do not count.
  ASSERT_TRUE(RunUntil([&] { return GetStatus().health().results_size() == 5; }));
  EXPECT_EQ(GetStatus().health().status(), v1::Health::STARTING);
  EXPECT_EQ(GetStatus().health().results(0).exit_code(), 1);
  EXPECT_EQ(GetStatus().health().results(0).output(), "asked\n");
  const std::string file = absl::StrCat(bundle_, "/rootfs/tmp/well");
  ASSERT_TRUE(ReplaceFileAt(BorrowedFd(AT_FDCWD), file, "", 0600, Durability::kUnsynced).ok());
  ASSERT_TRUE(is(v1::Health::HEALTHY));
  EXPECT_EQ(GetStatus().health().failing_streak(), 0u);
  ASSERT_EQ(::unlink(file.c_str()), 0);
  ASSERT_TRUE(is(v1::Health::UNHEALTHY));
  EXPECT_GE(GetStatus().health().failing_streak(), 2u);
  ASSERT_TRUE(RunUntil([&] { return std::count(events_.begin(), events_.end(), "health") == 3; }));
  KillAndDelete();
}

TEST_F(ShimRestartTest, HealthCheckThatHangsIsKilledAndMuchOutputIsCut) {
  RunTask("sleep 100");
  v1::SetPolicyRequest request;
  auto& health = *request.mutable_health();
  health.set_process_json(Fill(kExec, "yes | head -c 100000; sleep 100", false));
  health.mutable_interval()->set_nanos(10'000'000);
  health.mutable_timeout()->set_nanos(300'000'000);
  health.set_retries(1);
  ASSERT_TRUE(SetPolicy(request).ok());
  ASSERT_TRUE(RunUntil([&] { return GetStatus().health().status() == v1::Health::UNHEALTHY; }));
  const auto result = GetStatus().health().results(0);
  EXPECT_EQ(result.exit_code(), -1);
  EXPECT_TRUE(absl::StrContains(result.output(), "300ms")) << result.output();
  health.set_process_json(Fill(kExec, "yes | head -c 100000", false));
  ASSERT_TRUE(SetPolicy(request).ok());
  ASSERT_TRUE(RunUntil([&] { return GetStatus().health().status() == v1::Health::HEALTHY; }));
  EXPECT_EQ(GetStatus().health().results(0).output().size(), 4096u);
  KillAndDelete();
}

}  // namespace
}  // namespace berth::service
