#include "base/sqlite/database.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/time/clock.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/mutex.h"
#include "gtest/gtest.h"

namespace berth::sqlite {
namespace {

const Migrations& Numbers() {
  static const Migrations* const kMigrations =
      new Migrations{{{1, 0},
                      "CREATE TABLE numbers (n INTEGER PRIMARY KEY, word TEXT, bytes BLOB);"
                      "CREATE TABLE children (n INTEGER NOT NULL REFERENCES numbers (n));"}};
  return *kMigrations;
}

class DatabaseTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = absl::StrCat(testing::TempDir(), "/metadata-sqlite-XXXXXX");
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    path_ = absl::StrCat(directory_, "/test.db");
  }
  void TearDown() override { ASSERT_TRUE(RemoveTreeAt(BorrowedFd(AT_FDCWD), directory_).ok()); }

  std::unique_ptr<Database> Open(DatabaseOptions options = {}) {
    absl::StatusOr<std::unique_ptr<Database>> database = Database::Open(path_, Numbers(), options);
    EXPECT_TRUE(database.ok()) << database.status();
    return database.ok() ? *std::move(database) : nullptr;
  }
  static absl::Status Insert(Database& database, int n, WriteMode mode = WriteMode::kDelayed) {
    return database.Write(mode, [n](Connection& c) {
      return c.Run("INSERT INTO numbers (n, word) VALUES (?, ?)", n, absl::StrCat("word ", n));
    });
  }
  static int64_t Count(Database& database) {
    int64_t count = -1;
    EXPECT_TRUE(database
                    .Read([&](Connection& c) -> absl::Status {
                      absl::StatusOr<Statement> s = c.Prepare("SELECT count(*) FROM numbers");
                      if (!s.ok()) return s.status();
                      if (absl::StatusOr<bool> row = s->Step(); !row.ok()) return row.status();
                      count = s->ColumnInt64(0);
                      return absl::OkStatus();
                    })
                    .ok());
    return count;
  }

  std::string directory_;
  std::string path_;
};

TEST_F(DatabaseTest, ValuesOfEachKindComeBackAsTheyWent) {
  auto database = Open();
  const std::string bytes("a\0b", 3);
  ASSERT_TRUE(database
                  ->Write(WriteMode::kDurable,
                          [&](Connection& c) {
                            return c.Run("INSERT INTO numbers VALUES (?, ?, ?), (?, ?, ?)",
                                         int64_t{1} << 40, "", Blob{bytes}, 2u, nullptr, Blob{});
                          })
                  .ok());
  ASSERT_TRUE(database
                  ->Read([&](Connection& c) -> absl::Status {
                    auto s = c.Prepare("SELECT n, word, bytes FROM numbers ORDER BY n DESC");
                    EXPECT_TRUE(*s->Step());
                    EXPECT_EQ(s->ColumnInt64(0), int64_t{1} << 40);
                    EXPECT_FALSE(s->ColumnIsNull(1));
                    EXPECT_EQ(s->ColumnText(1), "");
                    EXPECT_EQ(std::string(s->ColumnBlob(2)), bytes);
                    EXPECT_TRUE(*s->Step());
                    EXPECT_TRUE(s->ColumnIsNull(1));
                    EXPECT_FALSE(s->ColumnIsNull(2));
                    EXPECT_EQ(s->ColumnBlob(2), "");
                    EXPECT_FALSE(*s->Step());
                    return absl::OkStatus();
                  })
                  .ok());
}

TEST_F(DatabaseTest, AFailingOperationReturnsItsErrorAndLeavesNothing) {
  auto database = Open();
  const absl::Status status = database->Write(WriteMode::kDurable, [](Connection& c) {
    EXPECT_TRUE(c.Run("INSERT INTO numbers (n) VALUES (1)").ok());
    return absl::NotFoundError("no such lease");
  });
  EXPECT_EQ(status, absl::NotFoundError("no such lease"));
  EXPECT_EQ(Count(*database), 0);
}

