// Deletes removed layers in the background: what lies under removed/ is its queue, so that a crash
// forgets nothing and the queue needs no memory.
//
// Invariant: before a directory is deleted, the removal of its record is on the disk. Otherwise a
// power cut could bring back a record whose files are half gone. Thread-safe; owned by
// DirectorySnapshotter.
#ifndef BERTH_SNAPSHOTTER_STORE_LAYER_REAPER_H_
#define BERTH_SNAPSHOTTER_STORE_LAYER_REAPER_H_

#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "base/os/mutex.h"
#include "base/sqlite/database.h"
#include "snapshotter/store/layer_directories.h"
#include "snapshotter/store/layer_format.h"

namespace berth::snapshots {

class LayerReaper {
 public:
  LayerReaper(sqlite::Database& database, const LayerDirectories& directories,
              const LayerFormat& format);
  ~LayerReaper();

  // Something was put under removed/.
  void Wake() ABSL_LOCKS_EXCLUDED(mutex_);
  // Deletes all that is there now. Blocks. Errors: the first one; what it could not delete is tried
  // again by the next call.
  absl::Status DeleteRemoved() ABSL_LOCKS_EXCLUDED(deleting_);
  // Ends after the deletion of one layer at most. Twice is no error. Blocks.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Run();
  bool IsStopping() ABSL_LOCKS_EXCLUDED(mutex_);

  sqlite::Database& database_;
  const LayerDirectories& directories_;
  const LayerFormat& format_;

  Mutex deleting_;  // one deletion at a time; taken before mutex_
  Mutex mutex_;
  bool woken_ ABSL_GUARDED_BY(mutex_) = true;  // a previous run may have left something
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace berth::snapshots

#endif  // BERTH_SNAPSHOTTER_STORE_LAYER_REAPER_H_
