// What a store offers to garbage collection: its objects, what they keep alive, and their removal.
//
// A collection marks in one read transaction, then removes records in small write transactions,
// then data with no transaction open. Between mark and removal the tables' triggers (schema.cc,
// gc_*) report every change, so that an object that was given a new holder meanwhile stays.
// Thread-safe; implemented by each store, owned by server/main, borrowed by server/gc.
#ifndef BERTH_SERVER_METADATA_COLLECTABLE_H_
#define BERTH_SERVER_METADATA_COLLECTABLE_H_

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/sqlite/connection.h"
#include "server/metadata/object.h"

namespace berth::metadata {

enum class Rooted {
  kNo,   // lives only as long as something live refers to it
  kYes,  // lives by itself (a container, an unexpired lease, image or ingest)
};

class Collectable {
 public:
  virtual ~Collectable() = default;

  // Which objects these are. One Collectable per kind.
  virtual ObjectKind kind() const = 0;

  // Calls `visit` for every object of this kind, in all namespaces. gc.* labels are not its
  // concern: they are read from the table gc_labels.
  virtual absl::Status ForEach(sqlite::Connection& connection, absl::Time now,
                               absl::FunctionRef<void(ObjectId, Rooted)> visit) = 0;

  // Calls `visit` for what `object` keeps alive by its nature: a snapshot its parent, an ingest its
  // expected digest, an image its target, a container its snapshot. A missing object has none.
  virtual absl::Status References(sqlite::Connection& connection, const ObjectId& object,
                                  absl::FunctionRef<void(ObjectId)> visit) = 0;

  // Deletes the records of `objects` (at most a few dozen, children before parents) inside the
  // collection's write transaction, with their gc_labels. An object that has vanished, or that now
  // has a dependent, is left out of the result; an error undoes the whole step.
  virtual absl::StatusOr<std::vector<ObjectId>> RemoveRecords(
      sqlite::Connection& connection, absl::Span<const ObjectId> objects) = 0;

  // After that commit, with no transaction open: deletes the data of `removed` that no record names
  // any more (another namespace may share it, a new record may have come). Blocks. Must survive
  // being skipped by a crash: the next start removes what is left over.
  virtual absl::Status RemoveData(absl::Span<const ObjectId> removed) = 0;
};

}  // namespace berth::metadata

#endif  // BERTH_SERVER_METADATA_COLLECTABLE_H_
