// One SQLite file: one writer at a time with group commit, and a pool of read connections.
//
// Write calls are queued; the caller at the head of the queue runs a group of them (its own and
// those that wait behind it) in one transaction, each inside its own SAVEPOINT, on its own thread.
// So an unloaded write costs no thread switch, and a loaded one shares its commit. When Write
// returns OK the change is in the write-ahead log: killing the process loses nothing. kDurable also
// waits for the disk; kDelayed reaches it within one second.
//
// Invariants: a failing operation never undoes its neighbours, except where the disk is full or
// fails, which fails the whole group and changes nothing. After a power cut the database holds a
// prefix of the commits. Reads see one consistent state per Read call, and every Write that
// returned before it began. Thread-safe; owned by server/main. Never call Write inside a Write or
// Read callback.
#ifndef BERTH_BASE_SQLITE_DATABASE_H_
#define BERTH_BASE_SQLITE_DATABASE_H_

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/os/mutex.h"
#include "base/sqlite/connection.h"
#include "base/sqlite/migration.h"
#include "base/sqlite/wal_sync.h"

namespace berth::sqlite {

enum class WriteMode {
  kDurable,  // on the disk when Write returns
  kDelayed,  // in the log when Write returns, on the disk within a second
};

// A file beside the database that becomes durable with its delayed commits.
class SyncCompanion {
 public:
  virtual ~SyncCompanion() = default;
  // Makes what was written to it durable. Called on the database's background thread; may block.
  virtual void Sync() = 0;
};

struct DatabaseOptions {
  int write_queue_limit = 4096;    // more waiting writers get RESOURCE_EXHAUSTED
  int write_group_limit = 64;      // operations per commit
  int read_connections_limit = 4;  // opened when first needed
  int checkpoint_after_pages = 1000;
  absl::Duration delayed_sync_after = absl::Milliseconds(500);
  SyncCompanion* companion = nullptr;  // must outlive the database
};

class Database {
 public:
  using Operation = absl::FunctionRef<absl::Status(Connection&)>;

  // Opens `path`, makes it (mode 0600) if it is missing, and migrates it. Blocks. Errors: DATA_LOSS
  // for a damaged or foreign file, FAILED_PRECONDITION for a newer major version,
  // PERMISSION_DENIED.
  static absl::StatusOr<std::unique_ptr<Database>> Open(absl::string_view path,
                                                        const Migrations& migrations,
                                                        DatabaseOptions options = {});
  // Close() with its error ignored; call Close where it matters.
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Runs `operation` alone among writers and commits it; its error is returned and its changes are
  // undone. The connection is the callback's for its duration only. Blocks. Errors: the
  // operation's; RESOURCE_EXHAUSTED for a full queue or disk; UNAVAILABLE after Close.
  absl::Status Write(WriteMode mode, Operation operation) ABSL_LOCKS_EXCLUDED(mutex_);

  // Runs `operation` on a consistent view. Blocks, also for a free connection. Errors: the
  // operation's.
  absl::Status Read(Operation operation) ABSL_LOCKS_EXCLUDED(read_mutex_);

  // Makes every commit so far durable. Blocks.
  absl::Status Sync();

  // Has the companion synced with the next delayed commits, within a second. Never blocks.
  void RequestSync() ABSL_LOCKS_EXCLUDED(background_mutex_);

  // Commits that a power cut could still undo; 0 a second after the last write, at the latest.
  uint64_t UnsyncedCommits() const;

  // Waits for running calls, syncs, folds the log into the file and closes it. Idempotent. Blocks.
  absl::Status Close() ABSL_LOCKS_EXCLUDED(mutex_, read_mutex_);

  const std::string& path() const { return path_; }

 private:
  struct Pending;

  Database(std::string path, DatabaseOptions options);

  absl::Status OpenConnections(const Migrations& migrations);
  void RunGroup(const std::vector<Pending*>& group);
  // Called by the head of the queue between two transactions.
  void ShortenLog();
  absl::Status RunInTransaction(const std::vector<Pending*>& group);
  void RunOne(Pending& pending, bool alone);
  void NoteCommit(const std::vector<Pending*>& group) ABSL_LOCKS_EXCLUDED(background_mutex_);
  void BackgroundLoop() ABSL_LOCKS_EXCLUDED(background_mutex_);
  void Checkpoint();
  absl::StatusOr<std::unique_ptr<Connection>> TakeReader() ABSL_LOCKS_EXCLUDED(read_mutex_);
  void ReturnReader(std::unique_ptr<Connection> reader) ABSL_LOCKS_EXCLUDED(read_mutex_);

  const std::string path_;
  const DatabaseOptions options_;
  std::unique_ptr<Connection> writer_;        // used by the head of the queue only
  std::unique_ptr<Connection> checkpointer_;  // used by the background thread only
  std::unique_ptr<WalSync> wal_sync_;         // set once in Open
  std::atomic<int> wal_pages_{0};             // length of the log after the last commit
  int inline_checkpoint_pages_;               // used by the head of the queue only
  std::atomic<std::thread::id> writing_thread_{};

  Mutex mutex_;
  std::deque<Pending*> queue_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  CondVar drained_;

  Mutex read_mutex_;
  CondVar reader_returned_;
  std::vector<std::unique_ptr<Connection>> idle_readers_ ABSL_GUARDED_BY(read_mutex_);
  int readers_ ABSL_GUARDED_BY(read_mutex_) = 0;  // idle and lent
  bool reads_closed_ ABSL_GUARDED_BY(read_mutex_) = false;

  Mutex background_mutex_;
  CondVar background_wakeup_;
  absl::Time delayed_since_ ABSL_GUARDED_BY(background_mutex_) = absl::InfiniteFuture();
  bool checkpoint_wanted_ ABSL_GUARDED_BY(background_mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(background_mutex_) = false;
  std::thread background_;
};

}  // namespace berth::sqlite

#endif  // BERTH_BASE_SQLITE_DATABASE_H_
