// Volumes: directories below ROOT/volumes, each with a record, that outlive containers.
//
// Invariant: the directory exists before the record is committed, and goes after the record is
// deleted; a directory that no record names is removed at start. A volume that a container's row
// names as used is not removed. One with driver options is mounted as long as a container that
// holds it runs, also while the daemon is away. Thread-safe; all calls block. Owned by Engine.
#ifndef BERTH_SERVER_ENGINE_VOLUMES_H_
#define BERTH_SERVER_ENGINE_VOLUMES_H_

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/mutex.h"
#include "base/os/unique_fd.h"
#include "base/sqlite/database.h"
#include "proto/berth/engine/v1/volumes.pb.h"
#include "server/engine/container_table.h"
#include "server/engine/event_log.h"

namespace berth::engine {

class Volumes {
 public:
  // `root`: ROOT/volumes.
  Volumes(sqlite::Database& database, EventLog& events, std::string root)
      : database_(database), events_(events), root_(std::move(root)) {}

  enum class Age { kNew, kExisting };
  struct Found {
    v1::Volume volume;
    Age age;
  };
  // An existing volume of that name is returned as it is; an empty name gets 64 random digits.
  // Errors: INVALID_ARGUMENT for a name or an option.
  absl::StatusOr<Found> Create(absl::string_view ns, const v1::CreateVolumeRequest& request);
  // Errors: NOT_FOUND.
  absl::StatusOr<v1::Volume> Get(absl::string_view ns, absl::string_view name);
  // In order of name. Filters: name, label, dangling, driver.
  absl::StatusOr<std::vector<v1::Volume>> List(absl::string_view ns,
                                               const v1::ListVolumesRequest& request);
  // Errors: NOT_FOUND; FAILED_PRECONDITION while a container uses it.
  absl::Status Remove(absl::string_view ns, absl::string_view name);
  absl::StatusOr<v1::PruneVolumesResponse> Prune(absl::string_view ns,
                                                 const v1::PruneVolumesRequest& request);
  // Notes that the container uses the volume.
  absl::Status Use(const ContainerKey& key, absl::string_view volume);
  // The container is about to run: a volume with options is mounted, unless it is already. Errors:
  // NOT_FOUND; what the mount says.
  absl::Status Hold(const ContainerKey& key, absl::string_view volume);
  // The container does not run any more: what no other one holds is unmounted.
  absl::Status Release(const ContainerKey& key);
  // Removes directories that no record names.
  absl::Status Sweep();
  // The bytes of a directory tree, each inode once.
  static uint64_t Measure(absl::string_view directory);

 private:
  absl::StatusOr<std::vector<v1::Volume>> ReadAll(absl::string_view ns);
  // Whether another container that uses the volume runs, as its row says.
  absl::StatusOr<bool> RunsElsewhere(const ContainerKey& key, absl::string_view volume);
  absl::StatusOr<std::vector<std::string>> VolumesOf(const ContainerKey& key);
  // Never reaches into what is mounted there.
  absl::Status RemoveFiles(BorrowedFd parent, const std::string& directory,
                           const std::string& path);

  sqlite::Database& database_;
  EventLog& events_;
  const std::string root_;
  Mutex mounts_mutex_;
  // Who holds which mounted volume, "<namespace>/<name>"; those of before a restart of the daemon
  // are not here.
  std::map<std::string, std::set<std::string>> holders_ ABSL_GUARDED_BY(mounts_mutex_);
};

// Docker's document.
std::string VolumeDocument(const v1::Volume& volume);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_VOLUMES_H_
