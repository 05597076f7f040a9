// The Docker-style engine: containers with names and a life, over the layers below it.
//
// Invariant: what it knows is in the database, in files below ROOT/containers and ROOT/volumes, and
// in the shims; a daemon that is killed at any instruction loses nothing of it. Thread-safe; owned
// by server/main, and outlives every call into it. No call into it begins before Begin has
// returned.
#ifndef BERTH_SERVER_ENGINE_ENGINE_H_
#define BERTH_SERVER_ENGINE_ENGINE_H_

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "server/engine/attachments.h"
#include "server/engine/container_records.h"
#include "server/engine/container_table.h"
#include "server/engine/creator.h"
#include "server/engine/engine_parts.h"
#include "server/engine/event_log.h"
#include "server/engine/execs.h"
#include "server/engine/lifecycle.h"
#include "server/engine/log_watch.h"
#include "server/engine/volumes.h"

namespace berth {
class Subscription;
}  // namespace berth

namespace berth::engine {

class Engine {
 public:
  explicit Engine(EngineParts parts);
  ~Engine();

  // Removes what creations that did not end have left, brings records and tasks together, and
  // starts what is to come back. `subscription`: of the task events, from before tasks were
  // adopted. Blocks.
  absl::Status Begin(std::shared_ptr<Subscription> subscription);
  // For the subscription.
  void OnEventsReady() { lifecycle_.OnEventsReady(); }

  const EngineParts& parts() const { return parts_; }
  ContainerTable& table() { return table_; }
  ContainerRecords& records() { return records_; }
  EventLog& events() { return events_; }
  Volumes& volumes() { return volumes_; }
  Lifecycle& lifecycle() { return lifecycle_; }
  Creator& creator() { return creator_; }
  Execs& execs() { return execs_; }
  Attachments& attachments() { return attachments_; }
  LogWatch& log_watch() { return log_watch_; }

  // The daemon ends: calls that break from now on do not mean that their clients went away.
  void Leave() { is_leaving_.store(true); }
  bool is_leaving() const { return is_leaving_.load(); }

 private:
  // Directories of containers that are no more.
  absl::Status SweepDirectories();

  const EngineParts parts_;
  ContainerTable table_;
  ContainerRecords records_;
  EventLog events_;
  Volumes volumes_;
  Lifecycle lifecycle_;
  Creator creator_;
  Execs execs_;
  Attachments attachments_;
  LogWatch log_watch_;
  std::atomic<bool> is_leaving_ = false;
};

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_ENGINE_H_
