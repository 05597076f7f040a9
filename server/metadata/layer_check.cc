#include "server/metadata/layer_check.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/erofs/image_writer.h"
#include "snapshotter/store/tree_seal.h"

namespace berth::metadata {
namespace {

namespace api = containerd::services::snapshots::v1;

// `name` and all that stands on it, children before parents; `active` gets those that are in use.
absl::Status CollectFamily(sqlite::Connection& connection, const SnapshotSpace& space,
                           const std::string& name, std::vector<std::string>& family,
                           std::vector<std::string>& active) {
  BERTH_ASSIGN_OR_RETURN(const SnapshotRecord record, GetSnapshot(connection, space, name));
  if (record.info.kind() == api::ACTIVE) active.push_back(name);
  std::vector<std::string> children;
  {
    BERTH_ASSIGN_OR_RETURN(
        sqlite::Statement row,
        connection.Prepare(
            "SELECT key FROM snapshots WHERE ns = ? AND snapshotter = ? AND parent = ?"));
    row.Bind(space.ns, space.snapshotter, name);
    while (true) {
      BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
      if (!more) break;
      children.emplace_back(row.ColumnText(0));
    }
  }
  for (const std::string& child : children) {
    BERTH_RETURN_IF_ERROR(CollectFamily(connection, space, child, family, active));
  }
  family.push_back(name);
  return absl::OkStatus();
}

absl::Status Move(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) {
    // Its time says since when it is there.
    ::utimensat(AT_FDCWD, to.c_str(), nullptr, 0);
    return absl::OkStatus();
  }
  return ErrnoStatus(errno, "rename", from);
}

}  // namespace

std::string LayerCheck::PathOf(const Layer& layer, const char* place) const {
  const auto root = roots_.find(layer.space.snapshotter);
  return absl::StrCat(root == roots_.end() ? "" : root->second, "/", place, "/", layer.directory);
}

absl::StatusOr<std::vector<LayerCheck::Layer>> LayerCheck::List() {
  std::vector<Layer> layers;
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
    // A child's row is made after its parent's.
    BERTH_ASSIGN_OR_RETURN(
        sqlite::Statement row,
        connection.Prepare("SELECT s.ns, s.snapshotter, s.key, l.directory, l.size_bytes, l.inodes "
                           "FROM snapshots s JOIN layers l "
                           "ON l.driver = s.snapshotter AND l.key = s.backend_key "
                           "WHERE l.kind = ? ORDER BY l.number DESC"));
    row.Bind(static_cast<int64_t>(snapshots::Kind::kCommitted));
    while (true) {
      BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
      if (!more) return absl::OkStatus();
      Layer layer;
      layer.space = {std::string(row.ColumnText(0)), std::string(row.ColumnText(1))};
      layer.name = std::string(row.ColumnText(2));
      layer.directory = std::string(row.ColumnText(3));
      layer.recorded = {row.ColumnInt64(4), row.ColumnInt64(5)};
      if (roots_.count(layer.space.snapshotter) != 0) layers.push_back(std::move(layer));
    }
  }));
  return layers;
}