// One writer is held inside its operation; those that queue up meanwhile form one group.
TEST_F(DatabaseTest, AFailureInsideAGroupDoesNotUndoItsNeighbours) {
  auto database = Open();
  Notification entered;
  Notification release;
  std::thread first([&] {
    EXPECT_TRUE(database
                    ->Write(WriteMode::kDelayed,
                            [&](Connection&) {
                              entered.Notify();
                              release.WaitForNotification();
                              return absl::OkStatus();
                            })
                    .ok());
  });
  entered.WaitForNotification();
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 20; ++i) {
    threads.emplace_back([&, i] {
      const WriteMode mode = i % 2 == 0 ? WriteMode::kDurable : WriteMode::kDelayed;
      const absl::Status status = database->Write(mode, [&](Connection& c) -> absl::Status {
        const absl::Status inserted = c.Run("INSERT INTO numbers (n) VALUES (?)", i);
        if (!inserted.ok()) return inserted;
        if (i % 5 == 0) return absl::AbortedError("five");
        return absl::OkStatus();
      });
      if (!status.ok()) {
        EXPECT_EQ(status, absl::AbortedError("five"));
        ++failed;
      }
    });
  }
  release.Notify();
  first.join();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed.load(), 4);
  EXPECT_EQ(Count(*database), 16);
}

TEST_F(DatabaseTest, ConstraintsBecomeCodes) {
  auto database = Open();
  ASSERT_TRUE(Insert(*database, 1).ok());
  EXPECT_EQ(Insert(*database, 1).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(database
                ->Write(WriteMode::kDelayed,
                        [](Connection& c) { return c.Run("INSERT INTO children VALUES (7)"); })
                .code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(DatabaseTest, AFullQueueIsRefused) {
  auto database = Open({.write_queue_limit = 2});
  Notification entered;
  Notification release;
  std::thread first([&] {
    EXPECT_TRUE(database
                    ->Write(WriteMode::kDelayed,
                            [&](Connection&) {
                              entered.Notify();
                              release.WaitForNotification();
                              return absl::OkStatus();
                            })
                    .ok());
  });
  entered.WaitForNotification();
  // The head of the queue counts, so one more fits; of three, two are refused, whatever the order.
  std::atomic<int> refused{0};
  Notification two_refused;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      const absl::Status status = Insert(*database, i);
      if (status.code() == absl::StatusCode::kResourceExhausted && ++refused == 2) {
        two_refused.Notify();
      }
    });
  }
  EXPECT_TRUE(two_refused.WaitForNotificationWithTimeout(absl::Seconds(20)));
  release.Notify();
  first.join();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Count(*database), 1);
}

