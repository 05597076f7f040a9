#include "snapshotter/store/layer_reaper.h"

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/status/status_macros.h"

namespace berth::snapshots {
namespace {

// Removals come in bursts; one flush of the disk serves all that came within this time.
constexpr absl::Duration kGatherTime = absl::Milliseconds(200);

}  // namespace

LayerReaper::LayerReaper(sqlite::Database& database, const LayerDirectories& directories,
                         const LayerFormat& format)
    : database_(database), directories_(directories), format_(format), thread_([this] { Run(); }) {}

LayerReaper::~LayerReaper() { Stop(); }

void LayerReaper::Wake() {
  MutexLock lock(&mutex_);
  woken_ = true;
}

void LayerReaper::Stop() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

bool LayerReaper::IsStopping() {
  MutexLock lock(&mutex_);
  return stopping_;
}

absl::Status LayerReaper::DeleteRemoved() {
  MutexLock deleting(&deleting_);
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> removed, directories_.ListRemoved());
  if (removed.empty()) return absl::OkStatus();
  // An empty durable write also covers what an earlier process left in the log unsynced.
  BERTH_RETURN_IF_ERROR(database_.Write(sqlite::WriteMode::kDurable, [](sqlite::Connection&) {
    return absl::OkStatus();
  })) << "make the removal of snapshots durable";
  absl::Status first_error;
  for (const std::string& id : removed) {
    if (IsStopping()) break;
    // Whoever was about to show it when it was removed may have done so until its name was gone.
    absl::Status deleted = format_.Hide(directories_.RemovedPath(id));
    if (deleted.ok()) deleted = directories_.Delete(id);
    first_error.Update(deleted);
  }
  return first_error;
}

void LayerReaper::Run() {
  while (true) {
    {
      MutexLock lock(&mutex_);
      const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return woken_ || stopping_;
      };
      mutex_.Await(absl::Condition(&has_work));
      mutex_.AwaitWithTimeout(absl::Condition(&stopping_), kGatherTime);
      if (stopping_) return;
      woken_ = false;
    }
    // What fails stays under removed/ for the next time; Cleanup reports the reason.
    DeleteRemoved().IgnoreError();
  }
}

}  // namespace berth::snapshots
