#include "base/sqlite/database.h"

#include <fcntl.h>
#include <sqlite3.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/sqlite/sqlite_status.h"
#include "base/status/check.h"
#include "base/status/status_macros.h"

namespace berth::sqlite {
namespace {

// A passive checkpoint cannot shrink the log while readers or writers never pause; beyond this
// length they are made to.
constexpr int kForcedCheckpointFactor = 16;
// Beyond this one the background thread does not keep up, and the writers wait for a checkpoint.
constexpr int kInlineCheckpointFactor = 32;

std::string DirectoryOf(absl::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) return ".";
  return slash == 0 ? "/" : std::string(path.substr(0, slash));
}

int RecordWalPages(void* pages, sqlite3*, const char*, int page_count) {
  static_cast<std::atomic<int>*>(pages)->store(page_count, std::memory_order_relaxed);
  return SQLITE_OK;
}

}  // namespace

// One queued Write. Lives on the stack of its caller, which waits until `done`.
struct Database::Pending {
  WriteMode mode;
  Operation operation;
  absl::Status status;
  uint64_t commit = 0;
  bool done = false;
  CondVar changed;  // done, or at the head of the queue
};

absl::StatusOr<std::unique_ptr<Database>> Database::Open(absl::string_view path,
                                                         const Migrations& migrations,
                                                         DatabaseOptions options) {
  auto database = std::unique_ptr<Database>(new Database(std::string(path), options));
  BERTH_RETURN_IF_ERROR(database->OpenConnections(migrations)) << "open the database";
  return database;
}

absl::Status Database::OpenConnections(const Migrations& migrations) {
  {
    // SQLite would make it world-readable. Closed before SQLite locks it: POSIX locks of a process
    // vanish when it closes any descriptor of the file.
    BERTH_ASSIGN_OR_RETURN(const UniqueFd file, OpenFile(path_, O_RDWR | O_CREAT, 0600));
  }
  BERTH_ASSIGN_OR_RETURN(writer_, Connection::Open(path_, Connection::Access::kReadWrite));
  // NORMAL: commits do not sync (WalSync does), checkpoints sync log and file in the right order.
  // The log keeps its length when it is reused, which keeps fdatasync cheap. Debian's SQLite would
  // overwrite deleted rows with zeros, which doubles what a deletion writes and protects nothing
  // here.
  BERTH_RETURN_IF_ERROR(
      writer_->Execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; "
                       "PRAGMA journal_size_limit=67108864; PRAGMA secure_delete=OFF;"));
  ::sqlite3_wal_hook(writer_->handle(), RecordWalPages, &wal_pages_);
  BERTH_RETURN_IF_ERROR(Migrate(*writer_, migrations));
  // The log's file exists after the first read in WAL mode.
  BERTH_RETURN_IF_ERROR(ReadSchemaVersion(*writer_));
  const std::string wal_path = absl::StrCat(path_, "-wal");
  BERTH_ASSIGN_OR_RETURN(UniqueFd wal, OpenFile(wal_path, O_RDWR));
  wal_sync_ = std::make_unique<WalSync>(std::move(wal), wal_path);
  BERTH_RETURN_IF_ERROR(wal_sync_->SyncTo(wal_sync_->Committed()));
  BERTH_RETURN_IF_ERROR(SyncDirectory(DirectoryOf(path_)));
  BERTH_ASSIGN_OR_RETURN(checkpointer_, Connection::Open(path_, Connection::Access::kReadWrite));
  BERTH_RETURN_IF_ERROR(
      checkpointer_->Execute("PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0;"));
  background_ = std::thread([this] { BackgroundLoop(); });
  return absl::OkStatus();
}

Database::Database(std::string path, DatabaseOptions options)
    : path_(std::move(path)),
      options_(options),
      inline_checkpoint_pages_(kInlineCheckpointFactor * options.checkpoint_after_pages) {}

Database::~Database() {
  Close().IgnoreError();  // a destructor cannot report; whoever cares has called Close
}

absl::Status Database::Write(WriteMode mode, Operation operation) {
  BERTH_CHECK(writing_thread_.load() != std::this_thread::get_id());  // a Write inside a Write
  Pending pending{mode, operation, absl::OkStatus(), 0, false, {}};
  {
    MutexLock lock(&mutex_);
    if (closed_) return absl::UnavailableError(absl::StrCat("database \"", path_, "\" is closed"));
    if (queue_.size() >= static_cast<size_t>(options_.write_queue_limit)) {
      return absl::ResourceExhaustedError(
          absl::StrCat(queue_.size(), " changes already wait for database \"", path_,
                       "\"; the disk may be slow: try again later"));
    }
    queue_.push_back(&pending);
    while (!pending.done && queue_.front() != &pending) pending.changed.Wait(&mutex_);
    if (!pending.done) {
      const size_t count = std::min(queue_.size(), static_cast<size_t>(options_.write_group_limit));
      const std::vector<Pending*> group(queue_.begin(), queue_.begin() + count);
      mutex_.Unlock();
      RunGroup(group);
      mutex_.Lock();
      queue_.erase(queue_.begin(), queue_.begin() + count);
      for (Pending* member : group) {
        member->done = true;
        member->changed.Signal();
      }
      if (!queue_.empty()) {
        queue_.front()->changed.Signal();
      } else {
        drained_.SignalAll();
      }
    }
  }
  // Outside the queue: the next group commits while this one reaches the disk.
  if (pending.status.ok() && mode == WriteMode::kDurable) return wal_sync_->SyncTo(pending.commit);
  return pending.status;
}

