#include "server/main/storage.h"

#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "server/main/proxy_snapshotter.h"
#include "server/metadata/schema.h"
#include "snapshotter/erofs/erofs_snapshotter.h"
#include "snapshotter/native/native_snapshotter.h"
#include "snapshotter/overlay/overlay_snapshotter.h"

namespace berth {

absl::StatusOr<std::unique_ptr<Storage>> Storage::Open(const Config& config, EventSink& events,
                                                       sqlite::SyncCompanion& synced_along,
                                                       const Logger& log) {
  std::unique_ptr<Storage> storage(new Storage(events, log));
  BERTH_RETURN_IF_ERROR(storage->Build(config, synced_along));
  return storage;
}

absl::Status Storage::Build(const Config& config, sqlite::SyncCompanion& synced_along) {
  sqlite::DatabaseOptions database;
  database.companion = &synced_along;
  BERTH_ASSIGN_OR_RETURN(database_,
                         sqlite::Database::Open(absl::StrCat(config.root, "/metadata.db"),
                                                metadata::SchemaMigrations(), database));
  gc::SchedulerOptions options;
  options.pause_threshold = config.gc.pause_threshold;
  options.deletion_threshold = static_cast<int>(config.gc.deletion_threshold);
  options.mutation_threshold = static_cast<int>(config.gc.mutation_threshold);
  options.schedule_delay = config.gc.schedule_delay;
  options.startup_delay = config.gc.startup_delay;
  scheduler_ = std::make_unique<gc::Scheduler>(options, log_);

  BERTH_RETURN_IF_ERROR(EnsureDirectory(absl::StrCat(config.root, "/snapshots"), 0711));
  OpenBackends(absl::StrCat(config.root, "/snapshots"));
  for (const auto& [name, proxy] : config.proxy_plugins) {
    const std::string& there = proxy.snapshotter.empty() ? name : proxy.snapshotter;
    AddBackend(name, proxy.address, MakeProxySnapshotter({name, proxy.address, there}, *database_));
  }
  BERTH_RETURN_IF_ERROR(OpenStores(config));
  collector_ = std::make_unique<gc::Collector>(
      *database_,
      std::vector<metadata::Collectable*>{containers_.get(), images_.get(), leases_.get(),
                                          snapshots_.get(), blobs_.get(), ingests_.get()},
      events_);
  return absl::OkStatus();
}

void Storage::OpenBackends(const std::string& root) {
  // Each asks the kernel by mounts what it can do, which takes a start's time.
  const std::string overlay_root = absl::StrCat(root, "/overlayfs");
  const std::string native_root = absl::StrCat(root, "/native");
  const std::string erofs_root = absl::StrCat(root, "/erofs");
  auto overlay = std::async(std::launch::async, [&] {
    return snapshots::OpenOverlaySnapshotter({.root = overlay_root, .mount_options = {}},
                                             *database_);
  });
  auto erofs = snapshots::OpenErofsSnapshotter({.root = erofs_root}, *database_);
  AddBackend("overlayfs", overlay_root, overlay.get());
  AddBackend("native", native_root,
             snapshots::OpenNativeSnapshotter({.root = native_root}, *database_));
  AddBackend("erofs", erofs_root, std::move(erofs));
}

absl::Status Storage::OpenStores(const Config& config) {
  namespaces_ = std::make_unique<metadata::NamespaceStore>(*database_);
  containers_ = std::make_unique<metadata::ContainerStore>(*database_, scheduler_.get());
  images_ = std::make_unique<metadata::ImageStore>(*database_, scheduler_.get());
  leases_ = std::make_unique<metadata::LeaseStore>(*database_, scheduler_.get());
  std::vector<snapshots::Snapshotter*> backends;
  for (const auto& backend : backends_) backends.push_back(backend.get());
  snapshots_ = std::make_unique<metadata::SnapshotStore>(*database_, backends, scheduler_.get());
  content::ContentStore::Options content;
  content.sharing = config.content.sharing_policy == "isolated" ? content::SharingPolicy::kIsolated
                                                                : content::SharingPolicy::kShared;
  BERTH_ASSIGN_OR_RETURN(
      content_, content::ContentStore::Open(absl::StrCat(config.root, "/content"), *database_,
                                            &events_, scheduler_.get(), content));
  blobs_ = std::make_unique<content::BlobCollector>(*content_);
  ingests_ = std::make_unique<content::IngestCollector>(*content_);
  return absl::OkStatus();
}

void Storage::AddBackend(absl::string_view name, const std::string& root,
                         absl::StatusOr<std::unique_ptr<snapshots::Snapshotter>> backend) {
  SnapshotterPlugin plugin;
  plugin.name = std::string(name);
  plugin.root = root;
  if (backend.ok()) {
    plugin.capabilities = (*backend)->description().capabilities;
    backends_.push_back(*std::move(backend));
  } else {
    log_.Warning("going on without a snapshotter", {{"name", name}, {"error", backend.status()}});
    plugin.error = std::string(backend.status().message());
  }
  plugins_.push_back(std::move(plugin));
}

void Storage::StartCollecting() {
  scheduler_->Start([this](absl::Time now) { return collector_->Collect(now); });
}

absl::Status Storage::RemoveLeftovers() {
  absl::Status status = snapshots_->RemoveLeftovers();
  status.Update(content_->RemoveLeftovers());
  return status;
}

void Storage::Close() {
  if (scheduler_ != nullptr) scheduler_->Stop();
  for (const auto& backend : backends_) {
    const absl::Status status = backend->Close();
    if (!status.ok()) {
      log_.Warning("ignoring what failed while closing a snapshotter",
                   {{"name", backend->description().name}, {"error", status}});
    }
  }
  if (database_ == nullptr) return;
  const absl::Status status = database_->Close();
  if (!status.ok()) log_.Error("the database did not close cleanly", {{"error", status}});
}

}  // namespace berth
