// containerd.services.snapshots.v1.Snapshots: decodes, calls the store, tells the world.
//
// Every call but Cleanup needs a namespace. Publishes /snapshot/prepare, /snapshot/commit and
// /snapshot/remove. Thread-safe; owned by server/main.
#ifndef BERTH_SERVER_API_SNAPSHOTS_SERVICE_H_
#define BERTH_SERVER_API_SNAPSHOTS_SERVICE_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/grpc/call_info.h"
#include "base/grpc/executor.h"
#include "base/grpc/server_stream.h"
#include "proto/containerd/services/snapshots/v1/snapshots.grpc.pb.h"
#include "server/events/event_sink.h"
#include "server/metadata/snapshot_store.h"

namespace berth {

class SnapshotsService final
    : public containerd::services::snapshots::v1::Snapshots::CallbackService {
 public:
  using PrepareRequest = containerd::services::snapshots::v1::PrepareSnapshotRequest;
  using PrepareResponse = containerd::services::snapshots::v1::PrepareSnapshotResponse;
  using ViewRequest = containerd::services::snapshots::v1::ViewSnapshotRequest;
  using ViewResponse = containerd::services::snapshots::v1::ViewSnapshotResponse;
  using MountsRequest = containerd::services::snapshots::v1::MountsRequest;
  using MountsResponse = containerd::services::snapshots::v1::MountsResponse;
  using CommitRequest = containerd::services::snapshots::v1::CommitSnapshotRequest;
  using RemoveRequest = containerd::services::snapshots::v1::RemoveSnapshotRequest;
  using StatRequest = containerd::services::snapshots::v1::StatSnapshotRequest;
  using StatResponse = containerd::services::snapshots::v1::StatSnapshotResponse;
  using UpdateRequest = containerd::services::snapshots::v1::UpdateSnapshotRequest;
  using UpdateResponse = containerd::services::snapshots::v1::UpdateSnapshotResponse;
  using ListRequest = containerd::services::snapshots::v1::ListSnapshotsRequest;
  using ListResponse = containerd::services::snapshots::v1::ListSnapshotsResponse;
  using UsageRequest = containerd::services::snapshots::v1::UsageRequest;
  using UsageResponse = containerd::services::snapshots::v1::UsageResponse;
  using CleanupRequest = containerd::services::snapshots::v1::CleanupRequest;
  using Empty = google::protobuf::Empty;

  SnapshotsService(metadata::SnapshotStore& store, EventSink& events, Executor& executor)
      : store_(store), events_(events), executor_(executor) {}

  grpc::ServerUnaryReactor* Prepare(grpc::CallbackServerContext* context,
                                    const PrepareRequest* request,
                                    PrepareResponse* response) override;
  grpc::ServerUnaryReactor* View(grpc::CallbackServerContext* context, const ViewRequest* request,
                                 ViewResponse* response) override;
  grpc::ServerUnaryReactor* Mounts(grpc::CallbackServerContext* context,
                                   const MountsRequest* request, MountsResponse* response) override;
  grpc::ServerUnaryReactor* Commit(grpc::CallbackServerContext* context,
                                   const CommitRequest* request, Empty* response) override;
  grpc::ServerUnaryReactor* Remove(grpc::CallbackServerContext* context,
                                   const RemoveRequest* request, Empty* response) override;
  grpc::ServerUnaryReactor* Stat(grpc::CallbackServerContext* context, const StatRequest* request,
                                 StatResponse* response) override;
  grpc::ServerUnaryReactor* Update(grpc::CallbackServerContext* context,
                                   const UpdateRequest* request, UpdateResponse* response) override;
  grpc::ServerWriteReactor<ListResponse>* List(grpc::CallbackServerContext* context,
                                               const ListRequest* request) override;
  grpc::ServerUnaryReactor* Usage(grpc::CallbackServerContext* context, const UsageRequest* request,
                                  UsageResponse* response) override;
  grpc::ServerUnaryReactor* Cleanup(grpc::CallbackServerContext* context,
                                    const CleanupRequest* request, Empty* response) override;

 private:
  absl::StatusOr<PrepareResponse> DoPrepare(const metadata::Caller& caller,
                                            const PrepareRequest& request);
  absl::Status DoCommit(const metadata::Caller& caller, const CommitRequest& request);
  absl::Status DoRemove(const metadata::Caller& caller, const RemoveRequest& request);
  absl::StatusOr<StreamSource<ListResponse>> DoList(const CallInfo& call,
                                                    const ListRequest& request);

  metadata::SnapshotStore& store_;
  EventSink& events_;
  Executor& executor_;
};

}  // namespace berth

#endif  // BERTH_SERVER_API_SNAPSHOTS_SERVICE_H_
