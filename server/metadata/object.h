// The name of any object that garbage collection knows. Immutable value, hashable.
#ifndef BERTH_SERVER_METADATA_OBJECT_H_
#define BERTH_SERVER_METADATA_OBJECT_H_

#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace berth::metadata {

// The numbers are stored: never reuse one.
enum class ObjectKind {
  kContent = 1,    // name: the digest
  kSnapshot = 2,   // name: "<snapshotter>/<key>"
  kImage = 3,      // name: the image's name
  kContainer = 4,  // name: the container's id
  kLease = 5,      // name: the lease's id
  kIngest = 6,     // name: the ref
};

struct ObjectId {
  ObjectKind kind;
  std::string ns;
  std::string name;

  friend bool operator==(const ObjectId&, const ObjectId&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const ObjectId& id) {
    return H::combine(std::move(h), id.kind, id.ns, id.name);
  }
};

// "<snapshotter>/<key>": snapshotter names hold no slash, keys may.
std::string SnapshotObjectName(absl::string_view snapshotter, absl::string_view key);
// The two parts again; both empty when there is no slash.
std::pair<absl::string_view, absl::string_view> SplitSnapshotObjectName(absl::string_view name);

}  // namespace berth::metadata

#endif  // BERTH_SERVER_METADATA_OBJECT_H_
