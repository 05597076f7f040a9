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

}  // namespace
}  // namespace berth
