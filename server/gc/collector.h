// One garbage collection: mark, remove records in small steps, then remove data.
//
// The mark runs on a read connection and blocks nobody. Each removal step is one short write
// transaction, which first looks at what changed since the mark (the triggers of the schema report
// it in gc_changed) and spares whatever was given a holder. Data goes last, when the removals are
// on the disk and no transaction is open: a crash in between leaves data without a record, which
// the stores sweep when they start, and never a record without data.
//
// Events: /snapshot/remove and /images/delete for what it removes. One Collect at a time; the
// scheduler is its only caller. Thread-compatible; owned by server/main.
#ifndef BERTH_SERVER_GC_COLLECTOR_H_
#define BERTH_SERVER_GC_COLLECTOR_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/sqlite/database.h"
#include "server/events/event_sink.h"
#include "server/gc/marker.h"
#include "server/metadata/collectable.h"

namespace berth::gc {

struct CollectionResult {
  int removed = 0;  // objects of all kinds
  absl::Duration duration;
  absl::Time next_expiry = absl::InfiniteFuture();  // of a lease or an image, after now
};

class Collector {
 public:
  // Stores and sink must outlive this.
  Collector(sqlite::Database& database, std::vector<metadata::Collectable*> stores,
            EventSink& events)
      : database_(database), stores_(std::move(stores)), events_(events) {}

  // Blocks. Errors: the first one met; what could be removed is removed all the same.
  absl::StatusOr<CollectionResult> Collect(absl::Time now);

 private:
  absl::Status Begin();
  absl::Status RemoveDead(const std::vector<metadata::ObjectId>& dead, Marker& marker,
                          std::vector<metadata::ObjectId>& removed);
  absl::Status RemoveStep(absl::Span<const metadata::ObjectId> step, Marker& marker,
                          std::vector<metadata::ObjectId>& removed);
  absl::Status RemoveData(const std::vector<metadata::ObjectId>& removed);
  void Announce(const std::vector<metadata::ObjectId>& removed);

  sqlite::Database& database_;
  const std::vector<metadata::Collectable*> stores_;
  EventSink& events_;
};

}  // namespace berth::gc

#endif  // BERTH_SERVER_GC_COLLECTOR_H_