TEST_F(DatabaseTest, AReadSeesOneStateWhileWritersGoOn) {
  auto database = Open();
  ASSERT_TRUE(Insert(*database, 1).ok());
  ASSERT_TRUE(database
                  ->Read([&](Connection& c) -> absl::Status {
                    for (int i = 0; i < 2; ++i) {
                      auto s = c.Prepare("SELECT count(*) FROM numbers");
                      EXPECT_TRUE(*s->Step());
                      EXPECT_EQ(s->ColumnInt64(0), 1);
                      std::thread([&] { EXPECT_TRUE(Insert(*database, 10 + i).ok()); }).join();
                    }
                    EXPECT_EQ(c.Run("INSERT INTO numbers (n) VALUES (5)").code(),
                              absl::StatusCode::kFailedPrecondition);
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_EQ(Count(*database), 3);
}

TEST_F(DatabaseTest, MoreReadersThanConnectionsTakeTurns) {
  auto database = Open({.read_connections_limit = 2});
  std::atomic<int> running{0};
  std::atomic<int> most{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      EXPECT_TRUE(database
                      ->Read([&](Connection& c) {
                        const int now = ++running;
                        int seen = most.load();
                        while (now > seen && !most.compare_exchange_weak(seen, now)) {
                        }
                        const absl::Status status = c.Run("SELECT count(*) FROM numbers");
                        --running;
                        return status;
                      })
                      .ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(most.load(), 1);
  EXPECT_LE(most.load(), 2);
}

// The child never closes the database and dies by SIGKILL right after its delayed write returned.
TEST_F(DatabaseTest, AKilledProcessLosesNoWriteThatReturned) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto database = Open();
    for (int i = 0; i < 50; ++i) {
      if (!Insert(*database, i).ok()) ::_exit(1);
    }
    ::kill(::getpid(), SIGKILL);
    ::_exit(2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << status;
  auto database = Open();
  EXPECT_EQ(Count(*database), 50);
}

TEST_F(DatabaseTest, CloseFoldsTheLogIntoTheFileAndRefusesLaterCalls) {
  auto database = Open();
  ASSERT_TRUE(Insert(*database, 3).ok());
  ASSERT_TRUE(database->Close().ok());
  ASSERT_TRUE(database->Close().ok());
  EXPECT_NE(::access(absl::StrCat(path_, "-wal").c_str(), F_OK), 0);
  EXPECT_EQ(Insert(*database, 4).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(database->Read([](Connection&) { return absl::OkStatus(); }).code(),
            absl::StatusCode::kUnavailable);
  struct stat file;
  ASSERT_EQ(::stat(path_.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600u);
  database = Open();
  EXPECT_EQ(Count(*database), 1);
}

TEST_F(DatabaseTest, TheLogStaysShortUnderManyWrites) {
  auto database = Open({.checkpoint_after_pages = 20});
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(Insert(*database, i).ok());
  ASSERT_TRUE(database->Sync().ok());
  struct stat log;
  ASSERT_EQ(::stat(absl::StrCat(path_, "-wal").c_str(), &log), 0);
  // Without checkpoints each insert adds at least one page of 4 KiB: 8 MiB. At 640 pages, 2.5 MiB,
  // the writer itself shortens the log, however slow the background thread is.
  EXPECT_LT(log.st_size, 4 << 20);
  EXPECT_EQ(Count(*database), 2000);
}

TEST_F(DatabaseTest, ADelayedWriteReachesTheDiskByItself) {
  auto database = Open();
  EXPECT_EQ(database->UnsyncedCommits(), 0u);
  const absl::Time written = absl::Now();
  ASSERT_TRUE(Insert(*database, 1, WriteMode::kDelayed).ok());
  // Generous, for a machine that is busy; an idle one takes half a second.
  while (database->UnsyncedCommits() != 0 && absl::Now() < written + absl::Seconds(20)) {
    absl::SleepFor(absl::Milliseconds(10));  // tidy: allow(sleep) nobody tells of a background sync
  }
  EXPECT_EQ(database->UnsyncedCommits(), 0u);
}

TEST_F(DatabaseTest, ADurableWriteIsOnTheDiskWhenItReturnsWithAllBeforeIt) {
  auto database = Open({.delayed_sync_after = absl::Hours(1)});
  ASSERT_TRUE(Insert(*database, 1, WriteMode::kDelayed).ok());
  EXPECT_EQ(database->UnsyncedCommits(), 1u);
  ASSERT_TRUE(Insert(*database, 2, WriteMode::kDurable).ok());
  EXPECT_EQ(database->UnsyncedCommits(), 0u);
}

TEST_F(DatabaseTest, ADamagedPageIsToldWithTheFile) {
  {
    auto database = Open();
    for (int i = 0; i < 2000; ++i) ASSERT_TRUE(Insert(*database, i).ok());
    ASSERT_TRUE(database->Close().ok());
  }
  {
    auto file = OpenFile(path_, O_RDWR);
    ASSERT_TRUE(file.ok());
    const std::string rubbish(4096, '\xff');
    for (int page = 6; page < 12; ++page) {
      ASSERT_EQ(::pwrite(file->get(), rubbish.data(), rubbish.size(), page * 4096), 4096);
    }
  }
  auto database = Open();
  const absl::Status status =
      database->Read([](Connection& c) { return c.Run("SELECT sum(length(word)) FROM numbers"); });
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), path_)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), ".recover")) << status;
}

TEST_F(DatabaseTest, AForeignOrDamagedFileIsNamedAndRefused) {
  ASSERT_TRUE(ReplaceFileAt(BorrowedFd(AT_FDCWD), path_, std::string(8192, 'x'), 0600,
                            Durability::kUnsynced)
                  .ok());
  const absl::Status status = Database::Open(path_, Numbers()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), path_)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "restore a backup")) << status;
}

