// The smaller parts: runtime names, queues, commands, bundles, addresses.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/containerd/runc/v1/options.pb.h"
#include "server/task/bundle.h"
#include "server/task/command_runner.h"
#include "server/task/operation_queue.h"
#include "server/task/runtime_name.h"
#include "server/task/shim_supervisor.h"

namespace berth {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class DirectoryTest : public testing::Test {
 protected:
  DirectoryTest() {
    char name[] = "/tmp/berth-task-parts-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~DirectoryTest() override { EXPECT_TRUE(RemoveTreeAt(BorrowedFd(AT_FDCWD), path_).ok()); }
  void MakeProgram(const std::string& name) {
    ASSERT_TRUE(ReplaceFileAt(BorrowedFd(AT_FDCWD), absl::StrCat(path_, "/", name), "#!/bin/sh\n",
                              0755, Durability::kUnsynced)
                    .ok());
  }
  std::string path_;
};

using RuntimeNameTest = DirectoryTest;

TEST_F(RuntimeNameTest, WhatStockClientsSendMeansOurOwnShim) {
  for (const char* name : {"", "io.containerd.runc.v2", "io.containerd.runc.v1",
                           "io.containerd.runtime.v1.linux", "/usr/bin/containerd-shim-berth-v1"}) {
    const auto runtime = ResolveRuntime(name, {}, "/usr/bin");
    ASSERT_TRUE(runtime.ok()) << name;
    EXPECT_EQ(runtime->shim_binary, "") << name;
  }
  EXPECT_EQ(ResolveRuntime("", {}, "")->name, "io.containerd.runc.v2");
}

TEST_F(RuntimeNameTest, OtherNamesStandForShimsInThePath) {
  MakeProgram("containerd-shim-kata-v2");
  const std::string search = absl::StrCat("relative:/nowhere:", path_);
  EXPECT_EQ(ResolveRuntime("io.containerd.kata.v2", {}, search)->shim_binary,
            absl::StrCat(path_, "/containerd-shim-kata-v2"));
  EXPECT_EQ(ResolveRuntime("io.containerd.kata.v3", {}, search).status().code(),
            absl::StatusCode::kNotFound);
  for (const char* bad : {"kata", "a.b", "io.containerd..", "io.containerd.x/y.v1", "../x.y.z"}) {
    EXPECT_EQ(ResolveRuntime(bad, {}, search).status().code(), absl::StatusCode::kInvalidArgument)
        << bad;
  }
}

TEST_F(RuntimeNameTest, PathsAndAliasesSelectABinary) {
  MakeProgram("my-shim");
  const std::string shim = absl::StrCat(path_, "/my-shim");
  EXPECT_EQ(ResolveRuntime(shim, {}, "")->shim_binary, shim);
  EXPECT_EQ(ResolveRuntime(absl::StrCat(path_, "/absent"), {}, "").status().code(),
            absl::StatusCode::kNotFound);
  const RuntimeAliases aliases = {{"io.containerd.runc.v2", shim},
                                  {"fast", "io.containerd.berth.v1"}};
  EXPECT_EQ(ResolveRuntime("", aliases, "")->shim_binary, shim);
  EXPECT_EQ(ResolveRuntime("fast", aliases, "")->shim_binary, "");
}

TEST(ShimAddressTest, PlainAndJsonFormsAreRead) {
  EXPECT_EQ(ParseShimAddress("unix:///run/s/abc\n")->socket_path, "/run/s/abc");
  const auto json =
      ParseShimAddress(R"({"version":3,"address":"unix:///run/s/x","protocol":"ttrpc"})");
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(json->socket_path, "/run/s/x");
  EXPECT_EQ(json->api, ShimApi::kV3);
  EXPECT_EQ(ParseShimAddress(R"({"address":"unix:///x","protocol":"grpc"})").status().code(),
            absl::StatusCode::kUnimplemented);
  for (const char* bad : {"", "vsock://1:2", "{", R"({"version":2})"}) {
    EXPECT_EQ(ParseShimAddress(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(OperationQueueTest, OneOperationRunsAtATimeInOrder) {
  auto loop = Loop::Create();
  ASSERT_TRUE(loop.ok());
  auto queue = std::make_shared<OperationQueue>(**loop);
  std::vector<int> ran;
  OperationQueue::Turn held;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(queue
                    ->Push([&, i](absl::StatusOr<OperationQueue::Turn> turn) {
                      ran.push_back(i);
                      held = *std::move(turn);
                    })
                    .ok());
  }
  for (int round = 0; round < 3; ++round) ASSERT_TRUE((*loop)->RunOnce(absl::ZeroDuration()).ok());
  EXPECT_THAT(ran, ElementsAre(0));
  held = OperationQueue::Turn();
  ASSERT_TRUE((*loop)->RunOnce(absl::Seconds(1)).ok());
  EXPECT_THAT(ran, ElementsAre(0, 1));
}

TEST(OperationQueueTest, TheQueueIsBoundedAndWhoeverWaitsIsToldThatItCloses) {
  auto loop = Loop::Create();
  ASSERT_TRUE(loop.ok());
  auto queue = std::make_shared<OperationQueue>(**loop);
  std::vector<absl::StatusCode> told;
  const auto operation = [&](const absl::StatusOr<OperationQueue::Turn>& turn) {
    told.push_back(turn.status().code());
  };
  for (size_t i = 0; i < OperationQueue::kMaxWaiting; ++i) {
    ASSERT_TRUE(queue->Push(operation).ok());
  }
  EXPECT_EQ(queue->Push(operation).code(), absl::StatusCode::kResourceExhausted);
  queue->Close(absl::NotFoundError("removed"));
  ASSERT_TRUE((*loop)->RunOnce(absl::ZeroDuration()).ok());
  EXPECT_EQ(told, std::vector(OperationQueue::kMaxWaiting, absl::StatusCode::kNotFound));
  EXPECT_EQ(queue->Push(operation).code(), absl::StatusCode::kNotFound);
}

class CommandRunnerTest : public testing::Test {
 protected:
  CommandRunnerTest() : loop_(*Loop::Create()), executor_(2, 16) {}
  ~CommandRunnerTest() override { executor_.Stop(); }
  absl::StatusOr<CommandResult> Run(const std::string& script, const std::string& input,
                                    absl::Duration timeout) {
    CommandRunner runner(*loop_, executor_, {.parallel = 1, .waiting = 4});
    SpawnOptions command;
    command.executable = "/bin/sh";
    command.arguments = {"sh", "-c", script};
    command.environment = {"PATH=/usr/bin:/bin"};
    absl::StatusOr<CommandResult> got = absl::UnknownError("none");
    bool done = false;
    runner.Run(command, input, timeout, [&](absl::StatusOr<CommandResult> result) {
      got = std::move(result);
      done = true;
    });
    while (!done) EXPECT_TRUE(loop_->RunOnce(absl::Seconds(10)).ok());
    return got;
  }
  std::unique_ptr<Loop> loop_;
  Executor executor_;
};

TEST_F(CommandRunnerTest, OutputErrorsAndStatusAreCollected) {
  const auto result =
      Run("read line; echo got $line; echo oops >&2; exit 4", "word\n", absl::Seconds(10));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output, "got word\n");
  EXPECT_EQ(result->errors, "oops\n");
  EXPECT_EQ(result->exit.ExitCode(), 4);
}

TEST_F(CommandRunnerTest, OutputBeyondThePipeIsRead) {
  const auto result = Run("head -c 300000 /dev/zero", "", absl::Seconds(10));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->output.size(), 300000u);
}

TEST_F(CommandRunnerTest, ACommandThatHangsIsKilledAtItsDeadline) {
  EXPECT_EQ(Run("exec sleep 60", "", absl::Milliseconds(50)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
}

TEST_F(CommandRunnerTest, WhatACommandLeavesBehindIsNotWaitedFor) {
  const absl::Time begin = absl::Now();
  const auto result = Run("sleep 5 & echo started", "", absl::Seconds(10));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->output, "started\n");
  EXPECT_LT(absl::Now() - begin, absl::Seconds(4));
}

using BundleTest = DirectoryTest;

TEST_F(BundleTest, HasContainerdsFilesAndModes) {
  const BundleStore bundles(absl::StrCat(path_, "/state"), absl::StrCat(path_, "/root"));
  const TaskKey key{"default", "web"};
  BundleContents contents;
  contents.config_json = "{}";
  containerd::runc::v1::Options options;
  options.set_systemd_cgroup(true);
  options.set_binary_name("runc");
  contents.options.set_type_url("containerd.runc.v1.Options");
  contents.options.set_value(options.SerializeAsString());
  ASSERT_TRUE(bundles.Create(key, contents).ok());
  EXPECT_EQ(bundles.Create(key, contents).code(), absl::StatusCode::kAlreadyExists);

  const std::string bundle = bundles.PathOf(key);
  EXPECT_EQ(bundle, absl::StrCat(path_, "/state/io.containerd.runtime.v2.task/default/web"));
  struct stat info;
  ASSERT_EQ(::stat(bundle.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700u);
  ASSERT_EQ(::stat(absl::StrCat(bundle, "/rootfs").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0711u);
  EXPECT_EQ(*ReadFile(absl::StrCat(bundle, "/config.json")), "{}");
  EXPECT_EQ(*ReadFile(absl::StrCat(bundle, "/options.json")),
            R"({"binary_name":"runc","systemd_cgroup":true})");
  char target[256];
  const ssize_t length = ::readlink(absl::StrCat(bundle, "/work").c_str(), target, sizeof(target));
  ASSERT_GT(length, 0);
  EXPECT_EQ(std::string(target, length),
            absl::StrCat(path_, "/root/io.containerd.runtime.v2.task/default/web"));
  EXPECT_EQ(*bundles.ShimBinaryOf(key), "");

  ASSERT_EQ(bundles.List()->size(), 1u);
  ASSERT_TRUE(bundles.Remove(key).ok());
  EXPECT_TRUE(bundles.List()->empty());
  EXPECT_EQ(::access(target, F_OK), -1);
  EXPECT_TRUE(bundles.Remove(key).ok());  // twice is fine
}

TEST_F(BundleTest, TheMappedRootsGroupMayEnter) {
  const BundleStore bundles(absl::StrCat(path_, "/state"), absl::StrCat(path_, "/root"));
  const TaskKey key{"default", "remapped"};
  BundleContents contents;
  contents.config_json =
      R"({"linux":{"gidMappings":[{"containerID":0,"hostID":100000,"size":65536}]}})";
  ASSERT_TRUE(bundles.Create(key, contents).ok());
  struct stat info;
  ASSERT_EQ(::stat(bundles.PathOf(key).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0710u);
  EXPECT_EQ(info.st_gid, 100000u);
}

TEST_F(BundleTest, ABadSpecLeavesNoDirectory) {
  const BundleStore bundles(absl::StrCat(path_, "/state"), absl::StrCat(path_, "/root"));
  EXPECT_EQ(bundles.Create({"default", "a"}, {}).code(), absl::StatusCode::kInvalidArgument);
  BundleContents broken;
  broken.config_json = R"({"linux":{"gidMappings":[)";
  EXPECT_EQ(bundles.Create({"default", "b"}, broken).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(bundles.List()->empty());
}

}  // namespace
}  // namespace berth
