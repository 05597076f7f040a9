#include "server/main/state_lock.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

TEST(DirectoryLockTest, SecondHolderIsRefusedWithPathAndPidUntilTheFirstIsGone) {
  const std::string directory = absl::StrCat(testing::TempDir(), "/lock-", ::getpid());
  {
    const auto first = DirectoryLock::Acquire(directory);
    ASSERT_TRUE(first.ok()) << first.status();
    const auto second = DirectoryLock::Acquire(directory);
    EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(absl::StrContains(second.status().message(), directory)) << second.status();
    EXPECT_TRUE(absl::StrContains(second.status().message(), absl::StrCat("pid ", ::getpid())));
  }
  EXPECT_TRUE(DirectoryLock::Acquire(directory).ok());
}

TEST(DirectoryLockTest, AHolderThatIsGoneIsWaitedOut) {
  const std::string directory = absl::StrCat(testing::TempDir(), "/gone-", ::getpid());
  // The daemon, which ends while a child of its has its descriptors still.
  const pid_t daemon = ::fork();
  if (daemon == 0) {
    const auto lock = DirectoryLock::Acquire(directory);
    if (::fork() == 0) {
      ::usleep(200'000);
      ::_exit(0);
    }
    ::_exit(lock.ok() ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(daemon, &status, 0), daemon);
  ASSERT_EQ(status, 0);
  const auto next = DirectoryLock::Acquire(directory);
  EXPECT_TRUE(next.ok()) << next.status();
}

}  // namespace
}  // namespace berth