void Database::RunGroup(const std::vector<Pending*>& group) {
  absl::Status status = wal_sync_->Broken();
  if (status.ok()) {
    ShortenLog();
    writing_thread_.store(std::this_thread::get_id());
    status = RunInTransaction(group);
    writing_thread_.store(std::thread::id());
  }
  if (!status.ok()) {
    // Nothing of the group was kept. An operation that failed by itself keeps its own reason.
    for (Pending* member : group) {
      if (member->status.ok()) member->status = status;
    }
    return;
  }
  const uint64_t commit = wal_sync_->Committed();
  for (Pending* member : group) member->commit = commit;
  NoteCommit(group);
}

void Database::ShortenLog() {
  const int pages = wal_pages_.load(std::memory_order_relaxed);
  if (pages < inline_checkpoint_pages_) return;
  const int rc = ::sqlite3_wal_checkpoint_v2(writer_->handle(), nullptr, SQLITE_CHECKPOINT_RESTART,
                                             nullptr, nullptr);
  // A reader that lasts must not make every write wait, and the background thread, which may just
  // be at it, must not let the log double: the next try comes a quarter later.
  const int first_try = kInlineCheckpointFactor * options_.checkpoint_after_pages;
  inline_checkpoint_pages_ = rc == SQLITE_OK ? first_try : pages + first_try / 4;
}

absl::Status Database::RunInTransaction(const std::vector<Pending*>& group) {
  BERTH_RETURN_IF_ERROR(writer_->Run("BEGIN IMMEDIATE"));
  const bool alone = group.size() == 1;
  absl::Status status;
  for (Pending* member : group) {
    RunOne(*member, alone);
    // A full disk or an I/O error may have ended the whole transaction inside SQLite.
    if (::sqlite3_get_autocommit(writer_->handle()) != 0) {
      return member->status.ok() ? absl::InternalError("the transaction ended by itself")
                                 : member->status;
    }
  }
  if (alone && !group.front()->status.ok()) {
    return writer_->Run("ROLLBACK");
  }
  status = writer_->Run("COMMIT");
  if (!status.ok() && ::sqlite3_get_autocommit(writer_->handle()) == 0) {
    writer_->Run("ROLLBACK").IgnoreError();  // the commit's error is the one to report
  }
  return status;
}

void Database::RunOne(Pending& pending, bool alone) {
  if (alone) {
    pending.status = pending.operation(*writer_);
    return;
  }
  pending.status = writer_->Run("SAVEPOINT operation");
  if (!pending.status.ok()) return;
  pending.status = pending.operation(*writer_);
  if (::sqlite3_get_autocommit(writer_->handle()) != 0) return;
  absl::Status ended;
  if (!pending.status.ok()) ended = writer_->Run("ROLLBACK TO operation");
  if (ended.ok()) ended = writer_->Run("RELEASE operation");
  if (!ended.ok() && pending.status.ok()) pending.status = ended;
}

void Database::NoteCommit(const std::vector<Pending*>& group) {
  const bool delayed = std::any_of(group.begin(), group.end(), [](const Pending* member) {
    return member->mode == WriteMode::kDelayed && member->status.ok();
  });
  const bool long_log =
      wal_pages_.load(std::memory_order_relaxed) >= options_.checkpoint_after_pages;
  if (!delayed && !long_log) return;
  MutexLock lock(&background_mutex_);
  bool wake = false;
  if (delayed && delayed_since_ == absl::InfiniteFuture()) {
    delayed_since_ = absl::Now();
    wake = true;
  }
  if (long_log && !checkpoint_wanted_) {
    checkpoint_wanted_ = true;
    wake = true;
  }
  if (wake) background_wakeup_.Signal();
}

void Database::RequestSync() {
  MutexLock lock(&background_mutex_);
  if (delayed_since_ != absl::InfiniteFuture()) return;
  delayed_since_ = absl::Now();
  background_wakeup_.Signal();
}

