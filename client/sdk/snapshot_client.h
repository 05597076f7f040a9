// The Snapshots and Diff services, typed: layers, and archives turned into them. One object speaks
// to one snapshotter. Thread-safe.
#ifndef BERTH_CLIENT_SDK_SNAPSHOT_CLIENT_H_
#define BERTH_CLIENT_SDK_SNAPSHOT_CLIENT_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/sdk/connection.h"
#include "proto/containerd/services/snapshots/v1/snapshots.pb.h"
#include "proto/containerd/types/descriptor.pb.h"
#include "proto/containerd/types/mount.pb.h"

namespace berth::client {

using SnapshotInfo = containerd::services::snapshots::v1::Info;
using Mounts = std::vector<containerd::types::Mount>;
using LabelMap = std::map<std::string, std::string>;

struct SnapshotUsage {
  int64_t size_bytes = 0;
  int64_t inodes = 0;
};

class SnapshotClient {
 public:
  SnapshotClient(Connection connection, std::string snapshotter)
      : connection_(std::move(connection)), snapshotter_(std::move(snapshotter)) {}

  const std::string& snapshotter() const { return snapshotter_; }

  absl::StatusOr<Mounts> Prepare(absl::string_view key, absl::string_view parent,
                                 const LabelMap& labels) const;
  absl::StatusOr<Mounts> View(absl::string_view key, absl::string_view parent,
                              const LabelMap& labels) const;
  absl::StatusOr<Mounts> GetMounts(absl::string_view key) const;
  absl::Status Commit(absl::string_view name, absl::string_view key, const LabelMap& labels) const;
  absl::Status Remove(absl::string_view key) const;
  absl::StatusOr<SnapshotInfo> Stat(absl::string_view key) const;
  absl::StatusOr<std::vector<SnapshotInfo>> List(const std::vector<std::string>& filters) const;
  absl::StatusOr<SnapshotUsage> Usage(absl::string_view key) const;
  absl::Status SetLabels(absl::string_view key, const LabelMap& labels) const;

  // Unpacks the layer blob `layer` onto `mounts`; answers what was applied, uncompressed.
  absl::StatusOr<containerd::types::Descriptor> Apply(const containerd::types::Descriptor& layer,
                                                      const Mounts& mounts) const;

 private:
  Connection connection_;
  std::string snapshotter_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_SNAPSHOT_CLIENT_H_
