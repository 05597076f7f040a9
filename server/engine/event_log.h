// What happened, in Docker's words: kept for a while, and told to whoever listens.
//
// The last kKept events are in the database, so that `--since` reaches behind a restart.
// Invariant: a listener with `since` gets each stored event once and then each new one, in order.
// Thread-safe; Publish blocks for a database write. Owned by Engine.
#ifndef BERTH_SERVER_ENGINE_EVENT_LOG_H_
#define BERTH_SERVER_ENGINE_EVENT_LOG_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/os/mutex.h"
#include "base/sqlite/database.h"
#include "proto/berth/engine/v1/system.pb.h"

namespace berth::engine {

class EventLog {
 public:
  static constexpr int64_t kKept = 4096;
  // Must not block; false: wants no more.
  using Listener = absl::AnyInvocable<bool(const v1::EngineEvent&)>;
  using Attributes = std::map<std::string, std::string>;

  explicit EventLog(sqlite::Database& database) : database_(database) {}

  // Stamps and tells it. An event that cannot be stored is told all the same.
  void Publish(absl::string_view ns, absl::string_view type, absl::string_view action,
               absl::string_view actor, Attributes attributes);
  // Stored events not before `since`, then new ones. Blocks. The returned number is for Forget.
  absl::StatusOr<uint64_t> Listen(absl::string_view ns, absl::Time since, Listener listener);
  void Forget(uint64_t number);

 private:
  absl::Status Store(const v1::EngineEvent& event);

  sqlite::Database& database_;
  Mutex mutex_;
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<uint64_t, std::pair<std::string, Listener>> listeners_ ABSL_GUARDED_BY(mutex_);
};

// Errors: INVALID_ARGUMENT for a filter that Matches does not know.
absl::Status CheckEventFilters(const v1::EngineEventsRequest& request);

// Whether an event passes Docker's filters: type, event (or action), container, image, volume,
// network, label, daemon.
bool Matches(const v1::EngineEventsRequest& request, const v1::EngineEvent& event);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_EVENT_LOG_H_