// Sleeps without a timer while nothing is delayed, so that an idle daemon does not wake up.
void Database::BackgroundLoop() {
  MutexLock lock(&background_mutex_);
  while (true) {
    const absl::Time due = delayed_since_ + options_.delayed_sync_after;
    if (!stopping_ && !checkpoint_wanted_ && absl::Now() < due) {
      background_wakeup_.WaitWithDeadline(&background_mutex_, due);
      continue;
    }
    const bool checkpoint = checkpoint_wanted_;
    const bool stop = stopping_;
    delayed_since_ = absl::InfiniteFuture();
    background_mutex_.Unlock();
    // A failure is kept by WalSync: it fails the next durable write, or all of them.
    wal_sync_->SyncTo(wal_sync_->last_commit()).IgnoreError();
    if (options_.companion != nullptr) options_.companion->Sync();
    if (checkpoint && !stop) Checkpoint();
    background_mutex_.Lock();
    if (checkpoint) checkpoint_wanted_ = false;
    if (stop) return;
  }
}

void Database::Checkpoint() {
  const bool force = wal_pages_.load(std::memory_order_relaxed) >=
                     kForcedCheckpointFactor * options_.checkpoint_after_pages;
  // Nothing is lost when it fails or stays partial (a reader is in the way): the next commit asks
  // again.
  (void)::sqlite3_wal_checkpoint_v2(checkpointer_->handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE,
                                    nullptr, nullptr);
  if (!force) return;
  // This one keeps writers out, for as long as what was written meanwhile takes.
  (void)::sqlite3_wal_checkpoint_v2(checkpointer_->handle(), nullptr, SQLITE_CHECKPOINT_RESTART,
                                    nullptr, nullptr);
}

absl::Status Database::Read(Operation operation) {
  BERTH_ASSIGN_OR_RETURN(std::unique_ptr<Connection> reader, TakeReader());
  absl::Status status = reader->Run("BEGIN");
  if (status.ok()) {
    status = operation(*reader);
    const absl::Status ended = reader->Run("COMMIT");
    if (status.ok()) status = ended;
  }
  ReturnReader(std::move(reader));
  return status;
}

absl::StatusOr<std::unique_ptr<Connection>> Database::TakeReader() {
  {
    MutexLock lock(&read_mutex_);
    while (!reads_closed_ && idle_readers_.empty() && readers_ >= options_.read_connections_limit) {
      reader_returned_.Wait(&read_mutex_);
    }
    if (reads_closed_) {
      return absl::UnavailableError(absl::StrCat("database \"", path_, "\" is closed"));
    }
    if (!idle_readers_.empty()) {
      std::unique_ptr<Connection> reader = std::move(idle_readers_.back());
      idle_readers_.pop_back();
      return reader;
    }
    ++readers_;
  }
  absl::StatusOr<std::unique_ptr<Connection>> reader =
      Connection::Open(path_, Connection::Access::kReadOnly);
  if (!reader.ok()) ReturnReader(nullptr);
  return reader;
}

void Database::ReturnReader(std::unique_ptr<Connection> reader) {
  MutexLock lock(&read_mutex_);
  // A reader whose transaction could not be ended would pin an old state: it is closed.
  if (reader != nullptr && ::sqlite3_get_autocommit(reader->handle()) == 0) reader.reset();
  if (reader != nullptr) {
    idle_readers_.push_back(std::move(reader));
  } else {
    --readers_;
  }
  reader_returned_.SignalAll();
}

absl::Status Database::Sync() { return wal_sync_->SyncTo(wal_sync_->last_commit()); }

uint64_t Database::UnsyncedCommits() const {
  // In this order: a commit in between counts as unsynced, never the other way round.
  const uint64_t synced = wal_sync_->last_synced();
  return wal_sync_->last_commit() - synced;
}

absl::Status Database::Close() {
  {
    MutexLock lock(&mutex_);
    if (closed_) return absl::OkStatus();
    closed_ = true;
    while (!queue_.empty()) drained_.Wait(&mutex_);
  }
  {
    MutexLock lock(&read_mutex_);
    reads_closed_ = true;
    reader_returned_.SignalAll();
    while (static_cast<size_t>(readers_) > idle_readers_.size()) {
      reader_returned_.Wait(&read_mutex_);
    }
    idle_readers_.clear();
    readers_ = 0;
  }
  if (background_.joinable()) {
    {
      MutexLock lock(&background_mutex_);
      stopping_ = true;
      background_wakeup_.Signal();
    }
    background_.join();
  }
  if (wal_sync_ == nullptr) return absl::OkStatus();  // Open failed half-way
  BERTH_RETURN_IF_ERROR(Sync()) << "close the database";
  checkpointer_.reset();
  const int rc = ::sqlite3_wal_checkpoint_v2(writer_->handle(), nullptr, SQLITE_CHECKPOINT_TRUNCATE,
                                             nullptr, nullptr);
  const absl::Status status =
      rc == SQLITE_OK ? absl::OkStatus() : SqliteStatus(writer_->handle(), rc, "checkpoint", path_);
  writer_.reset();
  return status;
}

}  // namespace berth::sqlite
