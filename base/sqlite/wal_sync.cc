#include "base/sqlite/wal_sync.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/status/errno_status.h"

namespace berth::sqlite {

absl::Status WalSync::SyncTo(uint64_t commit) {
  MutexLock lock(&mutex_);
  while (synced_ < commit) {
    if (commit <= failed_) return failure_;
    if (syncing_) {
      changed_.Wait(&mutex_);
      continue;
    }
    syncing_ = true;
    const uint64_t target = last_commit();
    mutex_.Unlock();
    const int result = ::fdatasync(wal_.get());
    const int error_number = result == 0 ? 0 : errno;
    mutex_.Lock();
    syncing_ = false;
    changed_.SignalAll();
    if (result == 0) {
      synced_ = std::max(synced_, target);
      continue;
    }
    failed_ = target;
    failure_ = ErrnoStatus(error_number, "fdatasync", path_);
    const bool full = error_number == ENOSPC || error_number == EDQUOT;
    if (full) {
      failure_ = absl::ResourceExhaustedError(
          absl::StrCat(failure_.message(),
                       "; free space on that filesystem: recent changes are not on the disk yet"));
    } else {
      failure_ = absl::InternalError(absl::StrCat(
          failure_.message(),
          "; the disk failed and recent changes may be lost: check it and restart the daemon"));
      broken_ = failure_;
    }
  }
  return absl::OkStatus();
}

uint64_t WalSync::last_synced() const {
  MutexLock lock(&mutex_);
  return synced_;
}

absl::Status WalSync::Broken() const {
  MutexLock lock(&mutex_);
  return broken_;
}

}  // namespace berth::sqlite