TEST_F(DatabaseTest, ADatabaseOfAnotherProgramIsRefused) {
  { auto file = OpenFile(path_, O_RDWR | O_CREAT, 0600); }
  {
    auto connection = Connection::Open(path_, Connection::Access::kReadWrite);
    ASSERT_TRUE((*connection)->Execute("CREATE TABLE other (x)").ok());
  }
  EXPECT_EQ(Database::Open(path_, Numbers()).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(DatabaseTest, AMissingDirectoryIsNotFound) {
  EXPECT_EQ(Database::Open(absl::StrCat(directory_, "/none/x.db"), Numbers()).status().code(),
            absl::StatusCode::kNotFound);
}

// A small tmpfs in a mount namespace of this thread's own.
TEST_F(DatabaseTest, AFullDiskFailsTheWriteAndTheDatabaseLivesOn) {
  std::string reason;
  std::thread([&] {
    if (::unshare(CLONE_NEWNS | CLONE_FS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", directory_.c_str(), "tmpfs", 0, "size=600k") != 0) {
      reason = "needs root to mount a small tmpfs";
      return;
    }
    {
      auto database = Open();
      ASSERT_NE(database, nullptr);
      ASSERT_TRUE(Insert(*database, 1).ok());
      const std::string big(1 << 20, 'b');
      const absl::Status status = database->Write(WriteMode::kDurable, [&](Connection& c) {
        return c.Run("INSERT INTO numbers VALUES (2, 'big', ?)", Blob{big});
      });
      EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
      EXPECT_TRUE(absl::StrContains(status.message(), path_)) << status;
      EXPECT_TRUE(absl::StrContains(status.message(), "free space")) << status;
      EXPECT_TRUE(Insert(*database, 3).ok());
      EXPECT_EQ(Count(*database), 2);
    }
    ::umount2(directory_.c_str(), MNT_DETACH);
  }).join();
  if (!reason.empty()) GTEST_SKIP() << reason;
}

using MigrationTest = DatabaseTest;

TEST_F(MigrationTest, StepsAreAppliedInOrderAndAMajorOneCopiesFirst) {
  Migrations steps = {{{1, 0}, "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1);"}};
  ASSERT_TRUE(Database::Open(path_, steps).ok());
  steps.push_back({{1, 1}, "ALTER TABLE a ADD COLUMN y INTEGER NOT NULL DEFAULT 5;"});
  ASSERT_TRUE(Database::Open(path_, steps).ok());
  EXPECT_NE(::access(CopyPath(path_, {1, 0}).c_str(), F_OK), 0);
  steps.push_back({{2, 0}, "CREATE TABLE b AS SELECT x + y AS z FROM a; DROP TABLE a;"});
  {
    auto database = Database::Open(path_, steps);
    ASSERT_TRUE(database.ok()) << database.status();
    EXPECT_TRUE((*database)
                    ->Read([](Connection& c) -> absl::Status {
                      auto s = c.Prepare("SELECT z FROM b");
                      EXPECT_TRUE(*s->Step());
                      EXPECT_EQ(s->ColumnInt64(0), 6);
                      EXPECT_EQ(*ReadSchemaVersion(c), (SchemaVersion{2, 0}));
                      return absl::OkStatus();
                    })
                    .ok());
  }
  // The previous release refuses the result and names the copy, which it can use.
  steps.pop_back();
  const absl::Status refused = Database::Open(path_, steps).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  const std::string copy = CopyPath(path_, {1, 1});
  EXPECT_TRUE(absl::StrContains(refused.message(), copy)) << refused;
  EXPECT_TRUE(Database::Open(copy, steps).ok());
}

TEST_F(MigrationTest, ANewerMinorVersionStaysUsable) {
  Migrations steps = {{{1, 0}, "CREATE TABLE a (x INTEGER);"}, {{1, 4}, "CREATE TABLE b (x);"}};
  ASSERT_TRUE(Database::Open(path_, steps).ok());
  steps.pop_back();
  auto database = Database::Open(path_, steps);
  ASSERT_TRUE(database.ok()) << database.status();
  EXPECT_TRUE((*database)
                  ->Read([](Connection& c) -> absl::Status {
                    EXPECT_EQ(*ReadSchemaVersion(c), (SchemaVersion{1, 4}));
                    return absl::OkStatus();
                  })
                  .ok());
}

TEST_F(MigrationTest, AFailingStepLeavesTheOldVersion) {
  Migrations steps = {{{1, 0}, "CREATE TABLE a (x INTEGER);"}};
  ASSERT_TRUE(Database::Open(path_, steps).ok());
  steps.push_back({{1, 1}, "CREATE TABLE b (x); CREATE TABLE a (x);"});
  EXPECT_FALSE(Database::Open(path_, steps).ok());
  steps.pop_back();
  auto database = Database::Open(path_, steps);
  ASSERT_TRUE(database.ok());
  EXPECT_TRUE((*database)
                  ->Read([](Connection& c) -> absl::Status {
                    EXPECT_FALSE(c.Prepare("SELECT x FROM b").ok());
                    return absl::OkStatus();
                  })
                  .ok());
}

}  // namespace
}  // namespace berth::sqlite
