#include "client/sdk/snapshot_client.h"

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/sdk/stubs.h"
#include "client/sdk/unary.h"

namespace berth::client {

namespace api = containerd::services::snapshots::v1;

absl::StatusOr<Mounts> SnapshotClient::Prepare(absl::string_view key, absl::string_view parent,
                                               const LabelMap& labels) const {
  api::PrepareSnapshotRequest request;
  request.set_snapshotter(snapshotter_);
  request.set_key(std::string(key));
  request.set_parent(std::string(parent));
  request.mutable_labels()->insert(labels.begin(), labels.end());
  BERTH_ASSIGN_OR_RETURN(
      const api::PrepareSnapshotResponse response,
      Unary(connection_, *connection_.stubs().snapshots, &api::Snapshots::Stub::Prepare, request));
  return Mounts(response.mounts().begin(), response.mounts().end());
}

absl::StatusOr<Mounts> SnapshotClient::View(absl::string_view key, absl::string_view parent,
                                            const LabelMap& labels) const {
  api::ViewSnapshotRequest request;
  request.set_snapshotter(snapshotter_);
  request.set_key(std::string(key));
  request.set_parent(std::string(parent));
  request.mutable_labels()->insert(labels.begin(), labels.end());
  BERTH_ASSIGN_OR_RETURN(
      const api::ViewSnapshotResponse response,
      Unary(connection_, *connection_.stubs().snapshots, &api::Snapshots::Stub::View, request));
  return Mounts(response.mounts().begin(), response.mounts().end());
}

absl::StatusOr<Mounts> SnapshotClient::GetMounts(absl::string_view key) const {
  api::MountsRequest request;
  request.set_snapshotter(snapshotter_);
  request.set_key(std::string(key));
  BERTH_ASSIGN_OR_RETURN(
      const api::MountsResponse response,
      Unary(connection_, *connection_.stubs().snapshots, &api::Snapshots::Stub::Mounts, request));
  return Mounts(response.mounts().begin(), response.mounts().end());
}

absl::Status SnapshotClient::Commit(absl::string_view name, absl::string_view key,
                                    const LabelMap& labels) const {
  api::CommitSnapshotRequest request;
  request.set_snapshotter(snapshotter_);
  request.set_name(std::string(name));
  request.set_key(std::string(key));
  request.mutable_labels()->insert(labels.begin(), labels.end());
  return Unary(connection_, *connection_.stubs().snapshots, &api::Snapshots::Stub::Commit, request)
      .status();
}

absl::Status SnapshotClient::Remove(absl::string_view key) const {
  api::RemoveSnapshotRequest request;
  request.set_snapshotter(snapshotter_);
  request.set_key(std::string(key));
  return Unary(connection_, *connection_.stubs().snapshots, &api::Snapshots::Stub::Remove, request)
      .status();
}

absl::StatusOr<SnapshotInfo> SnapshotClient::Stat(absl::string_view key) const {
  api::StatSnapshotRequest request;
  request.set_snapshotter(snapshotter_);
  request.set_key(std::string(key));
  BERTH_ASSIGN_OR_RETURN(
      api::StatSnapshotResponse response,
      Unary(connection_, *connection_.stubs().snapshots, &api::Snapshots::Stub::Stat, request));
  return std::move(*response.mutable_info());
}

absl::StatusOr<std::vector<SnapshotInfo>> SnapshotClient::List(
    const std::vector<std::string>& filters) const {
  api::ListSnapshotsRequest request;
  request.set_snapshotter(snapshotter_);
  for (const std::string& filter : filters) request.add_filters(filter);
  grpc::ClientContext context;
  connection_.Prepare(context, kCallTimeout);
  auto reader = connection_.stubs().snapshots->List(&context, request);
  std::vector<SnapshotInfo> result;
  api::ListSnapshotsResponse page;
  while (reader->Read(&page)) {
    for (const SnapshotInfo& info : page.info()) result.push_back(info);
  }
  BERTH_RETURN_IF_ERROR(connection_.ToStatus(reader->Finish()));
  return result;
}

absl::StatusOr<SnapshotUsage> SnapshotClient::Usage(absl::string_view key) const {
  api::UsageRequest request;
  request.set_snapshotter(snapshotter_);
  request.set_key(std::string(key));
  BERTH_ASSIGN_OR_RETURN(
      const api::UsageResponse response,
      Unary(connection_, *connection_.stubs().snapshots, &api::Snapshots::Stub::Usage, request));
  return SnapshotUsage{response.size(), response.inodes()};
}

absl::Status SnapshotClient::SetLabels(absl::string_view key, const LabelMap& labels) const {
  api::UpdateSnapshotRequest request;
  request.set_snapshotter(snapshotter_);
  request.mutable_info()->set_name(std::string(key));
  for (const auto& [label, value] : labels) {
    (*request.mutable_info()->mutable_labels())[label] = value;
    request.mutable_update_mask()->add_paths(absl::StrCat("labels.", label));
  }
  return Unary(connection_, *connection_.stubs().snapshots, &api::Snapshots::Stub::Update, request)
      .status();
}

absl::StatusOr<containerd::types::Descriptor> SnapshotClient::Apply(
    const containerd::types::Descriptor& layer, const Mounts& mounts) const {
  containerd::services::diff::v1::ApplyRequest request;
  *request.mutable_diff() = layer;
  for (const containerd::types::Mount& mount : mounts) *request.add_mounts() = mount;
  BERTH_ASSIGN_OR_RETURN(containerd::services::diff::v1::ApplyResponse response,
                         Unary(connection_, *connection_.stubs().diff,
                               &containerd::services::diff::v1::Diff::Stub::Apply, request));
  return std::move(*response.mutable_applied());
}

}  // namespace berth::client
