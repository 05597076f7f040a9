#include "base/os/process_identity.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gtest/gtest.h"

namespace berth {
namespace {

TEST(ProcessIdentityTest, OpensTheProcessThatWasRead) {
  const auto identity = ReadProcessIdentity(::getpid());
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_GT(identity->start_time_ticks, 0u);
  EXPECT_TRUE(OpenPidFd(*identity).ok());
}

TEST(ProcessIdentityTest, AnotherStartTimeIsAnotherProcess) {
  auto identity = *ReadProcessIdentity(::getpid());
  ++identity.start_time_ticks;
  EXPECT_EQ(OpenPidFd(identity).status().code(), absl::StatusCode::kNotFound);
}

TEST(ProcessIdentityTest, EndedProcessIsNotFound) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_EQ(ReadProcessIdentity(child).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(OpenPidFd(ProcessIdentity{child, 1}).status().code(), absl::StatusCode::kNotFound);
}

TEST(ProcessIdentityTest, CommandWithSpacesAndParenthesesIsSkipped) {
  // This process under a hostile name.
  const auto before = *ReadProcessIdentity(::getpid());
  ::pthread_setname_np(::pthread_self(), "a) R 1 1 (b");
  const auto after = ReadProcessIdentity(::getpid());
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->start_time_ticks, before.start_time_ticks);
}

TEST(ProcessIdentityTest, BootIdHasTheFormOfAUuid) {
  const auto boot = ReadBootId();
  ASSERT_TRUE(boot.ok()) << boot.status();
  EXPECT_EQ(boot->size(), 36u);
}

}  // namespace
}  // namespace berth
