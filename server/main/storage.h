// Everything that lives in ROOT: the database, the stores over it, the layer backends, and the
// garbage collection of them all.
//
// Invariant: built by Open in the order of the members, closed by Close in the reverse; a backend
// that this machine cannot serve is listed with its reason and not offered. Thread-compatible; the
// stores themselves are thread-safe. Owned by Daemon.
#ifndef BERTH_SERVER_MAIN_STORAGE_H_
#define BERTH_SERVER_MAIN_STORAGE_H_

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/log/logger.h"
#include "base/sqlite/database.h"
#include "server/content/content_collector.h"
#include "server/content/content_store.h"
#include "server/events/event_sink.h"
#include "server/gc/collector.h"
#include "server/gc/scheduler.h"
#include "server/main/config.h"
#include "server/main/plugin_list.h"
#include "server/metadata/container_store.h"
#include "server/metadata/image_store.h"
#include "server/metadata/lease_store.h"
#include "server/metadata/namespace_store.h"
#include "server/metadata/snapshot_store.h"
#include "snapshotter/api/snapshotter.h"

namespace berth {

class Storage {
 public:
  // `events`, `synced_along` (what becomes durable with the database) and `log` must outlive it.
  // Blocks. Errors: as sqlite::Database::Open.
  static absl::StatusOr<std::unique_ptr<Storage>> Open(const Config& config, EventSink& events,
                                                       sqlite::SyncCompanion& synced_along,
                                                       const Logger& log);
  // Stops collecting, closes the backends, folds the database. Idempotent. Blocks.
  void Close();

  // Begins collecting in the background.
  void StartCollecting();
  // What an earlier daemon left half removed. Blocks; run it beside the service.
  absl::Status RemoveLeftovers();

  sqlite::Database& database() { return *database_; }
  gc::Scheduler& collector() { return *scheduler_; }
  metadata::NamespaceStore& namespaces() { return *namespaces_; }
  metadata::ContainerStore& containers() { return *containers_; }
  metadata::ImageStore& images() { return *images_; }
  metadata::LeaseStore& leases() { return *leases_; }
  metadata::SnapshotStore& snapshots() { return *snapshots_; }
  content::ContentStore& content() { return *content_; }
  const std::vector<SnapshotterPlugin>& snapshotter_plugins() const { return plugins_; }

 private:
  Storage(EventSink& events, const Logger& log) : events_(events), log_(log) {}
  absl::Status Build(const Config& config, sqlite::SyncCompanion& synced_along);
  void OpenBackends(const std::string& root);
  absl::Status OpenStores(const Config& config);
  void AddBackend(absl::string_view name, const std::string& root,
                  absl::StatusOr<std::unique_ptr<snapshots::Snapshotter>> backend);

  EventSink& events_;
  const Logger& log_;
  std::unique_ptr<sqlite::Database> database_;
  std::unique_ptr<gc::Scheduler> scheduler_;
  std::vector<std::unique_ptr<snapshots::Snapshotter>> backends_;
  std::vector<SnapshotterPlugin> plugins_;
  std::unique_ptr<metadata::NamespaceStore> namespaces_;
  std::unique_ptr<metadata::ContainerStore> containers_;
  std::unique_ptr<metadata::ImageStore> images_;
  std::unique_ptr<metadata::LeaseStore> leases_;
  std::unique_ptr<metadata::SnapshotStore> snapshots_;
  std::unique_ptr<content::ContentStore> content_;
  std::unique_ptr<content::BlobCollector> blobs_;
  std::unique_ptr<content::IngestCollector> ingests_;
  std::unique_ptr<gc::Collector> collector_;
};

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_STORAGE_H_