namespace {

// An image is measured as a file; its superblock says how many files are in it.
absl::StatusOr<snapshots::Usage> MeasureLayer(const std::string& snapshotter,
                                              const std::string& path) {
  if (snapshotter == "erofs") {
    BERTH_ASSIGN_OR_RETURN(const UniqueFd image,
                           OpenFile(absl::StrCat(path, "/layer.erofs"), O_RDONLY | O_NOFOLLOW));
    BERTH_ASSIGN_OR_RETURN(const erofs::ImageInfo info, erofs::ReadImageInfo(image));
    return snapshots::Usage{info.disk_bytes, static_cast<int64_t>(info.inodes)};
  }
  // What overlayfs adds is in a directory of its own, beside its scratch space.
  const std::string tree = absl::StrCat(path, snapshotter == "overlayfs" ? "/fs" : "");
  BERTH_ASSIGN_OR_RETURN(const UniqueFd directory, OpenFile(tree, O_RDONLY | O_DIRECTORY));
  return snapshots::MeasureTree(directory);
}

// It may have been removed since it was listed, and even unpacked again, into another directory.
absl::StatusOr<bool> IsAsListed(sqlite::Connection& connection, const LayerCheck::Layer& layer) {
  BERTH_ASSIGN_OR_RETURN(
      sqlite::Statement row,
      connection.Prepare("SELECT 1 FROM snapshots s JOIN layers l "
                         "ON l.driver = s.snapshotter AND l.key = s.backend_key "
                         "WHERE s.ns = ? AND s.snapshotter = ? AND s.key = ? AND l.directory = ?"));
  row.Bind(layer.space.ns, layer.space.snapshotter, layer.name, layer.directory);
  return row.Step();
}

}  // namespace

absl::Status LayerCheck::Compare(const Layer& layer, snapshots::Usage& found) const {
  const std::string path = PathOf(layer, "layers");
  const absl::StatusOr<snapshots::Usage> usage = MeasureLayer(layer.space.snapshotter, path);
  if (!usage.ok()) return absl::DataLossError(usage.status().message());
  found = *usage;
  if (found.inodes == layer.recorded.inodes && found.size_bytes == layer.recorded.size_bytes) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat(
      path, " holds ", found.inodes, " files in ", found.size_bytes, " bytes; recorded are ",
      layer.recorded.inodes, " in ", layer.recorded.size_bytes));
}

absl::StatusOr<snapshots::Usage> LayerCheck::Verify(const Layer& layer, Damaged damaged) {
  snapshots::Usage found;
  const absl::Status problem = Compare(layer, found);
  if (problem.ok()) return found;
  bool still_there = false;
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(still_there, IsAsListed(connection, layer));
    return absl::OkStatus();
  }));
  if (!still_there) return found;
  if (damaged == Damaged::kQuarantine) {
    const absl::Status out = Quarantine(layer);
    if (absl::IsNotFound(out)) return found;
    BERTH_RETURN_IF_ERROR(out) << problem.message();
  }
  return problem;
}

absl::Status LayerCheck::Quarantine(const Layer& layer) {
  std::vector<std::string> active;
  const auto look = [&](sqlite::Connection& connection,
                        std::vector<std::string>& family) -> absl::Status {
    active.clear();
    BERTH_RETURN_IF_ERROR(CollectFamily(connection, layer.space, layer.name, family, active));
    if (active.empty()) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat("containers use it (snapshots ",
                                                      absl::StrJoin(active, ", "),
                                                      "): remove them, then check again"));
  };
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) {
    std::vector<std::string> family;
    return look(connection, family);
  }));
  // Before the record goes, since the directory of one without a record is deleted; a crash in
  // between brings it back.
  const absl::Status moved = Move(PathOf(layer, "layers"), PathOf(layer, "quarantine"));
  if (!moved.ok() && ErrnoOf(moved) != ENOENT) return moved;
  const absl::Status erased = database_.Write(
      sqlite::WriteMode::kDurable, [&](sqlite::Connection& connection) -> absl::Status {
        std::vector<std::string> family;
        BERTH_ASSIGN_OR_RETURN(const bool still_there, IsAsListed(connection, layer));
        if (!still_there) return absl::NotFoundError("it has been removed");
        BERTH_RETURN_IF_ERROR(look(connection, family));
        for (const std::string& name : family) {
          BERTH_RETURN_IF_ERROR(EraseSnapshot(connection, layer.space, name));
        }
        return absl::OkStatus();
      });
  if (!erased.ok()) {
    if (moved.ok()) Move(PathOf(layer, "quarantine"), PathOf(layer, "layers")).IgnoreError();
    return erased;
  }
  store_.RemoveLeftovers().IgnoreError();  // the next removal or start does what is left
  return absl::OkStatus();
}

}  // namespace berth::metadata
