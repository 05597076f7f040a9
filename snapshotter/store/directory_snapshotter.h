// A Snapshotter whose layers are directories and whose records are rows of the one database.
//
// Order of each change, so that a crash between two steps leaves only what Open mends:
//   Prepare  fill new/<id>, rename to layers/<id>, insert the record
//   Commit   sync the layer, change the record (durable)
//   Remove   delete the record, rename to removed/<id>; the reaper deletes it once that is durable
// Open moves directories without a record out of the way, brings back those whose removal did not
// reach the disk, and fills active ones again whose making did not.
//
// No lock is held while files are touched; the database orders what conflicts. Thread-safe; made by
// the backends' Open functions.
#ifndef BERTH_SNAPSHOTTER_STORE_DIRECTORY_SNAPSHOTTER_H_
#define BERTH_SNAPSHOTTER_STORE_DIRECTORY_SNAPSHOTTER_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "base/sqlite/database.h"
#include "snapshotter/api/snapshotter.h"
#include "snapshotter/store/layer_directories.h"
#include "snapshotter/store/layer_format.h"
#include "snapshotter/store/layer_reaper.h"
#include "snapshotter/store/layer_table.h"

namespace berth::snapshots {

class DirectorySnapshotter final : public Snapshotter {
 public:
  // `database` holds kLayerTableSchema and outlives the object. Blocks: compares directories and
  // records.
  static absl::StatusOr<std::unique_ptr<Snapshotter>> Open(Description description,
                                                           sqlite::Database& database,
                                                           std::unique_ptr<LayerFormat> format);
  ~DirectorySnapshotter() override;

  const Description& description() const override { return description_; }
  absl::StatusOr<Info> Stat(absl::string_view key) override;
  absl::StatusOr<Info> Update(const Info& info, const UpdateOptions& options) override;
  absl::StatusOr<Usage> GetUsage(absl::string_view key) override;
  absl::StatusOr<std::vector<Mount>> Mounts(absl::string_view key) override;
  absl::StatusOr<std::vector<Mount>> Prepare(absl::string_view key, absl::string_view parent,
                                             const CreateOptions& options) override;
  absl::StatusOr<std::vector<Mount>> View(absl::string_view key, absl::string_view parent,
                                          const CreateOptions& options) override;
  absl::Status Commit(absl::string_view name, absl::string_view key,
                      const CommitOptions& options) override;
  absl::Status Remove(absl::string_view key, const RemoveOptions& options) override;
  absl::Status Walk(absl::FunctionRef<absl::Status(const Info&)> visit) override;
  absl::Status Cleanup() override;
  absl::Status Close() override;

 private:
  struct Stack {
    LayerRecord record;
    std::vector<std::string> ancestors;  // ids of directories, the parent first
  };

  DirectorySnapshotter(Description description, sqlite::Database& database,
                       std::unique_ptr<LayerFormat> format, LayerDirectories directories);

  absl::Status Reconcile();
  absl::Status RecoverDirectory(const Stack& stack);
  absl::Status CheckOpen() const;
  absl::StatusOr<LayerRecord> GetRecord(absl::string_view key);
  absl::StatusOr<std::vector<Mount>> Create(Kind kind, absl::string_view key,
                                            absl::string_view parent, const CreateOptions& options);
  // Makes and publishes a directory with the id `id`.
  absl::Status MakeDirectory(const std::string& id, Kind kind, const std::string& parent_id,
                             const Labels& labels);
  // Removes a published directory that got no record.
  void Abandon(const std::string& id);
  absl::StatusOr<Usage> Measure(const std::string& id);
  absl::StatusOr<Usage> Seal(const std::string& id);
  absl::StatusOr<std::vector<Mount>> MountsOf(const Stack& stack) const;

  const Description description_;
  sqlite::Database& database_;
  const std::unique_ptr<LayerFormat> format_;
  const LayerTable table_;
  const LayerDirectories directories_;
  absl::flat_hash_set<std::string> lost_;  // layers without a directory; fixed by Reconcile
  std::atomic<bool> is_closed_{false};
  std::unique_ptr<LayerReaper> reaper_;
};

}  // namespace berth::snapshots

#endif  // BERTH_SNAPSHOTTER_STORE_DIRECTORY_SNAPSHOTTER_H_
