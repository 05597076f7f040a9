// Makes commits durable: fdatasync of the write-ahead log, shared by all who wait.
//
// SQLite runs with synchronous=NORMAL, where a commit writes the log without syncing it and only a
// checkpoint syncs. Who needs a durable commit therefore asks here, with the number of its commit;
// one call to the kernel serves everybody who committed before it began, and the next group
// commits meanwhile. The log's file is never replaced while the database is open, and SQLite's
// locks are on the -shm file, so that a descriptor of our own is safe.
//
// Invariant: SyncTo(n) returns OK only after an fdatasync that began after commit n was written.
// A failed fdatasync is final for the commits it covered: the kernel may forget the pages.
// Thread-safe; owned by Database.
#ifndef BERTH_BASE_SQLITE_WAL_SYNC_H_
#define BERTH_BASE_SQLITE_WAL_SYNC_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "base/os/mutex.h"
#include "base/os/unique_fd.h"

namespace berth::sqlite {

class WalSync {
 public:
  WalSync(UniqueFd wal, std::string path) : path_(std::move(path)), wal_(std::move(wal)) {}

  // Called after each COMMIT by the one who writes; returns the number of the commit.
  uint64_t Committed() { return committed_.fetch_add(1, std::memory_order_acq_rel) + 1; }
  uint64_t last_commit() const { return committed_.load(std::memory_order_acquire); }

  // Blocks: one fdatasync, at most two. Errors: RESOURCE_EXHAUSTED when the filesystem has no room
  // for the log; INTERNAL for an I/O error, after which Broken() stays.
  absl::Status SyncTo(uint64_t commit) ABSL_LOCKS_EXCLUDED(mutex_);

  // The last commit that a power cut cannot undo any more.
  uint64_t last_synced() const ABSL_LOCKS_EXCLUDED(mutex_);

  // OK, or why no commit can be trusted any more.
  absl::Status Broken() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  const std::string path_;
  const UniqueFd wal_;
  std::atomic<uint64_t> committed_{0};

  mutable Mutex mutex_;
  CondVar changed_;
  bool syncing_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t synced_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t failed_ ABSL_GUARDED_BY(mutex_) = 0;  // commits up to this one failed with failure_
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  absl::Status broken_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth::sqlite

#endif  // BERTH_BASE_SQLITE_WAL_SYNC_H_
