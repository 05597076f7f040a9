// The labels that garbage collection reads, of every kind of object, in one table.
//
// Invariant: for each object the table gc_labels holds exactly those of its labels that begin with
// "containerd.io/gc.". Every store keeps it so: SetGcLabels in the same transaction whenever it
// writes an object's labels, RemoveGcLabels when it deletes the object. The table's triggers also
// tell a collection that is under way which objects have changed. Thread-compatible functions.
#ifndef BERTH_SERVER_METADATA_GC_LABELS_H_
#define BERTH_SERVER_METADATA_GC_LABELS_H_

#include "absl/status/status.h"
#include "base/sqlite/connection.h"
#include "server/metadata/labels.h"
#include "server/metadata/object.h"

namespace berth::metadata {

inline constexpr char kGcLabelPrefix[] = "containerd.io/gc.";

// Replaces what is recorded for `object` by those of `labels` (all the labels it has now) that
// matter. kNewObject skips the search for older ones.
enum class ObjectAge { kNewObject, kMayExist };
absl::Status SetGcLabels(sqlite::Connection& connection, const ObjectId& object,
                         const Labels& labels, ObjectAge age);
absl::Status RemoveGcLabels(sqlite::Connection& connection, const ObjectId& object);

}  // namespace berth::metadata

#endif  // BERTH_SERVER_METADATA_GC_LABELS_H_
