// The marking half of a collection: which objects are alive.
//
// Roots are what the stores call rooted (containers; leases, images and ingests that have not
// expired) and what bears the label gc.root. From there it follows what the stores say an object
// keeps by its nature, forward labels of the object, and back labels that name it. What a flat
// lease holds is followed by nature only, not by labels. Thread-compatible; lives for one
// collection.
#ifndef BERTH_SERVER_GC_MARKER_H_
#define BERTH_SERVER_GC_MARKER_H_

#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/sqlite/connection.h"
#include "server/metadata/collectable.h"
#include "server/metadata/object.h"

namespace berth::gc {

class Marker {
 public:
  // The stores must outlive this.
  explicit Marker(absl::Span<metadata::Collectable* const> stores);

  // Lists every object and marks from all roots, as of `connection`'s transaction.
  absl::Status MarkAll(sqlite::Connection& connection, absl::Time now);
  // Objects that were written since: each is taken for alive, and followed afresh.
  absl::Status MarkChanged(sqlite::Connection& connection,
                           absl::Span<const metadata::ObjectId> changed);

  bool IsAlive(const metadata::ObjectId& object) const { return marks_.contains(object); }
  // Everything that MarkAll found and that is not alive.
  std::vector<metadata::ObjectId> Dead() const;

 private:
  enum class Reach { kByNature, kAll };  // ordered: kAll includes kByNature

  absl::Status LoadLabels(sqlite::Connection& connection);
  void Reached(const metadata::ObjectId& object, Reach reach);
  absl::Status Follow(sqlite::Connection& connection);
  absl::Status FollowOne(sqlite::Connection& connection, const metadata::ObjectId& object,
                         Reach reach);

  const std::vector<metadata::Collectable*> stores_;
  absl::flat_hash_map<metadata::ObjectKind, metadata::Collectable*> by_kind_;
  std::vector<metadata::ObjectId> objects_;
  std::vector<metadata::ObjectId> roots_;
  absl::flat_hash_set<metadata::ObjectId> flat_leases_;
  absl::flat_hash_map<metadata::ObjectId, std::vector<metadata::ObjectId>> kept_by_;  // back labels
  absl::flat_hash_map<metadata::ObjectId, Reach> marks_;
  std::vector<std::pair<metadata::ObjectId, Reach>> pending_;
};

}  // namespace berth::gc

#endif  // BERTH_SERVER_GC_MARKER_H_
