// Snapshots as clients see them: keys and names of a namespace, with labels and leases, over the
// backends that hold the files.
//
// Keys are private to a namespace; the backend's own keys are "<namespace>/<random>/<key>". A
// namespace's record and the backend's change in one transaction, so that neither exists without
// the other. A removal deletes the record first; the backend follows, at once or (after a crash) by
// RemoveLeftovers. Thread-safe; owned by server/main, which passes the backends.
#ifndef BERTH_SERVER_METADATA_SNAPSHOT_STORE_H_
#define BERTH_SERVER_METADATA_SNAPSHOT_STORE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/os/mutex.h"
#include "base/sqlite/database.h"
#include "server/filter/filter.h"
#include "server/metadata/caller.h"
#include "server/metadata/change_listener.h"
#include "server/metadata/collectable.h"
#include "server/metadata/labels.h"
#include "server/metadata/snapshot_record.h"
#include "snapshotter/api/snapshotter.h"

namespace berth::metadata {

class SnapshotStore final : public Collectable {
 public:
  using Info = SnapshotInfo;
  using Mounts = std::vector<snapshots::Mount>;

  // What Prepare and View make.
  struct NewSnapshot {
    std::string key;
    std::string parent;  // empty: none
    Labels labels;
  };
  struct CommitSnapshot {
    std::string name;
    std::string key;
    std::string parent;  // empty: that of the active snapshot
    Labels labels;
  };

  // The backends outlive the store. Their description().name is what clients call them.
  SnapshotStore(sqlite::Database& database, const std::vector<snapshots::Snapshotter*>& backends,
                ChangeListener* listener = nullptr);

  // Every call but those of Collectable: INVALID_ARGUMENT for an empty or unknown snapshotter.

  absl::StatusOr<snapshots::Snapshotter::Description> Describe(absl::string_view snapshotter) const;

  // Errors: NOT_FOUND.
  absl::StatusOr<Info> Stat(const Caller& caller, absl::string_view snapshotter,
                            absl::string_view key);
  // At most `limit` that match and come after `after`, in order of key; fewer only at the end.
  // Filter fields: kind, name, parent, labels.<key>.
  absl::StatusOr<std::vector<Info>> List(const Caller& caller, absl::string_view snapshotter,
                                         const Filter& filter, absl::string_view after, int limit);
  // Mask paths: labels, labels.<key>; an empty mask replaces all labels. Errors: NOT_FOUND;
  // INVALID_ARGUMENT naming the path.
  absl::StatusOr<Info> Update(const Caller& caller, absl::string_view snapshotter, const Info& info,
                              absl::Span<const std::string> mask);
  // Errors: NOT_FOUND.
  absl::StatusOr<snapshots::Usage> GetUsage(const Caller& caller, absl::string_view snapshotter,
                                            absl::string_view key);
  // Errors: NOT_FOUND, FAILED_PRECONDITION (committed).
  absl::StatusOr<Mounts> GetMounts(const Caller& caller, absl::string_view snapshotter,
                                   absl::string_view key);
  // Errors: ALREADY_EXISTS (the key, or what the label containerd.io/snapshot.ref names; the
  // existing one then joins the caller's lease), NOT_FOUND (parent, lease), INVALID_ARGUMENT.
  absl::StatusOr<Mounts> Prepare(const Caller& caller, absl::string_view snapshotter,
                                 const NewSnapshot& snapshot);
  absl::StatusOr<Mounts> View(const Caller& caller, absl::string_view snapshotter,
                              const NewSnapshot& snapshot);
  // The caller's lease then holds the name instead of the key. Errors: ALREADY_EXISTS (as above),
  // NOT_FOUND, FAILED_PRECONDITION (not active, another parent), INVALID_ARGUMENT, UNIMPLEMENTED.
  absl::Status Commit(const Caller& caller, absl::string_view snapshotter,
                      const CommitSnapshot& commit);
  // Errors: NOT_FOUND, FAILED_PRECONDITION (children).
  absl::Status Remove(const Caller& caller, absl::string_view snapshotter, absl::string_view key);
  // Deletes the files of removed snapshots now. Blocks.
  absl::Status Cleanup(absl::string_view snapshotter);

  // Removes from the backends what has no record any more, also what a crash left. Call it once at
  // start. Blocks.
  absl::Status RemoveLeftovers();

  ObjectKind kind() const override { return ObjectKind::kSnapshot; }
  absl::Status ForEach(sqlite::Connection& connection, absl::Time now,
                       absl::FunctionRef<void(ObjectId, Rooted)> visit) override;
  absl::Status References(sqlite::Connection& connection, const ObjectId& object,
                          absl::FunctionRef<void(ObjectId)> visit) override;
  absl::StatusOr<std::vector<ObjectId>> RemoveRecords(sqlite::Connection& connection,
                                                      absl::Span<const ObjectId> objects) override;
  absl::Status RemoveData(absl::Span<const ObjectId> removed) override;

 private:
  enum class Access { kReadWrite, kReadOnly };

  absl::StatusOr<snapshots::Snapshotter*> FindBackend(absl::string_view snapshotter) const;
  absl::StatusOr<SnapshotRecord> Read(const SnapshotSpace& space, absl::string_view key);
  absl::StatusOr<Mounts> Create(const Caller& caller, absl::string_view snapshotter,
                                const NewSnapshot& snapshot, Access access);
  // ALREADY_EXISTS for `key`, after it has joined the caller's lease.
  absl::Status RefuseExisting(const Caller& caller, const SnapshotSpace& space,
                              absl::string_view key);
  void Tell(Change change) {
    if (listener_ != nullptr) listener_->OnChange(change);
  }

  sqlite::Database& database_;
  const std::map<std::string, snapshots::Snapshotter*> backends_;
  ChangeListener* const listener_;
  // One change of labels at a time: what the backend is told follows from what the record says.
  Mutex update_mutex_;
};

}  // namespace berth::metadata

#endif  // BERTH_SERVER_METADATA_SNAPSHOT_STORE_H_
